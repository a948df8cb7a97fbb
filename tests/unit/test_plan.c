/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pinhold/table.h>

static const struct ph_plan_options options = { .mark = 0x08000000, .mask = 0x0f000000 };

static struct ph_plan_mapping mapping(const char *name, const char *private, const char *public)
{
	static struct ph_endpoint peers[1];
	struct ph_plan_mapping m = {
		.proto = PH_TCP,
		.interface = "wan",
		.open = true,
		.target = { .kind = PH_TARGET_LOCAL, .port = 443 },
		.peers = peers,
		.n_peers = 1,
	};

	peers[0] = endpoint("198.51.100.1:3478");
	snprintf(m.name, sizeof(m.name), "%s", name);
	m.private_endpoint = endpoint(private);
	m.public_endpoint = endpoint(public);
	return m;
}

static struct ph_plan_mapping web(void)
{
	return mapping("web", "100.64.0.2:8443", "203.0.113.7:32451");
}

static struct ph_table *table_of(const struct ph_plan_mapping *mappings, size_t n)
{
	struct ph_table *t = NULL;

	assert_int_equal(ph_table_new(&options, mappings, n, &t), 0);
	assert_non_null(t);
	return t;
}

static void assert_refused(const struct ph_plan_options *o, const struct ph_plan_mapping *m, size_t n)
{
	struct ph_table *t = NULL;

	assert_int_equal(ph_table_new(o, m, n, &t), -EINVAL);
	assert_null(t);
}

static const struct ph_set *find_set(const struct ph_table *t, const char *name)
{
	for (size_t i = 0; i < t->n_sets; i++)
		if (!strcmp(t->sets[i].def->name, name))
			return &t->sets[i];
	fail_msg("no set %s", name);
	return NULL;
}

static const struct ph_chain *find_chain(const struct ph_table *t, const char *name)
{
	for (size_t i = 0; i < t->n_chains; i++)
		if (!strcmp(t->chains[i].name, name))
			return &t->chains[i];
	return NULL;
}

/* ---- what a table is made of ---- */

static void assert_kinds(const struct ph_rule *rule, const enum ph_statement_kind *kinds, size_t n)
{
	assert_int_equal(rule->n_statements, n);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(rule->statements[i].kind, kinds[i]);
}

static void test_mapping_chain(void **state)
{
	static const enum ph_statement_kind kinds[] = { PH_STMT_MARK, PH_STMT_COUNTER, PH_STMT_L4PROTO,
							PH_STMT_DNAT };
	struct ph_plan_mapping m = web();
	char comment[PH_COMMENT_STRLEN];
	const struct ph_chain *chain;
	struct ph_table *t;

	(void)state;
	m.target = (struct ph_target){ PH_TARGET_ADDRESS, endpoint("192.168.10.50:1").address, 443 };
	t = table_of(&m, 1);
	chain = find_chain(t, "in-web");
	assert_non_null(chain);
	assert_int_equal(chain->hook, PH_HOOK_NONE);
	assert_int_equal(chain->n_rules, 1);
	assert_kinds(chain->rules, kinds, 4);
	assert_int_equal(chain->rules->statements[0].mark.mark, 0x08000000);
	assert_int_equal(chain->rules->statements[0].mark.mask, 0x0f000000);
	assert_string_equal(chain->rules->statements[1].counter, "web");
	assert_int_equal(chain->rules->statements[2].proto, PH_TCP);
	assert_endpoint(&chain->rules->statements[3].endpoint, "192.168.10.50:443");
	assert_string_equal(ph_rule_comment(chain->rules, comment), "web: 203.0.113.7:32451");
	ph_table_free(t);
}

/* Our own servers are exempted before anything is dispatched, in each family. */
static void test_base_chains(void **state)
{
	static const enum ph_statement_kind own[] = { PH_STMT_MATCH, PH_STMT_MATCH, PH_STMT_MATCH,
						      PH_STMT_MARK, PH_STMT_RETURN };
	static const enum ph_statement_kind dispatch[] = { PH_STMT_VMAP };
	static const enum ph_statement_kind pin[] = { PH_STMT_MATCH, PH_STMT_SNAT_MAP };
	struct ph_table *t = table_of(NULL, 0);
	const struct ph_chain *pre = find_chain(t, "prerouting");
	const struct ph_chain *post = find_chain(t, "postrouting");

	(void)state;
	assert_int_equal(t->n_chains, 2);
	assert_int_equal(t->n_counters, 0);
	assert_int_equal(t->n_sets, 9);
	assert_int_equal(pre->priority, -105);
	assert_int_equal(post->priority, 95);
	assert_int_equal(pre->n_rules, 4);
	assert_int_equal(post->n_rules, 2);
	for (size_t i = 0; i < 2; i++) {
		assert_kinds(&pre->rules[2 * i], own, 5);
		assert_kinds(&pre->rules[2 * i + 1], dispatch, 1);
		assert_kinds(&post->rules[i], pin, 2);
	}
	ph_table_free(t);
}

