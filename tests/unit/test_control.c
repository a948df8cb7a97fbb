/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The control socket with real sockets and a real loop, and clients of every bad kind. */

#include "test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
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

static mode_t mode_at_chmod;

/* chmod() as the server calls it, to see what stood there before. */
int __real_chmod(const char *path, mode_t mode);
int __wrap_chmod(const char *path, mode_t mode);
int __wrap_chmod(const char *path, mode_t mode)
{
	struct stat st;

	if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
		mode_at_chmod = st.st_mode & 07777;
	return __real_chmod(path, mode);
}

static void on_line(void *data, struct ph_control_client *client, const char *line, size_t len)
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
static void on_gone(void *data, struct ph_control_client *client)
{
	struct fixture *f = data;

	f->gone++;
	if (f->client == client)
		f->client = NULL;
}

static const struct ph_control_events events = { .line = on_line, .gone = on_gone };

static void on_guard(uv_timer_t *timer)
{
	(void)timer;
	fail_msg("nothing has happened for %u ms", PATIENCE_MS);
}

static int set_up(void **state)
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

static int tear_down(void **state)
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
static void turn(struct fixture *f)
{
	uv_update_time(&f->loop);
	uv_timer_start(&f->guard, on_guard, PATIENCE_MS, 0);
	uv_run(&f->loop, UV_RUN_ONCE);
	uv_timer_stop(&f->guard);
}

/* What is ready now, without waiting for more. */
static void settle(struct fixture *f)
{
	for (unsigned i = 0; i < 8; i++)
		uv_run(&f->loop, UV_RUN_NOWAIT);
}

static int dial(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	strcpy(address.sun_path, path);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void say(int fd, const char *text, size_t len)
{
	assert_int_equal(send(fd, text, len, MSG_NOSIGNAL), len);
}

/* Until the line has come; it is exactly text. */
static void expect(struct fixture *f, int fd, const char *text)
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
static size_t expect_end(struct fixture *f, int fd)
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

static void await_gone(struct fixture *f, unsigned n)
{
	while (f->gone < n)
		turn(f);
	assert_int_equal(f->gone, n);
}

/* Somebody else is served all the while. */
static void assert_serves(struct fixture *f)
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

/* ---- the name ---- */

/* A new control, in place of the fixture's. */
static int again(struct fixture *f, const char *path)
{
	struct ph_control *control = NULL;
	int r = ph_control_listen(&f->loop, path, &events, f, &control);

	ph_control_close(control);
	settle(f);
	return r;
}

static void shut(struct fixture *f)
{
	ph_control_close(f->control);
	f->control = NULL;
	settle(f);
}

static void test_mode(void **state)
{
	static const mode_t umasks[] = { 0, 022, 077 };
	struct fixture *f = *state;
	char path[128], directory[112];

	shut(f);
	snprintf(directory, sizeof(directory), "%s/made", f->directory);
	snprintf(path, sizeof(path), "%s/control.sock", directory);
	for (size_t i = 0; i < sizeof(umasks) / sizeof(*umasks); i++) {
		mode_t old = umask(umasks[i]);
		struct ph_control *control;
		struct stat st;

		mode_at_chmod = 07777;
		assert_int_equal(ph_control_listen(&f->loop, path, &events, f, &control), 0);
		umask(old);
		/* Never wider than it ends up, not even before it is finished. */
		assert_int_equal(mode_at_chmod & ~0660u, 0);
		assert_int_equal(lstat(path, &st), 0);
		assert_true(S_ISSOCK(st.st_mode));
		assert_int_equal(st.st_mode & 07777, 0660);
		assert_int_equal(stat(directory, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0755);
		ph_control_close(control);
		settle(f);
		assert_int_equal(rmdir(directory), 0);
	}
}

static int plain_listener(const char *path, int queue)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	strcpy(address.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, queue), 0);
	return fd;
}

static void test_stale_is_replaced(void **state)
{
	struct fixture *f = *state;

	shut(f);
	close(plain_listener(f->path, 1));
	assert_int_equal(access(f->path, F_OK), 0);
	assert_int_equal(again(f, f->path), 0);
	assert_int_equal(access(f->path, F_OK), -1);
}

static void test_live_is_left_alone(void **state)
{
	struct fixture *f = *state;
	int listener, one, two;
	struct stat st;

	/* Another pinhold. */
	assert_int_equal(again(f, f->path), -EADDRINUSE);
	assert_serves(f);
	shut(f);
	/* Anybody, also one whose queue is full. */
	listener = plain_listener(f->path, 0);
	assert_int_equal(again(f, f->path), -EADDRINUSE);
	one = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(one >= 0);
	two = dial(f->path);
	assert_int_equal(again(f, f->path), -EADDRINUSE);
	assert_int_equal(lstat(f->path, &st), 0);
	close(one);
	close(two);
	close(listener);
	assert_int_equal(unlink(f->path), 0);
}

