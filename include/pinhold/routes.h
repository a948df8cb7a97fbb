/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Reply routing in the kernel: for each uplink that core/uplinks.c has numbered, a rule
 * `fwmark MARK/MASK lookup TABLE` and a table of its own, of either family. All of it carries a
 * protocol number that nobody else has, and nothing else is ever touched. Calls block for as long
 * as the kernel takes to answer, well under a millisecond.
 */

#include <pinhold/plan.h>
#include <pinhold/uplink.h>

struct ph_routes;

/* Begins, and removes what a killed pinhold left. 0 or -errno; -EPERM: there is something, and it
 * cannot be removed. */
int ph_routes_open(struct ph_routes **ret_routes);

/*
 * Makes the kernel's rules and tables as wanted, whatever they are like now: to be called whenever
 * wanted or the links have changed, because the kernel takes routes away by itself. Only
 * differences are sent. A route that changes is replaced, so there is always one; a rule comes
 * after its routes and goes before them. An interface that has just gone is no error.
 *
 * 0, or the first error as -errno; the rest is done all the same, and an uplink without its routes
 * gets no rule.
 */
int ph_routes_apply(struct ph_routes *routes, const struct ph_reply_routes *wanted,
		    const struct ph_marks *marks);

/* What the last call's error was about, for people: "IPv6 rule of uplink 2". */
const char *ph_routes_failed(const struct ph_routes *routes);

/* Removes everything that is pinhold's. Errors are logged at debug level. */
void ph_routes_remove(struct ph_routes *routes);
/* Ends, and leaves the kernel as it is. NULL is fine. */
void ph_routes_close(struct ph_routes *routes);

/* A rule that looks at a packet's mark. */
struct ph_rule_mark {
	enum ph_family family;
	uint32_t priority;
	uint32_t mark, mask;
};

/* The first rule that is not pinhold's and looks at bits of mask; IPv4's come first. 1: *ret_rule
 * is it; 0: there is none; -errno. */
int ph_routes_mark_in_use(uint32_t mask, struct ph_rule_mark *ret_rule);

/*
 * Whether the kernel drops what comes in on the interface and would be answered by another
 * (rp_filter 1, strict; of all interfaces' value and its own the higher counts:
 * include/linux/inetdevice.h, IN_DEV_RPFILTER). 1, 0, or -errno; -ENOENT: no such interface.
 */
int ph_rp_filter_strict(const char *interface);
