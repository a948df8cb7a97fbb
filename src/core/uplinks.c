/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <pinhold/uplink.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "links_internal.h"

/* ---- lists of routes ---- */

void ph_reply_routes_done(struct ph_reply_routes *routes)
{
	for (size_t i = 0; i < routes->n; i++)
		free(routes->routes[i].locals);
	free(routes->routes);
	*routes = (struct ph_reply_routes){ 0 };
}

static int compare_prefixes(const void *a, const void *b)
{
	const struct ph_prefix *p = a, *q = b;
	int r = memcmp(p->address.octets, q->address.octets, sizeof(p->address.octets));

	return r ? r : p->bits - q->bits;
}

static bool route_equal(const struct ph_reply_route *a, const struct ph_reply_route *b)
{
	if (a->number != b->number || a->family != b->family || a->index != b->index ||
	    strcmp(a->interface, b->interface) != 0 ||
	    !ph_address_equal(&a->gateway, &b->gateway) || a->n_locals != b->n_locals)
		return false;
	for (size_t i = 0; i < a->n_locals; i++)
		if (compare_prefixes(&a->locals[i], &b->locals[i]) != 0)
			return false;
	return true;
}

bool ph_reply_routes_equal(const struct ph_reply_routes *a, const struct ph_reply_routes *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (!route_equal(&a->routes[i], &b->routes[i]))
			return false;
	return true;
}

/* ---- what is needed ---- */

enum need {
	NEED_NO_ROUTE,
	NEED_NONE,
	NEED_MAYBE, /* somebody's rules may send the replies elsewhere */
	NEED_SURE,
};

/* Whether everything of the family leaves by the interface that has the best route, as far as the
 * main table says it. */
static bool is_sole(const struct ph_links *view, const struct ph_link_route *best)
{
	for (size_t i = 0; i < view->n_routes; i++) {
		const struct ph_link_route *r = &view->routes[i];
		const struct ph_link *link = ph_link_by_index(view, r->index);

		if (r->family == best->family && r->index != best->index && link && link->up &&
		    !ph_route_better(best, r))
			return false;
	}
	for (size_t i = 0; i < view->n_broad; i++) {
		const struct ph_link_route *r = &view->broad[i];
		const struct ph_link *link = ph_link_by_index(view, r->index);

		if (r->family == best->family && r->index != best->index && link && link->up)
			return false;
	}
	return true;
}

static enum need need_of(const struct ph_links *view, const struct ph_uplink_user *user)
{
	const struct ph_link *link = ph_link_by_name(view, user->interface);
	const struct ph_link_route *best;

	if (!link || !link->up || !ph_best_route(view, user->family, link->index))
		return NEED_NO_ROUTE;
	/* There is one, over a link that is up. */
	best = ph_best_route(view, user->family, 0);
	if (best->index != link->index || !is_sole(view, best))
		return NEED_SURE;
	return (user->family == PH_IPV6 ? view->rules6 : view->rules4) ? NEED_MAYBE : NEED_NONE;
}

/* ---- numbers ---- */

/* 0: it has none. */
static unsigned number_of(const struct ph_uplinks *uplinks, const char *interface)
{
	for (unsigned i = 0; i < PH_UPLINKS_MAX; i++)
		if (strcmp(uplinks->interfaces[i], interface) == 0)
			return i + 1;
	return 0;
}

/* One that nobody has had; then one whose interface no user has any more; then one whose interface
 * does not need it. 0: there is none. */
static unsigned free_number(const struct ph_uplinks *uplinks,
			    const bool used[static PH_UPLINKS_MAX],
			    const bool needed[static PH_UPLINKS_MAX])
{
	for (unsigned i = 0; i < PH_UPLINKS_MAX; i++)
		if (uplinks->interfaces[i][0] == '\0')
			return i + 1;
	for (unsigned i = 0; i < PH_UPLINKS_MAX; i++)
		if (!used[i])
			return i + 1;
	for (unsigned i = 0; i < PH_UPLINKS_MAX; i++)
		if (!needed[i])
			return i + 1;
	return 0;
}

/* Who has a number and needs none goes on with it: when the default route comes and goes, no
 * mapping but its own notices, and connections keep their way. */
static void keep_numbers(const struct ph_uplinks *uplinks, const struct ph_uplink_user *users,
			 size_t n, struct ph_uplink *answers)
{
	for (size_t i = 0; i < n; i++) {
		if (answers[i].answer != PH_UPLINK_DEFAULT)
			continue;
		answers[i].number = number_of(uplinks, users[i].interface);
		if (answers[i].number)
			answers[i].answer = PH_UPLINK_NUMBERED;
	}
}

