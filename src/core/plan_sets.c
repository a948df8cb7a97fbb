// SPDX-License-Identifier: GPL-2.0-or-later
/* The sets and maps and their elements. */

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "plan_internal.h"

#define RANK_TWIN(n)  ((n) == 4 ? 1 : 13)
#define RANK_LOCALNET 25
#define RANK_ALLOW    26

#define ENDPOINT_KEY(type) .n_key = 3, .key = { type, PH_TYPE_INET_PROTO, PH_TYPE_INET_SERVICE }
#define ENDPOINT_DATA(type) \
	.kind = PH_SET_DATA, ENDPOINT_KEY(type), .n_data = 2, .data = { type, PH_TYPE_INET_SERVICE }

#define PLAIN_DEF(word, n, behind, type)                                                  \
	static const struct ph_set_def def_##word##n = { .name = #word #n,                \
							 .rank = RANK_TWIN(n) + (behind), \
							 ENDPOINT_KEY(type) }
#define DATA_DEF(word, n, behind, type)                                                   \
	static const struct ph_set_def def_##word##n = { .name = #word #n,                \
							 .rank = RANK_TWIN(n) + (behind), \
							 ENDPOINT_DATA(type) }

#define TWIN_DEFS(n, type)                                                                 \
	PLAIN_DEF(peers, n, 0, type);                                                      \
	PLAIN_DEF(bound, n, 1, type);                                                      \
	PLAIN_DEF(borrowed, n, 2, type);                                                   \
	static const struct ph_set_def def_inbound##n = {                                  \
		.name = "inbound" #n,                                                      \
		.rank = RANK_TWIN(n) + 3,                                                  \
		.kind = PH_SET_VERDICT,                                                    \
		.n_key = 4,                                                                \
		.key = { PH_TYPE_IFNAME, type, PH_TYPE_INET_PROTO, PH_TYPE_INET_SERVICE }, \
	};                                                                                 \
	PLAIN_DEF(published, n, 4, type);                                                  \
	PLAIN_DEF(localhost, n, 5, type);                                                  \
	DATA_DEF(loopback, n, 6, type);                                                    \
	PLAIN_DEF(here, n, 7, type);                                                       \
	static const struct ph_set_def def_port##n = {                                     \
		.name = "port" #n,                                                         \
		.rank = RANK_TWIN(n) + 8,                                                  \
		.kind = PH_SET_DATA,                                                       \
		ENDPOINT_KEY(type),                                                        \
		.n_data = 1,                                                               \
		.data = { PH_TYPE_INET_SERVICE },                                          \
	};                                                                                 \
	DATA_DEF(source, n, 9, type);                                                      \
	DATA_DEF(borrow, n, 10, type);                                                     \
	DATA_DEF(answer, n, 11, type)

TWIN_DEFS(4, PH_TYPE_IPV4_ADDR);
TWIN_DEFS(6, PH_TYPE_IPV6_ADDR);

const struct ph_set_def ph_plan_uplinks = {
	.name = "uplinks",
	.n_key = 1,
	.key = { PH_TYPE_IFNAME },
};

const struct ph_set_def ph_plan_localnet = {
	.name = "localnet",
	.rank = RANK_LOCALNET,
	.n_key = 1,
	.key = { PH_TYPE_IFNAME },
};

const struct ph_set_def ph_plan_outside = {
	.name = "outside",
	.rank = RANK_LOCALNET, /* the names tell them apart */
	.n_key = 1,
	.key = { PH_TYPE_IFNAME },
};

