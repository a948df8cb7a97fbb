/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Reload: the file is read and checked completely before anything changes. Then mapping by mapping,
 * by name: what is equal keeps its object and notices nothing, what can be adapted keeps its
 * holders and port, and only another protocol, family or bind port begins anew.
 */

#include "daemon_internal.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pinhold/log.h>

struct reading {
	json_t *mistakes, *notices;
	const char *path;
};

static void on_report(void *data, bool mistake, unsigned line, const char *text)
{
	struct reading *reading = data;

	enum ph_log_level level = mistake ? PH_LOG_ERROR : PH_LOG_WARNING;

	/* Line 0 is the file as a whole. */
	if (line)
		ph_log(level, "%s:%u: %s", reading->path, line, text);
	else
		ph_log(level, "%s: %s", reading->path, text);
	json_array_append_new(mistake ? reading->mistakes : reading->notices,
			      json_pack("{s:i, s:s}", "line", (int)line, "text", text));
}

static json_t *failed(struct reading *reading, const char *text)
{
	json_t *answer = json_pack("{s:s, s:s, s:O}", "error", text, "path", reading->path,
				   "mistakes", reading->mistakes);

	ph_error("reload: %s; everything stays as it was", text);
	return answer;
}

/* The run of this name; `near` is where it was in the old file, most likely. */
static size_t find(const struct ph_daemon *d, const char *name, size_t near)
{
	for (size_t k = 0; k < d->n_runs; k++) {
		size_t i = (near + k) % d->n_runs;

		if (d->runs[i] && strcmp(d->runs[i]->config->core.name, name) == 0)
			return i;
	}
	return SIZE_MAX;
}

struct change {
	struct mapping_run **runs; /* the new list; it takes over what stays */
	json_t *changed, *added, *removed;
	size_t unchanged;
};

static void note_change(json_t *list, const char *name)
{
	json_array_append_new(list, json_string(name));
}

/* Settings that cannot be adapted: the mapping ends and begins anew; its hooks know what they were
 * told. Takes config out of *from unless the old settings had to stay. */
static int restart(struct mapping_run *run, struct ph_config_mapping **from)
{
	int changed, started;

	run_stop(run);
	changed = run_reconfigure(run, *from);
	if (changed == 0)
		*from = NULL;
	started = run_start(run);
	if (!run->config->enabled)
		run_say_unheld(run);
	return changed < 0 ? changed : started;
}

/* A mapping that was removed and whose hooks still run: it is taken back, or a `down` that takes
 * its time would end after the `up` of another run of the same name. */
static struct mapping_run *take_back(struct ph_daemon *d, const char *name)
{
	for (size_t i = 0; i < d->n_leaving; i++) {
		struct mapping_run *run = d->leaving[i];

		if (strcmp(run->config->core.name, name) != 0)
			continue;
		d->leaving[i] = d->leaving[--d->n_leaving];
		run->leaving = false;
		run->outdated = true;
		return run;
	}
	return NULL;
}

static int add(struct ph_daemon *d, struct ph_config_mapping **from, struct mapping_run **ret_run)
{
	int r;

	*ret_run = take_back(d, (*from)->core.name);
	if (*ret_run)
		return restart(*ret_run, from);
	r = run_new(d, *from, ret_run);
	if (r < 0)
		return r;
	*from = NULL;
	return run_start(*ret_run);
}

/* One that ought to run and does not: there was no memory for it. */
static bool failed_before(const struct mapping_run *run)
{
	return run->config->enabled && !run->current;
}

/* Takes config out of *from when it has been used. */
static int apply(struct ph_daemon *d, struct ph_config_mapping **from, size_t at, struct change *c)
{
	struct ph_config_mapping *config = *from;
	const char *name = config->core.name;
	size_t i = d->n_runs ? find(d, name, at % d->n_runs) : SIZE_MAX;
	struct mapping_run *run;
	int r;

	if (i == SIZE_MAX) {
		note_change(c->added, name);
		return add(d, from, &c->runs[at]);
	}
	run = c->runs[at] = d->runs[i];
	d->runs[i] = NULL;
	switch (ph_config_mapping_compare(run->config, config)) {
	case PH_CONFIG_SAME:
		if (failed_before(run))
			break;
		run->config->line = config->line;
		r = run_republish(run);
		if (r)
			note_change(c->changed, name);
		else
			c->unchanged++;
		return r < 0 ? r : 0;
	case PH_CONFIG_ADAPT:
		if (failed_before(run))
			break;
		note_change(c->changed, name);
		r = run_reconfigure(run, config);
		if (r == 0)
			*from = NULL;
		return r;
	case PH_CONFIG_RESTART:
		break;
	}
	note_change(c->changed, name);
	return restart(run, from);
}

static void leave(struct ph_daemon *d, struct mapping_run *run, struct change *c)
{
	note_change(c->removed, run->config->core.name);
	run->leaving = true;
	run_stop(run);
	run->outdated = true;
	ph_daemon_touch(run);
	d->leaving[d->n_leaving++] = run;
}

