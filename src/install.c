/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The table: made of what the mappings want, installed, and only then told to the machines. Beside
 * it what must be true at the same time: route_localnet is on only while the table guards it, old
 * UDP flows do not go on to a target that is none any more, and a plain table that somebody else
 * has changed is put back.
 */

#include "daemon_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <pinhold/conntrack.h>
#include <pinhold/log.h>

#include "notes.h"

#define RETRY_MS 2000u /* after an error */
/* Who changes a plain table again and again gets it back at once so many times, then once a second.
 */
#define FOREIGN_MS    UINT64_C(1000)
#define FOREIGN_BURST (5 * FOREIGN_MS)

/* What holds want now: all of them, or one. */
struct wants {
	struct ph_plan_mapping *list;
	struct hold **holds; /* in the same order */
	uint64_t *generations;
	size_t n;
};

static void wants_done(struct wants *w)
{
	free(w->list);
	free(w->holds);
	free(w->generations);
}

static void add_want(struct wants *w, struct hold *hold)
{
	w->generations[w->n] = hold_want(hold, &w->list[w->n]);
	w->holds[w->n++] = hold;
}

static int wants_init(struct wants *w, size_t room)
{
	*w = (struct wants){
		.list = calloc(room + 1, sizeof(*w->list)),
		.holds = calloc(room + 1, sizeof(struct hold *)),
		.generations = calloc(room + 1, sizeof(*w->generations)),
	};
	return w->list && w->holds && w->generations ? 0 : -ENOMEM;
}

static int collect(struct ph_daemon *d, struct wants *w)
{
	int r = wants_init(w, 2 * d->n_runs);

	for (size_t i = 0; r == 0 && i < d->n_runs; i++) {
		if (d->runs[i]->current)
			add_want(w, d->runs[i]->current);
		if (d->runs[i]->other)
			add_want(w, d->runs[i]->other);
	}
	return r;
}

/* ---- old flows ---- */

/* Whether connections that were led there before are to be led elsewhere now. */
static bool is_retargeted(const struct ph_plan_mapping *before, const struct ph_plan_mapping *now)
{
	return before->open && before->private_endpoint.port && now->proto == PH_UDP &&
	       ph_endpoint_equal(&before->private_endpoint, &now->private_endpoint) &&
	       (before->target.kind != now->target.kind ||
		!ph_address_equal(&before->target.address, &now->target.address) ||
		ph_plan_target_port(before) != ph_plan_target_port(now));
}

/*
 * Datagrams of a flow that conntrack knows are translated as its first one was, for as long as
 * they come. TCP connections run on.
 */
static void forget_old_flows(const struct ph_daemon *d, const struct wants *w)
{
	struct ph_conntrack_match *matches = calloc(2 * w->n + 1, sizeof(*matches));
	size_t n = 0, deleted = 0;
	int r = 0;

	for (size_t i = 0; matches && i < w->n; i++) {
		const struct ph_plan_mapping *old = &w->holds[i]->installed, *now = &w->list[i];
		struct ph_conntrack_match match = { .proto = PH_UDP, .mark = d->plan.mark };

		if (!is_retargeted(old, now))
			continue;
		if (now->target.kind == PH_TARGET_ADDRESS) {
			match.keep.address = now->target.address;
			match.keep.port = ph_plan_target_port(now);
		}
		match.destination = old->private_endpoint;
		matches[n++] = match;
		match.destination = old->public_endpoint; /* clients inside */
		if (match.destination.port)
			matches[n++] = match;
	}
	if (!matches)
		r = -ENOMEM;
	else if (n)
		r = ph_conntrack_forget(matches, n, &deleted);
	if (r < 0)
		ph_warning("old UDP flows go on to the old target until they end: conntrack: %s",
			   strerror(-r));
	else if (deleted)
		ph_info("old UDP flows ended flows=%zu", deleted);
	free(matches);
}

/* ---- installing ---- */

void ph_daemon_want_changed(struct hold *hold)
{
	struct ph_daemon *d = hold->run->daemon;

	d->dirty = true;
	if (hold->changed)
		return;
	hold->changed = true;
	d->n_changed++;
	d->changed = hold;
}

void ph_daemon_want_gone(struct hold *hold)
{
	struct ph_daemon *d = hold->run->daemon;

	if (!hold->changed)
		return;
	hold->changed = false;
	d->n_changed--;
	ph_daemon_table_changed(d);
}

/* It is in the kernel: whoever waited for it is told. */
static void installed(struct ph_daemon *d, const struct wants *w)
{
	forget_old_flows(d, w);
	for (size_t i = 0; i < w->n; i++) {
		struct hold *hold = w->holds[i];

		if (hold->changed)
			d->n_changed--;
		hold->changed = false;
		hold->installed = w->list[i];
		hold->installed.peers = NULL;
		hold->installed.n_peers = 0;
	}
	for (size_t i = 0; i < w->n; i++)
		if (w->holds[i]->role == HOLD_CURRENT)
			run_installed(w->holds[i]->run);
	for (size_t i = 0; i < w->n; i++) {
		struct ph_event event = { .type = PH_EVENT_INSTALLED,
					  .generation = w->generations[i] };

		if (event.generation <= w->holds[i]->generation)
			continue;
		w->holds[i]->generation = event.generation;
		ph_daemon_feed(w->holds[i], &event);
	}
}

