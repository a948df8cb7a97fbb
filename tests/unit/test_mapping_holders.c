/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What keeps a mapping alive. */

#include "world.h"

#include <errno.h>

static const char *at_2000(struct world *w, unsigned flow)
{
	(void)w;
	(void)flow;
	return "203.0.113.7:2000";
}

static void test_two_holders_two_servers(void **state)
{
	struct world *w = world_new(PH_TCP, 2, 2);

	(void)state;
	world_up(w, "203.0.113.7:32451");
	assert_endpoint(&w->flows[0].server, "192.0.2.20:80");
	assert_endpoint(&w->flows[1].server, "192.0.2.21:80");
	/* One request each an interval, not at the same moment. */
	w->flows[0].sent = w->flows[1].sent = 0;
	pass(w, 16000);
	assert_int_equal(w->flows[0].sent, 0);
	assert_int_equal(w->flows[1].sent, 1);
	http_answer(w, 1);
	pass(w, 15000);
	assert_int_equal(w->flows[0].sent, 1);
	world_free(w);
}

static void test_one_server_one_holder(void **state)
{
	struct world *w = world_new(PH_TCP, 1, 1);

	(void)state;
	world_up(w, "203.0.113.7:32451");
	assert_false(w->flows[1].exists);
	pass(w, 5000);
	assert_int_equal(w->notes[PH_NOTE_ONE_HOLDER], 1);
	world_free(w);
}

static void test_lost_holder_is_replaced(void **state)
{
	struct world *w = world_new(PH_TCP, 2, 3);

	(void)state;
	world_up(w, "203.0.113.7:32451");
	pass(w, 500);
	w->now += 9000; /* old enough not to count against the server */
	closed(w, 0, ECONNRESET);
	assert_int_equal(w->notes[PH_NOTE_HOLDER_LOST], 1);
	/* At once, from the server that is left, and a probe asks whether the NAT has moved. */
	assert_true(w->flows[0].exists);
	assert_endpoint(&w->flows[0].server, "192.0.2.22:80");
	assert_true(w->flows[PROBE].exists);
	assert_int_equal(ph_mapping_state(w->m), PH_MAPPING_UP);
	probe_answer(w, 0, "203.0.113.7:32451");
	assert_int_equal(w->announced[PH_ANNOUNCE_CHANGE], 0);
	assert_int_equal(w->announced[PH_ANNOUNCE_DOWN], 0);
	world_free(w);
}

static void test_server_that_closes(void **state)
{
	static const char last[] = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
	struct world *w = world_new(PH_TCP, 1, 1);

	(void)state;
	world_up(w, "203.0.113.7:32451");
	w->flows[0].opened = 0;
	for (uint64_t end = w->now + 60000; w->now < end; pass(w, 10)) {
		if (!w->flows[0].exists)
			continue;
		if (!w->flows[0].connected)
			connected(w, 0);
		bytes(w, 0, last, sizeof(last) - 1);
		probes_answer(w, "203.0.113.7:32451");
	}
	/* Tried on, but with back-off: 1, 2, 4, 8, 16, 32 s. */
	assert_in_range(w->flows[0].opened, 5, 7);
	assert_int_equal(w->announced[PH_ANNOUNCE_DOWN], 0);
	world_free(w);
}

static void test_mute_server(void **state)
{
	struct world *w = world_new(PH_TCP, 1, 3);

	(void)state;
	world_start(w);
	connected(w, 0);
	connected(w, 1);
	http_answer(w, 1);
	pass(w, 5001);
	/* Another one is there: it is asked instead. */
	assert_endpoint(&w->flows[0].server, "192.0.2.22:80");
	world_free(w);

	w = world_new(PH_TCP, 1, 1);
	world_start(w);
	connected(w, 0);
	pass(w, 60000);
	/* Nobody else is: it acknowledges, so it holds, and is asked again. */
	assert_int_equal(w->flows[0].opened, 1);
	assert_int_equal(w->flows[0].sent, 3);
	world_free(w);
}

static void test_unasked_bytes(void **state)
{
	struct world *w = world_new(PH_TCP, 1, 2);

	(void)state;
	world_up(w, "203.0.113.7:32451");
	w->flows[0].opened = 0;
	bytes(w, 0, "surprise", 8);
	assert_int_equal(w->notes[PH_NOTE_HOLDER_LOST], 1);
	world_free(w);
}

