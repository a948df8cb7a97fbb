/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Random sequences of events against the machine's promises. The world is a model: servers that
 * answer, lie, are mute, refuse or close; a NAT that moves the mapping (old flows are reset, are
 * forgotten or live on) or is symmetric; an address that comes and goes; a bind port that is taken;
 * a table that is installed late; other settings. Then the faults end, and the mapping must be up
 * where the NAT has put it.
 *
 *	test-mapping_random [SEED [SEEDS [STEPS]]], or PINHOLD_SEED in the environment
 *
 * On a failure it prints the seed and the last events.
 */

#include "model.h"

/* ---- events ---- */

static void remap(struct model *w)
{
	unsigned how = roll(w, 3);

	w->public_port = (uint16_t)(20000 + roll(w, 40000));
	trace(w, "remap to %u, how %u", w->public_port, how);
	if (how == 2)
		return; /* old flows live on */
	for (size_t i = 0; i < w->n_peers; i++)
		w->peers[i].nat_until = 0;
	for (unsigned i = 0; i < PH_FLOWS; i++) {
		struct model_flow *f = &w->flows[i];

		if (!f->exists || w->proto == PH_UDP)
			continue;
		if (how == 1)
			f->dead = true;
		/* The NAT's RST, or the kernel's time-out. */
		f->close_ms = w->now + (how == 0 ? roll(w, 3000) : 4000 + roll(w, 4000));
		f->error = how == 0 ? ECONNRESET : ETIMEDOUT;
	}
}

static void set_address(struct model *w, unsigned last, int index)
{
	struct ph_event event = { .type = PH_EVENT_ADDRESS, .interface = last ? "wan" : "" };
	char text[PH_ADDRESS_STRLEN];

	w->address = last != 0;
	snprintf(text, sizeof(text), "100.64.0.%u", last);
	if (last) {
		assert_int_equal(ph_address_parse(text, &event.address), 0);
		event.index = index;
	}
	trace(w, "address %s index %d", last ? text : "none", index);
	give(w, event);
}

static void reconfigure(struct model *w)
{
	w->config.stun = &w->lists[roll(w, 2)];
	if (w->proto == PH_TCP)
		w->config.keepalive = &w->lists[2 + roll(w, 2)];
	w->config.target.port = (uint16_t)(443 + roll(w, 2));
	w->config.verify_ms = roll(w, 2) ? 60000 : 20000;
	memset(w->lookups, 0, sizeof(w->lookups));
	trace(w, "reconfigure");
	ph_mapping_reconfigure(w->m, &w->config, w->now, &w->actions);
	apply(w);
}

/* Nothing gets through for a while. */
static void outage(struct model *w)
{
	for (size_t i = 0; i < w->n_peers; i++)
		w->peers[i].mood = roll(w, 2) ? MUTE : REFUSES;
	for (unsigned i = 0; i < PH_FLOWS; i++)
		if (w->flows[i].exists) {
			w->flows[i].dead = true;
			w->flows[i].close_ms = w->now + 3000 + roll(w, 3000);
			w->flows[i].error = ETIMEDOUT;
		}
	trace(w, "outage");
	run(w, roll(w, 60000));
	for (size_t i = 0; i < w->n_peers; i++)
		w->peers[i].mood = HONEST;
}

static void random_event(struct model *w)
{
	unsigned i = roll(w, (uint32_t)w->n_peers);

	switch (roll(w, 13)) {
	case 0:
	case 1:
		w->peers[i].mood = roll(w, MOODS);
		trace(w, ".%u is %d now", w->peers[i].endpoint.address.octets[3],
		      (int)w->peers[i].mood);
		break;
	case 2:
		for (i = 0; i < w->n_peers; i++)
			w->peers[i].mood = HONEST;
		break;
	case 3:
		remap(w);
		break;
	case 4:
		w->symmetric = roll(w, 4) == 0;
		break;
	case 5:
		set_address(w, roll(w, 3), (int)roll(w, 2) + 1);
		break;
	case 6:
		w->table_broken = roll(w, 4) == 0;
		break;
	case 7:
		w->dns_broken = roll(w, 4) == 0;
		break;
	case 8:
		w->bind_broken = roll(w, 8) == 0;
		break;
	case 9:
		reconfigure(w);
		break;
	case 10:
		i = roll(w, PH_FLOWS);
		if (w->flows[i].exists)
			end_flow(w, i, roll(w, 2) ? ECONNRESET : 0);
		break;
	case 11:
		outage(w);
		break;
	default:
		break;
	}
	run(w, roll(w, 3) ? roll(w, 1500) : roll(w, 90000));
}

/* All faults end. */
static void heal(struct model *w)
{
	w->faults = w->symmetric = w->dns_broken = w->table_broken = w->bind_broken = false;
	for (size_t i = 0; i < w->n_peers; i++)
		w->peers[i].mood = HONEST;
	if (!w->address)
		set_address(w, 1, 1);
	trace(w, "healed");
}

