/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Reply routing: which mappings' replies would not leave by the mapping's interface of themselves,
 * and what routing makes them. core/uplinks.c decides, purely from a view of the links;
 * sys/routes.c makes the kernel's rules and tables so.
 *
 * An uplink is an interface with replies of its own. Its number is in the conntrack mark of the
 * mappings' connections, so it stays the same as long as that is possible.
 */

#include <pinhold/links.h>
#include <pinhold/prefix.h>

/* A mapping that is up on an interface, and routes its replies (reply-route = auto). */
struct ph_uplink_user {
	const char *interface; /* borrowed for the call */
	enum ph_family family;
};

enum ph_uplink_answer {
	PH_UPLINK_DEFAULT,  /* nothing is needed: the best default routes all go by the interface,
			     * and neither broad routes nor others' rules may lead elsewhere */
	PH_UPLINK_NUMBERED, /* routed: needed, or it was needed before */
	PH_UPLINK_NO_ROUTE, /* the interface is not up, or no default route of the family goes by
			     * it, so nobody knows the gateway */
	PH_UPLINK_TOO_MANY, /* needed, but all numbers are in use */
};

struct ph_uplink {
	enum ph_uplink_answer answer;
	unsigned number; /* of PH_UPLINK_NUMBERED: 1..PH_UPLINKS_MAX; else 0 */
	bool needed;     /* surely: the main table has another way for what is not routed */
};

/* The way of one uplink's replies of one family. */
struct ph_reply_route {
	unsigned number;
	enum ph_family family;
	char interface[PH_INTERFACE_MAX + 1];
	int index;
	struct ph_address gateway; /* of the default route; as in struct ph_link_route */
	/* What is reached without it: distinct and ascending; no IPv6 link-local one. */
	struct ph_prefix *locals;
	size_t n_locals;
};

/* By number, then family; each pair is there once at most. */
struct ph_reply_routes {
	struct ph_reply_route *routes;
	size_t n;
};

void ph_reply_routes_done(struct ph_reply_routes *routes);
bool ph_reply_routes_equal(const struct ph_reply_routes *a, const struct ph_reply_routes *b);

/* Who has which number. Starts as zeros; owns nothing. */
struct ph_uplinks {
	char interfaces[PH_UPLINKS_MAX][PH_INTERFACE_MAX + 1]; /* of number i + 1; "": nobody's */
};

/*
 * Decides for n users, in their order: who comes first gets a number first. An interface that has a
 * number keeps it and is routed by it, also while it needs none, until another one needs it and no
 * other is left. The best default routes are the kernel's choice as ph_links_find() has it for
 * "auto"; where several are equally good and go by several interfaces, each of these needs routing.
 * So does the best one's where a broad route leads elsewhere, and where there are others' rules,
 * which may: but who only may need a number is the last to get one.
 *
 * ret_answers has room for n; *ret_routes is to be freed. 0, or -ENOMEM: uplinks and outputs are as
 * they were.
 */
int ph_uplinks_decide(struct ph_uplinks *uplinks, const struct ph_links *view,
		      const struct ph_uplink_user *users, size_t n, struct ph_uplink *ret_answers,
		      struct ph_reply_routes *ret_routes);

/*
 * Where those come from who are not inside: the interfaces of default and of broad routes, in use
 * or not, and the mappings' own. settings: each mapping's `interface`, or what it was found to be;
 * "auto" and addresses are passed over. Each once. 0 or -ENOMEM; *ret_outside is to be freed.
 */
int ph_links_outside(const struct ph_links *view, const char *const settings[], size_t n,
		     char (**ret_outside)[PH_INTERFACE_MAX + 1], size_t *ret_n);

/*
 * Whether an address that servers take for a mapping's public one is this machine's own or one of
 * the networks inside: then they lie, or one on the way does, and to lead clients inside elsewhere
 * for it would cut them off from what is there. own: the mapping's private address, which may be
 * the public one. outside: of ph_links_outside().
 */
bool ph_links_is_inside(const struct ph_links *view, const char (*outside)[PH_INTERFACE_MAX + 1],
			size_t n_outside, const struct ph_address *own,
			const struct ph_address *address);
