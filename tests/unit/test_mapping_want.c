/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What a mapping wants of the table: a target that would lead back to it, and the list of peers. */

#include "world.h"

#include <errno.h>

static const char *at_1000(struct world *w, unsigned flow)
{
	(void)w;
	(void)flow;
	return "203.0.113.7:1000";
}

static const char *at_1001(struct world *w, unsigned flow)
{
	(void)w;
	(void)flow;
	return "203.0.113.7:1001";
}

static void set_target(struct world *w, const char *text)
{
	const struct ph_endpoint e = endpoint(text);

	w->config.target = (struct ph_target){ PH_TARGET_ADDRESS, e.address, e.port };
}

static void reconfigure(struct world *w)
{
	ph_mapping_reconfigure(w->m, &w->config, w->now, &w->actions);
	world_apply(w);
}

static void assert_public(struct world *w, const char *text)
{
	struct ph_mapping_view v = view(w);

	assert_endpoint(&v.public_endpoint, text);
}

/* ---- loops ---- */

static void assert_loop(struct world *w, unsigned ups, unsigned downs)
{
	assert_int_equal(ph_mapping_state(w->m), PH_MAPPING_OPENING);
	assert_non_null(view(w).why);
	assert_non_null(strstr(view(w).why, "a loop"));
	/* Nobody may use it, so nobody is told of it, not even by status. */
	assert_int_equal(view(w).public_endpoint.port, 0);
	/* The log tells it once. */
	assert_int_equal(w->notes[PH_NOTE_LOOP], 1);
	assert_int_equal(w->announced[PH_ANNOUNCE_UP], ups);
	assert_int_equal(w->announced[PH_ANNOUNCE_DOWN], downs);
	assert_int_equal(w->announced[PH_ANNOUNCE_CHANGE], 0);
}

static void assert_up(struct world *w, unsigned ups, unsigned downs, const char *public)
{
	assert_int_equal(ph_mapping_state(w->m), PH_MAPPING_UP);
	assert_int_equal(w->announced[PH_ANNOUNCE_UP], ups);
	assert_int_equal(w->announced[PH_ANNOUNCE_DOWN], downs);
	assert_int_equal(w->announcement.announce, PH_ANNOUNCE_UP);
	assert_endpoint(&w->announcement.public_endpoint, public);
}

static void test_private_endpoint(void **state)
{
	struct world *w = world_new(PH_TCP, 3, 2);

	(void)state;
	set_target(w, "100.64.0.2:8443");
	world_start(w);
	serve(w, 120000, at_1000);
	assert_loop(w, 0, 0);
	/* It is held all the same: what is wrong is one line of the configuration. */
	assert_true(w->flows[0].connected && w->flows[1].connected);
	set_target(w, "100.64.0.2:8444");
	reconfigure(w);
	serve(w, 1000, at_1000);
	assert_up(w, 1, 0, "203.0.113.7:1000");
	assert_public(w, "203.0.113.7:1000");
	/* Another loop, after it was none, is news again. */
	set_target(w, "100.64.0.2:8443");
	reconfigure(w);
	assert_int_equal(w->notes[PH_NOTE_LOOP], 2);
	world_free(w);
}

/* Nobody knows before the servers have told. */
static void test_public_endpoint(void **state)
{
	static const enum ph_proto protos[] = { PH_TCP, PH_UDP };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct world *w = world_new(protos[i], 3, 2);

		set_target(w, "203.0.113.7:1000");
		world_start(w);
		assert_null(strstr(view(w).why, "a loop"));
		assert_int_equal(w->notes[PH_NOTE_LOOP], 0);
		serve(w, 120000, at_1000);
		assert_loop(w, 0, 0);
		/* The NAT gives another one. */
		for (unsigned f = 0; f < PH_FLOW_HOLDERS; f++)
			if (w->flows[f].exists)
				closed(w, f, ECONNRESET);
		serve(w, 300000, at_1001);
		assert_up(w, 1, 0, "203.0.113.7:1001");
		world_free(w);
	}
}

static void test_public_endpoint_with_its_own_port(void **state)
{
	struct world *w = world_new(PH_TCP, 3, 2);

	(void)state;
	set_target(w, "203.0.113.7:1");
	w->config.target.port = 0;
	world_start(w);
	serve(w, 120000, at_1000);
	assert_loop(w, 0, 0);
	world_free(w);
}

