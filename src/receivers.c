/* SPDX-License-Identifier: GPL-2.0-or-later */

/* A mapping's receivers, hooks and publishers: who they are, what is owed to each, and when. */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <pinhold/log.h>

#include "receivers.h"

static void pump(struct receiver_run *r);

/* Who called us, what is libuv's business, and by what ujail has put a program into its filter of
 * system calls: a filter is inherited, and would be put on once more. */
static bool is_ours(const char *entry)
{
	static const char *const names[] = {
		"PINHOLD_",
		"UV_THREADPOOL_SIZE=",
		"SECCOMP_FILE=",
		"SECCOMP_DEBUG=",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strncmp(entry, names[i], strlen(names[i])) == 0)
			return true;
	return strncmp(entry, "LD_PRELOAD=", 11) == 0 && strstr(entry, "/libpreload-seccomp.so");
}

char **receiver_environment(char *const more[], size_t n)
{
	size_t have = 0, count = 0;
	char **env;

	while (environ[have])
		have++;
	env = calloc(have + n + 1, sizeof(*env));
	if (!env)
		return NULL;
	for (size_t i = 0; i < have; i++)
		if (!is_ours(environ[i]))
			env[count++] = environ[i];
	for (size_t i = 0; i < n; i++)
		env[count++] = more[i];
	return env;
}

/* ---- calls ---- */

static const char *kind_name(const struct receiver_run *r)
{
	return r->kind == RECEIVER_HOOK ? "hook" : "publisher";
}

static void on_retry(uv_timer_t *timer)
{
	pump(timer->data);
}

/* No time is left for what is not said soon. */
static bool ending(const struct mapping_run *run)
{
	return run->leaving || ph_daemon_stopping(run->daemon);
}

static void schedule(struct receiver_run *r)
{
	uint64_t now_ms = ph_daemon_now(r->run->daemon), at;

	if (ending(r->run)) {
		/* A last word may still be owed, whatever became of the one before; but what failed
		 * is not repeated any more, and pump() knows that it is not due yet. */
		ph_receiver_hurry(&r->receiver);
		pump(r);
		return;
	}
	at = ph_receiver_deadline(&r->receiver);
	if (at == UINT64_MAX)
		return;
	if (at <= now_ms) {
		pump(r);
		return;
	}
	ph_info("%s retry mapping=%s %s=%s in=%us", kind_name(r), r->run->config->core.name,
		kind_name(r), r->name, (unsigned)((at - now_ms + 999) / 1000));
	r->due_ms = at;
	uv_timer_start(&r->timer, on_retry, at - now_ms, 0);
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct receiver_run *r = handle->data;

	if (r->spec)
		explicit_bzero(r->spec, strlen(r->spec));
	free(r->spec);
	free(r->name);
	free(r);
}

/* Takes a receiver out of its run. */
static void forget(struct receiver_run *r)
{
	struct receiver_run **at = &r->run->receivers;

	while (*at != r)
		at = &(*at)->next;
	*at = r->next;
	uv_close((uv_handle_t *)&r->timer, on_timer_closed);
}

void receiver_ended(struct receiver_run *r, enum ph_receiver_end end)
{
	struct mapping_run *run = r->run;
	const char *kind = kind_name(r);
	struct ph_event random;
	uint32_t value;

	ph_daemon_random(&random);
	memcpy(&value, random.random, sizeof(value));
	r->last.called = true;
	r->last.event = r->calling;
	r->last.ended_ms = ph_daemon_now(run->daemon);
	r->last.refused = end == PH_RECEIVER_REFUSED;
	ph_receiver_done(&r->receiver, end, r->after_ms, value, ph_daemon_now(run->daemon));
	if (end == PH_RECEIVER_TOLD)
		told_save(run);
	schedule(r);
	if (r->gone && !r->child) {
		forget(r);
		receivers_offer(run); /* its successor may have waited */
	}
	ph_daemon_receiver_done(run, kind);
}

