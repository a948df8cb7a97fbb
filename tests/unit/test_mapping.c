/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The life of a mapping: table, address, bind port, loss and end. */

#include "world.h"

#include <errno.h>

static void test_table_first(void **state)
{
	struct world *w = world_new(PH_TCP, 2, 2);
	struct ph_plan_mapping p;

	(void)state;
	assert_int_equal(ph_mapping_new(&w->config, &w->m), 0);
	feed(w, (struct ph_event){ .type = PH_EVENT_START, .random = { 1 } });
	assert_int_equal(w->lookups, 0); /* there is no way out yet */
	assert_int_equal(ph_mapping_state(w->m), PH_MAPPING_WAITING);
	address(w, "100.64.0.2");
	assert_int_equal(w->lookups, 4);
	assert_int_equal(ph_mapping_state(w->m), PH_MAPPING_RESOLVING);
	resolved(w, PH_SERVER_STUN, 0, "192.0.2.10");
	resolved(w, PH_SERVER_KEEPALIVE, 0, "192.0.2.20");
	/* Not a packet before the rules that pin its source. */
	assert_int_equal(ph_mapping_state(w->m), PH_MAPPING_PREPARING);
	for (unsigned i = 0; i < PH_FLOWS; i++)
		assert_false(w->flows[i].exists);
	p = want(w);
	assert_endpoint(&p.private_endpoint, "100.64.0.2:8443");
	assert_false(p.open);
	assert_int_equal(p.n_peers, 2);
	install(w);
	assert_true(w->flows[0].exists && w->flows[PROBE].exists);
	connected(w, 0);
	http_answer(w, 0);
	probe_answer(w, 0, "203.0.113.7:32451");
	/* The other servers' names are still being looked up: one alone is not believed at once. */
	assert_false(want(w).open);
	pass(w, 3000);
	p = want(w);
	assert_true(p.open);
	assert_endpoint(&p.public_endpoint, "203.0.113.7:32451");
	/* Nobody is told before the kernel has it. */
	assert_int_equal(w->announced[PH_ANNOUNCE_UP], 0);
	install(w);
	assert_int_equal(w->announced[PH_ANNOUNCE_UP], 1);
	assert_endpoint(&w->announcement.public_endpoint, "203.0.113.7:32451");
	assert_endpoint(&w->announcement.local, "100.64.0.2:8443");
	world_free(w);
}

static void test_no_public_without_holder(void **state)
{
	struct world *w = world_new(PH_TCP, 1, 2);

	(void)state;
	world_start(w);
	probes_answer(w, "203.0.113.7:32451");
	assert_false(want(w).open);
	assert_string_equal(view(w).why, "no keep-alive server can be reached");
	connected(w, 0);
	assert_true(want(w).open);
	world_free(w);
}

static void test_address_changes(void **state)
{
	struct world *w = world_new(PH_TCP, 2, 2);
	struct ph_plan_mapping p;

	(void)state;
	world_up(w, "203.0.113.7:32451");
	address(w, "100.64.0.9");
	for (unsigned i = 0; i < PH_FLOWS; i++)
		assert_false(w->flows[i].exists); /* not before its source is pinned */
	p = want(w);
	assert_endpoint(&p.private_endpoint, "100.64.0.9:8443");
	assert_false(p.open);
	install(w);
	connected(w, 0);
	assert_int_equal(probes_answer(w, "203.0.113.7:40000"), 2);
	install(w);
	assert_int_equal(w->announced[PH_ANNOUNCE_CHANGE], 1);
	assert_int_equal(w->announced[PH_ANNOUNCE_DOWN], 0);
	assert_endpoint(&w->announcement.local, "100.64.0.9:8443");
	/* The same news again changes nothing. */
	address(w, "100.64.0.9");
	assert_int_equal(w->actions.n, 0);
	address(w, NULL);
	assert_int_equal(w->announced[PH_ANNOUNCE_DOWN], 1);
	assert_int_equal(ph_mapping_state(w->m), PH_MAPPING_WAITING);
	assert_int_equal(want(w).private_endpoint.port, 0);
	world_free(w);
}

