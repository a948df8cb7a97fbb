/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* rtnetlink's messages of rules and routes, as far as reply routing uses them: to values and back.
 */

#include <netlink/msg.h>

#include <pinhold/plan.h>
#include <pinhold/prefix.h>

/* Neither iproute2's rt_protos nor a routing daemon that Debian or OpenWrt has uses this one. */
#define RT_PROTOCOL 112

/* "PI" and the uplink's number: far from what people and other programs count up from. */
#define RT_TABLE(number) (0x50490000u + (number))

/* Whether rules to the table, or routes in it, with the protocol are pinhold's. */
bool rt_is_ours(uint32_t table, uint8_t protocol);

struct rt_rule {
	enum ph_family family;
	uint32_t priority;
	uint32_t mark, mask;
	uint32_t table;
	uint8_t protocol;
	/* Without any condition to one of the kernel's own tables (local, main, default), as the
	 * kernel's own rules are: with nothing but such rules the main table decides. */
	bool plain;
	bool held_back; /* its routes could not be made */
};

struct rt_route {
	enum ph_family family;
	uint32_t table;
	uint32_t metric;
	struct ph_prefix to;
	uint8_t protocol;
	int index;
	struct ph_address gateway; /* family 0: none */
};

uint8_t rt_af(enum ph_family family); /* AF_INET or AF_INET6 */

/* Whatever rule (also one that is deleted) or route it is; false: it is none, or none that can be
 * told in these terms. */
bool rt_parse_rule(struct nlmsghdr *h, struct rt_rule *ret_rule);
bool rt_parse_route(struct nlmsghdr *h, struct rt_route *ret_route);

/*
 * A request (type RTM_..., flags NLM_F_...) about a rule, or about a route to go over its interface
 * as if the gateway were on the link. What is to be deleted is named in full, so that nothing else
 * can be meant. To be freed; NULL: out of memory.
 */
struct nl_msg *rt_rule_message(int type, int flags, const struct rt_rule *rule);
struct nl_msg *rt_route_message(int type, int flags, const struct rt_route *route);
