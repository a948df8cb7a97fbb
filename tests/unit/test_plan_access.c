/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Who is let in, how often, and what becomes of the others. */

#include "plan_text.h"

#define LET_IN "mark 08000000/0f000000, counter web" /* and nothing is translated */

static void test_identity(void **state)
{
	struct ph_plan_mapping m = identity();
	struct ph_table *t = table_of(&m, 1);

	(void)state;
	assert_true(ph_plan_is_identity(&m));
	assert_true(ph_plan_shares_port(&m.target, 8443));
	assert_false(ph_plan_shares_port(&m.target, 8444));
	assert_rules(t, "in-web", LET_IN "\n");
	ph_table_free(t);

	m.target.kind = PH_TARGET_NONE;
	assert_true(ph_plan_is_identity(&m));
	assert_true(ph_plan_shares_port(&m.target, 1));
	t = table_of(&m, 1);
	assert_rules(t, "in-web", LET_IN "\n");
	ph_table_free(t);

	/* That port of another machine. */
	m = lan();
	m.target.port = m.private_endpoint.port;
	assert_false(ph_plan_is_identity(&m));
	assert_false(ph_plan_shares_port(&m.target, 8443));
	/* One that follows: it may come to be the same. */
	m = web();
	m.target.port = 0;
	assert_false(ph_plan_is_identity(&m));
	assert_true(ph_plan_shares_port(&m.target, 8443));
	m.public_endpoint.port = 8443;
	assert_true(ph_plan_is_identity(&m));
	t = table_of(&m, 1);
	assert_rules(t, "in-web", LET_IN "\n");
	ph_table_free(t);
}

static void test_limit(void **state)
{
	static const uint32_t units[] = { 1, 60, 3600, 86400 };

	(void)state;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		struct ph_plan_mapping m = lan();
		struct ph_table *t;
		char rule[200];

		m.limit = (struct ph_limit){ 50, units[i], 100 };
		t = table_of(&m, 1);
		snprintf(rule, sizeof(rule),
			 "limit 50/%us 100, mark 08000000/0f000000, counter web, tcp, "
			 "dnat 192.168.10.50:443\n",
			 units[i]);
		assert_rules(t, "in-web", rule);
		ph_table_free(t);
	}
}

/* Who is not let in is not translated, and dropped where nobody is. */
static void test_drop(void **state)
{
	const struct ph_prefixes *allow = prefixes(PH_IPV4, "198.51.100.0", 24);

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		static const char *const rules[] = {
			LET_IN "\n",
			"limit 10/60s 5, " LET_IN ", return\ndrop\n",
			"saddr@allow4-web, " LET_IN ", return\ndrop\n",
			"saddr@allow4-web, limit 10/60s 5, " LET_IN ", return\ndrop\n",
		};
		struct ph_plan_mapping m = identity();
		struct ph_table *t;

		if (i & 1)
			m.limit = (struct ph_limit){ 10, 60, 5 };
		m.allow = i & 2 ? allow : NULL;
		t = table_of(&m, 1);
		assert_rules(t, "in-web", rules[i]);
		ph_table_free(t);
		m.target.kind = PH_TARGET_NONE;
		t = table_of(&m, 1);
		assert_rules(t, "in-web", rules[i]);
		ph_table_free(t);
		m.target = web().target;
		t = table_of(&m, 1);
		assert_int_equal(find_chain(t, "in-web")->n_rules, 1);
		ph_table_free(t);
	}
	ph_prefixes_unref(allow);
}

static void assert_ranges(const struct ph_table *t, const char *name,
			  const struct ph_prefixes *allow)
{
	const struct ph_set *set = find_set(t, name);

	assert_int_equal(set->def->kind, PH_SET_RANGES);
	assert_int_equal(set->def->n_key, 1);
	assert_int_equal(set->def->key[0],
			 allow->family == PH_IPV4 ? PH_TYPE_IPV4_ADDR : PH_TYPE_IPV6_ADDR);
	assert_int_equal(set->n_elements, 0);
	assert_ptr_equal(set->ranges, allow);
}

static void test_allow(void **state)
{
	const struct ph_prefixes *four = prefixes(PH_IPV4, "198.51.100.0", 24);
	const struct ph_prefixes *six = prefixes(PH_IPV6, "2001:db8::", 32);
	struct ph_plan_mapping m[] = { lan(),
				       mapping("six", "[2001:db8::2]:53", "[2001:db8::2]:53"),
				       mapping("open", "100.64.0.2:1", "203.0.113.7:1"),
				       mapping("also", "100.64.0.2:2", "203.0.113.7:2") };
	struct ph_table *t;

	(void)state;
	m[0].allow = m[3].allow = four;
	m[1].n_peers = 0;
	m[1].allow = six;
	t = table_of(m, 4);
	assert_rules(t, "in-web",
		     "saddr@allow4-web, mark 08000000/0f000000, counter web, tcp, "
		     "dnat 192.168.10.50:443\n");
	assert_rules(
		t, "in-six",
		"saddr@allow6-six, mark 08000000/0f000000, counter six, tcp, dnat [2001:db8::2]:443\n");
	assert_rules(t, "in-open",
		     "mark 08000000/0f000000, counter open, tcp, dnat 100.64.0.2:443\n");
	assert_ranges(t, "allow4-web", four);
	assert_ranges(t, "allow6-six", six);
	/* The same addresses under two names: sets are found by the mapping's name. */
	assert_ranges(t, "allow4-also", four);
	assert_int_equal(t->n_sets, 13 + 3);
	/* Canonical: by rank, then by name. */
	assert_string_equal(t->sets[13].def->name, "allow4-also");
	assert_string_equal(t->sets[14].def->name, "allow4-web");
	assert_string_equal(t->sets[15].def->name, "allow6-six");
	/* A reference for each set. */
	assert_int_equal(four->references, 3);
	assert_int_equal(six->references, 2);
	ph_table_free(t);
	assert_int_equal(four->references, 1);
	assert_int_equal(six->references, 1);
	ph_prefixes_unref(four);
	ph_prefixes_unref(six);
}

