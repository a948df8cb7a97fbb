/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What status tells of a mapping. */

#include <string.h>

#include "mapping_internal.h"

static const char *why_resolving(const struct ph_mapping *m)
{
	if (m->bind_retry_ms)
		return "the bind port is taken; the log says by whom";
	if (m->pools[PH_SERVER_STUN].n == 0)
		return mapping_looking_up(m, PH_SERVER_STUN)
			       ? "the STUN servers' names are being looked up"
			       : "no STUN server's name could be looked up";
	return mapping_looking_up(m, PH_SERVER_KEEPALIVE)
		       ? "the keep-alive servers' names are being looked up"
		       : "no keep-alive server's name could be looked up";
}

static const char *why_opening(const struct ph_mapping *m)
{
	if (m->independence == PH_DEPENDENT)
		return "the NAT gives each server another port (symmetric NAT): nobody outside can "
		       "use it";
	if (want_is_loop(m))
		return "the target is the mapping's own endpoint, a loop; for a service on this "
		       "machine give only the port";
	if (m->learned.port && mapping_open_holders(m) == 0)
		return m->config.proto == PH_TCP ? "no keep-alive server can be reached"
						 : "no STUN server keeps answering";
	if (m->learned.port)
		return "the table is not installed";
	if (m->disputes)
		return "the STUN servers tell different endpoints";
	if (m->round.n)
		return "only one STUN server has answered so far";
	return m->probe_failures ? "no STUN server answers" : "the STUN servers are being asked";
}

static const char *why_up(const struct ph_mapping *m)
{
	if (m->independence == PH_INDEPENDENCE_UNKNOWN)
		return "only one STUN server answered";
	if (!round_can_verify(m))
		return "too few STUN servers for a fresh one every `verify`";
	if (m->said_one_holder && mapping_open_holders(m) < PH_FLOW_HOLDERS)
		return "only one holder: there is no keep-alive server at another address";
	return NULL;
}

static const char *why(const struct ph_mapping *m)
{
	switch (m->state) {
	case PH_MAPPING_WAITING:
		return "waiting for the interface";
	case PH_MAPPING_RESOLVING:
		return why_resolving(m);
	case PH_MAPPING_PREPARING:
		return "the table is not installed";
	case PH_MAPPING_OPENING:
		return why_opening(m);
	case PH_MAPPING_UP:
		return why_up(m);
	case PH_MAPPING_LOST:
		return "no holder is connected and no STUN server answers";
	case PH_MAPPING_STOPPED:
		return "stopped";
	}
	return NULL;
}

static struct ph_endpoint installed_public(const struct ph_mapping *m)
{
	/* Of one that is lost the table goes on leading from it, for it may come back; but `down`
	 * has been told. */
	if (m->state == PH_MAPPING_LOST || want_is_loop(m))
		return (struct ph_endpoint){ 0 };
	if (m->public_endpoint.port == 0 || m->installed >= m->public_generation)
		return m->public_endpoint;
	/* A new one is on its way; until then the table has the old one. */
	return m->state == PH_MAPPING_UP ? m->announced : (struct ph_endpoint){ 0 };
}

void ph_mapping_view(const struct ph_mapping *m, uint64_t now_ms, struct ph_mapping_view *ret_view)
{
	struct ph_mapping_view *v = ret_view;

	(void)now_ms;
	memset(v, 0, sizeof(*v)); /* padding, too: views are compared as a whole */
	v->state = m->state;
	v->why = why(m);
	v->private_endpoint = m->private_endpoint;
	v->public_endpoint = installed_public(m);
	v->state_since_ms = m->state_since_ms;
	v->endpoint_since_ms = m->endpoint_since_ms;
	v->verified_ms = m->verified_ms;
	v->changes = m->changes;
	v->can_verify = round_can_verify(m);
	v->independence = m->independence;
	for (unsigned i = 0; i < PH_FLOW_HOLDERS; i++) {
		const struct flow *f = &m->flows[i];
		struct ph_holder_view *h = &v->holders[v->n_holders];

		if (f->state == FLOW_CLOSED)
			continue;
		h->server = f->server;
		h->open = f->state == FLOW_OPEN && (m->config.proto == PH_TCP || f->answers > 0);
		h->since_ms = f->opened_ms;
		h->rtt_ms = f->rtt_ms;
		v->n_holders++;
	}
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
