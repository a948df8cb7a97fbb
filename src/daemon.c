/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The daemon: wiring and policy. Adapters give events, events go to the mappings, their actions are
 * carried out, and once an iteration the plan is made and installed; only then are the mappings
 * told that it is, and only then do they announce.
 */

#include "daemon.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <unistd.h>

#include <pinhold/links.h>
#include <pinhold/log.h>
#include <pinhold/nft.h>

#include "mapping_run.h"
#include "notes.h"

#define QUEUE_MAX     256   /* events that actions cause at once; the machines bound it */
#define RETRY_MS      2000u /* the table */
#define LAST_WORDS_MS 2500u /* of the 3 s that an exit may take */

struct queued {
	struct mapping_run *run;
	unsigned serial; /* of the flow that a CLOSED is about */
	struct ph_event event;
	struct ph_address address;
};

struct ph_daemon {
	uv_loop_t loop;
	uv_prepare_t prepare;
	uv_signal_t signals[2];
	uv_timer_t table_retry;
	uv_timer_t last_words;
	struct ph_nft *nft;
	struct ph_rtnetlink *rtnetlink;
	struct ph_resolver *resolver;
	const struct ph_config *config;
	struct mapping_run *runs;
	size_t n_runs;
	bool dirty; /* a want may have changed */
	bool stopping;
	bool table_failed;
	size_t n_queue;
	struct queued queue[QUEUE_MAX];
	struct ph_actions actions;
};

uv_loop_t *ph_daemon_loop(struct ph_daemon *d)
{
	return &d->loop;
}

struct ph_resolver *ph_daemon_resolver(struct ph_daemon *d)
{
	return d->resolver;
}

bool ph_daemon_stopping(const struct ph_daemon *d)
{
	return d->stopping;
}

static uint64_t now_ms(struct ph_daemon *d)
{
	return uv_now(&d->loop);
}

void ph_daemon_random(struct ph_event *event)
{
	/* 16 octets never block or come short once the kernel's source is seeded (getrandom(2)). */
	while (getrandom(event->random, sizeof(event->random), 0) < 0 && errno == EINTR)
		;
}

void ph_daemon_queue(struct mapping_run *run, const struct ph_event *event,
		     const struct ph_address *address)
{
	struct ph_daemon *d = run->daemon;

	if (d->n_queue == QUEUE_MAX)
		abort();
	d->queue[d->n_queue++] = (struct queued){
		.run = run,
		.event = *event,
		.serial = run->flows[event->flow].serial,
		.address = address ? *address : (struct ph_address){ 0 },
	};
}

/* ---- actions ---- */

static void announce(struct mapping_run *run, const struct ph_action *a)
{
	struct ph_told state = { 0 };

	note_announce(run, a);
	if (a->announce != PH_ANNOUNCE_DOWN) {
		state.public_endpoint = a->public_endpoint;
		state.private_endpoint = a->local;
	}
	hooks_offer(run, &state);
}

static void carry_out(struct mapping_run *run, const struct ph_action *a)
{
	switch (a->type) {
	case PH_ACTION_RESOLVE:
		flows_resolve(run, a);
		break;
	case PH_ACTION_OPEN:
		flows_open(run, a);
		break;
	case PH_ACTION_SEND:
		if (run->flows[a->flow].socket)
			ph_socket_send(run->flows[a->flow].socket, a->bytes, a->len);
		break;
	case PH_ACTION_CLOSE:
		flows_close(run, a->flow);
		break;
	case PH_ACTION_ANNOUNCE:
		announce(run, a);
		break;
	case PH_ACTION_NOTE:
		note_log(run, a);
		break;
	}
}

static void on_deadline(uv_timer_t *timer)
{
	struct mapping_run *run = timer->data;
	struct ph_event event = { .type = PH_EVENT_TIMER };

	/* Over UDP the holder's next transaction begins here. */
	if (run->config->core.proto == PH_UDP)
		ph_daemon_random(&event);
	ph_daemon_feed(run, &event);
}

