/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* A scripted world around one mapping: time, flows, servers' answers and the table, all in the
 * test's hand. */

#include <stdlib.h>
#include <string.h>

#include "test.h"

#include <pinhold/mapping.h>
#include <pinhold/stun.h>

struct world_flow {
	bool exists;
	bool connected;
	bool asked; /* and not answered yet */
	struct ph_endpoint server;
	uint64_t opened_ms;
	unsigned opened, sent;
	uint8_t last[512];
	size_t last_len;
};

struct world {
	struct ph_mapping *m;
	struct ph_mapping_config config;
	struct ph_server_list stun, keepalive;
	uint64_t now;
	uint64_t installed;
	struct ph_actions actions;
	struct world_flow flows[PH_FLOWS];
	unsigned notes[PH_NOTE_LOST + 1];
	unsigned repeated[PH_NOTE_LOST + 1]; /* of those, the ones that are no news */
	unsigned announced[3];
	struct ph_action announcement; /* the last one */
	uint64_t announced_ms;
	unsigned lookups;
};

static inline void world_apply(struct world *w)
{
	for (size_t i = 0; i < w->actions.n; i++) {
		const struct ph_action *a = &w->actions.items[i];
		struct world_flow *f = &w->flows[a->flow];

		switch (a->type) {
		case PH_ACTION_OPEN:
			assert_false(f->exists);
			/* The table comes first: the flow's source and server are installed. */
			assert_true(w->installed > 0);
			f->exists = true;
			f->connected = f->asked = false;
			f->server = a->server;
			f->opened_ms = w->now;
			f->opened++;
			break;
		case PH_ACTION_SEND:
			assert_true(f->exists && f->connected);
			memcpy(f->last, a->bytes, a->len);
			f->last_len = a->len;
			f->sent++;
			f->asked = true;
			break;
		case PH_ACTION_CLOSE:
			assert_true(f->exists);
			f->exists = f->connected = false;
			break;
		case PH_ACTION_NOTE:
			w->notes[a->note]++;
			w->repeated[a->note] += a->repeated;
			break;
		case PH_ACTION_ANNOUNCE:
			w->announced[a->announce]++;
			w->announcement = *a;
			w->announced_ms = w->now;
			break;
		case PH_ACTION_RESOLVE:
			w->lookups++;
			break;
		}
	}
}

static inline void feed(struct world *w, struct ph_event event)
{
	ph_mapping_event(w->m, &event, w->now, &w->actions);
	world_apply(w);
}

static inline struct ph_plan_mapping want(struct world *w)
{
	struct ph_plan_mapping p;

	ph_mapping_want(w->m, &p);
	return p;
}

/* The kernel acknowledges what is wanted now. */
static inline void install(struct world *w)
{
	struct ph_plan_mapping p;
	uint64_t generation = ph_mapping_want(w->m, &p);

	w->installed = generation;
	feed(w, (struct ph_event){ .type = PH_EVENT_INSTALLED, .generation = generation });
}

static inline void pass(struct world *w, uint64_t ms)
{
	uint64_t end = w->now + ms;
	unsigned rounds = 0;

	while (ph_mapping_deadline(w->m) <= end) {
		uint64_t at = ph_mapping_deadline(w->m);

		if (at > w->now)
			w->now = at;
		feed(w, (struct ph_event){ .type = PH_EVENT_TIMER, .random = { 9, 9 } });
		/* Deadlines always progress: a timer that stays due would spin the daemon. */
		assert_true(++rounds < 5000);
	}
	w->now = end;
}

static inline void connected(struct world *w, unsigned flow)
{
	assert_true(w->flows[flow].exists && !w->flows[flow].connected);
	w->flows[flow].connected = true;
	feed(w, (struct ph_event){ .type = PH_EVENT_CONNECTED,
				   .flow = flow,
				   .random = { (uint8_t)(flow + 1), 7 } });
}

static inline void closed(struct world *w, unsigned flow, int error)
{
	assert_true(w->flows[flow].exists);
	w->flows[flow].exists = w->flows[flow].connected = false;
	feed(w, (struct ph_event){ .type = PH_EVENT_CLOSED, .flow = flow, .error = error });
}

