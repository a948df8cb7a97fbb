// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The steps of a difference to the messages of one nf_tables transaction. The batch is one growing
 * buffer: nothing is ever sent before all of it is there.
 */

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <libnftnl/chain.h>
#include <libnftnl/common.h>
#include <libnftnl/object.h>
#include <libnftnl/rule.h>
#include <libnftnl/set.h>
#include <libnftnl/table.h>
#include <libnftnl/udata.h>

#include "batch.h"
#include "rule.h"

/* Room for any message but one of elements; a rule with all of its expressions takes under 2 kB. */
#define MESSAGE_ROOM 8192

/*
 * Elements in one message. They lie in one attribute, whose length is 16 bits wide; an element
 * takes at most 224 octets (an IPv6 key, a comment, and their headers; less with a verdict and a
 * chain's name, or as the two ends of a range).
 */
#define ELEMENTS_MAX  256
#define ELEMENTS_ROOM (ELEMENTS_MAX * 224 + MESSAGE_ROOM)

#define TYPE_BITS 6 /* of each type in a concatenation's; nft: datatype.h */

#define DEFINE_CLEANUP(type)                        \
	static void type##_cleanup(struct type **p) \
	{                                           \
		if (*p)                             \
			type##_free(*p);            \
	}                                           \
	struct type
DEFINE_CLEANUP(nftnl_table);
DEFINE_CLEANUP(nftnl_chain);
DEFINE_CLEANUP(nftnl_rule);
DEFINE_CLEANUP(nftnl_set);
DEFINE_CLEANUP(nftnl_set_elem);
DEFINE_CLEANUP(nftnl_obj);
DEFINE_CLEANUP(nftnl_udata_buf);
#define auto_free(type) __attribute__((cleanup(type##_cleanup))) struct type *

/* What a message is about, for whoever has to tell the user what the kernel refused. */
enum subject { ON_TRANSACTION, ON_TABLE, ON_SET, ON_ELEMENT, ON_CHAIN, ON_RULE, ON_COUNTER };

struct label {
	enum subject subject;
	const char *name;
};

static int reserve(struct ph_batch *b, size_t n)
{
	size_t room = b->room ? b->room : (size_t)2 * MESSAGE_ROOM;
	char *data;

	while (room - b->len < n)
		room *= 2;
	if (room == b->room)
		return 0;
	data = realloc(b->data, room);
	if (!data)
		return -ENOMEM;
	b->data = data;
	b->room = room;
	return 0;
}

static int put_label(struct ph_batch *b, enum subject subject, const char *name)
{
	if (b->n_labels == b->labels_room) {
		size_t room = b->labels_room ? 2 * b->labels_room : 32;
		struct label *label = reallocarray(b->label, room, sizeof(*label));

		if (!label)
			return -ENOMEM;
		b->label = label;
		b->labels_room = room;
	}
	b->label[b->n_labels++] = (struct label){ subject, name };
	return 0;
}

/* Begins the next message and makes room for it. NULL: no memory. */
static struct nlmsghdr *open_message(struct ph_batch *b, uint16_t type, uint16_t flags, size_t room,
				     enum subject subject, const char *name)
{
	if (reserve(b, room) < 0 || put_label(b, subject, name) < 0)
		return NULL;
	return nftnl_nlmsg_build_hdr(b->data + b->len, type, NFPROTO_INET, flags, b->next_seq++);
}

static void close_message(struct ph_batch *b, const struct nlmsghdr *nlh)
{
	b->last = b->len;
	b->len += NLMSG_ALIGN(nlh->nlmsg_len);
	assert(b->len <= b->room);
}

static int put_frame(struct ph_batch *b, struct nlmsghdr *(*put)(char *buf, uint32_t seq))
{
	struct nlmsghdr *nlh;

	if (reserve(b, MESSAGE_ROOM) < 0 || put_label(b, ON_TRANSACTION, "") < 0)
		return -ENOMEM;
	nlh = put(b->data + b->len, b->next_seq++);
	b->len += NLMSG_ALIGN(nlh->nlmsg_len);
	return 0;
}

