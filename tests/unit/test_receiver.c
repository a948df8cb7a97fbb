/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "test.h"

#include <pinhold/receiver.h>

#define ALL (1u << PH_ANNOUNCE_UP | 1u << PH_ANNOUNCE_CHANGE | 1u << PH_ANNOUNCE_DOWN)

static struct ph_told up(const char *public)
{
	return (struct ph_told){ endpoint(public), endpoint("100.64.0.2:8443") };
}

static const struct ph_told down = { 0 };

static void told(struct ph_receiver *r, uint64_t now_ms)
{
	ph_receiver_done(r, PH_RECEIVER_TOLD, 0, 0, now_ms);
}

/* The whole of it: there is news, it is called, and that succeeds. */
static void hears(struct ph_receiver *r, const struct ph_told *state, uint64_t now_ms)
{
	struct ph_delivery d;

	ph_receiver_offer(r, state);
	assert_true(ph_receiver_next(r, now_ms, &d));
	told(r, now_ms);
}

static void failed(struct ph_receiver *r, uint64_t now_ms)
{
	ph_receiver_done(r, PH_RECEIVER_FAILED, 0, 0, now_ms);
}

/* It is called now, for that, and with that endpoint. */
static struct ph_delivery called(struct ph_receiver *r, uint64_t now_ms, enum ph_announce event,
				 const char *public)
{
	struct ph_delivery d;

	assert_true(ph_receiver_next(r, now_ms, &d));
	assert_int_equal(d.event, event);
	assert_endpoint(&d.state.public_endpoint, public);
	return d;
}

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
	told(&r, 0);
	ph_receiver_offer(&r, &b);
	assert_true(ph_receiver_next(&r, 0, &d));
	assert_int_equal(d.event, PH_ANNOUNCE_CHANGE);
	assert_endpoint(&d.previous.public_endpoint, "203.0.113.7:1");
	told(&r, 0);
	ph_receiver_offer(&r, &b); /* nothing new */
	assert_false(ph_receiver_next(&r, 0, &d));
	ph_receiver_offer(&r, &down);
	called(&r, 0, PH_ANNOUNCE_DOWN, "203.0.113.7:2");
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
	told(&r, 10);
	assert_true(ph_receiver_next(&r, 10, &d));
	assert_endpoint(&d.state.public_endpoint, "203.0.113.7:3");
	told(&r, 20);
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
	told(&r, 0);
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
		failed(&r, now);
		assert_int_equal(ph_receiver_deadline(&r), now + waits[i]);
		assert_false(ph_receiver_next(&r, now + waits[i] - 1, &d));
		now += waits[i];
	}
	/* Newer: at once where the failure is a second old, and still an `up`. */
	ph_receiver_offer(&r, &b);
	called(&r, now, PH_ANNOUNCE_UP, "203.0.113.7:2");
	/* How long the older ones were in vain does not delay it. */
	failed(&r, now);
	assert_int_equal(ph_receiver_deadline(&r), now + waits[0]);
}

/* What comes while it fails begins anew as well. */
static void test_news_begins_the_back_off_anew(void **state)
{
	struct ph_receiver r = { .events = ALL };
	struct ph_told a = up("203.0.113.7:1"), b = up("203.0.113.7:2");
	struct ph_delivery d;

	(void)state;
	ph_receiver_offer(&r, &a);
	for (uint64_t now = 0; now < 60000; now = ph_receiver_deadline(&r)) {
		assert_true(ph_receiver_next(&r, now, &d));
		failed(&r, now);
	}
	assert_true(ph_receiver_next(&r, 200000, &d));
	ph_receiver_offer(&r, &b);
	failed(&r, 200000);
	assert_int_equal(ph_receiver_deadline(&r), 201000);
	assert_true(ph_receiver_next(&r, 201000, &d));
	failed(&r, 201000);
	assert_int_equal(ph_receiver_deadline(&r), 202000);
}

/* Who has said when to come again is not asked before, whatever is new. */
static void test_news_waits_for_whom_said_when(void **state)
{
	struct ph_receiver r = { .events = ALL };
	struct ph_told a = up("203.0.113.7:1"), b = up("203.0.113.7:2");
	struct ph_delivery d;

	(void)state;
	ph_receiver_offer(&r, &a);
	assert_true(ph_receiver_next(&r, 0, &d));
	ph_receiver_done(&r, PH_RECEIVER_FAILED, 90000, 0, 0);
	ph_receiver_offer(&r, &b);
	assert_int_equal(ph_receiver_deadline(&r), 90000);
	assert_true(ph_receiver_next(&r, 90000, &d));
	told(&r, 90000);
	ph_receiver_offer(&r, &a);
	assert_int_equal(ph_receiver_deadline(&r), 0);
}