static int install_whole(struct ph_daemon *d)
{
	struct ph_table *table = NULL;
	struct wants w;
	int r = collect(d, &w);

	if (r == 0)
		r = ph_table_new(&d->plan, w.list, w.n, &table);
	if (r == 0) {
		localnet_before(d, w.holds, w.list, w.n);
		r = ph_nft_apply(d->nft, table);
	}
	if (r == 0) {
		d->rebuild = false;
		localnet_after(d, w.holds, w.list, w.n);
		installed(d, &w);
	} else {
		ph_table_free(table);
	}
	wants_done(&w);
	return r;
}

/*
 * What happens most, a new public endpoint of one mapping among many, takes no plan of all of them:
 * the difference between two tables of that mapping alone is the difference between the whole ones,
 * unless they share what changes. 1: it does not come to that.
 */
static int try_change(struct ph_daemon *d, const struct hold *hold, const struct wants *w)
{
	struct ph_plan_mapping now = w->list[0];
	struct ph_table *from = NULL, *to = NULL;
	int r = 1;

	/* Both without peers, which are the same. */
	if (now.peers_generation != hold->installed.peers_generation)
		return 1;
	now.peers = NULL;
	now.n_peers = 0;
	if (ph_table_new(&d->plan, &hold->installed, 1, &from) == 0 &&
	    ph_table_new(&d->plan, &now, 1, &to) == 0)
		r = ph_nft_apply_change(d->nft, from, to);
	ph_table_free(from);
	ph_table_free(to);
	return r;
}

static int install_change(struct ph_daemon *d)
{
	struct wants w;
	int r = 1;

	if (d->rebuild || d->n_changed != 1 || !d->changed->changed)
		return 1;
	if (wants_init(&w, 1) == 0) {
		add_want(&w, d->changed);
		r = try_change(d, d->changed, &w);
		if (r == 0)
			installed(d, &w);
	}
	wants_done(&w);
	return r;
}

static int install(struct ph_daemon *d)
{
	if (!d->rebuild && d->n_changed == 0)
		return 0;
	return install_change(d) == 0 ? 0 : install_whole(d);
}

static void on_table_retry(uv_timer_t *timer)
{
	struct ph_daemon *d = timer->data;

	d->dirty = true;
}

void daemon_update_table(struct ph_daemon *d)
{
	while (d->dirty && !d->stopping) {
		int r;

		d->dirty = false;
		r = install(d);
		if (r == 0) {
			if (d->table_error)
				ph_info("table installed");
			d->table_error = 0;
			d->installed = true;
			continue;
		}
		if (!d->table_error)
			note_table_failed(d->nft, r, true);
		if (!ph_nft_is_installed(d->nft))
			localnet_unguarded(d);
		d->table_error = r;
		d->dirty = false;
		uv_timer_start(&d->table_retry, on_table_retry, RETRY_MS, 0);
		return;
	}
}

/* ---- a plain table is anybody's ---- */

/* When it may be put back: now, or after so many ms. */
static uint64_t foreign_delay(struct ph_daemon *d)
{
	uint64_t now = ph_daemon_now(d);

	/* The bucket holds five, and gets one a second. */
	if (d->foreign_full_ms < now)
		d->foreign_full_ms = now;
	d->foreign_full_ms += FOREIGN_MS;
	return d->foreign_full_ms - now > FOREIGN_BURST ? d->foreign_full_ms - now - FOREIGN_BURST
							: 0;
}

static void on_foreign(uv_poll_t *poll, int status, int ready)
{
	struct ph_daemon *d = poll->data;
	struct ph_nft_foreign foreign;
	uint64_t delay;
	int r = ph_nft_watch_read(d->watch, &foreign);

	(void)ready;
	if (r < 0) {
		ph_error("nfnetlink: changes of the table by others are not noticed any more: %s",
			 strerror(-r));
		uv_poll_stop(poll);
		return;
	}
	/* After an error on the socket (ENOBUFS is one) libuv has stopped to look. */
	if (status < 0)
		uv_poll_start(poll, UV_READABLE, on_foreign);
	if (d->stopping || !(foreign.changed || foreign.gone || foreign.unsure))
		return;
	d->foreign_ms = ph_daemon_now(d);
	ph_nft_distrust(d->nft);
	d->rebuild = true;
	/* What is soon put back anyway is put back once, whatever else has been done to it by then.
	 */
	if (uv_is_active((uv_handle_t *)&d->table_retry))
		return;
	delay = foreign_delay(d);
	note_foreign(&foreign, delay);
	if (!delay) {
		d->dirty = true;
		return;
	}
	localnet_unguarded(d);
	uv_timer_start(&d->table_retry, on_table_retry, delay, 0);
}

static void watch_others(struct ph_daemon *d)
{
	int r;

	if (ph_nft_is_owner(d->nft))
		return;
	r = ph_nft_watch_open(ph_nft_port_id(d->nft), &d->watch);
	if (r == 0)
		r = uv_poll_init(&d->loop, &d->watch_poll, ph_nft_watch_fd(d->watch));
	if (r == 0) {
		d->watch_poll.data = d;
		r = uv_poll_start(&d->watch_poll, UV_READABLE, on_foreign);
	}
	if (r < 0)
		ph_warning("nfnetlink: changes of the table by others are not noticed: %s",
			   strerror(-r));
}

int install_first(struct ph_daemon *d)
{
	int r;

	d->rebuild = true;
	d->dirty = false;
	r = install(d);
	if (r < 0) {
		note_table_failed(d->nft, r, false);
		return r;
	}
	d->installed = true;
	watch_others(d);
	return 0;
}
