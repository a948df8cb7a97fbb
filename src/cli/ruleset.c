/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ruleset.h"

#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pinhold/links.h>
#include <pinhold/nft.h>
#include <pinhold/pool.h>
#include <pinhold/sockaddr.h>
#include <pinhold/uplink.h>

#define PEERS_MAX ((size_t)2 * PH_CANDIDATES_MAX) /* of both kinds, as in a mapping */

/* The addresses of a list of servers; mappings share lists, so each is looked up once. */
struct answer {
	const struct ph_server_list *list;
	enum ph_family family;
	size_t n;
	struct ph_endpoint items[PH_CANDIDATES_MAX];
};

struct resolver {
	bool no_dns; /* a look-up timed out: the others would too */
	size_t left_out;
	struct answer *answers;
	size_t n_answers, n_max;
};

struct peers {
	struct ph_endpoint items[PEERS_MAX];
};

static void look_up(struct resolver *resolver, const struct ph_server *server, struct answer *a)
{
	struct addrinfo hints = {
		.ai_family = a->family == PH_IPV6 ? AF_INET6 : AF_INET,
		.ai_socktype = SOCK_STREAM,
	};
	struct addrinfo *found = NULL;
	struct ph_address numeric;
	int r = EAI_AGAIN;

	if (!resolver->no_dns || ph_address_parse(server->host, &numeric) == 0)
		r = getaddrinfo(server->host, NULL, &hints, &found);
	if (r != 0) {
		resolver->no_dns = resolver->no_dns || r == EAI_AGAIN;
		resolver->left_out++;
		return;
	}
	for (const struct addrinfo *ai = found; ai; ai = ai->ai_next)
		if (a->n < PH_CANDIDATES_MAX &&
		    ph_endpoint_from_sockaddr(ai->ai_addr, &a->items[a->n]) == 0)
			a->items[a->n++].port = server->port;
	freeaddrinfo(found);
}

/* The answers have room for two lists of each mapping. */
static void add_peers(struct resolver *resolver, const struct ph_server_list *list,
		      enum ph_family family, struct peers *peers, size_t *n)
{
	struct answer *a = NULL;

	for (size_t i = 0; i < resolver->n_answers && !a; i++)
		if (resolver->answers[i].list == list && resolver->answers[i].family == family)
			a = &resolver->answers[i];
	if (!a) {
		assert(resolver->n_answers < resolver->n_max);
		a = &resolver->answers[resolver->n_answers++];
		a->list = list;
		a->family = family;
		for (size_t i = 0; i < list->n; i++)
			look_up(resolver, &list->items[i], a);
	}
	assert(*n + a->n <= PEERS_MAX);
	memcpy(peers->items + *n, a->items, a->n * sizeof(*a->items));
	*n += a->n;
}

/* Why there are no addresses; a mapping of a file is named. */
static void say_no_address(const struct ph_config_mapping *m, bool file, const char *interface,
			   enum ph_links_answer answer)
{
	const char *who = file ? m->core.name : "ruleset";
	const char *so = file ? "; left out but for its counter" : "";

	switch (answer) {
	case PH_LINKS_FOUND:
		break;
	case PH_LINKS_NO_INTERFACE:
		if (strcmp(m->interface, "auto") == 0)
			fprintf(stderr, "pinhold: %s: there is no default route%s\n", who,
				file ? so : "; name the interface with -i");
		else
			fprintf(stderr,
				"pinhold: %s: there is no interface or address %s%s; `ip address` lists them\n",
				file ? who : "-i", m->interface, so);
		break;
	case PH_LINKS_DOWN:
		fprintf(stderr, "pinhold: %s: interface %s is down%s\n", who, interface, so);
		break;
	case PH_LINKS_NO_ADDRESS:
		fprintf(stderr, "pinhold: %s: interface %s has no usable IPv%d address%s\n", who,
			interface, (int)m->core.family, so);
		break;
	case PH_LINKS_BAD_NAME:
		fprintf(stderr,
			"pinhold: %s: the name of the interface (%s) has characters that cannot stand in the table%s\n",
			who, m->interface, so);
		break;
	}
}

/* The kernel chooses it; here it only has to be another one. */
static uint16_t own_port(const struct ph_plan_mapping *want)
{
	uint16_t first, last;

	ph_ephemeral_range(&first, &last);
	return want->private_endpoint.port == first ? last : first;
}

/* By which uplinks replies would be routed. 0 or -ENOMEM. */
static int number_uplinks(const struct ph_config *config, const struct ph_links *view,
			  struct ph_plan_mapping *wants, size_t n)
{
	struct ph_uplink_user *users = calloc(n + 1, sizeof(*users));
	struct ph_uplink *answers = calloc(n + 1, sizeof(*answers));
	struct ph_reply_routes routes = { 0 };
	struct ph_uplinks uplinks = { 0 };
	size_t *who = calloc(n + 1, sizeof(*who)), n_users = 0, k = 0;
	int r = users && answers && who ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < config->n_mappings; i++) {
		const struct ph_config_mapping *m = config->mappings[i];

		if (!m->enabled)
			continue;
		if (m->reply_route && wants[k].private_endpoint.port) {
			who[n_users] = k;
			users[n_users++] =
				(struct ph_uplink_user){ wants[k].interface, m->core.family };
		}
		k++;
	}
	if (r == 0)
		r = ph_uplinks_decide(&uplinks, view, users, n_users, answers, &routes);
	for (size_t i = 0; r == 0 && i < n_users; i++)
		wants[who[i]].uplink = answers[i].number;
	ph_reply_routes_done(&routes);
	free(users);
	free(answers);
	free(who);
	return r;
}