int ph_batch_init(struct ph_batch *b, uint32_t first_seq)
{
	*b = (struct ph_batch){ .first_seq = first_seq, .next_seq = first_seq };
	return put_frame(b, nftnl_batch_begin);
}

void ph_batch_done(struct ph_batch *b)
{
	free(b->data);
	free(b->label);
}

int ph_batch_end(struct ph_batch *b, uint32_t *ret_last_seq)
{
	struct nlmsghdr *nlh;
	int r;

	assert(b->last);
	r = put_frame(b, nftnl_batch_end);
	if (r < 0)
		return r;
	nlh = (struct nlmsghdr *)(void *)(b->data + b->last);
	nlh->nlmsg_flags |= NLM_F_ACK;
	*ret_last_seq = nlh->nlmsg_seq;
	return 0;
}

static int put_table(struct ph_batch *b, uint16_t type, uint16_t flags, bool owner)
{
	auto_free(nftnl_table) t = nftnl_table_alloc();
	uint32_t value = NFT_TABLE_F_OWNER;
	struct nlmsghdr *nlh;

	if (!t || nftnl_table_set_str(t, NFTNL_TABLE_NAME, PH_TABLE_NAME) < 0)
		return -ENOMEM;
	if (owner && nftnl_table_set_data(t, NFTNL_TABLE_FLAGS, &value, sizeof(value)) < 0)
		return -ENOMEM;
	nlh = open_message(b, type, flags, MESSAGE_ROOM, ON_TABLE, PH_TABLE_NAME);
	if (!nlh)
		return -ENOMEM;
	nftnl_table_nlmsg_build_payload(nlh, t);
	close_message(b, nlh);
	return 0;
}

int ph_batch_add_table(struct ph_batch *b, bool owner)
{
	if (owner)
		b->owner_seq = b->next_seq;
	return put_table(b, NFT_MSG_NEWTABLE, NLM_F_CREATE, owner);
}

int ph_batch_delete_table(struct ph_batch *b)
{
	return put_table(b, NFT_MSG_DELTABLE, 0, false);
}

static int put_counter(struct ph_batch *b, uint16_t type, uint16_t flags, const char *name)
{
	auto_free(nftnl_obj) o = nftnl_obj_alloc();
	struct nlmsghdr *nlh;

	if (!o)
		return -ENOMEM;
	nftnl_obj_set_u32(o, NFTNL_OBJ_TYPE, NFT_OBJECT_COUNTER);
	nftnl_obj_set_str(o, NFTNL_OBJ_TABLE, PH_TABLE_NAME);
	nftnl_obj_set_str(o, NFTNL_OBJ_NAME, name);
	/* These do not say whether they have copied. */
	if (!nftnl_obj_get_str(o, NFTNL_OBJ_TABLE) || !nftnl_obj_get_str(o, NFTNL_OBJ_NAME))
		return -ENOMEM;
	nlh = open_message(b, type, flags, MESSAGE_ROOM, ON_COUNTER, name);
	if (!nlh)
		return -ENOMEM;
	nftnl_obj_nlmsg_build_payload(nlh, o);
	close_message(b, nlh);
	return 0;
}

/* nft's number of a type; nft: datatype.h, enum datatypes. */
static uint32_t type_number(enum ph_type type)
{
	switch (type) {
	case PH_TYPE_IPV4_ADDR:
		return 7;
	case PH_TYPE_IPV6_ADDR:
		return 8;
	case PH_TYPE_INET_PROTO:
		return 12;
	case PH_TYPE_INET_SERVICE:
		return 13;
	case PH_TYPE_IFNAME:
		return 41;
	}
	assert(false && "a type is one of those above");
	return 0;
}

