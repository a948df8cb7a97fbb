/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Whom a mapping asks where it is, and what it makes of the answers. */

#include "world.h"

#include <errno.h>
#include <stdio.h>

static const char *at_1000(struct world *w, unsigned flow)
{
	(void)w;
	(void)flow;
	return "203.0.113.7:1000";
}

static const char *at_2000(struct world *w, unsigned flow)
{
	(void)w;
	(void)flow;
	return "203.0.113.7:2000";
}

/* 192.0.2.10 lies, the others do not. */
static const char *first_lies(struct world *w, unsigned flow)
{
	return server_of(w, flow) == 10 ? "198.51.100.1:666" : "203.0.113.7:1000";
}

/* Each destination has its own port. */
static const char *symmetric(struct world *w, unsigned flow)
{
	static char text[64][32];

	snprintf(text[server_of(w, flow) % 64], 32, "203.0.113.7:%u", 3000 + server_of(w, flow));
	return text[server_of(w, flow) % 64];
}

static void test_two_at_once(void **state)
{
	struct world *w = world_new(PH_TCP, 3, 2);

	(void)state;
	world_start(w);
	assert_int_equal(probes(w), 2);
	assert_int_not_equal(server_of(w, PROBE), server_of(w, PROBE + 1));
	connected(w, 0);
	probe_answer_at(w, PROBE, "203.0.113.7:1000");
	assert_false(want(w).open);
	assert_int_equal(view(w).independence, PH_INDEPENDENCE_UNKNOWN);
	probe_answer_at(w, PROBE + 1, "203.0.113.7:1000");
	assert_true(want(w).open);
	assert_int_equal(view(w).independence, PH_INDEPENDENT);
	world_free(w);

	/* Over UDP the holder's first transaction is one of the two. */
	w = world_new(PH_UDP, 3, 0);
	world_start(w);
	assert_int_equal(probes(w), 1);
	assert_int_not_equal(server_of(w, 0), server_of(w, PROBE));
	connected(w, 0);
	stun_answer(w, 0, "203.0.113.7:1000");
	assert_false(want(w).open);
	probes_answer(w, "203.0.113.7:1000");
	assert_true(want(w).open);
	assert_int_equal(view(w).independence, PH_INDEPENDENT);
	world_free(w);
}

static void test_hedge(void **state)
{
	struct world *w = world_new(PH_TCP, 5, 2);

	(void)state;
	world_start(w);
	pass(w, 490);
	assert_int_equal(probes(w), 2);
	pass(w, 20);
	assert_int_equal(probes(w), 4);
	pass(w, 1000);
	assert_int_equal(probes(w), 4);
	/* Late is not never. */
	connected(w, 0);
	probe_answer_at(w, PROBE, "203.0.113.7:1000");
	probe_answer_at(w, PROBE + 1, "203.0.113.7:1000");
	assert_true(want(w).open);
	world_free(w);
}

static void test_only_one_answers(void **state)
{
	struct world *w = world_new(PH_TCP, 1, 2);

	(void)state;
	world_start(w); /* nobody else is listed: believed at once */
	connected(w, 0);
	probes_answer(w, "203.0.113.7:1000");
	assert_true(want(w).open);
	assert_int_equal(view(w).independence, PH_INDEPENDENCE_UNKNOWN);
	world_free(w);

	w = world_new(PH_TCP, 2, 2);
	world_start(w);
	connected(w, 0);
	closed(w, PROBE, ECONNREFUSED);
	probe_answer_at(w, PROBE + 1, "203.0.113.7:1000"); /* nobody else is left */
	assert_true(want(w).open);
	assert_int_equal(view(w).independence, PH_INDEPENDENCE_UNKNOWN);
	install(w);
	assert_string_equal(view(w).why, "only one STUN server answered");
	serve(w, 15000, at_1000); /* the other one is asked again soon */
	assert_int_equal(view(w).independence, PH_INDEPENDENT);
	world_free(w);

	w = world_new(PH_TCP, 8, 2);
	world_start(w);
	connected(w, 0);
	probe_answer_at(w, PROBE, "203.0.113.7:1000");
	pass(w, 2900);
	assert_false(want(w).open);
	pass(w, 200); /* three seconds after the first answer */
	assert_true(want(w).open);
	world_free(w);
}

