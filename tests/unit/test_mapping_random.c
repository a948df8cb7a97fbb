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

#include <errno.h>
#include <stdio.h>

#include "world.h"

#include <pinhold/pool.h>

#define NETS      8 /* wants that are remembered */
#define SERVERS   8
#define TRACE_MAX 40

enum mood { HONEST, LIAR, MUTE, REFUSES, CLOSES, MOODS };

struct peer {
	struct ph_endpoint endpoint;
	enum mood mood;
	enum ph_server_kind kind;
	size_t index;
	/* What the NAT remembers of flows to it (UDP): the public port, and until when. */
	uint16_t nat_port;
	uint64_t nat_until;
};

struct want_copy {
	uint64_t generation;
	struct ph_plan_mapping plan;
	struct ph_endpoint peers[2 * PH_CANDIDATES_MAX + PH_FLOWS];
};

struct model_flow {
	bool exists, connected, dead; /* dead: the NAT has forgotten it */
	struct peer *peer;
	uint16_t port;      /* public */
	bool own_port;      /* the NAT was symmetric when it was opened */
	uint64_t answer_ms; /* UINT64_MAX: nothing is under way */
	uint64_t close_ms;
	bool refused;
	int error;
	uint8_t id[12];
};

struct model {
	uint32_t seed, rng;
	enum ph_proto proto;
	struct ph_mapping *m;
	struct ph_mapping_config config;
	struct ph_server_list lists[4]; /* two of each kind */
	struct peer peers[2 * SERVERS * 2];
	size_t n_peers;
	struct model_flow flows[PH_FLOWS];
	struct want_copy wants[NETS], installed;
	size_t n_wants;
	uint64_t now, install_ms, last_generation;
	struct {
		bool busy;
		uint64_t at;
	} lookups[2][PH_SERVERS_MAX];
	struct ph_actions actions;
	bool address, symmetric, dns_broken, table_broken, bind_broken, faults, stopped;
	uint16_t public_port;
	bool is_up;
	struct ph_endpoint told;
	unsigned ups;
	char trace[TRACE_MAX][96];
	unsigned n_trace;
};

static uint32_t roll(struct model *w, uint32_t n)
{
	w->rng ^= w->rng << 13;
	w->rng ^= w->rng >> 17;
	w->rng ^= w->rng << 5;
	return w->rng % n;
}

__attribute__((format(printf, 2, 3))) static void trace(struct model *w, const char *format, ...)
{
	va_list ap;
	char *line = w->trace[w->n_trace++ % TRACE_MAX];
	int n = snprintf(line, sizeof(w->trace[0]), "%8llu ", (unsigned long long)w->now);

	va_start(ap, format);
	vsnprintf(line + n, sizeof(w->trace[0]) - (size_t)n, format, ap);
	va_end(ap);
}

static void broken(struct model *w, const char *promise, int line)
{
	unsigned from = w->n_trace > TRACE_MAX ? w->n_trace - TRACE_MAX : 0;

	fprintf(stderr, "seed %u line %d: broken promise: %s (%s)\n", w->seed, line, promise,
		ph_proto_name(w->proto));
	for (unsigned i = from; i < w->n_trace; i++)
		fprintf(stderr, "  %s\n", w->trace[i % TRACE_MAX]);
	fail();
}

#define PROMISE(w, is, what) ((is) ? (void)0 : broken(w, what, __LINE__))

/* ---- the table ---- */

static bool names(const struct want_copy *c, const struct ph_endpoint *local,
		  const struct ph_endpoint *peer)
{
	if (!ph_endpoint_equal(&c->plan.private_endpoint, local))
		return false;
	for (size_t i = 0; i < c->plan.n_peers; i++)
		if (ph_endpoint_equal(&c->peers[i], peer))
			return true;
	return false;
}

/* After each event: a new want is remembered, and protects every flow that is open. */
static void look_at_want(struct model *w)
{
	struct ph_plan_mapping plan;
	uint64_t generation = ph_mapping_want(w->m, &plan);
	struct want_copy *c;

	PROMISE(w, generation >= w->last_generation, "a want's generation grows");
	if (generation == w->last_generation && w->n_wants) {
		const struct want_copy *last = &w->wants[(w->n_wants - 1) % NETS];

		PROMISE(w,
			plan.n_peers == last->plan.n_peers && plan.open == last->plan.open &&
				plan.target.port == last->plan.target.port &&
				ph_endpoint_equal(&plan.public_endpoint,
						  &last->plan.public_endpoint) &&
				ph_endpoint_equal(&plan.private_endpoint,
						  &last->plan.private_endpoint) &&
				memcmp(plan.peers ? (const void *)plan.peers : "", last->peers,
				       plan.n_peers * sizeof(last->peers[0])) == 0,
			"another want has another generation");
		return;
	}
	PROMISE(w,
		w->n_wants == 0 || !plan.open ||
			ph_endpoint_equal(&plan.private_endpoint,
					  &w->wants[(w->n_wants - 1) % NETS].plan.private_endpoint),
		"an endpoint is not carried over to another address");
	w->last_generation = generation;
	c = &w->wants[w->n_wants++ % NETS];
	c->generation = generation;
	c->plan = plan;
	PROMISE(w, plan.n_peers <= sizeof(c->peers) / sizeof(c->peers[0]), "peers are bounded");
	for (size_t i = 0; i < plan.n_peers; i++)
		c->peers[i] = plan.peers[i];
	if (w->install_ms == UINT64_MAX)
		w->install_ms = w->now + (w->faults ? roll(w, 300) : 0);
}

