/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Rules and routes over rtnetlink. Nothing is remembered of them but whether there are any: each
 * time the kernel is asked for what it has with our protocol in our tables, and told the
 * difference. So it does not matter who took a route away, or who left one.
 */

#include <pinhold/routes.h>

#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/socket.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <pinhold/log.h>

#include "ipv4_conf.h"
#include "routes_message.h"
#include "rtnl_request.h"

/*
 * After the local table (0), so that what is for this machine stays here, and before everything
 * that might send our packets elsewhere: VRF (1000), mwan3 (from 1001), Tailscale (from 5210),
 * OpenWrt's netifd (from 10000), wg-quick and pbr (about 30000), the main table (32766).
 */
#define PRIORITY 990

#define METRIC6 1024 /* what IPv6 makes of 0 (IP6_RT_PRIO_USER) */

#define DUMP_TRIES 8

/* What there is, or ought to be. */
struct state {
	struct rt_rule *rules;
	size_t n_rules;
	struct rt_route *routes;
	size_t n_routes;
};

struct ph_routes {
	struct nl_sock *socket;
	bool clean; /* nothing of ours is there */
	char failed[48];
};

static const enum ph_family families[] = { PH_IPV4, PH_IPV6 };

/* ---- states ---- */

static void state_done(struct state *state)
{
	free(state->rules);
	free(state->routes);
	*state = (struct state){ 0 };
}

static int add_rule(struct state *state, const struct rt_rule *rule)
{
	struct rt_rule *rules =
		reallocarray(state->rules, state->n_rules + 1, sizeof(*state->rules));

	if (!rules)
		return -ENOMEM;
	state->rules = rules;
	rules[state->n_rules++] = *rule;
	return 0;
}

static int add_route(struct state *state, const struct rt_route *route)
{
	struct rt_route *routes =
		reallocarray(state->routes, state->n_routes + 1, sizeof(*state->routes));

	if (!routes)
		return -ENOMEM;
	state->routes = routes;
	routes[state->n_routes++] = *route;
	return 0;
}

static bool rule_equal(const struct rt_rule *a, const struct rt_rule *b)
{
	return a->family == b->family && a->priority == b->priority && a->mark == b->mark &&
	       a->mask == b->mask && a->table == b->table && a->protocol == b->protocol;
}

static struct rt_rule *find_rule(const struct state *state, const struct rt_rule *wanted)
{
	for (size_t i = 0; i < state->n_rules; i++)
		if (rule_equal(&state->rules[i], wanted))
			return &state->rules[i];
	return NULL;
}

/* In the place of wanted, where there is room for one alone. */
static const struct rt_route *find_route(const struct state *state, const struct rt_route *wanted)
{
	for (size_t i = 0; i < state->n_routes; i++) {
		const struct rt_route *r = &state->routes[i];

		if (r->family == wanted->family && r->table == wanted->table &&
		    r->metric == wanted->metric && r->to.bits == wanted->to.bits &&
		    ph_address_equal(&r->to.address, &wanted->to.address))
			return r;
	}
	return NULL;
}

static bool same_way(const struct rt_route *a, const struct rt_route *b)
{
	return a->index == b->index && ph_address_equal(&a->gateway, &b->gateway);
}

static int add_wanted(struct state *state, const struct ph_reply_route *reply,
		      const struct ph_marks *marks)
{
	const struct rt_rule rule = {
		.family = reply->family,
		.priority = PRIORITY,
		.mark = marks->uplink[reply->number],
		.mask = marks->uplinks,
		.table = RT_TABLE(reply->number),
		.protocol = RT_PROTOCOL,
	};
	struct rt_route route = {
		.family = reply->family,
		.table = rule.table,
		.protocol = RT_PROTOCOL,
		.metric = reply->family == PH_IPV6 ? METRIC6 : 0,
		.to = { .address = { .family = reply->family } },
		.index = reply->index,
		.gateway = reply->gateway,
	};
	int r = add_rule(state, &rule);

	if (r == 0)
		r = add_route(state, &route);
	route.gateway = (struct ph_address){ 0 };
	for (size_t i = 0; r == 0 && i < reply->n_locals; i++) {
		route.to = reply->locals[i];
		r = add_route(state, &route);
	}
	return r;
}

/* ---- reading ---- */

static int on_any_rule(void *data, struct nlmsghdr *h)
{
	struct rt_rule rule;

	return rt_parse_rule(h, &rule) ? add_rule(data, &rule) : 0;
}

static int on_rule(void *data, struct nlmsghdr *h)
{
	struct rt_rule rule;

	return rt_parse_rule(h, &rule) && rt_is_ours(rule.table, rule.protocol)
		       ? add_rule(data, &rule)
		       : 0;
}