/* The same publisher with its settings of before still has something to say. */
static bool predecessor_runs(const struct receiver_run *r)
{
	for (const struct receiver_run *other = r->run->receivers; other; other = other->next)
		if (other != r && other->child && other->kind == r->kind &&
		    strcmp(other->name, r->name) == 0)
			return true;
	return false;
}

static void pump(struct receiver_run *r)
{
	struct ph_delivery delivery;
	int error;

	if (predecessor_runs(r) ||
	    !ph_receiver_next(&r->receiver, ph_daemon_now(r->run->daemon), &delivery))
		return;
	/* Whoever ends us now must not leave behind that it surely has what it had, nor that it has
	 * heard nothing. */
	told_save(r->run);
	r->calling = delivery.event;
	error = r->kind == RECEIVER_HOOK ? hook_call(r, &delivery) : publisher_call(r, &delivery);
	r->run->outdated = true; /* it runs */
	ph_daemon_touch(r->run);
	if (error < 0) {
		r->last = (struct ph_status_call){ .error = error };
		receiver_ended(r, PH_RECEIVER_UNCALLED);
	}
}

/* ---- who they are ---- */

static struct receiver_run *receiver_new(struct mapping_run *run, enum receiver_kind kind,
					 const char *name, const char *spec)
{
	struct receiver_run *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->run = run;
	r->kind = kind;
	r->gone = true; /* until all others are there, too */
	r->name = strdup(name);
	r->spec = spec ? strdup(spec) : NULL;
	if (!r->name || (spec && !r->spec)) {
		free(r->name);
		free(r->spec);
		free(r);
		return NULL;
	}
	uv_timer_init(ph_daemon_loop(run->daemon), &r->timer);
	r->timer.data = r;
	return r;
}

/* A publisher with other settings is another one. */
static struct receiver_run *find(const struct mapping_run *run, enum receiver_kind kind,
				 const char *name, const char *spec)
{
	for (struct receiver_run *r = run->receivers; r; r = r->next)
		if (r->kind == kind && strcmp(r->name, name) == 0 &&
		    (!spec || strcmp(r->spec, spec) == 0))
			return r;
	return NULL;
}

/* Found, or made; NULL: out of memory. */
static struct receiver_run *have(struct mapping_run *run, enum receiver_kind kind, const char *name,
				 const char *spec)
{
	struct receiver_run *r = find(run, kind, name, spec), **end = &run->receivers;

	if (r)
		return r;
	while (*end)
		end = &(*end)->next;
	*end = receiver_new(run, kind, name, spec);
	if (*end)
		told_load(*end);
	return *end;
}

/* Whether there is one by this name with other settings. */
static bool configured(const struct mapping_run *run, const struct receiver_run *gone)
{
	for (const struct receiver_run *r = run->receivers; r; r = r->next)
		if (!r->gone && r->kind == gone->kind && strcmp(r->name, gone->name) == 0)
			return true;
	return false;
}

/* Those that are not configured any more: who runs may end what it does. */
static void let_go(struct mapping_run *run)
{
	for (struct receiver_run *r = run->receivers, *next; r; r = next) {
		next = r->next;
		if (!r->gone)
			continue;
		r->receiver.events = 0;
		uv_timer_stop(&r->timer);
		if (!r->child)
			forget(r);
		else if (configured(run, r))
			ph_child_kill(r->child); /* what it says is of settings that are wrong */
	}
}

static bool set_hooks(struct mapping_run *run)
{
	const struct ph_config_mapping *config = run->config;

	for (size_t i = 0; i < config->n_hooks; i++)
		if (!have(run, RECEIVER_HOOK, config->hooks[i].path, NULL))
			return false;
	return true;
}

static bool set_publishers(struct mapping_run *run)
{
	for (size_t i = 0; i < run->config->n_publish; i++) {
		const struct publisher_spec *spec =
			ph_daemon_publisher(run->daemon, run->config->publish[i]);

		if (spec && !have(run, RECEIVER_PUBLISHER, spec->name, spec->json))
			return false;
	}
	return true;
}

