// SPDX-License-Identifier: GPL-2.0-or-later
/* Two tables compared: the ordered steps that lead from one to the other. */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <pinhold/table.h>

struct steps {
	struct ph_op *ops;
	size_t n, room;
	size_t count[PH_OP_KINDS];
	bool failed;
};

/* Adds a step, or remembers that there was no memory for it. */
static void step(struct steps *s, struct ph_op op)
{
	if (s->failed)
		return;
	if (s->n == s->room) {
		size_t room = s->room ? 2 * s->room : 32;
		struct ph_op *ops = reallocarray(s->ops, room, sizeof(*ops));

		if (!ops) {
			s->failed = true;
			return;
		}
		s->ops = ops;
		s->room = room;
	}
	s->ops[s->n++] = op;
	s->count[op.kind]++;
}

static void step_element(struct steps *s, enum ph_op_kind kind, const struct ph_set *set,
			 const struct ph_element *e)
{
	step(s, (struct ph_op){ .kind = kind, .set = set->def, .element = e });
}

/*
 * One walk over two lists of which both are in the same order: order is how the next of the one
 * compares to the next of the other, where a list at its end is behind everything.
 */
#define WALK(i, n_i, j, n_j, order, compare)                                   \
	for (size_t i = 0, j = 0;                                              \
	     (i < (n_i) || j < (n_j)) &&                                       \
	     ((order) = i == (n_i) ? 1 : (j == (n_j) ? -1 : (compare)), true); \
	     i += (order) <= 0, j += (order) >= 0)

static void diff_elements(struct steps *s, const struct ph_set *from, const struct ph_set *to)
{
	size_t n_from = from ? from->n_elements : 0, n_to = to ? to->n_elements : 0;
	int order;

	WALK(i, n_from, j, n_to, order,
	     memcmp(from->elements[i].key, to->elements[j].key, PH_KEY_MAX))
	{
		if (order == 0 && ph_element_equal(from->def, &from->elements[i], &to->elements[j]))
			continue;
		if (order <= 0)
			step_element(s, PH_OP_DEL_ELEMENT, from, &from->elements[i]);
		if (order >= 0)
			step_element(s, PH_OP_ADD_ELEMENT, to, &to->elements[j]);
	}
}

static void step_range(struct steps *s, enum ph_op_kind kind, const struct ph_set *set,
		       const struct ph_range *range)
{
	step(s, (struct ph_op){ .kind = kind, .set = set->def, .range = range });
}

static void diff_ranges(struct steps *s, const struct ph_set *from, const struct ph_set *to)
{
	size_t n_from = from ? from->ranges->n : 0, n_to = to ? to->ranges->n : 0;
	int order;

	/* Mostly it is the same object. */
	if (from && to && from->ranges == to->ranges)
		return;
	WALK(i, n_from, j, n_to, order,
	     memcmp(&from->ranges->ranges[i], &to->ranges->ranges[j], sizeof(struct ph_range)))
	{
		if (order < 0)
			step_range(s, PH_OP_DEL_ELEMENT, from, &from->ranges->ranges[i]);
		if (order > 0)
			step_range(s, PH_OP_ADD_ELEMENT, to, &to->ranges->ranges[j]);
	}
}

static int compare_ranked(uint8_t rank_a, const char *name_a, uint8_t rank_b, const char *name_b)
{
	return rank_a != rank_b ? (rank_a < rank_b ? -1 : 1) : strcmp(name_a, name_b);
}

static void diff_set(struct steps *s, const struct ph_set *from, const struct ph_set *to)
{
	const struct ph_set *any = from ? from : to;

	assert(any); /* there is one of them at least */
	if (any->def->kind == PH_SET_RANGES)
		diff_ranges(s, from, to);
	else
		diff_elements(s, from, to);
}

