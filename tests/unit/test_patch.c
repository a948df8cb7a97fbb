/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * A table changed in place. It is only right if it is then the table that would be planned anew,
 * whatever the other mappings are; where it cannot be, it must be refused.
 */

#include "plan_random.h"

/*
 * As the daemon goes about it: the difference between two tables of the mapping alone, without
 * peers. Returns whether it was carried out on t; the two tables are gone then, as they are there.
 */
static bool patch(struct ph_table *t, const struct ph_plan_mapping *before,
		  const struct ph_plan_mapping *now)
{
	struct ph_plan_mapping x = *before, y = *now;
	struct ph_table *from, *to;
	struct ph_op *ops = NULL;
	size_t n = 0;
	bool can;

	x.n_peers = y.n_peers = 0;
	x.peers = y.peers = NULL;
	from = table_of(&x, 1);
	to = table_of(&y, 1);
	assert_int_equal(ph_table_diff(from, to, &ops, &n), 0);
	can = ph_table_can_patch(t, ops, n);
	if (can)
		ph_table_patch(t, ops, n);
	free(ops);
	ph_table_free(from);
	ph_table_free(to);
	return can;
}

/* m[which] becomes now. Whether its change alone was enough; the table is right if it was. */
static bool change(struct ph_plan_mapping *m, size_t n, size_t which,
		   const struct ph_plan_mapping *now)
{
	struct ph_table *t = table_of(m, n), *anew;
	struct ph_plan_mapping before = m[which];
	bool patched = patch(t, &before, now);

	m[which] = *now;
	anew = table_of(m, n);
	if (patched)
		assert_true(ph_table_equal(t, anew));
	m[which] = before;
	/* A table that may not be patched is as it was. */
	if (!patched) {
		struct ph_table *old = table_of(m, n);

		assert_true(ph_table_equal(t, old));
		ph_table_free(old);
	}
	ph_table_free(t);
	ph_table_free(anew);
	return patched;
}

/* ---- what can be done ---- */

static void test_public_endpoint(void **state)
{
	struct ph_plan_mapping m[] = { mapping("a", "100.64.0.2:1", "203.0.113.7:9"), lan(),
				       mapping("z", "100.64.0.2:2", "203.0.113.7:50000") };

	(void)state;
	m[0].loopback = m[2].loopback = true;
	/* Behind others, before them, and in its own place; with loopback and without. */
	for (unsigned loopback = 0; loopback < 2; loopback++) {
		static const char *const publics[] = { "203.0.113.7:60000", "203.0.113.7:1",
						       "203.0.113.7:32452", "203.0.113.9:32451",
						       "9.9.9.9:65535" };

		m[1].loopback = loopback;
		for (size_t i = 0; i < sizeof(publics) / sizeof(publics[0]); i++) {
			struct ph_plan_mapping now = m[1];

			now.public_endpoint = endpoint(publics[i]);
			assert_true(change(m, 3, 1, &now));
		}
	}
}

static void test_ipv6(void **state)
{
	struct ph_plan_mapping m = mapping("six", "[2001:db8::2]:53", "[2001:db8::3]:53");
	struct ph_plan_mapping now;

	(void)state;
	m.n_peers = 0;
	m.loopback = true;
	now = m;
	now.public_endpoint.port = 54;
	assert_true(change(&m, 1, 0, &now));
}

static void test_borrowed(void **state)
{
	struct ph_plan_mapping m = identity(), now;

	(void)state;
	m.loopback = true;
	m.own_port = 40001;
	now = m;
	now.public_endpoint.port++;
	assert_true(change(&m, 1, 0, &now));
}

