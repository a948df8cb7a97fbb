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

struct peers {
	size_t n;
	struct ph_endpoint items[2 * PH_CANDIDATES_MAX];
};

static void add_peers(const struct ph_server_list *list, enum ph_family family, struct peers *peers)
{
	for (size_t i = 0; i < list->n; i++) {
		struct addrinfo hints = {
			.ai_family = family == PH_IPV6 ? AF_INET6 : AF_INET,
			.ai_socktype = SOCK_STREAM,
		};
		struct addrinfo *found = NULL;
		int r = getaddrinfo(list->items[i].host, NULL, &hints, &found);

		if (r != 0) {
			fprintf(stderr, "pinhold: server %s left out: %s\n", list->items[i].host,
				gai_strerror(r));
			continue;
		}
		for (const struct addrinfo *ai = found; ai; ai = ai->ai_next) {
			struct ph_endpoint *e = &peers->items[peers->n];

			if (peers->n < 2 * PH_CANDIDATES_MAX &&
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

	*ret_want = (struct ph_plan_mapping){
		.proto = m->core.proto,
		.target = m->core.target,
		.open = true,
	};
	memcpy(ret_want->name, m->core.name, sizeof(ret_want->name));
	answer = ph_links_find(view, m->interface, m->core.family, ret_want->interface,
			       &ret_want->private_endpoint.address);
	if (answer != PH_LINKS_FOUND) {
		fprintf(stderr, "pinhold: interface %s: %s\n", m->interface,
			answer == PH_LINKS_NO_INTERFACE
				? "not there (auto: there is no default route)"
			: answer == PH_LINKS_DOWN ? "down"
						  : "no usable address of the mapping's family");
		return 2;
	}
	ret_want->private_endpoint.port = m->core.bind_first;
	add_peers(&m->stun, m->core.family, peers);
	if (m->core.proto == PH_TCP)
		add_peers(&m->keepalive, m->core.family, peers);
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
		status = describe(&config->mappings[i], &view, &peers[i], &wants[i]);
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
