/* SPDX-License-Identifier: GPL-2.0-or-later */
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
	connected(w, PROBE);
	stun_answer(w, PROBE, "203.0.113.7:32451");
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

static void test_no_public_without_holder(void **state)
{
	struct world *w = world_new(PH_TCP, 1, 2);

	(void)state;
	world_start(w);
	connected(w, PROBE);
	stun_answer(w, PROBE, "203.0.113.7:32451");
	assert_false(want(w).open);
	connected(w, 0);
	assert_true(want(w).open);
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

static void test_failing_probe_tears_nothing_down(void **state)
{
	struct world *w = world_new(PH_TCP, 2, 2);
	uint64_t generation;
	struct ph_plan_mapping p;

	(void)state;
	world_up(w, "203.0.113.7:32451");
	generation = ph_mapping_want(w->m, &p);
	for (unsigned i = 0; i < 20; i++) {
		while (!w->flows[PROBE].exists) {
			if (w->flows[0].sent > w->flows[0].opened && w->flows[0].connected)
				http_answer(w, 0);
			pass(w, 100);
		}
		closed(w, PROBE, ECONNREFUSED);
		w->flows[0].sent = w->flows[0].opened;
	}
	assert_true(w->notes[PH_NOTE_PROBE_FAILED] >= 20);
	assert_int_equal(ph_mapping_want(w->m, &p), generation);
	assert_int_equal(w->announced[PH_ANNOUNCE_DOWN], 0);
	world_free(w);
}

static void test_change_is_confirmed(void **state)
{
	struct world *w = world_new(PH_TCP, 3, 2);
	struct ph_endpoint first;
	struct ph_plan_mapping p;

	(void)state;
	world_up(w, "203.0.113.7:32451");
	pass(w, 2000);
	first = w->flows[PROBE].server;
	probe_answer(w, 0, "203.0.113.7:40000");
	assert_int_equal(w->notes[PH_NOTE_UNCONFIRMED], 1);
	p = want(w);
	assert_endpoint(&p.public_endpoint, "203.0.113.7:32451");
	assert_true(w->flows[PROBE].exists);
	assert_false(ph_address_equal(&w->flows[PROBE].server.address, &first.address));
	w->flows[0].opened = w->flows[1].opened = 0;
	probe_answer(w, 0, "203.0.113.7:40000");
	p = want(w);
	assert_endpoint(&p.public_endpoint, "203.0.113.7:40000");
	/* The holders kept the old binding alive; new ones keep the new one. */
	assert_int_equal(w->flows[0].opened, 1);
	assert_int_equal(w->flows[1].opened, 1);
	assert_int_equal(w->announced[PH_ANNOUNCE_CHANGE], 0);
	install(w);
	assert_int_equal(w->announced[PH_ANNOUNCE_CHANGE], 1);
	assert_endpoint(&w->announcement.previous, "203.0.113.7:32451");
	world_free(w);
}

static void test_change_with_one_server(void **state)
{
	struct world *w = world_new(PH_TCP, 1, 2);
	struct ph_plan_mapping p;

	(void)state;
	world_up(w, "203.0.113.7:32451");
	probe_answer(w, 2000, "203.0.113.7:40000");
	p = want(w);
	assert_endpoint(&p.public_endpoint, "203.0.113.7:40000");
	world_free(w);
}

static void test_second_server_is_dead(void **state)
{
	struct world *w = world_new(PH_TCP, 2, 2);
	struct ph_plan_mapping p;

	(void)state;
	world_up(w, "203.0.113.7:32451");
	probe_answer(w, 2000, "203.0.113.7:40000");
	closed(w, PROBE, ECONNREFUSED);          /* the one that should confirm */
	probe_answer(w, 0, "203.0.113.7:40000"); /* the first one again, on a fresh flow */
	p = want(w);
	assert_endpoint(&p.public_endpoint, "203.0.113.7:40000");
	world_free(w);
}

static void test_servers_disagree(void **state)
{
	struct world *w = world_new(PH_TCP, 3, 2);
	struct ph_plan_mapping p;

	(void)state;
	world_up(w, "203.0.113.7:32451");
	probe_answer(w, 2000, "203.0.113.7:40001");
	probe_answer(w, 0, "203.0.113.7:40002");
	assert_int_equal(w->notes[PH_NOTE_DEPENDENT], 1);
	p = want(w);
	assert_endpoint(&p.public_endpoint, "203.0.113.7:32451");
	/* No storm of probes: the next one comes with `verify`. */
	assert_false(w->flows[PROBE].exists);
	world_free(w);
}

static void test_lost_and_found(void **state)
{
	struct world *w = world_new(PH_TCP, 1, 1);

	(void)state;
	world_up(w, "203.0.113.7:32451");
	closed(w, 0, ETIMEDOUT);
	for (unsigned i = 0; i < 3; i++) {
		while (!w->flows[PROBE].exists) {
			if (w->flows[0].exists)
				closed(w, 0, ECONNREFUSED);
			pass(w, 100);
		}
		closed(w, PROBE, ENETUNREACH);
	}
	assert_int_equal(ph_mapping_state(w->m), PH_MAPPING_LOST);
	assert_int_equal(w->announced[PH_ANNOUNCE_DOWN], 1);
	assert_endpoint(&w->announcement.public_endpoint, "203.0.113.7:32451");
	while (!w->flows[0].exists)
		pass(w, 100);
	connected(w, 0);
	while (!w->flows[PROBE].exists)
		pass(w, 100);
	probe_answer(w, 0, "203.0.113.7:32451");
	install(w);
	assert_int_equal(ph_mapping_state(w->m), PH_MAPPING_UP);
	assert_int_equal(w->announced[PH_ANNOUNCE_UP], 2);
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
	connected(w, PROBE);
	stun_answer(w, PROBE, "203.0.113.7:40000");
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
	pass(w, 5000);
	assert_true(w->flows[0].exists);
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
		if (w->flows[PROBE].exists)
			probe_answer(w, 0, "203.0.113.7:32451");
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
	pass(w, 10001);
	/* Another one is there: it is asked instead. */
	assert_endpoint(&w->flows[0].server, "192.0.2.22:80");
	world_free(w);

	w = world_new(PH_TCP, 1, 1);
	world_start(w);
	connected(w, 0);
	pass(w, 25000);
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

static void test_udp(void **state)
{
	struct world *w = world_new(PH_UDP, 3, 0);
	struct ph_plan_mapping p;

	(void)state;
	world_up(w, "203.0.113.7:32451");
	assert_int_equal(want(w).n_peers, 3);
	probe_answer(w, 2000, "203.0.113.7:32451");
	w->flows[0].sent = 0;
	pass(w, 8200);
	assert_int_equal(w->flows[0].sent, 1);  /* one transaction an interval, on the same flow */
	stun_answer(w, 0, "203.0.113.7:40000"); /* the NAT had lost its state */
	probe_answer(w, 0, "203.0.113.7:40000");
	p = want(w);
	assert_endpoint(&p.public_endpoint, "203.0.113.7:40000");
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
	pass(w, 200);
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

static void lose(struct world *w)
{
	if (w->flows[0].exists)
		closed(w, 0, ETIMEDOUT);
	for (unsigned i = 0; i < 3; i++) {
		while (!w->flows[PROBE].exists) {
			if (w->flows[0].exists)
				closed(w, 0, ECONNREFUSED);
			pass(w, 100);
		}
		closed(w, PROBE, ENETUNREACH);
	}
}

static void test_found_elsewhere(void **state)
{
	struct world *w = world_new(PH_TCP, 3, 1);

	(void)state;
	world_up(w, "203.0.113.7:1000");
	lose(w);
	assert_int_equal(ph_mapping_state(w->m), PH_MAPPING_LOST);
	while (!w->flows[0].exists || !w->flows[PROBE].exists)
		pass(w, 100);
	connected(w, 0);
	probe_answer(w, 0, "203.0.113.7:2222");
	/* One server's word: nobody hears of the old endpoint again. */
	assert_int_equal(w->announced[PH_ANNOUNCE_UP], 1);
	probe_answer(w, 0, "203.0.113.7:2222");
	assert_int_equal(w->announced[PH_ANNOUNCE_UP], 1); /* nothing holds it yet */
	connected(w, 0);
	install(w);
	assert_int_equal(w->announced[PH_ANNOUNCE_UP], 2);
	assert_endpoint(&w->announcement.public_endpoint, "203.0.113.7:2222");
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
		while (!w->flows[PROBE].exists)
			pass(w, 1000);
		closed(w, PROBE, ECONNREFUSED);
	}
	if (w->flows[0].exists)
		closed(w, 0, ECONNREFUSED);
	address(w, "100.64.0.9");
	install(w);
	assert_true(w->flows[0].exists && w->flows[PROBE].exists);
	world_free(w);
}

static void test_udp_two_servers_moved_nat(void **state)
{
	struct world *w = world_new(PH_UDP, 2, 0);
	struct ph_plan_mapping p;
	uint64_t end;

	(void)state;
	world_up(w, "203.0.113.7:1000");
	/* The NAT has moved; the holder's old flow goes on as before, fresh ones see the new
	 * endpoint. */
	for (end = w->now + 70000; w->now < end; pass(w, 50)) {
		if (w->flows[0].exists && !w->flows[0].connected)
			connected(w, 0);
		if (w->flows[0].sent) {
			w->flows[0].sent = 0;
			p = want(w);
			stun_answer(w, 0,
				    p.public_endpoint.port == 1000 ? "203.0.113.7:1000"
								   : "203.0.113.7:2000");
		}
		if (w->flows[PROBE].exists) {
			/* On the holder's own server it would be the old flow. */
			p = want(w);
			probe_answer(
				w, 0,
				p.public_endpoint.port == 1000 &&
						ph_address_equal(&w->flows[PROBE].server.address,
								 &w->flows[0].server.address)
					? "203.0.113.7:1000"
					: "203.0.113.7:2000");
		}
	}
	p = want(w);
	assert_endpoint(&p.public_endpoint, "203.0.113.7:2000");
	world_free(w);
}

static void test_symmetric_with_two_servers(void **state)
{
	struct world *w = world_new(PH_TCP, 2, 2);
	struct ph_endpoint first;
	uint64_t end;

	(void)state;
	world_start(w);
	connected(w, 0);
	connected(w, 1);
	connected(w, PROBE);
	first = w->flows[PROBE].server;
	stun_answer(w, PROBE, "203.0.113.7:1000");
	install(w);
	for (end = w->now + 300000; w->now < end; pass(w, 100)) {
		for (unsigned i = 0; i < 2; i++)
			if (w->flows[i].sent) {
				http_answer(w, i);
				w->flows[i].sent = 0;
			}
		if (w->flows[PROBE].exists)
			probe_answer(
				w, 0,
				ph_address_equal(&w->flows[PROBE].server.address, &first.address)
					? "203.0.113.7:1000"
					: "203.0.113.7:2000");
	}
	assert_int_equal(w->notes[PH_NOTE_DEPENDENT], 1);
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
		if (w->flows[PROBE].exists)
			probe_answer(w, 0, "203.0.113.7:32451");
		if (!w->flows[0].exists)
			continue;
		connected(w, 0);
		http_answer(w, 0);
		closed(w, 0, ECONNRESET);
	}
	assert_in_range(w->flows[0].opened, 4, 7);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table_first),
		cmocka_unit_test(test_two_holders_two_servers),
		cmocka_unit_test(test_one_server_one_holder),
		cmocka_unit_test(test_no_public_without_holder),
		cmocka_unit_test(test_lost_holder_is_replaced),
		cmocka_unit_test(test_failing_probe_tears_nothing_down),
		cmocka_unit_test(test_change_is_confirmed),
		cmocka_unit_test(test_change_with_one_server),
		cmocka_unit_test(test_second_server_is_dead),
		cmocka_unit_test(test_servers_disagree),
		cmocka_unit_test(test_lost_and_found),
		cmocka_unit_test(test_address_changes),
		cmocka_unit_test(test_bind_port_taken),
		cmocka_unit_test(test_server_that_closes),
		cmocka_unit_test(test_mute_server),
		cmocka_unit_test(test_unasked_bytes),
		cmocka_unit_test(test_udp),
		cmocka_unit_test(test_udp_retransmits_and_moves_on),
		cmocka_unit_test(test_alternate_server),
		cmocka_unit_test(test_stop),
		cmocka_unit_test(test_names_are_asked_again),
		cmocka_unit_test(test_errors_from_the_network_are_not_the_port_s),
		cmocka_unit_test(test_port_taken_while_held),
		cmocka_unit_test(test_found_elsewhere),
		cmocka_unit_test(test_down_after_a_new_address_leads_nowhere),
		cmocka_unit_test(test_new_address_forgets_back_off),
		cmocka_unit_test(test_udp_two_servers_moved_nat),
		cmocka_unit_test(test_symmetric_with_two_servers),
		cmocka_unit_test(test_one_answer_is_no_good_holder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