static void set_timer(struct mapping_run *run)
{
	uint64_t at = ph_mapping_deadline(run->machine), now = now_ms(run->daemon);

	if (at == UINT64_MAX)
		uv_timer_stop(&run->timer);
	else
		uv_timer_start(&run->timer, on_deadline, at > now ? at - now : 0, 0);
}

/* Whether a queued end is of a flow that the machine has given up since. */
static bool stale(const struct queued *q)
{
	return q->event.type == PH_EVENT_CLOSED && q->serial != q->run->flows[q->event.flow].serial;
}

void ph_daemon_feed(struct mapping_run *run, const struct ph_event *event)
{
	struct ph_daemon *d = run->daemon;
	struct queued q = { .run = run, .event = *event };

	for (;;) {
		if (q.event.type == PH_EVENT_RESOLVED && q.event.n_addresses && !q.event.addresses)
			q.event.addresses = &q.address;
		ph_mapping_event(q.run->machine, &q.event, now_ms(d), &d->actions);
		for (size_t i = 0; i < d->actions.n; i++)
			carry_out(q.run, &d->actions.items[i]);
		set_timer(q.run);
		do {
			if (d->n_queue == 0) {
				d->dirty = true;
				return;
			}
			q = d->queue[0];
			memmove(d->queue, d->queue + 1, --d->n_queue * sizeof(d->queue[0]));
		} while (stale(&q));
	}
}

/* ---- the table ---- */

static int install(struct ph_daemon *d)
{
	struct ph_plan_mapping *wants = calloc(d->n_runs, sizeof(*wants));
	struct ph_table *table = NULL;
	bool changed = false;
	int r;

	if (!wants)
		return -ENOMEM;
	for (size_t i = 0; i < d->n_runs; i++)
		if (ph_mapping_want(d->runs[i].machine, &wants[i]) > d->runs[i].generation)
			changed = true;
	if (!changed) {
		free(wants);
		return 0;
	}
	r = ph_table_new(&d->config->plan, wants, d->n_runs, &table);
	free(wants);
	if (r == 0)
		r = ph_nft_apply(d->nft, table);
	if (r < 0) {
		ph_table_free(table);
		return r;
	}
	for (size_t i = 0; i < d->n_runs; i++) {
		struct mapping_run *run = &d->runs[i];
		struct ph_event event = { .type = PH_EVENT_INSTALLED };
		struct ph_plan_mapping want;

		event.generation = ph_mapping_want(run->machine, &want);
		if (event.generation <= run->generation)
			continue;
		run->generation = event.generation;
		ph_daemon_feed(run, &event);
	}
	return 0;
}

static void on_table_retry(uv_timer_t *timer)
{
	struct ph_daemon *d = timer->data;

	d->dirty = true;
}

/* Before the loop sleeps: what the mappings want is installed, until they want nothing new. */
static void on_prepare(uv_prepare_t *prepare)
{
	struct ph_daemon *d = prepare->data;

	while (d->dirty && !d->stopping) {
		int r;

		d->dirty = false;
		r = install(d);
		if (r == 0) {
			if (d->table_failed)
				ph_info("table installed");
			d->table_failed = false;
			continue;
		}
		if (!d->table_failed)
			note_table_failed(d->nft, r, true);
		d->table_failed = true;
		d->dirty = false;
		uv_timer_start(&d->table_retry, on_table_retry, RETRY_MS, 0);
		return;
	}
}

/* ---- links ---- */

