/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Other settings for a mapping that goes on. */

#include "world.h"

#include <stdio.h>

static const char *at_1000(struct world *w, unsigned flow)
{
	(void)w;
	(void)flow;
	return "203.0.113.7:1000";
}

static void reconfigure(struct world *w, const struct ph_mapping_config *config)
{
	ph_mapping_reconfigure(w->m, config, w->now, &w->actions);
	world_apply(w);
}

static uint64_t generation(const struct world *w)
{
	struct ph_plan_mapping p;

	return ph_mapping_want(w->m, &p);
}

static bool is_peer(struct world *w, const char *text)
{
	const struct ph_plan_mapping p = want(w);
	const struct ph_endpoint e = endpoint(text);

	for (size_t i = 0; i < p.n_peers; i++)
		if (ph_endpoint_equal(&p.peers[i], &e))
			return true;
	return false;
}

static void test_nothing_new(void **state)
{
	struct world *w = world_new(PH_TCP, 3, 2);
	struct ph_server_list stun;
	uint64_t before;

	(void)state;
	world_up(w, "203.0.113.7:1000");
	before = generation(w);
	stun = w->stun; /* the same words in another list */
	w->config.stun = &stun;
	w->lookups = 0;
	reconfigure(w, &w->config);
	assert_int_equal(generation(w), before);
	assert_int_equal(w->lookups, 0);
	assert_int_equal(w->actions.n, 0);
	world_free(w);
}

static void test_target(void **state)
{
	struct world *w = world_new(PH_TCP, 3, 2);
	uint64_t before;

	(void)state;
	world_up(w, "203.0.113.7:1000");
	before = generation(w);
	w->config.target.port = 8080;
	reconfigure(w, &w->config);
	assert_true(generation(w) > before);
	assert_int_equal(want(w).target.port, 8080);
	assert_true(want(w).open);
	assert_true(w->flows[0].connected && w->flows[1].connected);
	assert_int_equal(w->announced[PH_ANNOUNCE_CHANGE], 0);
	world_free(w);
}

static void test_interval_and_verify(void **state)
{
	struct world *w = world_new(PH_TCP, 3, 2);

	(void)state;
	world_up(w, "203.0.113.7:1000");
	w->config.interval_ms = 2000;
	w->config.verify_ms = 5000;
	reconfigure(w, &w->config);
	w->flows[0].sent = 0;
	pass(w, 2000);
	assert_int_equal(w->flows[0].sent, 1);
	assert_int_equal(probes(w), 0);
	pass(w, 3000);
	assert_int_equal(probes(w), 1);
	world_free(w);
}

static void test_servers_go(void **state)
{
	struct world *w = world_new(PH_TCP, 4, 3);
	struct ph_server_list keepalive = { 0 };
	uint64_t before;

	(void)state;
	for (size_t i = 0; i < 3; i++)
		w->keepalive.items[i].port = (uint16_t)(80 + i);
	world_start(w);
	serve(w, 100, at_1000);
	before = generation(w);
	assert_endpoint(&w->flows[0].server, "192.0.2.20:80");
	/* Only the third stays, as the first; its name is not asked again. */
	keepalive.items[keepalive.n++] = w->keepalive.items[2];
	w->config.keepalive = &keepalive;
	w->lookups = 0;
	reconfigure(w, &w->config);
	assert_int_equal(w->lookups, 0);
	assert_true(generation(w) > before);
	/* The open holders go on, and stay peers for as long. */
	assert_true(w->flows[0].connected && w->flows[1].connected);
	assert_true(is_peer(w, "192.0.2.20:80") && is_peer(w, "192.0.2.21:81"));
	assert_true(is_peer(w, "192.0.2.22:82"));
	closed(w, 0, 0);
	assert_endpoint(&w->flows[0].server, "192.0.2.22:82");
	assert_false(is_peer(w, "192.0.2.20:80"));
	assert_true(is_peer(w, "192.0.2.21:81"));
	closed(w, 1, 0);
	assert_false(w->flows[1].exists); /* there is no second server any more */
	assert_false(is_peer(w, "192.0.2.21:81"));
	world_free(w);
}

