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

	ph_address_format(&d->state.public_endpoint.address, c->address);
	snprintf(c->port, sizeof(c->port), "%u", d->state.public_endpoint.port);
	ph_ip4p_format(&d->state.public_endpoint, c->ip4p);
	snprintf(c->private_port, sizeof(c->private_port), "%u", d->state.private_endpoint.port);
	ph_address_format(&d->state.private_endpoint.address, c->private_address);

	set_entry(e, "EVENT", event_name(d->event));
	set_entry(e, "MAPPING", core->name);
	set_entry(e, "PROTOCOL", ph_proto_name(core->proto));
	set_entry(e, "INTERFACE", h->run->links.name);
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

	ph_info("hook output mapping=%s hook=%s: %s", h->run->config->core.name, h->hook.path,
		line);
}

static void on_retry(uv_timer_t *timer)
{
	pump(timer->data);
}

static void finished(struct hook_run *h, bool success)
{
	uint64_t now_ms = ph_daemon_now(h->run->daemon), at;

	ph_receiver_done(&h->receiver, success, now_ms);
	if (ph_daemon_stopping(h->run->daemon) || h->run->leaving) {
		/* A last word may still be owed, whatever became of the one before; but what failed
		 * is not repeated any more, and pump() knows that it is not due yet. */
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
	ph_info("hook retry mapping=%s hook=%s in=%us", h->run->config->core.name, h->hook.path,
		(unsigned)((at - now_ms) / 1000));
	uv_timer_start(&h->timer, on_retry, at - now_ms, 0);
}

static void log_end(const struct hook_run *h, const struct ph_status_hook *last)
{
	const char *name = h->run->config->core.name, *path = h->hook.path;

	if (last->error)
		ph_warning("hook not started mapping=%s hook=%s: %s", name, path,
			   uv_strerror(last->error));
	else if (last->timed_out)
		ph_warning("hook ended mapping=%s hook=%s: it ran into its time limit", name, path);
	else if (last->signal)
		ph_warning("hook ended mapping=%s hook=%s signal=%d", name, path, last->signal);
	else if (last->status)
		ph_warning("hook ended mapping=%s hook=%s status=%d", name, path, last->status);
	else
		ph_info("hook ended mapping=%s hook=%s status=0", name, path);
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct hook_run *h = handle->data;

	free(h->hook.path);
	free(h);
}

/* Takes a hook out of its run. */
static void forget(struct hook_run *h)
{
	struct hook_run **at = &h->run->hooks;

	while (*at != h)
		at = &(*at)->next;
	*at = h->next;
	uv_close((uv_handle_t *)&h->timer, on_timer_closed);
}

static void ended(struct hook_run *h)
{
	struct mapping_run *run = h->run;
	struct ph_status_hook *last = &h->last;

	last->called = true;
	last->event = h->calling;
	last->ended_ms = ph_daemon_now(run->daemon);
	log_end(h, last);
	finished(h, !last->error && !last->timed_out && !last->signal && !last->status);
	if (h->gone && !h->child)
		forget(h);
	ph_daemon_hook_done(run);
}

static void on_done(void *data, const struct ph_child_result *result)
{
	struct hook_run *h = data;

	h->child = NULL;
	h->last = (struct ph_status_hook){
		.timed_out = result->timed_out,
		.signal = result->signal,
		.status = result->status,
	};
	ended(h);
}

static int start_child(struct hook_run *h, const struct ph_delivery *delivery)
{
	static const struct ph_child_events events = { .line = on_line, .done = on_done };
	const char *protocol = ph_proto_name(h->run->config->core.proto);
	struct entries entries = { 0 };
	struct call call;
	char *argv[] = { h->hook.path,
			 call.address,
			 call.port,
			 call.ip4p,
			 call.private_port,
			 (char *)(uintptr_t)protocol,
			 call.private_address,
			 NULL };
	char **env;
	int r;

	describe(h, delivery, &call, &entries);
	env = environment(&entries);
	if (!env)
		return UV_ENOMEM;
	r = ph_child_start(ph_daemon_loop(h->run->daemon), argv, env, LIMIT_MS, &events, h,
			   &h->child);
	free(env);
	return r;
}

static void pump(struct hook_run *h)
{
	struct ph_delivery delivery;
	int r;

	if (!ph_receiver_next(&h->receiver, ph_daemon_now(h->run->daemon), &delivery))
		return;
	h->calling = delivery.event;
	r = start_child(h, &delivery);
	h->run->outdated = true; /* it runs */
	ph_daemon_touch(h->run);
	if (r < 0) {
		h->last = (struct ph_status_hook){ .error = r };
		ended(h);
	}
}

static struct hook_run *hook_new(struct mapping_run *run, const struct ph_hook *hook)
{
	struct hook_run *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->run = run;
	h->gone = true; /* until all others are there, too */
	h->hook.path = strdup(hook->path);
	if (!h->hook.path) {
		free(h);
		return NULL;
	}
	uv_timer_init(ph_daemon_loop(run->daemon), &h->timer);
	h->timer.data = h;
	return h;
}

static struct hook_run *hook_find(const struct mapping_run *run, const char *path)
{
	for (struct hook_run *h = run->hooks; h; h = h->next)
		if (strcmp(h->hook.path, path) == 0)
			return h;
	return NULL;
}

/* Hooks that are not configured any more: those that run may end what they do. */
static void let_go(struct mapping_run *run)
{
	struct hook_run *h = run->hooks, *next;

	for (; h; h = next) {
		next = h->next;
		if (!h->gone)
			continue;
		h->receiver.events = 0;
		uv_timer_stop(&h->timer);
		if (!h->child)
			forget(h);
	}
}

int hooks_set(struct mapping_run *run)
{
	const struct ph_config_mapping *config = run->config;
	struct hook_run **end = &run->hooks;

	/* What may fail comes first. */
	while (*end)
		end = &(*end)->next;
	for (size_t i = 0; i < config->n_hooks; i++) {
		if (hook_find(run, config->hooks[i].path))
			continue;
		*end = hook_new(run, &config->hooks[i]);
		if (!*end)
			return -ENOMEM;
		end = &(*end)->next;
	}
	for (struct hook_run *h = run->hooks; h; h = h->next)
		h->gone = true;
	for (size_t i = 0; i < config->n_hooks; i++) {
		struct hook_run *h = hook_find(run, config->hooks[i].path);

		assert(h); /* found or made above */
		h->gone = false;
		h->receiver.events = config->hooks[i].events;
	}
	let_go(run);
	return 0;
}

void hooks_offer(struct mapping_run *run)
{
	for (struct hook_run *h = run->hooks, *next; h; h = next) {
		next = h->next;
		/* A newer state is due at once; the same one keeps its place in the retries. */
		ph_receiver_offer(&h->receiver, &run->told);
		pump(h);
	}
}

bool hooks_running(const struct mapping_run *run)
{
	for (const struct hook_run *h = run->hooks; h; h = h->next)
		if (h->child)
			return true;
	return false;
}

void hooks_kill(struct mapping_run *run)
{
	for (struct hook_run *h = run->hooks; h; h = h->next) {
		h->receiver.events = 0; /* nor is it called once more */
		ph_child_kill(h->child);
	}
}

size_t hooks_status(const struct mapping_run *run, struct ph_status_hook ret[static PH_HOOKS_MAX])
{
	size_t n = 0;

	for (const struct hook_run *h = run->hooks; h && n < PH_HOOKS_MAX; h = h->next) {
		uint64_t retry = ph_receiver_deadline(&h->receiver);

		if (h->gone)
			continue;
		ret[n] = h->last;
		ret[n].path = h->hook.path;
		ret[n].running = h->child;
		ret[n].retry_ms = retry == UINT64_MAX || h->child ? 0 : retry;
		n++;
	}
	return n;
}

void hooks_free(struct mapping_run *run)
{
	while (run->hooks) {
		assert(!run->hooks->child);
		forget(run->hooks);
	}
}