static void test_one_answer_is_no_good_holder(void **state)
{
	struct world *w = world_new(PH_TCP, 1, 1);
	uint64_t end;

	(void)state;
	world_up(w, "203.0.113.7:32451");
	w->flows[0].opened = 0;
	closed(w, 0, ECONNRESET);
	for (end = w->now + 60000; w->now < end; pass(w, 10)) {
		probes_answer(w, "203.0.113.7:32451");
		if (!w->flows[0].exists)
			continue;
		connected(w, 0);
		http_answer(w, 0);
		closed(w, 0, ECONNRESET);
	}
	assert_in_range(w->flows[0].opened, 4, 7);
	world_free(w);
}

static void test_udp_retransmits_and_moves_on(void **state)
{
	struct world *w = world_new(PH_UDP, 2, 0);
	struct ph_endpoint first;

	(void)state;
	world_start(w);
	first = w->flows[0].server;
	connected(w, 0);
	pass(w, 3400);
	assert_int_equal(w->flows[0].sent, 3); /* 0, 500, 1500 ms */
	pass(w, 600);
	assert_true(w->flows[0].exists);
	assert_false(ph_address_equal(&w->flows[0].server.address, &first.address));
	/* A late answer to a request of the flow before cannot come here: the flow is another one.
	 */
	connected(w, 0);
	stun_answer(w, 0, "203.0.113.7:32451");
	install(w);
	assert_int_equal(ph_mapping_state(w->m), PH_MAPPING_UP);
	world_free(w);
}

static const char *at_1000(struct world *w, unsigned flow)
{
	(void)w;
	(void)flow;
	return "203.0.113.7:1000";
}

/* The servers of both kinds that stand first are dead: they drop every packet. */
static const char *first_pair_dead(struct world *w, unsigned flow)
{
	return server_of(w, flow) % 10 < 2 ? NULL : "203.0.113.7:1000";
}

static void test_first_pair_dead(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct world *w = world_new(i ? PH_UDP : PH_TCP, 4, 4);
		uint64_t start_ms;

		world_start(w);
		start_ms = w->now;
		serve(w, 5000, first_pair_dead);
		assert_int_equal(ph_mapping_state(w->m), PH_MAPPING_UP);
		assert_in_range(w->announced_ms - start_ms, 1, 1000);
		assert_int_equal(view(w).n_holders, i ? 1 : 2);
		assert_int_equal(view(w).independence, PH_INDEPENDENT);
		world_free(w);
	}
}

static void test_slow_servers_are_not_given_up(void **state)
{
	struct world *w = world_new(PH_TCP, 1, 2);

	(void)state;
	world_start(w);
	/* Nobody is there to take their place, so they get their five seconds. */
	pass(w, 4900);
	assert_int_equal(w->flows[0].opened, 1);
	assert_int_equal(w->flows[1].opened, 1);
	world_free(w);

	w = world_new(PH_TCP, 1, 3);
	world_start(w);
	/* Somebody is: each gets a little time first, and more when its turn comes again. */
	for (uint64_t end = w->now + 60000; w->now < end; pass(w, 10))
		for (unsigned i = 0; i < 2; i++) {
			if (!w->flows[i].exists || w->now - w->flows[i].opened_ms < 2000)
				continue;
			if (!w->flows[i].connected)
				connected(w, i);
			else if (w->flows[i].asked)
				http_answer(w, i);
		}
	assert_true(w->flows[0].connected && w->flows[1].connected);
	world_free(w);
}

static void test_prefers_who_holds_longer(void **state)
{
	struct world *w = world_new(PH_TCP, 4, 3);

	(void)state;
	world_start(w);
	serve(w, 100, at_1000);
	/* The first two close every ten seconds, the third never. */
	for (unsigned round = 0; round < 30; round++) {
		for (unsigned i = 0; i < 2; i++) {
			serve(w, 5000, at_1000);
			if (server_of(w, i) % 10 < 2)
				closed(w, i, 0);
			serve(w, 50, at_1000);
		}
		assert_int_equal(view(w).n_holders, 2);
	}
	assert_true(server_of(w, 0) == 22 || server_of(w, 1) == 22);
	assert_int_equal(w->notes[PH_NOTE_HOLDER_FAILED], 0);
	assert_int_equal(w->announced[PH_ANNOUNCE_DOWN], 0);
	world_free(w);
}