static void check_up(struct model *w)
{
	struct ph_mapping_view view;

	/* The longest waits: five minutes between rounds at a NAT that was symmetric, a NAT that
	 * remembers UDP flows for two, and a fresh server only after five. */
	run(w, 1200000);
	ph_mapping_view(w->m, w->now, &view);
	PROMISE(w, w->is_up && view.state == PH_MAPPING_UP, "after the faults the mapping is up");
	if (view.public_endpoint.port != w->public_port) {
		/* Old flows live on, and there are too few servers to notice: status says so. */
		PROMISE(w, w->proto == PH_UDP && !view.can_verify,
			"the endpoint is where the NAT has put it");
		return;
	}
	PROMISE(w, w->told.port == w->public_port, "the hooks know where");
	PROMISE(w, w->proto == PH_UDP || w->config.keepalive->n < 2 || view.n_holders == 2,
		"there are two holders");
	for (unsigned i = 0; i < PH_FLOW_HOLDERS; i++)
		PROMISE(w,
			!w->flows[i].connected || w->flows[i].own_port ||
				w->flows[i].port == w->public_port,
			"what the holders hold is the mapping");
}

/* One of many lies: nothing comes of it. */
static void check_liar(struct model *w)
{
	struct ph_mapping_view view;
	unsigned ups = w->ups, changes;
	struct peer *liar;

	ph_mapping_view(w->m, w->now, &view);
	changes = view.changes;
	if (w->config.stun->n < 5 || view.public_endpoint.port != w->public_port)
		return;
	liar = peer_at(w, &w->installed.peers[0]);
	liar->mood = LIAR;
	trace(w, ".%u lies", w->installed.peers[0].address.octets[3]);
	run(w, 1800000);
	ph_mapping_view(w->m, w->now, &view);
	PROMISE(w, w->ups == ups && view.changes == changes && w->is_up, "a liar changes nothing");
}

static void check_stop(struct model *w)
{
	w->stopped = true;
	give(w, (struct ph_event){ .type = PH_EVENT_STOP });
	PROMISE(w, !w->is_up, "STOP says `down`");
	for (unsigned i = 0; i < PH_FLOWS; i++)
		PROMISE(w, !w->flows[i].exists, "STOP closes all");
	PROMISE(w, ph_mapping_deadline(w->m) == UINT64_MAX, "nothing is due after STOP");
	give(w, (struct ph_event){ .type = PH_EVENT_TIMER });
	PROMISE(w, w->actions.n == 0, "nothing happens after STOP");
	set_address(w, 2, 1);
	PROMISE(w, w->actions.n == 0, "nothing happens after STOP");
}

/* ---- the test ---- */

/* Two lists of a kind, which share some servers. */
static void make_lists(struct model *w, enum ph_server_kind kind)
{
	size_t total = 1 + roll(w, SERVERS);

	for (size_t i = 0; i < total; i++) {
		struct peer *p = &w->peers[w->n_peers++];
		char host[PH_ADDRESS_STRLEN];

		snprintf(host, sizeof(host), "192.0.2.%zu", 10 + 100 * (size_t)kind + i);
		*p = (struct peer){ .kind = kind, .index = i };
		assert_int_equal(ph_address_parse(host, &p->endpoint.address), 0);
		p->endpoint.port = kind == PH_SERVER_STUN ? 3478 : 80;
		for (size_t l = 0; l < 2; l++)
			if (l == 0 || i % 2 == 0)
				add_server(&w->lists[(size_t)2 * kind + l], host, p->endpoint.port);
	}
}

static void model_start(struct model *w, uint32_t seed)
{
	*w = (struct model){ .seed = seed, .rng = seed * 2654435761u | 1, .now = 1000 };
	for (unsigned i = 0; i < 8; i++)
		roll(w, 2);
	w->proto = roll(w, 2) ? PH_TCP : PH_UDP;
	w->faults = true;
	w->install_ms = UINT64_MAX;
	w->public_port = 30000;
	make_lists(w, PH_SERVER_STUN);
	make_lists(w, PH_SERVER_KEEPALIVE);
	w->config = (struct ph_mapping_config){
		.name = "web",
		.proto = w->proto,
		.family = PH_IPV4,
		.bind_first = 8443,
		.bind_last = (uint16_t)(8443 + (roll(w, 2) ? roll(w, 4) : 0)),
		.bind_random = roll(w, 2),
		.target = { .kind = PH_TARGET_LOCAL, .port = 443 },
		.interval_ms = w->proto == PH_TCP ? 30000 : 10000,
		.verify_ms = 60000,
		.stun = &w->lists[0],
		.keepalive = &w->lists[2],
	};
	assert_int_equal(ph_mapping_new(&w->config, &w->m), 0);
	give(w, (struct ph_event){ .type = PH_EVENT_START });
	set_address(w, 1, 1);
}

static void run_seed(uint32_t seed, unsigned steps)
{
	struct model *w = malloc(sizeof(*w));

	assert_non_null(w);
	model_start(w, seed);
	for (unsigned i = 0; i < steps; i++)
		random_event(w);
	heal(w);
	check_up(w);
	check_liar(w);
	check_stop(w);
	ph_mapping_free(w->m);
	free(w);
}

static unsigned first_seed = 1, seeds = 300, steps_each = 150;

static void test_random(void **state)
{
	(void)state;
	for (unsigned i = 0; i < seeds; i++)
		run_seed(first_seed + i, steps_each);
}

static unsigned number(const char *text, unsigned otherwise)
{
	return text ? (unsigned)strtoul(text, NULL, 10) : otherwise;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_random) };

	first_seed = number(getenv("PINHOLD_SEED"), first_seed);
	first_seed = number(argc > 1 ? argv[1] : NULL, first_seed);
	seeds = number(argc > 2 ? argv[2] : NULL, seeds);
	steps_each = number(argc > 3 ? argv[3] : NULL, steps_each);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
