/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The limit of open descriptors, of a process of its own for each case. */

#include "net.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <pinhold/limits.h>

/* With a limit of soft and hard: what is answered, and what holds then. */
static void check(rlim_t soft, rlim_t hard, size_t needed, int wanted, rlim_t holds)
{
	struct rlimit limit = { .rlim_cur = soft, .rlim_max = hard };
	size_t told = 0;
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
			_exit(1);
		if (ph_limits_raise_files(needed, &told) != wanted || told != holds)
			_exit(2);
		if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur != holds ||
		    limit.rlim_max != hard)
			_exit(3);
		/* The last descriptor can be had, and no further. */
		if (fcntl(0, F_DUPFD_CLOEXEC, (int)holds - 1) != (int)holds - 1 ||
		    fcntl(0, F_DUPFD_CLOEXEC, (int)holds) >= 0)
			_exit(4);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void test_raise(void **state)
{
	(void)state;
	check(100, 1000, 500, 0, 500);
	check(100, 1000, 1000, 0, 1000);
	check(100, 1000, 1001, PH_LIMITS_TOO_LOW, 1000);
	check(1000, 1000, 5000, PH_LIMITS_TOO_LOW, 1000);
	check(100, 1000, 50, 0, 100);
	check(100, 1000, 100, 0, 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_raise) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
