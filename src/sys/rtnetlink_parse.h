/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * rtnetlink's messages (rtnetlink(7)) as octets, without a socket: what a dump's answer adds to a
 * view, and what a notification says that a view does not have. Octets must be aligned to 4, as
 * netlink itself is.
 */

#include <linux/netlink.h>

#include <pinhold/links.h>

/* Parts of a view. */
#define RTNL_LINKS     1u
#define RTNL_ADDRESSES 2u
#define RTNL_ROUTES    4u
#define RTNL_RULES     8u
#define RTNL_ALL       (RTNL_LINKS | RTNL_ADDRESSES | RTNL_ROUTES | RTNL_RULES)

/* No part: rules or routes of pinhold's own were taken away. */
#define RTNL_TAKEN 16u

/* A dump on its way. */
struct rtnl_dump {
	uint32_t sequence;     /* of the request */
	unsigned part;         /* that was asked for; what else comes is passed over */
	enum ph_family family; /* of the routes that were asked for */
	struct ph_links *view; /* to which the answer is added */
	bool done;             /* all has come */
	bool interrupted;      /* something changed meanwhile (NLM_F_DUMP_INTR): ask again */
};

/*
 * One datagram of the answer; len octets from first on, which are not written to. 0, -ENOMEM,
 * -EBADMSG, or the kernel's own error. What answers another request is passed over, and so is an
 * entry that makes no sense.
 */
int rtnl_dump_feed(struct rtnl_dump *dump, struct nlmsghdr *first, size_t len);

/*
 * One datagram of notifications: the parts of the view (RTNL_...) that are not as it says any more,
 * or may not be; and RTNL_TAKEN. Routes count if they are default or broad ones of the main table.
 */
unsigned rtnl_changes(const struct ph_links *view, struct nlmsghdr *first, size_t len);

/* Adds a rule of a dump to what the view says of rules. */
void rtnl_add_rule(struct nlmsghdr *h, struct ph_links *view);

/* Entry by entry, in the kernel's order. */
bool rtnl_view_equal(const struct ph_links *a, const struct ph_links *b);
