// SPDX-License-Identifier: GPL-2.0-or-later
/* What the kernel has counted. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <libnftnl/common.h>
#include <libnftnl/object.h>
#include <libnftnl/table.h>

#include <pinhold/nft.h>

#include "batch.h"
#include "question.h"

#define QUESTION_OCTETS 1024 /* two names and a header take under 300 */
/* The table changed while it was being listed: how often that is begun again. */
#define ATTEMPTS 8

/* The question for the table's counters, or with a name for that one. */
static int put_question(char buf[static QUESTION_OCTETS], const char *name)
{
	struct nftnl_obj *o = nftnl_obj_alloc();
	struct nlmsghdr *nlh;
	int r = -ENOMEM;

	if (!o)
		return r;
	nftnl_obj_set_u32(o, NFTNL_OBJ_TYPE, NFT_OBJECT_COUNTER);
	nftnl_obj_set_str(o, NFTNL_OBJ_TABLE, PH_TABLE_NAME);
	if (name)
		nftnl_obj_set_str(o, NFTNL_OBJ_NAME, name);
	/* These do not say whether they have copied. */
	if (nftnl_obj_get_str(o, NFTNL_OBJ_TABLE) &&
	    (!name || nftnl_obj_get_str(o, NFTNL_OBJ_NAME))) {
		nlh = nftnl_nlmsg_build_hdr(buf, NFT_MSG_GETOBJ, NFPROTO_INET,
					    name ? 0 : NLM_F_DUMP, 0);
		nftnl_obj_nlmsg_build_payload(nlh, o);
		r = 0;
	}
	nftnl_obj_free(o);
	return r;
}

/* 1 and a counter of our table; 0: something else, or a name that no mapping has; -errno. */
static int parse_counter(const struct nlmsghdr *nlh, struct ph_counter *ret_counter)
{
	struct nftnl_obj *o;
	const char *table, *name;
	int r = 0;

	if (nlh->nlmsg_type != (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWOBJ))
		return 0;
	o = nftnl_obj_alloc();
	if (!o)
		return -ENOMEM;
	if (nftnl_obj_nlmsg_parse(nlh, o) < 0) {
		nftnl_obj_free(o);
		return -EPROTO;
	}
	table = nftnl_obj_get_str(o, NFTNL_OBJ_TABLE);
	name = nftnl_obj_get_str(o, NFTNL_OBJ_NAME);
	/* The kernel always says both; libnftnl does not say that it could not copy them. */
	if (!table || !name)
		r = -ENOMEM;
	else if (!strcmp(table, PH_TABLE_NAME) && strlen(name) <= PH_NAME_MAX &&
		 nftnl_obj_get_u32(o, NFTNL_OBJ_TYPE) == NFT_OBJECT_COUNTER &&
		 nftnl_obj_is_set(o, NFTNL_OBJ_CTR_PKTS)) {
		*ret_counter =
			(struct ph_counter){ .packets = nftnl_obj_get_u64(o, NFTNL_OBJ_CTR_PKTS) };
		memcpy(ret_counter->name, name, strlen(name));
		r = 1;
	}
	nftnl_obj_free(o);
	return r;
}

struct counters {
	struct ph_counter *list;
	size_t n, room;
};

static int take_into_list(const struct nlmsghdr *nlh, void *data)
{
	struct counters *c = data;
	struct ph_counter counter;
	int r = parse_counter(nlh, &counter);

	if (r <= 0)
		return r;
	if (c->n == c->room) {
		size_t room = c->room ? 2 * c->room : 32;
		struct ph_counter *list = reallocarray(c->list, room, sizeof(*list));

		if (!list)
			return -ENOMEM;
		c->list = list;
		c->room = room;
	}
	c->list[c->n++] = counter;
	return 0;
}

static int take_one(const struct nlmsghdr *nlh, void *data)
{
	int r = parse_counter(nlh, data);

	return r == 0 ? -EPROTO : (r < 0 ? r : 0);
}

static int take_nothing(const struct nlmsghdr *nlh, void *data)
{
	(void)nlh;
	(void)data;
	return 0;
}

/* 0, -ENOENT, -errno. */
static int ask_for_table(void)
{
	char buf[QUESTION_OCTETS] __attribute__((aligned(MNL_ALIGNTO)));
	struct nftnl_table *t = nftnl_table_alloc();
	struct nlmsghdr *nlh;

	if (!t)
		return -ENOMEM;
	if (nftnl_table_set_str(t, NFTNL_TABLE_NAME, PH_TABLE_NAME) < 0) {
		nftnl_table_free(t);
		return -ENOMEM;
	}
	nlh = nftnl_nlmsg_build_hdr(buf, NFT_MSG_GETTABLE, NFPROTO_INET, 0, 0);
	nftnl_table_nlmsg_build_payload(nlh, t);
	nftnl_table_free(t);
	return ph_ask(nlh, take_nothing, NULL);
}

static int compare_names(const void *a, const void *b)
{
	const struct ph_counter *x = a, *y = b;

	return strcmp(x->name, y->name);
}

int ph_nft_counters(struct ph_counter **ret_counters, size_t *ret_n)
{
	char buf[QUESTION_OCTETS] __attribute__((aligned(MNL_ALIGNTO)));
	struct counters c = {};
	int r = put_question(buf, NULL);

	if (r < 0)
		return r;
	for (unsigned i = 0; i < ATTEMPTS; i++) {
		c.n = 0;
		r = ph_ask((struct nlmsghdr *)(void *)buf, take_into_list, &c);
		if (r != -EAGAIN && r != -ENOBUFS)
			break;
	}
	/* To a dump a table that is not there is one without counters. */
	if (r == 0 && c.n == 0)
		r = ask_for_table();
	if (r < 0) {
		free(c.list);
		return r;
	}
	if (c.n)
		qsort(c.list, c.n, sizeof(*c.list), compare_names);
	*ret_counters = c.list;
	*ret_n = c.n;
	return 0;
}

const struct ph_counter *ph_counter_find(const struct ph_counter *counters, size_t n,
					 const char *name)
{
	size_t low = 0, high = n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(counters[middle].name, name);

		if (order == 0)
			return &counters[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

int ph_nft_counter(const char *name, uint64_t *ret_packets)
{
	char buf[QUESTION_OCTETS] __attribute__((aligned(MNL_ALIGNTO)));
	struct ph_counter counter;
	int r;

	if (strlen(name) > PH_NAME_MAX)
		return -ENOENT;
	r = put_question(buf, name);
	if (r == 0)
		r = ph_ask((struct nlmsghdr *)(void *)buf, take_one, &counter);
	if (r == 0)
		*ret_packets = counter.packets;
	return r;
}