static void test_bind_port_taken(void **state)
{
	struct world *w = world_new(PH_TCP, 1, 1);
	struct ph_plan_mapping p;

	(void)state;
	w->config.bind_last = 8444;
	world_start(w);
	refused(w, 0, EADDRINUSE);
	assert_int_equal(w->notes[PH_NOTE_BIND_NEXT], 1);
	p = want(w);
	assert_endpoint(&p.private_endpoint, "100.64.0.2:8444");
	assert_false(w->flows[0].exists);
	install(w);
	refused(w, 0, EADDRINUSE);
	assert_int_equal(w->notes[PH_NOTE_BIND_TAKEN], 1);
	install(w);
	assert_false(w->flows[0].exists);
	assert_int_equal(w->repeated[PH_NOTE_BIND_TAKEN], 0);
	pass(w, 5000);
	assert_true(w->flows[0].exists);
	/* It goes on, and is news no more until a bind has succeeded. */
	refused(w, 0, EADDRINUSE);
	install(w);
	refused(w, 0, EADDRINUSE);
	install(w);
	assert_int_equal(w->notes[PH_NOTE_BIND_NEXT], w->repeated[PH_NOTE_BIND_NEXT] + 1);
	assert_int_equal(w->notes[PH_NOTE_BIND_TAKEN], w->repeated[PH_NOTE_BIND_TAKEN] + 1);
	assert_int_equal(w->repeated[PH_NOTE_BIND_TAKEN], 1);
	world_free(w);
}

/* Each port costs a change of the table and a line in the log: others get their turn in between,
 * and the log is not filled. */
static void test_bind_range_taken(void **state)
{
	struct world *w = world_new(PH_TCP, 1, 1);

	(void)state;
	w->config.bind_last = 8443 + 99;
	world_start(w);
	for (unsigned burst = 0; burst < 2; burst++) {
		for (unsigned i = 0; i < 16; i++) {
			assert_true(w->flows[0].exists);
			refused(w, 0, EADDRINUSE);
			install(w);
		}
		assert_false(w->flows[0].exists);
		assert_true(ph_mapping_deadline(w->m) > w->now);
		pass(w, 100);
	}
	assert_int_equal(want(w).private_endpoint.port, 8443 + 32);
	assert_int_equal(w->notes[PH_NOTE_BIND_NEXT], 32);
	assert_int_equal(w->repeated[PH_NOTE_BIND_NEXT], 16);
	assert_int_equal(w->notes[PH_NOTE_BIND_TAKEN], 0);
	world_free(w);
}

static void test_bind_port_that_stays_taken_is_said_once(void **state)
{
	struct world *w = world_new(PH_TCP, 1, 1);

	(void)state;
	world_start(w);
	for (unsigned i = 0; i < 3; i++) {
		refused(w, 0, EADDRINUSE);
		install(w);
		pass(w, 5000);
	}
	assert_int_equal(w->notes[PH_NOTE_BIND_TAKEN], 3);
	assert_int_equal(w->repeated[PH_NOTE_BIND_TAKEN], 2);
	world_free(w);
}

static void test_alternate_server(void **state)
{
	/* 300 Try Alternate, ALTERNATE-SERVER 192.0.2.99:3479 */
	uint8_t m[40] = { 0x01, 0x11, 0, 20, 0x21, 0x12, 0xa4, 0x42 };
	static const uint8_t attributes[] = { 0, 9, 0, 4, 0,    0,    3,   0, 0x80, 0x23,
					      0, 8, 0, 1, 0x0d, 0x97, 192, 0, 2,    99 };
	struct world *w = world_new(PH_TCP, 1, 2);

	(void)state;
	world_start(w);
	connected(w, 0);
	connected(w, PROBE);
	memcpy(m + 8, w->flows[PROBE].last + 8, 12);
	memcpy(m + 20, attributes, sizeof(attributes));
	bytes(w, PROBE, m, sizeof(m));
	assert_false(w->flows[PROBE].exists); /* not a peer in the table yet */
	assert_int_equal(want(w).n_peers, 4);
	install(w);
	assert_endpoint(&w->flows[PROBE].server, "192.0.2.99:3479");
	connected(w, PROBE);
	memcpy(m + 8, w->flows[PROBE].last + 8, 12);
	m[39] = 98;
	bytes(w, PROBE, m, sizeof(m));
	install(w);
	assert_int_equal(want(w).n_peers, 4); /* once is enough */
	world_free(w);
}

static void test_stop(void **state)
{
	struct world *w = world_new(PH_TCP, 2, 2);

	(void)state;
	world_up(w, "203.0.113.7:32451");
	feed(w, (struct ph_event){ .type = PH_EVENT_STOP });
	for (unsigned i = 0; i < PH_FLOWS; i++)
		assert_false(w->flows[i].exists);
	assert_int_equal(w->announced[PH_ANNOUNCE_DOWN], 1);
	assert_int_equal(ph_mapping_deadline(w->m), UINT64_MAX);
	assert_false(want(w).open);
	world_free(w);
}

