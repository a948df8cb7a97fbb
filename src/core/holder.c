/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Holders. Over TCP: persistent HTTP connections to different servers, a HEAD each interval. Over
 *UDP: one STUN flow whose transactions both hold and check the mapping.
 *
 *	CLOSED      --due, server picked-->  CONNECTING
 *	CONNECTING  --connected-->           OPEN, request sent, awaiting
 *	OPEN        --answer-->              OPEN, next request after the interval
 *	OPEN        --closed, RST, no HTTP, kernel's time-out--> CLOSED, due at once (another server
 *first) OPEN        --no answer in time-->   CLOSED if another server is there; else a further
 *request
 */

#include <errno.h>
#include <string.h>

#include "mapping_internal.h"

#define CONNECT_MS    5000u
#define ANSWER_MS     10000u
#define SHORT_LIFE_MS 5000u /* a holder that dies younger than this counts against its server */

static enum ph_server_kind holder_kind(const struct ph_mapping *m)
{
	return m->config.proto == PH_TCP ? PH_SERVER_KEEPALIVE : PH_SERVER_STUN;
}

/* The servers that the holder in `flow` should not go to: those of its siblings. */
static size_t siblings(const struct ph_mapping *m, unsigned flow,
		       struct ph_endpoint ret[PH_FLOW_HOLDERS])
{
	size_t n = 0;

	for (unsigned i = 0; i < PH_FLOW_HOLDERS; i++)
		if (i != flow && m->flows[i].state != FLOW_CLOSED)
			ret[n++] = m->flows[i].server;
	return n;
}

static void send_head(struct ph_mapping *m, unsigned flow, uint64_t now_ms,
		      struct ph_actions *actions)
{
	struct flow *f = &m->flows[flow];
	const struct ph_candidate *c = ph_pool_find(&m->pools[PH_SERVER_KEEPALIVE], &f->server);
	char address[PH_ADDRESS_STRLEN];
	const char *host = c ? m->config.keepalive->items[c->server].host
			     : ph_address_format(&f->server.address, address);
	char request[PH_HTTP_REQUEST_MAX];
	struct ph_action *a;
	int len;

	len = ph_http_head(host, f->server.port, request);
	if (len < 0) {
		holder_lost(m, flow, 0, "the host name does not fit into a request", false, now_ms,
			    actions);
		return;
	}
	a = mapping_emit(actions, PH_ACTION_SEND);
	a->flow = flow;
	a->len = (size_t)len;
	memcpy(a->bytes, request, a->len);
	f->awaiting = true;
	f->deadline_ms = now_ms + ANSWER_MS;
}

void holder_connected(struct ph_mapping *m, unsigned flow, const struct ph_event *event,
		      uint64_t now_ms, struct ph_actions *actions)
{
	struct flow *f = &m->flows[flow];
	struct ph_action *note;

	if (m->config.proto == PH_UDP) {
		probe_connected(m, flow, event, now_ms, actions);
		return;
	}
	note = mapping_note(actions, PH_NOTE_HOLDER_OPEN);
	note->flow = flow;
	note->server = f->server;
	ph_http_reader_init(&f->http);
	send_head(m, flow, now_ms, actions);
}

void holder_bytes(struct ph_mapping *m, unsigned flow, const struct ph_event *event,
		  uint64_t now_ms, struct ph_actions *actions)
{
	struct flow *f = &m->flows[flow];
	const uint8_t *p = event->bytes;
	size_t left = event->len;

	if (m->config.proto == PH_UDP) {
		probe_bytes(m, flow, event, now_ms, actions);
		return;
	}
	while (left > 0) {
		size_t used = 0;
		struct ph_candidate *c;

		if (!f->awaiting) {
			holder_lost(m, flow, 0, "the server sends what was not asked for", false,
				    now_ms, actions);
			return;
		}
		switch (ph_http_reader_feed(&f->http, p, left, &used)) {
		case PH_HTTP_MORE:
			return;
		case PH_HTTP_BAD:
			holder_lost(m, flow, 0, f->http.why, false, now_ms, actions);
			return;
		case PH_HTTP_CLOSES:
			f->answers++;
			holder_lost(m, flow, 0, "the server does not keep connections", false,
				    now_ms, actions);
			return;
		case PH_HTTP_KEPT:
			break;
		}
		f->awaiting = false;
		c = ph_pool_find(&m->pools[PH_SERVER_KEEPALIVE], &f->server);
		if (c && now_ms - f->opened_ms >= SHORT_LIFE_MS)
			ph_candidate_good(c); /* one answer alone does not make a good holder */
		/* The second holder's requests fall between the first one's. */
		f->deadline_ms =
			now_ms + (f->answers++ == 0 && flow % 2 == 1 ? m->config.interval_ms / 2
								     : m->config.interval_ms);
		p += used;
		left -= used;
	}
}

