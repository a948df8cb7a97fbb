/* SPDX-License-Identifier: GPL-2.0-or-later */

/* route_localnet: set where it is wanted, and set back, whatever happens. */

#include "net.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <pinhold/localnet.h>

#define DIRECTORY "/run/pinhold-test"
#define FILE_NAME DIRECTORY "/route_localnet"

static void spill(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

/* A file's content; "" where there is none. */
static const char *slurp(const char *path)
{
	static char buf[256];
	FILE *f = fopen(path, "re");
	size_t n;

	if (!f)
		return "";
	n = fread(buf, 1, sizeof(buf) - 1, f);
	buf[n] = '\0';
	fclose(f);
	return buf;
}

static const char *path_of(const char *interface)
{
	static char path[128];

	snprintf(path, sizeof(path), "/proc/sys/net/ipv4/conf/%s/route_localnet", interface);
	return path;
}

static int value_of(const char *interface)
{
	return atoi(slurp(path_of(interface)));
}

/* The interfaces' names, one a line, behind this boot's ID; "": no file. */
static void assert_remembered(const char *names)
{
	char wanted[256] = "";

	if (*names)
		snprintf(wanted, sizeof(wanted), "%s%s", slurp("/proc/sys/kernel/random/boot_id"),
			 names);
	assert_string_equal(slurp(FILE_NAME), wanted);
	if (!*names)
		assert_int_equal(access(FILE_NAME, F_OK), -1);
}

static struct ph_localnet *open_unread(int error)
{
	struct ph_localnet *l = NULL;
	int unread = 1;

	assert_int_equal(ph_localnet_open(DIRECTORY, &l, &unread), 0);
	assert_int_equal(unread, error);
	return l;
}

static struct ph_localnet *open_localnet(void)
{
	return open_unread(0);
}

static struct ph_localnet_interface want(const char *name)
{
	return (struct ph_localnet_interface){
		.name = name,
		.error = 1,
	};
}

static void want_one(struct ph_localnet *l, const char *name, int error)
{
	struct ph_localnet_interface one = want(name);

	assert_int_equal(ph_localnet_want(l, &one, 1), 0);
	assert_int_equal(one.error, error);
}

static int set_up(void **state)
{
	(void)state;
	ip("link add wan type bridge\n"
	   "link add eth0.5 type bridge\n"
	   "link add own type bridge\n");
	spill(path_of("own"), "1");
	return mkdir(DIRECTORY, 0755);
}

static int tear_down(void **state)
{
	(void)state;
	shell("ip link del wan ; ip link del eth0.5 ; ip link del own");
	unlink(FILE_NAME);
	return rmdir(DIRECTORY); /* nothing else is in it */
}

static void test_set(void **state)
{
	struct ph_localnet_interface three[] = { want("wan"), want("eth0.5"), want("own") };
	struct ph_localnet *l = open_localnet();

	(void)state;
	assert_remembered("");
	assert_int_equal(ph_localnet_want(l, three, 3), 0);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(three[i].error, 0);
		assert_int_equal(value_of(three[i].name), 1);
	}
	/* What was set already is not ours. */
	assert_remembered("wan\neth0.5\n");
	assert_int_equal(ph_localnet_want(l, three + 1, 2), 0);
	assert_int_equal(value_of("wan"), 0);
	assert_int_equal(value_of("eth0.5"), 1);
	assert_remembered("eth0.5\n");
	ph_localnet_close(l);
	assert_int_equal(value_of("eth0.5"), 0);
	assert_int_equal(value_of("own"), 1);
	assert_remembered("");
}

/* What somebody else has undone is done again. */
static void test_undone(void **state)
{
	struct ph_localnet *l = open_localnet();

	(void)state;
	want_one(l, "wan", 0);
	spill(path_of("wan"), "0");
	want_one(l, "wan", 0);
	assert_int_equal(value_of("wan"), 1);
	assert_remembered("wan\n");
	/* It is ours then, even if it was not before. */
	want_one(l, "own", 0);
	spill(path_of("own"), "0");
	want_one(l, "own", 0);
	assert_int_equal(value_of("own"), 1);
	assert_remembered("own\n");
	ph_localnet_close(l);
	assert_int_equal(value_of("wan") + value_of("own"), 0);
}

