/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What the daemon knows, as plain values (filled by src/show.c), and as JSON (src/status_json.c;
 * documented in pinhold(8)). Borrowed pointers are valid while the values are.
 */

#include <jansson.h>
#include <pinhold/config.h>
#include <time.h>

/* A receiver's last call that has ended. */
struct ph_status_call {
	bool called; /* at all; otherwise nothing else counts */
	enum ph_announce event;
	uint64_t ended_ms;
	bool timed_out;
	int error;  /* -errno: it could not be started */
	int status; /* exit status, if the others are 0 */
	int signal;
	bool refused; /* it is not told the same again */
};

struct ph_status_receiver {
	const char *name;          /* a hook's path, a publisher's name */
	enum ph_publish_type type; /* a publisher's */
	const char *text;          /* what a publisher says of the last call, or "" */
	struct ph_status_call last;
	bool running;      /* now */
	pid_t pid;         /* of a hook that runs */
	bool owed;         /* it has yet to hear the newest */
	uint64_t retry_ms; /* 0: nothing is owed */
};

struct ph_status_mapping {
	const struct ph_config_mapping *config;
	char interface[PH_INTERFACE_MAX + 1]; /* "": none */
	bool held;                            /* no: disabled, and view is empty */
	struct ph_mapping_view view;
	const char *why;   /* instead of the view's: what the links lack, or what is in the way of
			    * connections; NULL: the view's */
	uint16_t own_port; /* of our own sockets, where a service has the bind port; 0: the same */
	unsigned uplink;   /* by which replies are routed; 0: they leave by the interface anyway */
	bool counted;
	uint64_t connections; /* from outside, as the kernel counts */
	struct ph_status_receiver hooks[PH_HOOKS_MAX], publishers[PH_PUBLISH_MAX];
	size_t n_hooks, n_publishers;
};

struct ph_status_table {
	bool installed;
	bool owner;          /* false: a plain table */
	const char *error;   /* why the last transaction failed, or NULL */
	uint64_t foreign_ms; /* last foreign change; 0: none */
};

struct ph_status_daemon {
	const char *config_path; /* NULL: from the command line */
	uint64_t started_ms;
	struct ph_status_table table;
};

/* Monotonic now, as the values', beside the wall clock's now, so that times can be told in UTC. */
struct ph_status_clock {
	uint64_t now_ms;
	struct timespec now;
};

/* New references, or NULL (out of memory). The second is without "mappings". */
json_t *ph_status_mapping_json(const struct ph_status_mapping *s,
			       const struct ph_status_clock *clock);
json_t *ph_status_daemon_json(const struct ph_status_daemon *s,
			      const struct ph_status_clock *clock);

/* "up", "opening", "probing", "lost", "disabled". */
const char *ph_status_state(const struct ph_status_mapping *s);

/* RFC 3339, UTC, whole seconds; at_ms 0: null. A new reference, or NULL. */
json_t *ph_status_time_json(uint64_t at_ms, const struct ph_status_clock *clock);