/* Nobody is another thing than everybody. */
static void test_allow_nobody(void **state)
{
	const struct ph_prefixes *nobody = prefixes(PH_IPV4, "", 0);
	struct ph_plan_mapping m = lan();
	struct ph_table *all, *none;

	(void)state;
	all = table_of(&m, 1);
	m.allow = nobody;
	none = table_of(&m, 1);
	assert_null(find_set_or_null(all, "allow4-web"));
	assert_ranges(none, "allow4-web", nobody);
	assert_rules(none, "in-web",
		     "saddr@allow4-web, mark 08000000/0f000000, counter web, tcp, "
		     "dnat 192.168.10.50:443\n");
	assert_false(ph_table_equal(all, none));
	ph_table_free(all);
	/* The table outlives its maker's reference. */
	ph_prefixes_unref(nobody);
	assert_int_equal(find_set(none, "allow4-web")->ranges->n, 0);
	ph_table_free(none);
}

/* Equal by content, whichever object it is. */
static void test_allow_makes_tables_differ(void **state)
{
	const struct ph_prefixes *sets[] = { prefixes(PH_IPV4, "198.51.100.0", 24),
					     prefixes(PH_IPV4, "198.51.100.0", 24),
					     prefixes(PH_IPV4, "198.51.100.0", 25) };
	struct ph_table *t[3];

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct ph_plan_mapping m = lan();

		m.allow = sets[i];
		t[i] = table_of(&m, 1);
		ph_prefixes_unref(sets[i]);
	}
	assert_true(ph_table_equal(t[0], t[1]));
	assert_false(ph_table_equal(t[0], t[2]));
	for (size_t i = 0; i < 3; i++)
		ph_table_free(t[i]);
}

/* Both bind ports ask one set. */
static void test_allow_while_moving(void **state)
{
	const struct ph_prefixes *allow = prefixes(PH_IPV4, "198.51.100.0", 24);

	(void)state;
	for (unsigned moment = 1; moment <= 3; moment++) {
		struct ph_plan_mapping m[2];
		size_t n = moving(moment, m);
		struct ph_table *t;

		for (size_t i = 0; i < n; i++)
			m[i].allow = allow;
		t = table_of(m, n);
		assert_ranges(t, "allow4-web", allow);
		assert_int_equal(t->n_sets, 13 + 1);
		assert_int_equal(allow->references, 2);
		assert_rules(t, "in-web",
			     "saddr@allow4-web, mark 08000000/0f000000, counter web, tcp, "
			     "dnat 100.64.0.2:443\n");
		if (moment == 2)
			assert_rules(t, "old-web",
				     "saddr@allow4-web, mark 08000000/0f000000, counter web, tcp, "
				     "dnat 100.64.0.2:443\n");
		ph_table_free(t);
		assert_int_equal(allow->references, 1);
	}
	ph_prefixes_unref(allow);
}

/* What lets nobody in by any rule needs no set to ask. */
static void test_no_allow_set_when_closed(void **state)
{
	struct ph_plan_mapping m = lan();
	struct ph_table *t;

	(void)state;
	m.allow = prefixes(PH_IPV4, "198.51.100.0", 24);
	m.open = false;
	t = table_of(&m, 1);
	assert_null(find_set_or_null(t, "allow4-web"));
	assert_int_equal(m.allow->references, 1);
	ph_table_free(t);
	ph_prefixes_unref(m.allow);
}

static void test_bad_options(void **state)
{
	const struct ph_prefixes *six = prefixes(PH_IPV6, "2001:db8::", 32);
	const struct ph_prefixes *four = prefixes(PH_IPV4, "198.51.100.0", 24);

	(void)state;
	ASSERT_REFUSED_WITH(m.uplink = PH_UPLINKS_MAX + 1);
	ASSERT_REFUSED_WITH(m.allow = six);
	ASSERT_REFUSED_WITH(m.private_endpoint = endpoint("[2001:db8::2]:1");
			    m.public_endpoint.port = 0; m.n_peers = 0; m.allow = four);
	ASSERT_REFUSED_WITH(m.limit = ((struct ph_limit){ 1, 7, 5 }));
	ASSERT_REFUSED_WITH(m.limit = ((struct ph_limit){ 1, 0, 5 }));
	/* No limit has no unit. */
	{
		struct ph_plan_mapping m = web();

		m.limit.seconds = 7;
		ph_table_free(table_of(&m, 1));
	}
	assert_int_equal(six->references, 1);
	assert_int_equal(four->references, 1);
	ph_prefixes_unref(six);
	ph_prefixes_unref(four);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_identity),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_drop),
		cmocka_unit_test(test_allow),
		cmocka_unit_test(test_allow_nobody),
		cmocka_unit_test(test_allow_makes_tables_differ),
		cmocka_unit_test(test_allow_while_moving),
		cmocka_unit_test(test_no_allow_set_when_closed),
		cmocka_unit_test(test_bad_options),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
