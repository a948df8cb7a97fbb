/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "rtnetlink_parse.h"

#include <errno.h>
#include <linux/icmpv6.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <stdlib.h>
#include <string.h>

#include "routes_message.h"

/* ---- views ---- */

/* Room for one more: an array grows when its length is a power of two. NULL: out of memory. */
static void *grown(void *array, size_t n, size_t size)
{
	return n & (n - 1) ? array : reallocarray(array, n ? 2 * n : 1, size);
}

static int add_link(struct ph_links *view, const struct ph_link *link)
{
	struct ph_link *links = grown(view->links, view->n_links, sizeof(*links));

	if (!links)
		return -ENOMEM;
	view->links = links;
	links[view->n_links++] = *link;
	return 0;
}

static int add_address(struct ph_links *view, const struct ph_link_address *address)
{
	struct ph_link_address *addresses =
		grown(view->addresses, view->n_addresses, sizeof(*addresses));

	if (!addresses)
		return -ENOMEM;
	view->addresses = addresses;
	addresses[view->n_addresses++] = *address;
	return 0;
}

static int add_route(struct ph_links *view, const struct ph_link_route *route)
{
	struct ph_link_route **list = route->to.bits ? &view->broad : &view->routes;
	size_t *n = route->to.bits ? &view->n_broad : &view->n_routes;
	struct ph_link_route *routes = grown(*list, *n, sizeof(*routes));

	if (!routes)
		return -ENOMEM;
	*list = routes;
	routes[(*n)++] = *route;
	return 0;
}

static bool link_equal(const struct ph_link *a, const struct ph_link *b)
{
	return a->index == b->index && a->up == b->up && strcmp(a->name, b->name) == 0;
}

static bool address_equal(const struct ph_link_address *a, const struct ph_link_address *b)
{
	return a->index == b->index && ph_address_equal(&a->address, &b->address) &&
	       a->usable == b->usable && a->temporary == b->temporary && a->bits == b->bits;
}

static bool route_equal(const struct ph_link_route *a, const struct ph_link_route *b)
{
	return a->index == b->index && a->family == b->family && a->metric == b->metric &&
	       a->preference == b->preference && ph_address_equal(&a->gateway, &b->gateway) &&
	       a->to.bits == b->to.bits && ph_address_equal(&a->to.address, &b->to.address);
}

static bool routes_equal(const struct ph_link_route *a, const struct ph_link_route *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!route_equal(&a[i], &b[i]))
			return false;
	return true;
}

bool rtnl_view_equal(const struct ph_links *a, const struct ph_links *b)
{
	if (a->n_links != b->n_links || a->n_addresses != b->n_addresses ||
	    a->n_routes != b->n_routes || a->n_broad != b->n_broad || a->rules4 != b->rules4 ||
	    a->rules6 != b->rules6)
		return false;
	for (size_t i = 0; i < a->n_links; i++)
		if (!link_equal(&a->links[i], &b->links[i]))
			return false;
	for (size_t i = 0; i < a->n_addresses; i++)
		if (!address_equal(&a->addresses[i], &b->addresses[i]))
			return false;
	return routes_equal(a->routes, b->routes, a->n_routes) &&
	       routes_equal(a->broad, b->broad, a->n_broad);
}

/* ---- messages ---- */

/* Copies a message's fixed part. */
static bool head_of(const struct nlmsghdr *h, void *ret_head, size_t size)
{
	if (!nlmsg_valid_hdr(h, (int)size))
		return false;
	memcpy(ret_head, nlmsg_data(h), size);
	return true;
}

/*
 * The following add what a message says to a view, one entry or several. 0, -ENOMEM, -EBADMSG.
 * They add nothing for what a view does not have.
 */

