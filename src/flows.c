/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * A mapping's sockets and look-ups: what the machine opens, and the events that come of it. What
 * fails at once is queued, because the machine is not told of one action's end while it carries out
 * the next.
 */

#include <pinhold/resolve.h>
#include <pinhold/socket.h>

#include "mapping_run.h"

static void on_connected(void *data)
{
	struct flow_run *f = data;
	struct ph_event event = { .type = PH_EVENT_CONNECTED, .flow = f->index };

	ph_daemon_random(&event);
	ph_daemon_feed(f->run, &event);
}

static void on_bytes(void *data, const struct ph_endpoint *from, const uint8_t *buf, size_t len)
{
	struct flow_run *f = data;
	struct ph_event event = {
		.type = PH_EVENT_BYTES,
		.flow = f->index,
		.from = *from,
		.bytes = buf,
		.len = len,
	};

	ph_daemon_feed(f->run, &event);
}

static void on_closed(void *data, int error)
{
	struct flow_run *f = data;
	struct ph_event event = { .type = PH_EVENT_CLOSED, .flow = f->index, .error = error };

	f->socket = NULL;
	ph_daemon_feed(f->run, &event);
}

void flows_open(struct mapping_run *run, const struct ph_action *a)
{
	static const struct ph_socket_events events = {
		.connected = on_connected,
		.bytes = on_bytes,
		.closed = on_closed,
	};
	struct ph_plan_mapping want;
	bool at_bind;
	struct flow_run *f = &run->flows[a->flow];
	struct ph_socket_options options = {
		.proto = run->config->core.proto,
		.local = a->local,
		.remote = a->server,
		.fwmark = run->config->fwmark,
		.detect_ms = a->holder ? run->config->detect_ms : 0,
	};
	int r;

	f->serial++;
	ph_mapping_want(run->machine, &want);
	options.interface = want.interface;
	r = ph_socket_open(ph_daemon_loop(run->daemon), &options, &events, f, &f->socket, &at_bind);
	if (r < 0) {
		struct ph_event event = {
			.type = PH_EVENT_CLOSED,
			.flow = a->flow,
			.error = -r,
			.at_bind = at_bind,
		};

		ph_daemon_queue(run, &event, NULL);
	}
}

static void on_resolved(void *data, int error, const struct ph_address *addresses, size_t n)
{
	struct lookup_run *l = data;
	struct ph_event event = {
		.type = PH_EVENT_RESOLVED,
		.kind = l->kind,
		.server = l->server,
		.error = error,
		.addresses = addresses,
		.n_addresses = n,
	};

	l->request = NULL;
	ph_daemon_feed(l->run, &event);
}

void flows_resolve(struct mapping_run *run, const struct ph_action *a)
{
	const struct ph_server_list *list =
		a->kind == PH_SERVER_STUN ? run->config->core.stun : run->config->core.keepalive;
	struct lookup_run *l = &run->lookups[a->kind][a->server_index];
	const char *host = list->items[a->server_index].host;
	struct ph_event event = {
		.type = PH_EVENT_RESOLVED,
		.kind = a->kind,
		.server = a->server_index,
	};
	struct ph_address address = { 0 };
	int r = UV_EAI_ADDRFAMILY;

	if (ph_address_parse(host, &address) < 0)
		r = ph_resolve_start(ph_daemon_resolver(run->daemon), host,
				     run->config->core.family, on_resolved, l, &l->request);
	else if (address.family == run->config->core.family)
		r = 1;
	if (r == 0)
		return;
	event.error = r < 0 ? r : 0;
	event.n_addresses = r > 0;
	ph_daemon_queue(run, &event, &address);
}

void flows_close(struct mapping_run *run, unsigned flow)
{
	struct flow_run *f = &run->flows[flow];

	ph_socket_close(f->socket);
	f->socket = NULL;
	f->serial++;
}

void flows_init(struct mapping_run *run)
{
	for (unsigned f = 0; f < PH_FLOWS; f++)
		run->flows[f] = (struct flow_run){ .run = run, .index = f };
	for (unsigned kind = 0; kind < 2; kind++)
		for (size_t s = 0; s < PH_SERVERS_MAX; s++)
			run->lookups[kind][s] =
				(struct lookup_run){ .run = run, .kind = kind, .server = s };
}

void flows_done(struct mapping_run *run)
{
	for (unsigned f = 0; f < PH_FLOWS; f++)
		flows_close(run, f);
	for (unsigned kind = 0; kind < 2; kind++)
		for (size_t s = 0; s < PH_SERVERS_MAX; s++)
			ph_resolve_cancel(run->lookups[kind][s].request);
}