/* Both servers close after six seconds without a request: not again and again. */
static void test_idle_connections_are_closed(void **state)
{
	struct world *w = world_new(PH_TCP, 4, 2);
	uint64_t idle[2] = { w->now, w->now }, last = 0;
	unsigned sent[2] = { 0 }, both = 0, deaths = 0;

	(void)state;
	world_start(w);
	for (uint64_t end = w->now + 60000; w->now < end; serve(w, 10, at_1000)) {
		for (unsigned i = 0; i < 2; i++) {
			if (w->flows[i].sent != sent[i]) {
				sent[i] = w->flows[i].sent;
				idle[i] = w->now;
			}
			if (w->now - idle[i] < 6000)
				continue;
			closed(w, i, 0);
			idle[i] = w->now;
			deaths++;
			if (w->now - last < 500)
				both++;
			last = w->now;
		}
	}
	/* The first time nobody can know; from then on they are asked before they close. */
	assert_int_equal(deaths, 2);
	assert_int_equal(both, 1);
	world_free(w);
}

static void test_closing_is_no_failure(void **state)
{
	struct world *w = world_new(PH_TCP, 4, 2);

	(void)state;
	w->config.interval_ms = 1000;
	world_start(w);
	serve(w, 100, at_1000);
	/* After every second request. */
	for (unsigned n = 0; n < 20; n++) {
		w->flows[0].sent = n ? 0 : 1;
		while (w->flows[0].sent < 2 || w->flows[0].asked)
			serve(w, 10, at_1000);
		closed(w, 0, 0);
		assert_true(w->flows[0].exists); /* at once, and no back-off */
	}
	assert_int_equal(w->announced[PH_ANNOUNCE_CHANGE], 0);
	world_free(w);
}

/* It connects and says nothing. */
static const char *mute_20(struct world *w, unsigned flow)
{
	if (server_of(w, flow) != 20)
		return "203.0.113.7:1000";
	return w->flows[flow].connected ? NULL : "";
}

static void test_mute_server_is_left(void **state)
{
	struct world *w = world_new(PH_TCP, 4, 3);

	(void)state;
	world_start(w);
	serve(w, 6000, mute_20);
	for (unsigned i = 0; i < 2; i++)
		assert_int_not_equal(server_of(w, i), 20);
	assert_true(view(w).holders[0].rtt_ms != UINT32_MAX);
	/* And it is not the next choice. */
	closed(w, 1, ECONNRESET);
	closed(w, 0, ECONNRESET);
	serve(w, 500, mute_20);
	assert_int_not_equal(server_of(w, 0), 20);
	world_free(w);
}

/* A NAT that forgets a mapping as soon as nothing uses it, while no keep-alive server is there. */
static void test_holder_that_comes_late(void **state)
{
	struct world *w = world_new(PH_TCP, 3, 2);

	(void)state;
	world_start(w);
	probes_answer(w, "203.0.113.7:1000");
	while (w->now < 9000) {
		for (unsigned i = 0; i < PROBE; i++)
			if (w->flows[i].exists)
				closed(w, i, ECONNREFUSED);
		pass(w, 100);
	}
	assert_int_equal(probes(w), 0);
	pass(w, 8000);
	for (unsigned i = 0; i < PROBE; i++)
		if (w->flows[i].exists)
			connected(w, i);
	/* What was true eight seconds ago is told to nobody. */
	assert_false(want(w).open);
	install(w);
	assert_int_equal(w->announced[PH_ANNOUNCE_UP], 0);
	serve(w, 1000, at_2000);
	assert_int_equal(w->announced[PH_ANNOUNCE_UP], 1);
	assert_endpoint(&w->announcement.public_endpoint, "203.0.113.7:2000");
	serve(w, 600000, at_2000);
	assert_int_equal(w->announced[PH_ANNOUNCE_CHANGE], 0);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_two_holders_two_servers),
		cmocka_unit_test(test_one_server_one_holder),
		cmocka_unit_test(test_lost_holder_is_replaced),
		cmocka_unit_test(test_server_that_closes),
		cmocka_unit_test(test_mute_server),
		cmocka_unit_test(test_unasked_bytes),
		cmocka_unit_test(test_one_answer_is_no_good_holder),
		cmocka_unit_test(test_udp_retransmits_and_moves_on),
		cmocka_unit_test(test_first_pair_dead),
		cmocka_unit_test(test_slow_servers_are_not_given_up),
		cmocka_unit_test(test_prefers_who_holds_longer),
		cmocka_unit_test(test_idle_connections_are_closed),
		cmocka_unit_test(test_closing_is_no_failure),
		cmocka_unit_test(test_mute_server_is_left),
		cmocka_unit_test(test_holder_that_comes_late),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
