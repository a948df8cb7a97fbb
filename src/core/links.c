/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "links_internal.h"

#include <stdlib.h>
#include <string.h>

#include <pinhold/config.h>

void ph_links_done(struct ph_links *view)
{
	free(view->links);
	free(view->addresses);
	free(view->routes);
	free(view->broad);
	*view = (struct ph_links){ 0 };
}

const struct ph_link *ph_link_by_index(const struct ph_links *view, int index)
{
	for (size_t i = 0; i < view->n_links; i++)
		if (view->links[i].index == index)
			return &view->links[i];
	return NULL;
}

const struct ph_link *ph_link_by_name(const struct ph_links *view, const char *name)
{
	for (size_t i = 0; i < view->n_links; i++)
		if (strcmp(view->links[i].name, name) == 0)
			return &view->links[i];
	return NULL;
}

bool ph_route_better(const struct ph_link_route *a, const struct ph_link_route *b)
{
	return a->metric != b->metric ? a->metric < b->metric : a->preference > b->preference;
}

const struct ph_link_route *ph_best_route(const struct ph_links *view, enum ph_family family,
					  int index)
{
	const struct ph_link_route *best = NULL;
	const struct ph_link *best_link = NULL;

	for (size_t i = 0; i < view->n_routes; i++) {
		const struct ph_link_route *r = &view->routes[i];
		const struct ph_link *link = ph_link_by_index(view, r->index);

		if (r->family != family || !link || (index && r->index != index))
			continue;
		if (!best || (link->up != best_link->up ? link->up : ph_route_better(r, best))) {
			best = r;
			best_link = link;
		}
	}
	return best;
}

static const struct ph_link *by_default_route(const struct ph_links *view, enum ph_family family)
{
	const struct ph_link_route *best = ph_best_route(view, family, 0);

	return best ? ph_link_by_index(view, best->index) : NULL;
}

/* A unique local address (RFC 4193) reaches no server. */
static bool local_only(const struct ph_address *a)
{
	return a->family == PH_IPV6 && (a->octets[0] & 0xfe) == 0xfc;
}

static int rank(const struct ph_link_address *a)
{
	return 2 * !local_only(&a->address) + !a->temporary;
}

/* The link's address of the family: one that reaches the Internet, and stable, if there is one. */
static const struct ph_link_address *address_of(const struct ph_links *view, int index,
						enum ph_family family)
{
	const struct ph_link_address *best = NULL;

	for (size_t i = 0; i < view->n_addresses; i++) {
		const struct ph_link_address *a = &view->addresses[i];

		if (a->index != index || a->address.family != family || !a->usable)
			continue;
		if (!best || rank(a) > rank(best))
			best = a;
	}
	return best;
}

static enum ph_links_answer find_address(const struct ph_links *view,
					 const struct ph_address *wanted,
					 char ret_name[static PH_INTERFACE_MAX + 1], int *ret_index,
					 struct ph_address *ret_address)
{
	for (size_t i = 0; i < view->n_addresses; i++) {
		const struct ph_link_address *a = &view->addresses[i];
		const struct ph_link *link = ph_link_by_index(view, a->index);

		if (!ph_address_equal(&a->address, wanted) || !link)
			continue;
		if (!ph_interface_name_valid(link->name))
			return PH_LINKS_BAD_NAME;
		memcpy(ret_name, link->name, sizeof(link->name));
		*ret_index = link->index;
		if (!link->up)
			return PH_LINKS_DOWN;
		if (!a->usable)
			return PH_LINKS_NO_ADDRESS;
		*ret_address = a->address;
		return PH_LINKS_FOUND;
	}
	return PH_LINKS_NO_INTERFACE;
}

enum ph_links_answer ph_links_find(const struct ph_links *view, const char *setting,
				   enum ph_family family,
				   char ret_name[static PH_INTERFACE_MAX + 1], int *ret_index,
				   struct ph_address *ret_address)
{
	const struct ph_link_address *a;
	const struct ph_link *link;
	struct ph_address wanted;

	if (ph_address_parse(setting, &wanted) == 0)
		return find_address(view, &wanted, ret_name, ret_index, ret_address);
	link = strcmp(setting, "auto") == 0 ? by_default_route(view, family)
					    : ph_link_by_name(view, setting);
	if (!link)
		return PH_LINKS_NO_INTERFACE;
	if (!ph_interface_name_valid(link->name))
		return PH_LINKS_BAD_NAME;
	memcpy(ret_name, link->name, sizeof(link->name));
	*ret_index = link->index;
	if (!link->up)
		return PH_LINKS_DOWN;
	a = address_of(view, link->index, family);
	if (!a)
		return PH_LINKS_NO_ADDRESS;
	*ret_address = a->address;
	return PH_LINKS_FOUND;
}
