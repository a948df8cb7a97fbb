/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "test.h"

#include <string.h>

#include <pinhold/pool.h>

static struct ph_address addr(unsigned last)
{
	return (struct ph_address){ PH_IPV4, { 192, 0, 2, (uint8_t)last } };
}

static void test_walks_the_list(void **state)
{
	struct ph_address a[] = { addr(1), addr(2) };
	struct ph_pool pool = { 0 };
	struct ph_candidate *c;

	(void)state;
	assert_int_equal(1, ph_pool_set(&pool, 1, 3478, &a[1], 1, 1));
	assert_int_equal(1, ph_pool_set(&pool, 0, 3478, &a[0], 1, 1));
	c = ph_pool_pick(&pool, 5, 1, NULL, 0);
	assert_endpoint(&c->endpoint, "192.0.2.1:3478"); /* the server named first */
	c->used_ms = 5;
	c = ph_pool_pick(&pool, 6, 1, NULL, 0);
	assert_endpoint(&c->endpoint, "192.0.2.2:3478"); /* used longest ago */
	c->used_ms = 6;
	c = ph_pool_pick(&pool, 7, 1, NULL, 0);
	assert_endpoint(&c->endpoint, "192.0.2.1:3478");
	ph_pool_done(&pool);
}

static void test_prefers_another_name(void **state)
{
	struct ph_address a[] = { addr(1), addr(2) }, b = addr(3);
	struct ph_endpoint first = endpoint("192.0.2.1:3478");
	struct ph_pool pool = { 0 };
	struct ph_candidate *c;

	(void)state;
	ph_pool_set(&pool, 0, 3478, a, 2, 1);
	ph_pool_set(&pool, 1, 3478, &b, 1, 1);
	/* The first name's other address would be next by the list. */
	c = ph_pool_pick(&pool, 5, 1, &first, 1);
	assert_endpoint(&c->endpoint, "192.0.2.3:3478");
	c->used_ms = 5;
	/* But not at the price of a flow that tells what was. */
	c = ph_pool_pick(&pool, 6, 1, &first, 1);
	assert_endpoint(&c->endpoint, "192.0.2.2:3478");
	c->used_ms = 4;
	c = ph_pool_pick(&pool, 6, 1, &first, 1);
	assert_endpoint(&c->endpoint, "192.0.2.3:3478");
	ph_pool_done(&pool);
}

static void test_waits_for_the_table(void **state)
{
	struct ph_address a = addr(1);
	struct ph_pool pool = { 0 };

	(void)state;
	ph_pool_set(&pool, 0, 3478, &a, 1, 7);
	assert_null(ph_pool_pick(&pool, 5, 6, NULL, 0));
	assert_non_null(ph_pool_pick(&pool, 5, 7, NULL, 0));
	ph_pool_done(&pool);
}

static void test_avoids_addresses_whatever_the_port(void **state)
{
	struct ph_address a = addr(1);
	struct ph_endpoint avoid = endpoint("192.0.2.1:80");
	struct ph_pool pool = { 0 };

	(void)state;
	ph_pool_set(&pool, 0, 3478, &a, 1, 1);
	assert_null(ph_pool_pick(&pool, 5, 1, &avoid, 1));
	assert_int_equal(ph_pool_wait(&pool, 1, &avoid, 1), UINT64_MAX);
	ph_pool_done(&pool);
}

static void test_back_off(void **state)
{
	static const uint64_t waits[] = { 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000 };
	struct ph_address a = addr(1);
	struct ph_pool pool = { 0 };
	struct ph_candidate *c;
	uint64_t now = 10;

	(void)state;
	ph_pool_set(&pool, 0, 3478, &a, 1, 1);
	for (size_t i = 0; i < sizeof(waits) / sizeof(*waits); i++) {
		c = ph_pool_pick(&pool, now, 1, NULL, 0);
		assert_non_null(c);
		ph_candidate_failed(c, now, 60000);
		assert_int_equal(ph_pool_wait(&pool, 1, NULL, 0), now + waits[i]);
		assert_null(ph_pool_pick(&pool, now + waits[i] - 1, 1, NULL, 0));
		now += waits[i];
	}
	ph_candidate_good(c);
	assert_int_equal(ph_candidate_failed(c, 0, 60000), 1);
	ph_pool_done(&pool);
}