/* The bind port could not be had. */
static inline void refused(struct world *w, unsigned flow, int error)
{
	assert_true(w->flows[flow].exists);
	w->flows[flow].exists = w->flows[flow].connected = false;
	feed(w, (struct ph_event){
			.type = PH_EVENT_CLOSED, .flow = flow, .error = error, .at_bind = true });
}

static inline void bytes(struct world *w, unsigned flow, const void *buf, size_t len)
{
	assert_true(w->flows[flow].connected);
	w->flows[flow].asked = false;
	feed(w, (struct ph_event){ .type = PH_EVENT_BYTES,
				   .flow = flow,
				   .bytes = buf,
				   .len = len,
				   .from = w->flows[flow].server });
}

static inline void http_answer(struct world *w, unsigned flow)
{
	static const char text[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";

	bytes(w, flow, text, sizeof(text) - 1);
}

/* The server of `flow` says that the request came from public (RFC 8489 section 14.2). */
static inline void stun_answer(struct world *w, unsigned flow, const char *public)
{
	struct ph_endpoint e = endpoint(public);
	uint8_t m[32] = { 0x01, 0x01, 0, 12, 0x21, 0x12, 0xa4, 0x42 };

	assert_int_equal(w->flows[flow].last_len, PH_STUN_REQUEST_SIZE);
	memcpy(m + 8, w->flows[flow].last + 8, 12);
	memcpy(m + 20, (const uint8_t[]){ 0, 0x20, 0, 8, 0, 1 }, 6);
	m[26] = (uint8_t)(e.port >> 8) ^ 0x21;
	m[27] = (uint8_t)e.port ^ 0x12;
	for (unsigned i = 0; i < 4; i++)
		m[28 + i] = e.address.octets[i] ^ m[4 + i];
	bytes(w, flow, m, sizeof(m));
}

static inline void address_at(struct world *w, const char *text, int index)
{
	struct ph_event event = { .type = PH_EVENT_ADDRESS,
				  .interface = text ? "wan" : "",
				  .index = index };

	if (text)
		assert_int_equal(ph_address_parse(text, &event.address), 0);
	feed(w, event);
}

static inline void address(struct world *w, const char *text)
{
	address_at(w, text, text ? 2 : 0);
}

static inline void resolved(struct world *w, enum ph_server_kind kind, size_t server,
			    const char *text)
{
	struct ph_address a;

	assert_int_equal(ph_address_parse(text, &a), 0);
	feed(w, (struct ph_event){ .type = PH_EVENT_RESOLVED,
				   .kind = kind,
				   .server = server,
				   .addresses = &a,
				   .n_addresses = 1 });
}

static inline void add_server(struct ph_server_list *list, const char *host, uint16_t port)
{
	strcpy(list->items[list->n].host, host);
	list->items[list->n++].port = port;
}

static inline struct world *world_new(enum ph_proto proto, size_t n_stun, size_t n_keepalive)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->now = 1000;
	for (size_t i = 0; i < n_stun; i++)
		add_server(&w->stun, "stun.example", 3478);
	for (size_t i = 0; i < n_keepalive; i++)
		add_server(&w->keepalive, "www.example", 80);
	w->config = (struct ph_mapping_config){
		.name = "web",
		.proto = proto,
		.family = PH_IPV4,
		.bind_first = 8443,
		.bind_last = 8443,
		.target = { .kind = PH_TARGET_LOCAL, .port = 443 },
		.interval_ms = proto == PH_TCP ? 30000 : 10000,
		.verify_ms = 60000,
		.stun = &w->stun,
		.keepalive = &w->keepalive,
	};
	return w;
}

static inline void world_free(struct world *w)
{
	ph_mapping_free(w->m);
	free(w);
}

/* From the start to the moment before the flows connect. STUN servers are 192.0.2.1x and, from
 * the eleventh on, 192.0.2.3x, HTTP ones 192.0.2.2x. */