/* What the mapping will want. One of a file without an address wants its counter, as it does of a
 * daemon; without a file there would be nothing to print: 2. */
static int describe(const struct ph_config_mapping *m, bool file, const struct ph_links *view,
		    struct resolver *resolver, struct peers *peers,
		    struct ph_plan_mapping *ret_want)
{
	enum ph_links_answer answer;
	int index = 0;

	*ret_want = (struct ph_plan_mapping){
		.proto = m->core.proto,
		.target = m->core.target,
		.open = true,
		.loopback = m->loopback,
		.snat = m->snat,
		.allow = m->allowed,
		.limit = m->limit,
	};
	memcpy(ret_want->name, m->core.name, sizeof(ret_want->name));
	answer = ph_links_find(view, m->interface, m->core.family, ret_want->interface, &index,
			       &ret_want->private_endpoint.address);
	if (answer != PH_LINKS_FOUND) {
		say_no_address(m, file, ret_want->interface, answer);
		return file ? 0 : 2;
	}
	if (m->core.bind_first != m->core.bind_last)
		printf("# %s: bind port %u stands for one of %u to %u\n", m->core.name,
		       m->core.bind_first, m->core.bind_first, m->core.bind_last);
	if (m->core.target.kind != PH_TARGET_NONE && m->core.target.port == 0)
		printf("# %s: the target's port follows the public port, which is not known yet: no rule towards it\n",
		       m->core.name);
	ret_want->private_endpoint.port = m->core.bind_first;
	if (ph_plan_shares_port(&m->core.target, m->core.bind_first)) {
		ret_want->own_port = own_port(ret_want);
		printf("# %s: the service has the bind port; %u stands for the one that pinhold's own connections take\n",
		       m->core.name, ret_want->own_port);
	}
	add_peers(resolver, m->core.stun, m->core.family, peers, &ret_want->n_peers);
	if (m->core.proto == PH_TCP)
		add_peers(resolver, m->core.keepalive, m->core.family, peers, &ret_want->n_peers);
	ret_want->peers = peers->items;
	return 0;
}

static int see_outside(const struct ph_config *config, const struct ph_links *view,
		       char (**ret_outside)[PH_INTERFACE_MAX + 1], size_t *ret_n)
{
	const char **settings = calloc(config->n_mappings + 1, sizeof(*settings));
	int r = -ENOMEM;

	for (size_t i = 0; settings && i < config->n_mappings; i++)
		settings[i] = config->mappings[i]->interface;
	if (settings)
		r = ph_links_outside(view, settings, config->n_mappings, ret_outside, ret_n);
	free(settings);
	return r;
}

/* The table, or an exit status. */
static int plan(const struct ph_config *config, const struct ph_links *view,
		struct resolver *resolver, struct peers *peers, struct ph_plan_mapping *wants)
{
	struct ph_plan_options options = config->plan;
	char(*outside)[PH_INTERFACE_MAX + 1] = NULL;
	struct ph_table *table = NULL;
	size_t n = 0;
	int r;

	for (size_t i = 0; i < config->n_mappings; i++) {
		if (!config->mappings[i]->enabled)
			continue;
		r = describe(config->mappings[i], config->path, view, resolver, &peers[n],
			     &wants[n]);
		if (r)
			return r;
		n++;
	}
	if (resolver->left_out)
		fprintf(stderr,
			"pinhold: ruleset: %zu servers are left out of the peers: their names cannot be looked up now\n",
			resolver->left_out);
	r = number_uplinks(config, view, wants, n);
	if (r == 0)
		r = see_outside(config, view, &outside, &options.n_outside);
	options.outside = (const char(*)[PH_INTERFACE_MAX + 1]) outside;
	if (r == 0)
		r = ph_table_new(&options, wants, n, &table);
	if (r == 0)
		r = ph_nft_print(table, stdout);
	ph_table_free(table);
	free(outside);
	return r;
}

int ph_ruleset_print(const struct ph_config *config)
{
	size_t n = config->n_mappings ? config->n_mappings : 1;
	struct ph_plan_mapping *wants = calloc(n, sizeof(*wants));
	struct peers *peers = calloc(n, sizeof(*peers));
	struct resolver resolver = { .n_max = 2 * n };
	struct ph_links view = { 0 };
	int r = -ENOMEM;

	resolver.answers = calloc(resolver.n_max, sizeof(*resolver.answers));
	if (wants && peers && resolver.answers)
		r = ph_rtnetlink_read(&view);
	if (r == 0)
		r = plan(config, &view, &resolver, peers, wants);
	if (r == 0 && fflush(stdout) < 0)
		r = -errno;
	if (r < 0) {
		fprintf(stderr, "pinhold: ruleset: %s\n", strerror(-r));
		r = 1;
	}
	ph_links_done(&view);
	free(resolver.answers);
	free(peers);
	free(wants);
	return r;
}
