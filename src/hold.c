/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * One bind port being held: the machine, and its actions carried out by sockets and look-ups. What
 * fails at once is queued, because the machine is not told of one action's end while it carries out
 * the next.
 */

#include "mapping_run.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <pinhold/log.h>

#include "notes.h"

#define OWN_PORT_TRIES 16

/* ---- flows ---- */

static void on_connected(void *data)
{
	struct flow_run *f = data;
	struct ph_event event = { .type = PH_EVENT_CONNECTED, .flow = f->index };

	ph_daemon_random(&event);
	ph_daemon_feed(f->hold, &event);
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

	ph_daemon_feed(f->hold, &event);
}

static void on_closed(void *data, int error)
{
	struct flow_run *f = data;
	struct ph_event event = { .type = PH_EVENT_CLOSED, .flow = f->index, .error = error };

	f->socket = NULL;
	ph_daemon_return_socket(f->hold->run->daemon);
	ph_daemon_feed(f->hold, &event);
}

static struct ph_socket_options socket_options(const struct hold *hold, bool holder)
{
	const struct ph_config_mapping *config = hold->run->config;

	return (struct ph_socket_options){
		.proto = config->core.proto,
		.fwmark = config->fwmark,
		.detect_ms = holder ? config->detect_ms : 0,
	};
}

static int open_socket(struct hold *hold, const struct ph_action *a, bool *ret_at_bind)
{
	static const struct ph_socket_events events = {
		.connected = on_connected,
		.bytes = on_bytes,
		.closed = on_closed,
	};
	struct ph_daemon *d = hold->run->daemon;
	struct flow_run *f = &hold->flows[a->flow];
	struct ph_socket_options options = socket_options(hold, a->holder);
	struct ph_plan_mapping want;
	int r;

	ph_mapping_want(hold->machine, &want);
	options.interface = want.interface;
	options.local = hold->own.port ? hold->own : a->local;
	options.remote = a->server;
	*ret_at_bind = true;
	/* The kernel lets our own sockets share a port, another mapping's too. */
	if (!ph_endpoint_equal(&hold->claim, &a->local))
		return -EADDRINUSE;
	*ret_at_bind = false;
	if (!ph_daemon_take_socket(d))
		return -EMFILE;
	r = ph_socket_open(ph_daemon_loop(d), &options, &events, f, &f->socket, ret_at_bind);
	if (r < 0)
		ph_daemon_return_socket(d);
	return r;
}

static void open_flow(struct hold *hold, const struct ph_action *a)
{
	struct ph_event event = { .type = PH_EVENT_CLOSED, .flow = a->flow };
	struct flow_run *f = &hold->flows[a->flow];
	int r;

	f->serial++;
	r = open_socket(hold, a, &event.at_bind);
	if (r < 0) {
		event.error = -r;
		ph_daemon_queue(hold, &event, NULL);
	}
}

static void close_flow(struct hold *hold, unsigned flow)
{
	struct flow_run *f = &hold->flows[flow];

	if (f->socket)
		ph_daemon_return_socket(hold->run->daemon);
	ph_socket_close(f->socket);
	f->socket = NULL;
	f->serial++;
}

/* ---- look-ups ---- */

static void forget_lookup(struct lookup_run *l)
{
	struct lookup_run **at = &l->hold->lookups;

	while (*at != l)
		at = &(*at)->next;
	*at = l->next;
	free(l);
}

static void on_resolved(void *data, int error, const struct ph_address *addresses, size_t n)
{
	struct lookup_run *l = data;
	struct hold *hold = l->hold;
	struct ph_event event = {
		.type = PH_EVENT_RESOLVED,
		.kind = l->kind,
		.server = l->server,
		.error = error,
		.addresses = addresses,
		.n_addresses = n,
	};

	forget_lookup(l);
	ph_daemon_feed(hold, &event);
}

static int start_lookup(struct hold *hold, const struct ph_action *a, const char *host)
{
	struct lookup_run *l = malloc(sizeof(*l));
	int r;

	if (!l)
		return UV_ENOMEM;
	*l = (struct lookup_run){
		.hold = hold,
		.next = hold->lookups,
		.kind = a->kind,
		.server = a->server_index,
	};
	hold->lookups = l;
	r = ph_resolve_start(ph_daemon_resolver(hold->run->daemon), host,
			     hold->run->config->core.family, on_resolved, l, &l->request);
	if (r < 0)
		forget_lookup(l);
	return r;
}