static int add_said_link(struct nlmsghdr *h, struct ph_links *view)
{
	static const struct nla_policy policy[IFLA_MAX + 1] = {
		[IFLA_IFNAME] = { .type = NLA_STRING, .maxlen = IFNAMSIZ },
	};
	struct nlattr *attributes[IFLA_MAX + 1];
	struct ph_link link = { 0 };
	struct ifinfomsg head;

	if (!head_of(h, &head, sizeof(head)))
		return -EBADMSG;
	/* A bridge tells of its ports in the same way; that a port leaves it is no link's end. */
	if (head.ifi_family != AF_UNSPEC)
		return 0;
	if (nlmsg_parse(h, sizeof(head), attributes, IFLA_MAX, policy) < 0 ||
	    !attributes[IFLA_IFNAME])
		return -EBADMSG;
	nla_strlcpy(link.name, attributes[IFLA_IFNAME], sizeof(link.name));
	link.index = head.ifi_index;
	link.up = (head.ifi_flags & (IFF_UP | IFF_RUNNING)) == (IFF_UP | IFF_RUNNING);
	return add_link(view, &link);
}

static bool read_address(const struct nlattr *attribute, enum ph_family family,
			 struct ph_address *ret_address)
{
	struct ph_address address = { .family = family };

	if (!attribute || (size_t)nla_len(attribute) != ph_family_octets(family))
		return false;
	memcpy(address.octets, nla_data(attribute), ph_family_octets(family));
	*ret_address = address;
	return true;
}

/* Whether the whole prefix is on the link, as far as the address says it: no peer has it, and the
 * kernel was not told to make no route (net/ipv6/addrconf.c, IFA_F_NOPREFIXROUTE). */
static bool has_subnet(const struct nlattr *local, const struct nlattr *other, uint32_t flags)
{
	return !(flags & IFA_F_NOPREFIXROUTE) &&
	       (!local || !other ||
		(nla_len(local) == nla_len(other) &&
		 memcmp(nla_data(local), nla_data(other), (size_t)nla_len(local)) == 0));
}

static int add_said_address(struct nlmsghdr *h, struct ph_links *view)
{
	static const struct nla_policy policy[IFA_MAX + 1] = {
		[IFA_FLAGS] = { .type = NLA_U32 },
	};
	struct nlattr *attributes[IFA_MAX + 1];
	struct ph_link_address address = { 0 };
	enum ph_family family;
	struct ifaddrmsg head;
	uint32_t flags;

	if (!head_of(h, &head, sizeof(head)))
		return -EBADMSG;
	/* IPv6's link-local addresses are of no use here, and come and go with every interface. */
	if (head.ifa_family != AF_INET &&
	    (head.ifa_family != AF_INET6 || head.ifa_scope == RT_SCOPE_LINK))
		return 0;
	if (nlmsg_parse(h, sizeof(head), attributes, IFA_MAX, policy) < 0)
		return -EBADMSG;
	address.index = (int)head.ifa_index;
	family = head.ifa_family == AF_INET6 ? PH_IPV6 : PH_IPV4;
	/* IFA_ADDRESS is the other end's where there is an IFA_LOCAL (linux/if_addr.h). */
	if (!read_address(attributes[attributes[IFA_LOCAL] ? IFA_LOCAL : IFA_ADDRESS], family,
			  &address.address))
		return -EBADMSG;
	flags = attributes[IFA_FLAGS] ? nla_get_u32(attributes[IFA_FLAGS]) : head.ifa_flags;
	address.usable = head.ifa_scope == RT_SCOPE_UNIVERSE &&
			 !(flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED | IFA_F_DEPRECATED));
	address.temporary = flags & IFA_F_SECONDARY; /* the same bit as IFA_F_TEMPORARY */
	address.bits = (uint8_t)(8 * ph_family_octets(family));
	if (head.ifa_prefixlen > address.bits)
		return -EBADMSG;
	if (has_subnet(attributes[IFA_LOCAL], attributes[IFA_ADDRESS], flags))
		address.bits = head.ifa_prefixlen;
	return add_address(view, &address);
}

/* RTA_VIA names a gateway of any family (linux/rtnetlink.h, struct rtvia). */
static bool read_via(const struct nlattr *attribute, struct ph_address *ret_address)
{
	struct ph_address address = { 0 };
	sa_family_t family;

	if (nla_len(attribute) < (int)sizeof(family))
		return false;
	memcpy(&family, nla_data(attribute), sizeof(family));
	if (family != AF_INET && family != AF_INET6)
		return false;
	address.family = family == AF_INET6 ? PH_IPV6 : PH_IPV4;
	if ((size_t)nla_len(attribute) != sizeof(family) + ph_family_octets(address.family))
		return false;
	memcpy(address.octets, (const uint8_t *)nla_data(attribute) + sizeof(family),
	       ph_family_octets(address.family));
	*ret_address = address;
	return true;
}