/* Those of one need. Who needs no number, or only may, leaves it to them. */
static void number_some(struct ph_uplinks *uplinks, const struct ph_uplink_user *users,
			const enum need *needs, size_t n, enum need need, struct ph_uplink *answers)
{
	bool used[PH_UPLINKS_MAX] = { false }, needed[PH_UPLINKS_MAX] = { false };

	for (size_t i = 0; i < n; i++) {
		unsigned number = number_of(uplinks, users[i].interface);

		if (number == 0)
			continue;
		used[number - 1] = true;
		needed[number - 1] |= needs[i] >= need;
	}
	for (size_t i = 0; i < n; i++) {
		unsigned number = number_of(uplinks, users[i].interface);

		if (needs[i] != need)
			continue;
		if (number == 0)
			number = free_number(uplinks, used, needed);
		if (number == 0) {
			answers[i].answer = PH_UPLINK_TOO_MANY;
			continue;
		}
		answers[i] = (struct ph_uplink){ PH_UPLINK_NUMBERED, number, need == NEED_SURE };
		used[number - 1] = needed[number - 1] = true;
		strcpy(uplinks->interfaces[number - 1], users[i].interface);
	}
}

static void number_all(struct ph_uplinks *uplinks, const struct ph_links *view,
		       const struct ph_uplink_user *users, size_t n, enum need *needs,
		       struct ph_uplink *answers)
{
	for (size_t i = 0; i < n; i++) {
		needs[i] = need_of(view, &users[i]);
		answers[i].answer =
			needs[i] == NEED_NO_ROUTE ? PH_UPLINK_NO_ROUTE : PH_UPLINK_DEFAULT;
	}
	number_some(uplinks, users, needs, n, NEED_SURE, answers);
	number_some(uplinks, users, needs, n, NEED_MAYBE, answers);
	keep_numbers(uplinks, users, n, answers);
}

/* ---- routes ---- */

static void clear_host_bits(struct ph_prefix *prefix)
{
	unsigned bits = prefix->bits;

	for (size_t i = 0; i < sizeof(prefix->address.octets); i++) {
		if (bits < 8)
			prefix->address.octets[i] &= (uint8_t)(0xff << (8 - bits));
		bits -= bits < 8 ? bits : 8;
	}
}

static bool is_link_local(const struct ph_address *a)
{
	return a->family == PH_IPV6 && a->octets[0] == 0xfe && (a->octets[1] & 0xc0) == 0x80;
}

/* An address alone is this machine's, and no prefix of others. */
static bool has_locals(const struct ph_link_address *a, const struct ph_reply_route *route)
{
	return a->index == route->index && a->address.family == route->family &&
	       a->bits < 8 * ph_family_octets(route->family) && !is_link_local(&a->address);
}

static int add_locals(const struct ph_links *view, struct ph_reply_route *route)
{
	size_t n = 0;

	for (size_t i = 0; i < view->n_addresses; i++)
		n += has_locals(&view->addresses[i], route);
	if (n == 0)
		return 0;
	route->locals = calloc(n, sizeof(*route->locals));
	if (!route->locals)
		return -ENOMEM;
	for (size_t i = 0; i < view->n_addresses; i++) {
		const struct ph_link_address *a = &view->addresses[i];
		struct ph_prefix *prefix = &route->locals[route->n_locals];

		if (!has_locals(a, route))
			continue;
		*prefix = (struct ph_prefix){ .address = a->address, .bits = a->bits };
		clear_host_bits(prefix);
		route->n_locals++;
	}
	qsort(route->locals, n, sizeof(*route->locals), compare_prefixes);
	n = 0;
	for (size_t i = 0; i < route->n_locals; i++)
		if (i == 0 || compare_prefixes(&route->locals[n - 1], &route->locals[i]) != 0)
			route->locals[n++] = route->locals[i];
	route->n_locals = n;
	return 0;
}

/* Of the user that has the number and family; NULL: nobody. */
static const struct ph_uplink_user *user_of(const struct ph_uplink_user *users, size_t n,
					    const struct ph_uplink *answers, unsigned number,
					    enum ph_family family)
{
	for (size_t i = 0; i < n; i++)
		if (answers[i].number == number && users[i].family == family)
			return &users[i];
	return NULL;
}

static int add_route(const struct ph_links *view, const struct ph_uplink_user *user,
		     unsigned number, struct ph_reply_routes *routes)
{
	struct ph_reply_route *route = &routes->routes[routes->n++];
	const struct ph_link *link = ph_link_by_name(view, user->interface);

	*route = (struct ph_reply_route){
		.number = number,
		.family = user->family,
		.index = link->index,
		.gateway = ph_best_route(view, user->family, link->index)->gateway,
	};
	memcpy(route->interface, link->name, sizeof(route->interface));
	return add_locals(view, route);
}