static void assert_element(const struct ph_set *set, size_t n, const void *key, size_t octets)
{
	assert_true(n < set->n_elements);
	assert_int_equal(ph_set_key_octets(set->def), octets);
	assert_memory_equal(set->elements[n].key, key, octets);
}

static void test_elements(void **state)
{
	static const uint8_t uplink[16] = "wan";
	static const uint8_t peer[] = { 198, 51, 100, 1, PH_TCP, 0, 0, 0, 0x0d, 0x96, 0, 0 };
	static const uint8_t bound[] = { 100, 64, 0, 2, PH_TCP, 0, 0, 0, 0x20, 0xfb, 0, 0 };
	static const uint8_t source[] = { 100, 64, 0, 2, 0x20, 0xfb, 0, 0 };
	static const uint8_t inbound[28] = { 'w', 'a', 'n', [16] = 100, 64, 0, 2, PH_TCP,
					     0,	  0,   0,   0x20,     0xfb };
	struct ph_plan_mapping m = web();
	struct ph_table *t = table_of(&m, 1);

	(void)state;
	assert_element(find_set(t, "uplinks"), 0, uplink, sizeof(uplink));
	assert_element(find_set(t, "peers4"), 0, peer, sizeof(peer));
	assert_element(find_set(t, "bound4"), 0, bound, sizeof(bound));
	assert_element(find_set(t, "source4"), 0, bound, sizeof(bound));
	assert_memory_equal(find_set(t, "source4")->elements[0].data, source, sizeof(source));
	assert_element(find_set(t, "inbound4"), 0, inbound, sizeof(inbound));
	assert_string_equal(find_set(t, "inbound4")->elements[0].chain, "in-web");
	for (size_t i = 0; i < t->n_sets; i++)
		assert_int_equal(t->sets[i].n_elements, !strchr(t->sets[i].def->name, '6'));
	ph_table_free(t);
}

static void test_ipv6_mirrors(void **state)
{
	struct ph_plan_mapping m = mapping("six", "[2001:db8::2]:53", "[2001:db8::2]:53");
	struct ph_endpoint peer = endpoint("[2001:db8::9]:3478");
	struct ph_table *t;

	(void)state;
	m.peers = &peer;
	t = table_of(&m, 1);
	for (size_t i = 0; i < t->n_sets; i++)
		assert_int_equal(t->sets[i].n_elements, !strchr(t->sets[i].def->name, '4'));
	assert_memory_equal(find_set(t, "inbound6")->elements[0].key + 16,
			    m.private_endpoint.address.octets, 16);
	ph_table_free(t);
}

/* Two mappings of one proto and port on two uplinks with the same address share bound and source. */
static void test_same_address_on_two_uplinks(void **state)
{
	struct ph_plan_mapping m[] = { web(), web() };
	struct ph_table *t;

	(void)state;
	snprintf(m[1].name, sizeof(m[1].name), "web2");
	snprintf(m[1].interface, sizeof(m[1].interface), "lte");
	t = table_of(m, 2);
	assert_int_equal(find_set(t, "uplinks")->n_elements, 2);
	assert_int_equal(find_set(t, "inbound4")->n_elements, 2);
	assert_int_equal(find_set(t, "bound4")->n_elements, 1);
	assert_int_equal(find_set(t, "source4")->n_elements, 1);
	ph_table_free(t);
}

