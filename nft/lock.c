/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lock.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static const char NAME[] = "pinhold-table";

static int ask_holder(int fd, const struct sockaddr *name, socklen_t len, pid_t *ret_holder)
{
	struct ucred peer = { 0 };
	socklen_t size = sizeof(peer);

	*ret_holder = 0;
	if (connect(fd, name, len) < 0)
		/* It listens, but nobody ever accepts: others have been here before us. */
		return errno == EAGAIN ? -EALREADY : -errno;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return -errno;
	if (peer.uid != 0 && peer.uid != geteuid())
		return -EPERM;
	*ret_holder = peer.pid;
	return -EALREADY;
}

int ph_lock_take(int *ret_fd, pid_t *ret_holder)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	const struct sockaddr *name = (const struct sockaddr *)&un;
	socklen_t len = offsetof(struct sockaddr_un, sun_path) + sizeof(NAME);
	int fd, r;

	memcpy(un.sun_path + 1, NAME, sizeof(NAME) - 1); /* abstract: a NUL before it */
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (bind(fd, name, len) == 0 && listen(fd, SOMAXCONN) == 0) {
		*ret_fd = fd;
		return 0;
	}
	r = -errno;
	if (r == -EADDRINUSE)
		r = ask_holder(fd, name, len, ret_holder);
	close(fd);
	return r;
}