static void test_names_are_asked_again(void **state)
{
	struct world *w = world_new(PH_TCP, 1, 1);

	(void)state;
	assert_int_equal(ph_mapping_new(&w->config, &w->m), 0);
	feed(w, (struct ph_event){ .type = PH_EVENT_START, .random = { 1 } });
	address(w, "100.64.0.2");
	w->lookups = 0;
	feed(w, (struct ph_event){
			.type = PH_EVENT_RESOLVED, .kind = PH_SERVER_STUN, .error = -3008 });
	assert_int_equal(w->notes[PH_NOTE_RESOLVE_FAILED], 1);
	pass(w, 1000);
	assert_int_equal(w->lookups, 1);
	resolved(w, PH_SERVER_STUN, 0, "192.0.2.10");
	resolved(w, PH_SERVER_KEEPALIVE, 0, "192.0.2.20");
	install(w);
	w->lookups = 0;
	closed(w, 0, ECONNREFUSED);
	assert_int_equal(w->lookups, 0); /* just looked up */
	pass(w, 1000);
	w->now += 40000;
	closed(w, 0, ECONNREFUSED);
	assert_int_equal(w->lookups, 1);
	world_free(w);
}

static void test_errors_from_the_network_are_not_the_port_s(void **state)
{
	struct world *w = world_new(PH_TCP, 2, 2);

	(void)state;
	world_start(w);
	closed(w, 0, EACCES); /* ICMPv6 administratively prohibited */
	closed(w, PROBE, EADDRINUSE);
	assert_int_equal(w->notes[PH_NOTE_BIND_TAKEN], 0);
	assert_true(w->flows[1].exists);
	connected(w, 1);
	probe_answer(w, 5000, "203.0.113.7:32451");
	assert_true(want(w).open);
	world_free(w);
}

static void test_port_taken_while_held(void **state)
{
	struct world *w = world_new(PH_TCP, 2, 3);
	struct ph_plan_mapping p;
	uint64_t generation;

	(void)state;
	world_up(w, "203.0.113.7:32451");
	generation = ph_mapping_want(w->m, &p);
	while (!w->flows[PROBE].exists)
		pass(w, 100);
	refused(w, PROBE, EADDRINUSE);
	assert_true(w->flows[0].exists && w->flows[1].exists);
	assert_int_equal(ph_mapping_want(w->m, &p), generation);
	world_free(w);
}

/* Nothing answers any more, neither holders nor probes. */
static void lose(struct world *w)
{
	for (uint64_t end = w->now + 20000; ph_mapping_state(w->m) != PH_MAPPING_LOST;
	     pass(w, 100)) {
		assert_true(w->now < end);
		for (unsigned i = 0; i < PH_FLOWS; i++)
			if (w->flows[i].exists)
				closed(w, i, ENETUNREACH);
	}
}

static const char *at_1000(struct world *w, unsigned flow)
{
	(void)w;
	(void)flow;
	return "203.0.113.7:1000";
}

static const char *at_2222(struct world *w, unsigned flow)
{
	(void)w;
	(void)flow;
	return "203.0.113.7:2222";
}

static void test_lost_and_found(void **state)
{
	(void)state;
	for (size_t servers = 1; servers < 4; servers += 2) {
		struct world *w = world_new(PH_TCP, servers, servers);

		world_up(w, "203.0.113.7:1000");
		lose(w);
		assert_int_equal(w->notes[PH_NOTE_LOST], 1);
		assert_int_equal(w->announced[PH_ANNOUNCE_DOWN], 1);
		assert_endpoint(&w->announcement.public_endpoint, "203.0.113.7:1000");
		assert_non_null(view(w).why);
		/* Long gone; when the way is open again nobody waits for a minute. */
		for (uint64_t end = w->now + 600000; w->now < end; pass(w, 100))
			for (unsigned i = 0; i < PH_FLOWS; i++)
				if (w->flows[i].exists)
					closed(w, i, ENETUNREACH);
		serve(w, 9000, at_2222);
		assert_int_equal(ph_mapping_state(w->m), PH_MAPPING_UP);
		assert_int_equal(w->announced[PH_ANNOUNCE_UP], 2);
		assert_endpoint(&w->announcement.public_endpoint, "203.0.113.7:2222");
		world_free(w);
	}
}

