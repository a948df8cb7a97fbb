/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What links.c and uplinks.c share: looking up in a view, and the kernel's choice among routes. */

#include <pinhold/links.h>

/* NULL: there is none. */
const struct ph_link *ph_link_by_index(const struct ph_links *view, int index);
const struct ph_link *ph_link_by_name(const struct ph_links *view, const char *name);

/* Whether the kernel prefers a: the lower metric, then the router's higher preference. */
bool ph_route_better(const struct ph_link_route *a, const struct ph_link_route *b);

/*
 * The first of the best default routes over the interface, 0 meaning any. One over a link that is
 * up is better than all others; where there is none the best one says which is down. NULL: none.
 */
const struct ph_link_route *ph_best_route(const struct ph_links *view, enum ph_family family,
					  int index);