static bool listed(const struct model *w, const struct ph_endpoint *peer)
{
	const struct ph_server_list *lists[] = { w->config.stun, w->config.keepalive };
	char text[PH_ADDRESS_STRLEN];

	ph_address_format(&peer->address, text);
	for (size_t l = 0; l < 2; l++)
		for (size_t i = 0; i < lists[l]->n; i++)
			if (strcmp(lists[l]->items[i].host, text) == 0)
				return true;
	return false;
}

/* Peers are the servers of the lists and of the open flows, no more and no less. */
static void check_peers(struct model *w)
{
	const struct want_copy *c = &w->wants[(w->n_wants - 1) % NETS];

	for (unsigned i = 0; i < PH_FLOWS; i++)
		if (w->flows[i].exists)
			PROMISE(w, names(c, &c->plan.private_endpoint, &w->flows[i].peer->endpoint),
				"an open flow's server stays a peer");
	for (size_t i = 0; i < c->plan.n_peers; i++) {
		bool known = listed(w, &c->peers[i]);

		for (unsigned f = 0; f < PH_FLOWS; f++)
			known = known ||
				(w->flows[f].exists &&
				 ph_endpoint_equal(&w->flows[f].peer->endpoint, &c->peers[i]));
		PROMISE(w, known, "a server that is used no more is no peer");
	}
}

static void check_told(struct model *w)
{
	struct ph_mapping_view view;

	ph_mapping_view(w->m, w->now, &view);
	PROMISE(w, view.state != PH_MAPPING_UP || w->is_up, "who is up has said so");
	PROMISE(w,
		!w->is_up || (view.state != PH_MAPPING_WAITING && view.state != PH_MAPPING_LOST &&
			      view.independence != PH_DEPENDENT),
		"who cannot be reached has said `down`");
	PROMISE(w, view.why || view.state == PH_MAPPING_UP, "there is a reason for not being up");
}

/* ---- actions ---- */

static struct peer *peer_at(struct model *w, const struct ph_endpoint *e)
{
	for (size_t i = 0; i < w->n_peers; i++)
		if (ph_endpoint_equal(&w->peers[i].endpoint, e))
			return &w->peers[i];
	broken(w, "a flow goes to a server that DNS told of", __LINE__);
	return NULL;
}

static uint16_t port_for(struct model *w, struct peer *p)
{
	uint16_t port = w->public_port;

	if (w->symmetric)
		port = (uint16_t)(20000 + roll(w, 40000));
	/* UDP has no end of a flow: what the NAT remembers of it, it remembers. */
	if (w->proto == PH_UDP && p->nat_until > w->now)
		port = p->nat_port;
	p->nat_port = port;
	p->nat_until = w->now + 120000;
	return port;
}

static void do_open(struct model *w, const struct ph_action *a)
{
	struct model_flow *f = &w->flows[a->flow];

	trace(w, "open %u to .%u", a->flow, a->server.address.octets[3]);
	PROMISE(w, !f->exists, "a flow is opened once");
	PROMISE(w, !w->stopped, "nothing after STOP");
	PROMISE(w, w->installed.generation && names(&w->installed, &a->local, &a->server),
		"no flow before the table protects it");
	*f = (struct model_flow){ .exists = true, .answer_ms = UINT64_MAX, .close_ms = UINT64_MAX };
	f->peer = peer_at(w, &a->server);
	if (w->bind_broken && roll(w, 2)) {
		f->refused = true;
		f->close_ms = w->now;
		f->error = EADDRINUSE;
		return;
	}
	f->port = port_for(w, f->peer);
	f->own_port = w->symmetric;
	if (f->peer->mood == REFUSES) {
		f->close_ms = w->now + 5;
		f->error = ECONNREFUSED;
	} else if (f->peer->mood != MUTE || w->proto == PH_UDP) {
		f->answer_ms = w->now + 1 + roll(w, 20);
	}
}