static void test_symmetric(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		struct world *w = world_new(i % 2 ? PH_UDP : PH_TCP, 2 + 3 * (i / 2), 2);
		unsigned opened = 0;

		world_start(w);
		serve(w, 3000, symmetric);
		assert_int_equal(w->notes[PH_NOTE_DEPENDENT], 1);
		assert_int_equal(view(w).independence, PH_DEPENDENT);
		assert_int_equal(view(w).state, PH_MAPPING_OPENING);
		assert_string_equal(view(w).why,
				    "the NAT gives each server another port (symmetric "
				    "NAT): nobody outside can use it");
		for (unsigned f = PROBE; f < PH_FLOWS; f++)
			w->flows[f].opened = 0;
		serve(w, 3600000, symmetric);
		for (unsigned f = PROBE; f < PH_FLOWS; f++)
			opened += w->flows[f].opened;
		assert_in_range(opened, 12, 80); /* tried on, slowly */
		assert_int_equal(w->notes[PH_NOTE_DEPENDENT], 1);
		assert_int_equal(w->announced[PH_ANNOUNCE_UP], 0);
		assert_false(want(w).open);
		serve(w, 310000, at_1000);
		assert_int_equal(w->announced[PH_ANNOUNCE_UP], 1);
		assert_int_equal(w->notes[PH_NOTE_INDEPENDENT], 1);
		assert_int_equal(view(w).independence, PH_INDEPENDENT);
		world_free(w);
	}
}

static void test_moved_between_two_answers(void **state)
{
	struct world *w = world_new(PH_TCP, 2, 2);

	(void)state;
	world_start(w);
	connected(w, 0);
	probe_answer_at(w, PROBE, "203.0.113.7:1000");
	probe_answer_at(w, PROBE + 1, "203.0.113.7:2000");
	assert_int_equal(w->notes[PH_NOTE_DEPENDENT], 0);
	assert_string_equal(view(w).why, "the STUN servers tell different endpoints");
	serve(w, 1100, at_2000);
	assert_int_equal(ph_mapping_state(w->m), PH_MAPPING_UP);
	assert_int_equal(view(w).public_endpoint.port, 2000);
	assert_int_equal(w->notes[PH_NOTE_DEPENDENT], 0);
	world_free(w);
}

static void test_turns_symmetric(void **state)
{
	struct world *w = world_new(PH_TCP, 6, 2);

	(void)state;
	world_start(w);
	serve(w, 1000, at_1000);
	assert_int_equal(w->announced[PH_ANNOUNCE_UP], 1);
	serve(w, 70000, symmetric);
	assert_int_equal(w->announced[PH_ANNOUNCE_DOWN], 1);
	assert_int_equal(w->notes[PH_NOTE_DEPENDENT], 1);
	assert_false(want(w).open);
	world_free(w);
}

static void test_one_liar(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct world *w = world_new(i ? PH_UDP : PH_TCP, 8, 2);

		world_start(w);
		serve(w, 100, first_lies); /* costs no time at the start */
		assert_int_equal(w->announced[PH_ANNOUNCE_UP], 1);
		assert_int_equal(view(w).public_endpoint.port, 1000);
		serve(w, 3600000, first_lies);
		assert_int_equal(w->announced[PH_ANNOUNCE_CHANGE], 0);
		assert_int_equal(w->announced[PH_ANNOUNCE_DOWN], 0);
		assert_int_equal(w->notes[PH_NOTE_DEPENDENT], 0);
		assert_true(w->now - view(w).verified_ms < 310000);
		world_free(w);
	}
}

static void test_failing_probes_tear_nothing_down(void **state)
{
	struct world *w = world_new(PH_TCP, 2, 2);
	struct ph_plan_mapping p;
	uint64_t generation;

	(void)state;
	world_up(w, "203.0.113.7:1000");
	generation = ph_mapping_want(w->m, &p);
	for (uint64_t end = w->now + 1200000; w->now < end; pass(w, 10))
		for (unsigned i = 0; i < PH_FLOWS; i++) {
			if (w->flows[i].exists && i >= PROBE)
				closed(w, i, ECONNREFUSED);
			else if (w->flows[i].exists && w->flows[i].asked)
				http_answer(w, i);
		}
	assert_true(w->notes[PH_NOTE_PROBE_FAILED] >= 20);
	assert_int_equal(ph_mapping_want(w->m, &p), generation);
	assert_int_equal(w->announced[PH_ANNOUNCE_DOWN], 0);
	world_free(w);
}