static void resolve(struct hold *hold, const struct ph_action *a)
{
	const struct ph_mapping_config *core = &hold->run->config->core;
	const struct ph_server_list *list =
		a->kind == PH_SERVER_STUN ? core->stun : core->keepalive;
	const char *host = list->items[a->server_index].host;
	struct ph_event event = {
		.type = PH_EVENT_RESOLVED,
		.kind = a->kind,
		.server = a->server_index,
	};
	struct ph_address address = { 0 };
	int r = UV_EAI_ADDRFAMILY;

	if (ph_address_parse(host, &address) < 0)
		r = start_lookup(hold, a, host);
	else if (address.family == core->family)
		r = 1;
	if (r == 0)
		return;
	event.error = r < 0 ? r : 0;
	event.n_addresses = r > 0;
	ph_daemon_queue(hold, &event, &address);
}

static void cancel_lookups(struct hold *hold)
{
	while (hold->lookups) {
		struct lookup_run *l = hold->lookups;

		hold->lookups = l->next;
		ph_resolve_cancel(l->request);
		free(l);
	}
}

/* ---- the machine ---- */

void hold_carry_out(struct hold *hold, const struct ph_action *a)
{
	switch (a->type) {
	case PH_ACTION_RESOLVE:
		resolve(hold, a);
		break;
	case PH_ACTION_OPEN:
		open_flow(hold, a);
		break;
	case PH_ACTION_SEND:
		if (hold->flows[a->flow].socket)
			ph_socket_send(hold->flows[a->flow].socket, a->bytes, a->len);
		break;
	case PH_ACTION_CLOSE:
		close_flow(hold, a->flow);
		break;
	case PH_ACTION_ANNOUNCE:
		run_announce(hold, a);
		break;
	case PH_ACTION_NOTE:
		note_log(hold, a);
		break;
	}
}

static void on_deadline(uv_timer_t *timer)
{
	struct hold *hold = timer->data;
	struct ph_event event = { .type = PH_EVENT_TIMER };

	/* Over UDP the holder's next transaction begins here. */
	if (hold->run->config->core.proto == PH_UDP)
		ph_daemon_random(&event);
	ph_daemon_feed(hold, &event);
}

void hold_set_timer(struct hold *hold)
{
	uint64_t at = ph_mapping_deadline(hold->machine), now = ph_daemon_now(hold->run->daemon);

	if (at == UINT64_MAX)
		uv_timer_stop(&hold->timer);
	else
		uv_timer_start(&hold->timer, on_deadline, at > now ? at - now : 0, 0);
}

static void release_one(struct hold *hold, struct ph_endpoint *endpoint)
{
	if (endpoint->port)
		ph_ports_release(ph_daemon_ports(hold->run->daemon), hold->run->config->core.proto,
				 endpoint, hold);
	*endpoint = (struct ph_endpoint){ 0 };
}

static void release(struct hold *hold)
{
	release_one(hold, &hold->own);
	release_one(hold, &hold->claim);
	if (hold->own_fd >= 0)
		close(hold->own_fd);
	hold->own_fd = -1;
}

/*
 * Where nothing is translated the bind port is a service's of this machine, now or later: were our
 * own sockets there, it could not be started. Over UDP the kernel may give us a port that another
 * hold has, because both would share it.
 */
static int borrow(struct hold *hold)
{
	const struct ph_mapping_config *core = &hold->run->config->core;
	struct ph_ports *ports = ph_daemon_ports(hold->run->daemon);
	struct ph_plan_mapping want;

	if (!ph_plan_shares_port(&core->target, hold->claim.port))
		return 0;
	ph_mapping_want(hold->machine, &want);
	for (unsigned try = 0; try < OWN_PORT_TRIES; try++) {
		struct ph_endpoint own = hold->claim;
		int fd = -1;
		int r = ph_socket_reserve(core->proto, want.interface, try, &own, &fd);

		if (r < 0)
			return r;
		if (ph_ports_take(ports, core->proto, &own, hold) == 0) {
			hold->own = own;
			hold->own_fd = fd;
			return 0;
		}
		close(fd);
	}
	return -EADDRINUSE;
}