/* One after the other, in a table of many. */
static void test_many_times(void **state)
{
	struct ph_plan_mapping m[20];
	uint32_t seed = 20260719;
	struct ph_table *t;

	(void)state;
	for (size_t i = 0; i < 20; i++) {
		char name[] = { 'w', 'e', 'b', '-', (char)('a' + i), 0 };

		m[i] = mapping(name, "100.64.0.2:1", "203.0.113.7:1");
		m[i].loopback = true;
		m[i].private_endpoint.port = (uint16_t)(1000 + i);
		m[i].public_endpoint.port = (uint16_t)(2000 + i);
	}
	t = table_of(m, 20);
	for (unsigned round = 0; round < 1000; round++) {
		size_t which = draw(&seed, 20);
		struct ph_plan_mapping before = m[which];
		struct ph_table *anew;
		bool taken;

		do {
			taken = false;
			m[which].public_endpoint.port = (uint16_t)(2000 + draw(&seed, 60));
			for (size_t i = 0; i < 20; i++)
				taken = taken ||
					(i != which && m[i].public_endpoint.port ==
							       m[which].public_endpoint.port);
		} while (taken);
		assert_true(patch(t, &before, &m[which]));
		anew = table_of(m, 20);
		assert_true(ph_table_equal(t, anew));
		ph_table_free(anew);
	}
	ph_table_free(t);
}

/* ---- what cannot ---- */

static void test_endpoint_comes_and_goes(void **state)
{
	struct ph_plan_mapping known = lan(), unknown = lan();

	(void)state;
	unknown.public_endpoint = (struct ph_endpoint){ 0 };
	assert_false(change(&unknown, 1, 0, &known));
	assert_false(change(&known, 1, 0, &unknown));
	/* As the daemon does it. */
	unknown.open = false;
	known.loopback = unknown.loopback = false;
	assert_false(change(&unknown, 1, 0, &known));
	assert_false(change(&known, 1, 0, &unknown));
}

/* It becomes equal to the private one, or ceases to be: an element more or less. */
static void test_both_endpoints_equal(void **state)
{
	struct ph_plan_mapping two = lan(), one = lan();

	(void)state;
	one.public_endpoint = one.private_endpoint;
	assert_false(change(&two, 1, 0, &one));
	assert_false(change(&one, 1, 0, &two));
}

static void test_rule_follows(void **state)
{
	struct ph_plan_mapping m = lan(), now;

	(void)state;
	m.target.port = 0;
	now = m;
	now.public_endpoint.port++;
	assert_false(change(&m, 1, 0, &now));
}

static void test_other_things(void **state)
{
	const struct ph_prefixes *sets[] = { prefixes(PH_IPV4, "10.0.0.0", 8),
					     prefixes(PH_IPV4, "11.0.0.0", 8) };

	(void)state;
	for (unsigned i = 0; i < 8; i++) {
		struct ph_plan_mapping m = lan(), now;

		m.allow = sets[0];
		now = m;
		if (i == 0)
			now.uplink = 1;
		else if (i == 1)
			now.snat = true;
		else if (i == 2)
			now.own_port = 40001;
		else if (i == 3)
			now.loopback = false;
		else if (i == 4)
			now.target.address = endpoint("127.0.0.1:1").address;
		else if (i == 5)
			now.allow = NULL;
		else if (i == 6)
			now.allow = sets[1]; /* a range for another */
		else
			now.limit = (struct ph_limit){ 1, 1, 5 };
		assert_false(change(&m, 1, 0, &now));
	}
	ph_prefixes_unref(sets[0]);
	ph_prefixes_unref(sets[1]);
}

/* The name of an element's chain is the old table's own. */
static void test_verdicts(void **state)
{
	struct ph_plan_mapping m = web(), now = web();

	(void)state;
	now.private_endpoint.port++;
	assert_false(change(&m, 1, 0, &now));
	/* Without one it may. */
	m.open = now.open = false;
	assert_true(change(&m, 1, 0, &now));
}

/* Another mapping has the public endpoint that this one gets, or leaves. */
static void test_shared_key(void **state)
{
	struct ph_plan_mapping m[] = { lan(), lan() }, now;

	(void)state;
	for (size_t which = 0; which < 2; which++) {
		snprintf(m[1].name, sizeof(m[1].name), which ? "a" : "z");
		m[1].private_endpoint.port = which ? 1 : 9999;
		m[0].public_endpoint.port = 1000;
		m[1].public_endpoint.port = 1001;
		now = m[0];
		now.public_endpoint.port = 1001;
		assert_false(change(m, 2, 0, &now));
		m[1].public_endpoint.port = 1000;
		assert_false(change(m, 2, 0, &now));
	}
}