static void test_change_is_confirmed(void **state)
{
	struct world *w = world_new(PH_TCP, 8, 2);
	unsigned flow, first;

	(void)state;
	world_up(w, "203.0.113.7:1000");
	w->flows[0].opened = w->flows[1].opened = 0;
	flow = probe_wait(w, 60000);
	first = server_of(w, flow);
	probe_answer_at(w, flow, "203.0.113.7:2000");
	assert_int_equal(w->notes[PH_NOTE_UNCONFIRMED], 1);
	assert_int_equal(want(w).public_endpoint.port, 1000);
	flow = probe_wait(w, 0); /* at once */
	assert_int_not_equal(server_of(w, flow), first);
	probe_answer_at(w, flow, "203.0.113.7:2000");
	assert_int_equal(want(w).public_endpoint.port, 2000);
	/* The holders kept the old binding alive; new ones keep the new one. */
	assert_int_equal(w->flows[0].opened, 1);
	assert_int_equal(w->flows[1].opened, 1);
	assert_int_equal(w->announced[PH_ANNOUNCE_CHANGE], 0);
	assert_int_equal(view(w).public_endpoint.port, 1000);
	install(w);
	assert_int_equal(w->announced[PH_ANNOUNCE_CHANGE], 1);
	assert_endpoint(&w->announcement.previous, "203.0.113.7:1000");
	world_free(w);
}

static void test_change_with_one_server(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct world *w = world_new(i ? PH_UDP : PH_TCP, 1, 2);

		world_start(w);
		serve(w, 100, at_1000);
		assert_int_equal(w->announced[PH_ANNOUNCE_UP], 1);
		serve(w, 61000, at_2000);
		assert_int_equal(w->announced[PH_ANNOUNCE_CHANGE], 1);
		assert_int_equal(want(w).public_endpoint.port, 2000);
		world_free(w);
	}
}

/* ---- a holder's death ---- */

static void test_remap_by_reset(void **state)
{
	struct world *w = world_new(PH_TCP, 8, 3);
	uint64_t reset_ms, verified_ms;

	(void)state;
	world_start(w);
	serve(w, 59900, at_1000);
	while (probes(w) == 0)
		pass(w, 1);
	/* A probe is just under way, and hears of the time before. */
	pass(w, 5);
	reset_ms = w->now;
	verified_ms = view(w).verified_ms;
	closed(w, 0, ECONNRESET);
	closed(w, 1, ECONNRESET);
	assert_int_equal(probes(w), 3);
	probe_answer_at(w, PROBE, "203.0.113.7:1000");
	assert_int_equal(probes(w), 2);
	assert_int_equal(view(w).verified_ms, verified_ms);
	w->flows[0].opened = w->flows[1].opened = 0;
	serve(w, 500, at_2000);
	assert_int_equal(w->announced[PH_ANNOUNCE_CHANGE], 1);
	assert_in_range(w->announced_ms - reset_ms, 0, 50);
	/* The holders are young: they hold the new one already. */
	assert_int_equal(w->flows[0].opened + w->flows[1].opened, 0);
	world_free(w);
}

static void test_no_storm(void **state)
{
	struct world *w = world_new(PH_TCP, 8, 3);
	unsigned opened[2] = { 0 };

	(void)state;
	w->config.interval_ms = 40; /* so that closing after 50 ms is no failure */
	world_start(w);
	serve(w, 1000, at_1000);
	/* Servers that close all the time. */
	for (unsigned minute = 0; minute < 2; minute++) {
		for (unsigned i = PROBE; i < PH_FLOWS; i++)
			w->flows[i].opened = 0;
		for (uint64_t end = w->now + (minute ? 60000 : 1000); w->now < end;) {
			if (w->flows[0].connected)
				closed(w, 0, 0);
			serve(w, 50, at_1000);
		}
		for (unsigned i = PROBE; i < PH_FLOWS; i++)
			opened[minute] += w->flows[i].opened;
	}
	assert_in_range(opened[0], 4, 10);
	assert_in_range(opened[1], 10, 30);
	assert_int_equal(w->announced[PH_ANNOUNCE_DOWN], 0);
	world_free(w);
}

