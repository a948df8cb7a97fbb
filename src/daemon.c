/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The daemon: wiring and policy. Adapters give events, events go to the machines, their actions are
 * carried out, and once an iteration the plan is made and installed; only then are the machines
 * told that it is, and only then do they announce.
 */

#include "daemon.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <pinhold/limits.h>
#include <pinhold/log.h>

#include "daemon_internal.h"
#include "notes.h"

#define LAST_WORDS_MS 2500u /* of the 3 s that an exit may take */
#define FILES_BESIDE \
	96u /* descriptors that are no mapping's: loop, netlink, clients, hooks' pipes */

uv_loop_t *ph_daemon_loop(struct ph_daemon *d)
{
	return &d->loop;
}

struct ph_resolver *ph_daemon_resolver(struct ph_daemon *d)
{
	return d->resolver;
}

struct ph_ports *ph_daemon_ports(struct ph_daemon *d)
{
	return d->ports;
}

const struct links_seen *ph_daemon_default_route(const struct ph_daemon *d)
{
	return &d->default_route;
}

const char *ph_daemon_state_directory(const struct ph_daemon *d)
{
	/* From the command line there is nothing that a next start would have in common. */
	return d->config_path ? d->state_directory : NULL;
}

void ph_daemon_state_error(struct ph_daemon *d, int error)
{
	if (error < 0 && error != d->state_error)
		ph_warning("state directory %s: %s; after a restart everybody may be told again",
			   d->state_directory, strerror(-error));
	d->state_error = error;
}

bool ph_daemon_stopping(const struct ph_daemon *d)
{
	return d->stopping;
}

bool ph_daemon_take_socket(struct ph_daemon *d)
{
	if (d->n_sockets >= d->sockets_max)
		return false;
	d->n_sockets++;
	return true;
}

void ph_daemon_return_socket(struct ph_daemon *d)
{
	d->n_sockets--;
}

uint64_t ph_daemon_now(const struct ph_daemon *d)
{
	return uv_now(&d->loop);
}

void ph_daemon_table_changed(struct ph_daemon *d)
{
	d->dirty = d->rebuild = true;
}

void ph_daemon_touch(struct mapping_run *run)
{
	struct ph_daemon *d = run->daemon;

	if (run->touched)
		return;
	run->touched = true;
	run->next_touched = d->touched;
	d->touched = run;
}

void ph_daemon_untouch(struct mapping_run *run)
{
	struct mapping_run **at = &run->daemon->touched;

	if (!run->touched)
		return;
	while (*at != run)
		at = &(*at)->next_touched;
	*at = run->next_touched;
	run->touched = false;
}

void ph_daemon_random(struct ph_event *event)
{
	/* 16 octets never block or come short once the kernel's source is seeded (getrandom(2)). */
	while (getrandom(event->random, sizeof(event->random), 0) < 0 && errno == EINTR)
		;
}

void ph_daemon_queue(struct hold *hold, const struct ph_event *event,
		     const struct ph_address *address)
{
	struct ph_daemon *d = hold->run->daemon;

	if (d->n_queue == QUEUE_MAX)
		abort();
	d->queue[d->n_queue++] = (struct queued){
		.hold = hold,
		.event = *event,
		.serial = hold->flows[event->flow].serial,
		.address = address ? *address : (struct ph_address){ 0 },
	};
}

/* Whether a queued end is of a flow that the machine has given up since. */
static bool stale(const struct queued *q)
{
	return q->event.type == PH_EVENT_CLOSED &&
	       q->serial != q->hold->flows[q->event.flow].serial;
}

static void feed_one(struct ph_daemon *d, struct queued *q)
{
	struct ph_plan_mapping want;

	if (q->event.type == PH_EVENT_RESOLVED && q->event.n_addresses && !q->event.addresses)
		q->event.addresses = &q->address;
	ph_mapping_event(q->hold->machine, &q->event, ph_daemon_now(d), &d->actions);
	for (size_t i = 0; i < d->actions.n; i++)
		hold_carry_out(q->hold, &d->actions.items[i]);
	hold_set_timer(q->hold);
	hold_claim(q->hold);
	if (ph_mapping_want(q->hold->machine, &want) > q->hold->generation)
		ph_daemon_want_changed(q->hold);
	ph_daemon_touch(q->hold->run);
}

