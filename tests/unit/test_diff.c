/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plan_mappings.h"

static void assert_steps(const struct ph_table *from, const struct ph_table *to,
			 const enum ph_op_kind *kinds, size_t n_kinds)
{
	struct ph_op *ops = NULL;
	size_t n = 0;

	assert_int_equal(ph_table_diff(from, to, &ops, &n), 0);
	assert_int_equal(n, n_kinds);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(ops[i].kind, kinds[i]);
	free(ops);
}

static void test_public_endpoint_changes(void **state)
{
	static const enum ph_op_kind kinds[] = { PH_OP_FLUSH_CHAIN, PH_OP_ADD_RULE };
	struct ph_plan_mapping m[] = { mapping("a", "100.64.0.2:1", "203.0.113.7:1"), web() };
	struct ph_table *from = table_of(m, 2), *to;

	(void)state;
	m[1].public_endpoint = endpoint("203.0.113.9:7");
	to = table_of(m, 2);
	assert_steps(from, to, kinds, 2);
	ph_table_free(from);
	ph_table_free(to);
}

static void test_private_endpoint_changes(void **state)
{
	static const enum ph_op_kind kinds[] = { PH_OP_DEL_ELEMENT, PH_OP_DEL_ELEMENT,
						 PH_OP_DEL_ELEMENT, PH_OP_ADD_ELEMENT,
						 PH_OP_ADD_ELEMENT, PH_OP_ADD_ELEMENT };
	struct ph_plan_mapping m[] = { mapping("a", "100.64.0.2:1", "203.0.113.7:1"), web() };
	struct ph_table *from = table_of(m, 2), *to;

	(void)state;
	m[1].private_endpoint = endpoint("100.64.7.7:8443");
	to = table_of(m, 2);
	assert_steps(from, to, kinds, 6);
	ph_table_free(from);
	ph_table_free(to);
}

/* The same key leads elsewhere: out first, then in. */
static void test_element_changes_its_data(void **state)
{
	static const enum ph_op_kind kinds[] = { PH_OP_DEL_ELEMENT, PH_OP_FLUSH_CHAIN,
						 PH_OP_DEL_CHAIN,   PH_OP_DEL_COUNTER,
						 PH_OP_ADD_COUNTER, PH_OP_ADD_CHAIN,
						 PH_OP_ADD_RULE,    PH_OP_ADD_ELEMENT };
	struct ph_plan_mapping m = web();
	struct ph_table *from = table_of(&m, 1), *to;

	(void)state;
	snprintf(m.name, sizeof(m.name), "renamed");
	to = table_of(&m, 1);
	assert_steps(from, to, kinds, 8);
	ph_table_free(from);
	ph_table_free(to);
}

static struct ph_table *moment(unsigned n)
{
	struct ph_plan_mapping m[2];
	size_t n_mappings = moving(n, m);

	return table_of(m, n_mappings);
}

/* The counter is in none of the steps, so it keeps its value. */
static void test_moving_to_another_bind_port(void **state)
{
	static const enum ph_op_kind to_second[] = { PH_OP_DEL_ELEMENT, PH_OP_FLUSH_CHAIN,
						     PH_OP_ADD_CHAIN,   PH_OP_ADD_RULE,
						     PH_OP_ADD_RULE,    PH_OP_ADD_ELEMENT,
						     PH_OP_ADD_ELEMENT };
	static const enum ph_op_kind to_third[] = { PH_OP_DEL_ELEMENT, PH_OP_DEL_ELEMENT,
						    PH_OP_DEL_ELEMENT, PH_OP_FLUSH_CHAIN,
						    PH_OP_DEL_CHAIN };
	struct ph_table *first = moment(1), *second = moment(2), *third = moment(3);

	(void)state;
	assert_steps(first, second, to_second, 7);
	assert_steps(second, third, to_third, 5);
	ph_table_free(first);
	ph_table_free(second);
	ph_table_free(third);
}

/*
 * Any state after any other: the steps are played on a model that refuses what the kernel would
 * refuse, and what the model holds in the end is the second table.
 */
#define MODEL_MAX 256

struct model {
	const char *counters[MODEL_MAX];
	const struct ph_set_def *sets[MODEL_MAX];
	struct {
		const struct ph_chain *chain;
		const struct ph_rule *rules[8];
		size_t n_rules;
	} chains[MODEL_MAX];
	struct {
		const struct ph_set_def *set;
		const struct ph_element *element;
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

	while (i < m->n_sets && m->sets[i] != def)
		i++;
	return i;
}

static size_t model_element(const struct model *m, const struct ph_set_def *def,
			    const struct ph_element *e)
{
	size_t i = 0;

	while (i < m->n_elements && (m->elements[i].set != def ||
				     memcmp(m->elements[i].element->key, e->key, sizeof(e->key))))
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
				if (set && s->kind <= PH_STMT_SNAT_MAP && s->lookup.set == set)
					return true;
			}
	return false;
}