static void test_peers(void **state)
{
	struct ph_endpoint peers[] = { endpoint("198.51.100.9:80"), endpoint("198.51.100.1:3478"),
				       endpoint("198.51.100.9:80"), endpoint("[2001:db8::1]:80") };
	struct ph_plan_mapping m[] = { web(), web() };
	struct ph_table *t;

	(void)state;
	m[0].peers = m[1].peers = peers;
	m[0].n_peers = m[1].n_peers = 4;
	snprintf(m[1].name, sizeof(m[1].name), "udp");
	m[1].proto = PH_UDP;
	t = table_of(m, 2);
	assert_int_equal(find_set(t, "peers4")->n_elements, 4); /* two servers, two protocols */
	assert_int_equal(find_set(t, "peers6")->n_elements, 0);
	ph_table_free(t);
}

static void test_target_port_follows(void **state)
{
	struct ph_plan_mapping m = web();
	struct ph_table *t;

	(void)state;
	m.target.port = 0;
	t = table_of(&m, 1);
	assert_int_equal(find_chain(t, "in-web")->rules->statements[3].kind, PH_STMT_REDIRECT);
	assert_int_equal(find_chain(t, "in-web")->rules->statements[3].port, 32451);
	ph_table_free(t);

	/* Nobody knows where to. */
	m.public_endpoint = (struct ph_endpoint){ 0 };
	t = table_of(&m, 1);
	assert_null(find_chain(t, "in-web"));
	assert_int_equal(find_set(t, "inbound4")->n_elements, 0);
	ph_table_free(t);
}

static void test_no_translation(void **state)
{
	static const enum ph_statement_kind kinds[] = { PH_STMT_MARK, PH_STMT_COUNTER };
	struct ph_plan_mapping m = web();
	struct ph_table *t;

	(void)state;
	m.target.kind = PH_TARGET_NONE;
	t = table_of(&m, 1);
	assert_kinds(find_chain(t, "in-web")->rules, kinds, 2);
	ph_table_free(t);
}

/* Own flows are protected before anybody is let in. */
static void test_closed(void **state)
{
	struct ph_plan_mapping m = web();
	struct ph_table *t;

	(void)state;
	m.open = false;
	t = table_of(&m, 1);
	assert_null(find_chain(t, "in-web"));
	assert_int_equal(find_set(t, "inbound4")->n_elements, 0);
	assert_int_equal(find_set(t, "uplinks")->n_elements, 1);
	assert_int_equal(find_set(t, "peers4")->n_elements, 1);
	assert_int_equal(find_set(t, "bound4")->n_elements, 1);
	assert_int_equal(find_set(t, "source4")->n_elements, 1);
	assert_int_equal(t->n_counters, 1);
	ph_table_free(t);
}

static void test_without_private_endpoint(void **state)
{
	struct ph_plan_mapping m = web();
	struct ph_table *t;

	(void)state;
	m.private_endpoint = (struct ph_endpoint){ 0 };
	t = table_of(&m, 1);
	assert_int_equal(t->n_counters, 1);
	assert_string_equal(t->counters[0], "web");
	assert_int_equal(t->n_chains, 2);
	for (size_t i = 0; i < t->n_sets; i++)
		assert_int_equal(t->sets[i].n_elements, 0);
	ph_table_free(t);
}

static void test_order_does_not_matter(void **state)
{
	struct ph_plan_mapping m[] = { web(), mapping("b", "100.64.0.2:1", "203.0.113.7:1"),
				       mapping("a", "100.64.0.1:7", "203.0.113.7:2") };
	struct ph_plan_mapping back[] = { m[2], m[1], m[0] };
	struct ph_table *x = table_of(m, 3), *y = table_of(back, 3);
	struct ph_op *ops = (struct ph_op *)1;
	size_t n = 1;

	(void)state;
	assert_true(ph_table_equal(x, y));
	assert_int_equal(ph_table_diff(x, y, &ops, &n), 0);
	assert_null(ops);
	assert_int_equal(n, 0);
	ph_table_free(x);
	ph_table_free(y);
}

/* ---- what is refused ---- */

static void test_bad_names(void **state)
{
	static const char *const names[] = {
		"", "1", "-", "_a", "a b", "a\"", "a;", "a.b", "\xc3\xa9", "a\n",
	};
	struct ph_plan_mapping m = web();

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		memset(m.name, 0, sizeof(m.name));
		memcpy(m.name, names[i], strlen(names[i]));
		assert_refused(&options, &m, 1);
	}
	memset(m.name, 'a', sizeof(m.name)); /* no end */
	assert_refused(&options, &m, 1);
}