static void do_send(struct model *w, const struct ph_action *a)
{
	struct model_flow *f = &w->flows[a->flow];

	PROMISE(w, f->exists && f->connected, "bytes are sent on an open flow");
	if (a->len == PH_STUN_REQUEST_SIZE)
		memcpy(f->id, a->bytes + 8, sizeof(f->id));
	if (w->proto == PH_UDP)
		f->port = port_for(w, f->peer);
	if (f->dead || f->peer->mood == MUTE)
		return;
	f->answer_ms = w->now + 1 + roll(w, 20);
}

static void do_announce(struct model *w, const struct ph_action *a)
{
	bool down = a->announce == PH_ANNOUNCE_DOWN;

	trace(w, "announce %d port %u", (int)a->announce, a->public_endpoint.port);
	PROMISE(w, a->announce != PH_ANNOUNCE_UP || !w->is_up, "no `up` twice");
	PROMISE(w, a->announce == PH_ANNOUNCE_UP || w->is_up, "`change` and `down` after `up`");
	if (a->announce == PH_ANNOUNCE_UP)
		w->ups++;
	w->is_up = !down;
	if (down)
		return;
	PROMISE(w,
		w->installed.plan.open &&
			ph_endpoint_equal(&w->installed.plan.public_endpoint,
					  &a->public_endpoint) &&
			ph_endpoint_equal(&w->installed.plan.private_endpoint, &a->local),
		"what is announced is installed");
	w->told = a->public_endpoint;
}

static void apply(struct model *w)
{
	PROMISE(w, w->actions.n <= PH_ACTIONS_MAX, "actions are bounded");
	for (size_t i = 0; i < w->actions.n; i++) {
		const struct ph_action *a = &w->actions.items[i];

		switch (a->type) {
		case PH_ACTION_RESOLVE:
			PROMISE(w, !w->stopped && !w->lookups[a->kind][a->server_index].busy,
				"a look-up is begun once");
			w->lookups[a->kind][a->server_index].busy = true;
			w->lookups[a->kind][a->server_index].at = w->now + 1 + roll(w, 30);
			break;
		case PH_ACTION_OPEN:
			do_open(w, a);
			break;
		case PH_ACTION_SEND:
			do_send(w, a);
			break;
		case PH_ACTION_CLOSE:
			PROMISE(w, w->flows[a->flow].exists, "what is closed was open");
			trace(w, "close %u", a->flow);
			w->flows[a->flow].exists = w->flows[a->flow].connected = false;
			break;
		case PH_ACTION_ANNOUNCE:
			do_announce(w, a);
			break;
		case PH_ACTION_NOTE:
			trace(w, "note %d .%u %s", (int)a->note, a->server.address.octets[3],
			      a->reason ? a->reason : "");
			break;
		}
	}
	look_at_want(w);
	if (w->stopped)
		return;
	check_peers(w);
	check_told(w);
}

static void give(struct model *w, struct ph_event event)
{
	for (size_t i = 0; i < sizeof(event.random); i++)
		event.random[i] = (uint8_t)roll(w, 256);
	ph_mapping_event(w->m, &event, w->now, &w->actions);
	apply(w);
}

/* ---- the world's part ---- */

static void end_flow(struct model *w, unsigned i, int error)
{
	struct model_flow *f = &w->flows[i];
	bool refused = f->refused;

	f->exists = f->connected = false;
	trace(w, "end %u error %d%s", i, error, refused ? " at bind" : "");
	give(w, (struct ph_event){
			.type = PH_EVENT_CLOSED, .flow = i, .error = error, .at_bind = refused });
}

static void answer_stun(struct model *w, unsigned i)
{
	struct model_flow *f = &w->flows[i];
	uint16_t port = f->peer->mood == LIAR ? (uint16_t)(1024 + roll(w, 9000)) : f->port;
	uint8_t buf[32] = { 0x01, 0x01, 0, 12, 0x21, 0x12, 0xa4, 0x42 };
	const uint8_t host[] = { 203, 0, 113, 7 };

	memcpy(buf + 8, f->id, 12);
	memcpy(buf + 20, (const uint8_t[]){ 0, 0x20, 0, 8, 0, 1 }, 6);
	buf[26] = (uint8_t)(port >> 8) ^ 0x21;
	buf[27] = (uint8_t)port ^ 0x12;
	for (unsigned k = 0; k < 4; k++)
		buf[28 + k] = host[k] ^ buf[4 + k];
	trace(w, "flow %u: .%u says %u", i, f->peer->endpoint.address.octets[3], port);
	give(w, (struct ph_event){ .type = PH_EVENT_BYTES,
				   .flow = i,
				   .bytes = buf,
				   .len = sizeof(buf),
				   .from = f->peer->endpoint });
}

