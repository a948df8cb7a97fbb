// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * From mappings to the table that ought to exist. The base chains are nearly the same in every
 * table; what a mapping brings is its counter, one chain, elements, and a set where it does not let
 * everybody in.
 *
 * The work grows with the number of mappings, so it stays cheap: sizes are counted first and
 * everything is one allocation; what comes in order already is not sorted again.
 */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "plan_internal.h"

const char *ph_plan_text(struct ph_plan_maker *m, const char *a, const char *b)
{
	char *start = m->text;

	m->text = stpcpy(stpcpy(start, a), b) + 1;
	assert(m->text <= m->text_end);
	return start;
}

/* One a name. */
static void make_counters(struct ph_plan_maker *m)
{
	struct ph_table *t = m->table;

	for (size_t i = 0; i < m->sorted->n_names; i++) {
		struct ph_plan_entry *entry = m->sorted->by_name[i];
		const char *name = entry->mapping->name;

		if (t->n_counters && !strcmp(t->counters[t->n_counters - 1], name)) {
			entry->name = t->counters[t->n_counters - 1];
		} else {
			entry->name = ph_plan_text(m, name, "");
			t->counters[t->n_counters++] = entry->name;
		}
		entry->about = entry->mapping->retiring ? ph_plan_text(m, name, PH_ABOUT_RETIRING)
							: entry->name;
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
static size_t lay_out(struct ph_plan_maker *m, char *base)
{
	const struct ph_plan_sorted *s = m->sorted;
	const struct ph_plan_sizes *sizes = &s->sizes;
	struct ph_table *t = NULL, none;
	size_t at = 0;

	t = carve(base, &at, 1, sizeof(*t));
	if (!t)
		t = &none;
	t->counters = carve(base, &at, s->n_names, sizeof(*t->counters));
	t->sets = carve(base, &at, PH_PLAN_BASE_SETS + sizes->sets, sizeof(*t->sets));
	t->chains = carve(base, &at, PH_PLAN_BASE_CHAINS + sizes->chains, sizeof(*t->chains));
	m->defs = carve(base, &at, sizes->sets, sizeof(*m->defs));
	m->rules = carve(base, &at, PH_PLAN_BASE_RULES + sizes->rules, sizeof(*m->rules));
	m->statements =
		carve(base, &at, PH_PLAN_BASE_RULES * PH_PLAN_RULE_STATEMENTS + sizes->statements,
		      sizeof(*m->statements));
	m->elements =
		carve(base, &at,
		      s->uplinks.n + s->outside.n + s->peers4.n + s->peers6.n + sizes->elements,
		      sizeof(*m->elements));
	m->text = carve(base, &at, sizes->text, 1);
	m->text_end = base ? base + at : NULL;
	m->table = base ? t : NULL;
	return at;
}

int ph_table_new(const struct ph_plan_options *options, const struct ph_plan_mapping *mappings,
		 size_t n, struct ph_table **ret_table)
{
	struct ph_plan_sorted sorted;
	struct ph_plan_maker m = { .sorted = &sorted };
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
	ph_plan_make_defs(&m);
	ph_plan_make_chains(&m);
	ph_plan_make_sets(&m);
	ph_plan_sorted_done(&sorted);
	*ret_table = m.table;
	return 0;
}

void ph_table_free(struct ph_table *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->n_sets; i++)
		ph_prefixes_unref(t->sets[i].ranges);
	free(t);
}