/* Whoever fails and has news all the time is called once a second. */
static void test_news_while_it_fails(void **state)
{
	struct ph_receiver r = { .events = ALL };
	struct ph_delivery d;
	unsigned calls = 0;

	(void)state;
	for (uint64_t now = 0; now < 60000; now += 60) {
		struct ph_told t = up("203.0.113.7:1");

		t.public_endpoint.port = (uint16_t)(1 + now / 60);
		ph_receiver_offer(&r, &t);
		if (!ph_receiver_next(&r, now, &d))
			continue;
		calls++;
		assert_int_equal(d.state.public_endpoint.port, t.public_endpoint.port);
		failed(&r, now + 20);
	}
	assert_in_range(calls, 50, 60);
}

/* It does not help to say it again; something else may. */
static void test_refused(void **state)
{
	struct ph_receiver r = { .events = ALL };
	struct ph_told a = up("203.0.113.7:1"), b = up("203.0.113.7:2");
	struct ph_delivery d;

	(void)state;
	ph_receiver_offer(&r, &a);
	assert_true(ph_receiver_next(&r, 0, &d));
	ph_receiver_done(&r, PH_RECEIVER_REFUSED, 0, 0, 0);
	assert_int_equal(ph_receiver_deadline(&r), UINT64_MAX);
	ph_receiver_offer(&r, &a);
	assert_false(ph_receiver_next(&r, 1000000, &d));
	ph_receiver_offer(&r, &b);
	assert_true(ph_receiver_next(&r, 2000, &d));
	assert_int_equal(d.event, PH_ANNOUNCE_UP);
	/* What is refused is old news by now. */
	ph_receiver_offer(&r, &a);
	ph_receiver_done(&r, PH_RECEIVER_REFUSED, 0, 0, 2000);
	assert_false(ph_receiver_next(&r, 2999, &d));
	assert_true(ph_receiver_next(&r, 3000, &d));
	told(&r, 3000);
	assert_int_equal(ph_receiver_deadline(&r), UINT64_MAX);
}

/* It may have heard before it failed: it is told of the way back, too. */
static void test_back_after_a_failure(void **state)
{
	struct ph_receiver r = { .events = ALL };
	struct ph_told a = up("203.0.113.7:1"), b = up("203.0.113.7:2");
	struct ph_delivery d;

	(void)state;
	ph_receiver_offer(&r, &a);
	assert_true(ph_receiver_next(&r, 0, &d));
	assert_true(r.unsure);
	told(&r, 0);
	assert_false(r.unsure);
	ph_receiver_offer(&r, &b);
	assert_true(ph_receiver_next(&r, 0, &d));
	ph_receiver_offer(&r, &a);
	failed(&r, 0);
	assert_true(r.unsure);
	called(&r, 1000, PH_ANNOUNCE_CHANGE, "203.0.113.7:1");
	told(&r, 1000);
	assert_int_equal(ph_receiver_deadline(&r), UINT64_MAX);
}

/* Who wants no `change` and may have heard that it is down hears that it is up again, wherever. */
static void test_up_after_a_down_that_failed(void **state)
{
	const char *back[] = { "203.0.113.7:1", "203.0.113.7:2" };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct ph_receiver r = { .events = 1u << PH_ANNOUNCE_UP | 1u << PH_ANNOUNCE_DOWN };
		struct ph_told a = up("203.0.113.7:1"), b = up(back[i]);
		struct ph_delivery d;

		hears(&r, &a, 0);
		ph_receiver_offer(&r, &down);
		assert_true(ph_receiver_next(&r, 0, &d));
		failed(&r, 0);
		ph_receiver_offer(&r, &b);
		assert_int_equal(ph_receiver_deadline(&r), 1000);
		called(&r, 1000, PH_ANNOUNCE_UP, back[i]);
		told(&r, 1000);
		assert_int_equal(ph_receiver_deadline(&r), UINT64_MAX);
	}
}

