/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * From exec to the hook's call, on one clock.
 *
 *   stamp exec PROGRAM ARGUMENT...   prints the time and becomes PROGRAM
 *   .../NAME ...                     (called by any other name, as a hook) writes the time to the
 * FIFO NAME.fifo beside itself
 *
 * Times are CLOCK_MONOTONIC's, in nanoseconds, one a line.
 */

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int say_time(int fd)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return dprintf(fd, "%lld%09ld\n", (long long)t.tv_sec, t.tv_nsec) > 0 ? 0 : 1;
}

static int hook(const char *self)
{
	char path[PATH_MAX];
	int n = snprintf(path, sizeof(path), "%s.fifo", self);
	int fd = n > 0 && n < (int)sizeof(path) ? open(path, O_WRONLY | O_CLOEXEC) : -1;

	return fd < 0 ? 1 : say_time(fd);
}

int main(int argc, char **argv)
{
	if (argc >= 3 && strcmp(argv[1], "exec") == 0) {
		if (say_time(STDOUT_FILENO) == 0)
			execv(argv[2], argv + 2);
		perror(argv[2]);
		return 127;
	}
	return hook(argv[0]);
}
