/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Probes: one STUN Binding transaction on a flow of its own from the bind port, and what its answer
 *means.
 *
 *	answer, nothing known        -> learned
 *	answer, as known             -> verified; the next probe after `verify`
 *	answer, another              -> unconfirmed; a second server is asked at once
 *	second server says the same  -> learned anew, holders renewed
 *	second server says a third   -> the NAT is not endpoint-independent; nothing is changed
 *	no answer                    -> the next server; nothing is torn down
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mapping_internal.h"

#define CONNECT_MS 3000u
#define ANSWER_MS                                                                       \
	3500u /* three requests over UDP (RFC 8489 section 6.2.1), then the next server \
	       */
#define FIRST_CHECK_MS 1000u /* from the first answer to the second server's */
#define STORM_MS       1000u
#define REFUTED_MAX    2u
#define LOST_AFTER     3u /* failed probes in a row, without a holder */

void probe_soon(struct ph_mapping *m, uint64_t now_ms)
{
	uint64_t earliest = m->probe_started_ms ? m->probe_started_ms + STORM_MS : now_ms;
	uint64_t at = now_ms > earliest ? now_ms : earliest;

	if (at < m->probe_due_ms)
		m->probe_due_ms = at;
}

static bool probing(const struct ph_mapping *m)
{
	for (unsigned i = PH_FLOW_HOLDERS; i < PH_FLOWS; i++)
		if (m->flows[i].state != FLOW_CLOSED)
			return true;
	return false;
}

static void send_request(struct ph_mapping *m, unsigned flow, struct ph_actions *actions)
{
	struct ph_action *a = mapping_emit(actions, PH_ACTION_SEND);

	a->flow = flow;
	a->len = ph_stun_encode_request(&m->flows[flow].tx->id, a->bytes);
}

static void tx_end(struct flow *f)
{
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
	mapping_close(m, flow, gone, actions);
	m->probe_failures++;
	m->probe_due_ms = now_ms;
	if (m->probe_failures >= LOST_AFTER && mapping_open_holders(m) == 0 && m->announced.port &&
	    m->state != PH_MAPPING_LOST) {
		m->state = PH_MAPPING_LOST;
		mapping_note(actions, PH_NOTE_LOST);
	}
}

/*
 * The next server to be asked, other than `by` (NULL: whoever). Over UDP not the holder's own while
 * there is another: there the flow is the holder's, and its answer tells what the NAT made of that
 * one, long ago.
 */
static struct ph_candidate *pick(struct ph_mapping *m, const struct ph_endpoint *by,
				 uint64_t now_ms)
{
	struct ph_pool *pool = &m->pools[PH_SERVER_STUN];
	struct ph_endpoint avoid[2] = { 0 };
	struct ph_candidate *c;
	size_t n = 0;

	if (by)
		avoid[n++] = *by;
	if (m->config.proto == PH_UDP && m->flows[0].state != FLOW_CLOSED)
		avoid[n++] = m->flows[0].server;
	c = ph_pool_pick(pool, now_ms, m->installed, avoid, n);
	return c || by ? c : ph_pool_pick(pool, now_ms, m->installed, NULL, 0);
}

/* Another server than `by` that could be asked now. */
static bool have_second(struct ph_mapping *m, const struct ph_endpoint *by, uint64_t now_ms)
{
	return pick(m, by, now_ms) != NULL;
}

static void say_dependent(struct ph_mapping *m, const struct ph_endpoint *server,
			  const struct ph_endpoint *reflexive, struct ph_actions *actions)
{
	struct ph_action *note;

	if (m->said_dependent)
		return;
	m->said_dependent = true;
	note = mapping_note(actions, PH_NOTE_DEPENDENT);
	note->server = *server;
	note->public_endpoint = *reflexive;
}

static void learn(struct ph_mapping *m, const struct ph_endpoint *reflexive, uint64_t now_ms,
		  struct ph_actions *actions)
{
	bool first = m->learned.port == 0;

	if (m->state == PH_MAPPING_LOST)
		m->state = PH_MAPPING_OPENING;
	m->learned = *reflexive;
	m->unconfirmed = (struct ph_endpoint){ 0 };
	m->refuted = 0;
	m->probe_due_ms = now_ms + (first ? FIRST_CHECK_MS : m->config.verify_ms);
	if (!first)
		holder_renew(m, now_ms, actions);
}

static void answered(struct ph_mapping *m, const struct ph_endpoint *reflexive,
		     const struct ph_endpoint *server, bool fresh, uint64_t now_ms,
		     struct ph_actions *actions)
{
	struct ph_action *note;

