/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "client.h"

#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <pinhold/control.h>

#define LINE_MAX_OCTETS 1048576u /* of an answer's line; a mapping takes some 2 kB */
#define NAMES_SHOWN     20

void cli_line(const char *format, ...)
{
	char line[2048];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	for (char *c = line; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
	fprintf(stderr, "pinhold: %s\n", line);
}

int cli_flush(void)
{
	if (fflush(stdout) < 0 || ferror(stdout))
		return cli_say(CLI_FAILED, "standard output: %s", strerror(errno ? errno : EIO));
	return CLI_DONE;
}

/* ---- the connection ---- */

/* Who may: the group of what refused us. */
static int say_forbidden(const char *path)
{
	char *directory = strdup(path), *slash = directory ? strrchr(directory, '/') : NULL;
	struct group *group = NULL;
	struct stat st;

	if (slash)
		*slash = '\0';
	/* The directory may be what is closed to us. */
	if (stat(path, &st) == 0 || (slash && stat(directory, &st) == 0))
		group = getgrgid(st.st_gid);
	free(directory);
	if (group && strcmp(group->gr_name, "root") != 0)
		return cli_say(CLI_NO_DAEMON,
			       "%s: permission denied; it is for root and the group %s", path,
			       group->gr_name);
	return cli_say(CLI_NO_DAEMON, "%s: permission denied; it is for root", path);
}

static int say_unreachable(const char *path, int error)
{
	switch (error) {
	case ENOENT:
	case ENOTDIR:
	case ECONNREFUSED:
		return cli_say(CLI_NO_DAEMON, "no daemon answers at %s; is `pinhold run` running?",
			       path);
	case EACCES:
	case EPERM:
		return say_forbidden(path);
	case ETIMEDOUT:
		return cli_say(CLI_NO_DAEMON, "the daemon at %s does not take the request", path);
	default:
		return cli_say(CLI_NO_DAEMON, "%s: %s", path, strerror(error));
	}
}

int client_open(struct client *c, const char *command, const char *mapping)
{
	json_t *object = json_pack("{s:s}", "command", command);
	char *request;
	int r;

	*c = (struct client){ .fd = -1 };
	if (asprintf(&c->path, "%s/" PH_CONTROL_NAME, ph_run_directory()) < 0)
		c->path = NULL;
	if (!object || !c->path) {
		json_decref(object);
		return cli_say(CLI_FAILED, "out of memory");
	}
	if (mapping && json_object_set_new(object, "mapping", json_string(mapping)) < 0) {
		json_decref(object);
		return cli_say(CLI_USAGE, "\"%s\" is no mapping's name", mapping);
	}
	request = json_dumps(object, JSON_COMPACT);
	json_decref(object);
	if (!request)
		return cli_say(CLI_FAILED, "out of memory");
	r = ph_control_connect(c->path, request);
	free(request);
	if (r < 0)
		return say_unreachable(c->path, -r);
	c->fd = r;
	return CLI_DONE;
}

void client_close(struct client *c)
{
	if (c->fd >= 0)
		close(c->fd);
	free(c->path);
	free(c->buffer);
	*c = (struct client){ .fd = -1 };
}

/* Room for at least one octet and a NUL. */
static int make_room(struct client *c)
{
	size_t size = c->size ? c->size : 4096;
	char *buffer;

	if (c->fill + 1 < c->size)
		return CLI_DONE;
	if (c->size >= LINE_MAX_OCTETS)
		return cli_say(CLI_NO_DAEMON, "the answer from %s has no end", c->path);
	if (c->size)
		size *= 2;
	buffer = realloc(c->buffer, size);
	if (!buffer)
		return cli_say(CLI_FAILED, "out of memory");
	c->buffer = buffer;
	c->size = size;
	return CLI_DONE;
}

/* Waits until there is something to read. A pipe behind standard output that nobody reads any more
 * reports an error without being asked (poll(2)). */
static int await(const struct client *c, bool forever)
{
	struct pollfd fds[] = {
		{ .fd = c->fd, .events = POLLIN },
		{ .fd = forever ? STDOUT_FILENO : -1 },
	};
	int n;

	do
		n = poll(fds, 2, forever ? -1 : (int)PH_CONTROL_IDLE_MS);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return cli_say(CLI_FAILED, "poll: %s", strerror(errno));
	if (n == 0)
		return cli_say(CLI_NO_DAEMON, "the daemon at %s does not answer", c->path);
	if (fds[1].revents & (POLLERR | POLLNVAL))
		return cli_say(CLI_FAILED, "standard output: %s", strerror(EPIPE));
	return CLI_DONE;
}

int client_line(struct client *c, bool forever, char **ret_line)
{
	size_t searched = 0;

	int r = make_room(c);

	if (r)
		return r;
	c->fill -= c->taken;
	memmove(c->buffer, c->buffer + c->taken, c->fill);
	c->taken = 0;
	for (;;) {
		char *newline = memchr(c->buffer + searched, '\n', c->fill - searched);
		ssize_t n;

		if (newline) {
			*newline = '\0';
			c->taken = (size_t)(newline - c->buffer) + 1;
			*ret_line = c->buffer;
			return CLI_DONE;
		}
		searched = c->fill;
		if ((r = make_room(c)) || (r = await(c, forever)))
			return r;
		n = read(c->fd, c->buffer + c->fill, c->size - c->fill - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return cli_say(CLI_NO_DAEMON, "the daemon at %s has ended the connection",
				       c->path);
		c->fill += (size_t)n;
	}
}

int client_object(struct client *c, json_t **ret_object)
{
	json_t *object;
	char *line;
	int r = client_line(c, false, &line);

	if (r)
		return r;
	object = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(object)) {
		json_decref(object);
		return cli_say(CLI_NO_DAEMON, "what answers at %s is no pinhold", c->path);
	}
	*ret_object = object;
	return CLI_DONE;
}

int client_refusal(const json_t *object)
{
	const json_t *error = json_object_get(object, "error");
	const json_t *names = json_object_get(object, "mappings");
	const char *text = json_string_value(error);
	char list[1024] = "none";
	size_t n = 0;

	if (!error)
		return CLI_DONE;
	if (!text)
		text = "the daemon refuses";
	if (!json_is_array(names))
		return cli_say(CLI_FAILED, "%s", text);
	for (size_t i = 0; i < json_array_size(names) && i < NAMES_SHOWN && n < sizeof(list); i++) {
		const char *name = json_string_value(json_array_get(names, i));

		n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%.40s", i ? ", " : "",
				      name ? name : "?");
	}
	if (json_array_size(names) > NAMES_SHOWN)
		return cli_say(CLI_USAGE, "%s; there are %s and %zu more", text, list,
			       json_array_size(names) - NAMES_SHOWN);
	return cli_say(CLI_USAGE, "%s; there %s %s", text,
		       json_array_size(names) == 1 ? "is" : "are", list);
}

/* ---- values ---- */

const char *member_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

bool member_time(const json_t *object, const char *key, time_t *ret_time)
{
	struct tm tm = { 0 };
	const char *end = strptime(member_text(object, key), "%Y-%m-%dT%H:%M:%SZ", &tm);

	if (!end || *end)
		return false;
	*ret_time = timegm(&tm);
	return true;
}