/* An `up` that was cut off may have been heard: who is down says so, and of which endpoint. */
static void test_down_after_an_up_that_failed(void **state)
{
	struct ph_receiver r = { .events = ALL };
	struct ph_told a = up("203.0.113.7:1"), b = up("203.0.113.7:2");
	struct ph_delivery d;

	(void)state;
	ph_receiver_offer(&r, &a);
	assert_true(ph_receiver_next(&r, 0, &d));
	ph_receiver_offer(&r, &b);
	failed(&r, 0);
	assert_true(ph_receiver_next(&r, 1000, &d));
	assert_int_equal(d.event, PH_ANNOUNCE_UP);
	failed(&r, 1000);
	ph_receiver_offer(&r, &down);
	for (uint64_t now = 2000; now < 4000; now += 1000) {
		assert_int_equal(ph_receiver_deadline(&r), now);
		d = called(&r, now, PH_ANNOUNCE_DOWN, "203.0.113.7:2");
		assert_int_equal(d.previous.public_endpoint.port, 0);
		if (now == 2000)
			failed(&r, now);
	}
	told(&r, 3000);
	assert_int_equal(ph_receiver_deadline(&r), UINT64_MAX);
	/* Who has never been called has nothing to take back. */
	ph_receiver_offer(&r, &a);
	assert_true(ph_receiver_next(&r, 3000, &d));
	ph_receiver_done(&r, PH_RECEIVER_UNCALLED, 0, 0, 3000);
	assert_int_equal(ph_receiver_deadline(&r), 4000);
	ph_receiver_offer(&r, &down);
	assert_int_equal(ph_receiver_deadline(&r), UINT64_MAX);
}

/* The admin has mended something that no setting shows: who has refused is asked once more. */
static void test_asked_again(void **state)
{
	struct ph_receiver r = { .events = ALL };
	struct ph_told a = up("203.0.113.7:1");
	struct ph_delivery d;

	(void)state;
	ph_receiver_offer(&r, &a);
	assert_true(ph_receiver_next(&r, 0, &d));
	ph_receiver_done(&r, PH_RECEIVER_REFUSED, 5000, 0, 0);
	ph_receiver_again(&r);
	assert_int_equal(ph_receiver_deadline(&r), 5000);
	assert_true(ph_receiver_next(&r, 5000, &d));
	told(&r, 5000);
	ph_receiver_again(&r);
	assert_int_equal(ph_receiver_deadline(&r), UINT64_MAX);
}

static void test_last_word(void **state)
{
	struct ph_receiver r = { .events = ALL };
	struct ph_told a = up("203.0.113.7:1");
	struct ph_delivery d;

	(void)state;
	hears(&r, &a, 0);
	r.calm_ms = 1000;
	ph_receiver_offer(&r, &down);
	assert_false(ph_receiver_next(&r, 0, &d));
	ph_receiver_hurry(&r);
	assert_true(ph_receiver_next(&r, 0, &d));
	assert_int_equal(d.event, PH_ANNOUNCE_DOWN);
	failed(&r, 0);
	ph_receiver_hurry(&r); /* no repetition */
	assert_false(ph_receiver_next(&r, 0, &d));
}

static void test_when(void **state)
{
	struct ph_receiver r = { .events = ALL };
	struct ph_told a = up("203.0.113.7:1");
	struct ph_delivery d;

	(void)state;
	ph_receiver_offer(&r, &a);
	/* The receiver says when; what is sooner than the back-off does not count. */
	assert_true(ph_receiver_next(&r, 0, &d));
	ph_receiver_done(&r, PH_RECEIVER_FAILED, 90000, 0, 0);
	assert_int_equal(ph_receiver_deadline(&r), 90000);
	assert_true(ph_receiver_next(&r, 90000, &d));
	ph_receiver_done(&r, PH_RECEIVER_FAILED, 1, 0, 90000);
	assert_int_equal(ph_receiver_deadline(&r), 92000);
	/* Up to a quarter less, at random. */
	assert_true(ph_receiver_next(&r, 92000, &d));
	ph_receiver_done(&r, PH_RECEIVER_FAILED, 0, 1000, 92000);
	assert_int_equal(ph_receiver_deadline(&r), 92000 + 4000 - 1000);
	assert_true(ph_receiver_next(&r, 95000, &d));
	ph_receiver_done(&r, PH_RECEIVER_FAILED, 0, UINT32_MAX, 95000);
	assert_in_range(ph_receiver_deadline(&r), 95000 + 6000, 95000 + 8000);
}

static void test_natmap_scripts_hear_no_down(void **state)
{
	struct ph_receiver r = { .events = 1u << PH_ANNOUNCE_UP | 1u << PH_ANNOUNCE_CHANGE };
	struct ph_told a = up("203.0.113.7:1"), b = up("203.0.113.7:2");
	struct ph_delivery d;

	(void)state;
	hears(&r, &a, 0);
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
		cmocka_unit_test(test_news_begins_the_back_off_anew),
		cmocka_unit_test(test_news_waits_for_whom_said_when),
		cmocka_unit_test(test_news_while_it_fails),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_back_after_a_failure),
		cmocka_unit_test(test_up_after_a_down_that_failed),
		cmocka_unit_test(test_down_after_an_up_that_failed),
		cmocka_unit_test(test_asked_again),
		cmocka_unit_test(test_last_word),
		cmocka_unit_test(test_when),
		cmocka_unit_test(test_natmap_scripts_hear_no_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