	m->probe_failures = 0;
	if (m->learned.port == 0) {
		learn(m, reflexive, now_ms, actions);
		return;
	}
	if (ph_endpoint_equal(reflexive, &m->learned)) {
		if (m->state == PH_MAPPING_LOST)
			m->state = PH_MAPPING_OPENING;
		/* Once may be a NAT that has just moved and moved back; again and again it is
		 * symmetric. */
		if (m->unconfirmed.port && ++m->refuted >= REFUTED_MAX)
			say_dependent(m, &m->unconfirmed_by, &m->unconfirmed, actions);
		m->unconfirmed = (struct ph_endpoint){ 0 };
		if (fresh)
			m->probe_due_ms = now_ms + m->config.verify_ms;
		return;
	}
	if (m->unconfirmed.port == 0) {
		if (!have_second(m, server, now_ms)) {
			learn(m, reflexive, now_ms, actions);
			return;
		}
		m->unconfirmed = *reflexive;
		m->unconfirmed_by = *server;
		m->probe_due_ms = now_ms;
		note = mapping_note(actions, PH_NOTE_UNCONFIRMED);
		note->server = *server;
		note->public_endpoint = *reflexive;
		return;
	}
	if (ph_endpoint_equal(reflexive, &m->unconfirmed)) {
		if (!ph_address_equal(&server->address, &m->unconfirmed_by.address) ||
		    !have_second(m, server, now_ms))
			learn(m, reflexive, now_ms, actions);
		else
			m->probe_due_ms = now_ms;
		return;
	}
	m->unconfirmed = (struct ph_endpoint){ 0 };
	m->probe_due_ms = now_ms + m->config.verify_ms;
	say_dependent(m, server, reflexive, actions);
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
	if (!ph_pool_set(pool, ALTERNATE_INDEX, alternate->port, &alternate->address, 1,
			 m->generation + 1))
		return false;
	mapping_peers_changed(m);
	return true;
}

void probe_bytes(struct ph_mapping *m, unsigned flow, const struct ph_event *event, uint64_t now_ms,
		 struct ph_actions *actions)
{
	struct flow *f = &m->flows[flow];
	struct ph_stun_answer answer;
	struct ph_endpoint server = f->server;
	struct ph_candidate *c;

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
	answer = f->tx->answer;
	switch (answer.kind) {
	case PH_STUN_SUCCESS:
		break;
	case PH_STUN_ALTERNATE:
		if (follow(m, &server, &answer.alternate)) {
			probe_failed(m, flow, 0, "the server sends us to another one", false,
				     now_ms, actions);
			return;
		}
		answer.why = "the server sends us to yet another one";
		__attribute__((fallthrough));
	case PH_STUN_REJECTED:
	case PH_STUN_IGNORED:
	default:
		probe_failed(m, flow, 0, answer.why, false, now_ms, actions);
		return;
	}
	tx_end(f);
	c = ph_pool_find(&m->pools[PH_SERVER_STUN], &server);
	if (c)
		ph_candidate_good(c);
	f->answers++;
	f->deadline_ms = now_ms + m->config.interval_ms;
	if (!mapping_is_holder(flow))
		mapping_close(m, flow, false, actions);
	answered(m, &answer.reflexive, &server, !mapping_is_holder(flow) || f->answers == 1, now_ms,
		 actions);
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

void probe_settle(struct ph_mapping *m, uint64_t now_ms, struct ph_actions *actions)
{
	const struct ph_endpoint *by = m->unconfirmed.port ? &m->unconfirmed_by : NULL;
	struct ph_candidate *c;

	if (m->probe_due_ms > now_ms || probing(m))
		return;
	if (m->config.proto == PH_UDP && m->learned.port == 0)
		return; /* the UDP holder's own transaction is the first probe */
	c = pick(m, by, now_ms);
	if (!c && by) /* nobody else can be asked: the first one again, on a fresh flow */
		c = pick(m, NULL, now_ms);
	if (!c) {
		m->probe_due_ms = ph_pool_wait(&m->pools[PH_SERVER_STUN], NULL, 0);
		if (m->probe_due_ms <= now_ms)
			m->probe_due_ms = UINT64_MAX; /* not installed yet: INSTALLED wakes it */
		return;
	}
	c->used_ms = now_ms;
	m->probe_started_ms = now_ms;
	m->probe_due_ms = UINT64_MAX;
	mapping_open(m, PH_FLOW_HOLDERS, &c->endpoint, CONNECT_MS, now_ms, actions);
}
