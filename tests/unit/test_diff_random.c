/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plan_random.h"

/*
 * Any state after any other: the steps are played on a model that refuses what the kernel would
 * refuse, and what the model holds in the end is the second table.
 */
#define MODEL_MAX 256
#define RULES_MAX 12 /* of one chain */

struct model {
	const char *counters[MODEL_MAX];
	const struct ph_set_def *sets[MODEL_MAX];
	struct {
		const struct ph_chain *chain;
		const struct ph_rule *rules[RULES_MAX];
		size_t n_rules;
	} chains[MODEL_MAX];
	struct {
		const struct ph_set_def *set;
		const struct ph_element *element; /* NULL: a range */
		const struct ph_range *range;
	} elements[MODEL_MAX];
	size_t n_counters, n_sets, n_chains, n_elements;
};

/* cmocka does not tell compilers that its assertions do not return. */
#define REQUIRE(condition)                \
	do {                              \
		bool holds = (condition); \
                                          \
		assert_true(holds);       \
		if (!holds)               \
			abort();          \
	} while (0)

static size_t model_counter(const struct model *m, const char *name)
{
	size_t i = 0;

	while (i < m->n_counters && strcmp(m->counters[i], name))
		i++;
	return i;
}

static size_t model_chain(const struct model *m, const char *name)
{
	size_t i = 0;

	while (i < m->n_chains && strcmp(m->chains[i].chain->name, name))
		i++;
	return i;
}

static size_t model_set(const struct model *m, const struct ph_set_def *def)
{
	size_t i = 0;

	while (i < m->n_sets && strcmp(m->sets[i]->name, def->name))
		i++;
	return i;
}

/* One of the two is NULL. */
static size_t model_element(const struct model *m, const struct ph_set_def *def,
			    const struct ph_element *e, const struct ph_range *range)
{
	size_t i = 0;

	while (i < m->n_elements &&
	       (strcmp(m->elements[i].set->name, def->name) ||
		(e && memcmp(m->elements[i].element->key, e->key, sizeof(e->key))) ||
		(range && memcmp(m->elements[i].range, range, sizeof(*range)))))
		i++;
	return i;
}

static bool model_uses(const struct model *m, const char *counter, const struct ph_set_def *set)
{
	for (size_t i = 0; i < m->n_chains; i++)
		for (size_t j = 0; j < m->chains[i].n_rules; j++)
			for (size_t k = 0; k < m->chains[i].rules[j]->n_statements; k++) {
				const struct ph_statement *s =
					&m->chains[i].rules[j]->statements[k];

				if (counter && s->kind == PH_STMT_COUNTER &&
				    !strcmp(s->counter, counter))
					return true;
				if (set && s->kind <= PH_STMT_REDIRECT_MAP &&
				    !strcmp(s->lookup.set->name, set->name))
					return true;
			}
	return false;
}

static void model_rule(struct model *m, const struct ph_op *op)
{
	size_t i = model_chain(m, op->chain->name);

	REQUIRE(i < m->n_chains && m->chains[i].n_rules < RULES_MAX);
	for (size_t k = 0; k < op->rule->n_statements; k++) {
		const struct ph_statement *s = &op->rule->statements[k];

		if (s->kind == PH_STMT_COUNTER)
			REQUIRE(model_counter(m, s->counter) < m->n_counters);
		if (s->kind <= PH_STMT_DNAT_MAP)
			REQUIRE(model_set(m, s->lookup.set) < m->n_sets);
	}
	m->chains[i].rules[m->chains[i].n_rules++] = op->rule;
}

static void model_delete_chain(struct model *m, const char *name)
{
	size_t i = model_chain(m, name);

	REQUIRE(i < m->n_chains);
	assert_int_equal(m->chains[i].n_rules, 0);
	for (size_t j = 0; j < m->n_elements; j++)
		REQUIRE(m->elements[j].set->kind != PH_SET_VERDICT ||
			strcmp(m->elements[j].element->chain, name));
	m->chains[i] = m->chains[--m->n_chains];
}

static void model_element_step(struct model *m, const struct ph_op *op)
{
	bool ranges = op->set->kind == PH_SET_RANGES;
	const struct ph_element *e = ranges ? NULL : op->element;
	const struct ph_range *range = ranges ? op->range : NULL;
	size_t i = model_element(m, op->set, e, range);

	if (op->kind == PH_OP_DEL_ELEMENT) {
		REQUIRE(i < m->n_elements);
		m->elements[i] = m->elements[--m->n_elements];
		return;
	}
	REQUIRE(i == m->n_elements && i < MODEL_MAX);
	REQUIRE(model_set(m, op->set) < m->n_sets);
	if (op->set->kind == PH_SET_VERDICT)
		REQUIRE(model_chain(m, e->chain) < m->n_chains);
	m->elements[i].set = op->set;
	m->elements[i].element = e;
	m->elements[i].range = range;
	m->n_elements++;
}

