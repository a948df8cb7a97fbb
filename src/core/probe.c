/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Transactions: one STUN Binding request on a flow, a probe's own or the UDP holder's. What its
 * answer means is round.c's business.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mapping_internal.h"

#define ANSWER_MS                                                                       \
	3500u /* three requests over UDP (RFC 8489 section 6.2.1), then the next server \
	       */

static void send_request(struct ph_mapping *m, unsigned flow, struct ph_actions *actions)
{
	struct ph_action *a = mapping_emit(actions, PH_ACTION_SEND);

	a->flow = flow;
	a->len = ph_stun_encode_request(&m->flows[flow].tx->id, a->bytes);
}

void probe_end(struct flow *f)
{
	if (!f->tx)
		return;
	ph_stun_tx_done(f->tx);
	free(f->tx);
	f->tx = NULL;
	f->awaiting = false;
}

/* Begins a transaction on an open flow. */
static void probe_begin(struct ph_mapping *m, unsigned flow, const uint8_t random[16],
			uint64_t now_ms, struct ph_actions *actions)
{
	struct flow *f = &m->flows[flow];
	struct ph_stun_id id;

	memcpy(id.octets, random, sizeof(id.octets));
	f->tx = malloc(sizeof(*f->tx));
	if (!f->tx) {
		probe_failed(m, flow, ENOMEM, NULL, false, now_ms, actions);
		return;
	}
	ph_stun_tx_init(f->tx, m->config.proto, &f->server, &id, now_ms, ANSWER_MS);
	f->awaiting = true;
	f->asked_ms = now_ms;
	if (ph_stun_tx_tick(f->tx, now_ms) == PH_STUN_SEND)
		send_request(m, flow, actions);
	f->deadline_ms = ph_stun_tx_deadline(f->tx);
}

void probe_connected(struct ph_mapping *m, unsigned flow, const struct ph_event *event,
		     uint64_t now_ms, struct ph_actions *actions)
{
	probe_begin(m, flow, event->random, now_ms, actions);
}

void probe_failed(struct ph_mapping *m, unsigned flow, int error, const char *reason, bool gone,
		  uint64_t now_ms, struct ph_actions *actions)
{
	struct flow *f = &m->flows[flow];
	struct ph_action *note = mapping_note(actions, PH_NOTE_PROBE_FAILED);

	note->flow = flow;
	note->server = f->server;
	note->error = error;
	note->reason = reason;
	mapping_server_failed(m, PH_SERVER_STUN, &f->server, now_ms, note);
	mapping_close(m, flow, gone, now_ms, actions);
	m->probe_failures++;
	if (mapping_is_holder(flow))
		m->holder_due_ms[flow] = now_ms;
}

/* RFC 8489 section 10: ask the alternate server, once; it becomes one of the candidates, not yet
 * used. */
static bool follow(struct ph_mapping *m, const struct ph_endpoint *server,
		   const struct ph_endpoint *alternate)
{
	struct ph_pool *pool = &m->pools[PH_SERVER_STUN];
	const struct ph_candidate *from = ph_pool_find(pool, server);

	if (!from || from->server == ALTERNATE_INDEX ||
	    alternate->address.family != m->config.family || ph_pool_find(pool, alternate))
		return false;
	return mapping_set_addresses(m, PH_SERVER_STUN, ALTERNATE_INDEX, alternate->port,
				     &alternate->address, 1) > 0;
}

/* The address that the answer tells; NULL and the transaction has failed. */
static const struct ph_endpoint *told(struct ph_mapping *m, unsigned flow, uint64_t now_ms,
				      struct ph_actions *actions)
{
	struct ph_stun_answer *answer = &m->flows[flow].tx->answer;
	const char *why = answer->why;

	switch (answer->kind) {
	case PH_STUN_SUCCESS:
		return &answer->reflexive;
	case PH_STUN_ALTERNATE:
		why = follow(m, &m->flows[flow].server, &answer->alternate)
			      ? "the server sends us to another one"
			      : "the server sends us to yet another one";
		break;
	case PH_STUN_REJECTED:
	case PH_STUN_IGNORED:
		break;
	}
	probe_failed(m, flow, 0, why, false, now_ms, actions);
	return NULL;
}

/* A transaction has succeeded: the flow is closed, or it holds on until the next one. */
static void answered(struct ph_mapping *m, unsigned flow, const struct ph_endpoint *reflexive,
		     uint64_t now_ms, struct ph_actions *actions)
{
	struct flow *f = &m->flows[flow];
	const struct vote vote = {
		.said = *reflexive,
		.by = f->server,
		.fresh = f->fresh && f->answers == 0,
	};
	struct ph_candidate *c = mapping_candidate(m, flow);
	bool first = f->answers++ == 0;
	/* It was the flow's first packet that made the NAT choose. */
	uint64_t asked_ms = first ? f->opened_ms : f->asked_ms;

	probe_end(f);
	f->rtt_ms = (uint32_t)(now_ms - f->asked_ms);
	f->deadline_ms = now_ms + m->config.interval_ms;
	m->probe_failures = 0;
	if (c) {
		ph_candidate_good(c);
		c->used_ms = now_ms;
	}
	if (mapping_is_holder(flow))
		m->holder_said = vote.said;
	else
		mapping_close(m, flow, false, now_ms, actions);
	round_answer(m, flow, &vote, first, asked_ms, now_ms, actions);
}

void probe_bytes(struct ph_mapping *m, unsigned flow, const struct ph_event *event, uint64_t now_ms,
		 struct ph_actions *actions)
{
	struct flow *f = &m->flows[flow];
	const struct ph_endpoint *reflexive;
	struct ph_endpoint e;

	if (!f->tx)
		return; /* late or twice (UDP): nothing was asked */
	switch (ph_stun_tx_receive(f->tx, &event->from, event->bytes, event->len)) {
	case PH_STUN_WAIT:
	case PH_STUN_SEND:
		return;
	case PH_STUN_FAILED:
		probe_failed(m, flow, 0, f->tx->answer.why, false, now_ms, actions);
		return;
	case PH_STUN_DONE:
		break;
	}
	reflexive = told(m, flow, now_ms, actions);
	if (!reflexive)
		return;
	e = *reflexive;
	answered(m, flow, &e, now_ms, actions);
}

void probe_tick(struct ph_mapping *m, unsigned flow, const struct ph_event *event, uint64_t now_ms,
		struct ph_actions *actions)
{
	struct flow *f = &m->flows[flow];

	if (now_ms < f->deadline_ms)
		return;
	switch (f->state) {
	case FLOW_CLOSED:
		return;
	case FLOW_CONNECTING:
		probe_failed(m, flow, ETIMEDOUT, NULL, false, now_ms, actions);
		return;
	case FLOW_OPEN:
		break;
	}
	if (!f->tx) { /* a UDP holder between transactions */
		probe_begin(m, flow, event->random, now_ms, actions);
		return;
	}
	switch (ph_stun_tx_tick(f->tx, now_ms)) {
	case PH_STUN_SEND:
		send_request(m, flow, actions);
		break;
	case PH_STUN_FAILED:
		if (mapping_is_holder(flow))
			holder_lost(m, flow, 0, f->tx->answer.why, false, now_ms, actions);
		else
			probe_failed(m, flow, 0, f->tx->answer.why, false, now_ms, actions);
		return;
	case PH_STUN_WAIT:
	case PH_STUN_DONE:
		break;
	}
	f->deadline_ms = ph_stun_tx_deadline(f->tx);
}