static void model_rule(struct model *m, const struct ph_op *op)
{
	size_t i = model_chain(m, op->chain->name);

	REQUIRE(i < m->n_chains && m->chains[i].n_rules < 8);
	for (size_t k = 0; k < op->rule->n_statements; k++) {
		const struct ph_statement *s = &op->rule->statements[k];

		if (s->kind == PH_STMT_COUNTER)
			REQUIRE(model_counter(m, s->counter) < m->n_counters);
		if (s->kind <= PH_STMT_SNAT_MAP)
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
		REQUIRE(!m->elements[j].element->chain ||
			strcmp(m->elements[j].element->chain, name));
	m->chains[i] = m->chains[--m->n_chains];
}

static void model_element_step(struct model *m, const struct ph_op *op)
{
	size_t i = model_element(m, op->set, op->element);

	if (op->kind == PH_OP_DEL_ELEMENT) {
		REQUIRE(i < m->n_elements);
		m->elements[i] = m->elements[--m->n_elements];
		return;
	}
	REQUIRE(i == m->n_elements && i < MODEL_MAX);
	REQUIRE(model_set(m, op->set) < m->n_sets);
	if (op->element->chain)
		REQUIRE(model_chain(m, op->element->chain) < m->n_chains);
	m->elements[i].set = op->set;
	m->elements[i].element = op->element;
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

		elements += set->n_elements;
		for (size_t j = 0; j < set->n_elements; j++) {
			size_t at = model_element(m, set->def, &set->elements[j]);

			assert_true(at < m->n_elements);
			assert_true(ph_element_equal(set->def, m->elements[at].element,
						     &set->elements[j]));
		}
	}
	assert_int_equal(m->n_elements, elements);
}

static uint32_t draw(uint32_t *seed, uint32_t below)
{
	*seed = *seed * 1664525 + 1013904223;
	return (*seed >> 16) % below;
}

/* Few values, so that the same ones meet often. */
static struct ph_table *random_table(uint32_t *seed)
{
	static const char *const interfaces[] = { "wan", "lte" };
	struct ph_endpoint peers[4];
	struct ph_plan_mapping m[6];
	struct ph_table *t = NULL;
	size_t n = draw(seed, 7);
	int r;

	do {
		for (size_t i = 0; i < n; i++) {
			char name[2] = { (char)('a' + draw(seed, 8)), 0 };
			bool six = draw(seed, 4) == 0;

			m[i] = six ? mapping(name, "[2001:db8::1]:1", "[2001:db8::1]:1")
				   : mapping(name, "100.64.0.1:1", "203.0.113.7:1");
			m[i].proto = draw(seed, 2) ? PH_TCP : PH_UDP;
			snprintf(m[i].interface, sizeof(m[i].interface), "%s",
				 interfaces[draw(seed, 2)]);
			m[i].private_endpoint.port = (uint16_t)draw(seed, 4);
			m[i].public_endpoint.port = (uint16_t)draw(seed, 3);
			m[i].open = draw(seed, 4) != 0;
			m[i].retiring = draw(seed, 3) == 0;
			m[i].target.kind = draw(seed, 2) ? PH_TARGET_LOCAL : PH_TARGET_NONE;
			m[i].target.port = (uint16_t)draw(seed, 2);
			for (size_t j = 0; j < 4; j++) {
				peers[j] = endpoint(six ? "[2001:db8::9]:1" : "198.51.100.1:1");
				peers[j].port = (uint16_t)(1 + draw(seed, 5));
			}
			m[i].peers = peers;
			m[i].n_peers = draw(seed, 5);
		}
		r = ph_table_new(&plan_options, m, n, &t); /* duplicates: again */
	} while (r == -EINVAL);
	assert_int_equal(r, 0);
	return t;
}

static void test_any_state_after_any_other(void **state)
{
	static struct model model;
	uint32_t seed = 20260214;
	struct ph_table *from = NULL;

	(void)state;
	memset(&model, 0, sizeof(model));
	for (unsigned round = 0; round < 3000; round++) {
		struct ph_table *to = random_table(&seed);
		struct ph_op *ops = NULL;
		size_t n = 0;

		assert_int_equal(ph_table_diff(from, to, &ops, &n), 0);
		if (from)
			assert_int_equal(ph_table_equal(from, to), n == 0);
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
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_public_endpoint_changes),
		cmocka_unit_test(test_private_endpoint_changes),
		cmocka_unit_test(test_element_changes_its_data),
		cmocka_unit_test(test_moving_to_another_bind_port),
		cmocka_unit_test(test_any_state_after_any_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