static void look_for_mapping(struct mapping_run *run, const struct ph_links *view, bool starting)
{
	struct links_seen seen = { 0 };
	struct ph_event event = { .type = PH_EVENT_ADDRESS, .interface = seen.name };
	bool same;

	seen.answer = ph_links_find(view, run->config->interface, run->config->core.family,
				    seen.name, &seen.index, &seen.address);
	same = seen.answer == run->links.answer && seen.index == run->links.index &&
	       ph_address_equal(&seen.address, &run->links.address) &&
	       strcmp(seen.name, run->links.name) == 0;
	run->links = seen;
	/* At start it is said once all is well: what is wrong then is one line. */
	if (!same && !starting)
		note_links(run);
	event.index = seen.index;
	event.address = seen.address;
	ph_daemon_feed(run, &event);
}

static int look_at_links(struct ph_daemon *d, bool starting)
{
	const struct ph_links *view;
	int r = ph_rtnetlink_view(d->rtnetlink, &view);

	if (r < 0) {
		ph_error("rtnetlink: the interfaces cannot be read: %s", strerror(-r));
		return r;
	}
	for (size_t i = 0; i < d->n_runs; i++)
		look_for_mapping(&d->runs[i], view, starting);
	return 0;
}

static void on_links(void *data)
{
	struct ph_daemon *d = data;

	if (!d->stopping)
		look_at_links(d, false);
}

/* ---- the end ---- */

static bool hooks_run(const struct ph_daemon *d)
{
	for (size_t i = 0; i < d->n_runs; i++)
		if (hooks_running(&d->runs[i]))
			return true;
	return false;
}

void ph_daemon_hook_done(struct ph_daemon *d)
{
	if (d->stopping && !hooks_run(d))
		uv_stop(&d->loop);
}

static void on_last_words(uv_timer_t *timer)
{
	struct ph_daemon *d = timer->data;

	for (size_t i = 0; i < d->n_runs; i++)
		hooks_kill(&d->runs[i]);
}

static void on_signal(uv_signal_t *handle, int signum)
{
	struct ph_daemon *d = handle->data;
	struct ph_event event = { .type = PH_EVENT_STOP };
	int r;

	if (d->stopping)
		return;
	ph_info("stopping signal=%s", signum == SIGINT ? "SIGINT" : "SIGTERM");
	d->stopping = true;
	r = ph_nft_remove(d->nft);
	if (r < 0)
		ph_error("table not removed: %s", strerror(-r));
	for (size_t i = 0; i < d->n_runs; i++)
		ph_daemon_feed(&d->runs[i], &event);
	if (!hooks_run(d))
		uv_stop(&d->loop);
	else
		uv_timer_start(&d->last_words, on_last_words, LAST_WORDS_MS, 0);
}

/* ---- life ---- */

static int refuse_taken_port(const struct mapping_run *run)
{
	const struct ph_mapping_config *core = &run->config->core;
	struct ph_plan_mapping want;
	struct ph_endpoint local = ph_mapping_private(run->machine);
	int r = -EADDRINUSE;

	if (local.port == 0)
		return 0;
	ph_mapping_want(run->machine, &want);
	for (unsigned port = core->bind_first; r == -EADDRINUSE && port <= core->bind_last;
	     port++) {
		local.port = (uint16_t)port;
		r = ph_socket_try_bind(core->proto, want.interface, &local);
	}
	if (r < 0)
		note_bind_refused(core, r);
	return r;
}

static int start_mapping(struct ph_daemon *d, size_t i)
{
	struct mapping_run *run = &d->runs[i];
	struct ph_event event = { .type = PH_EVENT_START };
	int r;

	run->daemon = d;
	run->config = d->config->mappings[i];
	r = ph_mapping_new(&run->config->core, &run->machine);
	if (r < 0)
		return r;
	d->n_runs = i + 1;
	uv_timer_init(&d->loop, &run->timer);
	run->timer.data = run;
	flows_init(run);
	hooks_init(run);
	ph_daemon_random(&event);
	ph_daemon_feed(run, &event);
	return 0;
}

