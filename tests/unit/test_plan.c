/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plan_mappings.h"

static void assert_refused(const struct ph_plan_options *o, const struct ph_plan_mapping *m,
			   size_t n)
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
	abort(); /* not reached; the analysers do not know */
}

static const struct ph_chain *find_chain_or_null(const struct ph_table *t, const char *name)
{
	for (size_t i = 0; i < t->n_chains; i++)
		if (!strcmp(t->chains[i].name, name))
			return &t->chains[i];
	return NULL;
}

static const struct ph_chain *find_chain(const struct ph_table *t, const char *name)
{
	const struct ph_chain *chain = find_chain_or_null(t, name);

	if (!chain) {
		fail_msg("no chain %s", name);
		abort(); /* not reached; the analysers do not know */
	}
	return chain;
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
	static const enum ph_statement_kind kinds[] = { PH_STMT_MARK, PH_STMT_COUNTER,
							PH_STMT_L4PROTO, PH_STMT_DNAT };
	struct ph_plan_mapping m = web();
	char comment[PH_COMMENT_STRLEN];
	const struct ph_chain *chain;
	struct ph_table *t;

	(void)state;
	m.target =
		(struct ph_target){ PH_TARGET_ADDRESS, endpoint("192.168.10.50:1").address, 443 };
	t = table_of(&m, 1);
	chain = find_chain(t, "in-web");
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
	static const uint8_t inbound[28] = { 'w',    'a', 'n', [16] = 100, 64,   0,   2,
					     PH_TCP, 0,   0,   0,          0x20, 0xfb };
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

/* Two mappings of one proto and port on two uplinks with the same address share bound and source.
 */
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
	snprintf(m[1].name, sizeof(m[1].name), "over-udp");
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
	assert_null(find_chain_or_null(t, "in-web"));
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
	assert_null(find_chain_or_null(t, "in-web"));
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

static void assert_arrival(const struct ph_table *t, size_t n, uint16_t port, const char *chain)
{
	const struct ph_set *set = find_set(t, "inbound4");

	assert_true(n < set->n_elements);
	assert_int_equal(set->elements[n].key[24] << 8 | set->elements[n].key[25], port);
	assert_string_equal(set->elements[n].chain, chain);
}

static void assert_comment(const struct ph_table *t, const char *chain, const char *comment)
{
	char buf[PH_COMMENT_STRLEN];

	assert_int_equal(find_chain(t, chain)->n_rules, 1);
	assert_string_equal(ph_rule_comment(find_chain(t, chain)->rules, buf), comment);
}

/* The next bind port is looked after before anybody is let in by it. */
static void test_moving_begins(void **state)
{
	struct ph_plan_mapping m[2];
	struct ph_table *t = table_of(m, moving(1, m));

	(void)state;
	assert_int_equal(t->n_counters, 1);
	assert_int_equal(t->n_chains, 3);
	assert_comment(t, "in-web", "web: 203.0.113.7:32451");
	assert_int_equal(find_set(t, "inbound4")->n_elements, 1);
	assert_arrival(t, 0, 8443, "in-web");
	assert_int_equal(find_set(t, "bound4")->n_elements, 2);
	assert_int_equal(find_set(t, "source4")->n_elements, 2);
	ph_table_free(t);
}

/* Both bind ports let connections in, and one counter counts them. */
static void test_moving_overlaps(void **state)
{
	static const enum ph_statement_kind kinds[] = { PH_STMT_MARK, PH_STMT_COUNTER,
							PH_STMT_L4PROTO, PH_STMT_REDIRECT };
	struct ph_plan_mapping m[2];
	struct ph_table *t = table_of(m, moving(2, m));

	(void)state;
	assert_int_equal(t->n_counters, 1);
	assert_int_equal(t->n_chains, 4);
	assert_comment(t, "in-web", "web: 203.0.113.7:1025");
	assert_comment(t, "old-web", "web (old port): 203.0.113.7:32451");
	assert_kinds(find_chain(t, "in-web")->rules, kinds, 4);
	assert_kinds(find_chain(t, "old-web")->rules, kinds, 4);
	assert_string_equal(find_chain(t, "old-web")->rules->statements[1].counter, "web");
	assert_int_equal(find_set(t, "inbound4")->n_elements, 2);
	assert_arrival(t, 0, 8443, "old-web");
	assert_arrival(t, 1, 8444, "in-web");
	assert_int_equal(find_set(t, "bound4")->n_elements, 2);
	assert_int_equal(find_set(t, "source4")->n_elements, 2);
	ph_table_free(t);
}

static void test_moving_ends(void **state)
{
	struct ph_plan_mapping m[2];
	struct ph_table *t = table_of(m, moving(3, m));

	(void)state;
	assert_null(find_chain_or_null(t, "old-web"));
	assert_int_equal(find_set(t, "inbound4")->n_elements, 1);
	assert_arrival(t, 0, 8444, "in-web");
	assert_int_equal(find_set(t, "bound4")->n_elements, 1);
	ph_table_free(t);
}

/* Chains of old ports stand behind all others, so that a walk over two tables meets the same ones.
 */
static void test_moving_among_others(void **state)
{
	static const char *const names[] = { "prerouting", "postrouting", "in-a",
					     "in-web",     "in-z",        "old-web" };
	struct ph_plan_mapping m[4];
	struct ph_table *x, *y;

	(void)state;
	moving(2, m);
	m[2] = mapping("z", "100.64.0.2:1", "203.0.113.7:1");
	m[3] = mapping("a", "100.64.0.2:2", "203.0.113.7:2");
	x = table_of(m, 4);
	assert_int_equal(x->n_chains, 6);
	for (size_t i = 0; i < 6; i++)
		assert_string_equal(x->chains[i].name, names[i]);
	for (size_t i = 0; i < 2; i++) {
		struct ph_plan_mapping swap = m[i];

		m[i] = m[3 - i];
		m[3 - i] = swap;
	}
	y = table_of(m, 4);
	assert_true(ph_table_equal(x, y));
	ph_table_free(x);
	ph_table_free(y);
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
		assert_refused(&plan_options, &m, 1);
	}
	snprintf(m.name, sizeof(m.name), "tcp"); /* a word of nft's */
	assert_refused(&plan_options, &m, 1);
	memset(m.name, 'a', sizeof(m.name)); /* no end */
	assert_refused(&plan_options, &m, 1);
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
		assert_refused(&plan_options, &m, 1);
	}
	memset(m.interface, 'a', sizeof(m.interface));
	assert_refused(&plan_options, &m, 1);
}

