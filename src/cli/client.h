/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What the commands that ask the daemon have in common. Functions that return an int return 0 or
 * an exit status; in that case they have said why in one line on standard error.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

enum cli_exit {
	CLI_DONE = 0,
	CLI_FAILED = 1,
	CLI_USAGE = 2, /* or a mistake in the configuration */
	CLI_NO_DAEMON = 3,
};

struct client {
	int fd;     /* -1: none */
	char *path; /* of the socket */
	char *buffer;
	size_t size, fill;
	size_t taken; /* octets at the buffer's head that were handed out */
};

/* One line on standard error, whatever the arguments hold. */
void cli_line(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same, as an expression of that status: a macro, so that a compiler sees that it is not 0. */
#define cli_say(status, ...) (cli_line(__VA_ARGS__), (status))
/* Sees to it that what was printed has arrived. */
int cli_flush(void);

/* Sends the request; mapping may be NULL. *c is to be closed in any case. */
int client_open(struct client *c, const char *command, const char *mapping);
void client_close(struct client *c);
/*
 * The next line, NUL-terminated, valid until the next call. forever: without the time limit, but
 * not longer than somebody reads standard output.
 */
int client_line(struct client *c, bool forever, char **ret_line);
/* The next line as a JSON object, a new reference. One with "error" is an object too. */
int client_object(struct client *c, json_t **ret_object);
/* CLI_DONE if the object is no refusal. Otherwise it is said, and CLI_USAGE is the answer to a name
 * that no mapping has. */
int client_refusal(const json_t *object);

/* The members of an object that may be absent: NULL, "" and 0 stand for no value. */
const char *member_text(const json_t *object, const char *key);
/* An RFC 3339 time in UTC, as the daemon writes it. False: none. */
bool member_time(const json_t *object, const char *key, time_t *ret_time);
