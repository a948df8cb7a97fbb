/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The control socket with a real loop, and what a client of it does. */

#include "test.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <pinhold/control.h>

#define PATIENCE_MS 30000u
#define MEGABYTE    1048576u
#define CLIENTS_MAX 40

/* How the server under test answers a line. */
enum manner {
	ANSWER_ECHO,  /* with the line itself */
	ANSWER_LARGE, /* with a megabyte */
	ANSWER_NEVER, /* not at all: the test does */
	ANSWER_FLOOD, /* with megabytes until it is told that the client is cut off */
	ANSWER_KEEP,  /* as watch */
};

struct fixture {
	char directory[64], path[96], lock[112];
	uv_loop_t loop;
	uv_timer_t guard;
	struct ph_control *control;
	enum manner manner;
	char *megabyte;
	unsigned lines, gone;
	size_t last_len;
	char last[PH_CONTROL_LINE_MAX + 1];
	struct ph_control_client *client; /* that sent the last line */
	struct ph_control_client *kept;
	bool cut; /* a send said so */
};

static inline void on_line(void *data, struct ph_control_client *client, const char *line,
			   size_t len)
{
	struct fixture *f = data;

	f->lines++;
	f->last_len = len;
	f->client = client;
	assert_true(len <= PH_CONTROL_LINE_MAX);
	assert_int_equal(line[len], '\0');
	memcpy(f->last, line, len + 1);
	switch (f->manner) {
	case ANSWER_ECHO:
		assert_true(ph_control_send(client, line));
		break;
	case ANSWER_LARGE:
		assert_true(ph_control_send(client, f->megabyte));
		break;
	case ANSWER_NEVER:
		break;
	case ANSWER_FLOOD:
		for (unsigned i = 0; i < 2 * PH_CONTROL_BACKLOG_MAX / MEGABYTE && !f->cut; i++)
			f->cut = !ph_control_send(client, f->megabyte);
		assert_false(ph_control_send(client, "more"));
		break;
	case ANSWER_KEEP:
		assert_true(ph_control_send(client, line));
		ph_control_keep(client);
		f->kept = client;
		break;
	}
}

/* cppcheck-suppress constParameter; the callback's type says so */
static inline void on_gone(void *data, struct ph_control_client *client)
{
	struct fixture *f = data;

	f->gone++;
	if (f->client == client)
		f->client = NULL;
}

static const struct ph_control_events events = { .line = on_line, .gone = on_gone };

static inline void on_guard(uv_timer_t *timer)
{
	(void)timer;
	fail_msg("nothing has happened for %u ms", PATIENCE_MS);
}

static inline int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	strcpy(f->directory, "/tmp/pinhold-test.XXXXXX");
	assert_non_null(mkdtemp(f->directory));
	snprintf(f->path, sizeof(f->path), "%s/control.sock", f->directory);
	snprintf(f->lock, sizeof(f->lock), "%s.lock", f->path);
	f->megabyte = malloc(MEGABYTE + 1);
	assert_non_null(f->megabyte);
	memset(f->megabyte, 'x', MEGABYTE);
	f->megabyte[MEGABYTE] = '\0';
	uv_loop_init(&f->loop);
	uv_timer_init(&f->loop, &f->guard);
	assert_int_equal(ph_control_listen(&f->loop, f->path, &events, f, &f->control), 0);
	*state = f;
	return 0;
}

static inline int tear_down(void **state)
{
	struct fixture *f = *state;

	ph_control_close(f->control);
	if (!uv_is_closing((uv_handle_t *)&f->guard))
		uv_close((uv_handle_t *)&f->guard, NULL);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	/* Nothing stays: the directory is empty. */
	assert_int_equal(rmdir(f->directory), 0);
	free(f->megabyte);
	free(f);
	return 0;
}

/* One turn of the loop, in which something has to happen. */
static inline void turn(struct fixture *f)
{
	uv_update_time(&f->loop);
	uv_timer_start(&f->guard, on_guard, PATIENCE_MS, 0);
	uv_run(&f->loop, UV_RUN_ONCE);
	uv_timer_stop(&f->guard);
}

/* What is ready now, without waiting for more. */
static inline void settle(struct fixture *f)
{
	for (unsigned i = 0; i < 8; i++)
		uv_run(&f->loop, UV_RUN_NOWAIT);
}

static inline int dial(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	strcpy(address.sun_path, path);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static inline void say(int fd, const char *text, size_t len)
{
	assert_int_equal(send(fd, text, len, MSG_NOSIGNAL), len);
}

/* Until the line has come; it is exactly text. */
static inline void expect(struct fixture *f, int fd, const char *text)
{
	size_t want = strlen(text) + 1, have = 0;
	char buf[256] = "";

	assert_true(want < sizeof(buf));
	while (have < want) {
		ssize_t n = recv(fd, buf + have, want - have, 0);

		if (n < 0 && errno == EAGAIN) {
			turn(f);
			continue;
		}
		assert_true(n > 0);
		have += (size_t)n;
	}
	assert_int_equal(buf[want - 1], '\n');
	buf[want - 1] = '\0';
	assert_string_equal(buf, text);
}

/* Until the server has closed; what still came is counted. */
static inline size_t expect_end(struct fixture *f, int fd)
{
	static char buf[65536];
	size_t total = 0;

	for (;;) {
		ssize_t n = recv(fd, buf, sizeof(buf), 0);

		if (n < 0 && errno == EAGAIN) {
			turn(f);
			continue;
		}
		if (n == 0 || (n < 0 && errno == ECONNRESET))
			return total;
		assert_true(n > 0);
		total += (size_t)n;
	}
}

static inline void await_gone(struct fixture *f, unsigned n)
{
	while (f->gone < n)
		turn(f);
	assert_int_equal(f->gone, n);
}

/* Somebody else is served all the while. */
static inline void assert_serves(struct fixture *f)
{
	enum manner manner = f->manner;
	int fd = dial(f->path);

	f->manner = ANSWER_ECHO;
	say(fd, "well?\n", 6);
	expect(f, fd, "well?");
	f->manner = manner;
	close(fd);
	await_gone(f, f->gone + 1);
}

#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
