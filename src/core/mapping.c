/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The life of a mapping. Each event is handled where it belongs (holder.c, probe.c, round.c), and
 * then settle() compares what is with what should be and starts what is due, so that no path can
 * forget a step.
 *
 *	WAITING    no address
 *	           -- address --> RESOLVING
 *	RESOLVING  no server's address of a kind that is needed is known
 *	           -- resolved --> PREPARING
 *	PREPARING  the rules for our own flows (source and peers) are being installed
 *	           -- installed --> OPENING
 *	OPENING    holders and probes are under way, or the servers disagree (independence)
 *	           -- endpoint told by two servers, held, installed --> UP
 *	UP         the hooks know the endpoint
 *	           -- no holder, and a round without an answer --> LOST
 *	           -- servers disagree again and again --> OPENING, `down`
 *	LOST       the hooks were told `down`
 *	           -- an answer --> OPENING
 *	any        -- another address or interface, or none --> RESOLVING, WAITING
 *	           -- bind port taken: the next one of the range --> RESOLVING
 *	           -- stop --> STOPPED
 *
 * The table comes first, twice: no flow is opened before the rules that protect it are installed
 * (or an admin's masquerade could move its source port), and nobody is told of a public endpoint
 * before its rules are installed.
 */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <pinhold/backoff.h>

#include "mapping_internal.h"

#define BIND_RETRY_MS 5000u
/* Each port costs a change of the table: after so many taken ones in a row others have their turn.
 */
#define BIND_BURST     16u
#define BIND_PAUSE_MS  100u
#define LOOKUP_FRESH_S 30u /* a name that was looked up this lately is not asked again */
/* Servers that failed are left alone for so long; less while nothing holds the mapping, because
 * then it may be the way to them that failed, and nothing tells when it is back. */
#define BACKOFF_HELD_MS 60000u
#define BACKOFF_LOST_MS 8000u

struct ph_action *mapping_emit(struct ph_actions *actions, enum ph_action_type type)
{
	struct ph_action *a;

	assert(actions->n < PH_ACTIONS_MAX);
	a = &actions->items[actions->n++];
	memset(a, 0, offsetof(struct ph_action, bytes));
	a->type = type;
	return a;
}

struct ph_action *mapping_note(struct ph_actions *actions, enum ph_note note)
{
	struct ph_action *a = mapping_emit(actions, PH_ACTION_NOTE);

	a->note = note;
	return a;
}

bool mapping_is_holder(unsigned flow)
{
	return flow < PH_FLOW_HOLDERS;
}

unsigned mapping_open_holders(const struct ph_mapping *m)
{
	unsigned n = 0;

	for (unsigned i = 0; i < PH_FLOW_HOLDERS; i++)
		/* A UDP flow exists as soon as it is made; it holds when an answer has come. */
		if (m->flows[i].state == FLOW_OPEN &&
		    (m->config.proto == PH_TCP || m->flows[i].answers > 0))
			n++;
	return n;
}

/* xorshift32: spreads choices, keeps no secret. */
uint32_t mapping_random(struct ph_mapping *m)
{
	m->seed ^= m->seed << 13;
	m->seed ^= m->seed >> 17;
	m->seed ^= m->seed << 5;
	return m->seed;
}

const struct ph_server_list *mapping_servers(const struct ph_mapping *m, enum ph_server_kind kind)
{
	return kind == PH_SERVER_STUN ? m->config.stun : m->config.keepalive;
}

bool mapping_needs(const struct ph_mapping *m, enum ph_server_kind kind)
{
	return kind == PH_SERVER_STUN || m->config.proto == PH_TCP;
}

bool mapping_looking_up(const struct ph_mapping *m, enum ph_server_kind kind)
{
	for (size_t i = 0; i < mapping_servers(m, kind)->n; i++)
		if (m->lookups[kind][i].busy)
			return true;
	return false;
}

struct ph_candidate *mapping_candidate(const struct ph_mapping *m, unsigned flow)
{
	bool keepalive = m->config.proto == PH_TCP && mapping_is_holder(flow);

	return ph_pool_find(&m->pools[keepalive ? PH_SERVER_KEEPALIVE : PH_SERVER_STUN],
			    &m->flows[flow].server);
}

void mapping_open(struct ph_mapping *m, unsigned flow, struct ph_candidate *c, uint32_t patience_ms,
		  uint64_t now_ms, struct ph_actions *actions)
{
	struct flow *f = &m->flows[flow];
	struct ph_action *a = mapping_emit(actions, PH_ACTION_OPEN);

	assert(f->state == FLOW_CLOSED && !f->tx);
	*f = (struct flow){
		.state = FLOW_CONNECTING,
		.server = c->endpoint,
		.opened_ms = now_ms,
		.asked_ms = now_ms,
		.deadline_ms = now_ms + patience_ms,
		.rtt_ms = UINT32_MAX,
		.fresh = ph_candidate_fresh(c, now_ms),
	};
	c->used_ms = now_ms;
	a->flow = flow;
	a->holder = mapping_is_holder(flow);
	a->local = m->private_endpoint;
	a->server = c->endpoint;
}

void mapping_close(struct ph_mapping *m, unsigned flow, bool gone, uint64_t now_ms,
		   struct ph_actions *actions)
{
	struct flow *f = &m->flows[flow];
	struct ph_candidate *c;

	if (f->state == FLOW_CLOSED)
		return;
	if (!gone)
		mapping_emit(actions, PH_ACTION_CLOSE)->flow = flow;
	probe_end(f);
	c = mapping_candidate(m, flow);
	*f = (struct flow){ .state = FLOW_CLOSED };
	if (c)
		c->used_ms = now_ms; /* the NAT remembers from the last packet on */
	else
		want_peers_changed(m); /* the flow was all that made it a peer */
}

static void close_all(struct ph_mapping *m, uint64_t now_ms, struct ph_actions *actions)
{
	for (unsigned i = 0; i < PH_FLOWS; i++)
		mapping_close(m, i, false, now_ms, actions);
}

int mapping_set_addresses(struct ph_mapping *m, enum ph_server_kind kind, size_t index,
			  uint16_t port, const struct ph_address *addresses, size_t n)
{
	int r = want_reserve(m, n);

	if (r < 0)
		return r;
	r = ph_pool_set(&m->pools[kind], index, port, addresses, n, m->generation + 1);
	if (r > 0)
		want_peers_changed(m);
	return r;
}

void mapping_server_failed(struct ph_mapping *m, enum ph_server_kind kind,
			   const struct ph_endpoint *server, uint64_t now_ms,
			   struct ph_action *note)
{
	struct ph_candidate *c = ph_pool_find(&m->pools[kind], server);
	struct lookup *l;

	if (!c)
		return;
	note->repeated =
		ph_candidate_failed(
			c, now_ms, mapping_open_holders(m) ? BACKOFF_HELD_MS : BACKOFF_LOST_MS) > 1;
	if (c->server >= PH_SERVERS_MAX)
		return;
	l = &m->lookups[kind][c->server];
	if (!l->busy && now_ms / 1000 - l->done_s >= LOOKUP_FRESH_S)
		l->due_ms = now_ms;
}

/* Everything begins again from the private endpoint that is set now; the pools keep their history.
 */
static void restart(struct ph_mapping *m, uint64_t now_ms, struct ph_actions *actions)
{
	close_all(m, now_ms, actions);
	m->private_endpoint.port = m->private_endpoint.address.family ? m->bind_port : 0;
	m->public_endpoint = (struct ph_endpoint){ 0 };
	round_reset(m, now_ms);
	for (unsigned i = 0; i < PH_FLOW_HOLDERS; i++)
		m->holder_due_ms[i] = now_ms;
	want_peers_changed(m);
	/* The new source must be pinned before the first packet leaves from it. */
	for (unsigned kind = 0; kind < 2; kind++)
		for (size_t i = 0; i < m->pools[kind].n; i++)
			m->pools[kind].items[i].generation = m->generation;
	m->state = m->private_endpoint.port ? PH_MAPPING_RESOLVING : PH_MAPPING_WAITING;
}

static void bind_taken(struct ph_mapping *m, int error, uint64_t now_ms, struct ph_actions *actions)
{
	unsigned range = (unsigned)(m->config.bind_last - m->config.bind_first) + 1;
	struct ph_action *note;
	uint32_t wait_ms = 0;
	bool exhausted;

	close_all(m, now_ms, actions);
	m->bind_tries++;
	if (range > 1)
		m->bind_port = m->bind_port == m->config.bind_last ? m->config.bind_first
								   : (uint16_t)(m->bind_port + 1);
	exhausted = m->bind_tries % range == 0;
	note = mapping_note(actions, exhausted ? PH_NOTE_BIND_TAKEN : PH_NOTE_BIND_NEXT);
	note->error = error;
	note->local = m->private_endpoint;
	note->repeated = m->bind_tries > (exhausted || range < BIND_BURST ? range : BIND_BURST);
	if (exhausted)
		wait_ms = BIND_RETRY_MS;
	else
		note->local.port = m->bind_port;
	if (!exhausted && m->bind_tries % BIND_BURST == 0)
		wait_ms = BIND_PAUSE_MS;
	restart(m, now_ms, actions);
	if (wait_ms == 0)
		return;
	m->bind_retry_ms = now_ms + wait_ms;
	if (m->announced.port)
		want_announce(m, PH_ANNOUNCE_DOWN, now_ms, actions);
}

static void on_start(struct ph_mapping *m, const struct ph_event *event, uint64_t now_ms)
{
	unsigned range = (unsigned)(m->config.bind_last - m->config.bind_first) + 1;

	memcpy(&m->seed, event->random, sizeof(m->seed));
	m->seed |= 1; /* xorshift's only fixed point is 0 */
	m->bind_port = m->config.bind_first;
	if (m->config.bind_random)
		m->bind_port = (uint16_t)(m->bind_port + mapping_random(m) % range);
	if (m->config.bind_start)
		m->bind_port = m->config.bind_start;
	m->state_since_ms = now_ms;
	for (unsigned kind = 0; kind < 2; kind++)
		for (size_t i = 0; i < mapping_servers(m, kind)->n; i++)
			m->lookups[kind][i].due_ms = mapping_needs(m, kind) ? now_ms : UINT64_MAX;
}

void mapping_forgive(struct ph_mapping *m, uint64_t now_ms)
{
	for (unsigned kind = 0; kind < 2; kind++) {
		for (size_t i = 0; i < m->pools[kind].n; i++)
			ph_candidate_good(&m->pools[kind].items[i]);
		for (size_t i = 0; i < PH_SERVERS_MAX; i++) {
			struct lookup *l = &m->lookups[kind][i];

			if (!l->busy && l->failures > 0)
				l->due_ms = now_ms;
			l->failures = 0;
		}
	}
}

static void on_address(struct ph_mapping *m, const struct ph_event *event, uint64_t now_ms,
		       struct ph_actions *actions)
{
	/* An interface that was made anew is another network as well, whatever its name. */
	if (ph_address_equal(&event->address, &m->private_endpoint.address) &&
	    event->index == m->index && strcmp(event->interface, m->interface) == 0)
		return;
	m->private_endpoint.address = event->address;
	m->index = event->index;
	strncpy(m->interface, event->interface, PH_INTERFACE_MAX);
	m->said_dependent = false;
	mapping_forgive(m, now_ms);
	restart(m, now_ms, actions);
	if (m->state == PH_MAPPING_WAITING && m->announced.port)
		want_announce(m, PH_ANNOUNCE_DOWN, now_ms, actions);
}

static void lookup_failed(struct ph_mapping *m, const struct ph_event *event, int error,
			  uint64_t now_ms, struct ph_actions *actions)
{
	struct lookup *l = &m->lookups[event->kind][event->server];
	struct ph_action *note = mapping_note(actions, PH_NOTE_RESOLVE_FAILED);

	note->repeated = l->failures > 0;
	l->due_ms = now_ms + ph_backoff_ms(l->failures);
	if (l->failures < UINT8_MAX)
		l->failures++;
	note->kind = event->kind;
	note->server_index = event->server;
	note->error = error;
}

static void on_resolved(struct ph_mapping *m, const struct ph_event *event, uint64_t now_ms,
			struct ph_actions *actions)
{
	const struct ph_server_list *list = mapping_servers(m, event->kind);
	struct lookup *l = &m->lookups[event->kind][event->server];
	int r;

	if (event->server >= list->n || !l->busy)
		return;
	l->busy = false;
	l->done_s = (uint32_t)(now_ms / 1000);
	if (event->n_addresses == 0) {
		lookup_failed(m, event, event->error, now_ms, actions);
		return;
	}
	r = mapping_set_addresses(m, event->kind, event->server, list->items[event->server].port,
				  event->addresses, event->n_addresses);
	if (r < 0) {
		lookup_failed(m, event, r, now_ms, actions);
		return;
	}
	l->due_ms = UINT64_MAX;
	l->failures = 0;
}

static void on_installed(struct ph_mapping *m, const struct ph_event *event, uint64_t now_ms)
{
	if (event->generation <= m->installed)
		return;
	m->installed = event->generation;
	/* Candidates that had to wait for this may be picked now. */
	for (unsigned i = 0; i < PH_FLOW_HOLDERS; i++)
		if (m->holder_due_ms[i] == UINT64_MAX || m->independence != PH_DEPENDENT)
			m->holder_due_ms[i] = now_ms;
	if (m->probe_due_ms == UINT64_MAX ||
	    (m->learned.port == 0 && m->independence != PH_DEPENDENT))
		m->probe_due_ms = now_ms;
}

static void on_timer(struct ph_mapping *m, const struct ph_event *event, uint64_t now_ms,
		     struct ph_actions *actions)
{
	for (unsigned i = 0; i < PH_FLOWS; i++) {
		if (m->flows[i].state == FLOW_CLOSED)
			continue;
		if (mapping_is_holder(i))
			holder_tick(m, i, event, now_ms, actions);
		else
			probe_tick(m, i, event, now_ms, actions);
	}
}

static void on_closed(struct ph_mapping *m, const struct ph_event *event, uint64_t now_ms,
		      struct ph_actions *actions)
{
	const char *reason = event->error ? NULL : "closed by the server";

	if (m->flows[event->flow].state == FLOW_CLOSED)
		return;
	/* Somebody may take the port while we hold it (both reuse it): what lives goes on living.
	 */
	if (event->at_bind && mapping_open_holders(m) == 0) {
		mapping_close(m, event->flow, true, now_ms, actions);
		bind_taken(m, event->error, now_ms, actions);
	} else if (mapping_is_holder(event->flow)) {
		holder_lost(m, event->flow, event->error, reason, true, now_ms, actions);
	} else {
		probe_failed(m, event->flow, event->error, reason, true, now_ms, actions);
	}
}

static void settle_lookups(struct ph_mapping *m, uint64_t now_ms, struct ph_actions *actions)
{
	for (unsigned kind = 0; kind < 2; kind++) {
		for (size_t i = 0; i < mapping_servers(m, kind)->n; i++) {
			struct lookup *l = &m->lookups[kind][i];
			struct ph_action *a;

			if (l->busy || l->due_ms > now_ms)
				continue;
			l->busy = true;
			a = mapping_emit(actions, PH_ACTION_RESOLVE);
			a->kind = kind;
			a->server_index = i;
		}
	}
}

static bool pool_installed(const struct ph_mapping *m, enum ph_server_kind kind)
{
	for (size_t i = 0; i < m->pools[kind].n; i++)
		if (m->pools[kind].items[i].generation <= m->installed)
			return true;
	return false;
}

/* From RESOLVING to OPENING as far as servers and table allow. Returns true if it is beyond. */
static bool settle_start(struct ph_mapping *m)
{
	if (m->state != PH_MAPPING_RESOLVING && m->state != PH_MAPPING_PREPARING)
		return true;
	for (unsigned kind = 0; kind < 2; kind++)
		if (mapping_needs(m, kind) && m->pools[kind].n == 0)
			return false;
	m->state = PH_MAPPING_PREPARING;
	for (unsigned kind = 0; kind < 2; kind++)
		if (mapping_needs(m, kind) && !pool_installed(m, kind))
			return false;
	m->state = PH_MAPPING_OPENING;
	return true;
}

static void settle(struct ph_mapping *m, uint64_t now_ms, struct ph_actions *actions)
{
	/* Without an address there is nobody to ask, and nothing to ask for. */
	if (m->state == PH_MAPPING_STOPPED || m->private_endpoint.port == 0)
		return;
	settle_lookups(m, now_ms, actions);
	if (m->bind_retry_ms > now_ms)
		return;
	m->bind_retry_ms = 0;
	if (!settle_start(m))
		return;
	holder_settle(m, now_ms, actions);
	round_settle(m, now_ms, actions);
	holder_settle(m, now_ms, actions); /* a round may have found that some hold nothing */
	want_settle(m, now_ms, actions);
	holder_report(m, actions);
	round_report(m, actions);
}

static void on_connected(struct ph_mapping *m, const struct ph_event *event, uint64_t now_ms,
			 struct ph_actions *actions)
{
	assert(m->flows[event->flow].state == FLOW_CONNECTING);
	m->flows[event->flow].state = FLOW_OPEN;
	m->bind_tries = 0;
	if (mapping_is_holder(event->flow))
		holder_connected(m, event->flow, event, now_ms, actions);
	else
		probe_connected(m, event->flow, event, now_ms, actions);
}

static void on_bytes(struct ph_mapping *m, const struct ph_event *event, uint64_t now_ms,
		     struct ph_actions *actions)
{
	assert(m->flows[event->flow].state == FLOW_OPEN);
	if (mapping_is_holder(event->flow))
		holder_bytes(m, event->flow, event, now_ms, actions);
	else
		probe_bytes(m, event->flow, event, now_ms, actions);
}

static void on_stop(struct ph_mapping *m, uint64_t now_ms, struct ph_actions *actions)
{
	close_all(m, now_ms, actions);
	m->state = PH_MAPPING_STOPPED;
	if (m->announced.port)
		want_announce(m, PH_ANNOUNCE_DOWN, now_ms, actions);
	m->private_endpoint.port = 0;
	m->public_endpoint.port = 0;
	m->generation++;
}

void ph_mapping_event(struct ph_mapping *m, const struct ph_event *event, uint64_t now_ms,
		      struct ph_actions *actions)
{
	actions->n = 0;
	assert(event->flow < PH_FLOWS);
	if (m->state == PH_MAPPING_STOPPED)
		return;

	switch (event->type) {
	case PH_EVENT_START:
		on_start(m, event, now_ms);
		break;
	case PH_EVENT_ADDRESS:
		on_address(m, event, now_ms, actions);
		break;
	case PH_EVENT_RESOLVED:
		on_resolved(m, event, now_ms, actions);
		break;
	case PH_EVENT_CONNECTED:
		on_connected(m, event, now_ms, actions);
		break;
	case PH_EVENT_BYTES:
		on_bytes(m, event, now_ms, actions);
		break;
	case PH_EVENT_CLOSED:
		on_closed(m, event, now_ms, actions);
		break;
	case PH_EVENT_INSTALLED:
		on_installed(m, event, now_ms);
		break;
	case PH_EVENT_TIMER:
		on_timer(m, event, now_ms, actions);
		break;
	case PH_EVENT_CONFIG:
		mapping_reconfigure(m, event->config, now_ms);
		break;
	case PH_EVENT_STOP:
		on_stop(m, now_ms, actions);
		break;
	}
	settle(m, now_ms, actions);
	if (m->state != m->state_seen) {
		m->state_seen = m->state;
		m->state_since_ms = now_ms;
	}
}

static void earlier(uint64_t *at, uint64_t candidate)
{
	if (candidate < *at)
		*at = candidate;
}

uint64_t ph_mapping_deadline(const struct ph_mapping *m)
{
	uint64_t at = UINT64_MAX;

	if (m->state == PH_MAPPING_STOPPED || m->private_endpoint.port == 0)
		return at;
	for (unsigned kind = 0; kind < 2; kind++)
		for (size_t i = 0; i < mapping_servers(m, kind)->n; i++)
			if (!m->lookups[kind][i].busy)
				earlier(&at, m->lookups[kind][i].due_ms);
	if (m->state != PH_MAPPING_OPENING && m->state != PH_MAPPING_UP &&
	    m->state != PH_MAPPING_LOST) {
		if (m->bind_retry_ms && m->private_endpoint.port)
			earlier(&at, m->bind_retry_ms);
		return at;
	}
	for (unsigned i = 0; i < PH_FLOWS; i++) {
		if (m->flows[i].state != FLOW_CLOSED)
			earlier(&at, m->flows[i].deadline_ms);
		else if (mapping_is_holder(i) && (i == 0 || m->config.proto == PH_TCP))
			earlier(&at, m->holder_due_ms[i]);
	}
	earlier(&at, round_deadline(m));
	return at;
}

int ph_mapping_new(const struct ph_mapping_config *config, struct ph_mapping **ret_mapping)
{
	struct ph_mapping *m = calloc(1, sizeof(*m));

	assert(config->bind_first > 0 && config->bind_first <= config->bind_last);
	assert(config->bind_start == 0 || (config->bind_start >= config->bind_first &&
					   config->bind_start <= config->bind_last));
	if (!m)
		return -ENOMEM;
	m->config = *config;
	m->generation = 1;
	m->probe_due_ms = UINT64_MAX;
	for (unsigned kind = 0; kind < 2; kind++)
		for (size_t i = 0; i < PH_SERVERS_MAX; i++)
			m->lookups[kind][i].due_ms = UINT64_MAX;
	*ret_mapping = m;
	return 0;
}

void ph_mapping_free(struct ph_mapping *m)
{
	if (!m)
		return;
	for (unsigned i = 0; i < PH_FLOWS; i++)
		probe_end(&m->flows[i]);
	for (unsigned kind = 0; kind < 2; kind++)
		ph_pool_done(&m->pools[kind]);
	free(m->peers);
	free(m);
}
