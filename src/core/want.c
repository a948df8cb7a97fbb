/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * What a mapping wants of the table, and who is told of it. The order is the promise: a want is
 * made here, the kernel acknowledges it (PH_EVENT_INSTALLED), and only then `up` or `change` is
 * announced.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mapping_internal.h"

int want_reserve(struct ph_mapping *m, size_t n)
{
	/* Open flows to servers that are candidates no more are peers, too. */
	size_t room = m->pools[0].n + m->pools[1].n + n + PH_FLOWS;
	struct ph_endpoint *peers;

	if (room <= m->room_peers)
		return 0;
	peers = realloc(m->peers, room * sizeof(*peers));
	if (!peers)
		return -ENOMEM;
	m->peers = peers;
	m->room_peers = room;
	return 0;
}

void want_peers_changed(struct ph_mapping *m)
{
	m->peers_generation = ++m->generation;
	m->n_peers = 0;
	for (unsigned kind = 0; kind < 2; kind++)
		for (size_t i = 0; i < m->pools[kind].n; i++)
			m->peers[m->n_peers++] = m->pools[kind].items[i].endpoint;
	for (unsigned i = 0; i < PH_FLOWS; i++)
		if (m->flows[i].state != FLOW_CLOSED && !mapping_candidate(m, i))
			m->peers[m->n_peers++] = m->flows[i].server;
}

void want_no_public(struct ph_mapping *m)
{
	if (m->public_endpoint.port == 0)
		return;
	m->public_endpoint = (struct ph_endpoint){ 0 };
	m->generation++;
}

static void count_change(struct ph_mapping *m, uint64_t now_ms)
{
	if (ph_endpoint_equal(&m->announced_last, &m->public_endpoint))
		return;
	if (m->announced_last.port)
		m->changes++;
	m->announced_last = m->public_endpoint;
	m->endpoint_since_ms = now_ms;
}

void want_announce(struct ph_mapping *m, enum ph_announce what, uint64_t now_ms,
		   struct ph_actions *actions)
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
	count_change(m, now_ms);
}

bool want_is_loop(const struct ph_mapping *m)
{
	const struct ph_plan_mapping want = {
		.private_endpoint = m->private_endpoint,
		.public_endpoint = m->public_endpoint,
		.target = m->config.target,
	};

	return ph_plan_is_loop(&want);
}

static void report_loop(struct ph_mapping *m, struct ph_actions *actions)
{
	struct ph_endpoint own = m->public_endpoint;

	if (m->said_loop)
		return;
	m->said_loop = true;
	if (!ph_address_equal(&own.address, &m->config.target.address))
		own = m->private_endpoint;
	mapping_note(actions, PH_NOTE_LOOP)->local = own;
}

void want_settle(struct ph_mapping *m, uint64_t now_ms, struct ph_actions *actions)
{
	bool held = mapping_open_holders(m) > 0 || m->announced.port;

	if (m->learned.port && held && !ph_endpoint_equal(&m->learned, &m->public_endpoint)) {
		m->public_endpoint = m->learned;
		m->public_generation = ++m->generation;
	}
	if (m->state == PH_MAPPING_LOST) {
		if (m->announced.port)
			want_announce(m, PH_ANNOUNCE_DOWN, now_ms, actions);
		return;
	}
	if (want_is_loop(m)) {
		m->state = PH_MAPPING_OPENING;
		if (m->announced.port)
			want_announce(m, PH_ANNOUNCE_DOWN, now_ms, actions);
		report_loop(m, actions);
		return;
	}
	m->said_loop = false;
	/* Nobody hears of an endpoint that nothing holds, nor of one that is not in the table. */
	if (!held || m->public_endpoint.port == 0 || m->installed < m->public_generation ||
	    !ph_endpoint_equal(&m->learned, &m->public_endpoint))
		return;
	m->state = PH_MAPPING_UP;
	if (m->announced.port == 0)
		want_announce(m, PH_ANNOUNCE_UP, now_ms, actions);
	else if (!ph_endpoint_equal(&m->announced, &m->public_endpoint) ||
		 !ph_endpoint_equal(&m->announced_private, &m->private_endpoint))
		want_announce(m, PH_ANNOUNCE_CHANGE, now_ms, actions);
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
		.peers_generation = m->peers_generation,
	};
	memcpy(ret_want->name, m->config.name, sizeof(ret_want->name));
	memcpy(ret_want->interface, m->interface, sizeof(ret_want->interface));
	return m->generation;
}
