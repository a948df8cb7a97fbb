/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The control socket's name: where it may be, who may have it, and when it goes. */

#include "control_server.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

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

int main(void)
{
	const struct CMUnitTest tests[] = {
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