static void model_step(struct model *m, const struct ph_op *op)
{
	size_t i;

	switch (op->kind) {
	case PH_OP_DEL_ELEMENT:
	case PH_OP_ADD_ELEMENT:
		model_element_step(m, op);
		return;
	case PH_OP_FLUSH_CHAIN:
		i = model_chain(m, op->chain->name);
		REQUIRE(i < m->n_chains);
		m->chains[i].n_rules = 0;
		return;
	case PH_OP_DEL_CHAIN:
		model_delete_chain(m, op->chain->name);
		return;
	case PH_OP_DEL_SET:
		i = model_set(m, op->set);
		REQUIRE(i < m->n_sets && !model_uses(m, NULL, op->set));
		m->sets[i] = m->sets[--m->n_sets];
		return;
	case PH_OP_DEL_COUNTER:
		i = model_counter(m, op->counter);
		REQUIRE(i < m->n_counters && !model_uses(m, op->counter, NULL));
		m->counters[i] = m->counters[--m->n_counters];
		return;
	case PH_OP_ADD_COUNTER:
		REQUIRE(model_counter(m, op->counter) == m->n_counters);
		m->counters[m->n_counters++] = op->counter;
		return;
	case PH_OP_ADD_SET:
		REQUIRE(model_set(m, op->set) == m->n_sets);
		m->sets[m->n_sets++] = op->set;
		return;
	case PH_OP_ADD_CHAIN:
		REQUIRE(model_chain(m, op->chain->name) == m->n_chains);
		m->chains[m->n_chains].chain = op->chain;
		m->chains[m->n_chains++].n_rules = 0;
		return;
	case PH_OP_ADD_RULE:
		model_rule(m, op);
		return;
	case PH_OP_KINDS:
		break;
	}
	fail_msg("step %d", (int)op->kind);
}

static void assert_model_is(const struct model *m, const struct ph_table *t)
{
	size_t elements = 0;

	assert_int_equal(m->n_counters, t->n_counters);
	for (size_t i = 0; i < t->n_counters; i++)
		assert_true(model_counter(m, t->counters[i]) < m->n_counters);
	assert_int_equal(m->n_chains, t->n_chains);
	for (size_t i = 0; i < t->n_chains; i++) {
		size_t at = model_chain(m, t->chains[i].name);
		struct ph_chain copy = t->chains[i];

		assert_true(at < m->n_chains);
		copy.n_rules = m->chains[at].n_rules;
		assert_int_equal(copy.n_rules, t->chains[i].n_rules);
		for (size_t j = 0; j < copy.n_rules; j++) {
			struct ph_chain x = copy, y = copy;

			x.rules = m->chains[at].rules[j];
			y.rules = &t->chains[i].rules[j];
			x.n_rules = y.n_rules = 1;
			assert_true(ph_chain_equal(&x, &y));
		}
	}
	assert_int_equal(m->n_sets, t->n_sets);
	for (size_t i = 0; i < t->n_sets; i++) {
		const struct ph_set *set = &t->sets[i];

		assert_true(model_set(m, set->def) < m->n_sets);
		if (set->def->kind == PH_SET_RANGES) {
			elements += set->ranges->n;
			for (size_t j = 0; j < set->ranges->n; j++)
				assert_true(model_element(m, set->def, NULL,
							  &set->ranges->ranges[j]) < m->n_elements);
			continue;
		}
		elements += set->n_elements;
		for (size_t j = 0; j < set->n_elements; j++) {
			size_t at = model_element(m, set->def, &set->elements[j], NULL);

			assert_true(at < m->n_elements);
			assert_true(ph_element_equal(set->def, m->elements[at].element,
						     &set->elements[j]));
		}
	}
	assert_int_equal(m->n_elements, elements);
}

/* Kinds in their order; and those of one set are neighbours, so that one message takes many. */
static void assert_order(const struct ph_op *ops, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		assert_true(ops[i - 1].kind <= ops[i].kind);
		if (ops[i].kind != PH_OP_DEL_ELEMENT && ops[i].kind != PH_OP_ADD_ELEMENT)
			continue;
		for (size_t j = 0; j + 1 < i; j++)
			if (ops[j].kind == ops[i].kind && ops[j].set == ops[i].set)
				assert_true(ops[i - 1].set == ops[i].set);
	}
}

static void test_any_state_after_any_other(void **state)
{
	static struct random_plan random;
	static struct model model;
	struct ph_table *from = NULL;

	(void)state;
	memset(&model, 0, sizeof(model));
	random_init(&random, 20260214);
	for (unsigned round = 0; round < 3000; round++) {
		struct ph_table *to = random_table(&random);
		struct ph_op *ops = NULL;
		size_t n = 0;

		assert_int_equal(ph_table_diff(from, to, &ops, &n), 0);
		if (from)
			assert_int_equal(ph_table_equal(from, to), n == 0);
		assert_order(ops, n);
		for (size_t i = 0; i < n; i++)
			model_step(&model, &ops[i]);
		assert_model_is(&model, to);
		free(ops);
		/* What stays refers to the old table: take the same things from the new one. */
		ops = NULL;
		memset(&model, 0, sizeof(model));
		assert_int_equal(ph_table_diff(NULL, to, &ops, &n), 0);
		for (size_t i = 0; i < n; i++)
			model_step(&model, &ops[i]);
		assert_model_is(&model, to);
		free(ops);
		ph_table_free(from);
		from = to;
	}
	ph_table_free(from);
	random_done(&random);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_state_after_any_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