void holder_tick(struct ph_mapping *m, unsigned flow, const struct ph_event *event, uint64_t now_ms,
		 struct ph_actions *actions)
{
	struct flow *f = &m->flows[flow];
	struct ph_endpoint avoid[PH_FLOW_HOLDERS + 1];
	size_t n;

	if (m->config.proto == PH_UDP && f->state == FLOW_OPEN) {
		probe_tick(m, flow, event, now_ms, actions);
		return;
	}
	if (now_ms < f->deadline_ms)
		return;
	switch (f->state) {
	case FLOW_CLOSED:
		break;
	case FLOW_CONNECTING:
		holder_lost(m, flow, ETIMEDOUT, NULL, false, now_ms, actions);
		break;
	case FLOW_OPEN:
		if (!f->awaiting) {
			send_head(m, flow, now_ms, actions);
			break;
		}
		/* A mute server still acknowledges, so it holds; it goes only where a better one is
		 * to be had. */
		n = siblings(m, flow, avoid);
		avoid[n++] = f->server;
		if (ph_pool_pick(&m->pools[PH_SERVER_KEEPALIVE], now_ms, m->installed, avoid, n))
			holder_lost(m, flow, 0, "the server does not answer", false, now_ms,
				    actions);
		else
			send_head(m, flow, now_ms, actions);
		break;
	}
}

void holder_lost(struct ph_mapping *m, unsigned flow, int error, const char *reason, bool gone,
		 uint64_t now_ms, struct ph_actions *actions)
{
	struct flow *f = &m->flows[flow];
	bool was_open = f->state == FLOW_OPEN;
	struct ph_action *note;

	if (m->config.proto == PH_UDP) {
		probe_failed(m, flow, error, reason, gone, now_ms, actions);
		m->holder_due_ms[flow] = now_ms;
		return;
	}
	note = mapping_note(actions, was_open ? PH_NOTE_HOLDER_LOST : PH_NOTE_HOLDER_FAILED);
	note->flow = flow;
	note->server = f->server;
	note->error = error;
	note->reason = reason;
	if (!was_open || now_ms - f->opened_ms < SHORT_LIFE_MS)
		mapping_server_failed(m, PH_SERVER_KEEPALIVE, &f->server, now_ms, note);
	mapping_close(m, flow, gone, actions);
	m->holder_due_ms[flow] = now_ms;
	/* It may have died because the NAT has forgotten the mapping; only a fresh flow tells. */
	if (was_open)
		probe_soon(m, now_ms);
}

void holder_renew(struct ph_mapping *m, uint64_t now_ms, struct ph_actions *actions)
{
	for (unsigned i = 0; i < PH_FLOW_HOLDERS; i++) {
		if (m->flows[i].state == FLOW_CLOSED ||
		    (m->config.proto == PH_UDP && m->flows[i].tx))
			continue;
		mapping_close(m, i, false, actions);
		m->holder_due_ms[i] = now_ms;
	}
}

void holder_settle(struct ph_mapping *m, uint64_t now_ms, struct ph_actions *actions)
{
	struct ph_pool *pool = &m->pools[holder_kind(m)];
	unsigned wanted = m->config.proto == PH_TCP ? PH_FLOW_HOLDERS : 1;

	for (unsigned i = 0; i < wanted; i++) {
		struct ph_endpoint avoid[PH_FLOW_HOLDERS];
		size_t n = siblings(m, i, avoid);
		struct ph_candidate *c;

		if (m->flows[i].state != FLOW_CLOSED || m->holder_due_ms[i] > now_ms)
			continue;
		c = ph_pool_pick(pool, now_ms, m->installed, avoid, n);
		if (c) {
			c->used_ms = now_ms;
			mapping_open(m, i, &c->endpoint, CONNECT_MS, now_ms, actions);
			continue;
		}
		/* No server: again when one's back-off ends; the pool's growth comes as an event.
		 */
		m->holder_due_ms[i] = ph_pool_wait(pool, avoid, n);
		if (m->holder_due_ms[i] <= now_ms)
			m->holder_due_ms[i] =
				UINT64_MAX; /* not installed yet: INSTALLED wakes it */
	}
}

static bool looking_up(const struct ph_mapping *m)
{
	for (size_t i = 0; i < m->config.keepalive->n; i++)
		if (m->lookups[PH_SERVER_KEEPALIVE][i].busy)
			return true;
	return false;
}

void holder_report(struct ph_mapping *m, struct ph_actions *actions)
{
	if (m->config.proto == PH_UDP || m->state != PH_MAPPING_UP || m->said_one_holder ||
	    m->flows[0].state != FLOW_OPEN || m->flows[1].state != FLOW_CLOSED ||
	    m->holder_due_ms[1] != UINT64_MAX || looking_up(m))
		return;
	m->said_one_holder = true;
	mapping_note(actions, PH_NOTE_ONE_HOLDER)->server = m->flows[0].server;
}