static int on_route(void *data, struct nlmsghdr *h)
{
	struct rt_route route;

	return rt_parse_route(h, &route) && rt_is_ours(route.table, route.protocol)
		       ? add_route(data, &route)
		       : 0;
}

static int list_routes(struct nl_sock *socket, enum ph_family family, uint32_t table,
		       struct state *state)
{
	struct rtmsg head = { .rtm_family = rt_af(family), .rtm_table = RT_TABLE_UNSPEC };
	struct nl_msg *msg = nlmsg_alloc_simple(RTM_GETROUTE, NLM_F_DUMP);
	int r = -ENOMEM;

	if (!msg)
		return r;
	if (nlmsg_append(msg, &head, sizeof(head), NLMSG_ALIGNTO) == 0 &&
	    nla_put_u32(msg, RTA_TABLE, table) == 0)
		r = rtnl_request(socket, msg, on_route, state);
	nlmsg_free(msg);
	/* A table without a single route need not exist (fib_frontend.c, inet_dump_fib()). */
	return r == -ENOENT ? 0 : r;
}

/* A kernel without the family, or without tables, has none of ours. */
static int unless_absent(int r)
{
	return r == -EAFNOSUPPORT || r == -EOPNOTSUPP ? 0 : r;
}

static int read_once(struct nl_sock *socket, struct state *state)
{
	int r = 0;

	for (unsigned f = 0; r == 0 && f < 2; f++) {
		r = rtnl_request_rules(socket, families[f], on_rule, state);
		for (unsigned n = 1; r == 0 && n <= PH_UPLINKS_MAX; n++)
			r = unless_absent(list_routes(socket, families[f], RT_TABLE(n), state));
	}
	return r;
}

/* Everything that is ours. */
static int read_state(struct nl_sock *socket, struct state *ret_state)
{
	int r = -EAGAIN;

	for (unsigned try = 0; r == -EAGAIN && try < DUMP_TRIES; try++) {
		struct state state = { 0 };

		r = read_once(socket, &state);
		if (r == 0)
			*ret_state = state;
		else
			state_done(&state);
	}
	return r;
}

/* ---- writing ---- */

/* Remembers the first error of a call, and what it was about. */
static void fail(struct ph_routes *routes, int *r, int error, const char *object,
		 enum ph_family family, uint32_t table)
{
	if (*r < 0)
		return;
	*r = error;
	snprintf(routes->failed, sizeof(routes->failed), "IPv%d %s of uplink %u", (int)family,
		 object, table - RT_TABLE(0));
}

static int send_message(struct ph_routes *routes, struct nl_msg *msg)
{
	int r = msg ? rtnl_request(routes->socket, msg, NULL, NULL) : -ENOMEM;

	nlmsg_free(msg);
	return r;
}

/* The interface went after it was looked at; who tells of that asks again. */
static bool is_gone(int error)
{
	return error == -ENODEV || error == -ENETDOWN;
}

static void hold_back(const struct state *want, const struct rt_route *route)
{
	for (size_t i = 0; i < want->n_rules; i++)
		if (want->rules[i].family == route->family && want->rules[i].table == route->table)
			want->rules[i].held_back = true;
}

static void put_routes(struct ph_routes *routes, const struct state *have, const struct state *want,
		       int *r)
{
	for (size_t i = 0; i < want->n_routes; i++) {
		const struct rt_route *route = &want->routes[i];
		const struct rt_route *old = find_route(have, route);
		int error;

		if (old && same_way(old, route))
			continue;
		/* Only a route of ours is replaced. */
		error = send_message(
			routes,
			rt_route_message(RTM_NEWROUTE,
					 NLM_F_CREATE | (old ? NLM_F_REPLACE : NLM_F_EXCL), route));
		if (error == 0)
			continue;
		hold_back(want, route);
		if (!is_gone(error))
			fail(routes, r, error, "route", route->family, route->table);
	}
}

static void put_rules(struct ph_routes *routes, const struct state *have, const struct state *want,
		      int *r)
{
	for (size_t i = 0; i < want->n_rules; i++) {
		const struct rt_rule *rule = &want->rules[i];
		int error;

		if (rule->held_back || find_rule(have, rule))
			continue;
		error = send_message(routes,
				     rt_rule_message(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, rule));
		if (error < 0 && error != -EEXIST)
			fail(routes, r, error, "rule", rule->family, rule->table);
	}
}

