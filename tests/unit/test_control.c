/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The control socket, and clients of every bad kind. */

#include "control_server.h"

/* ---- lines ---- */

static void test_lines(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f->path);

	say(fd, "{\"command\":\"status\"}\n", 21);
	expect(f, fd, "{\"command\":\"status\"}");
	/* By the octet. */
	for (const char *c = "abc\n"; *c; c++) {
		say(fd, c, 1);
		settle(f);
	}
	expect(f, fd, "abc");
	/* Three at once, one of them empty, and the beginning of a fourth. */
	say(fd, "one\n\ntwo\nthr", 12);
	expect(f, fd, "one");
	expect(f, fd, "");
	expect(f, fd, "two");
	assert_int_equal(f->lines, 5);
	say(fd, "ee\n", 3);
	expect(f, fd, "three");
	/* NUL is an octet of the line. */
	say(fd, "a\0b\n", 4);
	expect(f, fd, "a");
	assert_int_equal(f->last_len, 3);
	assert_memory_equal(f->last, "a\0b", 4);
	close(fd);
	await_gone(f, 1);
}

static void test_longest_line(void **state)
{
	struct fixture *f = *state;
	char *line = malloc(PH_CONTROL_LINE_MAX + 2);
	int fd = dial(f->path);
	uint64_t begun;

	assert_non_null(line);
	memset(line, 'y', PH_CONTROL_LINE_MAX + 1);
	line[PH_CONTROL_LINE_MAX] = '\n';
	say(fd, line, PH_CONTROL_LINE_MAX + 1);
	while (f->lines == 0)
		turn(f);
	assert_int_equal(f->last_len, PH_CONTROL_LINE_MAX);
	close(fd);
	/* One more is one too many, with or without its newline; that takes no time. */
	begun = uv_now(&f->loop);
	line[PH_CONTROL_LINE_MAX] = 'y';
	line[PH_CONTROL_LINE_MAX + 1] = '\n';
	for (size_t extra = 1; extra <= 2; extra++) {
		fd = dial(f->path);
		say(fd, line, PH_CONTROL_LINE_MAX + extra);
		expect(f, fd, "{\"error\":\"the request is too long\"}");
		assert_int_equal(expect_end(f, fd), 0);
		close(fd);
	}
	assert_in_range(uv_now(&f->loop) - begun, 0, PH_CONTROL_IDLE_MS / 2);
	assert_int_equal(f->lines, 1);
	free(line);
	await_gone(f, 3);
}

static void test_megabytes(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f->path);
	bool open = true;

	/* Until the server has had enough. */
	for (unsigned i = 0; open; i++) {
		assert_true(i < 4096);
		if (send(fd, f->megabyte, 65536, MSG_NOSIGNAL) < 0) {
			open = errno == EAGAIN;
			if (open)
				turn(f);
		}
	}
	assert_int_equal(f->lines, 0);
	close(fd);
	await_gone(f, 1);
	assert_serves(f);
}

static void test_half_a_line_and_gone(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f->path);

	say(fd, "{\"command\":\"sta", 15);
	close(fd);
	await_gone(f, 1);
	assert_int_equal(f->lines, 0);
	/* Nothing at all. */
	close(dial(f->path));
	await_gone(f, 2);
	assert_serves(f);
}

/* printf | nc -N: the end of what a client sends is not the end of its interest. */
static void test_half_closed(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f->path);

	say(fd, "one\ntwo\n", 8);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	expect(f, fd, "one");
	expect(f, fd, "two");
	expect_end(f, fd);
	close(fd);
	await_gone(f, 1);
	/* The same with an answer that comes later. */
	f->manner = ANSWER_NEVER;
	fd = dial(f->path);
	say(fd, "reload\n", 7);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	while (!f->client)
		turn(f);
	settle(f);
	assert_int_equal(f->gone, 1);
	assert_true(ph_control_send(f->client, "done"));
	expect(f, fd, "done");
	expect_end(f, fd);
	close(fd);
	await_gone(f, 2);
}

/* ---- who does not read ---- */

static void test_next_request_waits_for_the_reader(void **state)
{
	struct fixture *f = *state;
	size_t total = 0, want = 3 * (size_t)(MEGABYTE + 1);
	static char buf[65536];
	int fd = dial(f->path);

	f->manner = ANSWER_LARGE;
	say(fd, "1\n2\n3\n", 6);
	while (f->lines == 0)
		turn(f);
	settle(f);
	assert_int_equal(f->lines, 1);
	while (total < want) {
		ssize_t n = recv(fd, buf, sizeof(buf), 0);

		/* Of three replies never more than one is under way, but for what the kernel keeps.
		 */
		assert_true((size_t)(f->lines - 1) * MEGABYTE <= total + MEGABYTE / 2);
		if (n < 0) {
			assert_int_equal(errno, EAGAIN);
			turn(f);
			continue;
		}
		total += (size_t)n;
	}
	assert_int_equal(f->lines, 3);
	close(fd);
	await_gone(f, 1);
}

static void test_backlog_is_bounded(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f->path);
	size_t got;

	f->manner = ANSWER_FLOOD;
	say(fd, "x\n", 2);
	await_gone(f, 1);
	assert_true(f->cut);
	got = expect_end(f, fd);
	assert_true(got < PH_CONTROL_BACKLOG_MAX);
	close(fd);
	assert_serves(f);
}