/* What was set before is told once, as long as the interface is there. */
static void test_found(void **state)
{
	struct ph_localnet_interface two[] = { want("own"), want("wan") };
	struct ph_localnet *l = open_localnet();

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(ph_localnet_want(l, two, 2), 0);
		assert_int_equal(two[0].found, i == 0);
		assert_false(two[1].found);
		assert_int_equal(ph_localnet_want(l, NULL, 0), 0);
	}
	ip("link del own\nlink add own type bridge\n");
	assert_int_equal(ph_localnet_want(l, two, 2), 0);
	assert_false(two[0].found);
	assert_remembered("own\nwan\n");
	ip("link del own\nlink add own type bridge\n");
	spill(path_of("own"), "1");
	assert_int_equal(ph_localnet_want(l, two, 2), 0);
	assert_true(two[0].found);
	ph_localnet_close(l);
	assert_int_equal(value_of("own"), 1);
}

/* The setting goes along, and so does the memory. */
static void test_renamed(void **state)
{
	struct ph_localnet_interface two[] = { want("wan"), want("eth0.5") };
	struct ph_localnet *l = open_localnet();

	(void)state;
	assert_int_equal(ph_localnet_want(l, two, 2), 0);
	ip("link set wan name wanx\n");
	want_one(l, "eth0.5", 0);
	assert_int_equal(value_of("wanx"), 0);
	assert_remembered("eth0.5\n");
	/* It is still wanted, by its new name. */
	ip("link set eth0.5 name eth0.6\n");
	want_one(l, "eth0.6", 0);
	assert_int_equal(value_of("eth0.6"), 1);
	assert_remembered("eth0.6\n");
	/* They have changed names. */
	ip("link set eth0.6 name wan\nlink set wanx name eth0.5\n");
	want_one(l, "eth0.5", 0);
	assert_int_equal(value_of("eth0.5"), 1);
	assert_int_equal(value_of("wan"), 0);
	ip("link set wan name wanx\nlink set eth0.5 name wan\nlink set wanx name eth0.5\n");
	/* The last call finds it as well. */
	ph_localnet_close(l);
	assert_int_equal(value_of("wan") + value_of("eth0.5"), 0);
	assert_remembered("");
}

/* As if the process were killed: its memory goes, and nothing is called. */
static void crash(struct ph_localnet_interface *wanted, size_t n)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		struct ph_localnet *l;
		int unread;

		if (ph_localnet_open(DIRECTORY, &l, &unread) < 0 ||
		    ph_localnet_want(l, wanted, n) < 0)
			_exit(1);
		kill(getpid(), SIGKILL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void test_crash(void **state)
{
	struct ph_localnet_interface three[] = { want("wan"), want("eth0.5"), want("own") };
	struct ph_localnet *l;

	(void)state;
	crash(three, 3);
	assert_int_equal(value_of("wan"), 1);
	assert_remembered("wan\neth0.5\n");
	ip("link del wan\n"); /* and is passed over */
	l = open_localnet();
	assert_int_equal(value_of("eth0.5"), 0);
	assert_int_equal(value_of("own"), 1);
	assert_remembered("");
	ip("link add wan type bridge\n");
	want_one(l, "eth0.5", 0);
	ph_localnet_close(l);
	assert_int_equal(value_of("eth0.5"), 0);
}

/* Another boot's file, and what is none of ours. */
static void test_other_files(void **state)
{
	static const char *const names[] = { "own\n", "../all\n/own\n..\n.\n\nall\ndefault\n",
					     "\n\n\nown", "gone\n0123456789abcdef0123456789\n" };
	char text[256];

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		spill(path_of("own"), "1");
		/* Only the third is ours, and of this boot. */
		snprintf(text, sizeof(text), "%s%s",
			 i == 0 ? "00000000-0000-0000-0000-000000000000\n"
				: slurp("/proc/sys/kernel/random/boot_id"),
			 names[i]);
		spill(FILE_NAME, text);
		ph_localnet_close(open_localnet());
		assert_int_equal(value_of("own"), i != 2);
		assert_remembered("");
	}
	assert_int_equal(value_of("all"), 0);
	spill(FILE_NAME, "");
	ph_localnet_close(open_localnet());
	assert_remembered("");
}