/* From what a route or one of its ways says of it; neither attribute: none. */
static int set_gateway(const struct nlattr *gateway, const struct nlattr *via,
		       struct ph_link_route *route)
{
	route->gateway = (struct ph_address){ 0 };
	if (gateway)
		return read_address(gateway, route->family, &route->gateway) ? 0 : -EBADMSG;
	if (via)
		return read_via(via, &route->gateway) ? 0 : -EBADMSG;
	return 0;
}

static int add_multipath(const struct nlattr *attribute, struct ph_link_route *route,
			 struct ph_links *view)
{
	uint8_t *p = nla_data(attribute);
	size_t left = (size_t)nla_len(attribute);

	while (left > 0) {
		struct nlattr *attributes = (struct nlattr *)(void *)(p + sizeof(struct rtnexthop));
		struct rtnexthop hop;
		size_t step;
		int len, r;

		if (left < sizeof(hop))
			return -EBADMSG;
		memcpy(&hop, p, sizeof(hop));
		if (hop.rtnh_len < sizeof(hop) || hop.rtnh_len > left)
			return -EBADMSG;
		route->index = hop.rtnh_ifindex;
		len = hop.rtnh_len - (int)sizeof(hop);
		r = set_gateway(nla_find(attributes, len, RTA_GATEWAY),
				nla_find(attributes, len, RTA_VIA), route);
		if (r == 0)
			r = add_route(view, route);
		if (r < 0)
			return r;
		step = NLMSG_ALIGN(hop.rtnh_len); /* RTNH_ALIGN() is signed, and the same */
		step = step < left ? step : left;
		p += step;
		left -= step;
	}
	return 0;
}

static uint32_t table_of(struct nlmsghdr *h, const struct rtmsg *head)
{
	struct nlattr *table = nlmsg_find_attr(h, sizeof(*head), RTA_TABLE);

	return table && nla_len(table) == sizeof(uint32_t) ? nla_get_u32(table) : head->rtm_table;
}

/* Whether it is about a default or broad route of the main table. One that holds for some sources
 * only (rtm_src_len) is one: OpenWrt's IPv6 default routes are of this kind. */
static bool is_broad(struct nlmsghdr *h, struct rtmsg *ret_head)
{
	/* The destination's length comes first: in a full routing table it ends nearly all. */
	if (!head_of(h, ret_head, sizeof(*ret_head)) || ret_head->rtm_dst_len > PH_BROAD_BITS ||
	    ret_head->rtm_tos != 0 || (ret_head->rtm_flags & RTM_F_CLONED) ||
	    (ret_head->rtm_family != AF_INET && ret_head->rtm_family != AF_INET6))
		return false;
	return table_of(h, ret_head) == RT_TABLE_MAIN;
}

static int preference_of(const struct nlattr *attribute)
{
	switch (attribute ? nla_get_u8(attribute) : ICMPV6_ROUTER_PREF_MEDIUM) {
	case ICMPV6_ROUTER_PREF_HIGH:
		return 1;
	case ICMPV6_ROUTER_PREF_LOW:
		return -1;
	default:
		return 0;
	}
}

/*
 * Whether a next hop is dead does not matter here: the kernel revives it without a word when its
 * interface comes up, and whether that is up the view knows.
 */
static int add_said_route(struct nlmsghdr *h, struct ph_links *view)
{
	static const struct nla_policy policy[RTA_MAX + 1] = {
		[RTA_OIF] = { .type = NLA_U32 },
		[RTA_PRIORITY] = { .type = NLA_U32 },
		[RTA_PREF] = { .type = NLA_U8 },
	};
	struct nlattr *attributes[RTA_MAX + 1];
	struct ph_link_route route = { 0 };
	struct rtmsg head;
	int r;

	if (!is_broad(h, &head) || head.rtm_type != RTN_UNICAST)
		return 0;
	if (nlmsg_parse(h, sizeof(head), attributes, RTA_MAX, policy) < 0)
		return -EBADMSG;
	route.family = head.rtm_family == AF_INET6 ? PH_IPV6 : PH_IPV4;
	if (attributes[RTA_PRIORITY])
		route.metric = nla_get_u32(attributes[RTA_PRIORITY]);
	route.preference = preference_of(attributes[RTA_PREF]);
	route.to.bits = head.rtm_dst_len;
	if (route.to.bits && !read_address(attributes[RTA_DST], route.family, &route.to.address))
		return -EBADMSG;
	if (attributes[RTA_MULTIPATH])
		return add_multipath(attributes[RTA_MULTIPATH], &route, view);
	if (!attributes[RTA_OIF])
		return 0;
	route.index = (int)nla_get_u32(attributes[RTA_OIF]);
	r = set_gateway(attributes[RTA_GATEWAY], attributes[RTA_VIA], &route);
	return r < 0 ? r : add_route(view, &route);
}

