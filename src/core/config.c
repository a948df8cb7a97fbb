/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <pinhold/config.h>

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define STUN_PORT 3478 /* RFC 8489 section 14.2 */
#define HTTP_PORT 80

/* Public servers whose operators offer them to everybody. TCP: those that answer Binding requests
 * there. */
static const struct ph_server default_stun_tcp[] = {
	{ "turn.cloudflare.com", STUN_PORT },    { "stun.nextcloud.com", 443 },
	{ "global.turn.twilio.com", STUN_PORT }, { "fwa.lifesizecloud.com", STUN_PORT },
	{ "stun.freeswitch.org", STUN_PORT },    { "stun.sipnet.com", STUN_PORT },
	{ "stun.radiojar.com", STUN_PORT },      { "stun.telnyx.com", STUN_PORT },
};

static const struct ph_server default_stun_udp[] = {
	{ "turn.cloudflare.com", STUN_PORT }, { "stun.l.google.com", 19302 },
	{ "stun.nextcloud.com", STUN_PORT },  { "global.turn.twilio.com", STUN_PORT },
	{ "stun.miwifi.com", STUN_PORT },     { "stun.chat.bilibili.com", STUN_PORT },
	{ "stun.freeswitch.org", STUN_PORT }, { "stun.sipnet.com", STUN_PORT },
};

static const struct ph_server default_keepalive[] = {
	{ "www.example.com", HTTP_PORT },
	{ "detectportal.firefox.com", HTTP_PORT },
	{ "www.msftconnecttest.com", HTTP_PORT },
	{ "www.baidu.com", HTTP_PORT },
};

#define N(array) (sizeof(array) / sizeof(*(array)))

struct ph_server_list *ph_server_list_new(const struct ph_server *servers, size_t n)
{
	struct ph_server_list *list = calloc(1, sizeof(*list));

	assert(n <= PH_SERVERS_MAX);
	if (!list)
		return NULL;
	list->references = 1;
	list->n = n;
	memcpy(list->items, servers, n * sizeof(*servers));
	return list;
}

/* Counting is the one thing that changes in a list. */
static struct ph_server_list *counted(const struct ph_server_list *list)
{
	return (struct ph_server_list *)(uintptr_t)list;
}

const struct ph_server_list *ph_server_list_ref(const struct ph_server_list *list)
{
	counted(list)->references++;
	return list;
}

void ph_server_list_unref(const struct ph_server_list *list)
{
	if (list && --counted(list)->references == 0)
		free(counted(list));
}

const struct ph_server_list *ph_default_stun(enum ph_proto proto)
{
	return proto == PH_TCP ? ph_server_list_new(default_stun_tcp, N(default_stun_tcp))
			       : ph_server_list_new(default_stun_udp, N(default_stun_udp));
}

const struct ph_server_list *ph_default_keepalive(void)
{
	return ph_server_list_new(default_keepalive, N(default_keepalive));
}

static bool host_fits(const char *host)
{
	size_t len = strlen(host);
	struct ph_address address;

	if (ph_address_parse(host, &address) == 0)
		return true;
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)host[i]) && !strchr("-._", host[i]))
			return false;
	return len > 0 && len <= PH_HOST_MAX;
}

int ph_server_parse(const char *text, uint16_t default_port, struct ph_server *ret_server)
{
	struct ph_server server = { .port = default_port };
	char copy[PH_HOST_MAX + sizeof("[]:65535")];
	struct ph_address address;
	char *colon, *name = copy;

	if (strlen(text) >= sizeof(copy))
		return -EINVAL;
	strcpy(copy, text);
	if (*name == '[') {
		char *end = strchr(++name, ']');

		if (!end || (end[1] != '\0' && end[1] != ':'))
			return -EINVAL;
		colon = end[1] == ':' ? end + 1 : NULL;
		*end = '\0';
		if (ph_address_parse(name, &address) < 0 || address.family != PH_IPV6)
			return -EINVAL;
	} else {
		/* More than one colon without brackets: an IPv6 address and no port. */
		colon = strchr(name, ':');
		if (colon && strchr(colon + 1, ':'))
			colon = NULL;
		else if (colon)
			*colon = '\0';
	}
	if (colon && ph_port_parse(colon + 1, &server.port) < 0)
		return -EINVAL;
	if (!host_fits(name))
		return -EINVAL;
	memcpy(server.host, name, strlen(name) + 1);
	*ret_server = server;
	return 0;
}

struct ph_config_mapping *ph_config_mapping_new(enum ph_proto proto, enum ph_family family)
{
	struct ph_config_mapping *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	*m = (struct ph_config_mapping){
		.core = {
			.proto = proto,
			.family = family,
			.interval_ms = proto == PH_TCP ? 30000 : 10000,
			.verify_ms = 60000,
		},
		.enabled = true,
		.interface = "auto",
		.detect_ms = 5000,
		.loopback = true,
		.reply_route = true,
	};
	return m;
}

void ph_config_mapping_free(struct ph_config_mapping *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->n_hooks; i++)
		free(m->hooks[i].path);
	for (size_t i = 0; i < m->n_allow_files; i++)
		free(m->allow_files[i]);
	free(m->hooks);
	free(m->allow);
	free(m->allow_files);
	free(m->publish);
	ph_server_list_unref(m->core.stun);
	ph_server_list_unref(m->core.keepalive);
	free(m);
}

void ph_config_done(struct ph_config *config)
{
	for (size_t i = 0; i < config->n_mappings; i++)
		ph_config_mapping_free(config->mappings[i]);
	for (size_t i = 0; i < config->n_publishers; i++) {
		struct ph_publish *p = &config->publishers[i];

		for (size_t k = 0; k < p->n_settings; k++) {
			free(p->settings[k].key);
			free(p->settings[k].value);
		}
		free(p->settings);
	}
	free(config->mappings);
	free(config->publishers);
	free(config->path);
	*config = (struct ph_config){ 0 };
}