static void test_dns_changes(void **state)
{
	struct ph_address first[] = { addr(1), addr(2) }, then[] = { addr(2), addr(3) };
	struct ph_endpoint gone = endpoint("192.0.2.1:3478"), kept = endpoint("192.0.2.2:3478");
	struct ph_pool pool = { 0 };

	(void)state;
	assert_int_equal(1, ph_pool_set(&pool, 0, 3478, first, 2, 1));
	assert_int_equal(0, ph_pool_set(&pool, 0, 3478, first, 2, 2));
	ph_pool_find(&pool, &kept)->used_ms = 42;
	assert_int_equal(1, ph_pool_set(&pool, 0, 3478, then, 2, 3));
	assert_null(ph_pool_find(&pool, &gone));
	assert_int_equal(ph_pool_find(&pool, &kept)->used_ms, 42);
	assert_int_equal(0, ph_pool_set(&pool, 0, 3478, NULL, 0,
					4)); /* an old address is better than none */
	assert_int_equal(pool.n, 2);
	ph_pool_done(&pool);
}

static void test_never_overflows(void **state)
{
	struct ph_pool pool = { 0 };

	(void)state;
	for (unsigned i = 0; i < 255; i++) {
		struct ph_address a = addr(i);

		ph_pool_set(&pool, i % PH_SERVERS_MAX + i, 3478, &a, 1, 1);
		assert_true(pool.n <= PH_CANDIDATES_MAX);
	}
	assert_int_equal(pool.n, PH_CANDIDATES_MAX);
	ph_pool_done(&pool);
}

static void test_prefers_who_holds_longer(void **state)
{
	struct ph_address a[] = { addr(1), addr(2), addr(3) };
	struct ph_pool pool = { 0 };

	(void)state;
	ph_pool_set(&pool, 0, 80, a, 3, 1);
	ph_candidate_held(&pool.items[0], 3000);
	ph_candidate_held(&pool.items[1], 600000);
	assert_ptr_equal(ph_pool_pick(&pool, 5, 1, NULL, 0), &pool.items[2]); /* unknown: hopeful */
	ph_candidate_held(&pool.items[2], 500);
	assert_ptr_equal(ph_pool_pick(&pool, 5, 1, NULL, 0), &pool.items[1]);
	pool.items[1].retry_ms = 9;
	assert_ptr_equal(ph_pool_pick(&pool, 5, 1, NULL, 0), &pool.items[0]);
	ph_pool_done(&pool);
}

static void test_fresh(void **state)
{
	struct ph_candidate c = { 0 };

	(void)state;
	assert_true(ph_candidate_fresh(&c, 5));
	c.used_ms = 1000;
	assert_false(ph_candidate_fresh(&c, 1000 + PH_FRESH_MS - 1));
	assert_true(ph_candidate_fresh(&c, 1000 + PH_FRESH_MS));
}

static void test_renumber(void **state)
{
	struct ph_address a[] = { addr(1), addr(2), addr(3) };
	const int to[] = { 1, -1, 0 };
	struct ph_pool pool = { 0 };

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		ph_pool_set(&pool, i, 80, &a[i], 1, 1);
	assert_true(ph_pool_renumber(&pool, to, 3));
	assert_int_equal(pool.n, 2);
	assert_int_equal(pool.items[0].server, 1);
	assert_int_equal(pool.items[1].server, 0);
	assert_endpoint(&pool.items[1].endpoint, "192.0.2.3:80");
	ph_pool_done(&pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_walks_the_list),
		cmocka_unit_test(test_prefers_another_name),
		cmocka_unit_test(test_waits_for_the_table),
		cmocka_unit_test(test_avoids_addresses_whatever_the_port),
		cmocka_unit_test(test_back_off),
		cmocka_unit_test(test_dns_changes),
		cmocka_unit_test(test_never_overflows),
		cmocka_unit_test(test_prefers_who_holds_longer),
		cmocka_unit_test(test_fresh),
		cmocka_unit_test(test_renumber),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