static uint32_t concatenated(const enum ph_type *types, size_t n)
{
	uint32_t number = 0;

	for (size_t i = 0; i < n; i++)
		number = number << TYPE_BITS | type_number(types[i]);
	return number;
}

static bool set_u32(struct nftnl_set *s, uint16_t attribute, uint32_t value)
{
	return nftnl_set_set_data(s, attribute, &value, sizeof(value)) == 0;
}

/* nft: datatype.h, enum byteorder. An interface name is in the host's, an address in the network's,
 * a concatenation has none. */
static uint32_t byte_order(const enum ph_type *types, size_t n)
{
	if (n > 1)
		return 0;
	return types[0] == PH_TYPE_IFNAME ? 1 : 2;
}

/* nft's notes to itself: the byte order of keys and data. Without them it could not print the
 * elements. */
static int put_byte_orders(struct nftnl_set *s, const struct ph_set_def *def)
{
	auto_free(nftnl_udata_buf) udata = nftnl_udata_buf_alloc(NFT_USERDATA_MAXLEN);
	uint32_t key = byte_order(def->key, def->n_key);

	if (!udata || !nftnl_udata_put_u32(udata, NFTNL_UDATA_SET_KEYBYTEORDER, key))
		return -ENOMEM;
	if (def->kind == PH_SET_DATA && !nftnl_udata_put_u32(udata, NFTNL_UDATA_SET_DATABYTEORDER,
							     byte_order(def->data, def->n_data)))
		return -ENOMEM;
	return nftnl_set_set_data(s, NFTNL_SET_USERDATA, nftnl_udata_buf_data(udata),
				  nftnl_udata_buf_len(udata)) < 0
		       ? -ENOMEM
		       : 0;
}

static struct nftnl_set *named_set(const struct ph_set_def *def)
{
	struct nftnl_set *s = nftnl_set_alloc();

	if (s && nftnl_set_set_str(s, NFTNL_SET_TABLE, PH_TABLE_NAME) == 0 &&
	    nftnl_set_set_str(s, NFTNL_SET_NAME, def->name) == 0)
		return s;
	if (s)
		nftnl_set_free(s);
	return NULL;
}

static uint32_t set_flags(enum ph_set_kind kind)
{
	switch (kind) {
	case PH_SET_PLAIN:
		return 0;
	case PH_SET_RANGES:
		return NFT_SET_INTERVAL;
	case PH_SET_VERDICT:
	case PH_SET_DATA:
		return NFT_SET_MAP;
	}
	assert(false && "a set is one of those above");
	return 0;
}

static bool define_set(struct nftnl_set *s, const struct ph_set_def *def, uint32_t id)
{
	if (!set_u32(s, NFTNL_SET_ID, id) || !set_u32(s, NFTNL_SET_FLAGS, set_flags(def->kind)) ||
	    !set_u32(s, NFTNL_SET_KEY_TYPE, concatenated(def->key, def->n_key)) ||
	    !set_u32(s, NFTNL_SET_KEY_LEN, (uint32_t)ph_set_key_octets(def)))
		return false;
	switch (def->kind) {
	case PH_SET_PLAIN:
	case PH_SET_RANGES:
		return true;
	case PH_SET_VERDICT:
		return set_u32(s, NFTNL_SET_DATA_TYPE, NFT_DATA_VERDICT) &&
		       set_u32(s, NFTNL_SET_DATA_LEN, 0);
	case PH_SET_DATA:
		return set_u32(s, NFTNL_SET_DATA_TYPE, concatenated(def->data, def->n_data)) &&
		       set_u32(s, NFTNL_SET_DATA_LEN, (uint32_t)ph_set_data_octets(def));
	}
	assert(false && "a set is one of those above");
	return false;
}

