/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The control socket: one JSON object per line, in both directions. sys/control.c does the lines
 * (who is cut off, and when) and knows no command; src/commands.c answers them.
 *
 *	{"command":"status"}                     one line for the daemon, then one for each mapping
 *	{"command":"status","mapping":"web"}     one line
 *	{"command":"watch"}                      events, one line each, until the client closes
 *	{"command":"reload"}                     one line: what changed, or what is wrong
 *
 * A reply to a command that failed is {"error":"..."}; every other line has no "error". Beside it
 * may stand, so that the client can say more and choose its exit status:
 *
 *	"mappings":["web","nas"]     no mapping has the name that was asked for; these there are
 *	"path":"..."                 the file that could not be loaded
 *	"mistakes":[{"line":7,"text":"..."}]     what is wrong in it
 *
 * A reload that was carried out is {"reload":{"unchanged":9,"changed":["web"],"added":[],
 * "removed":[],"path":"...","notices":[{"line":7,"text":"..."}]}}. Line 0 is the file as a whole.
 */

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

struct ph_control;
struct ph_control_client;

#define PH_CONTROL_NAME "control.sock" /* in ph_run_directory() */

#define PH_CONTROL_LINE_MAX    4096u    /* octets of a request, without the newline */
#define PH_CONTROL_CLIENTS_MAX 32u      /* at once; a further one is closed at once */
#define PH_CONTROL_IDLE_MS     10000u   /* to send a whole request, to take a reply */
#define PH_CONTROL_BACKLOG_MAX 4194304u /* octets that wait for a client that does not read */

struct ph_control_events {
	/* A whole line, NUL-terminated, len without it; NUL octets in it make it no JSON. */
	void (*line)(void *data, struct ph_control_client *client, const char *line, size_t len);
	/* The client is gone; its pointer dies with this call. */
	void (*gone)(void *data, struct ph_control_client *client);
};

/*
 * Listens on path, mode 0660, in a directory that is made (0755) if it is not there. A socket that
 * a killed process left is replaced; -EADDRINUSE: somebody answers there; -EEXIST: something that
 * is no socket; -ENAMETOOLONG: more than 107 octets (unix(7)). 0 or -errno. The process must ignore
 * SIGPIPE, and the loop has to go round once more after ph_control_close().
 */
int ph_control_listen(uv_loop_t *loop, const char *path, const struct ph_control_events *events,
		      void *data, struct ph_control **ret_control);
/* Removes the socket, cuts off all clients (without `gone`). NULL is fine. */
void ph_control_close(struct ph_control *c);

/* Queues text and a newline. False: the client was cut off for not reading (`gone` follows later).
 */
bool ph_control_send(struct ph_control_client *client, const char *text);
/* No request is expected from it any more, and no time limit applies (watch). */
void ph_control_keep(struct ph_control_client *client);

/* The client's side: blocking, for the commands of src/cli/. */

/* Connects, sends request and a newline. A descriptor, or -errno (-ENOENT, -ECONNREFUSED: no daemon
 * there). */
int ph_control_connect(const char *path, const char *request);

/* "$RUNTIME_DIRECTORY" or "/run/pinhold": where the socket and the state files are. */
const char *ph_run_directory(void);
