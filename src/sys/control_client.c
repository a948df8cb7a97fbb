/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The client's side of the control socket, and where it is. */

#include <pinhold/control.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

/* A system without /run is built with -DPINHOLD_RUNSTATEDIR=/var/run, or whatever it has. */
#ifdef PINHOLD_RUNSTATEDIR
#define TEXT_OF(name) #name
#define TEXT(name)    TEXT_OF(name)
#define RUN_DIRECTORY TEXT(PINHOLD_RUNSTATEDIR) "/pinhold"
#else
#define RUN_DIRECTORY "/run/pinhold"
#endif

const char *ph_run_directory(void)
{
	const char *given = getenv("RUNTIME_DIRECTORY"); /* systemd.exec(5), RuntimeDirectory= */

	return given && *given == '/' ? given : RUN_DIRECTORY;
}

/* All of it, or -errno. The socket's time limit makes EAGAIN of a peer that does not read. */
static int send_all(int fd, const char *text, size_t len)
{
	while (len) {
		ssize_t n = send(fd, text, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		text += n;
		len -= (size_t)n;
	}
	return 0;
}

int ph_control_connect(const char *path, const char *request)
{
	const struct timeval limit = { .tv_sec = PH_CONTROL_IDLE_MS / 1000 };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t len = strlen(path);
	int fd, r;

	if (len >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, len);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* Also bounds how long connect() waits for room in the listener's queue. */
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0)
		r = -errno;
	else if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		r = errno == EAGAIN ? -ETIMEDOUT : -errno;
	else
		r = send_all(fd, request, strlen(request));
	if (r == 0)
		r = send_all(fd, "\n", 1);
	/* A peer that has answered and closed before it read all: its answer says why. */
	if (r == -EPIPE || r == -ECONNRESET)
		r = 0;
	if (r < 0) {
		close(fd);
		return r;
	}
	return fd;
}