static void test_bad_interfaces(void **state)
{
	static const char *const names[] = {
		"", ".", "..", "a b", "a/b", "a:b", "wan\"", "wan*", "w\\n", "w\x7f", "w\xc3\xa9",
	};
	struct ph_plan_mapping m = web();

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		memset(m.interface, 0, sizeof(m.interface));
		memcpy(m.interface, names[i], strlen(names[i]));
		assert_refused(&options, &m, 1);
	}
	memset(m.interface, 'a', sizeof(m.interface));
	assert_refused(&options, &m, 1);
}

#define ASSERT_REFUSED_WITH(...)                                                                   \
	do {                                                                                       \
		struct ph_plan_mapping m = web();                                                  \
		__VA_ARGS__;                                                                       \
		assert_refused(&options, &m, 1);                                                   \
	} while (0)

static void test_bad_values(void **state)
{
	struct ph_endpoint no_port = endpoint("198.51.100.1:1");
	struct ph_plan_options o;

	(void)state;
	no_port.port = 0;
	ASSERT_REFUSED_WITH(m.proto = (enum ph_proto)1);
	ASSERT_REFUSED_WITH(m.private_endpoint.address.family = (enum ph_family)5);
	ASSERT_REFUSED_WITH(m.public_endpoint = endpoint("[2001:db8::1]:1"));
	ASSERT_REFUSED_WITH(m.target.kind = (enum ph_target_kind)9);
	ASSERT_REFUSED_WITH(m.target.kind = PH_TARGET_ADDRESS;
			    m.target.address = endpoint("[2001:db8::1]:1").address);
	ASSERT_REFUSED_WITH(m.peers = NULL);
	ASSERT_REFUSED_WITH(m.peers = &no_port);

	o = (struct ph_plan_options){ .mark = 0, .mask = 1 };
	assert_refused(&o, NULL, 0);
	o = (struct ph_plan_options){ .mark = 3, .mask = 1 };
	assert_refused(&o, NULL, 0);
}

static void test_duplicates(void **state)
{
	struct ph_plan_mapping m[] = { web(), mapping("x", "100.64.0.2:1", "203.0.113.7:1"), web() };

	(void)state;
	assert_refused(&options, m, 3); /* name, and endpoint */
	m[2].private_endpoint.port++;
	assert_refused(&options, m, 3); /* name */
	snprintf(m[2].name, sizeof(m[2].name), "other");
	m[2].private_endpoint.port--;
	assert_refused(&options, m, 3); /* endpoint, protocol, interface */
	m[2].proto = PH_UDP;
	ph_table_free(table_of(m, 3));
}

