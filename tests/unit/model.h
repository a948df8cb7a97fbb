/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * A model world for test_mapping_random.c: servers in moods, a NAT, a table, DNS; and the promises
 * that are checked after each event.
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

struct model_lookup {
	bool busy;
	uint64_t at;
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
	struct model_lookup lookups[2][PH_SERVERS_MAX];
	struct ph_actions actions;
	bool address, symmetric, dns_broken, table_broken, bind_broken, faults, stopped;
	uint16_t public_port;
	bool is_up;
	struct ph_endpoint told;
	unsigned ups;
	char trace[TRACE_MAX][96];
	unsigned n_trace;
};

static inline uint32_t roll(struct model *w, uint32_t n)
{
	w->rng ^= w->rng << 13;
	w->rng ^= w->rng >> 17;
	w->rng ^= w->rng << 5;
	return w->rng % n;
}

__attribute__((format(printf, 2, 3))) static inline void trace(struct model *w, const char *format,
							       ...)
{
	va_list ap;
	char *line = w->trace[w->n_trace++ % TRACE_MAX];
	int n = snprintf(line, sizeof(w->trace[0]), "%8llu ", (unsigned long long)w->now);

	va_start(ap, format);
	vsnprintf(line + n, sizeof(w->trace[0]) - (size_t)n, format, ap);
	va_end(ap);
}

__attribute__((noreturn)) static inline void broken(struct model *w, const char *promise, int line)
{
	unsigned from = w->n_trace > TRACE_MAX ? w->n_trace - TRACE_MAX : 0;

	fprintf(stderr, "seed %u line %d: broken promise: %s (%s)\n", w->seed, line, promise,
		ph_proto_name(w->proto));
	for (unsigned i = from; i < w->n_trace; i++)
		fprintf(stderr, "  %s\n", w->trace[i % TRACE_MAX]);
	fail();
	abort(); /* it does not come back, which compilers cannot see */
}

#define PROMISE(w, is, what) ((is) ? (void)0 : broken(w, what, __LINE__))

/* ---- the table ---- */

static inline bool names(const struct want_copy *c, const struct ph_endpoint *local,
			 const struct ph_endpoint *peer)
{
	if (!ph_endpoint_equal(&c->plan.private_endpoint, local))
		return false;
	for (size_t i = 0; i < c->plan.n_peers; i++)
		if (ph_endpoint_equal(&c->peers[i], peer))
			return true;
	return false;
}

static inline bool same_peers(const struct ph_endpoint *a, const struct ph_endpoint *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!ph_endpoint_equal(&a[i], &b[i]))
			return false;
	return true;
}

/* Whether the peers are the last ones, unless they have another number. */
static inline bool keeps_number(const struct ph_plan_mapping *plan, const struct want_copy *last)
{
	return plan->peers_generation != last->plan.peers_generation ||
	       (plan->n_peers == last->plan.n_peers &&
		same_peers(plan->peers, last->peers, plan->n_peers));
}

/* After each event: a new want is remembered, and protects every flow that is open. */
static inline void look_at_want(struct model *w)
{
	struct ph_plan_mapping plan;
	uint64_t generation = ph_mapping_want(w->m, &plan);
	struct want_copy *c;

	PROMISE(w, generation >= w->last_generation, "a want's generation grows");
	if (generation == w->last_generation && w->n_wants) {
		const struct want_copy *last = &w->wants[(w->n_wants - 1) % NETS];

		PROMISE(w,
			plan.n_peers == last->plan.n_peers && plan.open == last->plan.open &&
				plan.peers_generation == last->plan.peers_generation &&
				plan.target.port == last->plan.target.port &&
				ph_endpoint_equal(&plan.public_endpoint,
						  &last->plan.public_endpoint) &&
				ph_endpoint_equal(&plan.private_endpoint,
						  &last->plan.private_endpoint) &&
				same_peers(plan.peers, last->peers, plan.n_peers),
			"another want has another generation");
		return;
	}
	PROMISE(w, w->n_wants == 0 || keeps_number(&plan, &w->wants[(w->n_wants - 1) % NETS]),
		"another list of peers has another number");
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

static inline bool listed(const struct model *w, const struct ph_endpoint *peer)
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
static inline void check_peers(struct model *w)
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

static inline void check_told(struct model *w)
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

static inline struct peer *peer_at(struct model *w, const struct ph_endpoint *e)
{
	for (size_t i = 0; i < w->n_peers; i++)
		if (ph_endpoint_equal(&w->peers[i].endpoint, e))
			return &w->peers[i];
	broken(w, "a flow goes to a server that DNS told of", __LINE__);
}

static inline uint16_t port_for(struct model *w, struct peer *p)
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

static inline void do_open(struct model *w, const struct ph_action *a)
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

static inline void do_send(struct model *w, const struct ph_action *a)
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

static inline void do_announce(struct model *w, const struct ph_action *a)
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

static inline void apply(struct model *w)
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

static inline void give(struct model *w, struct ph_event event)
{
	for (size_t i = 0; i < sizeof(event.random); i++)
		event.random[i] = (uint8_t)roll(w, 256);
	ph_mapping_event(w->m, &event, w->now, &w->actions);
	apply(w);
}

/* ---- the world's part ---- */

static inline void end_flow(struct model *w, unsigned i, int error)
{
	struct model_flow *f = &w->flows[i];
	bool refused = f->refused;

	f->exists = f->connected = false;
	trace(w, "end %u error %d%s", i, error, refused ? " at bind" : "");
	give(w, (struct ph_event){
			.type = PH_EVENT_CLOSED, .flow = i, .error = error, .at_bind = refused });
}

static inline void answer_stun(struct model *w, unsigned i)
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

static inline void answer_http(struct model *w, unsigned i)
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

static inline void flow_moves(struct model *w, unsigned i)
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

static inline const struct ph_server_list *list_of(const struct model *w, enum ph_server_kind kind)
{
	return kind == PH_SERVER_STUN ? w->config.stun : w->config.keepalive;
}

static inline void lookup_ends(struct model *w, enum ph_server_kind kind, size_t i)
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

static inline void table_follows(struct model *w)
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

static inline void earliest(uint64_t *at, uint64_t candidate)
{
	if (candidate < *at)
		*at = candidate;
}

static inline uint64_t next_moment(struct model *w)
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

static inline void moment(struct model *w)
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

static inline void run(struct model *w, uint64_t ms)
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
