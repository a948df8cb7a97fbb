// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Statements to the expressions of nf_tables' virtual machine, one by one as nft 1.0.6 makes them
 * (compare `nft --debug=netlink`): `nft list` recognises a statement by its expressions and the
 * registers they use, and prints anything else as something else or not at all.
 */

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <linux/if.h>
#include <linux/ip.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_tuple_common.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/nf_tables.h>
#include <libnftnl/expr.h>
#include <libnftnl/udata.h>

#include "rule.h"

struct encoder {
	struct nftnl_rule *rule;
	bool guarded; /* this rule has asked for the family already */
	bool udp;     /* and whether it is UDP */
};

struct attribute {
	uint16_t type;
	const void *data;
	size_t len;
};

#define U32(type, value)                                           \
	{                                                          \
		type, &(const uint32_t){ value }, sizeof(uint32_t) \
	}
#define U64(type, value)                                           \
	{                                                          \
		type, &(const uint64_t){ value }, sizeof(uint64_t) \
	}
#define U8(type, value)                                          \
	{                                                        \
		type, &(const uint8_t){ value }, sizeof(uint8_t) \
	}
#define BYTES(type, data, len)  \
	{                       \
		type, data, len \
	}
#define STRING(type, text)                   \
	{                                    \
		type, text, strlen(text) + 1 \
	}

/* Appends an expression with all of its attributes, or fails. */
#define PUT(enc, name, ...)                                                      \
	put_expression((enc), (name), (const struct attribute[]){ __VA_ARGS__ }, \
		       sizeof((const struct attribute[]){ __VA_ARGS__ }) /       \
			       sizeof(struct attribute))

static int put_expression(struct encoder *enc, const char *name, const struct attribute *attributes,
			  size_t n)
{
	struct nftnl_expr *e = nftnl_expr_alloc(name);

	if (!e)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const struct attribute *a = &attributes[i];

		if (nftnl_expr_set(e, a->type, a->data, (uint32_t)a->len) < 0) {
			nftnl_expr_free(e);
			return -ENOMEM;
		}
	}
	nftnl_rule_add_expr(enc->rule, e);
	return 0;
}

/*
 * The register that begins with the nth 32-bit word. The first word of each 128-bit register goes
 * by that register's number, as in nft: netlink_linearize.c.
 */
static uint32_t register_at(size_t word)
{
	return (uint32_t)(word % 4 ? NFT_REG32_00 + word : NFT_REG_1 + word / 4);
}

#define FIRST_REGISTER NFT_REG_1

static int put_meta(struct encoder *enc, uint32_t key, uint32_t reg)
{
	return PUT(enc, "meta", U32(NFTNL_EXPR_META_KEY, key), U32(NFTNL_EXPR_META_DREG, reg));
}

static int put_payload(struct encoder *enc, uint32_t base, uint32_t offset, uint32_t len,
		       uint32_t reg)
{
	return PUT(enc, "payload", U32(NFTNL_EXPR_PAYLOAD_DREG, reg),
		   U32(NFTNL_EXPR_PAYLOAD_BASE, base), U32(NFTNL_EXPR_PAYLOAD_OFFSET, offset),
		   U32(NFTNL_EXPR_PAYLOAD_LEN, len));
}

/* Offsets in the IP header: RFC 791 section 3.1, RFC 8200 section 3. */
static int put_address(struct encoder *enc, uint8_t family, bool source, uint32_t reg)
{
	if (family == PH_IPV4)
		return put_payload(enc, NFT_PAYLOAD_NETWORK_HEADER, source ? 12 : 16, 4, reg);
	return put_payload(enc, NFT_PAYLOAD_NETWORK_HEADER, source ? 8 : 24, 16, reg);
}

/* Loads one selector; sets *ret_octets to what it takes in the registers. */
static int put_selector(struct encoder *enc, const struct ph_key *key, enum ph_selector selector,
			uint32_t reg, size_t *ret_octets)
{
	*ret_octets = 4;
	switch (selector) {
	case PH_SEL_IIFNAME:
		*ret_octets = ph_type_octets(PH_TYPE_IFNAME);
		return put_meta(enc, NFT_META_IIFNAME, reg);
	case PH_SEL_OIFNAME:
		*ret_octets = ph_type_octets(PH_TYPE_IFNAME);
		return put_meta(enc, NFT_META_OIFNAME, reg);
	case PH_SEL_SADDR:
	case PH_SEL_DADDR:
		*ret_octets = key->family == PH_IPV4 ? 4 : 16;
		return put_address(enc, key->family, selector == PH_SEL_SADDR, reg);
	case PH_SEL_L4PROTO:
		return put_meta(enc, NFT_META_L4PROTO, reg);
	case PH_SEL_SPORT:
		return put_payload(enc, NFT_PAYLOAD_TRANSPORT_HEADER, 0, 2, reg);
	case PH_SEL_DPORT:
	case PH_SEL_UDP_DPORT:
		return put_payload(enc, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, reg);
	}
	assert(false && "a selector is one of those above");
	return -EINVAL;
}