static void diff_sets(struct steps *s, const struct ph_table *from, const struct ph_table *to)
{
	int order;

	WALK(i, from->n_sets, j, to->n_sets, order,
	     compare_ranked(from->sets[i].def->rank, from->sets[i].def->name, to->sets[j].def->rank,
			    to->sets[j].def->name))
	{
		/* One name, one definition: otherwise rules and elements would have to go first. */
		assert(order != 0 || from->sets[i].def->kind == to->sets[j].def->kind);
		if (order < 0)
			step(s, (struct ph_op){ .kind = PH_OP_DEL_SET, .set = from->sets[i].def });
		if (order > 0)
			step(s, (struct ph_op){ .kind = PH_OP_ADD_SET, .set = to->sets[j].def });
		diff_set(s, order <= 0 ? &from->sets[i] : NULL, order >= 0 ? &to->sets[j] : NULL);
	}
}

static void add_rules(struct steps *s, const struct ph_chain *chain)
{
	for (size_t i = 0; i < chain->n_rules; i++)
		step(s, (struct ph_op){
				.kind = PH_OP_ADD_RULE, .chain = chain, .rule = &chain->rules[i] });
}

static void diff_chains(struct steps *s, const struct ph_table *from, const struct ph_table *to)
{
	int order;

	WALK(i, from->n_chains, j, to->n_chains, order,
	     compare_ranked(from->chains[i].rank, from->chains[i].name, to->chains[j].rank,
			    to->chains[j].name))
	{
		const struct ph_chain *old = order <= 0 ? &from->chains[i] : NULL;
		const struct ph_chain *new = order >= 0 ? &to->chains[j] : NULL;

		if (old && new) {
			/* One name, one hook: a base chain cannot be moved. */
			assert(old->hook == new->hook && old->priority == new->priority);
			if (ph_chain_equal(old, new))
				continue;
		}
		if (old)
			step(s, (struct ph_op){ .kind = PH_OP_FLUSH_CHAIN, .chain = old });
		if (!new)
			step(s, (struct ph_op){ .kind = PH_OP_DEL_CHAIN, .chain = old });
		if (!old)
			step(s, (struct ph_op){ .kind = PH_OP_ADD_CHAIN, .chain = new });
		if (new)
			add_rules(s, new);
	}
}

static void diff_counters(struct steps *s, const struct ph_table *from, const struct ph_table *to)
{
	int order;

	WALK(i, from->n_counters, j, to->n_counters, order,
	     strcmp(from->counters[i], to->counters[j]))
	{
		if (order < 0)
			step(s, (struct ph_op){ .kind = PH_OP_DEL_COUNTER,
						.counter = from->counters[i] });
		if (order > 0)
			step(s, (struct ph_op){ .kind = PH_OP_ADD_COUNTER,
						.counter = to->counters[j] });
	}
}

/* Brings the steps into the order of their kinds; those of one kind keep theirs. */
static struct ph_op *order_steps(const struct steps *s)
{
	struct ph_op *ops = reallocarray(NULL, s->n, sizeof(*ops));
	size_t next[PH_OP_KINDS], at = 0;

	if (!ops)
		return NULL;
	for (size_t kind = 0; kind < PH_OP_KINDS; kind++) {
		next[kind] = at;
		at += s->count[kind];
	}
	for (size_t i = 0; i < s->n; i++)
		ops[next[s->ops[i].kind]++] = s->ops[i];
	return ops;
}

int ph_table_diff(const struct ph_table *from, const struct ph_table *to, struct ph_op **ret_ops,
		  size_t *ret_n)
{
	static const struct ph_table nothing = {};
	struct steps s = {};
	struct ph_op *ops = NULL;

	if (!from)
		from = &nothing;
	diff_counters(&s, from, to);
	diff_sets(&s, from, to);
	diff_chains(&s, from, to);
	if (s.n && !s.failed)
		ops = order_steps(&s);
	free(s.ops);
	if (s.failed || (s.n && !ops))
		return -ENOMEM;
	*ret_ops = ops;
	*ret_n = s.n;
	return 0;
}