void ph_daemon_feed(struct hold *hold, const struct ph_event *event)
{
	struct ph_daemon *d = hold->run->daemon;
	struct queued q = { .hold = hold, .event = *event };

	assert(!d->feeding); /* there is one list of actions */
	d->feeding = true;
	for (;;) {
		feed_one(d, &q);
		do {
			if (d->n_queue == 0) {
				d->feeding = false;
				return;
			}
			q = d->queue[0];
			memmove(d->queue, d->queue + 1, --d->n_queue * sizeof(d->queue[0]));
		} while (stale(&q));
	}
}

/* Before the loop sleeps: what the mappings want is installed, until they want nothing new; then
 * others are shown what has become of them. */
static void on_prepare(uv_prepare_t *prepare)
{
	struct ph_daemon *d = prepare->data;

	daemon_update_table(d);
	daemon_reap(d);
	show_touched(d);
}

/* ---- links ---- */

int daemon_look_at_links(struct ph_daemon *d, bool quiet)
{
	const struct ph_links *view;
	int r = ph_rtnetlink_view(d->rtnetlink, &view);

	if (r < 0) {
		ph_error("rtnetlink: the interfaces cannot be read: %s", strerror(-r));
		return r;
	}
	for (size_t i = 0; i < d->n_runs; i++)
		run_look(d->runs[i], view, quiet);
	surroundings_look(d, view);
	return 0;
}

static void on_links(void *data)
{
	struct ph_daemon *d = data;

	/* After an error the watch calls again. */
	if (!d->stopping)
		daemon_look_at_links(d, false);
}

/* ---- the end ---- */

static bool receivers_run(const struct ph_daemon *d)
{
	for (size_t i = 0; i < d->n_runs; i++)
		if (receivers_running(d->runs[i]))
			return true;
	for (size_t i = 0; i < d->n_leaving; i++)
		if (receivers_running(d->leaving[i]))
			return true;
	return false;
}

void ph_daemon_receiver_done(struct mapping_run *run, const char *kind)
{
	struct ph_daemon *d = run->daemon;

	run->outdated = true;
	ph_daemon_touch(run);
	commands_event(d, kind, run, NULL);
	if (d->all_told && !receivers_run(d))
		uv_stop(&d->loop);
}

void ph_daemon_announced(struct mapping_run *run, const struct ph_action *a)
{
	ph_daemon_touch(run);
	commands_event(run->daemon, ph_announce_name(a->announce), run, NULL);
}

static void on_last_words(uv_timer_t *timer)
{
	struct ph_daemon *d = timer->data;

	for (size_t i = 0; i < d->n_runs; i++)
		receivers_kill(d->runs[i]);
	for (size_t i = 0; i < d->n_leaving; i++)
		receivers_kill(d->leaving[i]);
}

static void end(struct ph_daemon *d, const char *signal)
{
	int r;

	if (d->stopping)
		return;
	ph_info("stopping signal=%s", signal);
	ph_notify_stopping(d->notify);
	d->stopping = true;
	/* While the table still guards it. */
	ph_localnet_close(d->localnet);
	d->localnet = NULL;
	r = ph_nft_remove(d->nft);
	if (r < 0)
		ph_error("table not removed: %s", strerror(-r));
	for (size_t i = 0; i < d->n_runs; i++)
		run_stop(d->runs[i]);
	/* Only now: a hook that cannot even be started ends before the next mapping's begins. */
	d->all_told = true;
	if (!receivers_run(d))
		uv_stop(&d->loop);
	else
		uv_timer_start(&d->last_words, on_last_words, LAST_WORDS_MS, 0);
}

static void on_signal(uv_signal_t *handle, int signum)
{
	struct ph_daemon *d = handle->data;

	switch (signum) {
	case SIGHUP: {
		json_t *answer = daemon_reload(d);

		if (!d->config_path)
			ph_warning(
				"SIGHUP: there is no file to read: pinhold was started from the command line");
		commands_event(d, "reload", NULL, answer);
		break;
	}
	case SIGINT:
		end(d, "SIGINT");
		break;
	default:
		end(d, "SIGTERM");
		break;
	}
}

static void on_watchdog(uv_timer_t *timer)
{
	struct ph_daemon *d = timer->data;

	ph_notify_watchdog(d->notify);
}

/* ---- life ---- */