static inline void world_start(struct world *w)
{
	char text[PH_ADDRESS_STRLEN] = "192.0.2.10";

	assert_int_equal(ph_mapping_new(&w->config, &w->m), 0);
	feed(w, (struct ph_event){ .type = PH_EVENT_START, .random = { 1, 2, 3, 4 } });
	address(w, "100.64.0.2");
	for (size_t i = 0; i < w->stun.n; i++) {
		text[9] = (char)('0' + i % 10);
		text[8] = i < 10 ? '1' : '3';
		resolved(w, PH_SERVER_STUN, i, text);
	}
	for (size_t i = 0; i < w->keepalive.n && w->config.proto == PH_TCP; i++) {
		text[9] = (char)('0' + i);
		text[8] = '2';
		resolved(w, PH_SERVER_KEEPALIVE, i, text);
	}
	install(w);
}

#define PROBE PH_FLOW_HOLDERS

static inline void probe_answer_at(struct world *w, unsigned flow, const char *public)
{
	assert_true(w->flows[flow].exists);
	if (!w->flows[flow].connected)
		connected(w, flow);
	stun_answer(w, flow, public);
}

/* Every probe that is under way is answered so; how many. */
static inline unsigned probes_answer(struct world *w, const char *public)
{
	unsigned n = 0;

	for (unsigned i = PROBE; i < PH_FLOWS; i++)
		if (w->flows[i].exists) {
			probe_answer_at(w, i, public);
			n++;
		}
	return n;
}

static inline unsigned probes(const struct world *w)
{
	unsigned n = 0;

	for (unsigned i = PROBE; i < PH_FLOWS; i++)
		n += w->flows[i].exists;
	return n;
}

static inline void world_up(struct world *w, const char *public)
{
	world_start(w);
	connected(w, 0);
	if (w->config.proto == PH_TCP) {
		http_answer(w, 0);
		if (w->flows[1].exists) {
			connected(w, 1);
			http_answer(w, 1);
		}
	} else {
		stun_answer(w, 0, public);
	}
	probes_answer(w, public);
	install(w);
	assert_int_equal(ph_mapping_state(w->m), PH_MAPPING_UP);
}

/* Waits for a probe, at most ms. Returns its flow. */
static inline unsigned probe_wait(struct world *w, uint64_t ms)
{
	for (uint64_t end = w->now + ms;; pass(w, 50)) {
		for (unsigned i = PROBE; i < PH_FLOWS; i++)
			if (w->flows[i].exists)
				return i;
		assert_true(w->now <= end);
	}
}

/* The probe that is due now or within ms, answered. */
static inline void probe_answer(struct world *w, uint64_t ms, const char *public)
{
	probe_answer_at(w, probe_wait(w, ms), public);
}

/* What the server of `flow` does: the public endpoint that it tells, "" (an HTTP answer), or NULL:
 * nothing. */
typedef const char *(*says_fn)(struct world *w, unsigned flow);

/* The world goes on for ms: 10 ms to the servers and back, and a table that is installed at once.
 */
static inline void serve(struct world *w, uint64_t ms, says_fn says)
{
	struct ph_plan_mapping p;

	for (uint64_t end = w->now + ms; w->now < end; pass(w, 10)) {
		if (ph_mapping_want(w->m, &p) > w->installed)
			install(w);
		for (unsigned i = 0; i < PH_FLOWS; i++) {
			struct world_flow *f = &w->flows[i];
			const char *what = f->exists ? says(w, i) : NULL;

			if (!what)
				continue;
			if (!f->connected)
				connected(w, i);
			else if (f->asked && (w->config.proto == PH_UDP || i >= PROBE))
				stun_answer(w, i, what);
			else if (f->asked)
				http_answer(w, i);
		}
	}
}

static inline struct ph_mapping_view view(struct world *w)
{
	struct ph_mapping_view v;

	ph_mapping_view(w->m, w->now, &v);
	return v;
}

/* The last octet of the address of the flow's server. */
static inline unsigned server_of(const struct world *w, unsigned flow)
{
	return w->flows[flow].server.address.octets[3];
}
