/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The life of a mapping. Each event is handled where it belongs (holder.c, probe.c), and then
 *settle() compares what is with what should be and starts what is due, so that no path can forget a
 *step.
 *
 *	WAITING    no address                                      --address--> RESOLVING RESOLVING
 *no server address of a kind that is needed      --resolved-->            PREPARING PREPARING  own
 *flows' peers and source are being installed --installed-->           OPENING OPENING    holders
 *and probes under way                    --endpoint installed-->  UP UP --3 probes failed, no
 *holder--> LOST LOST       hooks were told `down`                          --answer--> OPENING any
 *the address is another one, or gone             -->                      WAITING, RESOLVING any
 *the bind port is taken: the next one of the range                -->     RESOLVING any        stop
 *-->     STOPPED
 *
 * The table comes first, twice: no flow is opened before the rules that protect it are installed
 *(or an admin's masquerade could move its source port), and nobody is told of a public endpoint
 *before its rules are installed.
 */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <pinhold/backoff.h>

#include "mapping_internal.h"

#define BIND_RETRY_MS   5000u
#define LOOKUP_FRESH_MS 30000u /* a name that was looked up this lately is not asked again */

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

void mapping_open(struct ph_mapping *m, unsigned flow, const struct ph_endpoint *server,
		  uint32_t patience_ms, uint64_t now_ms, struct ph_actions *actions)
{
	struct flow *f = &m->flows[flow];
	struct ph_action *a = mapping_emit(actions, PH_ACTION_OPEN);

	assert(f->state == FLOW_CLOSED && !f->tx);
	*f = (struct flow){
		.state = FLOW_CONNECTING,
		.server = *server,
		.opened_ms = now_ms,
		.deadline_ms = now_ms + patience_ms,
	};
	a->flow = flow;
	a->holder = mapping_is_holder(flow);
	a->local = m->private_endpoint;
	a->server = *server;
}

void mapping_close(struct ph_mapping *m, unsigned flow, bool gone, struct ph_actions *actions)
{
	struct flow *f = &m->flows[flow];

	if (!gone && f->state != FLOW_CLOSED)
		mapping_emit(actions, PH_ACTION_CLOSE)->flow = flow;
	free(f->tx);
	*f = (struct flow){ .state = FLOW_CLOSED };
}

static void close_all(struct ph_mapping *m, struct ph_actions *actions)
{
	for (unsigned i = 0; i < PH_FLOWS; i++)
		mapping_close(m, i, false, actions);
}

void mapping_peers_changed(struct ph_mapping *m)
{
	m->generation++;
	m->n_peers = 0;
	for (unsigned kind = 0; kind < 2; kind++) {
		if (kind == PH_SERVER_KEEPALIVE && m->config.proto == PH_UDP)
			continue;
		for (size_t i = 0; i < m->pools[kind].n; i++)
			m->peers[m->n_peers++] = m->pools[kind].items[i].endpoint;
	}
}

static const struct ph_server_list *servers(const struct ph_mapping *m, enum ph_server_kind kind)
{
	return kind == PH_SERVER_STUN ? m->config.stun : m->config.keepalive;
}

static bool kind_needed(const struct ph_mapping *m, enum ph_server_kind kind)
{
	return kind == PH_SERVER_STUN || m->config.proto == PH_TCP;
}

void mapping_server_failed(struct ph_mapping *m, enum ph_server_kind kind,
			   const struct ph_endpoint *server, uint64_t now_ms,
			   struct ph_action *note)
{
	struct ph_candidate *c = ph_pool_find(&m->pools[kind], server);
	struct lookup *l;

	if (!c)
		return;
	note->repeated = ph_candidate_failed(c, now_ms) > 1;
	if (c->server >= PH_SERVERS_MAX)
		return;
	l = &m->lookups[kind][c->server];
	if (!l->busy && now_ms - l->done_ms >= LOOKUP_FRESH_MS)
		l->due_ms = now_ms;
}

/* Everything begins again from the private endpoint that is set now; the pools keep their history.
 */
static void restart(struct ph_mapping *m, uint64_t now_ms, struct ph_actions *actions)
{
	close_all(m, actions);
	m->private_endpoint.port = m->private_endpoint.address.family ? m->bind_port : 0;
	m->learned = m->unconfirmed = m->public_endpoint = (struct ph_endpoint){ 0 };
	m->probe_failures = 0;
	m->probe_started_ms = 0;
	m->probe_due_ms = now_ms;
	for (unsigned i = 0; i < PH_FLOW_HOLDERS; i++)
		m->holder_due_ms[i] = now_ms;
	mapping_peers_changed(m);
	/* The new source must be pinned before the first packet leaves from it. */
	for (unsigned kind = 0; kind < 2; kind++)
		for (size_t i = 0; i < m->pools[kind].n; i++)
			m->pools[kind].items[i].generation = m->generation;
	m->state = m->private_endpoint.port ? PH_MAPPING_RESOLVING : PH_MAPPING_WAITING;
}

static void announce(struct ph_mapping *m, enum ph_announce what, struct ph_actions *actions)
{
	struct ph_action *a = mapping_emit(actions, PH_ACTION_ANNOUNCE);

	a->announce = what;
	a->previous = m->announced;
	if (what == PH_ANNOUNCE_DOWN) {
		a->public_endpoint = m->announced;
		a->local = m->announced_private;
		m->announced.port = 0;
		return;
	}
	a->public_endpoint = m->announced = m->public_endpoint;
	a->local = m->announced_private = m->private_endpoint;
}

static void bind_taken(struct ph_mapping *m, int error, uint64_t now_ms, struct ph_actions *actions)
{
	unsigned range = (unsigned)(m->config.bind_last - m->config.bind_first) + 1;
	struct ph_action *note;
	bool exhausted;

	close_all(m, actions);
	m->bind_tries++;
	if (range > 1)
		m->bind_port = m->bind_port == m->config.bind_last ? m->config.bind_first
								   : (uint16_t)(m->bind_port + 1);
	exhausted = m->bind_tries % range == 0;
	note = mapping_note(actions, exhausted ? PH_NOTE_BIND_TAKEN : PH_NOTE_BIND_NEXT);
	note->error = error;
	note->local = m->private_endpoint;
	if (exhausted)
		m->bind_retry_ms = now_ms + BIND_RETRY_MS;
	else
		note->local.port = m->bind_port;
	restart(m, now_ms, actions);
	if (exhausted && m->announced.port)
		announce(m, PH_ANNOUNCE_DOWN, actions);
}

static void on_start(struct ph_mapping *m, const struct ph_event *event, uint64_t now_ms)
{
	unsigned range = (unsigned)(m->config.bind_last - m->config.bind_first) + 1;

	memcpy(&m->seed, event->random, sizeof(m->seed));
	m->seed |= 1; /* xorshift's only fixed point is 0 */
	m->bind_port = m->config.bind_first;
	if (m->config.bind_random)
		m->bind_port = (uint16_t)(m->bind_port + mapping_random(m) % range);
	for (unsigned kind = 0; kind < 2; kind++)
		for (size_t i = 0; i < servers(m, kind)->n && i < PH_SERVERS_MAX; i++)
			m->lookups[kind][i].due_ms = kind_needed(m, kind) ? now_ms : UINT64_MAX;
}

/* Another address may be another network: what failed before may work now. */
static void forgive(struct ph_mapping *m, uint64_t now_ms)
{
	m->said_dependent = false;
	m->refuted = 0;
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
	if (ph_address_equal(&event->address, &m->private_endpoint.address) &&
	    strcmp(event->interface, m->interface) == 0)
		return;
	m->private_endpoint.address = event->address;
	strncpy(m->interface, event->interface, PH_INTERFACE_MAX);
	forgive(m, now_ms);
	restart(m, now_ms, actions);
	if (m->state == PH_MAPPING_WAITING && m->announced.port)
		announce(m, PH_ANNOUNCE_DOWN, actions);
}

static void on_resolved(struct ph_mapping *m, const struct ph_event *event, uint64_t now_ms,
			struct ph_actions *actions)
{
	struct lookup *l = &m->lookups[event->kind][event->server];
	uint16_t port = servers(m, event->kind)->items[event->server].port;

	l->busy = false;
	l->done_ms = now_ms;
	if (event->n_addresses == 0) {
		struct ph_action *note = mapping_note(actions, PH_NOTE_RESOLVE_FAILED);

		note->repeated = l->failures > 0;
		l->due_ms = now_ms + ph_backoff_ms(l->failures);
		if (l->failures < UINT8_MAX)
			l->failures++;
		note->kind = event->kind;
		note->server_index = event->server;
		note->error = event->error;
		return;
	}
	l->due_ms = UINT64_MAX;
	l->failures = 0;
	if (!ph_pool_set(&m->pools[event->kind], event->server, port, event->addresses,
			 event->n_addresses, m->generation + 1))
		return;
	mapping_peers_changed(m);
}

static void on_installed(struct ph_mapping *m, const struct ph_event *event, uint64_t now_ms)
{
	if (event->generation <= m->installed)
		return;
	m->installed = event->generation;
	/* Candidates that had to wait for this may be picked now. */
	for (unsigned i = 0; i < PH_FLOW_HOLDERS; i++)
		if (m->holder_due_ms[i] == UINT64_MAX)
			m->holder_due_ms[i] = now_ms;
	if (m->probe_due_ms == UINT64_MAX)
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
		mapping_close(m, event->flow, true, actions);
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
		for (size_t i = 0; i < servers(m, kind)->n; i++) {
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

/* The want's public endpoint follows what was learned, as soon as something holds the mapping. */
static void settle_public(struct ph_mapping *m, struct ph_actions *actions)
{
	if (m->learned.port && !ph_endpoint_equal(&m->learned, &m->public_endpoint) &&
	    (mapping_open_holders(m) > 0 || m->announced.port)) {
		m->public_endpoint = m->learned;
		m->public_generation = ++m->generation;
	}
	if (m->state == PH_MAPPING_LOST) {
		if (m->announced.port)
			announce(m, PH_ANNOUNCE_DOWN, actions);
		return;
	}
	if (m->public_endpoint.port == 0 || m->installed < m->public_generation ||
	    !ph_endpoint_equal(&m->learned, &m->public_endpoint))
		return;
	m->state = PH_MAPPING_UP;
	if (m->announced.port == 0)
		announce(m, PH_ANNOUNCE_UP, actions);
	else if (!ph_endpoint_equal(&m->announced, &m->public_endpoint) ||
		 !ph_endpoint_equal(&m->announced_private, &m->private_endpoint))
		announce(m, PH_ANNOUNCE_CHANGE, actions);
}

static bool pool_installed(const struct ph_mapping *m, enum ph_server_kind kind)
{
	for (size_t i = 0; i < m->pools[kind].n; i++)
		if (m->pools[kind].items[i].generation <= m->installed)
			return true;
	return false;
}

static void settle(struct ph_mapping *m, uint64_t now_ms, struct ph_actions *actions)
{
	if (m->state == PH_MAPPING_STOPPED)
		return;
	/* Without an address there is nobody to ask, and nothing to ask for. */
	if (m->private_endpoint.port == 0)
		return;
	settle_lookups(m, now_ms, actions);
	if (m->bind_retry_ms > now_ms)
		return;
	m->bind_retry_ms = 0;
	if (m->state == PH_MAPPING_RESOLVING || m->state == PH_MAPPING_PREPARING) {
		if (m->pools[PH_SERVER_STUN].n == 0 ||
		    (m->config.proto == PH_TCP && m->pools[PH_SERVER_KEEPALIVE].n == 0))
			return;
		m->state = PH_MAPPING_PREPARING;
		if (!pool_installed(m, PH_SERVER_STUN) ||
		    (m->config.proto == PH_TCP && !pool_installed(m, PH_SERVER_KEEPALIVE)))
			return;
		m->state = PH_MAPPING_OPENING;
	}
	holder_settle(m, now_ms, actions);
	probe_settle(m, now_ms, actions);
	settle_public(m, actions);
	holder_report(m, actions);
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
		assert(m->flows[event->flow].state == FLOW_CONNECTING);
		m->flows[event->flow].state = FLOW_OPEN;
		m->bind_tries = 0;
		if (mapping_is_holder(event->flow))
			holder_connected(m, event->flow, event, now_ms, actions);
		else
			probe_connected(m, event->flow, event, now_ms, actions);
		break;
	case PH_EVENT_BYTES:
		assert(m->flows[event->flow].state == FLOW_OPEN);
		if (mapping_is_holder(event->flow))
			holder_bytes(m, event->flow, event, now_ms, actions);
		else
			probe_bytes(m, event->flow, event, now_ms, actions);
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
	case PH_EVENT_STOP:
		close_all(m, actions);
		m->state = PH_MAPPING_STOPPED;
		if (m->announced.port)
			announce(m, PH_ANNOUNCE_DOWN, actions);
		m->private_endpoint.port = 0;
		m->public_endpoint.port = 0;
		m->generation++;
		break;
	}
	settle(m, now_ms, actions);
}

static void earlier(uint64_t *at, uint64_t candidate)
{
	if (candidate < *at)
		*at = candidate;
}

uint64_t ph_mapping_deadline(const struct ph_mapping *m)
{
	uint64_t at = UINT64_MAX;
	bool probing = false;

	if (m->state == PH_MAPPING_STOPPED || m->private_endpoint.port == 0)
		return at;
	for (unsigned kind = 0; kind < 2; kind++)
		for (size_t i = 0; i < servers(m, kind)->n; i++)
			if (!m->lookups[kind][i].busy)
				earlier(&at, m->lookups[kind][i].due_ms);
	if (m->state != PH_MAPPING_OPENING && m->state != PH_MAPPING_UP &&
	    m->state != PH_MAPPING_LOST) {
		if (m->bind_retry_ms && m->private_endpoint.port)
			earlier(&at, m->bind_retry_ms);
		return at;
	}
	for (unsigned i = 0; i < PH_FLOWS; i++) {
		if (m->flows[i].state != FLOW_CLOSED) {
			earlier(&at, m->flows[i].deadline_ms);
			probing = probing || !mapping_is_holder(i);
		} else if (mapping_is_holder(i) && (i == 0 || m->config.proto == PH_TCP)) {
			earlier(&at, m->holder_due_ms[i]);
		}
	}
	if (!probing && (m->config.proto == PH_TCP || m->learned.port))
		earlier(&at, m->probe_due_ms);
	return at;
}

uint64_t ph_mapping_want(const struct ph_mapping *m, struct ph_plan_mapping *ret_want)
{
	*ret_want = (struct ph_plan_mapping){
		.proto = m->config.proto,
		.private_endpoint = m->private_endpoint,
		.public_endpoint = m->public_endpoint,
		.open = m->public_endpoint.port != 0,
		.target = m->config.target,
		.peers = m->peers,
		.n_peers = m->n_peers,
	};
	memcpy(ret_want->name, m->config.name, sizeof(ret_want->name));
	memcpy(ret_want->interface, m->interface, sizeof(ret_want->interface));
	return m->generation;
}

int ph_mapping_new(const struct ph_mapping_config *config, struct ph_mapping **ret_mapping)
{
	struct ph_mapping *m = calloc(1, sizeof(*m));

	assert(config->bind_first > 0 && config->bind_first <= config->bind_last);
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
		free(m->flows[i].tx);
	free(m);
}

enum ph_mapping_state ph_mapping_state(const struct ph_mapping *m)
{
	return m->state;
}

const struct ph_mapping_config *ph_mapping_config(const struct ph_mapping *m)
{
	return &m->config;
}

struct ph_endpoint ph_mapping_private(const struct ph_mapping *m)
{
	return m->private_endpoint;
}

struct ph_endpoint ph_mapping_public(const struct ph_mapping *m)
{
	return m->public_endpoint;
}
