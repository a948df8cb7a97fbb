/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Holders. Over TCP: persistent HTTP connections to different servers, a HEAD each interval. Over
 * UDP: one STUN flow whose transactions both hold and check the mapping.
 *
 *	CLOSED      due, a server is to be had           CONNECTING
 *	CONNECTING  connected                            OPEN, request sent, awaiting
 *	            not within its patience              CLOSED, due at once (another server)
 *	OPEN        answer                               OPEN, next request after the interval
 *	            closed, RST, no HTTP, kernel's
 *	            time-out                             CLOSED, due at once; suspicion (round.c)
 *	            no answer in time                    CLOSED if another server is to be had; else
 *	                                                 OPEN, a further request
 *
 * The two holders' requests fall half an interval apart, so that servers which close after so many
 * requests do not take both in the same moment. A server that closes idle connections is asked more
 * often once that is known.
 */

#include <errno.h>
#include <string.h>

#include "mapping_internal.h"

/* To connect. A server that does not answer at once is left while there is another; the second time
 * round it gets more. */
#define PATIENCE_MS   750u
#define CONNECT_MS    5000u
#define ANSWER_MS     5000u
#define SHORT_LIFE_MS 5000u /* a holder that dies younger than this counts against its server */
#define OVERTAKE_MS   500u  /* as round.c's HEDGE_MS */
#define LATE_MS       2000u /* after the answers: the NAT may have forgotten the mapping since */

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
	f->asked_ms = now_ms;
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
	ph_http_reader_init(&m->http[flow]);
	send_head(m, flow, now_ms, actions);
	/* The way is open again: who failed while it was not gets another chance. */
	if (m->state == PH_MAPPING_LOST) {
		mapping_forgive(m, now_ms);
		m->probe_due_ms = now_ms;
		return;
	}
	/* Nothing has held what the probes were told, long ago; this one may have made the NAT
	 * choose another port. */
	if (m->learned.port && m->announced.port == 0 && mapping_open_holders(m) == 1 &&
	    now_ms - (m->held_ms > m->learned_ms ? m->held_ms : m->learned_ms) > LATE_MS)
		round_forget(m, now_ms);
}

/* When the next request is due after an answer. */
static uint32_t pause_ms(const struct ph_mapping *m, unsigned flow, const struct ph_candidate *c)
{
	uint32_t ms = m->config.interval_ms;

	if (c)
		ms = ph_candidate_pause(c, ms);
	return m->flows[flow].answers == 1 && flow % 2 == 1 ? ms / 2 : ms;
}

static void head_answered(struct ph_mapping *m, unsigned flow, uint64_t now_ms)
{
	struct flow *f = &m->flows[flow];
	struct ph_candidate *c = mapping_candidate(m, flow);

	f->awaiting = false;
	f->answers++;
	f->rtt_ms = (uint32_t)(now_ms - f->asked_ms);
	if (c && now_ms - f->opened_ms >= SHORT_LIFE_MS)
		ph_candidate_good(c); /* one answer alone does not make a good holder */
	f->deadline_ms = now_ms + pause_ms(m, flow, c);
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

		if (!f->awaiting) {
			holder_lost(m, flow, 0, "the server sends what was not asked for", false,
				    now_ms, actions);
			return;
		}
		switch (ph_http_reader_feed(&m->http[flow], p, left, &used)) {
		case PH_HTTP_MORE:
			return;
		case PH_HTTP_BAD:
			holder_lost(m, flow, 0, m->http[flow].why, false, now_ms, actions);
			return;
		case PH_HTTP_CLOSES:
			f->answers++;
			holder_lost(m, flow, 0, "the server does not keep connections", false,
				    now_ms, actions);
			return;
		case PH_HTTP_KEPT:
			break;
		}
		head_answered(m, flow, now_ms);
		p += used;
		left -= used;
	}
}

/* There is another server for the holder in `flow`. */
static bool replaceable(const struct ph_mapping *m, unsigned flow, uint64_t now_ms)
{
	struct ph_endpoint avoid[PH_FLOW_HOLDERS + 1];
	size_t n = siblings(m, flow, avoid);

	avoid[n++] = m->flows[flow].server;
	return ph_pool_pick(&m->pools[holder_kind(m)], now_ms, m->installed, avoid, n);
}

/* A mute server still acknowledges, so it holds; it goes only where a better one is to be had. */
static void unanswered(struct ph_mapping *m, unsigned flow, uint64_t now_ms,
		       struct ph_actions *actions)
{
	if (replaceable(m, flow, now_ms)) {
		holder_lost(m, flow, 0, "the server does not answer", false, now_ms, actions);
		return;
	}
	send_head(m, flow, now_ms, actions);
	if (m->flows[flow].deadline_ms < now_ms + m->config.interval_ms)
		m->flows[flow].deadline_ms = now_ms + m->config.interval_ms;
}

void holder_tick(struct ph_mapping *m, unsigned flow, const struct ph_event *event, uint64_t now_ms,
		 struct ph_actions *actions)
{
	struct flow *f = &m->flows[flow];

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
		f->deadline_ms = f->opened_ms + CONNECT_MS;
		if (now_ms < f->deadline_ms && !replaceable(m, flow, now_ms))
			break;
		holder_lost(m, flow, ETIMEDOUT, NULL, false, now_ms, actions);
		break;
	case FLOW_OPEN:
		if (f->awaiting)
			unanswered(m, flow, now_ms, actions);
		else
			send_head(m, flow, now_ms, actions);
		break;
	}
}

