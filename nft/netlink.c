// SPDX-License-Identifier: GPL-2.0-or-later

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>

#include <linux/netlink.h>

#include "netlink.h"

int ph_netlink_open(struct mnl_socket **ret_socket)
{
	struct mnl_socket *s = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC | SOCK_NONBLOCK);
	int r;

	if (!s)
		return -errno;
	if (mnl_socket_bind(s, 0, MNL_SOCKET_AUTOPID) < 0) {
		r = -errno;
		mnl_socket_close(s);
		return r;
	}
	*ret_socket = s;
	return 0;
}

int64_t ph_netlink_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int ph_netlink_wait(const struct mnl_socket *socket, int64_t deadline)
{
	struct pollfd p = { .fd = mnl_socket_get_fd(socket), .events = POLLIN };

	for (;;) {
		int64_t left = deadline - ph_netlink_now();
		int n;

		if (left <= 0)
			return -ETIMEDOUT;
		n = poll(&p, 1, (int)left);
		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
	}
}

ssize_t ph_netlink_read(const struct mnl_socket *socket, void *buf, size_t size, int64_t deadline)
{
	for (;;) {
		ssize_t n = mnl_socket_recvfrom(socket, buf, size);
		int r;

		if (n >= 0)
			return n;
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return -errno;
		r = ph_netlink_wait(socket, deadline);
		if (r < 0)
			return r;
	}
}
