/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "routes_message.h"

#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <string.h>
#include <sys/socket.h>

uint8_t rt_af(enum ph_family family)
{
	return family == PH_IPV6 ? AF_INET6 : AF_INET;
}

bool rt_is_ours(uint32_t table, uint8_t protocol)
{
	return protocol == RT_PROTOCOL && table >= RT_TABLE(1) && table <= RT_TABLE(PH_UPLINKS_MAX);
}

/* ---- reading ---- */

/* Copies a message's fixed part. */
static bool head_of(const struct nlmsghdr *h, void *ret_head, size_t size)
{
	if (!nlmsg_valid_hdr(h, (int)size))
		return false;
	memcpy(ret_head, nlmsg_data(h), size);
	return true;
}

static bool read_address(const struct nlattr *attribute, enum ph_family family,
			 struct ph_address *ret_address)
{
	struct ph_address address = { .family = family };

	if ((size_t)nla_len(attribute) != ph_family_octets(family))
		return false;
	memcpy(address.octets, nla_data(attribute), ph_family_octets(family));
	*ret_address = address;
	return true;
}

/* The kernel names a condition only where there is one, but for the suppressor, whose -1 is none
 * (net/core/fib_rules.c, fib_nl_fill_rule()). */
static bool is_plain(const struct fib_rule_hdr *head, struct nlattr *const a[FRA_MAX + 1],
		     uint32_t table)
{
	if (head->action != FR_ACT_TO_TBL || (head->flags & FIB_RULE_INVERT) || head->tos != 0 ||
	    (table != RT_TABLE_LOCAL && table != RT_TABLE_MAIN && table != RT_TABLE_DEFAULT))
		return false;
	for (int i = 1; i <= FRA_MAX; i++)
		if (a[i] && i != FRA_PRIORITY && i != FRA_TABLE && i != FRA_PROTOCOL &&
		    (i != FRA_SUPPRESS_PREFIXLEN || nla_get_u32(a[i]) != UINT32_MAX))
			return false;
	return true;
}

bool rt_parse_rule(struct nlmsghdr *h, struct rt_rule *ret_rule)
{
	static const struct nla_policy policy[FRA_MAX + 1] = {
		[FRA_PRIORITY] = { .type = NLA_U32 },
		[FRA_FWMARK] = { .type = NLA_U32 },
		[FRA_FWMASK] = { .type = NLA_U32 },
		[FRA_TABLE] = { .type = NLA_U32 },
		[FRA_PROTOCOL] = { .type = NLA_U8 },
		[FRA_SUPPRESS_PREFIXLEN] = { .type = NLA_U32 },
	};
	struct nlattr *a[FRA_MAX + 1];
	struct fib_rule_hdr head;

	if ((h->nlmsg_type != RTM_NEWRULE && h->nlmsg_type != RTM_DELRULE) ||
	    !head_of(h, &head, sizeof(head)) ||
	    nlmsg_parse(h, sizeof(head), a, FRA_MAX, policy) < 0 ||
	    (head.family != AF_INET && head.family != AF_INET6))
		return false;
	*ret_rule = (struct rt_rule){
		.family = head.family == AF_INET6 ? PH_IPV6 : PH_IPV4,
		.priority = a[FRA_PRIORITY] ? nla_get_u32(a[FRA_PRIORITY]) : 0,
		.mark = a[FRA_FWMARK] ? nla_get_u32(a[FRA_FWMARK]) : 0,
		.mask = a[FRA_FWMASK] ? nla_get_u32(a[FRA_FWMASK]) : 0,
		.table = a[FRA_TABLE] ? nla_get_u32(a[FRA_TABLE]) : head.table,
		.protocol = a[FRA_PROTOCOL] ? nla_get_u8(a[FRA_PROTOCOL]) : 0,
	};
	ret_rule->plain = is_plain(&head, a, ret_rule->table);
	return true;
}