/* A server that answered and held for a while has done its part: closing is its right. */
static bool lived(const struct ph_mapping *m, const struct flow *f, uint64_t now_ms)
{
	uint64_t life = now_ms - f->opened_ms;

	return f->state == FLOW_OPEN && f->answers > 0 &&
	       (life >= SHORT_LIFE_MS || life >= m->config.interval_ms);
}

void holder_lost(struct ph_mapping *m, unsigned flow, int error, const char *reason, bool gone,
		 uint64_t now_ms, struct ph_actions *actions)
{
	struct flow *f = &m->flows[flow];
	bool was_open = f->state == FLOW_OPEN;
	struct ph_candidate *c;
	struct ph_action *note;

	m->holder_due_ms[flow] = now_ms;
	if (m->config.proto == PH_UDP) {
		was_open = was_open && f->answers > 0;
		probe_failed(m, flow, error, reason, gone, now_ms, actions);
		if (was_open)
			round_suspect(m, now_ms);
		return;
	}
	note = mapping_note(actions, was_open ? PH_NOTE_HOLDER_LOST : PH_NOTE_HOLDER_FAILED);
	note->flow = flow;
	note->server = f->server;
	note->error = error;
	note->reason = reason;
	c = mapping_candidate(m, flow);
	if (c && was_open)
		ph_candidate_held(c, now_ms - f->opened_ms);
	if (c && was_open && gone && !error && !f->awaiting)
		ph_candidate_closed_idle(c, now_ms - f->asked_ms);
	if (!lived(m, f, now_ms))
		mapping_server_failed(m, PH_SERVER_KEEPALIVE, &f->server, now_ms, note);
	mapping_close(m, flow, gone, now_ms, actions);
	/* It may have died because the NAT has forgotten the mapping; only a fresh flow tells. */
	if (was_open)
		round_suspect(m, now_ms);
}

void holder_renew(struct ph_mapping *m, uint64_t since_ms, uint64_t now_ms,
		  struct ph_actions *actions)
{
	for (unsigned i = 0; i < PH_FLOW_HOLDERS; i++) {
		const struct flow *f = &m->flows[i];

		if (f->state == FLOW_CLOSED || f->opened_ms >= since_ms)
			continue;
		/* Over UDP the answer says which binding it keeps. */
		if (m->config.proto == PH_UDP &&
		    (f->answers == 0 || ph_endpoint_equal(&m->holder_said, &m->learned)))
			continue;
		mapping_close(m, i, false, now_ms, actions);
		m->holder_due_ms[i] = now_ms;
	}
}

void holder_overtake(struct ph_mapping *m, struct ph_candidate *c, uint64_t now_ms,
		     struct ph_actions *actions)
{
	const struct flow *f = &m->flows[0];

	if (f->state == FLOW_CLOSED || f->answers > 0 || now_ms - f->asked_ms < OVERTAKE_MS)
		return;
	holder_lost(m, 0, 0, "another server answers sooner", false, now_ms, actions);
	mapping_open(m, 0, c, CONNECT_MS, now_ms, actions);
}

void holder_move(struct ph_mapping *m, const struct ph_endpoint *to, uint64_t now_ms,
		 struct ph_actions *actions)
{
	struct ph_candidate *c = ph_pool_find(&m->pools[PH_SERVER_STUN], to);

	if (m->config.proto != PH_UDP || !c)
		return;
	if (m->flows[0].answers > 0 && !round_learned(m, &m->holder_said))
		mapping_close(m, 0, false, now_ms, actions);
	if (m->flows[0].state != FLOW_CLOSED)
		return;
	mapping_open(m, 0, c, CONNECT_MS, now_ms, actions);
	m->holder_said = m->learned;
}

void holder_pause(struct ph_mapping *m, uint64_t until_ms, uint64_t now_ms,
		  struct ph_actions *actions)
{
	mapping_close(m, 0, false, now_ms, actions);
	m->holder_due_ms[0] = until_ms;
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
			mapping_open(m, i, c, PATIENCE_MS << (c->failures < 2 ? c->failures : 2),
				     now_ms, actions);
			continue;
		}
		/* No server: again when one's back-off ends; INSTALLED wakes it, too. */
		m->holder_due_ms[i] = ph_pool_wait(pool, m->installed, avoid, n);
	}
}

void holder_report(struct ph_mapping *m, struct ph_actions *actions)
{
	if (m->config.proto == PH_UDP || m->state != PH_MAPPING_UP || m->said_one_holder ||
	    m->flows[0].state != FLOW_OPEN || m->flows[1].state != FLOW_CLOSED ||
	    m->holder_due_ms[1] != UINT64_MAX || mapping_looking_up(m, PH_SERVER_KEEPALIVE))
		return;
	m->said_one_holder = true;
	mapping_note(actions, PH_NOTE_ONE_HOLDER)->server = m->flows[0].server;
}