static void delete_rules(struct ph_routes *routes, const struct state *have,
			 const struct state *want, int *r)
{
	for (size_t i = 0; i < have->n_rules; i++) {
		const struct rt_rule *rule = &have->rules[i];
		int error;

		if (find_rule(want, rule))
			continue;
		error = send_message(routes, rt_rule_message(RTM_DELRULE, 0, rule));
		if (error < 0 && error != -ENOENT)
			fail(routes, r, error, "rule", rule->family, rule->table);
	}
}

static void delete_routes(struct ph_routes *routes, const struct state *have,
			  const struct state *want, int *r)
{
	for (size_t i = 0; i < have->n_routes; i++) {
		const struct rt_route *route = &have->routes[i];
		int error;

		/* In that place there is another by now. */
		if (find_route(want, route))
			continue;
		error = send_message(routes, rt_route_message(RTM_DELROUTE, 0, route));
		if (error < 0 && error != -ESRCH && !is_gone(error))
			fail(routes, r, error, "route", route->family, route->table);
	}
}

static int make_so(struct ph_routes *routes, const struct state *want)
{
	struct state have = { 0 };
	int r = read_state(routes->socket, &have);

	if (r < 0) {
		snprintf(routes->failed, sizeof(routes->failed), "list of rules and routes");
		return r;
	}
	put_routes(routes, &have, want, &r);
	put_rules(routes, &have, want, &r);
	delete_rules(routes, &have, want, &r);
	delete_routes(routes, &have, want, &r);
	state_done(&have);
	return r;
}

int ph_routes_apply(struct ph_routes *routes, const struct ph_reply_routes *wanted,
		    const struct ph_marks *marks)
{
	struct state want = { 0 };
	int r = 0;

	if (wanted->n == 0 && routes->clean)
		return 0;
	for (size_t i = 0; r == 0 && i < wanted->n; i++)
		r = add_wanted(&want, &wanted->routes[i], marks);
	if (r == 0)
		r = make_so(routes, &want);
	else
		snprintf(routes->failed, sizeof(routes->failed), "memory");
	routes->clean = r == 0 && wanted->n == 0;
	state_done(&want);
	return r;
}

const char *ph_routes_failed(const struct ph_routes *routes)
{
	return routes->failed;
}

/* ---- the whole ---- */

int ph_routes_open(struct ph_routes **ret_routes)
{
	struct ph_routes *routes = calloc(1, sizeof(*routes));
	const struct state nothing = { 0 };
	int r;

	if (!routes)
		return -ENOMEM;
	r = rtnl_request_open(&routes->socket);
	if (r == 0)
		r = make_so(routes, &nothing);
	if (r < 0) {
		ph_debug("routes: %s: %s", routes->failed, strerror(-r));
		ph_routes_close(routes);
		return r;
	}
	routes->clean = true;
	*ret_routes = routes;
	return 0;
}

void ph_routes_remove(struct ph_routes *routes)
{
	const struct state nothing = { 0 };
	int r;

	if (routes->clean)
		return;
	r = make_so(routes, &nothing);
	if (r < 0)
		ph_debug("routes: %s: %s", routes->failed, strerror(-r));
	routes->clean = r == 0;
}

void ph_routes_close(struct ph_routes *routes)
{
	if (!routes)
		return;
	nl_socket_free(routes->socket);
	free(routes);
}

/* ---- what stands in the way ---- */

static bool find_mark(const struct state *all, uint32_t mask, struct ph_rule_mark *ret_rule)
{
	for (size_t i = 0; i < all->n_rules; i++) {
		const struct rt_rule *rule = &all->rules[i];

		if (!(rule->mask & mask) || rt_is_ours(rule->table, rule->protocol))
			continue;
		*ret_rule = (struct ph_rule_mark){
			.family = rule->family,
			.priority = rule->priority,
			.mark = rule->mark,
			.mask = rule->mask,
		};
		return true;
	}
	return false;
}

int ph_routes_mark_in_use(uint32_t mask, struct ph_rule_mark *ret_rule)
{
	struct nl_sock *socket;
	int r = rtnl_request_open(&socket);

	if (r < 0)
		return r;
	for (unsigned f = 0; r == 0 && f < 2; f++) {
		unsigned tries = 0;

		do {
			struct state all = { 0 };

			r = rtnl_request_rules(socket, families[f], on_any_rule, &all);
			if (r == 0)
				r = find_mark(&all, mask, ret_rule);
			state_done(&all);
		} while (r == -EAGAIN && ++tries < DUMP_TRIES);
	}
	nl_socket_free(socket);
	return r;
}

int ph_rp_filter_strict(const char *interface)
{
	int all, own, r;

	r = ipv4_conf_read_all("rp_filter", &all);
	if (r < 0)
		return r;
	r = ipv4_conf_read(interface, "rp_filter", &own);
	if (r < 0)
		return r;
	return (all > own ? all : own) == 1;
}