/* ---- freshness ---- */

struct nat {
	unsigned now_port;
	unsigned port[64];
	uint64_t used_ms[64];
};

/* One NAT a test. */
static struct nat nat;

/* What a NAT tells that moved the mapping and lets old flows live for two minutes. */
static const char *through_nat(struct world *w, unsigned flow)
{
	static char text[64][32];
	unsigned server = server_of(w, flow) % 64;

	if (w->config.proto == PH_TCP && flow < PROBE)
		return ""; /* old flows live on */
	if (nat.used_ms[server] == 0 || w->now - nat.used_ms[server] > 120000)
		nat.port[server] = nat.now_port;
	nat.used_ms[server] = w->now;
	snprintf(text[server], 32, "203.0.113.7:%u", nat.port[server]);
	return text[server];
}

static void test_nat_moves_while_old_flows_live(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct world *w = world_new(i ? PH_UDP : PH_TCP, 8, 2);

		nat = (struct nat){ .now_port = 1000 };
		world_start(w);
		serve(w, 1000000, through_nat);
		assert_int_equal(w->announced[PH_ANNOUNCE_UP], 1);
		assert_int_equal(w->announced[PH_ANNOUNCE_CHANGE], 0);
		for (unsigned n = 0; n < 10; n++) {
			uint64_t moved_ms = w->now;

			nat.now_port++;
			serve(w, 62000, through_nat);
			assert_int_equal(w->announced[PH_ANNOUNCE_CHANGE], n + 1);
			assert_in_range(w->announced_ms - moved_ms, 0, 62000);
			assert_int_equal(want(w).public_endpoint.port, nat.now_port);
			serve(w, 600000, through_nat);
			assert_int_equal(w->announced[PH_ANNOUNCE_CHANGE], n + 1);
			assert_int_equal(w->announced[PH_ANNOUNCE_DOWN], 0);
		}
		world_free(w);
	}
}

static void test_udp_two_servers_moved_nat(void **state)
{
	struct world *w = world_new(PH_UDP, 2, 0);

	(void)state;
	nat = (struct nat){ .now_port = 1000 };
	world_start(w);
	serve(w, 1000, through_nat);
	assert_int_equal(w->announced[PH_ANNOUNCE_UP], 1);
	/* Too few servers for a promise; but when the second one says so, it is news. */
	nat.now_port = 2000;
	nat.used_ms[11 % 64] = 1;
	w->now += 130000;
	nat.used_ms[10 % 64] = w->now;
	serve(w, 70000, through_nat);
	assert_int_equal(want(w).public_endpoint.port, 2000);
	assert_int_equal(w->announced[PH_ANNOUNCE_CHANGE], 1);
	serve(w, 600000, through_nat);
	assert_int_equal(want(w).public_endpoint.port, 2000);
	assert_int_equal(w->announced[PH_ANNOUNCE_CHANGE], 1);
	assert_int_equal(w->announced[PH_ANNOUNCE_DOWN], 0);
	world_free(w);
}

static void test_verify_goes_round(void **state)
{
	struct world *w = world_new(PH_TCP, 6, 2);
	uint64_t used[6] = { 0 };

	(void)state;
	world_start(w);
	serve(w, 100, at_1000);
	for (uint64_t end = w->now + 1800000; w->now < end; serve(w, 10, at_1000)) {
		unsigned i;

		if (probes(w) == 0)
			continue;
		assert_int_equal(probes(w), 1);
		i = server_of(w, PROBE) - 10;
		assert_true(used[i] == 0 || w->now - used[i] < 100 || w->now - used[i] >= 300000);
		used[i] = w->now;
	}
	assert_true(view(w).can_verify);
	assert_true(w->now - view(w).verified_ms <= 61000);
	assert_int_equal(w->notes[PH_NOTE_CANNOT_VERIFY], 0);
	world_free(w);
}

