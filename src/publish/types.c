// SPDX-License-Identifier: GPL-2.0-or-later
#include "types.h"

#include <string.h>

static const struct publisher_type types[] = {
	{ "webhook", true, webhook_publish },
	{ "cloudflare-dns", false, cloudflare_dns_publish },
	{ "cloudflare-kv", false, cloudflare_kv_publish },
	{ "qbittorrent", false, qbittorrent_publish },
	{ "transmission", false, transmission_publish },
};

const struct publisher_type *publisher_type_find(const char *name)
{
	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
		if (strcmp(types[i].name, name) == 0)
			return &types[i];
	return NULL;
}
