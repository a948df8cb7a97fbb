/* SPDX-License-Identifier: GPL-2.0-or-later */

/* sd_notify(3)'s datagrams, as a service manager gets them. */

#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <pinhold/notify.h>

/* A manager at an abstract name (text begins with '@') or a path. */
static int manager(const char *text)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t len = strlen(text);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(len <= sizeof(address.sun_path));
	memcpy(address.sun_path, text, len);
	if (*text == '@')
		address.sun_path[0] = '\0';
	assert_int_equal(bind(fd, (struct sockaddr *)&address,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)),
			 0);
	return fd;
}

#define NOTHING "(nothing)"

static const char *heard(int fd)
{
	static char buf[1024];
	ssize_t n = recv(fd, buf, sizeof(buf) - 1, 0);

	if (n < 0)
		return NOTHING;
	buf[n] = '\0';
	return buf;
}

static struct ph_notify *open_at(const char *text)
{
	setenv("NOTIFY_SOCKET", text, 1);
	return ph_notify_open();
}

static void abstract_name(char buf[static 64])
{
	snprintf(buf, 64, "@pinhold-test-%d", (int)getpid());
}

static uint64_t monotonic_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void test_messages(void **state)
{
	uint64_t before, told, after;
	struct ph_notify *n;
	char name[64];
	int fd, end = 0;

	(void)state;
	abstract_name(name);
	fd = manager(name);
	n = open_at(name);
	assert_non_null(n);
	assert_null(getenv("NOTIFY_SOCKET"));
	ph_notify_ready(n);
	assert_string_equal(heard(fd), "READY=1");
	before = monotonic_us();
	ph_notify_reloading(n);
	after = monotonic_us();
	assert_int_equal(
		sscanf(heard(fd), "RELOADING=1\nMONOTONIC_USEC=%" SCNu64 "%n", &told, &end), 1);
	assert_in_range(told, before, after);
	ph_notify_stopping(n);
	assert_string_equal(heard(fd), "STOPPING=1");
	ph_notify_watchdog(n); /* nobody asked for it */
	assert_string_equal(heard(fd), NOTHING);
	ph_notify_close(n);
	close(fd);
}

static void test_status(void **state)
{
	struct ph_notify *n;
	char name[64], text[2000];
	const char *got;
	int fd;

	(void)state;
	abstract_name(name);
	fd = manager(name);
	n = open_at(name);
	ph_notify_status(n, "2 of 3 mappings up");
	assert_string_equal(heard(fd), "STATUS=2 of 3 mappings up");
	ph_notify_status(n, "2 of 3 mappings up");
	assert_string_equal(heard(fd), NOTHING);
	ph_notify_status(n, "one\nREADY=1");
	assert_string_equal(heard(fd), "STATUS=one READY=1");
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	ph_notify_status(n, text);
	got = heard(fd);
	assert_in_range(strlen(got), 100, 600);
	ph_notify_close(n);
	close(fd);
}

static void test_watchdog(void **state)
{
	static const struct {
		const char *us, *pid; /* pid "me": ours; NULL: not set */
		uint64_t ms;
	} cases[] = {
		{ "30000000", NULL, 15000 },
		{ "30000000", "me", 15000 },
		{ "30000000", "1", 0 },
		{ "30000000", "x", 0 },
		{ "1", NULL, 1 },
		{ "0", NULL, 0 },
		{ "", NULL, 0 },
		{ "soon", NULL, 0 },
		{ "-5", NULL, 0 },
		{ "5x", NULL, 0 },
		{ NULL, NULL, 0 },
	};
	char name[64], me[16];
	int fd;

	(void)state;
	abstract_name(name);
	snprintf(me, sizeof(me), "%d", (int)getpid());
	fd = manager(name);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct ph_notify *n;

		if (cases[i].us)
			setenv("WATCHDOG_USEC", cases[i].us, 1);
		if (cases[i].pid)
			setenv("WATCHDOG_PID", strcmp(cases[i].pid, "me") == 0 ? me : cases[i].pid,
			       1);
		n = open_at(name);
		assert_int_equal(ph_notify_watchdog_ms(n), cases[i].ms);
		assert_null(getenv("WATCHDOG_USEC"));
		assert_null(getenv("WATCHDOG_PID"));
		ph_notify_watchdog(n);
		if (cases[i].ms)
			assert_string_equal(heard(fd), "WATCHDOG=1");
		else
			assert_string_equal(heard(fd), NOTHING);
		ph_notify_close(n);
	}
	close(fd);
}

/* 107 octets, 108 (no room for a NUL), and more than an address has room for. */
static void test_paths(void **state)
{
	static const size_t lengths[] = { 107, 108, 200 };
	char directory[64] = "/tmp/pinhold-test.XXXXXX";
	int here = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);

	(void)state;
	assert_non_null(mkdtemp(directory));
	assert_int_equal(chdir(directory), 0);
	for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
		char path[256];
		struct ph_notify *n;
		int fd = manager("short");

		memset(path, 'n', sizeof(path));
		memcpy(path, directory, strlen(directory));
		path[strlen(directory)] = '/';
		path[lengths[i]] = '\0';
		/* Made under a short name: bind(2) has the same limit. */
		assert_int_equal(rename("short", path), 0);
		n = open_at(path);
		assert_non_null(n);
		ph_notify_ready(n);
		assert_string_equal(heard(fd), "READY=1");
		ph_notify_close(n);
		close(fd);
		assert_int_equal(unlink(path), 0);
	}
	assert_int_equal(fchdir(here), 0);
	close(here);
	assert_int_equal(rmdir(directory), 0);
}

static void test_nobody_wants_to_know(void **state)
{
	static const char *const useless[] = { "", "@", "/", "relative", "vsock:2:1234" };
	char longest[128];

	(void)state;
	unsetenv("NOTIFY_SOCKET");
	setenv("WATCHDOG_USEC", "5", 1);
	assert_null(ph_notify_open());
	assert_null(getenv("WATCHDOG_USEC"));
	for (size_t i = 0; i < sizeof(useless) / sizeof(*useless); i++)
		assert_null(open_at(useless[i]));
	memset(longest, 'n', sizeof(longest));
	longest[0] = '@';
	longest[109] = '\0';
	assert_null(open_at(longest));
	assert_null(getenv("NOTIFY_SOCKET"));
	ph_notify_ready(NULL);
	ph_notify_reloading(NULL);
	ph_notify_stopping(NULL);
	ph_notify_watchdog(NULL);
	ph_notify_status(NULL, "x");
	assert_int_equal(ph_notify_watchdog_ms(NULL), 0);
	ph_notify_close(NULL);
}

/* A manager that does not read, or is gone, costs a moment and nothing else. */
static void test_deaf_manager(void **state)
{
	struct ph_notify *n;
	char name[64], text[32];
	uint64_t begun;
	int fd;

	(void)state;
	abstract_name(name);
	fd = manager(name);
	setenv("WATCHDOG_USEC", "1000000", 1);
	n = open_at(name);
	begun = monotonic_us();
	for (unsigned i = 0; i < 5000; i++) { /* more than any queue holds */
		snprintf(text, sizeof(text), "%u", i);
		ph_notify_status(n, text);
		ph_notify_watchdog(n);
	}
	ph_notify_stopping(n);
	assert_in_range(monotonic_us() - begun, 0, 5000000);
	close(fd);
	ph_notify_ready(n);
	ph_notify_close(n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_watchdog),
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_nobody_wants_to_know),
		cmocka_unit_test(test_deaf_manager),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