static void test_too_few_to_verify(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct world *w = world_new(i ? PH_UDP : PH_TCP, 4 + i, 2);
		uint64_t verified, times = 0;

		world_start(w);
		serve(w, 100, at_1000);
		assert_false(view(w).can_verify);
		assert_string_equal(view(w).why,
				    "too few STUN servers for a fresh one every `verify`");
		verified = view(w).verified_ms;
		assert_true(verified > 0);
		for (unsigned f = PROBE; f < PH_FLOWS; f++)
			w->flows[f].opened = 0;
		for (uint64_t end = w->now + 3600000; w->now < end; serve(w, 1000, at_1000)) {
			times += view(w).verified_ms != verified;
			verified = view(w).verified_ms;
		}
		/* Asked every minute all the same; verified only the first time round. */
		assert_true(w->flows[PROBE].opened >= 55);
		assert_in_range(times, 1, 3);
		assert_int_equal(w->notes[PH_NOTE_CANNOT_VERIFY], 1);
		world_free(w);
	}
}

/* The UDP holder's own answers are of an old flow. */
static void test_udp_holder_verifies_nothing(void **state)
{
	struct world *w = world_new(PH_UDP, 1, 0);
	uint64_t verified;

	(void)state;
	world_start(w);
	serve(w, 100, at_1000);
	verified = view(w).verified_ms;
	serve(w, 600000, at_1000);
	assert_int_equal(view(w).verified_ms, verified);
	assert_int_equal(ph_mapping_state(w->m), PH_MAPPING_UP);
	world_free(w);
}

/* A holder whose own flow has another public endpoint holds nothing. */
static const char *holder_elsewhere(struct world *w, unsigned flow)
{
	(void)flow;
	return server_of(w, flow) == 10 ? "203.0.113.7:2000" : "203.0.113.7:1000";
}

static void test_udp_holder_moves(void **state)
{
	struct world *w = world_new(PH_UDP, 4, 0);

	(void)state;
	world_start(w);
	assert_int_equal(server_of(w, 0), 10);
	serve(w, 300, holder_elsewhere);
	assert_int_equal(want(w).public_endpoint.port, 1000);
	assert_int_not_equal(server_of(w, 0), 10);
	world_free(w);

	/* Also if nobody's answer is fresh, so that nobody is to blame. */
	w = world_new(PH_UDP, 4, 0);
	world_start(w);
	serve(w, 240000, at_1000);
	assert_int_equal(server_of(w, 0), 10);
	serve(w, 10500, holder_elsewhere);
	assert_int_equal(want(w).public_endpoint.port, 1000);
	assert_int_not_equal(server_of(w, 0), 10);
	world_free(w);
}

static void test_udp(void **state)
{
	struct world *w = world_new(PH_UDP, 3, 0);

	(void)state;
	world_up(w, "203.0.113.7:1000");
	assert_int_equal(want(w).n_peers, 3);
	w->flows[0].sent = 0;
	pass(w, 10000);
	assert_int_equal(w->flows[0].sent, 1); /* one transaction an interval, on the same flow */
	stun_answer(w, 0, "203.0.113.7:2000"); /* the NAT had lost its state */
	assert_int_equal(want(w).public_endpoint.port, 1000);
	probe_answer(w, 0, "203.0.113.7:2000");
	assert_int_equal(want(w).public_endpoint.port, 2000);
	assert_true(w->flows[0].connected); /* and the holder's flow is on the new binding */
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_two_at_once),
		cmocka_unit_test(test_hedge),
		cmocka_unit_test(test_only_one_answers),
		cmocka_unit_test(test_symmetric),
		cmocka_unit_test(test_moved_between_two_answers),
		cmocka_unit_test(test_turns_symmetric),
		cmocka_unit_test(test_one_liar),
		cmocka_unit_test(test_failing_probes_tear_nothing_down),
		cmocka_unit_test(test_change_is_confirmed),
		cmocka_unit_test(test_change_with_one_server),
		cmocka_unit_test(test_remap_by_reset),
		cmocka_unit_test(test_no_storm),
		cmocka_unit_test(test_nat_moves_while_old_flows_live),
		cmocka_unit_test(test_udp_two_servers_moved_nat),
		cmocka_unit_test(test_verify_goes_round),
		cmocka_unit_test(test_too_few_to_verify),
		cmocka_unit_test(test_udp_holder_verifies_nothing),
		cmocka_unit_test(test_udp_holder_moves),
		cmocka_unit_test(test_udp),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
