/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Other settings for a mapping that goes on. */

#include <assert.h>
#include <string.h>

#include "mapping_internal.h"

static bool same_server(const struct ph_server *a, const struct ph_server *b)
{
	return a->port == b->port && strcmp(a->host, b->host) == 0;
}

static bool same_list(const struct ph_server_list *a, const struct ph_server_list *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (!same_server(&a->items[i], &b->items[i]))
			return false;
	return true;
}

static bool same_target(const struct ph_target *a, const struct ph_target *b)
{
	return a->kind == b->kind && a->port == b->port &&
	       (a->kind != PH_TARGET_ADDRESS || ph_address_equal(&a->address, &b->address));
}

/* Where server i of the old list stands in the new one; negative: nowhere. */
static void map_servers(const struct ph_server_list *from, const struct ph_server_list *list,
			int to[static PH_SERVERS_MAX])
{
	for (size_t i = 0; i < from->n; i++) {
		to[i] = -1;
		for (size_t j = 0; j < list->n && to[i] < 0; j++)
			if (same_server(&from->items[i], &list->items[j]))
				to[i] = (int)j;
	}
}

/* A server that was listed before keeps what is known of its name. */
static void move_lookups(struct ph_mapping *m, enum ph_server_kind kind, size_t n_old, size_t n_new,
			 const int to[static PH_SERVERS_MAX], uint64_t now_ms)
{
	struct lookup old[PH_SERVERS_MAX];
	struct lookup *lookups = m->lookups[kind];

	memcpy(old, lookups, sizeof(old));
	for (size_t i = 0; i < PH_SERVERS_MAX; i++)
		lookups[i] = (struct lookup){ .due_ms = i < n_new && mapping_needs(m, kind)
								? now_ms
								: UINT64_MAX };
	for (size_t i = 0; i < n_old; i++)
		if (to[i] >= 0)
			lookups[to[i]] = old[i];
}

static void forget_busy(struct ph_mapping *m, enum ph_server_kind kind, uint64_t now_ms)
{
	for (size_t i = 0; i < PH_SERVERS_MAX; i++) {
		struct lookup *l = &m->lookups[kind][i];

		if (!l->busy)
			continue;
		l->busy = false;
		l->due_ms = now_ms;
	}
}

/* Returns true if the peers are others now. */
static bool change_list(struct ph_mapping *m, enum ph_server_kind kind,
			const struct ph_server_list *list, uint64_t now_ms)
{
	const struct ph_server_list *old = mapping_servers(m, kind);
	int to[PH_SERVERS_MAX];

	forget_busy(m, kind, now_ms);
	if (same_list(old, list))
		return false;
	map_servers(old, list, to);
	move_lookups(m, kind, old->n, list->n, to, now_ms);
	if (kind == PH_SERVER_KEEPALIVE) {
		m->said_one_holder = false;
		for (unsigned i = 0; i < PH_FLOW_HOLDERS; i++)
			m->holder_due_ms[i] = now_ms;
	} else {
		m->said_cannot_verify = false;
		/* Others are asked; they may agree where these did not, or confirm the only one. */
		if (m->independence != PH_INDEPENDENT) {
			m->independence = PH_INDEPENDENCE_UNKNOWN;
			m->disputes = 0;
			if (m->probe_due_ms > now_ms)
				m->probe_due_ms = now_ms;
		}
	}
	return ph_pool_renumber(&m->pools[kind], to, old->n);
}

static void sooner(uint64_t *at, uint64_t limit)
{
	if (*at != UINT64_MAX && *at > limit)
		*at = limit;
}

void mapping_reconfigure(struct ph_mapping *m, const struct ph_mapping_config *config,
			 uint64_t now_ms)
{
	uint16_t bind_start = m->config.bind_start;
	bool peers;

	assert(strcmp(config->name, m->config.name) == 0);
	assert(config->proto == m->config.proto && config->family == m->config.family);
	assert(config->bind_first == m->config.bind_first &&
	       config->bind_last == m->config.bind_last &&
	       config->bind_random == m->config.bind_random);
	peers = change_list(m, PH_SERVER_STUN, config->stun, now_ms);
	peers = change_list(m, PH_SERVER_KEEPALIVE, config->keepalive, now_ms) || peers;
	if (!same_target(&config->target, &m->config.target))
		m->generation++;
	m->config = *config;
	m->config.bind_start = bind_start;
	if (peers)
		want_peers_changed(m);
	for (unsigned i = 0; i < PH_FLOW_HOLDERS; i++)
		if (m->flows[i].state == FLOW_OPEN && !m->flows[i].awaiting)
			sooner(&m->flows[i].deadline_ms, now_ms + config->interval_ms);
	if (m->independence != PH_DEPENDENT)
		sooner(&m->probe_due_ms, now_ms + config->verify_ms);
}

void ph_mapping_reconfigure(struct ph_mapping *m, const struct ph_mapping_config *config,
			    uint64_t now_ms, struct ph_actions *actions)
{
	const struct ph_event event = { .type = PH_EVENT_CONFIG, .config = config };

	ph_mapping_event(m, &event, now_ms, actions);
}
