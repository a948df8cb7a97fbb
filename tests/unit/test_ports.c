/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "test.h"

#include <errno.h>
#include <stdlib.h>

#include <pinhold/ports.h>

static const int a, b; /* two owners */

static void test_owners(void **state)
{
	struct ph_endpoint wan = endpoint("100.64.0.2:8443"), next = endpoint("100.64.0.2:8444");
	struct ph_endpoint other = endpoint("100.64.0.3:8443"), v6 = endpoint("[2001:db8::2]:8443");
	struct ph_ports *p = ph_ports_new();

	(void)state;
	assert_non_null(p);
	assert_null(ph_ports_owner(p, PH_TCP, &wan));
	assert_int_equal(ph_ports_take(p, PH_TCP, &wan, &a), 0);
	assert_int_equal(ph_ports_take(p, PH_TCP, &wan, &b), -EADDRINUSE);
	assert_ptr_equal(ph_ports_owner(p, PH_TCP, &wan), &a);
	/* Another protocol, port or address is another thing. */
	assert_int_equal(ph_ports_take(p, PH_UDP, &wan, &b), 0);
	assert_int_equal(ph_ports_take(p, PH_TCP, &next, &b), 0);
	assert_int_equal(ph_ports_take(p, PH_TCP, &other, &b), 0);
	assert_int_equal(ph_ports_take(p, PH_TCP, &v6, &b), 0);
	/* It is free when the last use has ended. */
	assert_int_equal(ph_ports_take(p, PH_TCP, &wan, &a), 0);
	ph_ports_release(p, PH_TCP, &wan, &a);
	assert_int_equal(ph_ports_take(p, PH_TCP, &wan, &b), -EADDRINUSE);
	ph_ports_release(p, PH_TCP, &wan, &a);
	assert_null(ph_ports_owner(p, PH_TCP, &wan));
	assert_int_equal(ph_ports_take(p, PH_TCP, &wan, &b), 0);
	assert_ptr_equal(ph_ports_owner(p, PH_UDP, &wan), &b);
	ph_ports_free(p);
	ph_ports_free(NULL);
}

#define PORTS 5000u
#define TURNS 300000u

static uint32_t draw(uint32_t *seed, uint32_t below)
{
	*seed = *seed * 1664525u + 1013904223u;
	return (*seed >> 8) % below;
}

/* Thousands of ports that come and go, beside a plain array that knows better. */
static void test_many(void **state)
{
	static unsigned uses[PORTS];
	static const int *owner[PORTS];
	struct ph_endpoint local = endpoint("100.64.0.2:1");
	struct ph_ports *p = ph_ports_new();
	uint32_t seed = 1;

	(void)state;
	assert_non_null(p);
	for (unsigned turn = 0; turn < TURNS; turn++) {
		unsigned i = draw(&seed, PORTS);
		const int *who = draw(&seed, 2) ? &a : &b;

		local.port = (uint16_t)(1 + i);
		/* First they grow in number, then they fall. */
		if (draw(&seed, 100) < (turn < TURNS / 2 ? 70u : 30u)) {
			bool free_for = uses[i] == 0 || owner[i] == who;

			assert_int_equal(ph_ports_take(p, PH_TCP, &local, who),
					 free_for ? 0 : -EADDRINUSE);
			if (free_for) {
				owner[i] = who;
				uses[i]++;
			}
		} else if (uses[i] > 0) {
			ph_ports_release(p, PH_TCP, &local, owner[i]);
			uses[i]--;
		}
		i = draw(&seed, PORTS);
		local.port = (uint16_t)(1 + i);
		assert_ptr_equal(ph_ports_owner(p, PH_TCP, &local), uses[i] ? owner[i] : NULL);
	}
	for (unsigned i = 0; i < PORTS; i++) {
		local.port = (uint16_t)(1 + i);
		while (uses[i]-- > 0)
			ph_ports_release(p, PH_TCP, &local, owner[i]);
		assert_null(ph_ports_owner(p, PH_TCP, &local));
	}
	ph_ports_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_owners),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