/* ---- differences ---- */

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
	static const enum ph_op_kind kinds[] = { PH_OP_DEL_ELEMENT, PH_OP_DEL_ELEMENT, PH_OP_DEL_ELEMENT,
						 PH_OP_ADD_ELEMENT, PH_OP_ADD_ELEMENT,
						 PH_OP_ADD_ELEMENT };
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
	static const enum ph_op_kind kinds[] = { PH_OP_DEL_ELEMENT, PH_OP_FLUSH_CHAIN, PH_OP_DEL_CHAIN,
						 PH_OP_DEL_COUNTER, PH_OP_ADD_COUNTER, PH_OP_ADD_CHAIN,
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

/*
 * Any state after any other: the steps are played on a model that refuses what the kernel would refuse, and
 * what the model holds in the end is the second table.
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
				const struct ph_statement *s = &m->chains[i].rules[j]->statements[k];

				if (counter && s->kind == PH_STMT_COUNTER && !strcmp(s->counter, counter))
					return true;
				if (set && s->kind <= PH_STMT_SNAT_MAP && s->lookup.set == set)
					return true;
			}
	return false;
}

static void model_rule(struct model *m, const struct ph_op *op)
{
	size_t i = model_chain(m, op->chain->name);

	assert_true(i < m->n_chains && m->chains[i].n_rules < 8);
	for (size_t k = 0; k < op->rule->n_statements; k++) {
		const struct ph_statement *s = &op->rule->statements[k];

		if (s->kind == PH_STMT_COUNTER)
			assert_true(model_counter(m, s->counter) < m->n_counters);
		if (s->kind <= PH_STMT_SNAT_MAP)
			assert_true(model_set(m, s->lookup.set) < m->n_sets);
	}
	m->chains[i].rules[m->chains[i].n_rules++] = op->rule;
}

static void model_delete_chain(struct model *m, const char *name)
{
	size_t i = model_chain(m, name);

	assert_true(i < m->n_chains);
	assert_int_equal(m->chains[i].n_rules, 0);
	for (size_t j = 0; j < m->n_elements; j++)
		assert_true(!m->elements[j].element->chain ||
			    strcmp(m->elements[j].element->chain, name));
	m->chains[i] = m->chains[--m->n_chains];
}

static void model_element_step(struct model *m, const struct ph_op *op)
{
	size_t i = model_element(m, op->set, op->element);

	if (op->kind == PH_OP_DEL_ELEMENT) {
		assert_true(i < m->n_elements);
		m->elements[i] = m->elements[--m->n_elements];
		return;
	}
	assert_true(i == m->n_elements && i < MODEL_MAX);
	assert_true(model_set(m, op->set) < m->n_sets);
	if (op->element->chain)
		assert_true(model_chain(m, op->element->chain) < m->n_chains);
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
		assert_true(i < m->n_chains);
		m->chains[i].n_rules = 0;
		return;
	case PH_OP_DEL_CHAIN:
		model_delete_chain(m, op->chain->name);
		return;
	case PH_OP_DEL_SET:
		i = model_set(m, op->set);
		assert_true(i < m->n_sets && !model_uses(m, NULL, op->set));
		m->sets[i] = m->sets[--m->n_sets];
		return;
	case PH_OP_DEL_COUNTER:
		i = model_counter(m, op->counter);
		assert_true(i < m->n_counters && !model_uses(m, op->counter, NULL));
		m->counters[i] = m->counters[--m->n_counters];
		return;
	case PH_OP_ADD_COUNTER:
		assert_true(model_counter(m, op->counter) == m->n_counters);
		m->counters[m->n_counters++] = op->counter;
		return;
	case PH_OP_ADD_SET:
		assert_true(model_set(m, op->set) == m->n_sets);
		m->sets[m->n_sets++] = op->set;
		return;
	case PH_OP_ADD_CHAIN:
		assert_true(model_chain(m, op->chain->name) == m->n_chains);
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

			m[i] = six ? mapping(name, "[2001:db8::1]:1", "[2001:db8::1]:1") :
				     mapping(name, "100.64.0.1:1", "203.0.113.7:1");
			m[i].proto = draw(seed, 2) ? PH_TCP : PH_UDP;
			snprintf(m[i].interface, sizeof(m[i].interface), "%s",
				 interfaces[draw(seed, 2)]);
			m[i].private_endpoint.port = (uint16_t)draw(seed, 4);
			m[i].public_endpoint.port = (uint16_t)draw(seed, 3);
			m[i].open = draw(seed, 4) != 0;
			m[i].target.kind = draw(seed, 2) ? PH_TARGET_LOCAL : PH_TARGET_NONE;
			m[i].target.port = (uint16_t)draw(seed, 2);
			for (size_t j = 0; j < 4; j++) {
				peers[j] = endpoint(six ? "[2001:db8::9]:1" : "198.51.100.1:1");
				peers[j].port = (uint16_t)(1 + draw(seed, 5));
			}
			m[i].peers = peers;
			m[i].n_peers = draw(seed, 5);
		}
		r = ph_table_new(&options, m, n, &t); /* duplicates: again */
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
		cmocka_unit_test(test_mapping_chain),
		cmocka_unit_test(test_base_chains),
		cmocka_unit_test(test_elements),
		cmocka_unit_test(test_ipv6_mirrors),
		cmocka_unit_test(test_same_address_on_two_uplinks),
		cmocka_unit_test(test_peers),
		cmocka_unit_test(test_target_port_follows),
		cmocka_unit_test(test_no_translation),
		cmocka_unit_test(test_closed),
		cmocka_unit_test(test_without_private_endpoint),
		cmocka_unit_test(test_order_does_not_matter),
		cmocka_unit_test(test_bad_names),
		cmocka_unit_test(test_bad_interfaces),
		cmocka_unit_test(test_bad_values),
		cmocka_unit_test(test_duplicates),
		cmocka_unit_test(test_public_endpoint_changes),
		cmocka_unit_test(test_private_endpoint_changes),
		cmocka_unit_test(test_element_changes_its_data),
		cmocka_unit_test(test_any_state_after_any_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