/* The same private endpoint by two interfaces: one element says what it is. */
static void test_shared_private_endpoint(void **state)
{
	struct ph_plan_mapping m[] = { web(), web() }, now;

	(void)state;
	snprintf(m[1].name, sizeof(m[1].name), "z");
	snprintf(m[1].interface, sizeof(m[1].interface), "zzz");
	now = m[1];
	now.public_endpoint.port++;
	assert_false(change(m, 2, 1, &now));
}

/* The table is another one than was thought. */
static void test_not_there(void **state)
{
	struct ph_plan_mapping m = lan(), before = lan(), now = lan();
	struct ph_table *t = table_of(&m, 1);

	(void)state;
	before.public_endpoint.port = 7;
	now.public_endpoint.port = 8;
	assert_false(patch(t, &before, &now));
	ph_table_free(t);
	t = table_of(NULL, 0);
	assert_false(patch(t, &m, &now));
	ph_table_free(t);
	/* The key is there, with another comment. */
	m.loopback = before.loopback = now.loopback = false;
	t = table_of(&m, 1);
	assert_false(patch(t, &before, &now));
	ph_table_free(t);
}

/* What an element is called is the table's own text. */
static void test_text(void **state)
{
	struct ph_plan_mapping m = web(), now = web();

	(void)state;
	m.open = now.open = false;
	now.retiring = true;
	assert_false(change(&m, 1, 0, &now));
}

/* ---- whatever the mappings are ---- */

static void random_change(struct random_plan *r, struct ph_plan_mapping *m)
{
	switch (draw(&r->seed, 8)) {
	case 0:
		m->target.port = (uint16_t)draw(&r->seed, 3);
		break;
	case 1:
		m->open = !m->open;
		break;
	case 2:
		if (m->private_endpoint.port)
			m->private_endpoint.port = (uint16_t)(1 + draw(&r->seed, 3));
		break;
	case 3:
		m->own_port = (uint16_t)(200 + draw(&r->seed, 2));
		break;
	case 4:
		m->retiring = !m->retiring;
		break;
	default:
		break;
	}
	random_public(r, m);
}

static void test_any_change(void **state)
{
	static struct random_plan random;
	unsigned patched = 0, changed = 0;

	(void)state;
	random_init(&random, 20260801);
	while (changed < 10000) {
		struct ph_table *before = random_table(&random), *after = NULL;
		struct ph_plan_mapping now, old;
		size_t which;
		int result;

		ph_table_free(before);
		if (random.n == 0)
			continue;
		which = draw(&random.seed, (uint32_t)random.n);
		old = now = random.mappings[which];
		random_change(&random, &now);
		random.mappings[which] = now;
		result = ph_table_new(&plan_options, random.mappings, random.n, &after);
		random.mappings[which] = old;
		if (result == -EINVAL) /* another mapping has it */
			continue;
		assert_int_equal(result, 0);
		ph_table_free(after);
		patched += change(random.mappings, random.n, which, &now);
		changed++;
	}
	/* Neither answer is rare. */
	assert_in_range(patched, 1000, 9000);
	random_done(&random);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_public_endpoint),
		cmocka_unit_test(test_ipv6),
		cmocka_unit_test(test_borrowed),
		cmocka_unit_test(test_many_times),
		cmocka_unit_test(test_endpoint_comes_and_goes),
		cmocka_unit_test(test_both_endpoints_equal),
		cmocka_unit_test(test_rule_follows),
		cmocka_unit_test(test_other_things),
		cmocka_unit_test(test_verdicts),
		cmocka_unit_test(test_shared_key),
		cmocka_unit_test(test_shared_private_endpoint),
		cmocka_unit_test(test_not_there),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_any_change),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