/* A daemon that is just beginning, or just ending: its lock is there and its socket is not. */
static void test_lock(void **state)
{
	struct fixture *f = *state;
	int fd;

	shut(f);
	fd = open(f->lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	assert_int_equal(again(f, f->path), -EADDRINUSE);
	assert_int_equal(access(f->lock, F_OK), 0);
	/* What a killed one leaves is a file and no lock. */
	close(fd);
	assert_int_equal(again(f, f->path), 0);
	assert_int_equal(access(f->lock, F_OK), -1);
}

static void test_names_that_cannot_be(void **state)
{
	struct fixture *f = *state;
	char path[256];
	int fd;

	shut(f);
	/* The user's file stays. */
	fd = open(f->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(again(f, f->path), -EEXIST);
	assert_int_equal(access(f->path, F_OK), 0);
	snprintf(path, sizeof(path), "%s/x/control.sock", f->path);
	assert_int_equal(again(f, path), -ENOTDIR);
	snprintf(path, sizeof(path), "%s/control.sock", f->path);
	assert_int_equal(again(f, path), -ENOTDIR);
	assert_int_equal(unlink(f->path), 0);
	snprintf(path, sizeof(path), "%s/no/such/control.sock", f->directory);
	assert_int_equal(again(f, path), -ENOENT);
	/* 107 octets fit. */
	memset(path, 'n', sizeof(path));
	memcpy(path, f->directory, strlen(f->directory));
	path[strlen(f->directory)] = '/';
	path[108] = '\0';
	assert_int_equal(again(f, path), -ENAMETOOLONG);
	assert_int_equal(ph_control_connect(path, "x"), -ENAMETOOLONG);
	path[107] = '\0';
	assert_int_equal(again(f, path), 0);
}

static void test_directory_not_writable(void **state)
{
	struct fixture *f = *state;
	bool root = geteuid() == 0;

	shut(f);
	assert_int_equal(chmod(f->directory, 0555), 0);
	if (root)
		assert_int_equal(seteuid(65534), 0);
	assert_int_equal(again(f, f->path), -EACCES);
	if (root)
		assert_int_equal(seteuid(0), 0);
	assert_int_equal(chmod(f->directory, 0755), 0);
}

/* Somebody has put another socket in our place: it is not ours to remove. */
static void test_close_removes_only_its_own(void **state)
{
	struct fixture *f = *state;
	int listener;

	assert_int_equal(unlink(f->path), 0);
	listener = plain_listener(f->path, 1);
	shut(f);
	assert_int_equal(access(f->path, F_OK), 0);
	assert_int_equal(access(f->lock, F_OK), -1);
	close(listener);
	assert_int_equal(unlink(f->path), 0);
}

static void test_close_ends_clients(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f->path), other = dial(f->path);

	f->manner = ANSWER_LARGE; /* not all of it is read: a write is under way */
	say(fd, "x\n", 2);
	while (f->lines == 0)
		turn(f);
	shut(f);
	assert_int_equal(access(f->path, F_OK), -1);
	assert_int_equal(access(f->lock, F_OK), -1);
	expect_end(f, fd);
	expect_end(f, other);
	assert_int_equal(f->gone, 0);
	close(fd);
	close(other);
	assert_int_equal(ph_control_connect(f->path, "x"), -ENOENT);
}

static void test_close_on_exec(void **state)
{
	struct fixture *f = *state;
	struct dirent *entry;
	unsigned checked = 0;
	int fd = dial(f->path);
	DIR *dir;

	say(fd, "x\n", 2);
	expect(f, fd, "x");
	dir = opendir("/proc/self/fd");
	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		char target[128] = "";
		int number = atoi(entry->d_name), flags;

		if (*entry->d_name == '.' || number <= 2 ||
		    readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1) < 0 ||
		    (strncmp(target, "socket:", 7) != 0 && strcmp(target, f->lock) != 0))
			continue;
		flags = fcntl(number, F_GETFD);
		assert_true(flags >= 0 && (flags & FD_CLOEXEC));
		checked++;
	}
	closedir(dir);
	/* The listener, its lock, both ends of the connection. */
	assert_true(checked >= 4);
	close(fd);
	await_gone(f, 1);
}

static void test_connect(void **state)
{
	struct fixture *f = *state;
	int fd = ph_control_connect(f->path, "{}");

	assert_true(fd >= 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	while (f->lines == 0)
		turn(f);
	assert_string_equal(f->last, "{}");
	close(fd);
	await_gone(f, 1);
	shut(f);
	close(plain_listener(f->path, 1));
	assert_int_equal(ph_control_connect(f->path, "{}"), -ECONNREFUSED);
	assert_int_equal(unlink(f->path), 0);
	assert_int_equal(ph_control_connect(f->path, "{}"), -ENOENT);
}

static void test_run_directory(void **state)
{
	(void)state;
	unsetenv("RUNTIME_DIRECTORY");
	assert_string_equal(ph_run_directory(), "/run/pinhold");
	setenv("RUNTIME_DIRECTORY", "/run/other", 1);
	assert_string_equal(ph_run_directory(), "/run/other");
	setenv("RUNTIME_DIRECTORY", "", 1);
	assert_string_equal(ph_run_directory(), "/run/pinhold");
	setenv("RUNTIME_DIRECTORY", "relative", 1);
	assert_string_equal(ph_run_directory(), "/run/pinhold");
	unsetenv("RUNTIME_DIRECTORY");
}

#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

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
		WITH_SERVER(test_mode),
		WITH_SERVER(test_stale_is_replaced),
		WITH_SERVER(test_live_is_left_alone),
		WITH_SERVER(test_lock),
		WITH_SERVER(test_names_that_cannot_be),
		WITH_SERVER(test_directory_not_writable),
		WITH_SERVER(test_close_removes_only_its_own),
		WITH_SERVER(test_close_ends_clients),
		WITH_SERVER(test_close_on_exec),
		WITH_SERVER(test_connect),
		cmocka_unit_test(test_run_directory),
	};

	signal(SIGPIPE, SIG_IGN); /* as the daemon does */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