/* Those that are configured, which have been found or made; all others are gone. */
static void mark(struct mapping_run *run)
{
	const struct ph_config_mapping *config = run->config;

	for (struct receiver_run *r = run->receivers; r; r = r->next)
		r->gone = true;
	for (size_t i = 0; i < config->n_hooks; i++) {
		struct receiver_run *r = find(run, RECEIVER_HOOK, config->hooks[i].path, NULL);

		assert(r);
		r->gone = false;
		r->receiver.events = config->hooks[i].events;
	}
	for (size_t i = 0; i < config->n_publish; i++) {
		const struct publisher_spec *spec =
			ph_daemon_publisher(run->daemon, config->publish[i]);
		struct receiver_run *r =
			spec ? find(run, RECEIVER_PUBLISHER, spec->name, spec->json) : NULL;

		if (!r)
			continue;
		r->gone = false;
		r->type = spec->type;
		r->receiver.events = spec->events;
	}
}

int receivers_set(struct mapping_run *run)
{
	/* What may fail comes first. */
	if (!set_hooks(run) || !set_publishers(run))
		return -ENOMEM;
	mark(run);
	let_go(run);
	return 0;
}

bool receivers_outdated(const struct mapping_run *run)
{
	for (size_t i = 0; i < run->config->n_publish; i++) {
		const struct publisher_spec *spec =
			ph_daemon_publisher(run->daemon, run->config->publish[i]);

		if (spec && !find(run, RECEIVER_PUBLISHER, spec->name, spec->json))
			return true;
	}
	return false;
}

void receivers_news(struct mapping_run *run)
{
	if (!run->spoken)
		return;
	/* A newer state is due soon; the same one keeps its place in the retries. */
	for (struct receiver_run *r = run->receivers; r; r = r->next)
		ph_receiver_offer(&r->receiver, &run->told);
}

void receivers_again(struct mapping_run *run)
{
	for (struct receiver_run *r = run->receivers; r; r = r->next)
		ph_receiver_again(&r->receiver);
}

void receivers_offer(struct mapping_run *run)
{
	if (!run->spoken)
		return;
	receivers_news(run);
	for (struct receiver_run *r = run->receivers, *next; r; r = next) {
		uint64_t due;

		next = r->next;
		if (ending(run))
			ph_receiver_hurry(&r->receiver);
		pump(r);
		due = ph_receiver_deadline(&r->receiver);
		if (!ending(run) && !r->child && due != UINT64_MAX && !predecessor_runs(r) &&
		    (!uv_is_active((uv_handle_t *)&r->timer) || r->due_ms != due))
			schedule(r);
	}
}

bool receivers_running(const struct mapping_run *run)
{
	for (const struct receiver_run *r = run->receivers; r; r = r->next)
		if (r->child)
			return true;
	return false;
}

void receivers_kill(struct mapping_run *run)
{
	for (struct receiver_run *r = run->receivers; r; r = r->next) {
		r->receiver.events = 0; /* nor is it called once more */
		ph_child_kill(r->child);
	}
}

void receivers_status(const struct mapping_run *run, struct ph_status_mapping *ret)
{
	ret->n_hooks = ret->n_publishers = 0;
	for (const struct receiver_run *r = run->receivers; r; r = r->next) {
		uint64_t retry = ph_receiver_deadline(&r->receiver);
		bool hook = r->kind == RECEIVER_HOOK;
		struct ph_status_receiver *s;

		if (r->gone ||
		    (hook ? ret->n_hooks == PH_HOOKS_MAX : ret->n_publishers == PH_PUBLISH_MAX))
			continue;
		s = hook ? &ret->hooks[ret->n_hooks++] : &ret->publishers[ret->n_publishers++];
		s->name = r->name;
		s->type = r->type;
		s->text = r->text;
		s->last = r->last;
		s->running = r->child;
		s->pid = r->child ? ph_child_pid(r->child) : 0;
		s->owed = r->child || retry != UINT64_MAX;
		s->retry_ms = retry == UINT64_MAX || r->child ? 0 : retry;
	}
}

void receivers_forget(struct mapping_run *run)
{
	told_remove(run);
}

void receivers_free(struct mapping_run *run)
{
	while (run->receivers) {
		assert(!run->receivers->child);
		forget(run->receivers);
	}
	free(run->told_text);
}
