/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* A program run on an event, the user's or pinhold-publish: no shell, its own process group, a time
 * limit. */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <uv.h>

struct ph_child;

struct ph_child_result {
	bool timed_out;
	int status; /* exit status, if signal is 0 */
	int signal;
};

struct ph_child_events {
	/* A line of its output (stdout and stderr), NUL-terminated, control characters as \xNN.
	 * After 200 lines one says
	 * that the rest is left out. What others write to its pipe after it has ended is not read.
	 */
	void (*line)(void *data, const char *line);
	/* Exactly once; the child is freed by itself after it. */
	void (*done)(void *data, const struct ph_child_result *result);
};

struct ph_child_options {
	char *const *argv; /* argv[0] is the absolute path */
	char *const *env;  /* the whole environment */
	unsigned limit_ms;
	const char *input; /* what it reads on stdin before the end of the file; copied, and wiped
			    * when it has been written; NULL: stdin is /dev/null */
	size_t input_len;
	size_t line_octets; /* of output in one line, up to PH_CHILD_LINE_MAX; 0: 400 */
};

#define PH_CHILD_LINE_MAX 4096

/*
 * After limit_ms its process group gets SIGTERM, and SIGKILL a second later. 0, or -errno of the
 * start (nothing runs, no event comes).
 */
int ph_child_start(uv_loop_t *loop, const struct ph_child_options *options,
		   const struct ph_child_events *events, void *data, struct ph_child **ret_child);

/* Its process ID, which is its process group's and its session's too. */
pid_t ph_child_pid(const struct ph_child *child);

/* Ends the group now, by SIGKILL; `done` still comes. */
void ph_child_kill(struct ph_child *child);