static uint8_t nfproto(unsigned family)
{
	return family == PH_IPV4 ? NFPROTO_IPV4 : NFPROTO_IPV6;
}

static int put_meta_equals(struct encoder *enc, uint32_t key, uint8_t value)
{
	int r = put_meta(enc, key, FIRST_REGISTER);

	return r < 0 ? r
		     : PUT(enc, "cmp", U32(NFTNL_EXPR_CMP_SREG, FIRST_REGISTER),
			   U32(NFTNL_EXPR_CMP_OP, NFT_CMP_EQ), U8(NFTNL_EXPR_CMP_DATA, value));
}

/*
 * Loads a key into the registers from the first on. Where a table sees both families and the key
 * has an address, the family is asked for before, once a rule; so is the protocol where the key has
 * a port of one.
 */
static int put_key(struct encoder *enc, const struct ph_key *key)
{
	size_t word = 0;
	int r;

	if (key->family && !enc->guarded) {
		r = put_meta_equals(enc, NFT_META_NFPROTO, nfproto(key->family));
		if (r < 0)
			return r;
		enc->guarded = true;
	}
	for (size_t i = 0; i < key->n && !enc->udp; i++) {
		if (key->parts[i] != PH_SEL_UDP_DPORT)
			continue;
		r = put_meta_equals(enc, NFT_META_L4PROTO, PH_UDP);
		if (r < 0)
			return r;
		enc->udp = true;
	}
	for (size_t i = 0; i < key->n; i++) {
		size_t octets;

		r = put_selector(enc, key, key->parts[i], register_at(word), &octets);
		if (r < 0)
			return r;
		word += octets / 4;
	}
	return 0;
}

static int put_match(struct encoder *enc, const struct ph_statement *s)
{
	int r = put_key(enc, s->lookup.key);

	return r < 0 ? r
		     : PUT(enc, "lookup", U32(NFTNL_EXPR_LOOKUP_SREG, FIRST_REGISTER),
			   STRING(NFTNL_EXPR_LOOKUP_SET, s->lookup.set->name));
}

static int put_map(struct encoder *enc, const struct ph_statement *s, uint32_t reg)
{
	int r = put_key(enc, s->lookup.key);

	return r < 0 ? r
		     : PUT(enc, "lookup", U32(NFTNL_EXPR_LOOKUP_SREG, FIRST_REGISTER),
			   U32(NFTNL_EXPR_LOOKUP_DREG, reg),
			   STRING(NFTNL_EXPR_LOOKUP_SET, s->lookup.set->name));
}

static int put_nat_map(struct encoder *enc, const struct ph_statement *s)
{
	size_t address = s->lookup.key->family == PH_IPV4 ? 4 : 16;
	uint32_t type = s->kind == PH_STMT_SNAT_MAP ? NFT_NAT_SNAT : NFT_NAT_DNAT;
	int r = put_map(enc, s, FIRST_REGISTER);

	return r < 0 ? r
		     : PUT(enc, "nat", U32(NFTNL_EXPR_NAT_TYPE, type),
			   U32(NFTNL_EXPR_NAT_FAMILY, nfproto(s->lookup.key->family)),
			   U32(NFTNL_EXPR_NAT_REG_ADDR_MIN, FIRST_REGISTER),
			   U32(NFTNL_EXPR_NAT_REG_PROTO_MIN, register_at(address / 4)));
}

/* REG = (REG & mask) ^ xor */
static int put_bitwise(struct encoder *enc, uint32_t mask, uint32_t xor)
{
	return PUT(enc, "bitwise", U32(NFTNL_EXPR_BITWISE_SREG, FIRST_REGISTER),
		   U32(NFTNL_EXPR_BITWISE_DREG, FIRST_REGISTER),
		   U32(NFTNL_EXPR_BITWISE_OP, NFT_BITWISE_BOOL),
		   U32(NFTNL_EXPR_BITWISE_LEN, sizeof(uint32_t)),
		   U32(NFTNL_EXPR_BITWISE_MASK, mask), U32(NFTNL_EXPR_BITWISE_XOR, xor));
}

static int put_ct(struct encoder *enc, uint32_t key)
{
	return PUT(enc, "ct", U32(NFTNL_EXPR_CT_KEY, key), U32(NFTNL_EXPR_CT_DREG, FIRST_REGISTER));
}