static void test_gone_while_it_is_answered(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f->path);

	f->manner = ANSWER_NEVER;
	say(fd, "x\n", 2);
	while (!f->client)
		turn(f);
	close(fd);
	/* A broken pipe, which must be no signal. */
	for (unsigned i = 0; f->gone == 0; i++) {
		assert_true(i < 100);
		if (f->client)
			ph_control_send(f->client, f->megabyte);
		turn(f);
	}
	assert_serves(f);
}

/* ---- watch ---- */

static void test_kept(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f->path);

	f->manner = ANSWER_KEEP;
	say(fd, "watch\nmore\n", 11);
	expect(f, fd, "watch");
	/* What it says now is nobody's business, how much it may be. */
	for (unsigned i = 0; i < 16; i++) {
		say(fd, f->megabyte, 16384);
		settle(f);
	}
	assert_int_equal(f->lines, 1);
	for (unsigned i = 0; i < 100; i++)
		assert_true(ph_control_send(f->client, "event"));
	for (unsigned i = 0; i < 100; i++)
		expect(f, fd, "event");
	close(fd);
	await_gone(f, 1);
}

static void test_kept_that_does_not_read(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f->path);

	f->manner = ANSWER_KEEP;
	say(fd, "watch\n", 6);
	expect(f, fd, "watch");
	for (unsigned i = 0; f->client; i++) {
		assert_true(i <= PH_CONTROL_BACKLOG_MAX / MEGABYTE);
		if (!ph_control_send(f->client, f->megabyte))
			await_gone(f, 1);
	}
	close(fd);
	assert_serves(f);
}

/* ---- many ---- */

static void test_too_many(void **state)
{
	struct fixture *f = *state;
	int fds[CLIENTS_MAX];
	size_t n;

	for (n = 0; n < PH_CONTROL_CLIENTS_MAX; n++) {
		fds[n] = dial(f->path);
		say(fds[n], "x\n", 2);
		expect(f, fds[n], "x");
	}
	for (; n < CLIENTS_MAX; n++)
		fds[n] = dial(f->path);
	for (n = PH_CONTROL_CLIENTS_MAX; n < CLIENTS_MAX; n++) {
		expect(f, fds[n], "{\"error\":\"too many clients at once\"}");
		assert_int_equal(expect_end(f, fds[n]), 0);
		close(fds[n]);
	}
	assert_int_equal(f->gone, 0);
	/* Those that were there first are served, and a place that becomes free is a place. */
	say(fds[7], "y\n", 2);
	expect(f, fds[7], "y");
	close(fds[3]);
	await_gone(f, 1);
	assert_serves(f);
	for (n = 0; n < PH_CONTROL_CLIENTS_MAX; n++)
		if (n != 3)
			close(fds[n]);
	await_gone(f, PH_CONTROL_CLIENTS_MAX + 1);
}

/* ---- time ---- */

/* All the limits in one test, because they take as long as they take. */
static void test_time_limits(void **state)
{
	struct fixture *f = *state;
	int silent, half, after, deaf, kept, waiting;
	uint64_t begun;

	f->manner = ANSWER_KEEP;
	kept = dial(f->path);
	say(kept, "watch\n", 6);
	expect(f, kept, "watch");
	f->manner = ANSWER_NEVER;
	waiting = dial(f->path);
	say(waiting, "reload\n", 7);
	while (f->lines < 2)
		turn(f);
	f->manner = ANSWER_LARGE;
	deaf = dial(f->path);
	say(deaf, "status\n", 7);
	while (f->lines < 3)
		turn(f);
	f->manner = ANSWER_ECHO;
	after = dial(f->path);
	say(after, "x\n", 2);
	expect(f, after, "x");
	silent = dial(f->path);
	half = dial(f->path);
	say(half, "{\"command\"", 10);
	settle(f);

	assert_true(ph_control_send(f->kept, "event"));
	begun = uv_now(&f->loop);
	await_gone(f, 4);
	assert_in_range(uv_now(&f->loop) - begun, PH_CONTROL_IDLE_MS - 1500,
			PH_CONTROL_IDLE_MS + 5000);
	assert_int_equal(expect_end(f, silent), 0);
	assert_int_equal(expect_end(f, half), 0);
	assert_int_equal(expect_end(f, after), 0);
	assert_true(expect_end(f, deaf) < MEGABYTE);
	/* The watcher and he who waits for the daemon are still there. */
	say(kept, "x", 1);
	settle(f);
	assert_int_equal(f->gone, 4);
	close(silent);
	close(half);
	close(after);
	close(deaf);
	close(kept);
	close(waiting);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_SERVER(test_lines),
		WITH_SERVER(test_longest_line),
		WITH_SERVER(test_megabytes),
		WITH_SERVER(test_half_a_line_and_gone),
		WITH_SERVER(test_half_closed),
		WITH_SERVER(test_next_request_waits_for_the_reader),
		WITH_SERVER(test_backlog_is_bounded),
		WITH_SERVER(test_gone_while_it_is_answered),
		WITH_SERVER(test_kept),
		WITH_SERVER(test_kept_that_does_not_read),
		WITH_SERVER(test_too_many),
		WITH_SERVER(test_time_limits),
	};

	signal(SIGPIPE, SIG_IGN); /* as the daemon does */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