/* `down` if it was up, once. */
static void test_becomes_one_by_reload(void **state)
{
	static const char *const targets[] = { "203.0.113.7:1000", "100.64.0.2:8443" };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct world *w = world_new(PH_TCP, 3, 2);

		set_target(w, "192.168.10.50:443");
		world_up(w, "203.0.113.7:1000");
		assert_up(w, 1, 0, "203.0.113.7:1000");
		set_target(w, targets[i]);
		reconfigure(w);
		assert_loop(w, 1, 1);
		assert_endpoint(&w->announcement.public_endpoint, "203.0.113.7:1000");
		serve(w, 120000, at_1000);
		assert_loop(w, 1, 1);
		set_target(w, "192.168.10.50:443");
		reconfigure(w);
		serve(w, 1000, at_1000);
		assert_up(w, 2, 1, "203.0.113.7:1000");
		world_free(w);
	}
}

/* The NAT moves the mapping to just that endpoint. */
static void test_becomes_one_by_the_nat(void **state)
{
	struct world *w = world_new(PH_TCP, 3, 2);

	(void)state;
	set_target(w, "203.0.113.7:1001");
	world_up(w, "203.0.113.7:1000");
	serve(w, 1000, at_1000);
	closed(w, 0, ECONNRESET);
	closed(w, 1, ECONNRESET);
	serve(w, 300000, at_1001);
	assert_loop(w, 1, 1);
	assert_endpoint(&w->announcement.public_endpoint, "203.0.113.7:1000");
	world_free(w);
}

/* ---- peers ---- */

static uint64_t peers_generation(struct world *w)
{
	struct ph_plan_mapping p;
	uint64_t generation = ph_mapping_want(w->m, &p);

	assert_true(p.peers_generation <= generation);
	return p.peers_generation;
}

/* Holders end, and cannot be opened anew at the first server, whose name is looked up then. */
static void loses_a_server(struct world *w)
{
	w->lookups = 0;
	closed(w, 0, ECONNRESET);
	closed(w, 1, ECONNRESET);
	for (unsigned i = 0; w->lookups == 0; i = 1 - i) {
		pass(w, 10);
		if (w->flows[i].exists && server_of(w, i) == 20)
			closed(w, i, ECONNREFUSED);
	}
}

/* What is not the peers does not change their number: the table is patched by it. */
static void test_same_peers(void **state)
{
	struct world *w = world_new(PH_TCP, 3, 2);
	struct ph_server_list stun;
	uint64_t before;

	(void)state;
	world_start(w);
	before = peers_generation(w);
	serve(w, 120000, at_1000);
	assert_int_equal(peers_generation(w), before);
	/* Another public endpoint */
	closed(w, 0, ECONNRESET);
	closed(w, 1, ECONNRESET);
	serve(w, 300000, at_1001);
	assert_public(w, "203.0.113.7:1001");
	assert_int_equal(peers_generation(w), before);
	/* Other settings */
	set_target(w, "192.168.10.50:443");
	w->config.interval_ms = 5000;
	reconfigure(w);
	assert_int_equal(peers_generation(w), before);
	/* The same servers, in another list */
	stun = w->stun;
	w->config.stun = &stun;
	reconfigure(w);
	assert_int_equal(peers_generation(w), before);
	/* A name that is looked up again, and has the same address */
	loses_a_server(w);
	resolved(w, PH_SERVER_KEEPALIVE, 0, "192.0.2.20");
	assert_int_equal(peers_generation(w), before);
	world_free(w);
}

static void test_other_peers(void **state)
{
	struct world *w = world_new(PH_TCP, 2, 2);
	struct ph_server_list keepalive = { 0 };
	unsigned gone;
	uint64_t before;

	(void)state;
	w->keepalive.items[1].port = 81;
	world_start(w);
	serve(w, 60000, at_1000);
	/* Another address of a server */
	loses_a_server(w);
	before = peers_generation(w);
	resolved(w, PH_SERVER_KEEPALIVE, 0, "192.0.2.99");
	assert_true(peers_generation(w) > before);
	/* A server goes, but for the holder that is still open to it; then the holder. */
	install(w);
	serve(w, 1000, at_1000);
	keepalive.items[keepalive.n++] = w->keepalive.items[1];
	w->config.keepalive = &keepalive;
	reconfigure(w);
	before = peers_generation(w);
	for (gone = 0; server_of(w, gone) != 99; gone++)
		assert_true(gone < PH_FLOW_HOLDERS);
	assert_true(w->flows[gone].connected);
	closed(w, gone, ECONNRESET);
	assert_true(peers_generation(w) > before);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_private_endpoint),
		cmocka_unit_test(test_public_endpoint),
		cmocka_unit_test(test_public_endpoint_with_its_own_port),
		cmocka_unit_test(test_becomes_one_by_reload),
		cmocka_unit_test(test_becomes_one_by_the_nat),
		cmocka_unit_test(test_same_peers),
		cmocka_unit_test(test_other_peers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