/* Silence is an end, too, however many servers there are that might answer. */
static void test_lost_in_silence(void **state)
{
	(void)state;
	for (size_t servers = 1; servers <= PH_SERVERS_MAX; servers++)
		for (unsigned i = 0; i < 2; i++) {
			struct world *w = world_new(i ? PH_UDP : PH_TCP, servers, i ? 0 : 2);
			uint64_t end;

			world_up(w, "203.0.113.7:1000");
			if (!i) {
				closed(w, 0, ETIMEDOUT);
				closed(w, 1, ETIMEDOUT);
			}
			for (end = w->now + 60000; w->now < end;)
				pass(w, 100);
			assert_int_equal(ph_mapping_state(w->m), PH_MAPPING_LOST);
			assert_int_equal(w->announced[PH_ANNOUNCE_DOWN], 1);
			assert_int_equal(view(w).public_endpoint.port, 0);
			serve(w, 20000, at_2222);
			assert_int_equal(ph_mapping_state(w->m), PH_MAPPING_UP);
			assert_int_equal(view(w).public_endpoint.port, 2222);
			world_free(w);
		}
}

static void test_not_lost_while_a_holder_reconnects(void **state)
{
	struct world *w = world_new(PH_TCP, 4, 3);

	(void)state;
	world_up(w, "203.0.113.7:1000");
	/* No STUN server answers for ten minutes, while the holders hold. */
	for (uint64_t end = w->now + 600000; w->now < end; pass(w, 10))
		for (unsigned i = 0; i < PH_FLOWS; i++) {
			if (w->flows[i].exists && i >= PROBE)
				closed(w, i, ECONNREFUSED);
			else if (w->flows[i].exists && w->flows[i].asked)
				http_answer(w, i);
		}
	closed(w, 0, ECONNRESET);
	closed(w, 1, ECONNRESET);
	pass(w, 100);
	connected(w, 0);
	assert_int_equal(ph_mapping_state(w->m), PH_MAPPING_UP);
	assert_int_equal(w->announced[PH_ANNOUNCE_DOWN], 0);
	world_free(w);
}

static void test_nothing_holds_what_was_found(void **state)
{
	struct world *w = world_new(PH_TCP, 3, 1);

	(void)state;
	world_up(w, "203.0.113.7:1000");
	lose(w);
	while (probes_answer(w, "203.0.113.7:1000") == 0) {
		if (w->flows[0].exists)
			closed(w, 0, ECONNREFUSED);
		pass(w, 50);
	}
	/* It is what was installed before; but nothing keeps it alive yet. */
	assert_int_equal(w->announced[PH_ANNOUNCE_UP], 1);
	serve(w, 9000, at_1000);
	assert_int_equal(w->announced[PH_ANNOUNCE_UP], 2);
	world_free(w);
}

static void test_down_after_a_new_address_leads_nowhere(void **state)
{
	struct world *w = world_new(PH_TCP, 2, 1);

	(void)state;
	world_up(w, "203.0.113.7:1000");
	address(w, "100.64.0.9");
	install(w);
	lose(w);
	assert_int_equal(w->announced[PH_ANNOUNCE_DOWN], 1);
	world_free(w);
}

static void test_new_address_forgets_back_off(void **state)
{
	struct world *w = world_new(PH_TCP, 1, 1);

	(void)state;
	world_start(w);
	for (unsigned i = 0; i < 8; i++) {
		closed(w, probe_wait(w, 70000), ECONNREFUSED);
		if (w->flows[0].exists)
			closed(w, 0, ECONNREFUSED);
	}
	address(w, "100.64.0.9");
	install(w);
	assert_true(w->flows[0].exists && w->flows[PROBE].exists);
	world_free(w);
}

/* PPP redials: the same name, the same address even, but another interface. */
static void test_interface_made_anew(void **state)
{
	struct world *w = world_new(PH_TCP, 2, 2);

	(void)state;
	world_up(w, "203.0.113.7:1000");
	w->flows[0].opened = 0;
	address_at(w, "100.64.0.2", 7);
	assert_int_equal(w->flows[0].opened, 0); /* not before its source is pinned */
	assert_false(w->flows[0].exists);
	install(w);
	assert_int_equal(w->flows[0].opened, 1);
	serve(w, 200, at_2222);
	assert_int_equal(w->announced[PH_ANNOUNCE_CHANGE], 1);
	assert_int_equal(w->announced[PH_ANNOUNCE_DOWN], 0);
	address_at(w, "100.64.0.2", 7);
	assert_int_equal(w->actions.n, 0);
	world_free(w);
}

static void test_bind_start(void **state)
{
	struct world *w = world_new(PH_TCP, 1, 1);

	(void)state;
	w->config.bind_last = 8450;
	w->config.bind_random = true;
	w->config.bind_start = 8450;
	world_start(w);
	assert_int_equal(ph_mapping_private(w->m).port, 8450);
	refused(w, 0, EADDRINUSE);
	assert_int_equal(ph_mapping_private(w->m).port, 8443);
	world_free(w);
}

