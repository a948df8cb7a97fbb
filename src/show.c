/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What others see of the daemon: state files, the service manager's status line, watchers. */

#include "daemon_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pinhold/log.h>
#include <pinhold/state_file.h>

struct ph_status_clock show_clock(const struct ph_daemon *d)
{
	struct ph_status_clock clock = { .now_ms = ph_daemon_now(d) };

	clock_gettime(CLOCK_REALTIME, &clock.now);
	return clock;
}

void show_daemon(const struct ph_daemon *d, struct ph_status_daemon *ret)
{
	*ret = (struct ph_status_daemon){
		.config_path = d->config_path,
		.started_ms = d->started_ms,
		.table = {
			.installed = d->installed && !d->table_error,
			.owner = ph_nft_is_owner(d->nft),
			.error = d->table_error ? strerror(-d->table_error) : NULL,
			.foreign_ms = d->foreign_ms,
		},
	};
}

static const char *links_why(const struct mapping_run *run)
{
	switch (run->links.answer) {
	case PH_LINKS_FOUND:
		return NULL;
	case PH_LINKS_NO_INTERFACE:
		return strcmp(run->config->interface, "auto") ? "the interface is not there"
							      : "there is no default route";
	case PH_LINKS_DOWN:
		return "the interface is down";
	case PH_LINKS_NO_ADDRESS:
		return "the interface has no usable address";
	case PH_LINKS_BAD_NAME:
		return "the interface's name cannot stand in the table: rename it";
	}
	return NULL;
}

void show_mapping(const struct mapping_run *run, struct ph_status_mapping *ret)
{
	*ret = (struct ph_status_mapping){ .config = run->config, .held = run->current };
	if (run->current) {
		ph_mapping_view(run->current->machine, ph_daemon_now(run->daemon), &ret->view);
		ret->view.changes += run->changes;
		/* A state of ours is several of the machine's, and of one machine after another. */
		if (ph_status_state(ret) == run->shown_state)
			ret->view.state_since_ms = run->shown_since_ms;
		ret->why = links_why(run);
		if (!ret->why &&
		    (run->cut_off || ph_mapping_state(run->current->machine) == PH_MAPPING_UP))
			ret->why = *run->obstacle ? run->obstacle : NULL;
		ret->own_port = run->current->own.port;
		ret->uplink = run->uplink.number;
		memcpy(ret->interface, run->links.name, sizeof(ret->interface));
	}
	receivers_status(run, ret);
}

/* Whether b would be no news after a; round-trip times move with every answer, and are none. */
static bool same(const struct ph_mapping_view *a, const struct ph_mapping_view *b)
{
	if (a->state != b->state || a->why != b->why ||
	    !ph_endpoint_equal(&a->private_endpoint, &b->private_endpoint) ||
	    !ph_endpoint_equal(&a->public_endpoint, &b->public_endpoint) ||
	    a->state_since_ms != b->state_since_ms ||
	    a->endpoint_since_ms != b->endpoint_since_ms || a->verified_ms != b->verified_ms ||
	    a->changes != b->changes || a->can_verify != b->can_verify ||
	    a->independence != b->independence || a->n_holders != b->n_holders)
		return false;
	for (size_t i = 0; i < a->n_holders; i++)
		if (!ph_endpoint_equal(&a->holders[i].server, &b->holders[i].server) ||
		    a->holders[i].open != b->holders[i].open ||
		    a->holders[i].since_ms != b->holders[i].since_ms)
			return false;
	return true;
}

static void file_name(const char *mapping, char name[static PH_NAME_MAX + 8])
{
	snprintf(name, PH_NAME_MAX + 8, "%s.json", mapping);
}

static void write_file(struct ph_daemon *d, const struct mapping_run *run,
		       const struct ph_status_mapping *status)
{
	const struct ph_status_clock clock = show_clock(d);
	json_t *json = ph_status_mapping_json(status, &clock);
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	char name[PH_NAME_MAX + 8];
	int r = -ENOMEM;

	file_name(run->config->core.name, name);
	if (text)
		r = ph_state_write(d->run_directory, name, 0644, text, strlen(text));
	if (r < 0 && r != d->file_error)
		ph_warning("state file %s/%s: %s", d->run_directory, name, strerror(-r));
	d->file_error = r;
	free(text);
	json_decref(json);
}

void show_removed(struct ph_daemon *d, const char *name)
{
	char file[PH_NAME_MAX + 8];

	if (!d->run_directory)
		return;
	file_name(name, file);
	ph_state_remove(d->run_directory, file);
}

static void show_run(struct ph_daemon *d, struct mapping_run *run)
{
	struct ph_status_mapping status;
	const char *state;
	bool outdated = run->outdated;

	show_mapping(run, &status);
	state = ph_status_state(&status);
	run->outdated = false;
	if (!outdated && state == run->shown_state && same(&status.view, &run->shown))
		return;
	run->shown = status.view;
	if (d->run_directory)
		write_file(d, run, &status);
	if (state != run->shown_state) {
		run->shown_state = state;
		run->shown_since_ms = status.view.state_since_ms;
		d->states_changed = true;
		commands_event(d, "state", run, NULL);
	}
}

void ph_daemon_show(struct mapping_run *run)
{
	show_run(run->daemon, run);
}

/* One line for the service manager. */
static void tell_manager(struct ph_daemon *d)
{
	size_t up = 0, disabled = 0;
	char text[96];

	for (size_t i = 0; i < d->n_runs; i++) {
		if (!d->runs[i]->current)
			disabled++;
		else if (ph_mapping_state(d->runs[i]->current->machine) == PH_MAPPING_UP)
			up++;
	}
	if (disabled)
		snprintf(text, sizeof(text), "%zu of %zu mappings up, %zu disabled", up, d->n_runs,
			 disabled);
	else
		snprintf(text, sizeof(text), "%zu of %zu mappings up", up, d->n_runs);
	ph_notify_status(d->notify, text);
}

void show_touched(struct ph_daemon *d)
{
	while (d->touched) {
		struct mapping_run *run = d->touched;

		d->touched = run->next_touched;
		run->touched = false;
		show_run(d, run);
	}
	if (d->states_changed)
		tell_manager(d);
	d->states_changed = false;
}