static int put_mark(struct encoder *enc, const struct ph_statement *s)
{
	int r = put_ct(enc, NFT_CT_MARK);

	if (r == 0)
		r = put_bitwise(enc, ~s->mark.mask, s->mark.mark);
	if (r == 0)
		r = PUT(enc, "ct", U32(NFTNL_EXPR_CT_KEY, NFT_CT_MARK),
			U32(NFTNL_EXPR_CT_SREG, FIRST_REGISTER));
	return r;
}

static int put_marked(struct encoder *enc, const struct ph_statement *s)
{
	int r = put_ct(enc, NFT_CT_MARK);

	if (r == 0)
		r = put_bitwise(enc, s->mark.mask, 0);
	if (r == 0)
		r = PUT(enc, "cmp", U32(NFTNL_EXPR_CMP_SREG, FIRST_REGISTER),
			U32(NFTNL_EXPR_CMP_OP, NFT_CMP_EQ), U32(NFTNL_EXPR_CMP_DATA, s->mark.mark));
	return r;
}

static int put_fwmark(struct encoder *enc, const struct ph_statement *s)
{
	int r = put_meta(enc, NFT_META_MARK, FIRST_REGISTER);

	if (r == 0)
		r = put_bitwise(enc, ~s->mark.mask, s->mark.mark);
	if (r == 0)
		r = PUT(enc, "meta", U32(NFTNL_EXPR_META_KEY, NFT_META_MARK),
			U32(NFTNL_EXPR_META_SREG, FIRST_REGISTER));
	return r;
}

static int put_reply(struct encoder *enc)
{
	int r = put_ct(enc, NFT_CT_DIRECTION);

	return r < 0 ? r
		     : PUT(enc, "cmp", U32(NFTNL_EXPR_CMP_SREG, FIRST_REGISTER),
			   U32(NFTNL_EXPR_CMP_OP, NFT_CMP_EQ),
			   U8(NFTNL_EXPR_CMP_DATA, IP_CT_DIR_REPLY));
}

/* 127.0.0.0/8 in the IPv4 header at offset: its first octet says it. */
static int put_localnet(struct encoder *enc, uint32_t offset)
{
	int r = 0;

	if (!enc->guarded)
		r = put_meta_equals(enc, NFT_META_NFPROTO, NFPROTO_IPV4);
	enc->guarded = true;
	if (r == 0)
		r = put_payload(enc, NFT_PAYLOAD_NETWORK_HEADER, offset, 1, FIRST_REGISTER);
	return r < 0 ? r
		     : PUT(enc, "cmp", U32(NFTNL_EXPR_CMP_SREG, FIRST_REGISTER),
			   U32(NFTNL_EXPR_CMP_OP, NFT_CMP_EQ), U8(NFTNL_EXPR_CMP_DATA, 127));
}

static int put_oif_not_lo(struct encoder *enc)
{
	static const char lo[IFNAMSIZ] = "lo";
	int r = put_meta(enc, NFT_META_OIFNAME, FIRST_REGISTER);

	return r < 0 ? r
		     : PUT(enc, "cmp", U32(NFTNL_EXPR_CMP_SREG, FIRST_REGISTER),
			   U32(NFTNL_EXPR_CMP_OP, NFT_CMP_NEQ),
			   BYTES(NFTNL_EXPR_CMP_DATA, lo, sizeof(lo)));
}

static int put_limit(struct encoder *enc, const struct ph_limit *limit)
{
	return PUT(enc, "limit", U64(NFTNL_EXPR_LIMIT_RATE, limit->rate),
		   U64(NFTNL_EXPR_LIMIT_UNIT, limit->seconds),
		   U32(NFTNL_EXPR_LIMIT_BURST, limit->burst),
		   U32(NFTNL_EXPR_LIMIT_TYPE, NFT_LIMIT_PKTS), U32(NFTNL_EXPR_LIMIT_FLAGS, 0));
}

static int put_verdict(struct encoder *enc, uint32_t verdict)
{
	return PUT(enc, "immediate", U32(NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT),
		   U32(NFTNL_EXPR_IMM_VERDICT, verdict));
}

static int put_port(struct encoder *enc, uint16_t port, uint32_t reg)
{
	const uint8_t octets[] = { (uint8_t)(port >> 8), (uint8_t)port };

	return PUT(enc, "immediate", U32(NFTNL_EXPR_IMM_DREG, reg),
		   BYTES(NFTNL_EXPR_IMM_DATA, octets, sizeof(octets)));
}

