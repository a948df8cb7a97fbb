/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The plan's inside: plan_sort.c checks and orders what a table is made from, plan.c measures and
 * divides the memory, plan_chains.c writes the rules, plan_sets.c the elements.
 */

#include <pinhold/table.h>

#define PH_CHAIN_INBOUND  "in-"         /* before a mapping's name */
#define PH_CHAIN_RETIRING "old-"        /* the same for its old bind port */
#define PH_ABOUT_RETIRING " (old port)" /* behind the name, in what is said of that port */

struct ph_plan_entry {
	const struct ph_plan_mapping *mapping;
	/* In the table, once they are made. */
	const char *name;  /* the mapping's, which is the counter's */
	const char *about; /* the same, and that it is the old port, if it is */
	const char *chain; /* NULL: it has none */
	const struct ph_set_def *allow;
};

/* A growing list of distinct keys, in order. */
struct ph_plan_key {
	uint8_t octets[PH_KEY_MAX];
};

struct ph_plan_keys {
	struct ph_plan_key *keys;
	size_t n, room;
};

/* How much of what a table needs. */
struct ph_plan_sizes {
	size_t chains, rules, statements, elements, sets, text;
};

struct ph_plan_sorted {
	struct ph_marks marks;
	struct ph_plan_entry *entries;
	struct ph_plan_entry **by_name; /* all; of one name the retiring one comes last */
	size_t n_names;
	struct ph_plan_entry **by_endpoint; /* those with a private endpoint */
	size_t n_endpoints;
	struct ph_plan_sizes sizes; /* of what comes with the mappings */
	struct ph_plan_keys uplinks, outside, peers4, peers6;
	/* What some mapping needs. */
	bool borrows4, borrows6;
	bool localnet;               /* a target in 127.0.0.0/8 */
	bool here4, here6;           /* a UDP service of this machine that clients inside reach */
	bool localhost4, localhost6; /* endpoints that lead only this machine's connections */
	bool uplink[PH_UPLINKS_MAX + 1];
};

/* The parts of the allocation that are still to be handed out. */
struct ph_plan_maker {
	const struct ph_plan_sorted *sorted;
	struct ph_table *table;
	struct ph_set_def *defs;
	struct ph_element *elements;
	struct ph_rule *rules;
	struct ph_statement *statements;
	char *text, *text_end;
};

/* What there is once a family. */
struct ph_plan_twin {
	enum ph_family family;
	const struct ph_set_def *peers, *bound, *borrowed, *inbound, *published, *localhost,
		*loopback, *here, *port, *source, *borrow, *answer;
	/* Source; destination; that over UDP; interface and destination; the source's address
	 * alone. */
	struct ph_key from, to, to_udp, arrival, sender;
};

#define PH_PLAN_TWINS 2

extern const struct ph_plan_twin ph_plan_twins[PH_PLAN_TWINS];
extern const struct ph_set_def ph_plan_uplinks, ph_plan_outside, ph_plan_localnet;

/* plan_sort.c */

/* Whether connections from outside are let in, and it is known where to. */
bool ph_plan_is_open(const struct ph_plan_mapping *p);
/* A UDP service of this machine that clients inside reach, too. */
bool ph_plan_is_here(const struct ph_plan_mapping *p);
/* Whether connections that are not let in are dropped: nothing of ours translates the others. */
bool ph_plan_drops(const struct ph_plan_mapping *p);

/* Checks everything and orders it. 0, -EINVAL, -ENOMEM; nothing to release unless 0. */
int ph_plan_sort(const struct ph_plan_options *options, const struct ph_plan_mapping *mappings,
		 size_t n, struct ph_plan_sorted *ret_sorted);
void ph_plan_sorted_done(struct ph_plan_sorted *s);

/* Write parts of a key or of data at an offset of a zeroed buffer; return the offset behind. */
size_t ph_plan_put_interface(uint8_t *buf, size_t at, const char *name);
size_t ph_plan_put_port(uint8_t *buf, size_t at, uint16_t port);
size_t ph_plan_put_socket(uint8_t *buf, size_t at,
			  const struct ph_endpoint *e); /* address . port */
size_t ph_plan_put_endpoint(uint8_t *buf, size_t at, enum ph_proto proto,
			    const struct ph_endpoint *e); /* address . protocol . port */

/* plan.c */
const char *ph_plan_text(struct ph_plan_maker *m, const char *a, const char *b);

/* plan_chains.c */
#define PH_PLAN_BASE_CHAINS 6
#define PH_PLAN_BASE_RULES  ((size_t)(9 + 9 * PH_PLAN_TWINS + 2 * PH_UPLINKS_MAX))
/* Of each of those at most. */
#define PH_PLAN_RULE_STATEMENTS 7
void ph_plan_make_chains(struct ph_plan_maker *m);
/* What a mapping's own chain takes. */
void ph_plan_chain_sizes(const struct ph_plan_mapping *p, struct ph_plan_sizes *sizes);

/* plan_sets.c */
#define PH_PLAN_BASE_SETS (3 + 12 * PH_PLAN_TWINS)
/* The definitions of sets that mappings bring; before the chains, which refer to them. */
void ph_plan_make_defs(struct ph_plan_maker *m);
/* The rest; refers to the chains' names. */
void ph_plan_make_sets(struct ph_plan_maker *m);
/* Elements that a mapping brings. */
size_t ph_plan_elements_of(const struct ph_plan_mapping *p);
