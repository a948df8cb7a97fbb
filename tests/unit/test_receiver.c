/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "test.h"

#include <pinhold/receiver.h>

#define ALL (1u << PH_ANNOUNCE_UP | 1u << PH_ANNOUNCE_CHANGE | 1u << PH_ANNOUNCE_DOWN)

static struct ph_told up(const char *public)
{
	return (struct ph_told){ endpoint(public), endpoint("100.64.0.2:8443") };
}

static const struct ph_told down = { 0 };

static void test_up_change_down(void **state)
{
	struct ph_receiver r = { .events = ALL };
	struct ph_told a = up("203.0.113.7:1"), b = up("203.0.113.7:2");
	struct ph_delivery d;

	(void)state;
	assert_false(ph_receiver_next(&r, 0, &d));
	ph_receiver_offer(&r, &a);
	assert_true(ph_receiver_next(&r, 0, &d));
	assert_int_equal(d.event, PH_ANNOUNCE_UP);
	assert_int_equal(d.previous.public_endpoint.port, 0);
	ph_receiver_done(&r, true, 0);
	ph_receiver_offer(&r, &b);
	assert_true(ph_receiver_next(&r, 0, &d));
	assert_int_equal(d.event, PH_ANNOUNCE_CHANGE);
	assert_endpoint(&d.previous.public_endpoint, "203.0.113.7:1");
	ph_receiver_done(&r, true, 0);
	ph_receiver_offer(&r, &b); /* nothing new */
	assert_false(ph_receiver_next(&r, 0, &d));
	ph_receiver_offer(&r, &down);
	assert_true(ph_receiver_next(&r, 0, &d));
	assert_int_equal(d.event, PH_ANNOUNCE_DOWN);
	assert_endpoint(&d.state.public_endpoint, "203.0.113.7:2");
}

static void test_one_at_a_time_latest_wins(void **state)
{
	struct ph_receiver r = { .events = ALL };
	struct ph_told a = up("203.0.113.7:1"), b = up("203.0.113.7:2"), c = up("203.0.113.7:3");
	struct ph_delivery d;

	(void)state;
	ph_receiver_offer(&r, &a);
	assert_true(ph_receiver_next(&r, 0, &d));
	ph_receiver_offer(&r, &b);
	assert_false(ph_receiver_next(&r, 0, &d));
	assert_int_equal(ph_receiver_deadline(&r), UINT64_MAX);
	ph_receiver_offer(&r, &c);
	ph_receiver_done(&r, true, 10);
	assert_true(ph_receiver_next(&r, 10, &d));
	assert_endpoint(&d.state.public_endpoint, "203.0.113.7:3");
	ph_receiver_done(&r, true, 20);
	assert_false(ph_receiver_next(&r, 1000000, &d));
}

static void test_there_and_back_while_running(void **state)
{
	struct ph_receiver r = { .events = ALL };
	struct ph_told a = up("203.0.113.7:1"), b = up("203.0.113.7:2");
	struct ph_delivery d;

	(void)state;
	ph_receiver_offer(&r, &a);
	assert_true(ph_receiver_next(&r, 0, &d));
	ph_receiver_offer(&r, &b);
	ph_receiver_offer(&r, &a);
	ph_receiver_done(&r, true, 0);
	assert_false(ph_receiver_next(&r, 0, &d));
}

static void test_failure_is_retried_with_the_newest(void **state)
{
	struct ph_receiver r = { .events = ALL };
	struct ph_told a = up("203.0.113.7:1"), b = up("203.0.113.7:2");
	uint64_t now = 0, waits[] = { 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000 };
	struct ph_delivery d;

	(void)state;
	ph_receiver_offer(&r, &a);
	for (size_t i = 0; i < sizeof(waits) / sizeof(*waits); i++) {
		assert_true(ph_receiver_next(&r, now, &d));
		ph_receiver_done(&r, false, now);
		assert_int_equal(ph_receiver_deadline(&r), now + waits[i]);
		assert_false(ph_receiver_next(&r, now + waits[i] - 1, &d));
		now += waits[i];
	}
	ph_receiver_offer(&r, &b); /* newer: at once, and still an `up` */
	assert_true(ph_receiver_next(&r, now, &d));
	assert_int_equal(d.event, PH_ANNOUNCE_UP);
	assert_endpoint(&d.state.public_endpoint, "203.0.113.7:2");
}

static void test_natmap_scripts_hear_no_down(void **state)
{
	struct ph_receiver r = { .events = 1u << PH_ANNOUNCE_UP | 1u << PH_ANNOUNCE_CHANGE };
	struct ph_told a = up("203.0.113.7:1"), b = up("203.0.113.7:2");
	struct ph_delivery d;

	(void)state;
	ph_receiver_offer(&r, &a);
	assert_true(ph_receiver_next(&r, 0, &d));
	ph_receiver_done(&r, true, 0);
	ph_receiver_offer(&r, &down);
	assert_false(ph_receiver_next(&r, 0, &d));
	ph_receiver_offer(&r, &a); /* what it knows already */
	assert_false(ph_receiver_next(&r, 0, &d));
	ph_receiver_offer(&r, &down);
	ph_receiver_offer(&r, &b);
	assert_true(ph_receiver_next(&r, 0, &d));
	assert_int_equal(d.event, PH_ANNOUNCE_CHANGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_up_change_down),
		cmocka_unit_test(test_one_at_a_time_latest_wins),
		cmocka_unit_test(test_there_and_back_while_running),
		cmocka_unit_test(test_failure_is_retried_with_the_newest),
		cmocka_unit_test(test_natmap_scripts_hear_no_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
