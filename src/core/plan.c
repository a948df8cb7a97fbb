// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * From mappings to the table that ought to exist. The rules of the two base chains are the same in
 * every table (but for the mark); all that a mapping brings is its counter, one chain with one
 * rule, and elements.
 *
 * The work grows with the number of mappings and is done anew for every change, so it stays cheap:
 * sizes are counted first and everything is one allocation; what comes in order already is not
 * sorted again.
 */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <pinhold/table.h>

#include "plan_internal.h"

#define BASE_CHAINS     2
#define BASE_RULES      6
#define BASE_STATEMENTS 16
#define RULE_STATEMENTS 4 /* of a mapping's chain */

/* Five before Docker's, firewalld's and fw4's translation, which stands at dstnat and srcnat
 * itself. */
#define PRIORITY_PREROUTING  (-100 - 5)
#define PRIORITY_POSTROUTING (100 - 5)

static const struct ph_key key_iif = { .n = 1, .parts = { PH_SEL_IIFNAME } };
static const struct ph_key key_oif = { .n = 1, .parts = { PH_SEL_OIFNAME } };

/* What there is once a family. */
struct twin {
	enum ph_family family;
	const struct ph_set_def *peers, *bound, *inbound, *source;
	struct ph_key from, to, arrival; /* source; destination; interface and destination */
};

#define ENDPOINT_KEY(type) .n_key = 3, .key = { type, PH_TYPE_INET_PROTO, PH_TYPE_INET_SERVICE }

static const struct ph_set_def def_uplinks = {
	.name = "uplinks",
	.n_key = 1,
	.key = { PH_TYPE_IFNAME },
};

#define TWIN_DEFS(n, first_rank, type)                                                     \
	static const struct ph_set_def def_peers##n = {                                    \
		.name = "peers" #n,                                                        \
		.rank = (first_rank),                                                      \
		ENDPOINT_KEY(type),                                                        \
	};                                                                                 \
	static const struct ph_set_def def_bound##n = {                                    \
		.name = "bound" #n,                                                        \
		.rank = (first_rank) + 1,                                                  \
		ENDPOINT_KEY(type),                                                        \
	};                                                                                 \
	static const struct ph_set_def def_inbound##n = {                                  \
		.name = "inbound" #n,                                                      \
		.rank = (first_rank) + 2,                                                  \
		.kind = PH_SET_VERDICT,                                                    \
		.n_key = 4,                                                                \
		.key = { PH_TYPE_IFNAME, type, PH_TYPE_INET_PROTO, PH_TYPE_INET_SERVICE }, \
	};                                                                                 \
	static const struct ph_set_def def_source##n = {                                   \
		.name = "source" #n,                                                       \
		.rank = (first_rank) + 3,                                                  \
		.kind = PH_SET_DATA,                                                       \
		ENDPOINT_KEY(type),                                                        \
		.n_data = 2,                                                               \
		.data = { type, PH_TYPE_INET_SERVICE },                                    \
	}

TWIN_DEFS(4, 1, PH_TYPE_IPV4_ADDR);
TWIN_DEFS(6, 5, PH_TYPE_IPV6_ADDR);

