// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Entries of conntrack, over ctnetlink. The kernel looks for the mark while it lists them
 * (nf_conntrack_netlink.c, ctnetlink_filter_match()), so that of a gateway's many thousands only a
 * mapping's own come here. Which of them are meant is decided by what each says of itself, and each
 * is then deleted by its first tuple, its zone and its ID: one that has come anew meanwhile has
 * another ID.
 */

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>

#include <pinhold/conntrack.h>

#include "netlink.h"
#include "question.h"

#define QUESTION_OCTETS 512
/* A tuple: two IPv6 addresses, protocol, two ports, a zone, each an attribute, take 96. */
#define TUPLE_OCTETS 192
/* A dump that was interrupted: how often that is begun again. */
#define ATTEMPTS 8

/* What it takes to delete an entry. */
struct entry {
	uint8_t family;              /* AF_… */
	bool has_zone;               /* of both directions; a direction's own stands in the tuple */
	uint16_t zone;               /* network order, as it came */
	uint32_t id;                 /* likewise */
	uint16_t tuple_octets;       /* of CTA_TUPLE_ORIG's content */
	uint8_t tuple[TUPLE_OCTETS]; /* as it came */
};

struct search {
	const struct ph_conntrack_match *matches;
	size_t n_matches;
	struct entry *list;
	size_t n, room;
};

struct tuple {
	uint8_t proto;
	struct ph_endpoint source, destination;
};

static bool parse_address(const struct nlattr *const *ip, uint16_t v4, uint16_t v6,
			  struct ph_address *ret_address)
{
	struct ph_address a = { .family = ip[v4] ? PH_IPV4 : PH_IPV6 };

	if (!ph_attr_value(ip[v4] ? ip[v4] : ip[v6], a.octets, ph_family_octets(a.family)))
		return false;
	*ret_address = a;
	return true;
}

/* 1; 0: of a protocol without ports; -EPROTO. */
static int parse_tuple(const struct nlattr *attr, struct tuple *ret_tuple)
{
	const struct nlattr *parts[CTA_TUPLE_MAX + 1] = {}, *ip[CTA_IP_MAX + 1] = {};
	const struct nlattr *proto[CTA_PROTO_MAX + 1] = {};
	struct tuple t = {};
	uint16_t source, destination;

	if (!ph_attrs_parse_nested(attr, parts, CTA_TUPLE_MAX) ||
	    !ph_attrs_parse_nested(parts[CTA_TUPLE_IP], ip, CTA_IP_MAX) ||
	    !ph_attrs_parse_nested(parts[CTA_TUPLE_PROTO], proto, CTA_PROTO_MAX) ||
	    !parse_address(ip, CTA_IP_V4_SRC, CTA_IP_V6_SRC, &t.source.address) ||
	    !parse_address(ip, CTA_IP_V4_DST, CTA_IP_V6_DST, &t.destination.address) ||
	    !ph_attr_value(proto[CTA_PROTO_NUM], &t.proto, sizeof(t.proto)))
		return -EPROTO;
	if (!proto[CTA_PROTO_SRC_PORT] && !proto[CTA_PROTO_DST_PORT])
		return 0;
	if (!ph_attr_value(proto[CTA_PROTO_SRC_PORT], &source, sizeof(source)) ||
	    !ph_attr_value(proto[CTA_PROTO_DST_PORT], &destination, sizeof(destination)))
		return -EPROTO;
	t.source.port = ntohs(source);
	t.destination.port = ntohs(destination);
	*ret_tuple = t;
	return 1;
}

static bool is_meant(const struct search *s, uint32_t mark, const struct tuple *original,
		     const struct tuple *reply)
{
	for (size_t i = 0; i < s->n_matches; i++) {
		const struct ph_conntrack_match *m = &s->matches[i];

		if (original->proto == m->proto && (mark & m->mark) == m->mark &&
		    ph_endpoint_equal(&original->destination, &m->destination) &&
		    !(m->keep.port && ph_endpoint_equal(&reply->source, &m->keep)))
			return true;
	}
	return false;
}

static int add_entry(struct search *s, const struct entry *e)
{
	if (s->n == s->room) {
		size_t room = s->room ? 2 * s->room : 16;
		struct entry *list = reallocarray(s->list, room, sizeof(*list));

		if (!list)
			return -ENOMEM;
		s->list = list;
		s->room = room;
	}
	s->list[s->n++] = *e;
	return 0;
}

/* What it takes to delete it. 0 or -EPROTO. */
static int describe(const struct nlattr *const *attrs, uint8_t family, struct entry *ret_entry)
{
	const struct nlattr *tuple = attrs[CTA_TUPLE_ORIG];
	uint16_t octets = mnl_attr_get_payload_len(tuple);
	struct entry e = { .family = family, .tuple_octets = octets };

	if (octets > sizeof(e.tuple) || !ph_attr_value(attrs[CTA_ID], &e.id, sizeof(e.id)))
		return -EPROTO;
	if (attrs[CTA_ZONE]) {
		if (!ph_attr_value(attrs[CTA_ZONE], &e.zone, sizeof(e.zone)))
			return -EPROTO;
		e.has_zone = true;
	}
	memcpy(e.tuple, mnl_attr_get_payload(tuple), octets);
	*ret_entry = e;
	return 0;
}

