/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <pinhold/state_file.h>

static char directory[64];

static int set_up(void **state)
{
	(void)state;
	strcpy(directory, "/tmp/pinhold-test.XXXXXX");
	return mkdtemp(directory) ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	return rmdir(directory); /* which is empty */
}

static const char *path_of(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return path;
}

static void assert_content(const char *name, const char *text)
{
	char buf[256] = "";
	FILE *f = fopen(path_of(name), "re");

	assert_non_null(f);
	assert_int_equal(fread(buf, 1, sizeof(buf) - 1, f), strlen(text));
	fclose(f);
	assert_string_equal(buf, text);
}

static unsigned count_files(void)
{
	DIR *dir = opendir(directory);
	struct dirent *entry;
	unsigned n = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir)))
		n += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
	closedir(dir);
	return n;
}

static void put(const char *name, const char *text)
{
	assert_int_equal(ph_state_write(directory, name, 0644, text, strlen(text)), 0);
}

static void test_write_and_remove(void **state)
{
	mode_t old = umask(077);
	struct stat st;

	(void)state;
	put("web.json", "first\n");
	umask(old);
	assert_content("web.json", "first\n");
	assert_int_equal(stat(path_of("web.json"), &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0644);
	assert_int_equal(ph_state_write(directory, "web.json", 0600, "1\n", 2), 0);
	assert_int_equal(stat(path_of("web.json"), &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0600);
	put("web.json", "2\n");
	assert_content("web.json", "2\n");
	assert_int_equal(count_files(), 1);
	assert_int_equal(ph_state_remove(directory, "web.json"), 0);
	assert_int_equal(ph_state_remove(directory, "web.json"), 0);
	assert_int_equal(ph_state_remove("/no/such/directory", "web.json"), 0);
}

/* Whoever has the file open goes on reading the old text: it was replaced, not rewritten. */
static void test_replaced_not_rewritten(void **state)
{
	char buf[16] = "";
	int fd;

	(void)state;
	put("web.json", "old");
	fd = open(path_of("web.json"), O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	put("web.json", "new");
	assert_int_equal(read(fd, buf, sizeof(buf)), 3);
	assert_string_equal(buf, "old");
	close(fd);
	assert_int_equal(ph_state_remove(directory, "web.json"), 0);
}

/* A device that is full, played by a limit on a file's size: the same path through write(2). */
static void test_failed_write_leaves_the_old(void **state)
{
	struct rlimit old, small = { .rlim_cur = 10 };
	char text[100];

	(void)state;
	put("web.json", "old");
	memset(text, 'x', sizeof(text));
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small.rlim_max = old.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_int_equal(ph_state_write(directory, "web.json", 0644, text, sizeof(text)), -EFBIG);
	assert_int_equal(ph_state_write(directory, "new.json", 0644, text, sizeof(text)), -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_content("web.json", "old");
	assert_int_equal(count_files(), 1);
	assert_int_equal(ph_state_remove(directory, "web.json"), 0);
}

/* A rename that fails: the name is a directory. */
static void test_failed_rename_leaves_no_litter(void **state)
{
	(void)state;
	assert_int_equal(mkdir(path_of("web.json"), 0755), 0);
	assert_int_equal(ph_state_write(directory, "web.json", 0644, "x", 1), -EISDIR);
	assert_int_equal(count_files(), 1);
	assert_int_equal(rmdir(path_of("web.json")), 0);
}

/* Neither what a killed process left nor a trap of somebody else's leads anywhere else. */
static void test_leftovers_and_links(void **state)
{
	(void)state;
	put("victim", "untouched");
	assert_int_equal(symlink("victim", path_of(".web.json.new")), 0);
	put("web.json", "1");
	assert_content("victim", "untouched");
	assert_int_equal(ph_state_remove(directory, "web.json"), 0);
	/* A link in the file's own place is replaced, too. */
	assert_int_equal(symlink("victim", path_of("web.json")), 0);
	put("web.json", "2");
	assert_content("victim", "untouched");
	assert_content("web.json", "2");
	assert_int_equal(
		close(open(path_of(".web.json.new"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600)), 0);
	assert_int_equal(ph_state_remove(directory, "web.json"), 0);
	assert_int_equal(count_files(), 1);
	assert_int_equal(ph_state_remove(directory, "victim"), 0);
}

static void test_refused_names(void **state)
{
	static const char *const names[] = {
		"", ".", "..", ".hidden", "a/b", "/etc/passwd", "../x"
	};
	char longest[300];

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		assert_int_equal(ph_state_write(directory, names[i], 0644, "x", 1), -EINVAL);
		assert_int_equal(ph_state_remove(directory, names[i]), -EINVAL);
	}
	memset(longest, 'n', sizeof(longest));
	longest[255] = '\0';
	assert_int_equal(ph_state_write(directory, longest, 0644, "x", 1), -ENAMETOOLONG);
	assert_int_equal(ph_state_write("/no/such/directory", "x", 0644, "x", 1), -ENOENT);
	assert_int_equal(count_files(), 0);
}

#define IN_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIRECTORY(test_write_and_remove),
		IN_DIRECTORY(test_replaced_not_rewritten),
		IN_DIRECTORY(test_failed_write_leaves_the_old),
		IN_DIRECTORY(test_failed_rename_leaves_no_litter),
		IN_DIRECTORY(test_leftovers_and_links),
		IN_DIRECTORY(test_refused_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
