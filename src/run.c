/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * One configured mapping at work: it begins, is told of its interface, changes its settings, moves
 * to the next bind port and ends.
 *
 * Rotation, so that the new port is there before the old one goes:
 *
 *	current             in-NAME leads from the current port; every `rotate` a successor starts
 *	current, next       the successor punches its hole; nothing leads there yet
 *	old, current        it knows its endpoint: in-NAME is the successor's, old-NAME the old
 *			    port's; when that is installed the hooks hear of a change
 *	current             after LINGER_MS, when who was told has turned to the new port
 */

#include "mapping_run.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <pinhold/log.h>

#include "notes.h"

#define PUNCH_MS  60000u /* a successor that is not up by then is given up */
#define LINGER_MS 30000u /* how long the old port goes on */

static void on_rotation(uv_timer_t *timer);

static const char *name_of(const struct mapping_run *run)
{
	return run->config->core.name;
}

/* ---- rotation ---- */

static void on_rotation_closed(uv_handle_t *handle)
{
	free(handle);
}

/* Starts, stops or restarts the clock of the rotation; at `in_ms` its next step is due. */
static int rotation_in(struct mapping_run *run, uint64_t in_ms)
{
	if (!run->config->rotate_ms || !run->current) {
		if (run->rotation)
			uv_close((uv_handle_t *)run->rotation, on_rotation_closed);
		run->rotation = NULL;
		return 0;
	}
	if (!run->rotation) {
		run->rotation = malloc(sizeof(*run->rotation));
		if (!run->rotation)
			return -ENOMEM;
		uv_timer_init(ph_daemon_loop(run->daemon), run->rotation);
		run->rotation->data = run;
	}
	return uv_timer_start(run->rotation, on_rotation, in_ms, 0);
}

/* Ends a hold without a word to the hooks. */
static void drop(struct mapping_run *run, struct hold **hold)
{
	if (!*hold)
		return;
	hold_free(*hold);
	*hold = NULL;
	ph_daemon_table_changed(run->daemon);
	ph_daemon_touch(run);
}

static uint16_t next_port(const struct mapping_run *run)
{
	const struct ph_mapping_config *core = &run->config->core;
	unsigned range = (unsigned)(core->bind_last - core->bind_first) + 1, step = 1;
	uint16_t port = ph_mapping_private(run->current->machine).port;
	struct ph_event random;

	if (port < core->bind_first || port > core->bind_last)
		return core->bind_first;
	if (core->bind_random && range > 2) {
		uint32_t value;

		ph_daemon_random(&random);
		memcpy(&value, random.random, sizeof(value));
		step = 1 + value % (range - 1); /* any but this one */
	}
	return (uint16_t)(core->bind_first + (port - core->bind_first + step) % range);
}

void run_rotate(struct mapping_run *run)
{
	uint16_t port;
	int r;

	if (!run->current || run->other ||
	    run->config->core.bind_first == run->config->core.bind_last)
		return;
	if (ph_mapping_private(run->current->machine).port == 0) {
		rotation_in(run, PUNCH_MS); /* no address now */
		return;
	}
	port = next_port(run);
	ph_info("rotating mapping=%s from=%u to=%u", name_of(run),
		ph_mapping_private(run->current->machine).port, port);
	r = hold_new(run, HOLD_NEXT, port, &run->other);
	if (r == 0) {
		hold_look(run->other, &run->links);
		r = rotation_in(run, PUNCH_MS);
	}
	if (r < 0)
		ph_error("rotation mapping=%s: %s", name_of(run), strerror(-r));
}

static void on_rotation(uv_timer_t *timer)
{
	struct mapping_run *run = timer->data;

	if (!run->other) {
		run_rotate(run);
		return;
	}
	if (run->other->role == HOLD_NEXT)
		ph_warning(
			"rotation given up mapping=%s: the next bind port did not come up within %u s; the old one goes on",
			name_of(run), PUNCH_MS / 1000);
	else
		ph_info("old port ended mapping=%s port=%u", name_of(run),
			ph_mapping_private(run->other->machine).port);
	drop(run, &run->other);
	rotation_in(run, run->config->rotate_ms);
}

/* The successor knows its endpoint: it is the current one from now on. */
static void promote(struct mapping_run *run, const struct ph_action *a)
{
	struct hold *old = run->current;
	struct ph_mapping_view view;

	/* Each machine counts for itself; a successor's first endpoint is the mapping's next. */
	ph_mapping_view(old->machine, ph_daemon_now(run->daemon), &view);
	run->changes += view.changes;
	if (view.endpoint_since_ms &&
	    !ph_endpoint_equal(&view.public_endpoint, &a->public_endpoint))
		run->changes++;
	run->current = run->other;
	run->current->role = HOLD_CURRENT;
	run->other = old;
	old->role = HOLD_OLD;
	run->promoted = true;
	run->promotion = *a;
	/* For those who are told, it is the mapping that moved, or that is back. */
	if (run->told.public_endpoint.port)
		run->promotion.announce = PH_ANNOUNCE_CHANGE;
	ph_daemon_table_changed(run->daemon);
	rotation_in(run, LINGER_MS);
}