#define ASSERT_REFUSED_WITH(...)                      \
	do {                                          \
		struct ph_plan_mapping m = web();     \
		__VA_ARGS__;                          \
		assert_refused(&plan_options, &m, 1); \
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
	struct ph_plan_mapping m[] = { web(), mapping("x", "100.64.0.2:1", "203.0.113.7:1"),
				       web() };

	(void)state;
	assert_refused(&plan_options, m, 3); /* name, and endpoint */
	m[2].private_endpoint.port++;
	assert_refused(&plan_options, m, 3); /* name */
	snprintf(m[2].name, sizeof(m[2].name), "other");
	m[2].private_endpoint.port--;
	assert_refused(&plan_options, m, 3); /* endpoint, protocol, interface */
	m[2].proto = PH_UDP;
	ph_table_free(table_of(m, 3));
}

/* A name may be there twice only while the mapping moves. */
static void test_bad_moves(void **state)
{
	struct ph_plan_mapping m[3];

	(void)state;
	moving(2, m);
	m[0].retiring = false;
	assert_refused(&plan_options, m, 2); /* which of them is in-web? */
	m[0].retiring = m[1].retiring = true;
	assert_refused(&plan_options, m, 2);
	m[0].open = m[1].open = false;
	assert_refused(&plan_options, m, 2);

	moving(2, m);
	m[2] = m[1];
	m[2].private_endpoint.port++;
	m[2].open = false;
	assert_refused(&plan_options, m, 3);
	m[0].open = m[1].open = false;
	m[0].retiring = false;
	assert_refused(&plan_options, m, 3);

	moving(1, m);
	m[1].private_endpoint = m[0].private_endpoint;
	assert_refused(&plan_options, m, 2);
	m[1].private_endpoint = (struct ph_endpoint){ 0 }; /* has no address yet */
	ph_table_free(table_of(m, 2));
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
		cmocka_unit_test(test_moving_begins),
		cmocka_unit_test(test_moving_overlaps),
		cmocka_unit_test(test_moving_ends),
		cmocka_unit_test(test_moving_among_others),
		cmocka_unit_test(test_order_does_not_matter),
		cmocka_unit_test(test_bad_names),
		cmocka_unit_test(test_bad_interfaces),
		cmocka_unit_test(test_bad_values),
		cmocka_unit_test(test_duplicates),
		cmocka_unit_test(test_bad_moves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