void hold_claim(struct hold *hold)
{
	struct ph_daemon *d = hold->run->daemon;
	struct ph_endpoint local = ph_mapping_private(hold->machine);
	int r;

	if (ph_endpoint_equal(&hold->claim, &local))
		return;
	release(hold);
	if (local.port == 0 ||
	    ph_ports_take(ph_daemon_ports(d), hold->run->config->core.proto, &local, hold) < 0)
		return;
	hold->claim = local;
	r = borrow(hold);
	if (r < 0) {
		ph_warning("no local port mapping=%s: %s", hold->run->config->core.name,
			   strerror(-r));
		release(hold);
		return;
	}
	/* The machine may have wanted it before, in vain. */
	ph_daemon_table_changed(d);
}

/* The kernel refuses a source in 127.0.0.0/8 on an interface without route_localnet (route.c,
 * __mkroute_output()), and asks before the reply is routed back by the uplink. */
static void set_turned_from(const struct mapping_run *run, struct ph_plan_mapping *want)
{
	const struct links_seen *seen = ph_daemon_default_route(run->daemon);

	if (want->uplink && ph_plan_is_localnet(want) && seen->answer == PH_LINKS_FOUND &&
	    strcmp(seen->name, want->interface) != 0)
		memcpy(want->turned_from, seen->name, sizeof(want->turned_from));
}

uint64_t hold_want(const struct hold *hold, struct ph_plan_mapping *ret_want)
{
	const struct mapping_run *run = hold->run;
	uint64_t generation = ph_mapping_want(hold->machine, ret_want);

	ret_want->retiring = hold->role == HOLD_OLD;
	/* Another mapping has that port: the machine hears of it as soon as it opens a flow. */
	if (!hold->claim.port)
		ret_want->private_endpoint.port = 0;
	/* What the successor learns is for nobody yet. */
	if (hold->role == HOLD_NEXT)
		ret_want->open = false;
	ret_want->loopback = run->config->loopback;
	ret_want->snat = run->config->snat;
	ret_want->allow = run->config->allowed;
	ret_want->limit = run->config->limit;
	ret_want->uplink = run->uplink.number;
	ret_want->own_port = hold->own.port;
	set_turned_from(run, ret_want);
	ret_want->public_is_inside =
		ret_want->public_endpoint.port &&
		ph_daemon_is_inside(run->daemon, &ret_want->private_endpoint.address,
				    &ret_want->public_endpoint.address);
	return generation;
}

void hold_look(struct hold *hold, const struct links_seen *seen)
{
	struct ph_event event = {
		.type = PH_EVENT_ADDRESS,
		.interface = seen->name,
		.index = seen->index,
		.address = seen->address,
	};

	ph_daemon_feed(hold, &event);
}

void hold_reconfigure(struct hold *hold)
{
	struct ph_event event = { .type = PH_EVENT_CONFIG, .config = &hold->run->config->core };

	/* The servers' numbers in the list may be others now. */
	cancel_lookups(hold);
	for (unsigned f = 0; f < PH_FLOWS; f++) {
		struct ph_socket_options options = socket_options(hold, f < PH_FLOW_HOLDERS);

		if (hold->flows[f].socket)
			ph_socket_adjust(hold->flows[f].socket, &options);
	}
	ph_daemon_feed(hold, &event);
}

int hold_new(struct mapping_run *run, enum hold_role role, uint16_t bind_start,
	     struct hold **ret_hold)
{
	struct hold *hold = calloc(1, sizeof(*hold));
	struct ph_mapping_config core = run->config->core;
	struct ph_event event = { .type = PH_EVENT_START };

	if (!hold)
		return -ENOMEM;
	core.bind_start = bind_start;
	if (ph_mapping_new(&core, &hold->machine) < 0) {
		free(hold);
		return -ENOMEM;
	}
	hold->run = run;
	hold->role = role;
	hold->own_fd = -1;
	for (unsigned f = 0; f < PH_FLOWS; f++)
		hold->flows[f] = (struct flow_run){ .hold = hold, .index = f };
	uv_timer_init(ph_daemon_loop(run->daemon), &hold->timer);
	hold->timer.data = hold;
	*ret_hold = hold;
	ph_daemon_random(&event);
	ph_daemon_feed(hold, &event);
	return 0;
}

static void on_timer_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void hold_free(struct hold *hold)
{
	if (!hold)
		return;
	ph_daemon_want_gone(hold);
	for (unsigned f = 0; f < PH_FLOWS; f++)
		close_flow(hold, f);
	cancel_lookups(hold);
	release(hold);
	ph_mapping_free(hold->machine);
	uv_close((uv_handle_t *)&hold->timer, on_timer_closed);
}