static int put_set(struct ph_batch *b, uint16_t type, uint16_t flags, const struct ph_set_def *def)
{
	auto_free(nftnl_set) s = named_set(def);
	struct nlmsghdr *nlh;

	if (!s)
		return -ENOMEM;
	/* The kernel wants an identity that is unique within the transaction. */
	if (type == NFT_MSG_NEWSET &&
	    (!define_set(s, def, b->next_seq) || put_byte_orders(s, def) < 0))
		return -ENOMEM;
	nlh = open_message(b, type, flags, MESSAGE_ROOM, ON_SET, def->name);
	if (!nlh)
		return -ENOMEM;
	nftnl_set_nlmsg_build_payload(nlh, s);
	close_message(b, nlh);
	return 0;
}

/* nft's notes to itself about an element: its comment, or its flags. */
static int set_notes(struct nftnl_set_elem *elem, const char *comment, uint32_t flags)
{
	auto_free(nftnl_udata_buf) udata = nftnl_udata_buf_alloc(NFT_USERDATA_MAXLEN);

	if (!udata)
		return -ENOMEM;
	if (comment && !nftnl_udata_put_strz(udata, NFTNL_UDATA_SET_ELEM_COMMENT, comment))
		return -ENOMEM;
	if (flags && !nftnl_udata_put_u32(udata, NFTNL_UDATA_SET_ELEM_FLAGS, flags))
		return -ENOMEM;
	return nftnl_set_elem_set(elem, NFTNL_SET_ELEM_USERDATA, nftnl_udata_buf_data(udata),
				  nftnl_udata_buf_len(udata)) < 0
		       ? -ENOMEM
		       : 0;
}

/* What an element has besides its key. */
static int set_value(struct nftnl_set_elem *elem, const struct ph_set_def *def,
		     const struct ph_element *e)
{
	const int32_t verdict = NFT_GOTO;
	char comment[PH_COMMENT_STRLEN];

	switch (def->kind) {
	case PH_SET_PLAIN:
		return ph_element_comment(e, comment) ? set_notes(elem, comment, 0) : 0;
	case PH_SET_DATA:
		return nftnl_set_elem_set(elem, NFTNL_SET_ELEM_DATA, e->data,
					  (uint32_t)ph_set_data_octets(def)) < 0
			       ? -ENOMEM
			       : 0;
	case PH_SET_VERDICT:
		if (nftnl_set_elem_set(elem, NFTNL_SET_ELEM_VERDICT, &verdict, sizeof(verdict)) <
			    0 ||
		    nftnl_set_elem_set_str(elem, NFTNL_SET_ELEM_CHAIN, e->chain) < 0)
			return -ENOMEM;
		return 0;
	case PH_SET_RANGES:
		break;
	}
	assert(false && "a set of elements is one of those above");
	return -EINVAL;
}

static int add_element(struct nftnl_set *s, const struct ph_set_def *def,
		       const struct ph_element *e, bool with_value)
{
	auto_free(nftnl_set_elem) elem = nftnl_set_elem_alloc();

	if (!elem || nftnl_set_elem_set(elem, NFTNL_SET_ELEM_KEY, e->key,
					(uint32_t)ph_set_key_octets(def)) < 0)
		return -ENOMEM;
	if (with_value && set_value(elem, def, e) < 0)
		return -ENOMEM;
	nftnl_set_elem_add(s, elem);
	elem = NULL;
	return 0;
}

/* One end of a range: the first address that is in it, or the first behind it that is not. */
enum boundary { RANGE_BEGINS, RANGE_BEGINS_OPEN, RANGE_ENDS };

static int add_boundary(struct nftnl_set *s, const uint8_t *key, size_t octets, enum boundary kind)
{
	auto_free(nftnl_set_elem) elem = nftnl_set_elem_alloc();
	const uint32_t flags = NFT_SET_ELEM_INTERVAL_END;

	if (!elem || nftnl_set_elem_set(elem, NFTNL_SET_ELEM_KEY, key, (uint32_t)octets) < 0)
		return -ENOMEM;
	if (kind == RANGE_ENDS &&
	    nftnl_set_elem_set(elem, NFTNL_SET_ELEM_FLAGS, &flags, sizeof(flags)) < 0)
		return -ENOMEM;
	if (kind == RANGE_BEGINS_OPEN && set_notes(elem, NULL, NFTNL_SET_ELEM_F_INTERVAL_OPEN) < 0)
		return -ENOMEM;
	nftnl_set_elem_add(s, elem);
	elem = NULL;
	return 0;
}

