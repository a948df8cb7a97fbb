/* SPDX-License-Identifier: GPL-2.0-or-later */

/* A mapping's hooks: what is owed to each, called with natmap's arguments and the PINHOLD_
 * environment. */

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <pinhold/log.h>

#include "mapping_run.h"

#define LIMIT_MS     60000u
#define ENVIRONMENT  12 /* entries below */
#define ENTRY_OCTETS 96

static void pump(struct hook_run *h);

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

static const char *event_name(enum ph_announce event)
{
	switch (event) {
	case PH_ANNOUNCE_UP:
		return "up";
	case PH_ANNOUNCE_CHANGE:
		return "change";
	case PH_ANNOUNCE_DOWN:
		return "down";
	}
	return "";
}

struct entries {
	size_t n;
	char text[ENVIRONMENT][ENTRY_OCTETS];
};

struct call {
	char address[PH_ADDRESS_STRLEN], port[8], ip4p[PH_ADDRESS_STRLEN], private_port[8];
	char private_address[PH_ADDRESS_STRLEN];
};

static void set_entry(struct entries *e, const char *name, const char *value)
{
	assert(e->n < ENVIRONMENT);
	snprintf(e->text[e->n++], ENTRY_OCTETS, "PINHOLD_%s=%s", name, value);
}

static void describe(const struct hook_run *h, const struct ph_delivery *d, struct call *c,
		     struct entries *e)
{
	const struct ph_mapping_config *core = &h->run->config->core;
	char text[PH_ENDPOINT_STRLEN];
	struct ph_plan_mapping want;

	ph_mapping_want(h->run->machine, &want);
	ph_address_format(&d->state.public_endpoint.address, c->address);
	snprintf(c->port, sizeof(c->port), "%u", d->state.public_endpoint.port);
	ph_ip4p_format(&d->state.public_endpoint, c->ip4p);
	snprintf(c->private_port, sizeof(c->private_port), "%u", d->state.private_endpoint.port);
	ph_address_format(&d->state.private_endpoint.address, c->private_address);

	set_entry(e, "EVENT", event_name(d->event));
	set_entry(e, "MAPPING", core->name);
	set_entry(e, "PROTOCOL", ph_proto_name(core->proto));
	set_entry(e, "INTERFACE", want.interface);
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

/* Our own environment without PINHOLD_ entries and what is libuv's business, and the call's. The
 * array is the caller's. */
static char **environment(struct entries *e)
{
	size_t have = 0, count = 0;
	char **env;

	while (environ[have])
		have++;
	env = calloc(have + e->n + 1, sizeof(*env));
	if (!env)
		return NULL;
	for (size_t i = 0; i < have; i++)
		if (strncmp(environ[i], "PINHOLD_", 8) != 0 &&
		    strncmp(environ[i], "UV_THREADPOOL_SIZE=", 19) != 0)
			env[count++] = environ[i];
	for (size_t i = 0; i < e->n; i++)
		env[count++] = e->text[i];
	return env;
}

static void on_line(void *data, const char *line)
{
	struct hook_run *h = data;

	ph_info("hook output mapping=%s hook=%s: %s", h->run->config->core.name, h->hook->path,
		line);
}

static void on_retry(uv_timer_t *timer)
{
	pump(timer->data);
}

static void finished(struct hook_run *h, bool success)
{
	uint64_t now_ms = uv_now(ph_daemon_loop(h->run->daemon)), at;

	ph_receiver_done(&h->receiver, success, now_ms);
	if (ph_daemon_stopping(h->run->daemon)) {
		/* A last word may still be owed, but a failure is not repeated any more. */
		if (success)
			pump(h);
		return;
	}
	at = ph_receiver_deadline(&h->receiver);
	if (at == UINT64_MAX)
		return;
	if (at <= now_ms) {
		pump(h);
		return;
	}
	ph_info("hook retry mapping=%s hook=%s in=%us", h->run->config->core.name, h->hook->path,
		(unsigned)((at - now_ms) / 1000));
	uv_timer_start(&h->timer, on_retry, at - now_ms, 0);
}

static void on_done(void *data, const struct ph_child_result *result)
{
	struct hook_run *h = data;
	const char *name = h->run->config->core.name, *path = h->hook->path;

	h->child = NULL;
	if (result->timed_out)
		ph_warning("hook ended mapping=%s hook=%s: it ran into its time limit", name, path);
	else if (result->signal)
		ph_warning("hook ended mapping=%s hook=%s signal=%d", name, path, result->signal);
	else if (result->status)
		ph_warning("hook ended mapping=%s hook=%s status=%d", name, path, result->status);
	else
		ph_info("hook ended mapping=%s hook=%s status=0", name, path);
	finished(h, !result->timed_out && !result->signal && !result->status);
	ph_daemon_hook_done(h->run->daemon);
}

static void pump(struct hook_run *h)
{
	static const struct ph_child_events events = { .line = on_line, .done = on_done };
	uv_loop_t *loop = ph_daemon_loop(h->run->daemon);
	struct ph_delivery delivery;
	struct entries entries = { 0 };
	struct call call;
	char **env;
	int r = UV_ENOMEM;

	if (!ph_receiver_next(&h->receiver, uv_now(loop), &delivery))
		return;
	describe(h, &delivery, &call, &entries);
	env = environment(&entries);
	if (env) {
		const char *protocol = ph_proto_name(h->run->config->core.proto);
		char *argv[] = { h->hook->path,
				 call.address,
				 call.port,
				 call.ip4p,
				 call.private_port,
				 (char *)(uintptr_t)protocol,
				 call.private_address,
				 NULL };

		r = ph_child_start(loop, argv, env, LIMIT_MS, &events, h, &h->child);
	}
	free(env);
	if (r < 0) {
		ph_warning("hook not started mapping=%s hook=%s: %s", h->run->config->core.name,
			   h->hook->path, uv_strerror(r));
		finished(h, false);
	}
}

void hooks_init(struct mapping_run *run)
{
	for (size_t i = 0; i < run->config->n_hooks; i++) {
		struct hook_run *h = &run->hooks[i];

		h->run = run;
		h->hook = &run->config->hooks[i];
		h->receiver.events = h->hook->events;
		uv_timer_init(ph_daemon_loop(run->daemon), &h->timer);
		h->timer.data = h;
	}
}

void hooks_offer(struct mapping_run *run, const struct ph_told *state)
{
	for (size_t i = 0; i < run->config->n_hooks; i++) {
		struct hook_run *h = &run->hooks[i];

		/* A newer state is due at once; the same one keeps its place in the retries. */
		ph_receiver_offer(&h->receiver, state);
		pump(h);
	}
}

bool hooks_running(const struct mapping_run *run)
{
	for (size_t i = 0; i < run->config->n_hooks; i++)
		if (run->hooks[i].child)
			return true;
	return false;
}

void hooks_kill(struct mapping_run *run)
{
	for (size_t i = 0; i < run->config->n_hooks; i++)
		ph_child_kill(run->hooks[i].child);
}

void hooks_done(struct mapping_run *run)
{
	for (size_t i = 0; i < run->config->n_hooks; i++)
		uv_close((uv_handle_t *)&run->hooks[i].timer, NULL);
}