#define TWIN(n)                                                                                \
	{                                                                                      \
		.family = PH_IPV##n, .peers = &def_peers##n, .bound = &def_bound##n,           \
		.inbound = &def_inbound##n, .source = &def_source##n,                          \
		.from = { PH_IPV##n, 3, { PH_SEL_SADDR, PH_SEL_L4PROTO, PH_SEL_SPORT } },      \
		.to = { PH_IPV##n, 3, { PH_SEL_DADDR, PH_SEL_L4PROTO, PH_SEL_DPORT } },        \
		.arrival = { PH_IPV##n,                                                        \
			     4,                                                                \
			     { PH_SEL_IIFNAME, PH_SEL_DADDR, PH_SEL_L4PROTO, PH_SEL_DPORT } }, \
	}

static const struct twin twins[] = { TWIN(4), TWIN(6) };

#define N_TWINS (sizeof(twins) / sizeof(twins[0]))
#define N_SETS  (1 + 4 * N_TWINS)

/* The parts of the allocation that are still to be handed out. */
struct maker {
	const struct ph_plan_options *options;
	const struct ph_plan_sorted *sorted;
	struct ph_table *table;
	struct ph_element *elements;
	struct ph_rule *rules;
	struct ph_statement *statements;
	char *text, *text_end;
};

static const char *put_text(struct maker *m, const char *a, const char *b)
{
	char *start = m->text;

	m->text = stpcpy(stpcpy(start, a), b) + 1;
	assert(m->text <= m->text_end);
	return start;
}

static struct ph_statement *put_statement(struct maker *m, enum ph_statement_kind kind)
{
	struct ph_statement *s = m->statements++;

	s->kind = kind;
	return s;
}

static void put_lookup(struct maker *m, enum ph_statement_kind kind, const struct ph_key *key,
		       const struct ph_set_def *set)
{
	struct ph_statement *s = put_statement(m, kind);

	s->lookup.key = key;
	s->lookup.set = set;
}

static void put_mark(struct maker *m)
{
	struct ph_statement *s = put_statement(m, PH_STMT_MARK);

	s->mark.mark = m->options->mark;
	s->mark.mask = m->options->mask;
}

/* Makes a rule, the chain's next, of the statements put since first. */
static struct ph_rule *put_rule(struct maker *m, struct ph_chain *chain, struct ph_statement *first,
				const char *comment)
{
	struct ph_rule *rule = m->rules++;

	rule->statements = first;
	rule->n_statements = (size_t)(m->statements - first);
	rule->comment = comment;
	rule->endpoint.address.family = PH_IPV4; /* of none */
	if (!chain->n_rules)
		chain->rules = rule;
	chain->n_rules++;
	return rule;
}

static struct ph_chain *put_chain(struct maker *m, const char *name, uint8_t rank)
{
	struct ph_chain *chain = &m->table->chains[m->table->n_chains++];

	chain->name = name;
	chain->rank = rank;
	return chain;
}

static void make_prerouting(struct maker *m)
{
	struct ph_chain *chain = put_chain(m, "prerouting", 0);

	chain->hook = PH_HOOK_PREROUTING;
	chain->priority = PRIORITY_PREROUTING;
	for (size_t i = 0; i < N_TWINS; i++) {
		const struct twin *t = &twins[i];
		struct ph_statement *first = m->statements;

		/* First, because conntrack may have forgotten our own flows. */
		put_lookup(m, PH_STMT_MATCH, &key_iif, &def_uplinks);
		put_lookup(m, PH_STMT_MATCH, &t->from, t->peers);
		put_lookup(m, PH_STMT_MATCH, &t->to, t->bound);
		put_mark(m);
		put_statement(m, PH_STMT_RETURN);
		put_rule(m, chain, first, "our own servers: accepted, never translated");

		first = m->statements;
		put_lookup(m, PH_STMT_VMAP, &t->arrival, t->inbound);
		put_rule(m, chain, first, "from outside: to the mapping's chain");
	}
}

static void make_postrouting(struct maker *m)
{
	struct ph_chain *chain = put_chain(m, "postrouting", 1);

	chain->hook = PH_HOOK_POSTROUTING;
	chain->priority = PRIORITY_POSTROUTING;
	for (size_t i = 0; i < N_TWINS; i++) {
		struct ph_statement *first = m->statements;

		put_lookup(m, PH_STMT_MATCH, &key_oif, &def_uplinks);
		put_lookup(m, PH_STMT_SNAT_MAP, &twins[i].from, twins[i].source);
		put_rule(m, chain, first, "our own flows keep the bind port");
	}
}

static void put_translation(struct maker *m, const struct ph_plan_mapping *p)
{
	uint16_t port = p->target.port ? p->target.port : p->public_endpoint.port;
	struct ph_statement *s;

	/* A port that follows a public port which is not known yet: nothing can be said of it. */
	if (p->target.kind == PH_TARGET_NONE || port == 0)
		return;
	/* The map's key has it already; nft's grammar wants it all the same before a port. */
	put_statement(m, PH_STMT_L4PROTO)->proto = p->proto;
	if (p->target.kind == PH_TARGET_LOCAL) {
		put_statement(m, PH_STMT_REDIRECT)->port = port;
		return;
	}
	s = put_statement(m, PH_STMT_DNAT);
	s->endpoint.address = p->target.address;
	s->endpoint.port = port;
}

static void make_inbound_chain(struct maker *m, struct ph_plan_entry *entry)
{
	const struct ph_plan_mapping *p = entry->mapping;
	const char *comment = entry->name;
	struct ph_statement *first = m->statements;
	struct ph_chain *chain;
	struct ph_rule *rule;

	entry->chain = put_text(m, p->retiring ? PH_CHAIN_RETIRING : PH_CHAIN_INBOUND, p->name);
	if (p->retiring)
		comment = put_text(m, p->name, PH_ABOUT_RETIRING);
	chain = put_chain(m, entry->chain, 2);
	put_mark(m);
	put_statement(m, PH_STMT_COUNTER)->counter = entry->name;
	put_translation(m, p);
	rule = put_rule(m, chain, first, comment);
	rule->about_endpoint = true;
	if (p->public_endpoint.port)
		rule->endpoint = p->public_endpoint;
}

static void make_inbound_chains(struct maker *m, bool retiring)
{
	for (size_t i = 0; i < m->sorted->n_names; i++) {
		struct ph_plan_entry *entry = m->sorted->by_name[i];

		if (entry->mapping->retiring == retiring && ph_plan_is_open(entry->mapping))
			make_inbound_chain(m, entry);
	}
}

/* One a name. */
static void make_counters(struct maker *m)
{
	struct ph_table *t = m->table;

	for (size_t i = 0; i < m->sorted->n_names; i++) {
		struct ph_plan_entry *entry = m->sorted->by_name[i];
		const char *name = entry->mapping->name;

		if (t->n_counters && !strcmp(t->counters[t->n_counters - 1], name)) {
			entry->name = t->counters[t->n_counters - 1];
			continue;
		}
		entry->name = put_text(m, name, "");
		t->counters[t->n_counters++] = entry->name;
	}
}

static void make_chains(struct maker *m)
{
	make_prerouting(m);
	make_postrouting(m);
	/* In the order of their names: in-NAME, then old-NAME. */
	make_inbound_chains(m, false);
	make_inbound_chains(m, true);
}

static struct ph_set *open_set(struct maker *m, const struct ph_set_def *def)
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

/* Brings a set's elements into order, each once, and takes them out of what is to be handed out. */
static void close_set(struct maker *m, struct ph_set *set)
{
	size_t n = set->n_elements, kept = 0;

	for (size_t i = 1; i < n; i++)
		if (element_compare(&set->elements[i - 1], &set->elements[i]) > 0) {
			qsort(set->elements, n, sizeof(set->elements[0]), element_compare);
			break;
		}
	for (size_t i = 0; i < n; i++) {
		/* One address on two uplinks: the interface is no part of bound's and source's
		 * keys. */
		if (kept && !element_compare(&set->elements[kept - 1], &set->elements[i]))
			continue;
		if (kept != i)
			set->elements[kept] = set->elements[i];
		kept++;
	}
	set->n_elements = kept;
	m->elements += n;
}

static void make_set_from_keys(struct maker *m, const struct ph_set_def *def,
			       const struct ph_plan_keys *keys)
{
	struct ph_set *set = open_set(m, def);

	set->n_elements = keys->n;
	for (size_t i = 0; i < keys->n; i++)
		memcpy(set->elements[i].key, keys->keys[i].octets, PH_KEY_MAX);
	close_set(m, set);
}

/* A set with one element a mapping of the family. */
static void make_set(struct maker *m, enum ph_family family, const struct ph_set_def *def)
{
	struct ph_set *set = open_set(m, def);

	for (size_t i = 0; i < m->sorted->n_endpoints; i++) {
		const struct ph_plan_entry *entry = m->sorted->by_endpoint[i];
		const struct ph_plan_mapping *p = entry->mapping;
		const struct ph_endpoint *private = &p->private_endpoint;
		struct ph_element *e = &set->elements[set->n_elements];
		size_t at = 0;

		if (private->address.family != family)
			continue;
		if (def->kind == PH_SET_VERDICT) {
			if (!entry->chain)
				continue;
			e->chain = entry->chain;
			at = ph_plan_put_interface(e->key, 0, p->interface);
		}
		ph_plan_put_endpoint(e->key, at, p->proto, private);
		if (def->kind == PH_SET_DATA)
			ph_plan_put_socket(e->data, 0, private);
		set->n_elements++;
	}
	close_set(m, set);
}

static void make_sets(struct maker *m)
{
	make_set_from_keys(m, &def_uplinks, &m->sorted->uplinks);
	for (size_t i = 0; i < N_TWINS; i++) {
		const struct twin *t = &twins[i];

		make_set_from_keys(m, t->peers,
				   t->family == PH_IPV4 ? &m->sorted->peers4 : &m->sorted->peers6);
		make_set(m, t->family, t->bound);
		make_set(m, t->family, t->inbound);
		make_set(m, t->family, t->source);
	}
}

/* Hands out a part of one allocation; with base NULL it only adds up. */
static void *carve(char *base, size_t *at, size_t n, size_t size)
{
	size_t start = (*at + _Alignof(max_align_t) - 1) & ~(_Alignof(max_align_t) - 1);

	*at = start + n * size;
	return base ? base + start : NULL;
}

/* Divides the allocation at base; returns its size. Called once to measure and once to divide. */
static size_t lay_out(struct maker *m, char *base)
{
	const struct ph_plan_sorted *s = m->sorted;
	struct ph_table *t = NULL, none;
	size_t at = 0;

	t = carve(base, &at, 1, sizeof(*t));
	if (!t)
		t = &none;
	t->counters = carve(base, &at, s->n_names, sizeof(*t->counters));
	t->sets = carve(base, &at, N_SETS, sizeof(*t->sets));
	t->chains = carve(base, &at, BASE_CHAINS + s->n_open, sizeof(*t->chains));
	m->rules = carve(base, &at, BASE_RULES + s->n_open, sizeof(*m->rules));
	m->statements = carve(base, &at, BASE_STATEMENTS + s->n_open * RULE_STATEMENTS,
			      sizeof(*m->statements));
	m->elements =
		carve(base, &at,
		      s->uplinks.n + s->peers4.n + s->peers6.n + 2 * s->n_endpoints + s->n_open,
		      sizeof(*m->elements));
	m->text = carve(base, &at, s->text_octets, 1);
	m->text_end = base ? base + at : NULL;
	m->table = base ? t : NULL;
	return at;
}

int ph_table_new(const struct ph_plan_options *options, const struct ph_plan_mapping *mappings,
		 size_t n, struct ph_table **ret_table)
{
	struct ph_plan_sorted sorted;
	struct maker m = { .options = options, .sorted = &sorted };
	char *base;
	int r;

	r = ph_plan_sort(options, mappings, n, &sorted);
	if (r < 0)
		return r;
	base = calloc(1, lay_out(&m, NULL));
	if (!base) {
		ph_plan_sorted_done(&sorted);
		return -ENOMEM;
	}
	lay_out(&m, base);
	make_counters(&m);
	make_chains(&m);
	make_sets(&m); /* refer to the chains' names */
	ph_plan_sorted_done(&sorted);
	*ret_table = m.table;
	return 0;
}

void ph_table_free(struct ph_table *t)
{
	free(t);
}
