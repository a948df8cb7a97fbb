/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The daemon's inside, shared by daemon.c (loop, table, life), reload.c, commands.c (control
 * socket) and show.c (what others see of it). */

#include <pinhold/control.h>
#include <pinhold/localnet.h>
#include <pinhold/nft.h>
#include <pinhold/notify.h>
#include <pinhold/reach.h>
#include <pinhold/routes.h>

#include "mapping_run.h"

#define QUEUE_MAX 256 /* events that actions cause at once; the machines bound it */

struct queued {
	struct hold *hold;
	unsigned serial; /* of the flow that a CLOSED is about */
	struct ph_event event;
	struct ph_address address;
};

/* A client of the control socket that watches. */
struct watcher {
	struct ph_control_client *client;
	struct watcher *next;
};

struct ph_daemon {
	uv_loop_t loop;
	uv_prepare_t prepare;
	uv_signal_t signals[3];
	uv_timer_t table_retry;
	uv_timer_t last_words;
	uv_timer_t watchdog;
	struct ph_nft *nft;
	struct ph_nft_watch *watch; /* NULL: the table is ours alone */
	uv_poll_t watch_poll;
	struct ph_rtnetlink *rtnetlink;
	struct ph_routes *routes;     /* NULL: there is none to be had */
	struct ph_localnet *localnet; /* NULL: not yet, or not any more */
	struct ph_uplinks uplinks;
	struct links_seen default_route; /* IPv4's */
	struct ph_resolver *resolver;
	struct ph_ports *ports;
	struct ph_control *control;
	struct ph_notify *notify;
	const char *run_directory;      /* NULL: no state files */
	const char *localnet_directory; /* for what must be put back; NULL: nothing is remembered */
	char *state_directory;          /* where what was told is remembered; NULL: nowhere */

	char *config_path; /* NULL: from the command line */
	struct ph_plan_options plan;
	char (*outside)[PH_INTERFACE_MAX + 1]; /* plan's list; owned */
	struct ph_marks marks;                 /* of plan */
	struct mapping_run **runs;             /* as configured, in the file's order */
	size_t n_runs;
	struct publisher_spec *publishers; /* owned */
	size_t n_publishers;
	struct mapping_run **leaving; /* whose receivers still run */
	size_t n_leaving;

	bool dirty;           /* a want has changed */
	size_t n_changed;     /* holds whose want has */
	struct hold *changed; /* the last of them, if it still is one */
	bool rebuild;   /* the table may be another one though no machine's want has changed */
	bool installed; /* there is a table, and it is what was wanted last */
	/* the last ones, so that each is said once */
	int table_error, routes_error, localnet_error, state_error;
	bool localnet_set;        /* somewhere */
	uint64_t foreign_ms;      /* when somebody else changed the table; 0: nobody has */
	uint64_t foreign_full_ms; /* see install.c */
	bool stopping;
	bool all_told; /* stopping, and the last hooks run: when they have ended, it is over */
	bool feeding;
	uint64_t started_ms;
	bool states_changed;
	int file_error;              /* of the last state file, so that it is said once */
	struct mapping_run *touched; /* a list: what is shown of them may be old */
	struct watcher *watchers;

	size_t n_sockets, sockets_max; /* of the mappings */

	size_t n_queue;
	struct queued queue[QUEUE_MAX];
	struct ph_actions actions;
};

/* daemon.c */
int daemon_look_at_links(struct ph_daemon *d, bool quiet);
void daemon_limit_files(struct ph_daemon *d);
/* What the table's marks mean has changed, maybe. */
void daemon_set_plan(struct ph_daemon *d, const struct ph_plan_options *plan);

/* install.c */
/* The first time: a failure is logged, and the end. 0 or -errno. */
int install_first(struct ph_daemon *d);
/* Installs what the mappings want, until they want nothing new; on failure again in a while. */
void daemon_update_table(struct ph_daemon *d);

/* localnet.c */
/* route_localnet where the wants of holds need it: before the table changes it only goes, after
 * that it comes. */
void localnet_before(struct ph_daemon *d, struct hold *const *holds,
		     const struct ph_plan_mapping *wants, size_t n);
void localnet_after(struct ph_daemon *d, struct hold *const *holds,
		    const struct ph_plan_mapping *wants, size_t n);
/* The table may be gone, and is not back yet: it is off until localnet_after(). */
void localnet_unguarded(struct ph_daemon *d);

/* surroundings.c */
/* Removes what a killed pinhold left. 0, -ENOMEM or -EINVAL (STATE_DIRECTORY, which is logged);
 * anything else is logged and done without. */
int surroundings_open(struct ph_daemon *d);
/* Puts everything back. */
void surroundings_close(struct ph_daemon *d);
/* The links or the mappings have changed: routes replies, and looks what is in the way. */
void surroundings_look(struct ph_daemon *d, const struct ph_links *view);
/* What was found about one target; mappings mostly have the same few. */
struct surroundings_memo {
	bool asked;
	struct ph_address address;
	enum ph_reach_answer answer;
};

/* Looks again what is in one mapping's way. memo starts as zeros. */
void surroundings_check(struct mapping_run *run, struct surroundings_memo *memo);
void surroundings_marks(const struct ph_daemon *d);

/* reload.c */
/*
 * Reads the file again; all of it is taken over or nothing. Returns the answer for whoever asked,
 * as described in pinhold(8); a new reference, NULL: out of memory.
 */
json_t *daemon_reload(struct ph_daemon *d);
/* Frees what has left and has nothing left to do. */
void daemon_reap(struct ph_daemon *d);

/* commands.c */
/* Listens on the control socket; what goes wrong is logged, and the daemon goes on without it. */
void commands_open(struct ph_daemon *d);
void commands_close(struct ph_daemon *d);
/* Tells those who watch; run NULL: it is about the daemon. extra (may be NULL) is taken over. */
void commands_event(struct ph_daemon *d, const char *event, struct mapping_run *run, json_t *extra);

/* publishers.c */
/* What the file says of publishers, for those who are told by them; for publishers_free(). 0 or
 * -ENOMEM. */
int publishers_describe(const struct ph_config *config, struct publisher_spec **ret_specs,
			size_t *ret_n);
void publishers_free(struct publisher_spec *specs, size_t n);
/* Says so if there are any and the program that they need is not there. */
void publishers_check(const struct ph_daemon *d);

/* show.c */
struct ph_status_clock show_clock(const struct ph_daemon *d);
void show_daemon(const struct ph_daemon *d, struct ph_status_daemon *ret);
/* Without the connections that the kernel counts. */
void show_mapping(const struct mapping_run *run, struct ph_status_mapping *ret);
/* Brings state files, watchers and the service manager up to date with what was touched. */
void show_touched(struct ph_daemon *d);
void show_removed(struct ph_daemon *d, const char *name);

/* leftovers.c */
/* Ends what a killed daemon has left running, and takes away its state files of what is configured
 * no more. Before anybody is called. */
void leftovers_end(struct ph_daemon *d);