static int make_routes(const struct ph_links *view, const struct ph_uplink_user *users, size_t n,
		       const struct ph_uplink *answers, struct ph_reply_routes *ret_routes)
{
	static const enum ph_family families[] = { PH_IPV4, PH_IPV6 };
	const unsigned room = 2 * PH_UPLINKS_MAX;
	struct ph_reply_routes routes = { 0 };
	int r = 0;

	routes.routes = calloc(room, sizeof(*routes.routes));
	if (!routes.routes)
		return -ENOMEM;
	for (unsigned i = 0; r == 0 && i < room; i++) {
		const struct ph_uplink_user *user =
			user_of(users, n, answers, i / 2 + 1, families[i % 2]);

		if (user)
			r = add_route(view, user, i / 2 + 1, &routes);
	}
	if (r < 0) {
		ph_reply_routes_done(&routes);
		return r;
	}
	*ret_routes = routes;
	return 0;
}

int ph_uplinks_decide(struct ph_uplinks *uplinks, const struct ph_links *view,
		      const struct ph_uplink_user *users, size_t n, struct ph_uplink *ret_answers,
		      struct ph_reply_routes *ret_routes)
{
	struct ph_uplink *answers = calloc(n ? n : 1, sizeof(*answers));
	enum need *needs = calloc(n ? n : 1, sizeof(*needs));
	struct ph_uplinks now = *uplinks;
	int r = -ENOMEM;

	if (answers && needs) {
		number_all(&now, view, users, n, needs, answers);
		r = make_routes(view, users, n, answers, ret_routes);
	}
	if (r == 0) {
		*uplinks = now;
		if (n)
			memcpy(ret_answers, answers, n * sizeof(*answers));
	}
	free(needs);
	free(answers);
	return r;
}

/* ---- who is not inside ---- */

static size_t add_name(char (*outside)[PH_INTERFACE_MAX + 1], size_t n, const char *name)
{
	if (!*name || strlen(name) > PH_INTERFACE_MAX)
		return n;
	for (size_t i = 0; i < n; i++)
		if (strcmp(outside[i], name) == 0)
			return n;
	strcpy(outside[n], name);
	return n + 1;
}

static size_t add_outside(char (*outside)[PH_INTERFACE_MAX + 1], size_t n,
			  const struct ph_links *view, int index)
{
	const struct ph_link *link = ph_link_by_index(view, index);

	return link ? add_name(outside, n, link->name) : n;
}

int ph_links_outside(const struct ph_links *view, const char *const settings[], size_t n,
		     char (**ret_outside)[PH_INTERFACE_MAX + 1], size_t *ret_n)
{
	char(*outside)[PH_INTERFACE_MAX + 1] =
		calloc(view->n_routes + view->n_broad + n + 1, sizeof(*outside));
	size_t n_outside = 0;

	if (!outside)
		return -ENOMEM;
	for (size_t i = 0; i < view->n_routes; i++)
		n_outside = add_outside(outside, n_outside, view, view->routes[i].index);
	for (size_t i = 0; i < view->n_broad; i++)
		n_outside = add_outside(outside, n_outside, view, view->broad[i].index);
	for (size_t i = 0; i < n; i++) {
		struct ph_address address;

		if (strcmp(settings[i], "auto") != 0 && ph_address_parse(settings[i], &address) < 0)
			n_outside = add_name(outside, n_outside, settings[i]);
	}
	*ret_outside = outside;
	*ret_n = n_outside;
	return 0;
}

static bool is_outside(const struct ph_links *view, const char (*outside)[PH_INTERFACE_MAX + 1],
		       size_t n_outside, int index)
{
	const struct ph_link *link = ph_link_by_index(view, index);

	for (size_t i = 0; link && i < n_outside; i++)
		if (strcmp(outside[i], link->name) == 0)
			return true;
	return false;
}

static bool is_near(const struct ph_link_address *near, const struct ph_address *address)
{
	struct ph_prefix net = { .address = near->address, .bits = near->bits };
	struct ph_prefix other = { .address = *address, .bits = near->bits };

	clear_host_bits(&net);
	clear_host_bits(&other);
	return compare_prefixes(&net, &other) == 0;
}

bool ph_links_is_inside(const struct ph_links *view, const char (*outside)[PH_INTERFACE_MAX + 1],
			size_t n_outside, const struct ph_address *own,
			const struct ph_address *address)
{
	if (ph_address_equal(own, address))
		return false;
	for (size_t i = 0; i < view->n_addresses; i++) {
		const struct ph_link_address *a = &view->addresses[i];

		if (a->address.family != address->family)
			continue;
		if (ph_address_equal(&a->address, address))
			return true;
		if (is_near(a, address) && !is_outside(view, outside, n_outside, a->index))
			return true;
	}
	return false;
}
