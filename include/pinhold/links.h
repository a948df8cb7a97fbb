/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The view of the machine's links: which interfaces are up, their addresses, and where the default
 * route goes. core/links.c answers questions about a view; sys/rtnetlink.c makes views and says
 * when they are old.
 */

#include <pinhold/plan.h>
#include <pinhold/prefix.h>

struct ph_link {
	char name[PH_INTERFACE_MAX + 1];
	int index;
	bool up; /* administratively, and with a carrier */
};

struct ph_link_address {
	int index;
	struct ph_address address;
	bool usable;    /* global, and neither tentative, failed nor deprecated */
	bool temporary; /* IPv6 privacy extensions; IPv4 secondary */
	/* Length of the prefix that address is in and that is reached directly; of the address
	 * itself where it has a peer, or its prefix is not said to be on the link. */
	uint8_t bits;
};

/* One way of a route of the main table; a multipath route has several. */
struct ph_link_route {
	int index;
	enum ph_family family;
	uint32_t metric;
	int preference; /* of the router (RFC 4191 section 2.1): 1 high, 0 medium, -1 low */
	/* Family 0: none (PPP); it may be of another family than the route (RFC 8950). */
	struct ph_address gateway;
	struct ph_prefix to;
};

/* A destination's length up to which a route is as good as a default route: a VPN puts 0/1 and
 * 128/1 over the default one, or 2000::/3. */
#define PH_BROAD_BITS 3

struct ph_links {
	struct ph_link *links;
	size_t n_links;
	struct ph_link_address *addresses;
	size_t n_addresses;
	struct ph_link_route *routes; /* default routes */
	size_t n_routes;
	struct ph_link_route *broad; /* routes to 1..PH_BROAD_BITS bits */
	size_t n_broad;
	/* There are policy rules beside the kernel's and pinhold's own, so that the main table
	 * alone does not say where something goes. */
	bool rules4, rules6;
};

/* Frees the arrays and empties the view. */
void ph_links_done(struct ph_links *view);

enum ph_links_answer {
	PH_LINKS_FOUND,
	PH_LINKS_NO_INTERFACE, /* no such name, no interface with that address, or no default route
				*/
	PH_LINKS_DOWN,         /* it is there, but not up */
	PH_LINKS_NO_ADDRESS,   /* it is up without a usable address of the family */
	PH_LINKS_BAD_NAME,     /* it is there, by a name that can stand in no table */
};

/*
 * The interface and address that the setting means for family now. setting: "auto" (the default
 * route's interface), an interface's name, or an address. "auto" is the kernel's choice, lowest
 * metric and then highest preference, among the routes whose interface is up: the kernel keeps an
 * IPv4 route when only the carrier is lost. ret_name and ret_index are set whenever an interface
 * was found whose name can be used, ret_address only with PH_LINKS_FOUND.
 */
enum ph_links_answer ph_links_find(const struct ph_links *view, const char *setting,
				   enum ph_family family,
				   char ret_name[static PH_INTERFACE_MAX + 1], int *ret_index,
				   struct ph_address *ret_address);

/*
 * Reads a view from the kernel, blocking: for well under a millisecond, or as long as the kernel
 * takes to list the main routing table. 0, -errno, -ETIMEDOUT, -EAGAIN (it kept changing);
 * *ret_view is to be freed.
 */
int ph_rtnetlink_read(struct ph_links *ret_view);

struct uv_loop_s;
struct ph_rtnetlink;

/*
 * Calls fn from the loop after the view has changed: 100 ms after the first change of a burst, and
 * not if all is as it was by then. Lost messages (ENOBUFS) count as a change of everything. The
 * watch begins now, so whoever looks afterwards misses nothing.
 *
 * Also when rules or routes of pinhold's own were taken away, by itself or by others, but for this
 * reason at most once a second: others may want them away as persistently. 0 or -errno.
 */
int ph_rtnetlink_watch(struct uv_loop_s *loop, void (*fn)(void *data), void *data,
		       struct ph_rtnetlink **ret_watch);
void ph_rtnetlink_close(struct ph_rtnetlink *w);

/*
 * The view now: reads again, as ph_rtnetlink_read() does, what is not as it was when it was last
 * read. The view is the watch's, and valid until the next call or the next iteration of the loop.
 * After an error (ph_rtnetlink_read()'s) the watch tries again by itself, once a second, and calls
 * fn when it has found a change.
 */
int ph_rtnetlink_view(struct ph_rtnetlink *w, const struct ph_links **ret_view);
