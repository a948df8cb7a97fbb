/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The commands of the control socket, and those who watch. */

#include "daemon_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pinhold/log.h>

#include "request.h"

static bool send_json(struct ph_control_client *client, json_t *json)
{
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	bool sent;

	sent = ph_control_send(client, text ? text : "{\"error\":\"out of memory\"}");
	free(text);
	json_decref(json);
	return sent;
}

static void send_error(struct ph_control_client *client, const char *text)
{
	send_json(client, json_pack("{s:s}", "error", text));
}

/* ---- status ---- */

/* counter NULL: the kernel did not tell. */
static json_t *describe(const struct mapping_run *run, const uint64_t *counter)
{
	const struct ph_status_clock clock = show_clock(run->daemon);
	struct ph_status_mapping status;

	show_mapping(run, &status);
	status.counted = counter;
	status.connections = counter ? *counter : 0;
	return ph_status_mapping_json(&status, &clock);
}

static void status_all(struct ph_daemon *d, struct ph_control_client *client)
{
	const struct ph_status_clock clock = show_clock(d);
	struct ph_counter *counters = NULL;
	struct surroundings_memo memo = { 0 };
	struct ph_status_daemon status;
	size_t n = 0;
	json_t *json;
	bool sent;
	int r;

	r = ph_nft_counters(&counters, &n);
	if (r < 0)
		ph_debug("counters: %s", strerror(-r));
	show_daemon(d, &status);
	json = ph_status_daemon_json(&status, &clock);
	if (json)
		json_object_set_new(json, "mappings", json_integer((json_int_t)d->n_runs));
	sent = send_json(client, json);
	for (size_t i = 0; sent && i < d->n_runs; i++) {
		struct mapping_run *run = d->runs[i];
		const struct ph_counter *c = ph_counter_find(counters, n, run->config->core.name);

		surroundings_check(run, &memo);
		sent = send_json(client, describe(run, c ? &c->packets : NULL));
	}
	free(counters);
}

static void no_such_mapping(const struct ph_daemon *d, struct ph_control_client *client)
{
	json_t *names = json_array();

	for (size_t i = 0; i < d->n_runs; i++)
		json_array_append_new(names, json_string(d->runs[i]->config->core.name));
	send_json(client, json_pack("{s:s, s:o}", "error", "there is no mapping of this name",
				    "mappings", names));
}

static void status_one(struct ph_daemon *d, struct ph_control_client *client, const char *name)
{
	struct surroundings_memo memo = { 0 };

	for (size_t i = 0; i < d->n_runs; i++) {
		uint64_t packets = 0;
		int r;

		if (strcmp(d->runs[i]->config->core.name, name) != 0)
			continue;
		surroundings_check(d->runs[i], &memo);
		r = ph_nft_counter(name, &packets);
		send_json(client, describe(d->runs[i], r == 0 ? &packets : NULL));
		return;
	}
	no_such_mapping(d, client);
}

/* ---- watch ---- */

static void watch(struct ph_daemon *d, struct ph_control_client *client)
{
	struct watcher *w = calloc(1, sizeof(*w));

	if (!w) {
		send_error(client, "out of memory");
		return;
	}
	ph_control_keep(client);
	w->client = client;
	w->next = d->watchers;
	d->watchers = w;
}

/* cppcheck-suppress constParameter // the type is ph_control_events' */
static void on_gone(void *data, struct ph_control_client *client)
{
	struct ph_daemon *d = data;

	for (struct watcher **at = &d->watchers; *at; at = &(*at)->next) {
		struct watcher *w = *at;

		if (w->client != client)
			continue;
		*at = w->next;
		free(w);
		return;
	}
}

void commands_event(struct ph_daemon *d, const char *event, struct mapping_run *run, json_t *extra)
{
	const struct ph_status_clock clock = show_clock(d);
	json_t *json;
	char *text;

	if (!d->watchers) {
		json_decref(extra);
		return;
	}
	json = json_pack("{s:s, s:o}", "event", event, "time",
			 ph_status_time_json(clock.now_ms, &clock));
	if (json && run) {
		json_object_set_new(json, "mapping", json_string(run->config->core.name));
		json_object_set_new(json, "status", describe(run, NULL));
	}
	if (json && extra)
		json_object_update(json, extra);
	text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	for (struct watcher *w = d->watchers; text && w; w = w->next)
		ph_control_send(w->client, text);
	free(text);
	json_decref(json);
	json_decref(extra);
}

/* ---- the socket ---- */

static void on_line(void *data, struct ph_control_client *client, const char *line, size_t len)
{
	struct ph_daemon *d = data;
	struct ph_request request;
	char error[PH_REQUEST_ERROR_MAX];

	if (ph_request_parse(line, len, &request, error) < 0) {
		send_error(client, error);
		return;
	}
	switch (request.command) {
	case PH_COMMAND_STATUS:
		if (request.mapping[0])
			status_one(d, client, request.mapping);
		else
			status_all(d, client);
		break;
	case PH_COMMAND_WATCH:
		watch(d, client);
		break;
	case PH_COMMAND_RELOAD: {
		json_t *answer = daemon_reload(d);

		commands_event(d, "reload", NULL, json_incref(answer));
		send_json(client, answer);
		break;
	}
	}
}

void commands_open(struct ph_daemon *d)
{
	static const struct ph_control_events events = { .line = on_line, .gone = on_gone };
	char path[PATH_MAX];
	int r;

	snprintf(path, sizeof(path), "%s/control.sock", ph_run_directory());
	r = ph_control_listen(&d->loop, path, &events, d, &d->control);
	if (r == -EADDRINUSE)
		ph_warning(
			"control socket %s: another pinhold answers there; going on without `status` and state files (RUNTIME_DIRECTORY names another directory)",
			path);
	else if (r < 0)
		ph_warning("control socket %s: %s; going on without `status` and state files", path,
			   strerror(-r));
	else
		d->run_directory = ph_run_directory();
}

void commands_close(struct ph_daemon *d)
{
	for (size_t i = 0; i < d->n_runs; i++)
		show_removed(d, d->runs[i]->config->core.name);
	for (size_t i = 0; i < d->n_leaving; i++)
		show_removed(d, d->leaving[i]->config->core.name);
	ph_control_close(d->control);
	d->control = NULL;
	while (d->watchers) {
		struct watcher *w = d->watchers;

		d->watchers = w->next;
		free(w);
	}
}