void rtnl_add_rule(struct nlmsghdr *h, struct ph_links *view)
{
	struct rt_rule rule;

	if (!rt_parse_rule(h, &rule) || rule.plain || rt_is_ours(rule.table, rule.protocol))
		return;
	*(rule.family == PH_IPV6 ? &view->rules6 : &view->rules4) = true;
}

/* ---- dumps ---- */

static int error_of(const struct nlmsghdr *h)
{
	int error;

	return head_of(h, &error, sizeof(error)) && error <= 0 ? error : -EBADMSG;
}

static int feed_message(struct rtnl_dump *dump, struct nlmsghdr *h)
{
	struct rtmsg head;
	int r = 0;

	if (h->nlmsg_flags & NLM_F_DUMP_INTR)
		dump->interrupted = true;
	switch (h->nlmsg_type) {
	case NLMSG_DONE:
		dump->done = true;
		/* With the error that ended it, or 0 (net/netlink/af_netlink.c,
		 * netlink_dump_done()). */
		r = error_of(h);
		break;
	case NLMSG_ERROR:
		return error_of(h);
	case NLMSG_OVERRUN:
		dump->interrupted = true;
		break;
	case RTM_NEWLINK:
		if (dump->part == RTNL_LINKS)
			r = add_said_link(h, dump->view);
		break;
	case RTM_NEWADDR:
		if (dump->part == RTNL_ADDRESSES)
			r = add_said_address(h, dump->view);
		break;
	case RTM_NEWROUTE:
		/* Where there is no IPv6 its request is answered with all families' routes. */
		if (dump->part == RTNL_ROUTES && head_of(h, &head, sizeof(head)) &&
		    head.rtm_family == (dump->family == PH_IPV6 ? AF_INET6 : AF_INET))
			r = add_said_route(h, dump->view);
		break;
	default:
		break;
	}
	return r == -EBADMSG ? 0 : r;
}

int rtnl_dump_feed(struct rtnl_dump *dump, struct nlmsghdr *first, size_t len)
{
	int left = (int)len, r;

	for (struct nlmsghdr *h = first; nlmsg_ok(h, left); h = nlmsg_next(h, &left)) {
		if (h->nlmsg_seq != dump->sequence || dump->done)
			continue;
		r = feed_message(dump, h);
		if (r < 0)
			return r;
	}
	return left > 0 ? -EBADMSG : 0;
}

/* ---- notifications ---- */

static bool has_link(const struct ph_links *view, int index)
{
	for (size_t i = 0; i < view->n_links; i++)
		if (view->links[i].index == index)
			return true;
	return false;
}

static bool routed_over(const struct ph_links *view, int index)
{
	for (size_t i = 0; i < view->n_routes; i++)
		if (view->routes[i].index == index)
			return true;
	for (size_t i = 0; i < view->n_broad; i++)
		if (view->broad[i].index == index)
			return true;
	return false;
}

/*
 * With its interface, or with the address that it names as its source, an IPv4 route goes without a
 * message of its own (net/ipv4/fib_frontend.c, fib_disable_ip() and fib_sync_down_addr()).
 */

static unsigned link_changes(const struct ph_links *view, const struct ph_link *said, bool gone)
{
	unsigned changes = RTNL_LINKS | (routed_over(view, said->index) ? RTNL_ROUTES : 0u);

	if (gone)
		return has_link(view, said->index) ? changes : 0;
	for (size_t i = 0; i < view->n_links; i++)
		if (link_equal(&view->links[i], said))
			return 0;
	return changes;
}