static void test_servers_come(void **state)
{
	struct world *w = world_new(PH_TCP, 1, 1);
	struct ph_server_list stun = { 0 }, keepalive = { 0 };

	(void)state;
	world_start(w);
	serve(w, 100, at_1000);
	assert_int_equal(view(w).independence, PH_INDEPENDENCE_UNKNOWN);
	assert_int_equal(w->notes[PH_NOTE_ONE_HOLDER], 1);
	add_server(&stun, "new.example", 3478);
	stun.items[stun.n++] = w->stun.items[0];
	keepalive = w->keepalive;
	add_server(&keepalive, "new.example", 80);
	w->config.stun = &stun;
	w->config.keepalive = &keepalive;
	w->lookups = 0;
	reconfigure(w, &w->config);
	assert_int_equal(w->lookups, 2);
	resolved(w, PH_SERVER_STUN, 0, "192.0.2.30");
	resolved(w, PH_SERVER_KEEPALIVE, 1, "192.0.2.31");
	/* Not before they are peers in the table. */
	assert_false(w->flows[1].exists);
	assert_false(w->flows[PROBE].exists && server_of(w, PROBE) == 30);
	install(w);
	assert_endpoint(&w->flows[1].server, "192.0.2.31:80");
	serve(w, 20000, at_1000);
	assert_int_equal(view(w).independence, PH_INDEPENDENT);
	assert_int_equal(view(w).n_holders, 2);
	world_free(w);
}

/* The caller has forgotten the look-ups under way: their numbers meant the old list. */
static void test_lookups_are_void(void **state)
{
	struct world *w = world_new(PH_TCP, 2, 1);
	struct ph_server_list stun = { 0 };

	(void)state;
	strcpy(w->stun.items[1].host, "other.example");
	assert_int_equal(ph_mapping_new(&w->config, &w->m), 0);
	feed(w, (struct ph_event){ .type = PH_EVENT_START, .random = { 1 } });
	address(w, "100.64.0.2");
	assert_int_equal(w->lookups, 3);
	stun.items[stun.n++] = w->stun.items[1];
	w->config.stun = &stun;
	w->lookups = 0;
	reconfigure(w, &w->config);
	assert_int_equal(w->lookups, 2);
	resolved(w, PH_SERVER_STUN, 0, "192.0.2.11");
	assert_true(is_peer(w, "192.0.2.11:3478"));
	assert_int_equal(want(w).n_peers, 1);
	/* A straggler of the old list is nothing. */
	resolved(w, PH_SERVER_STUN, 1, "192.0.2.10");
	assert_int_equal(want(w).n_peers, 1);
	world_free(w);
}

static const char *symmetric(struct world *w, unsigned flow)
{
	static char text[2][32];
	static unsigned n;
	char *t = text[n++ % 2];

	(void)w;
	snprintf(t, 32, "203.0.113.7:%u", 2000 + n % 30000);
	return flow < PROBE ? "" : t;
}

static void test_other_servers_are_asked_at_once(void **state)
{
	struct world *w = world_new(PH_TCP, 2, 2);
	struct ph_server_list stun = { 0 };

	(void)state;
	world_start(w);
	serve(w, 200000, symmetric);
	assert_int_equal(view(w).independence, PH_DEPENDENT);
	add_server(&stun, "a.example", 3478);
	add_server(&stun, "b.example", 3478);
	w->config.stun = &stun;
	reconfigure(w, &w->config);
	resolved(w, PH_SERVER_STUN, 0, "192.0.2.30");
	resolved(w, PH_SERVER_STUN, 1, "192.0.2.31");
	serve(w, 4000, at_1000);
	assert_int_equal(ph_mapping_state(w->m), PH_MAPPING_UP);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_new),
		cmocka_unit_test(test_target),
		cmocka_unit_test(test_interval_and_verify),
		cmocka_unit_test(test_servers_go),
		cmocka_unit_test(test_servers_come),
		cmocka_unit_test(test_lookups_are_void),
		cmocka_unit_test(test_other_servers_are_asked_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