/* ---- announcements ---- */

static void tell(struct mapping_run *run, const struct ph_action *a)
{
	run->told = (struct ph_told){ 0 };
	note_announce(run, a);
	if (a->announce != PH_ANNOUNCE_DOWN) {
		run->told.public_endpoint = a->public_endpoint;
		run->told.private_endpoint = a->local;
	}
	run->spoken = true;
	/* Who looks sees that others have yet to hear of it, not that all is done. */
	receivers_news(run);
	ph_daemon_show(run);
	receivers_offer(run);
	ph_daemon_announced(run, a);
}

void run_announce(struct hold *hold, const struct ph_action *a)
{
	struct mapping_run *run = hold->run;

	switch (hold->role) {
	case HOLD_CURRENT:
		run->promoted = false; /* what this says is newer */
		tell(run, a);
		break;
	case HOLD_NEXT:
		if (a->announce == PH_ANNOUNCE_UP)
			promote(run, a);
		break;
	case HOLD_OLD:
		break;
	}
}

void run_installed(struct mapping_run *run)
{
	if (!run->promoted)
		return;
	run->promoted = false;
	tell(run, &run->promotion);
}

/* ---- life ---- */

int run_new(struct ph_daemon *d, struct ph_config_mapping *config, struct mapping_run **ret_run)
{
	struct mapping_run *run = calloc(1, sizeof(*run));

	if (!run)
		return -ENOMEM;
	run->daemon = d;
	run->config = config;
	if (receivers_set(run) < 0) {
		run->config = NULL;
		run_free(run);
		return -ENOMEM;
	}
	*ret_run = run;
	return 0;
}

int run_start(struct mapping_run *run)
{
	int r;

	ph_daemon_touch(run);
	run->links = (struct links_seen){ 0 };
	run->changes = 0;
	if (!run->config->enabled)
		return 0;
	r = hold_new(run, HOLD_CURRENT, 0, &run->current);
	return r < 0 ? r : rotation_in(run, run->config->rotate_ms);
}

void run_say_unheld(struct mapping_run *run)
{
	if (run->spoken || run->current)
		return;
	run->told = (struct ph_told){ 0 };
	run->spoken = true;
	receivers_offer(run);
}

void run_stop(struct mapping_run *run)
{
	struct ph_event event = { .type = PH_EVENT_STOP };

	run->promoted = false;
	drop(run, &run->other);
	if (run->current)
		ph_daemon_feed(run->current, &event);
	drop(run, &run->current);
	rotation_in(run, 0);
	if (run->leaving || ph_daemon_stopping(run->daemon))
		run_say_unheld(run);
}

void run_free(struct mapping_run *run)
{
	if (!run)
		return;
	ph_daemon_untouch(run);
	hold_free(run->current);
	hold_free(run->other);
	if (run->rotation)
		uv_close((uv_handle_t *)run->rotation, on_rotation_closed);
	receivers_free(run);
	ph_config_mapping_free(run->config);
	free(run);
}

int run_republish(struct mapping_run *run)
{
	int r;

	/* What failed may work now: a secret is in a file that has no part in the settings. */
	receivers_again(run);
	if (!receivers_outdated(run)) {
		receivers_offer(run);
		return 0;
	}
	r = receivers_set(run);
	if (r < 0)
		return r;
	receivers_offer(run);
	run->outdated = true;
	ph_daemon_touch(run);
	return 1;
}

int run_reconfigure(struct mapping_run *run, struct ph_config_mapping *config)
{
	struct ph_config_mapping *old = run->config;
	bool rotation = old->rotate_ms != config->rotate_ms;
	int r;

	run->config = config;
	r = receivers_set(run);
	if (r < 0) {
		run->config = old;
		return r;
	}
	/* Who may connect, and how, is the table's alone. */
	ph_daemon_table_changed(run->daemon);
	if (run->current)
		hold_reconfigure(run->current);
	if (run->other)
		hold_reconfigure(run->other);
	receivers_again(run);
	receivers_offer(run); /* a new one hears where the mapping is */
	/* Everybody has let go of the old one's lists. */
	ph_config_mapping_free(old);
	if (rotation) {
		drop(run, &run->other);
		rotation_in(run, config->rotate_ms);
	}
	run->outdated = true;
	ph_daemon_touch(run);
	return 0;
}

/* ---- links ---- */

void run_look(struct mapping_run *run, const struct ph_links *view, bool quiet)
{
	struct links_seen seen = { 0 };
	bool same;

	if (!run->current)
		return;
	seen.answer = ph_links_find(view, run->config->interface, run->config->core.family,
				    seen.name, &seen.index, &seen.address);
	same = seen.answer == run->links.answer && seen.index == run->links.index &&
	       ph_address_equal(&seen.address, &run->links.address) &&
	       strcmp(seen.name, run->links.name) == 0;
	run->links = seen;
	if (!same) {
		if (!quiet)
			note_links(run);
		ph_daemon_touch(run);
	}
	hold_look(run->current, &run->links);
	if (run->other)
		hold_look(run->other, &run->links);
}