static unsigned address_changes(const struct ph_links *view, const struct ph_link_address *said,
				bool gone)
{
	unsigned changes = RTNL_ADDRESSES;

	/* A route names no address that reaches only the link, unless it is its own interface's. */
	if (said->usable || routed_over(view, said->index))
		changes |= RTNL_ROUTES;
	for (size_t i = 0; i < view->n_addresses; i++) {
		const struct ph_link_address *a = &view->addresses[i];

		if (gone ? a->index == said->index && ph_address_equal(&a->address, &said->address)
			 : address_equal(a, said))
			return gone ? changes : 0u;
	}
	return gone ? 0 : RTNL_ADDRESSES;
}

static unsigned routes_changes(const struct ph_link_route *routes, size_t n,
			       const struct ph_link_route *said, size_t n_said, bool gone)
{
	for (size_t i = 0; i < n_said; i++) {
		bool there = false;

		for (size_t k = 0; k < n && !there; k++)
			there = route_equal(&routes[k], &said[i]);
		if (there == gone)
			return RTNL_ROUTES;
	}
	return 0;
}

static unsigned said_changes(const struct ph_links *view, const struct ph_links *said, bool gone)
{
	unsigned changes = 0;

	for (size_t i = 0; i < said->n_links; i++)
		changes |= link_changes(view, &said->links[i], gone);
	for (size_t i = 0; i < said->n_addresses; i++)
		changes |= address_changes(view, &said->addresses[i], gone);
	changes |= routes_changes(view->routes, view->n_routes, said->routes, said->n_routes, gone);
	changes |= routes_changes(view->broad, view->n_broad, said->broad, said->n_broad, gone);
	return changes;
}

/* The view only says whether there are any: where one goes, another may be left. */
static unsigned rule_changes(const struct ph_links *view, struct nlmsghdr *h)
{
	bool gone = h->nlmsg_type == RTM_DELRULE, there;
	struct rt_rule rule;

	/* No rule of IP's, or one that is not understood; a dump passes over it, too. */
	if (!rt_parse_rule(h, &rule))
		return 0;
	if (rt_is_ours(rule.table, rule.protocol))
		return gone ? RTNL_TAKEN : 0u;
	there = rule.family == PH_IPV6 ? view->rules6 : view->rules4;
	return !rule.plain && there == gone ? RTNL_RULES : 0u;
}

static bool is_our_route(struct nlmsghdr *h)
{
	struct rtmsg head;

	return head_of(h, &head, sizeof(head)) && rt_is_ours(table_of(h, &head), head.rtm_protocol);
}

static unsigned message_changes(const struct ph_links *view, struct nlmsghdr *h)
{
	struct ph_links said = { 0 };
	struct rtmsg head;
	unsigned changes;
	int r;

	switch (h->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		r = add_said_link(h, &said);
		break;
	case RTM_NEWADDR:
	case RTM_DELADDR:
		r = add_said_address(h, &said);
		break;
	case RTM_NEWROUTE:
		/* The route that it replaces is not named, and may be any. */
		if ((h->nlmsg_flags & NLM_F_REPLACE) && is_broad(h, &head))
			return RTNL_ROUTES;
		r = add_said_route(h, &said);
		break;
	case RTM_DELROUTE:
		if (is_our_route(h))
			return RTNL_TAKEN;
		r = add_said_route(h, &said);
		break;
	case RTM_NEWRULE:
	case RTM_DELRULE:
		return rule_changes(view, h);
	case NLMSG_OVERRUN:
		return RTNL_ALL | RTNL_TAKEN;
	default:
		return 0;
	}
	changes =
		r < 0 ? RTNL_ALL
		      : said_changes(view, &said,
				     h->nlmsg_type == RTM_DELLINK || h->nlmsg_type == RTM_DELADDR ||
					     h->nlmsg_type == RTM_DELROUTE);
	ph_links_done(&said);
	return changes;
}

unsigned rtnl_changes(const struct ph_links *view, struct nlmsghdr *first, size_t len)
{
	unsigned changes = 0;
	int left = (int)len;

	for (struct nlmsghdr *h = first; nlmsg_ok(h, left); h = nlmsg_next(h, &left))
		changes |= message_changes(view, h);
	return left > 0 ? RTNL_ALL | changes : changes;
}