static int start(struct ph_daemon *d)
{
	int r = ph_nft_open(&d->nft);

	if (r < 0) {
		ph_error(
			"netlink: %s; the kernel needs nf_tables (CONFIG_NF_TABLES, module nf_tables)",
			strerror(-r));
		return r;
	}
	d->runs = calloc(d->config->n_mappings, sizeof(*d->runs));
	d->resolver = ph_resolver_new(&d->loop);
	if (!d->runs || !d->resolver)
		return -ENOMEM;
	r = ph_rtnetlink_watch(&d->loop, on_links, d, &d->rtnetlink);
	if (r < 0) {
		ph_error("rtnetlink: %s", strerror(-r));
		return r;
	}
	for (size_t i = 0; r == 0 && i < d->config->n_mappings; i++)
		r = start_mapping(d, i);
	if (r == 0)
		r = look_at_links(d, true);
	for (size_t i = 0; r == 0 && i < d->n_runs; i++)
		r = note_interface_missing(&d->runs[i]) ? -ENODEV : refuse_taken_port(&d->runs[i]);
	if (r < 0)
		return r;
	d->dirty = false;
	r = install(d);
	if (r < 0) {
		note_table_failed(d->nft, r, false);
		return r;
	}
	for (size_t i = 0; i < d->n_runs; i++)
		note_links(&d->runs[i]);
	return 0;
}

static void on_walk(uv_handle_t *handle, void *data)
{
	(void)data;
	if (!uv_is_closing(handle))
		uv_close(handle, NULL);
}

/* Returns false if a look-up is still in the resolver's hands: its thread cannot be waited for. */
static bool clean_up(struct ph_daemon *d)
{
	bool clean;

	for (size_t i = 0; i < d->n_runs; i++) {
		struct mapping_run *run = &d->runs[i];

		flows_done(run);
		hooks_done(run);
		ph_mapping_free(run->machine);
	}
	clean = ph_resolver_free(d->resolver);
	ph_rtnetlink_close(d->rtnetlink);
	ph_nft_close(d->nft);
	uv_walk(&d->loop, on_walk, NULL);
	if (clean) {
		uv_run(&d->loop, UV_RUN_DEFAULT);
		uv_loop_close(&d->loop);
		free(d->runs);
	}
	return clean;
}

static void init_handles(struct ph_daemon *d)
{
	uv_prepare_init(&d->loop, &d->prepare);
	uv_timer_init(&d->loop, &d->table_retry);
	uv_timer_init(&d->loop, &d->last_words);
	d->prepare.data = d->table_retry.data = d->last_words.data = d;
	uv_prepare_start(&d->prepare, on_prepare);
	for (unsigned i = 0; i < 2; i++) {
		uv_signal_init(&d->loop, &d->signals[i]);
		d->signals[i].data = d;
		uv_signal_start(&d->signals[i], on_signal, i ? SIGINT : SIGTERM);
	}
}

int ph_daemon_run(const struct ph_config *config, void (*ready)(void))
{
	struct ph_daemon *d = calloc(1, sizeof(*d));
	bool clean;
	int r;

	if (!d)
		return 1;
	/* One look-up at a time is enough, and saves three threads' stacks. Hooks are no heirs to
	 * capabilities that a service manager may have made ambient. */
	setenv("UV_THREADPOOL_SIZE", "1", 0);
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	signal(SIGPIPE, SIG_IGN);
	d->config = config;
	r = uv_loop_init(&d->loop);
	if (r < 0) {
		ph_error("event loop: %s", uv_strerror(r));
		free(d);
		return 1;
	}
	init_handles(d);
	r = start(d);
	if (r == 0) {
		ready();
		uv_run(&d->loop, UV_RUN_DEFAULT);
	}
	if (r == -ENOMEM)
		ph_error("out of memory");
	clean = clean_up(d);
	if (!clean) /* the resolver's thread still has the loop */
		_exit(r < 0 ? 2 : 0);
	free(d);
	return r < 0 ? 2 : 0;
}
