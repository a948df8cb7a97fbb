/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "background.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <pinhold/log.h>

void background_fill_descriptors(void)
{
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", O_RDONLY) != fd)
			_exit(1);
}

int background_enter(void)
{
	char octet;
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0 || (pid = fork()) < 0) {
		fprintf(stderr, "pinhold: -d: %s\n", strerror(errno));
		exit(1);
	}
	if (pid > 0) {
		int status = 0;

		close(fds[1]);
		if (read(fds[0], &octet, 1) == 1)
			_exit(0);
		/* End of file: the child has ended, and said why. */
		if (waitpid(pid, &status, 0) < 0 || !WIFEXITED(status))
			_exit(1);
		_exit(WEXITSTATUS(status));
	}
	close(fds[0]);
	setsid();
	if (chdir("/") < 0)
		fprintf(stderr, "pinhold: -d: /: %s\n", strerror(errno));
	return fds[1];
}

void background_ready(int fd)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	ph_log_to_syslog();
	if (null >= 0) {
		for (int i = 0; i <= 2; i++)
			dup2(null, i);
		if (null > 2)
			close(null);
	}
	if (write(fd, "", 1) < 0)
		ph_warning("the starting process is gone: %s", strerror(errno));
	close(fd);
}