void daemon_reap(struct ph_daemon *d)
{
	size_t kept = 0;

	for (size_t i = 0; i < d->n_leaving; i++) {
		if (receivers_running(d->leaving[i])) {
			d->leaving[kept++] = d->leaving[i];
			continue;
		}
		show_removed(d, d->leaving[i]->config->core.name);
		receivers_forget(d->leaving[i]);
		run_free(d->leaving[i]);
	}
	d->n_leaving = kept;
}

/* Room for everything first, so that little can fail on the way. */
static int make_room(struct ph_daemon *d, const struct ph_config *config, struct change *c)
{
	struct mapping_run **leaving;

	leaving = realloc(d->leaving, (d->n_leaving + d->n_runs + 1) * sizeof(*leaving));
	if (!leaving)
		return -ENOMEM;
	d->leaving = leaving;
	c->runs = calloc(config->n_mappings + 1, sizeof(*c->runs));
	c->changed = json_array();
	c->added = json_array();
	c->removed = json_array();
	return c->runs && c->changed && c->added && c->removed ? 0 : -ENOMEM;
}

/* Either has the mapping's name, wherever its settings have come to. */
static void note_failed(const struct mapping_run *run, const struct ph_config_mapping *config,
			int error)
{
	const char *name = config ? config->core.name : run->config->core.name;

	ph_error("reload mapping=%s: %s; the next reload tries again", name, strerror(-error));
}

/* As find(), in the new file. */
static bool configured(const struct ph_config *config, const char *name, size_t near)
{
	for (size_t k = 0; k < config->n_mappings; k++) {
		size_t i = (near + k) % config->n_mappings;

		if (strcmp(config->mappings[i]->core.name, name) == 0)
			return true;
	}
	return false;
}

/* The new list is the daemon's; where there was no memory for a mapping it has a gap. */
static void adopt(struct ph_daemon *d, struct mapping_run **runs, size_t n)
{
	free(d->runs);
	d->runs = runs;
	d->n_runs = 0;
	for (size_t i = 0; i < n; i++)
		if (runs[i])
			d->runs[d->n_runs++] = runs[i];
}

static json_t *take_over(struct ph_daemon *d, struct ph_config *config, struct reading *reading)
{
	struct change c = { 0 };
	struct publisher_spec *specs;
	json_t *answer = NULL;
	size_t n_specs;
	int r = make_room(d, config, &c);

	if (r == 0)
		r = publishers_describe(config, &specs, &n_specs);
	if (r < 0) {
		free(c.runs);
		goto out;
	}
	publishers_free(d->publishers, d->n_publishers);
	d->publishers = specs;
	d->n_publishers = n_specs;
	/* Those that go leave first: another one may want their port. */
	for (size_t i = 0; i < d->n_runs; i++) {
		if (configured(config, d->runs[i]->config->core.name, i))
			continue;
		leave(d, d->runs[i], &c);
		d->runs[i] = NULL;
	}
	for (size_t i = 0; i < config->n_mappings; i++) {
		r = apply(d, &config->mappings[i], i, &c);
		if (r < 0)
			note_failed(c.runs[i], config->mappings[i], r);
	}
	adopt(d, c.runs, config->n_mappings);
	daemon_set_plan(d, &config->plan);
	answer =
		json_pack("{s:{s:I, s:O, s:O, s:O, s:s, s:O}}", "reload", "unchanged",
			  (json_int_t)c.unchanged, "changed", c.changed, "added", c.added,
			  "removed", c.removed, "path", reading->path, "notices", reading->notices);
	ph_info("reloaded unchanged=%zu changed=%zu added=%zu removed=%zu", c.unchanged,
		json_array_size(c.changed), json_array_size(c.added), json_array_size(c.removed));
	if (d->localnet_set)
		ph_daemon_table_changed(d); /* somebody may have set it back */
	daemon_look_at_links(d, false);
	surroundings_marks(d);
	publishers_check(d);
out:
	json_decref(c.changed);
	json_decref(c.added);
	json_decref(c.removed);
	return answer;
}

json_t *daemon_reload(struct ph_daemon *d)
{
	struct reading reading = { .path = d->config_path };
	struct ph_config config = { 0 };
	json_t *answer;
	int r;

	if (!d->config_path)
		return json_pack(
			"{s:s}", "error",
			"there is no file to read: pinhold was started from the command line");
	if (d->stopping)
		return json_pack("{s:s}", "error", "pinhold is ending");
	reading.mistakes = json_array();
	reading.notices = json_array();
	ph_notify_reloading(d->notify);
	r = ph_config_read(d->config_path, on_report, &reading, &config);
	if (r == -EINVAL) {
		answer = failed(&reading, "the file has mistakes");
	} else if (r < 0) {
		char text[PATH_MAX + 64];

		snprintf(text, sizeof(text), "%s: %s", d->config_path, strerror(-r));
		answer = failed(&reading, text);
	} else {
		answer = take_over(d, &config, &reading);
		daemon_limit_files(d);
		ph_config_done(&config);
		/* Whoever hears that it is done finds the table as the file has it. */
		daemon_update_table(d);
	}
	ph_notify_ready(d->notify);
	json_decref(reading.mistakes);
	json_decref(reading.notices);
	return answer;
}