/* What is there under the file's name is none: nobody is waited for, nothing is followed. */
static void test_no_file(void **state)
{
	struct ph_localnet_interface wan = want("wan");
	struct ph_localnet *l;
	char text[300];

	(void)state;
	alarm(20);
	assert_int_equal(mkfifo(FILE_NAME, 0644), 0);
	l = open_unread(-EINVAL);
	want_one(l, "wan", 0);
	assert_remembered("wan\n");
	ph_localnet_close(l);
	assert_remembered("");
	snprintf(text, sizeof(text), "%sown\n", slurp("/proc/sys/kernel/random/boot_id"));
	spill(DIRECTORY "/elsewhere", text);
	assert_int_equal(symlink("elsewhere", FILE_NAME), 0);
	ph_localnet_close(open_unread(-ELOOP));
	assert_int_equal(value_of("own"), 1);
	assert_string_equal(slurp(FILE_NAME), text); /* left as it is */
	assert_int_equal(unlink(DIRECTORY "/elsewhere"), 0);
	assert_int_equal(unlink(FILE_NAME), 0);
	/* Where nothing can take its place it is not set; then it is tried again. */
	assert_int_equal(mkdir(FILE_NAME, 0755), 0);
	l = open_unread(-EISDIR);
	assert_int_equal(ph_localnet_want(l, &wan, 1), -EISDIR);
	assert_int_equal(wan.error, -EISDIR);
	assert_int_equal(value_of("wan"), 0);
	assert_int_equal(rmdir(FILE_NAME), 0);
	want_one(l, "wan", 0);
	assert_int_equal(value_of("wan"), 1);
	ph_localnet_close(l);
	assert_remembered("");
	alarm(0);
}

/* It comes back under the same name, with a fresh value. */
static void test_made_anew(void **state)
{
	struct ph_localnet *l = open_localnet();

	(void)state;
	want_one(l, "wan", 0);
	ip("link del wan\nlink add wan type bridge\n");
	assert_int_equal(value_of("wan"), 0);
	want_one(l, "wan", 0);
	assert_int_equal(value_of("wan"), 1);
	assert_remembered("wan\n");
	/* While it is not there, that is an error. */
	ip("link del wan\n");
	want_one(l, "wan", -ENOENT);
	assert_remembered("");
	ip("link add wan type bridge\n");
	want_one(l, "wan", 0);
	assert_int_equal(value_of("wan"), 1);
	/* One that had the value from the start keeps it. */
	ip("link del wan\n");
	spill(path_of("default"), "1");
	ip("link add wan type bridge\n");
	spill(path_of("default"), "0");
	want_one(l, "wan", 0);
	assert_remembered("");
	ph_localnet_close(l);
	assert_int_equal(value_of("wan"), 1);
}

static void test_names(void **state)
{
	static const char *const names[] = { "",    ".",       "..",    "a/b",
					     "all", "default", "../lo", "0123456789abcdef" };
	struct ph_localnet *l = open_localnet();

	(void)state;
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		want_one(l, names[i], -EINVAL);
	want_one(l, "gone", -ENOENT);
	assert_remembered("");
	ph_localnet_close(l);
	assert_int_equal(value_of("all") + value_of("default") + value_of("lo"), 0);
}