static void test_why(void **state)
{
	struct world *w = world_new(PH_TCP, 1, 1);

	(void)state;
	assert_int_equal(ph_mapping_new(&w->config, &w->m), 0);
	feed(w, (struct ph_event){ .type = PH_EVENT_START, .random = { 1 } });
	assert_string_equal(view(w).why, "waiting for the interface");
	address(w, "100.64.0.2");
	assert_string_equal(view(w).why, "the STUN servers' names are being looked up");
	feed(w, (struct ph_event){ .type = PH_EVENT_RESOLVED, .kind = PH_SERVER_STUN });
	assert_string_equal(view(w).why, "no STUN server's name could be looked up");
	pass(w, 1000);
	resolved(w, PH_SERVER_STUN, 0, "192.0.2.10");
	assert_string_equal(view(w).why, "the keep-alive servers' names are being looked up");
	feed(w, (struct ph_event){ .type = PH_EVENT_RESOLVED, .kind = PH_SERVER_KEEPALIVE });
	assert_string_equal(view(w).why, "no keep-alive server's name could be looked up");
	pass(w, 1000);
	resolved(w, PH_SERVER_KEEPALIVE, 0, "192.0.2.20");
	assert_string_equal(view(w).why, "the table is not installed");
	install(w);
	assert_string_equal(view(w).why, "the STUN servers are being asked");
	closed(w, PROBE, ECONNREFUSED);
	assert_string_equal(view(w).why, "no STUN server answers");
	probe_answer(w, 2000, "203.0.113.7:1000");
	assert_string_equal(view(w).why, "no keep-alive server can be reached");
	connected(w, 0);
	assert_string_equal(view(w).why, "the table is not installed");
	assert_int_equal(view(w).public_endpoint.port, 0);
	install(w);
	assert_string_equal(view(w).why, "only one STUN server answered");
	assert_int_equal(view(w).public_endpoint.port, 1000);
	feed(w, (struct ph_event){ .type = PH_EVENT_STOP });
	assert_string_equal(view(w).why, "stopped");
	world_free(w);
}

static void test_view(void **state)
{
	struct world *w = world_new(PH_TCP, 8, 2);
	struct ph_mapping_view v;
	uint64_t up_ms;

	(void)state;
	world_start(w);
	serve(w, 100, at_1000);
	up_ms = w->announced_ms;
	v = view(w);
	assert_int_equal(v.state, PH_MAPPING_UP);
	assert_null(v.why);
	assert_int_equal(v.state_since_ms, up_ms);
	assert_int_equal(v.endpoint_since_ms, up_ms);
	assert_true(v.verified_ms > 0 && v.verified_ms <= up_ms);
	assert_int_equal(v.changes, 0);
	assert_true(v.can_verify);
	assert_int_equal(v.independence, PH_INDEPENDENT);
	assert_endpoint(&v.private_endpoint, "100.64.0.2:8443");
	assert_int_equal(v.n_holders, 2);
	assert_true(v.holders[0].open && v.holders[1].open);
	assert_endpoint(&v.holders[1].server, "192.0.2.21:80");
	assert_int_equal(v.holders[0].rtt_ms, 10);
	assert_true(v.holders[0].since_ms < up_ms);
	serve(w, 62000, at_2222);
	assert_int_equal(view(w).changes, 1);
	assert_int_equal(view(w).endpoint_since_ms, w->announced_ms);
	assert_int_equal(view(w).state_since_ms, up_ms);
	serve(w, 62000, at_1000);
	assert_int_equal(view(w).changes, 2);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table_first),
		cmocka_unit_test(test_no_public_without_holder),
		cmocka_unit_test(test_address_changes),
		cmocka_unit_test(test_bind_port_taken),
		cmocka_unit_test(test_bind_range_taken),
		cmocka_unit_test(test_bind_port_that_stays_taken_is_said_once),
		cmocka_unit_test(test_alternate_server),
		cmocka_unit_test(test_stop),
		cmocka_unit_test(test_names_are_asked_again),
		cmocka_unit_test(test_errors_from_the_network_are_not_the_port_s),
		cmocka_unit_test(test_port_taken_while_held),
		cmocka_unit_test(test_lost_and_found),
		cmocka_unit_test(test_lost_in_silence),
		cmocka_unit_test(test_not_lost_while_a_holder_reconnects),
		cmocka_unit_test(test_nothing_holds_what_was_found),
		cmocka_unit_test(test_down_after_a_new_address_leads_nowhere),
		cmocka_unit_test(test_new_address_forgets_back_off),
		cmocka_unit_test(test_interface_made_anew),
		cmocka_unit_test(test_bind_start),
		cmocka_unit_test(test_why),
		cmocka_unit_test(test_view),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