static int put_dnat(struct encoder *enc, const struct ph_endpoint *to)
{
	int r = PUT(enc, "immediate", U32(NFTNL_EXPR_IMM_DREG, NFT_REG_1),
		    BYTES(NFTNL_EXPR_IMM_DATA, to->address.octets,
			  ph_family_octets(to->address.family)));

	if (r == 0)
		r = put_port(enc, to->port, NFT_REG_2);
	if (r == 0)
		r = PUT(enc, "nat", U32(NFTNL_EXPR_NAT_TYPE, NFT_NAT_DNAT),
			U32(NFTNL_EXPR_NAT_FAMILY, nfproto(to->address.family)),
			U32(NFTNL_EXPR_NAT_REG_ADDR_MIN, NFT_REG_1),
			U32(NFTNL_EXPR_NAT_REG_PROTO_MIN, NFT_REG_2),
			U32(NFTNL_EXPR_NAT_FLAGS, NF_NAT_RANGE_PROTO_SPECIFIED));
	return r;
}

static int put_redirect(struct encoder *enc, uint16_t port)
{
	int r = put_port(enc, port, NFT_REG_1);

	return r < 0 ? r
		     : PUT(enc, "redir", U32(NFTNL_EXPR_REDIR_REG_PROTO_MIN, NFT_REG_1),
			   U32(NFTNL_EXPR_REDIR_FLAGS, NF_NAT_RANGE_PROTO_SPECIFIED));
}

static int put_redirect_map(struct encoder *enc, const struct ph_statement *s)
{
	int r = put_map(enc, s, FIRST_REGISTER);

	return r < 0 ? r
		     : PUT(enc, "redir", U32(NFTNL_EXPR_REDIR_REG_PROTO_MIN, FIRST_REGISTER),
			   U32(NFTNL_EXPR_REDIR_FLAGS, NF_NAT_RANGE_PROTO_SPECIFIED));
}

static int put_statement(struct encoder *enc, const struct ph_statement *s)
{
	switch (s->kind) {
	case PH_STMT_MATCH:
		return put_match(enc, s);
	case PH_STMT_VMAP:
		return put_map(enc, s, NFT_REG_VERDICT);
	case PH_STMT_SNAT_MAP:
	case PH_STMT_DNAT_MAP:
		return put_nat_map(enc, s);
	case PH_STMT_MARK:
		return put_mark(enc, s);
	case PH_STMT_MARKED:
		return put_marked(enc, s);
	case PH_STMT_FWMARK:
		return put_fwmark(enc, s);
	case PH_STMT_REPLY:
		return put_reply(enc);
	case PH_STMT_LIMIT:
		return put_limit(enc, &s->limit);
	case PH_STMT_COUNTER:
		return PUT(enc, "objref", U32(NFTNL_EXPR_OBJREF_IMM_TYPE, NFT_OBJECT_COUNTER),
			   STRING(NFTNL_EXPR_OBJREF_IMM_NAME, s->counter));
	case PH_STMT_L4PROTO:
		return put_meta_equals(enc, NFT_META_L4PROTO, (uint8_t)s->proto);
	case PH_STMT_DNAT:
		return put_dnat(enc, &s->endpoint);
	case PH_STMT_REDIRECT:
		return put_redirect(enc, s->port);
	case PH_STMT_REDIRECT_MAP:
		return put_redirect_map(enc, s);
	case PH_STMT_TO_LOCALNET:
		return put_localnet(enc, offsetof(struct iphdr, daddr));
	case PH_STMT_FROM_LOCALNET:
		return put_localnet(enc, offsetof(struct iphdr, saddr));
	case PH_STMT_OIF_NOT_LO:
		return put_oif_not_lo(enc);
	case PH_STMT_MASQUERADE:
		return put_expression(enc, "masq", NULL, 0);
	case PH_STMT_RETURN:
		return put_verdict(enc, (uint32_t)NFT_RETURN);
	case PH_STMT_DROP:
		return put_verdict(enc, NF_DROP);
	}
	assert(false && "a statement is one of those above");
	return -EINVAL;
}

static int put_comment(struct nftnl_rule *nlr, const struct ph_rule *rule)
{
	struct nftnl_udata_buf *udata = nftnl_udata_buf_alloc(NFT_USERDATA_MAXLEN);
	int r = -ENOMEM;

	if (!udata)
		return r;
	if (nftnl_udata_put_strz(udata, NFTNL_UDATA_RULE_COMMENT, rule->comment) &&
	    nftnl_rule_set_data(nlr, NFTNL_RULE_USERDATA, nftnl_udata_buf_data(udata),
				nftnl_udata_buf_len(udata)) == 0)
		r = 0;
	nftnl_udata_buf_free(udata);
	return r;
}

int ph_rule_encode(const struct ph_rule *rule, struct nftnl_rule *ret_nlr)
{
	struct encoder enc = { .rule = ret_nlr };

	for (size_t i = 0; i < rule->n_statements; i++) {
		int r = put_statement(&enc, &rule->statements[i]);

		if (r < 0)
			return r;
	}
	return put_comment(ret_nlr, rule);
}
