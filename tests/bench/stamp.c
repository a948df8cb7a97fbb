/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * From exec to the hook's call, on one clock.
 *
 *   stamp exec PROGRAM ARGUMENT...   prints the time and becomes PROGRAM
 *   .../NAME ADDRESS PORT ...        (called by any other name, as a hook) writes a line to the
 *                                    FIFO NAME.fifo beside itself: time, event, mapping, address
 *                                    and port; a dash for what it was not told
 *
 * Times are CLOCK_MONOTONIC's, in nanoseconds. A line is shorter than PIPE_BUF, so that lines of
 * several hooks do not mix.
 */

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int say_time(int fd, const char *rest)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return dprintf(fd, "%lld%09ld%s\n", (long long)t.tv_sec, t.tv_nsec, rest) > 0 ? 0 : 1;
}

static const char *or_dash(const char *text)
{
	return text && *text ? text : "-";
}

static int hook(int argc, char **argv)
{
	char path[PATH_MAX], rest[256];
	int n = snprintf(path, sizeof(path), "%s.fifo", argv[0]);
	int fd = n > 0 && n < (int)sizeof(path) ? open(path, O_WRONLY | O_CLOEXEC) : -1;

	snprintf(rest, sizeof(rest), " %s %s %s %s", or_dash(getenv("PINHOLD_EVENT")),
		 or_dash(getenv("PINHOLD_MAPPING")), or_dash(argc > 1 ? argv[1] : NULL),
		 or_dash(argc > 2 ? argv[2] : NULL));
	return fd < 0 ? 1 : say_time(fd, rest);
}

int main(int argc, char **argv)
{
	if (argc >= 3 && strcmp(argv[1], "exec") == 0) {
		if (say_time(STDOUT_FILENO, "") == 0)
			execv(argv[2], argv + 2);
		perror(argv[2]);
		return 127;
	}
	return hook(argc, argv);
}