#define TWIN(n)                                                                                 \
	{                                                                                       \
		.family = PH_IPV##n, .peers = &def_peers##n, .bound = &def_bound##n,            \
		.borrowed = &def_borrowed##n, .inbound = &def_inbound##n,                       \
		.published = &def_published##n, .localhost = &def_localhost##n,                 \
		.loopback = &def_loopback##n, .here = &def_here##n, .port = &def_port##n,       \
		.source = &def_source##n, .borrow = &def_borrow##n, .answer = &def_answer##n,   \
		.from = { PH_IPV##n, 3, { PH_SEL_SADDR, PH_SEL_L4PROTO, PH_SEL_SPORT } },       \
		.to = { PH_IPV##n, 3, { PH_SEL_DADDR, PH_SEL_L4PROTO, PH_SEL_DPORT } },         \
		.to_udp = { PH_IPV##n, 3, { PH_SEL_DADDR, PH_SEL_L4PROTO, PH_SEL_UDP_DPORT } }, \
		.arrival = { PH_IPV##n,                                                         \
			     4,                                                                 \
			     { PH_SEL_IIFNAME, PH_SEL_DADDR, PH_SEL_L4PROTO, PH_SEL_DPORT } },  \
		.sender = { PH_IPV##n, 1, { PH_SEL_SADDR } },                                   \
	}

const struct ph_plan_twin ph_plan_twins[PH_PLAN_TWINS] = { TWIN(4), TWIN(6) };

/* ---- elements of one mapping; each function writes at most two and returns how many ---- */

static void put_key(struct ph_element *e, const struct ph_plan_mapping *p,
		    const struct ph_endpoint *key)
{
	ph_plan_put_endpoint(e->key, 0, p->proto, key);
}

static struct ph_endpoint own_endpoint(const struct ph_plan_mapping *p)
{
	struct ph_endpoint own = p->private_endpoint;

	own.port = p->own_port;
	return own;
}

static size_t put_private(const struct ph_plan_entry *entry, struct ph_element *e)
{
	const struct ph_plan_mapping *p = entry->mapping;

	put_key(e, p, &p->private_endpoint);
	e->about = entry->about;
	e->endpoint = p->public_endpoint;
	return 1;
}

static size_t put_bound(const struct ph_plan_entry *entry, struct ph_element *e)
{
	return entry->mapping->own_port ? 0 : put_private(entry, e);
}

static size_t put_borrowed(const struct ph_plan_entry *entry, struct ph_element *e)
{
	return entry->mapping->own_port ? put_private(entry, e) : 0;
}

static size_t put_inbound(const struct ph_plan_entry *entry, struct ph_element *e)
{
	const struct ph_plan_mapping *p = entry->mapping;

	if (!entry->chain)
		return 0;
	ph_plan_put_endpoint(e->key, ph_plan_put_interface(e->key, 0, p->interface), p->proto,
			     &p->private_endpoint);
	e->chain = entry->chain;
	return 1;
}

static size_t put_source(const struct ph_plan_entry *entry, struct ph_element *e)
{
	const struct ph_plan_mapping *p = entry->mapping;

	put_key(e, p, &p->private_endpoint);
	ph_plan_put_socket(e->data, 0, &p->private_endpoint);
	return 1;
}

static size_t put_borrow(const struct ph_plan_entry *entry, struct ph_element *e)
{
	const struct ph_plan_mapping *p = entry->mapping;
	struct ph_endpoint own = own_endpoint(p);

	if (!p->own_port)
		return 0;
	put_key(e, p, &own);
	ph_plan_put_socket(e->data, 0, &p->private_endpoint);
	return 1;
}

static size_t put_answer(const struct ph_plan_entry *entry, struct ph_element *e)
{
	const struct ph_plan_mapping *p = entry->mapping;
	struct ph_endpoint own = own_endpoint(p);

	if (!p->own_port)
		return 0;
	put_key(e, p, &p->private_endpoint);
	ph_plan_put_socket(e->data, 0, &own);
	return 1;
}

/* The endpoints by which clients inside reach the mapping. */
static size_t inside(const struct ph_plan_mapping *p, const struct ph_endpoint *ret_keys[static 2])
{
	size_t n = 0;

	if (!p->loopback || !ph_plan_is_open(p))
		return 0;
	ret_keys[n++] = &p->private_endpoint;
	if (p->public_endpoint.port && !p->public_is_inside &&
	    !ph_endpoint_equal(&p->public_endpoint, &p->private_endpoint))
		ret_keys[n++] = &p->public_endpoint;
	return n;
}

static size_t put_inside(const struct ph_plan_entry *entry, struct ph_element *e)
{
	const struct ph_endpoint *keys[2];
	size_t n = inside(entry->mapping, keys);

	for (size_t i = 0; i < n; i++) {
		put_key(&e[i], entry->mapping, keys[i]);
		e[i].about = entry->about;
	}
	return n;
}

/* To 127.0.0.0/8 only this machine gets; and a UDP service of this machine answers others from the
 * address that it takes for right, which is the one of the interface by which they came. */
static bool leads_everybody(const struct ph_plan_mapping *p)
{
	return !ph_plan_is_localnet(p) && !ph_plan_is_here(p);
}

static size_t put_published(const struct ph_plan_entry *entry, struct ph_element *e)
{
	return leads_everybody(entry->mapping) ? put_inside(entry, e) : 0;
}

static size_t put_localhost(const struct ph_plan_entry *entry, struct ph_element *e)
{
	return leads_everybody(entry->mapping) ? 0 : put_inside(entry, e);
}

static size_t put_here(const struct ph_plan_entry *entry, struct ph_element *e)
{
	return ph_plan_is_here(entry->mapping) ? put_inside(entry, e) : 0;
}

/* The port of a service of this machine; where nothing is translated, the bind port. */
static uint16_t local_port(const struct ph_plan_mapping *p)
{
	return p->target.kind == PH_TARGET_NONE ? p->private_endpoint.port : ph_plan_target_port(p);
}

static size_t put_local_port(const struct ph_plan_entry *entry, struct ph_element *e)
{
	const struct ph_endpoint *keys[2];
	size_t n = ph_plan_is_here(entry->mapping) ? inside(entry->mapping, keys) : 0;

	for (size_t i = 0; i < n; i++) {
		put_key(&e[i], entry->mapping, keys[i]);
		ph_plan_put_port(e[i].data, 0, local_port(entry->mapping));
	}
	return n;
}

static size_t put_loopback(const struct ph_plan_entry *entry, struct ph_element *e)
{
	const struct ph_plan_mapping *p = entry->mapping;
	struct ph_endpoint target = { p->private_endpoint.address, local_port(p) };
	const struct ph_endpoint *keys[2];
	size_t n = inside(p, keys);

	if (p->target.kind == PH_TARGET_ADDRESS)
		target.address = p->target.address;
	for (size_t i = 0; i < n; i++) {
		put_key(&e[i], p, keys[i]);
		ph_plan_put_socket(e[i].data, 0, &target);
	}
	return n;
}

static size_t put_localnet(const struct ph_plan_entry *entry, struct ph_element *e)
{
	const struct ph_plan_mapping *p = entry->mapping;

	if (!ph_plan_is_localnet(p))
		return 0;
	ph_plan_put_interface(e[0].key, 0, p->interface);
	if (*p->turned_from)
		ph_plan_put_interface(e[1].key, 0, p->turned_from);
	return *p->turned_from ? 2 : 1;
}

size_t ph_plan_elements_of(const struct ph_plan_mapping *p)
{
	const struct ph_endpoint *keys[2];

	/* Bound or borrowed, source; inbound; published or localhost, loopback; here, port; borrow,
	 * answer. */
	return 2u + (ph_plan_is_open(p) ? 1u : 0u) + 2u * inside(p, keys) +
	       (ph_plan_is_here(p) ? 4u : 0u) + (p->own_port ? 2u : 0u) +
	       (ph_plan_is_localnet(p) ? 2u : 0u);
}

/* ---- sets ---- */

static struct ph_set *open_set(struct ph_plan_maker *m, const struct ph_set_def *def)
{
	struct ph_set *set = &m->table->sets[m->table->n_sets++];

	set->def = def;
	set->elements = m->elements;
	return set;
}

static int element_compare(const void *a, const void *b)
{
	const struct ph_element *x = a, *y = b;

	return memcmp(x->key, y->key, sizeof(x->key));
}

/* qsort() need not be stable, and musl's is not: of several with one key the first that was made
 * stays the first. */
static int element_order(const void *a, const void *b)
{
	const struct ph_element *x = a, *y = b;
	int order = element_compare(x, y);

	return order ? order : (x->nth > y->nth) - (x->nth < y->nth);
}

/* Brings a set's elements into order, each once, and takes them out of what is to be handed out. */
static void close_set(struct ph_plan_maker *m, struct ph_set *set)
{
	size_t n = set->n_elements, kept = 0;

	for (size_t i = 0; i < n; i++)
		set->elements[i].nth = (uint32_t)i;
	for (size_t i = 1; i < n; i++)
		if (element_compare(&set->elements[i - 1], &set->elements[i]) > 0) {
			qsort(set->elements, n, sizeof(set->elements[0]), element_order);
			break;
		}
	for (size_t i = 0; i < n; i++) {
		/* One address on two uplinks: the interface is no part of most keys. */
		if (kept && !element_compare(&set->elements[kept - 1], &set->elements[i])) {
			set->elements[kept - 1].shared = true;
			continue;
		}
		if (kept != i)
			set->elements[kept] = set->elements[i];
		kept++;
	}
	set->n_elements = kept;
	m->elements += n;
}

static void make_set_from_keys(struct ph_plan_maker *m, const struct ph_set_def *def,
			       const struct ph_plan_keys *keys)
{
	struct ph_set *set = open_set(m, def);

	set->n_elements = keys->n;
	for (size_t i = 0; i < keys->n; i++)
		memcpy(set->elements[i].key, keys->keys[i].octets, PH_KEY_MAX);
	close_set(m, set);
}

/* A set of what put() makes of the mappings of the family. */
static void make_set(struct ph_plan_maker *m, enum ph_family family, const struct ph_set_def *def,
		     size_t (*put)(const struct ph_plan_entry *entry, struct ph_element *e))
{
	struct ph_set *set = open_set(m, def);

	for (size_t i = 0; i < m->sorted->n_endpoints; i++) {
		const struct ph_plan_entry *entry = m->sorted->by_endpoint[i];

		if (entry->mapping->private_endpoint.address.family == family)
			set->n_elements += put(entry, &set->elements[set->n_elements]);
	}
	close_set(m, set);
}

static void make_twin(struct ph_plan_maker *m, const struct ph_plan_twin *t)
{
	const struct ph_plan_sorted *s = m->sorted;
	bool four = t->family == PH_IPV4;
	bool borrows = four ? s->borrows4 : s->borrows6;

	make_set_from_keys(m, t->peers, four ? &s->peers4 : &s->peers6);
	make_set(m, t->family, t->bound, put_bound);
	if (borrows)
		make_set(m, t->family, t->borrowed, put_borrowed);
	make_set(m, t->family, t->inbound, put_inbound);
	make_set(m, t->family, t->published, put_published);
	if (four ? s->localhost4 : s->localhost6)
		make_set(m, t->family, t->localhost, put_localhost);
	make_set(m, t->family, t->loopback, put_loopback);
	if (four ? s->here4 : s->here6) {
		make_set(m, t->family, t->here, put_here);
		make_set(m, t->family, t->port, put_local_port);
	}
	make_set(m, t->family, t->source, put_source);
	if (borrows) {
		make_set(m, t->family, t->borrow, put_borrow);
		make_set(m, t->family, t->answer, put_answer);
	}
}

void ph_plan_make_defs(struct ph_plan_maker *m)
{
	for (size_t i = 0; i < m->sorted->n_names; i++) {
		struct ph_plan_entry *entry = m->sorted->by_name[i];
		const struct ph_plan_mapping *p = entry->mapping;
		const struct ph_plan_entry *before = i ? m->sorted->by_name[i - 1] : NULL;
		bool four;

		if (!p->allow || !ph_plan_is_open(p))
			continue;
		/* While it moves, both bind ports have one. */
		if (before && before->allow && before->name == entry->name) {
			entry->allow = before->allow;
			continue;
		}
		four = p->allow->family == PH_IPV4;
		*m->defs = (struct ph_set_def){
			.name = ph_plan_text(m, four ? "allow4-" : "allow6-", p->name),
			.rank = RANK_ALLOW,
			.kind = PH_SET_RANGES,
			.n_key = 1,
			.key = { four ? PH_TYPE_IPV4_ADDR : PH_TYPE_IPV6_ADDR },
		};
		entry->allow = m->defs++;
	}
}

/* In the order of their names: those of IPv4 come first. */
static void make_allow_sets(struct ph_plan_maker *m, enum ph_family family)
{
	for (size_t i = 0; i < m->sorted->n_names; i++) {
		const struct ph_plan_entry *entry = m->sorted->by_name[i];
		const struct ph_table *t = m->table;

		if (!entry->allow || entry->mapping->allow->family != family ||
		    t->sets[t->n_sets - 1].def == entry->allow)
			continue;
		open_set(m, entry->allow)->ranges = ph_prefixes_ref(entry->mapping->allow);
	}
}

void ph_plan_make_sets(struct ph_plan_maker *m)
{
	make_set_from_keys(m, &ph_plan_uplinks, &m->sorted->uplinks);
	for (size_t i = 0; i < PH_PLAN_TWINS; i++)
		make_twin(m, &ph_plan_twins[i]);
	if (m->sorted->localnet)
		make_set(m, PH_IPV4, &ph_plan_localnet, put_localnet);
	if (m->sorted->outside.n)
		make_set_from_keys(m, &ph_plan_outside, &m->sorted->outside);
	make_allow_sets(m, PH_IPV4);
	make_allow_sets(m, PH_IPV6);
}