void daemon_limit_files(struct ph_daemon *d)
{
	size_t needed = FILES_BESIDE, limit;

	/* One that rotates has as many again for a while; those that began together do so together.
	 */
	for (size_t i = 0; i < d->n_runs; i++) {
		const struct mapping_run *run = d->runs[i];

		assert(run);
		/* One more keeps a borrowed port. */
		needed += (run->config->rotate_ms ? (size_t)2 : 1) * (PH_FLOWS + 1);
	}
	limit = needed;
	if (ph_limits_raise_files(needed, &limit) < 0 || limit < needed)
		ph_warning(
			"%zu mappings may need %zu descriptors, and no more than %zu are allowed: raise the hard limit (ulimit -Hn; LimitNOFILE= in a unit)",
			d->n_runs, needed, limit);
	/* Who asks what is wrong must be answered. */
	d->sockets_max = limit - (limit / 2 < FILES_BESIDE ? limit / 2 : FILES_BESIDE);
}

/*
 * From the command line a port that cannot be had or an interface that is not there is most likely
 * a slip, and said at once; a file is for a machine that starts on its own, and is waited with.
 */
static int refuse(const struct ph_daemon *d, const struct mapping_run *run)
{
	const struct ph_mapping_config *core;
	struct ph_endpoint local;
	int r = -EADDRINUSE;

	assert(run);
	if (d->config_path || !run->current)
		return 0;
	core = &run->config->core;
	if (note_interface_missing(run))
		return -ENODEV;
	local = ph_mapping_private(run->current->machine);
	/* Where a service may have the bind port, our sockets are not on it. */
	if (local.port == 0 || run->current->own.port)
		return 0;
	for (unsigned port = core->bind_first; r == -EADDRINUSE && port <= core->bind_last;
	     port++) {
		local.port = (uint16_t)port;
		r = ph_socket_try_bind(core->proto, run->links.name, &local);
	}
	if (r < 0)
		note_bind_refused(core, r);
	return r;
}

/* Where things are remembered over a restart. What is not there when it is needed is said by
 * whoever writes. */
static void set_state_directory(struct ph_daemon *d)
{
	const char *given = getenv("STATE_DIRECTORY");
	size_t len;

	if (!given || *given != '/')
		given = d->config_path ? "/var/lib/pinhold" : NULL;
	if (!given)
		return;
	/* systemd.exec(5): several are separated by colons. */
	len = strcspn(given, ":");
	d->state_directory = strndup(given, len);
	if (d->config_path && d->state_directory && mkdir(d->state_directory, 0700) < 0 &&
	    errno != EEXIST)
		ph_daemon_state_error(d, -errno);
}

/* Takes the mappings over from config. */
static int start_runs(struct ph_daemon *d, struct ph_config *config)
{
	int r = publishers_describe(config, &d->publishers, &d->n_publishers);

	if (r < 0)
		return r;
	d->runs = calloc(config->n_mappings + 1, sizeof(*d->runs));
	if (!d->runs)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < config->n_mappings; i++) {
		r = run_new(d, config->mappings[i], &d->runs[d->n_runs]);
		if (r < 0)
			break;
		config->mappings[i] = NULL;
		r = run_start(d->runs[d->n_runs++]);
	}
	return r;
}

static int open_adapters(struct ph_daemon *d)
{
	int r = ph_nft_open(&d->nft);

	if (r < 0) {
		ph_error(
			"netlink: %s; the kernel needs nf_tables (CONFIG_NF_TABLES, module nf_tables)",
			strerror(-r));
		return r;
	}
	d->resolver = ph_resolver_new(&d->loop);
	d->ports = ph_ports_new();
	if (!d->resolver || !d->ports)
		return -ENOMEM;
	r = ph_rtnetlink_watch(&d->loop, on_links, d, &d->rtnetlink);
	if (r < 0)
		ph_error("rtnetlink: %s", strerror(-r));
	return r;
}