/* What cannot be remembered is not done. */
static void test_no_directory(void **state)
{
	struct ph_localnet_interface wan = want("wan");
	struct ph_localnet *l = NULL;
	int unread = 1;

	(void)state;
	assert_int_equal(ph_localnet_open(DIRECTORY "/missing", &l, &unread), 0);
	assert_int_equal(unread, 0);
	assert_int_equal(ph_localnet_want(l, &wan, 1), -ENOENT);
	assert_int_equal(wan.error, -ENOENT);
	assert_true(wan.by_file);
	assert_int_equal(value_of("wan"), 0);
	/* It is tried again. */
	assert_int_equal(mkdir(DIRECTORY "/missing", 0755), 0);
	assert_int_equal(ph_localnet_want(l, &wan, 1), 0);
	assert_int_equal(wan.error, 0);
	assert_false(wan.by_file);
	assert_int_equal(value_of("wan"), 1);
	ph_localnet_close(l);
	assert_int_equal(value_of("wan"), 0);
	assert_int_equal(rmdir(DIRECTORY "/missing"), 0);
	/* With nowhere to remember it is done all the same. */
	assert_int_equal(ph_localnet_open(NULL, &l, &unread), 0);
	want_one(l, "wan", 0);
	assert_int_equal(value_of("wan"), 1);
	ph_localnet_close(l);
	assert_int_equal(value_of("wan"), 0);
}

/* What cannot be set back stays remembered, and is tried again. */
static void test_read_only(void **state)
{
	struct ph_localnet_interface wan = want("wan"), other = want("eth0.5");
	struct ph_localnet *l;

	(void)state;
	crash(&wan, 1);
	assert_int_equal(mount("/proc/sys", "/proc/sys", NULL, MS_BIND, NULL), 0);
	assert_int_equal(mount(NULL, "/proc/sys", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL), 0);
	l = open_localnet();
	assert_remembered("wan\n");
	assert_int_equal(ph_localnet_want(l, &other, 1), -EROFS);
	assert_int_equal(other.error, -EROFS);
	assert_false(other.by_file);
	assert_remembered("wan\n");
	ph_localnet_close(l);
	assert_remembered("wan\n");
	l = open_localnet();
	assert_int_equal(umount("/proc/sys"), 0);
	assert_int_equal(value_of("wan"), 1);
	want_one(l, "eth0.5", 0);
	assert_int_equal(value_of("wan"), 0);
	assert_remembered("eth0.5\n");
	ph_localnet_close(l);
	/* Wanted again, what a killed daemon left is still to be set back. */
	crash(&wan, 1);
	assert_int_equal(mount("/proc/sys", "/proc/sys", NULL, MS_BIND, NULL), 0);
	assert_int_equal(mount(NULL, "/proc/sys", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL), 0);
	l = open_localnet();
	want_one(l, "wan", 0);
	assert_remembered("wan\n");
	assert_int_equal(umount("/proc/sys"), 0);
	ph_localnet_close(l);
	assert_int_equal(value_of("wan"), 0);
	assert_remembered("");
}

/* Of the kernel's rules for these files the user counts here, not a capability. */
static void test_no_permission(void **state)
{
	struct stat before, after;
	int status;
	pid_t pid;

	(void)state;
	assert_int_equal(chmod(DIRECTORY, 0777), 0);
	assert_int_equal(stat(DIRECTORY, &before), 0);
	pid = fork();
	if (pid == 0) {
		struct ph_localnet_interface two[] = { want("wan"), want("own") };
		struct ph_localnet *l;
		int unread, r = setresuid(65534, 65534, 65534);

		r = r < 0 ? r : ph_localnet_open(DIRECTORY, &l, &unread);
		r = r < 0 ? r : ph_localnet_want(l, two, 2);
		/* Where it is set already nothing is missing. */
		_exit(r == 0 && two[0].error == -EACCES && two[1].error == 0 &&
				      access(FILE_NAME, F_OK) < 0
			      ? 7
			      : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 7);
	assert_int_equal(value_of("wan"), 0);
	/* Nor was there a file in between. */
	assert_int_equal(stat(DIRECTORY, &after), 0);
	assert_memory_equal(&before.st_mtim, &after.st_mtim, sizeof(after.st_mtim));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_set),          TEST(test_undone),    TEST(test_crash),
		TEST(test_other_files),  TEST(test_made_anew), TEST(test_names),
		TEST(test_no_directory), TEST(test_read_only), TEST(test_no_permission),
		TEST(test_no_file),      TEST(test_renamed),   TEST(test_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