/* A range that reaches to the last address of all has no end. */
static int add_range(struct nftnl_set *s, const struct ph_set_def *def,
		     const struct ph_range *range)
{
	size_t octets = ph_set_key_octets(def);
	uint8_t behind[sizeof(range->last)];
	size_t i = octets;

	memcpy(behind, range->last, octets);
	while (i && ++behind[i - 1] == 0)
		i--;
	if (add_boundary(s, range->first, octets, i ? RANGE_BEGINS : RANGE_BEGINS_OPEN) < 0)
		return -ENOMEM;
	return i ? add_boundary(s, behind, octets, RANGE_ENDS) : 0;
}

/* One message for n neighbouring steps, all of the same kind and for the same set. */
static int put_elements(struct ph_batch *b, const struct ph_op *ops, size_t n)
{
	const struct ph_set_def *def = ops->set;
	bool add = ops->kind == PH_OP_ADD_ELEMENT;
	auto_free(nftnl_set) s = named_set(def);
	struct nlmsghdr *nlh;

	if (!s)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		int r = def->kind == PH_SET_RANGES ? add_range(s, def, ops[i].range)
						   : add_element(s, def, ops[i].element, add);

		if (r < 0)
			return r;
	}
	nlh = open_message(b, add ? NFT_MSG_NEWSETELEM : NFT_MSG_DELSETELEM,
			   add ? NLM_F_CREATE | NLM_F_EXCL : 0, ELEMENTS_ROOM, ON_ELEMENT,
			   def->name);
	if (!nlh)
		return -ENOMEM;
	nftnl_set_elems_nlmsg_build_payload(nlh, s);
	close_message(b, nlh);
	return 0;
}

static uint32_t hook_number(enum ph_chain_hook hook)
{
	switch (hook) {
	case PH_HOOK_PREROUTING:
		return NF_INET_PRE_ROUTING;
	case PH_HOOK_OUTPUT:
		return NF_INET_LOCAL_OUT;
	case PH_HOOK_POSTROUTING:
		return NF_INET_POST_ROUTING;
	case PH_HOOK_NONE:
		break;
	}
	assert(false && "a hook is one of those above");
	return 0;
}

static bool hook_chain(struct nftnl_chain *c, const struct ph_chain *chain)
{
	const uint32_t hook = hook_number(chain->hook);

	return nftnl_chain_set_str(c, NFTNL_CHAIN_TYPE, ph_chain_type_name(chain->type)) == 0 &&
	       nftnl_chain_set_data(c, NFTNL_CHAIN_HOOKNUM, &hook, sizeof(hook)) == 0 &&
	       nftnl_chain_set_data(c, NFTNL_CHAIN_PRIO, &chain->priority,
				    sizeof(chain->priority)) == 0;
}

static int put_chain(struct ph_batch *b, uint16_t type, uint16_t flags,
		     const struct ph_chain *chain)
{
	auto_free(nftnl_chain) c = nftnl_chain_alloc();
	struct nlmsghdr *nlh;

	if (!c || nftnl_chain_set_str(c, NFTNL_CHAIN_TABLE, PH_TABLE_NAME) < 0 ||
	    nftnl_chain_set_str(c, NFTNL_CHAIN_NAME, chain->name) < 0)
		return -ENOMEM;
	if (type == NFT_MSG_NEWCHAIN && chain->hook != PH_HOOK_NONE && !hook_chain(c, chain))
		return -ENOMEM;
	nlh = open_message(b, type, flags, MESSAGE_ROOM, ON_CHAIN, chain->name);
	if (!nlh)
		return -ENOMEM;
	nftnl_chain_nlmsg_build_payload(nlh, c);
	close_message(b, nlh);
	return 0;
}

