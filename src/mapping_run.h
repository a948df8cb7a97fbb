/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* One mapping at work: its state machine, its sockets and look-ups, its hooks. Part of the daemon.
 */

#include <uv.h>

#include <pinhold/child.h>
#include <pinhold/config.h>
#include <pinhold/links.h>
#include <pinhold/receiver.h>
#include <pinhold/resolve.h>
#include <pinhold/socket.h>

struct ph_daemon;
struct mapping_run;

struct flow_run {
	struct mapping_run *run;
	unsigned index;
	unsigned serial; /* of what was opened and closed here */
	struct ph_socket *socket;
};

struct lookup_run {
	struct mapping_run *run;
	enum ph_server_kind kind;
	size_t server;
	struct ph_resolve *request;
};

struct hook_run {
	struct mapping_run *run;
	const struct ph_hook *hook;
	struct ph_receiver receiver;
	struct ph_child *child;
	uv_timer_t timer; /* for the retry */
};

/* The last look at the links, so that each change is logged once. */
struct links_seen {
	enum ph_links_answer answer;
	char name[PH_INTERFACE_MAX + 1];
	int index;
	struct ph_address address;
};

struct mapping_run {
	struct ph_daemon *daemon;
	const struct ph_config_mapping *config;
	struct ph_mapping *machine;
	uint64_t generation; /* of the want that is installed */
	uv_timer_t timer;
	struct links_seen links;
	struct flow_run flows[PH_FLOWS];
	struct lookup_run lookups[2][PH_SERVERS_MAX];
	struct hook_run hooks[PH_HOOKS_MAX];
};

/* What the daemon offers its mappings. */
uv_loop_t *ph_daemon_loop(struct ph_daemon *d);
struct ph_resolver *ph_daemon_resolver(struct ph_daemon *d);
/* Feeds an event and carries out what the machine answers, and what follows from that at once. */
void ph_daemon_feed(struct mapping_run *run, const struct ph_event *event);
bool ph_daemon_stopping(const struct ph_daemon *d);
/* A hook has ended. */
void ph_daemon_hook_done(struct ph_daemon *d);

/*
 * As ph_daemon_feed(), after what is being carried out now. address: for RESOLVED, copied. A CLOSED
 * whose flow has been given up meanwhile is dropped.
 */
void ph_daemon_queue(struct mapping_run *run, const struct ph_event *event,
		     const struct ph_address *address);
/* Fills event->random from the kernel's random source. */
void ph_daemon_random(struct ph_event *event);

/* flows.c */
void flows_init(struct mapping_run *run);
void flows_open(struct mapping_run *run, const struct ph_action *a);
void flows_close(struct mapping_run *run, unsigned flow);
void flows_resolve(struct mapping_run *run, const struct ph_action *a);
/* Closes all. */
void flows_done(struct mapping_run *run);

/* hooks.c */
void hooks_init(struct mapping_run *run);
/* The mapping's state is this now (port 0: down); starts what is owed. */
void hooks_offer(struct mapping_run *run, const struct ph_told *state);
bool hooks_running(const struct mapping_run *run);
void hooks_kill(struct mapping_run *run);
void hooks_done(struct mapping_run *run);

/* The target as people write it: "192.168.10.50:443", ":443", "none". */
const char *target_format(const struct ph_target *target, uint16_t public_port,
			  char buf[static PH_ENDPOINT_STRLEN]);