bool rt_parse_route(struct nlmsghdr *h, struct rt_route *ret_route)
{
	static const struct nla_policy policy[RTA_MAX + 1] = {
		[RTA_OIF] = { .type = NLA_U32 },
		[RTA_PRIORITY] = { .type = NLA_U32 },
		[RTA_TABLE] = { .type = NLA_U32 },
	};
	struct rt_route route = { 0 };
	struct nlattr *a[RTA_MAX + 1];
	struct rtmsg head;
	const size_t family_octets = sizeof(sa_family_t);

	if (h->nlmsg_type != RTM_NEWROUTE || !head_of(h, &head, sizeof(head)) ||
	    (head.rtm_flags & RTM_F_CLONED) ||
	    (head.rtm_family != AF_INET && head.rtm_family != AF_INET6) ||
	    nlmsg_parse(h, sizeof(head), a, RTA_MAX, policy) < 0)
		return false;
	route.family = head.rtm_family == AF_INET6 ? PH_IPV6 : PH_IPV4;
	route.table = a[RTA_TABLE] ? nla_get_u32(a[RTA_TABLE]) : head.rtm_table;
	route.protocol = head.rtm_protocol;
	route.metric = a[RTA_PRIORITY] ? nla_get_u32(a[RTA_PRIORITY]) : 0;
	route.index = a[RTA_OIF] ? (int)nla_get_u32(a[RTA_OIF]) : 0;
	route.to.bits = head.rtm_dst_len;
	route.to.address.family = route.family;
	if (a[RTA_DST] && !read_address(a[RTA_DST], route.family, &route.to.address))
		return false;
	if (a[RTA_GATEWAY] && !read_address(a[RTA_GATEWAY], route.family, &route.gateway))
		return false;
	/* The other family's (struct rtvia); only IPv4 has it, and we write no other. */
	if (a[RTA_VIA] &&
	    (size_t)nla_len(a[RTA_VIA]) == family_octets + ph_family_octets(PH_IPV6)) {
		route.gateway.family = PH_IPV6;
		memcpy(route.gateway.octets, (uint8_t *)nla_data(a[RTA_VIA]) + family_octets,
		       ph_family_octets(PH_IPV6));
	}
	*ret_route = route;
	return true;
}

/* ---- writing ---- */

struct nl_msg *rt_rule_message(int type, int flags, const struct rt_rule *rule)
{
	struct fib_rule_hdr head = {
		.family = rt_af(rule->family),
		.table = RT_TABLE_UNSPEC, /* the attribute has room for it */
		.action = FR_ACT_TO_TBL,
	};
	struct nl_msg *msg = nlmsg_alloc_simple(type, flags);

	if (msg && nlmsg_append(msg, &head, sizeof(head), NLMSG_ALIGNTO) == 0 &&
	    nla_put_u32(msg, FRA_PRIORITY, rule->priority) == 0 &&
	    nla_put_u32(msg, FRA_FWMARK, rule->mark) == 0 &&
	    nla_put_u32(msg, FRA_FWMASK, rule->mask) == 0 &&
	    nla_put_u32(msg, FRA_TABLE, rule->table) == 0 &&
	    nla_put_u8(msg, FRA_PROTOCOL, rule->protocol) == 0)
		return msg;
	nlmsg_free(msg);
	return NULL;
}

static int put_address(struct nl_msg *msg, int attribute, const struct ph_address *a)
{
	return nla_put(msg, attribute, (int)ph_family_octets(a->family), a->octets);
}

/* Another family's gateway is a struct rtvia. */
static int put_gateway(struct nl_msg *msg, const struct rt_route *route)
{
	const struct ph_address *gateway = &route->gateway;
	uint8_t via[sizeof(sa_family_t) + sizeof(gateway->octets)];
	const sa_family_t family = rt_af(gateway->family);

	if (gateway->family == 0)
		return 0;
	if (gateway->family == route->family)
		return put_address(msg, RTA_GATEWAY, gateway);
	memcpy(via, &family, sizeof(family));
	memcpy(via + sizeof(family), gateway->octets, sizeof(gateway->octets));
	return nla_put(msg, RTA_VIA, (int)(sizeof(family) + ph_family_octets(gateway->family)),
		       via);
}

struct nl_msg *rt_route_message(int type, int flags, const struct rt_route *route)
{
	struct rtmsg head = {
		.rtm_family = rt_af(route->family),
		.rtm_dst_len = route->to.bits,
		.rtm_table = RT_TABLE_UNSPEC, /* the attribute has room for it */
		.rtm_protocol = route->protocol,
		.rtm_scope = type == RTM_DELROUTE    ? RT_SCOPE_NOWHERE /* any */
			     : route->gateway.family ? RT_SCOPE_UNIVERSE
						     : RT_SCOPE_LINK,
		.rtm_type = RTN_UNICAST,
		.rtm_flags = route->gateway.family ? RTNH_F_ONLINK : 0,
	};
	struct nl_msg *msg = nlmsg_alloc_simple(type, flags);

	if (msg && nlmsg_append(msg, &head, sizeof(head), NLMSG_ALIGNTO) == 0 &&
	    nla_put_u32(msg, RTA_TABLE, route->table) == 0 &&
	    nla_put_u32(msg, RTA_PRIORITY, route->metric) == 0 &&
	    (route->index == 0 || nla_put_u32(msg, RTA_OIF, (uint32_t)route->index) == 0) &&
	    (route->to.bits == 0 || put_address(msg, RTA_DST, &route->to.address) == 0) &&
	    put_gateway(msg, route) == 0)
		return msg;
	nlmsg_free(msg);
	return NULL;
}
