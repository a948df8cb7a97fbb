/* SPDX-License-Identifier: GPL-2.0-or-later */

/* A hook is called with natmap's arguments and the PINHOLD_ environment. */

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pinhold/log.h>

#include "receivers.h"

#define LIMIT_MS     60000u
#define ENVIRONMENT  12 /* entries below */
#define ENTRY_OCTETS 96

const char *target_format(const struct ph_target *target, uint16_t public_port,
			  char buf[static PH_ENDPOINT_STRLEN])
{
	struct ph_endpoint e = {
		.address = target->address,
		.port = target->port ? target->port : public_port,
	};

	switch (target->kind) {
	case PH_TARGET_NONE:
		strcpy(buf, "none");
		break;
	case PH_TARGET_LOCAL:
		snprintf(buf, PH_ENDPOINT_STRLEN, ":%u", e.port);
		break;
	case PH_TARGET_ADDRESS:
		ph_endpoint_format(&e, buf);
		break;
	}
	return buf;
}

struct entries {
	size_t n;
	char text[ENVIRONMENT][ENTRY_OCTETS];
	char *list[ENVIRONMENT];
};

struct call {
	char address[PH_ADDRESS_STRLEN], port[8], ip4p[PH_ADDRESS_STRLEN], private_port[8];
	char private_address[PH_ADDRESS_STRLEN];
};

static void set_entry(struct entries *e, const char *name, const char *value)
{
	assert(e->n < ENVIRONMENT);
	snprintf(e->text[e->n], ENTRY_OCTETS, "PINHOLD_%s=%s", name, value);
	e->list[e->n] = e->text[e->n];
	e->n++;
}

static void describe(const struct receiver_run *r, const struct ph_delivery *d, struct call *c,
		     struct entries *e)
{
	const struct ph_mapping_config *core = &r->run->config->core;
	char text[PH_ENDPOINT_STRLEN];

	ph_address_format(&d->state.public_endpoint.address, c->address);
	snprintf(c->port, sizeof(c->port), "%u", d->state.public_endpoint.port);
	ph_ip4p_format(&d->state.public_endpoint, c->ip4p);
	snprintf(c->private_port, sizeof(c->private_port), "%u", d->state.private_endpoint.port);
	ph_address_format(&d->state.private_endpoint.address, c->private_address);

	set_entry(e, "EVENT", ph_announce_name(d->event));
	set_entry(e, "MAPPING", core->name);
	set_entry(e, "PROTOCOL", ph_proto_name(core->proto));
	set_entry(e, "INTERFACE", r->run->links.name);
	set_entry(e, "PUBLIC_ADDRESS", c->address);
	set_entry(e, "PUBLIC_PORT", c->port);
	set_entry(e, "PREVIOUS_ADDRESS",
		  d->previous.public_endpoint.port
			  ? ph_address_format(&d->previous.public_endpoint.address, text)
			  : "");
	snprintf(text, sizeof(text), "%u", d->previous.public_endpoint.port);
	set_entry(e, "PREVIOUS_PORT", d->previous.public_endpoint.port ? text : "");
	set_entry(e, "PRIVATE_ADDRESS", c->private_address);
	set_entry(e, "PRIVATE_PORT", c->private_port);
	set_entry(e, "TARGET", target_format(&core->target, d->state.public_endpoint.port, text));
	set_entry(e, "IP4P", c->ip4p);
}

static void on_line(void *data, const char *line)
{
	const struct receiver_run *r = data;

	ph_info("hook output mapping=%s hook=%s: %s", r->run->config->core.name, r->name, line);
}

static void log_end(const struct receiver_run *r)
{
	const char *name = r->run->config->core.name;
	const struct ph_status_call *last = &r->last;

	if (last->timed_out)
		ph_warning("hook ended mapping=%s hook=%s: it ran into its time limit", name,
			   r->name);
	else if (last->signal)
		ph_warning("hook ended mapping=%s hook=%s signal=%d", name, r->name, last->signal);
	else if (last->status)
		ph_warning("hook ended mapping=%s hook=%s status=%d", name, r->name, last->status);
	else
		ph_info("hook ended mapping=%s hook=%s status=0", name, r->name);
}

static void on_done(void *data, const struct ph_child_result *result)
{
	struct receiver_run *r = data;

	r->child = NULL;
	r->last = (struct ph_status_call){
		.timed_out = result->timed_out,
		.signal = result->signal,
		.status = result->status,
	};
	log_end(r);
	receiver_ended(r, result->timed_out || result->signal || result->status ? PH_RECEIVER_FAILED
										: PH_RECEIVER_TOLD);
}

int hook_call(struct receiver_run *r, const struct ph_delivery *delivery)
{
	static const struct ph_child_events events = { .line = on_line, .done = on_done };
	const char *protocol = ph_proto_name(r->run->config->core.proto);
	struct entries entries = { 0 };
	struct call call;
	char *argv[] = { r->name,
			 call.address,
			 call.port,
			 call.ip4p,
			 call.private_port,
			 (char *)(uintptr_t)protocol,
			 call.private_address,
			 NULL };
	struct ph_child_options options = { .argv = argv, .limit_ms = LIMIT_MS };
	char **env;
	int error;

	describe(r, delivery, &call, &entries);
	env = receiver_environment(entries.list, entries.n);
	if (!env)
		return -ENOMEM;
	options.env = env;
	error = ph_child_start(ph_daemon_loop(r->run->daemon), &options, &events, r, &r->child);
	free(env);
	if (error < 0)
		ph_warning("hook not started mapping=%s hook=%s: %s", r->run->config->core.name,
			   r->name, uv_strerror(error));
	return error;
}
