/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <pinhold/reach.h>

#include <errno.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/socket.h>
#include <string.h>
#include <sys/socket.h>

#include "rtnl_request.h"

/* A route's answer: of what type it is, and whose link-layer address a packet would need. */
struct hop {
	unsigned type; /* RTN_... */
	int index;     /* of the interface; 0: none */
	struct ph_address address;
};

static uint8_t af(enum ph_family family)
{
	return family == PH_IPV6 ? AF_INET6 : AF_INET;
}

static int put_address(struct nl_msg *msg, int attribute, const struct ph_address *a)
{
	return nla_put(msg, attribute, (int)ph_family_octets(a->family), a->octets);
}

/* Copies a message's fixed part. */
static bool head_of(const struct nlmsghdr *h, void *ret_head, size_t size)
{
	if (!nlmsg_valid_hdr(h, (int)size))
		return false;
	memcpy(ret_head, nlmsg_data(h), size);
	return true;
}

/* ---- the route ---- */

/* Reads RTA_GATEWAY, or the other family's (struct rtvia), which only IPv4 has. */
static int read_gateway(struct nlattr *const *a, enum ph_family family,
			struct ph_address *ret_gateway)
{
	const size_t before = a[RTA_GATEWAY] ? 0 : sizeof(sa_family_t);
	const struct nlattr *attribute = a[RTA_GATEWAY] ? a[RTA_GATEWAY] : a[RTA_VIA];
	struct ph_address gateway = { .family = a[RTA_GATEWAY] ? family : PH_IPV6 };
	const size_t octets = ph_family_octets(gateway.family);

	if (!attribute)
		return 0;
	if ((size_t)nla_len(attribute) != before + octets)
		return -EBADMSG;
	memcpy(gateway.octets, (const uint8_t *)nla_data(attribute) + before, octets);
	*ret_gateway = gateway;
	return 0;
}

static int on_route(void *data, struct nlmsghdr *h)
{
	static const struct nla_policy policy[RTA_MAX + 1] = {
		[RTA_OIF] = { .type = NLA_U32 },
	};
	struct nlattr *a[RTA_MAX + 1];
	struct hop *hop = data;
	struct rtmsg head;

	if (h->nlmsg_type != RTM_NEWROUTE || !head_of(h, &head, sizeof(head)) ||
	    head.rtm_family != af(hop->address.family) ||
	    nlmsg_parse(h, sizeof(head), a, RTA_MAX, policy) < 0)
		return -EBADMSG;
	hop->type = head.rtm_type;
	hop->index = a[RTA_OIF] ? (int)nla_get_u32(a[RTA_OIF]) : 0;
	return read_gateway(a, hop->address.family, &hop->address);
}

/* 0, or an error that may be the route's own: see answer_of(). */
static int ask_for_route(struct nl_sock *socket, const struct ph_address *address,
			 struct hop *ret_hop)
{
	struct rtmsg head = {
		.rtm_family = af(address->family),
		.rtm_dst_len = (uint8_t)(8 * ph_family_octets(address->family)),
	};
	struct nl_msg *msg = nlmsg_alloc_simple(RTM_GETROUTE, 0);
	struct hop hop = { .address = *address };
	int r = -ENOMEM;

	if (msg && nlmsg_append(msg, &head, sizeof(head), NLMSG_ALIGNTO) == 0 &&
	    put_address(msg, RTA_DST, address) == 0)
		r = rtnl_request(socket, msg, on_route, &hop);
	nlmsg_free(msg);
	if (r == 0)
		*ret_hop = hop;
	return r;
}

/*
 * A route that leads nowhere is an error (fib_semantics.c, fib_props; net/ipv6/route.c,
 * inet6_rtm_getroute()); some older kernels answer with an IPv6 route of such a type.
 */
static enum ph_reach_answer answer_of(int error, const struct hop *hop)
{
	switch (-error) {
	case 0:
		break;
	case ENETUNREACH:  /* no route */
	case EHOSTUNREACH: /* unreachable */
	case EACCES:       /* prohibit */
	case EINVAL:       /* blackhole */
		return PH_REACH_UNROUTABLE;
	default:
		return PH_REACH_UNKNOWN;
	}
	switch (hop->type) {
	case RTN_UNSPEC: /* not a word about it */
		return PH_REACH_UNKNOWN;
	case RTN_UNREACHABLE:
	case RTN_PROHIBIT:
	case RTN_BLACKHOLE:
		return PH_REACH_UNROUTABLE;
	default:
		return PH_REACH_ROUTED;
	}
}

/* ---- the neighbour ---- */

static int on_neighbour(void *data, struct nlmsghdr *h)
{
	unsigned *state = data;
	struct ndmsg head;

	if (h->nlmsg_type != RTM_NEWNEIGH || !head_of(h, &head, sizeof(head)))
		return -EBADMSG;
	*state = head.ndm_state;
	return 0;
}

/*
 * -ENOENT, nobody by that address: not asked for lately, or it is an interface that needs no
 * link-layer addresses. -EOPNOTSUPP: a kernel before 5.0.
 */
static bool is_silent(struct nl_sock *socket, const struct hop *hop)
{
	struct ndmsg head = {
		.ndm_family = af(hop->address.family),
		.ndm_ifindex = hop->index,
	};
	struct nl_msg *msg = nlmsg_alloc_simple(RTM_GETNEIGH, 0);
	unsigned state = NUD_NONE;
	int r = -ENOMEM;

	if (msg && nlmsg_append(msg, &head, sizeof(head), NLMSG_ALIGNTO) == 0 &&
	    put_address(msg, NDA_DST, &hop->address) == 0)
		r = rtnl_request(socket, msg, on_neighbour, &state);
	nlmsg_free(msg);
	return r == 0 && state & NUD_FAILED;
}

/* ---- both ---- */

/* Also while lo is down. */
static bool is_loopback4(const struct ph_address *a)
{
	return a->family == PH_IPV4 && a->octets[0] == 127;
}

enum ph_reach_answer ph_reach(const struct ph_address *address)
{
	enum ph_reach_answer answer;
	struct nl_sock *socket;
	struct hop hop = { 0 };
	int r;

	if (is_loopback4(address))
		return PH_REACH_ROUTED;
	if (rtnl_request_open(&socket) < 0)
		return PH_REACH_UNKNOWN;
	r = ask_for_route(socket, address, &hop);
	answer = answer_of(r, &hop);
	if (answer == PH_REACH_ROUTED && hop.type == RTN_UNICAST && is_silent(socket, &hop))
		answer = PH_REACH_SILENT;
	nl_socket_free(socket);
	return answer;
}