static int start(struct ph_daemon *d, struct ph_config *config)
{
	int r = open_adapters(d);

	if (r == 0)
		r = start_runs(d, config);
	if (r == 0) {
		daemon_limit_files(d);
		r = daemon_look_at_links(d, true);
	}
	for (size_t i = 0; r == 0 && i < d->n_runs; i++) {
		assert(d->runs[i]); /* all n_runs are there */
		r = refuse(d, d->runs[i]);
	}
	if (r < 0)
		return r;
	r = install_first(d);
	if (r < 0)
		return r;
	commands_open(d);
	leftovers_end(d);
	for (size_t i = 0; i < d->n_runs; i++)
		run_say_unheld(d->runs[i]);
	/* What is left over is a dead daemon's: a live one would not have let us have the table. */
	r = surroundings_open(d);
	if (r == 0)
		r = daemon_look_at_links(d, true);
	if (r < 0)
		return r;
	ph_info("started version=%s mappings=%zu file=%s table=%s", PINHOLD_VERSION, d->n_runs,
		d->config_path ? d->config_path : "none",
		ph_nft_is_owner(d->nft) ? "owner" : "plain");
	for (size_t i = 0; i < d->n_runs; i++)
		if (d->runs[i]->current)
			note_links(d->runs[i]);
	surroundings_marks(d);
	publishers_check(d);
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

	commands_close(d);
	for (size_t i = 0; i < d->n_runs; i++)
		run_free(d->runs[i]);
	for (size_t i = 0; i < d->n_leaving; i++)
		run_free(d->leaving[i]);
	surroundings_close(d);
	publishers_free(d->publishers, d->n_publishers);
	clean = ph_resolver_free(d->resolver);
	ph_ports_free(d->ports);
	ph_rtnetlink_close(d->rtnetlink);
	ph_nft_watch_close(d->watch);
	ph_nft_close(d->nft);
	ph_notify_close(d->notify);
	uv_walk(&d->loop, on_walk, NULL);
	if (clean) {
		uv_run(&d->loop, UV_RUN_DEFAULT);
		uv_loop_close(&d->loop);
		free(d->runs);
		free(d->leaving);
		free(d->outside);
		free(d->config_path);
		free(d->state_directory);
	}
	return clean;
}

static void init_handles(struct ph_daemon *d)
{
	static const int signums[] = { SIGTERM, SIGINT, SIGHUP };
	uv_timer_t *timers[] = { &d->table_retry, &d->last_words, &d->watchdog };
	uint64_t watchdog_ms = ph_notify_watchdog_ms(d->notify);
	sigset_t handled;

	sigemptyset(&handled);
	uv_prepare_init(&d->loop, &d->prepare);
	d->prepare.data = d;
	uv_prepare_start(&d->prepare, on_prepare);
	for (size_t i = 0; i < sizeof(timers) / sizeof(*timers); i++) {
		uv_timer_init(&d->loop, timers[i]);
		timers[i]->data = d;
	}
	if (watchdog_ms)
		uv_timer_start(&d->watchdog, on_watchdog, watchdog_ms, watchdog_ms);
	for (size_t i = 0; i < sizeof(signums) / sizeof(*signums); i++) {
		uv_signal_init(&d->loop, &d->signals[i]);
		d->signals[i].data = d;
		uv_signal_start(&d->signals[i], on_signal, signums[i]);
		sigaddset(&handled, signums[i]);
	}
	/* main.c has held one back, or somebody who started us. */
	sigprocmask(SIG_UNBLOCK, &handled, NULL);
}

void daemon_set_plan(struct ph_daemon *d, const struct ph_plan_options *plan)
{
	if (d->plan.mark != plan->mark || d->plan.mask != plan->mask)
		d->rebuild = d->dirty = true;
	d->plan.mark = plan->mark; /* what is outside, surroundings.c finds out */
	d->plan.mask = plan->mask;
	if (ph_marks_of(plan, &d->marks) < 0)
		abort(); /* what reads the file sees to that */
}

static struct ph_daemon *daemon_new(struct ph_config *config)
{
	struct ph_daemon *d = calloc(1, sizeof(*d));
	int r;

	if (!d) {
		ph_error("out of memory");
		return NULL;
	}
	r = uv_loop_init(&d->loop);
	if (r < 0) {
		ph_error("event loop: %s", uv_strerror(r));
		free(d);
		return NULL;
	}
	d->config_path = config->path;
	config->path = NULL;
	set_state_directory(d);
	daemon_set_plan(d, &config->plan);
	d->started_ms = ph_daemon_now(d);
	d->notify = ph_notify_open();
	init_handles(d);
	return d;
}

int ph_daemon_run(struct ph_config *config, void (*ready)(void))
{
	struct ph_daemon *d;
	bool clean;
	int r;

	/* One look-up at a time is enough, and saves three threads' stacks. Hooks are no heirs to
	 * capabilities that a service manager may have made ambient. */
	setenv("UV_THREADPOOL_SIZE", "1", 0);
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	signal(SIGPIPE, SIG_IGN);
	d = daemon_new(config);
	if (!d)
		return 1;
	r = start(d, config);
	if (r == 0) {
		ready();
		ph_notify_ready(d->notify);
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