/* Without a rule: all rules of the chain. */
static int put_rule(struct ph_batch *b, uint16_t type, uint16_t flags, const struct ph_chain *chain,
		    const struct ph_rule *rule)
{
	auto_free(nftnl_rule) r = nftnl_rule_alloc();
	struct nlmsghdr *nlh;

	if (!r || nftnl_rule_set_str(r, NFTNL_RULE_TABLE, PH_TABLE_NAME) < 0 ||
	    nftnl_rule_set_str(r, NFTNL_RULE_CHAIN, chain->name) < 0)
		return -ENOMEM;
	if (rule && ph_rule_encode(rule, r) < 0)
		return -ENOMEM;
	nlh = open_message(b, type, flags, MESSAGE_ROOM, ON_RULE, chain->name);
	if (!nlh)
		return -ENOMEM;
	nftnl_rule_nlmsg_build_payload(nlh, r);
	close_message(b, nlh);
	return 0;
}

static int put_step(struct ph_batch *b, const struct ph_op *op)
{
	const uint16_t create = NLM_F_CREATE | NLM_F_EXCL;

	switch (op->kind) {
	case PH_OP_DEL_ELEMENT:
	case PH_OP_ADD_ELEMENT:
		return put_elements(b, op, 1);
	case PH_OP_FLUSH_CHAIN:
		return put_rule(b, NFT_MSG_DELRULE, 0, op->chain, NULL);
	case PH_OP_ADD_RULE:
		return put_rule(b, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, op->chain,
				op->rule);
	case PH_OP_DEL_CHAIN:
		return put_chain(b, NFT_MSG_DELCHAIN, 0, op->chain);
	case PH_OP_ADD_CHAIN:
		return put_chain(b, NFT_MSG_NEWCHAIN, create, op->chain);
	case PH_OP_DEL_SET:
		return put_set(b, NFT_MSG_DELSET, 0, op->set);
	case PH_OP_ADD_SET:
		return put_set(b, NFT_MSG_NEWSET, create, op->set);
	case PH_OP_DEL_COUNTER:
		return put_counter(b, NFT_MSG_DELOBJ, 0, op->counter);
	case PH_OP_ADD_COUNTER:
		return put_counter(b, NFT_MSG_NEWOBJ, create, op->counter);
	case PH_OP_KINDS:
		break;
	}
	assert(false && "a step is one of those above");
	return -EINVAL;
}

static bool is_element(const struct ph_op *op)
{
	return op->kind == PH_OP_ADD_ELEMENT || op->kind == PH_OP_DEL_ELEMENT;
}

int ph_batch_steps(struct ph_batch *b, const struct ph_op *ops, size_t n)
{
	for (size_t i = 0, together; i < n; i += together) {
		const struct ph_op *op = &ops[i];
		int r;

		together = 1;
		if (is_element(op)) {
			while (i + together < n && together < ELEMENTS_MAX &&
			       op[together].kind == op->kind && op[together].set == op->set)
				together++;
			r = put_elements(b, op, together);
		} else {
			r = put_step(b, op);
		}
		if (r < 0)
			return r;
	}
	return 0;
}

void ph_batch_describe(const struct ph_batch *b, uint32_t seq, char *buf, size_t size)
{
	static const char *const before[] = {
		[ON_TRANSACTION] = "transaction",
		[ON_TABLE] = "table inet ",
		[ON_SET] = "set ",
		[ON_ELEMENT] = "element of ",
		[ON_CHAIN] = "chain ",
		[ON_RULE] = "rule in chain ",
		[ON_COUNTER] = "counter ",
	};
	uint32_t at = seq - b->first_seq;

	if (at >= b->n_labels) {
		snprintf(buf, size, "unknown message");
		return;
	}
	snprintf(buf, size, "%s%s", before[b->label[at].subject], b->label[at].name);
}