static void answer_http(struct model *w, unsigned i)
{
	static const char kept[] = "HTTP/1.1 200 OK\r\n\r\n";
	static const char last[] = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
	bool closes = w->flows[i].peer->mood == CLOSES;

	if (w->flows[i].peer->mood == LIAR) {
		end_flow(w, i, ECONNRESET);
		return;
	}
	give(w, (struct ph_event){ .type = PH_EVENT_BYTES,
				   .flow = i,
				   .bytes = (const uint8_t *)(closes ? last : kept),
				   .len = closes ? sizeof(last) - 1 : sizeof(kept) - 1,
				   .from = w->flows[i].peer->endpoint });
}

static void flow_moves(struct model *w, unsigned i)
{
	struct model_flow *f = &w->flows[i];

	if (f->exists && f->close_ms <= w->now) {
		end_flow(w, i, f->error);
		return;
	}
	if (!f->exists || f->answer_ms > w->now)
		return;
	f->answer_ms = UINT64_MAX;
	if (!f->connected) {
		f->connected = true;
		give(w, (struct ph_event){ .type = PH_EVENT_CONNECTED, .flow = i });
		return;
	}
	if (w->proto == PH_UDP || i >= PH_FLOW_HOLDERS)
		answer_stun(w, i);
	else
		answer_http(w, i);
}

static const struct ph_server_list *list_of(const struct model *w, enum ph_server_kind kind)
{
	return kind == PH_SERVER_STUN ? w->config.stun : w->config.keepalive;
}

static void lookup_ends(struct model *w, enum ph_server_kind kind, size_t i)
{
	struct ph_event event = { .type = PH_EVENT_RESOLVED, .kind = kind, .server = i };
	struct ph_address address;

	w->lookups[kind][i].busy = false;
	event.error = -3008;
	/* The host's name is its number. */
	if (!w->dns_broken) {
		assert_int_equal(ph_address_parse(list_of(w, kind)->items[i].host, &address), 0);
		event.addresses = &address;
		event.n_addresses = 1;
	}
	trace(w, "look-up %d %zu: %s", (int)kind, i, w->dns_broken ? "fails" : "answers");
	give(w, event);
}

static void table_follows(struct model *w)
{
	w->install_ms = UINT64_MAX;
	if (w->table_broken) {
		w->install_ms = w->now + 2000;
		return;
	}
	w->installed = w->wants[(w->n_wants - 1) % NETS];
	trace(w, "installed %llu", (unsigned long long)w->installed.generation);
	give(w, (struct ph_event){ .type = PH_EVENT_INSTALLED,
				   .generation = w->installed.generation });
}

static void earliest(uint64_t *at, uint64_t candidate)
{
	if (candidate < *at)
		*at = candidate;
}

static uint64_t next_moment(struct model *w)
{
	uint64_t at = ph_mapping_deadline(w->m);

	earliest(&at, w->install_ms);
	for (unsigned i = 0; i < PH_FLOWS; i++)
		if (w->flows[i].exists) {
			earliest(&at, w->flows[i].answer_ms);
			earliest(&at, w->flows[i].close_ms);
		}
	for (unsigned kind = 0; kind < 2; kind++)
		for (size_t i = 0; i < PH_SERVERS_MAX; i++)
			if (w->lookups[kind][i].busy)
				earliest(&at, w->lookups[kind][i].at);
	return at;
}

static void moment(struct model *w)
{
	if (w->install_ms <= w->now)
		table_follows(w);
	for (unsigned kind = 0; kind < 2; kind++)
		for (size_t i = 0; i < PH_SERVERS_MAX; i++)
			if (w->lookups[kind][i].busy && w->lookups[kind][i].at <= w->now)
				lookup_ends(w, kind, i);
	for (unsigned i = 0; i < PH_FLOWS; i++)
		flow_moves(w, i);
	if (ph_mapping_deadline(w->m) <= w->now)
		give(w, (struct ph_event){ .type = PH_EVENT_TIMER });
}

static void run(struct model *w, uint64_t ms)
{
	uint64_t end = w->now + ms;
	unsigned at_once = 0;

	for (;;) {
		uint64_t at = next_moment(w);

		if (at > end)
			break;
		at_once = at > w->now ? 0 : at_once + 1;
		PROMISE(w, at_once < 200, "deadlines progress");
		if (at > w->now)
			w->now = at;
		moment(w);
	}
	w->now = end;
}

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
	unsigned ups = w->ups, changes;
	struct ph_mapping_view view;

	ph_mapping_view(w->m, w->now, &view);
	changes = view.changes;
	if (w->config.stun->n < 5 || view.public_endpoint.port != w->public_port)
		return;
	peer_at(w, &w->installed.peers[0])->mood = LIAR;
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
				add_server(&w->lists[2 * kind + l], host, p->endpoint.port);
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