static int take_entry(const struct nlmsghdr *nlh, void *data)
{
	const struct nlattr *attrs[CTA_MAX + 1] = {};
	struct search *s = data;
	struct nfgenmsg header;
	struct tuple original, reply;
	struct entry e;
	uint32_t mark = 0;
	int r;

	if (nlh->nlmsg_type != (NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW))
		return 0;
	if (!ph_attrs_parse(nlh, sizeof(header), attrs, CTA_MAX))
		return -EPROTO;
	memcpy(&header, mnl_nlmsg_get_payload(nlh), sizeof(header));
	/* A kernel without marks says none; then there are none. */
	if (attrs[CTA_MARK] && !ph_attr_value(attrs[CTA_MARK], &mark, sizeof(mark)))
		return -EPROTO;
	r = parse_tuple(attrs[CTA_TUPLE_ORIG], &original);
	if (r > 0)
		r = parse_tuple(attrs[CTA_TUPLE_REPLY], &reply);
	if (r <= 0)
		return r;
	if (!is_meant(s, ntohl(mark), &original, &reply))
		return 0;
	r = describe(attrs, header.nfgen_family, &e);
	return r < 0 ? r : add_entry(s, &e);
}

static struct nlmsghdr *put_header(char buf[static QUESTION_OCTETS], uint16_t message,
				   uint16_t flags, uint8_t family)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct nfgenmsg *header;

	nlh->nlmsg_type = (uint16_t)(NFNL_SUBSYS_CTNETLINK << 8 | message);
	nlh->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	header = mnl_nlmsg_put_extra_header(nlh, sizeof(*header));
	header->nfgen_family = family;
	header->version = NFNETLINK_V0;
	header->res_id = 0;
	return nlh;
}

static uint8_t family_of(const struct ph_conntrack_match *m)
{
	return m->destination.address.family == PH_IPV4 ? AF_INET : AF_INET6;
}

/* Lists whatever may be meant by one of them. 0 or -errno. */
static int find_entries(const struct mnl_socket *socket, uint32_t *seq, struct search *s)
{
	char buf[QUESTION_OCTETS] __attribute__((aligned(MNL_ALIGNTO)));
	uint8_t family = family_of(&s->matches[0]);
	uint32_t mark = s->matches[0].mark; /* the bits that all of them ask for */
	struct nlmsghdr *nlh;
	int r = -EAGAIN;

	for (size_t i = 1; i < s->n_matches; i++) {
		mark &= s->matches[i].mark;
		if (family_of(&s->matches[i]) != family)
			family = AF_UNSPEC;
	}
	nlh = put_header(buf, IPCTNL_MSG_CT_GET, NLM_F_DUMP, family);
	mnl_attr_put_u32(nlh, CTA_MARK, htonl(mark));
	mnl_attr_put_u32(nlh, CTA_MARK_MASK, htonl(mark));
	for (unsigned i = 0; i < ATTEMPTS && (r == -EAGAIN || r == -ENOBUFS); i++) {
		s->n = 0;
		r = ph_ask_on(socket, (*seq)++, nlh, take_entry, s);
	}
	return r;
}

/* 1; 0: it has gone by itself; -errno. */
static int delete_entry(const struct mnl_socket *socket, uint32_t seq, const struct entry *e)
{
	char buf[QUESTION_OCTETS] __attribute__((aligned(MNL_ALIGNTO)));
	struct nlmsghdr *nlh = put_header(buf, IPCTNL_MSG_CT_DELETE, NLM_F_ACK, e->family);
	int r;

	mnl_attr_put(nlh, CTA_TUPLE_ORIG | NLA_F_NESTED, e->tuple_octets, e->tuple);
	if (e->has_zone)
		mnl_attr_put_u16(nlh, CTA_ZONE, e->zone);
	mnl_attr_put_u32(nlh, CTA_ID, e->id);
	r = ph_ask_on(socket, seq, nlh, NULL, NULL);
	if (r == -ENOENT)
		return 0;
	return r < 0 ? r : 1;
}

int ph_conntrack_forget(const struct ph_conntrack_match *matches, size_t n, size_t *ret_deleted)
{
	struct search s = { .matches = matches, .n_matches = n };
	struct mnl_socket *socket = NULL;
	size_t deleted = 0;
	uint32_t seq = 1;
	int r;

	assert(n > 0);
	r = ph_netlink_open(&socket);
	if (r < 0)
		return r;
	r = find_entries(socket, &seq, &s);
	for (size_t i = 0; r == 0 && i < s.n; i++) {
		int gone = delete_entry(socket, seq++, &s.list[i]);

		if (gone < 0)
			r = gone;
		else
			deleted += (size_t)gone;
	}
	mnl_socket_close(socket);
	free(s.list);
	if (r == 0 && ret_deleted)
		*ret_deleted = deleted;
	return r;
}
