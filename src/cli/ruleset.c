/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ruleset.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pinhold/links.h>
#include <pinhold/nft.h>
#include <pinhold/pool.h>
#include <pinhold/sockaddr.h>

#define PEERS_MAX ((size_t)2 * PH_CANDIDATES_MAX) /* of both kinds, as in a mapping */

struct peers {
	bool no_dns; /* a look-up timed out: the others would too */
	size_t left_out;
	size_t n;
	struct ph_endpoint items[PEERS_MAX];
};

static void add_peers(const struct ph_server_list *list, enum ph_family family, struct peers *peers)
{
	for (size_t i = 0; i < list->n; i++) {
		struct addrinfo hints = {
			.ai_family = family == PH_IPV6 ? AF_INET6 : AF_INET,
			.ai_socktype = SOCK_STREAM,
		};
		struct addrinfo *found = NULL;
		struct ph_address numeric;
		int r = EAI_AGAIN;

		if (!peers->no_dns || ph_address_parse(list->items[i].host, &numeric) == 0)
			r = getaddrinfo(list->items[i].host, NULL, &hints, &found);
		if (r != 0) {
			peers->no_dns = peers->no_dns || r == EAI_AGAIN;
			peers->left_out++;
			continue;
		}
		for (const struct addrinfo *ai = found; ai; ai = ai->ai_next) {
			struct ph_endpoint *e = &peers->items[peers->n];

			if (peers->n < PEERS_MAX &&
			    ph_endpoint_from_sockaddr(ai->ai_addr, e) == 0) {
				e->port = list->items[i].port;
				peers->n++;
			}
		}
		freeaddrinfo(found);
	}
}

static int describe(const struct ph_config_mapping *m, const struct ph_links *view,
		    struct peers *peers, struct ph_plan_mapping *ret_want)
{
	enum ph_links_answer answer;
	int index = 0;

	*ret_want = (struct ph_plan_mapping){
		.proto = m->core.proto,
		.target = m->core.target,
		.open = true,
	};
	memcpy(ret_want->name, m->core.name, sizeof(ret_want->name));
	answer = ph_links_find(view, m->interface, m->core.family, ret_want->interface, &index,
			       &ret_want->private_endpoint.address);
	switch (answer) {
	case PH_LINKS_FOUND:
		break;
	case PH_LINKS_NO_INTERFACE:
		if (strcmp(m->interface, "auto") == 0)
			fputs("pinhold: ruleset: there is no default route; name the interface with -i\n",
			      stderr);
		else
			fprintf(stderr,
				"pinhold: -i: there is no interface or address %s; `ip address` lists them\n",
				m->interface);
		return 2;
	case PH_LINKS_DOWN:
		fprintf(stderr, "pinhold: ruleset: interface %s is down\n", ret_want->interface);
		return 2;
	case PH_LINKS_NO_ADDRESS:
		fprintf(stderr, "pinhold: ruleset: interface %s has no usable IPv%d address\n",
			ret_want->interface, (int)m->core.family);
		return 2;
	}
	if (m->core.bind_first != m->core.bind_last)
		printf("# bind port %u stands for one of %u to %u\n", m->core.bind_first,
		       m->core.bind_first, m->core.bind_last);
	if (m->core.target.kind != PH_TARGET_NONE && m->core.target.port == 0)
		puts("# the target's port follows the public port, which is not known yet: no rule towards it");
	ret_want->private_endpoint.port = m->core.bind_first;
	add_peers(m->core.stun, m->core.family, peers);
	if (m->core.proto == PH_TCP)
		add_peers(m->core.keepalive, m->core.family, peers);
	if (peers->left_out)
		fprintf(stderr,
			"pinhold: ruleset: %zu servers are left out of the peers: their names cannot be looked up now\n",
			peers->left_out);
	ret_want->peers = peers->items;
	ret_want->n_peers = peers->n;
	return 0;
}

int ph_ruleset_print(const struct ph_config *config)
{
	struct ph_plan_mapping *wants = calloc(config->n_mappings, sizeof(*wants));
	struct peers *peers = calloc(config->n_mappings, sizeof(*peers));
	struct ph_table *table = NULL;
	struct ph_links view = { 0 };
	int r = -ENOMEM, status = 0;

	if (wants && peers)
		r = ph_rtnetlink_read(&view);
	for (size_t i = 0; r == 0 && status == 0 && i < config->n_mappings; i++)
		status = describe(config->mappings[i], &view, &peers[i], &wants[i]);
	if (r == 0 && status == 0)
		r = ph_table_new(&config->plan, wants, config->n_mappings, &table);
	if (r == 0 && status == 0)
		r = ph_nft_print(table, stdout);
	if (r == 0 && status == 0 && fflush(stdout) < 0)
		r = -errno;
	if (r < 0) {
		fprintf(stderr, "pinhold: ruleset: %s\n", strerror(-r));
		status = 1;
	}
	ph_table_free(table);
	ph_links_done(&view);
	free(peers);
	free(wants);
	return status;
}
