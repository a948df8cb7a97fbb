// SPDX-License-Identifier: GPL-2.0-or-later

#include <errno.h>
#include <poll.h>
#include <string.h>
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

bool ph_netlink_ok(const struct nlmsghdr *nlh, int left)
{
	return mnl_nlmsg_ok(nlh, left) && nlh->nlmsg_len <= (uint32_t)left;
}

struct attributes {
	const struct nlattr **table;
	uint16_t max;
};

static int collect(const struct nlattr *attr, void *data)
{
	struct attributes *a = data;
	uint16_t type = mnl_attr_get_type(attr);

	if (type <= a->max)
		a->table[type] = attr;
	return MNL_CB_OK;
}

/* libmnl looks only at attributes that are all there (mnl_attr_ok()). */

bool ph_attrs_parse(const struct nlmsghdr *nlh, size_t header, const struct nlattr **table,
		    uint16_t max)
{
	struct attributes a = { .table = table, .max = max };

	return mnl_nlmsg_get_payload_len(nlh) >= header &&
	       mnl_attr_parse(nlh, (unsigned int)header, collect, &a) == MNL_CB_OK;
}

bool ph_attrs_parse_nested(const struct nlattr *nest, const struct nlattr **table, uint16_t max)
{
	struct attributes a = { .table = table, .max = max };

	return nest && mnl_attr_parse_nested(nest, collect, &a) == MNL_CB_OK;
}

bool ph_attr_value(const struct nlattr *attr, void *ret_value, size_t octets)
{
	if (!attr || mnl_attr_get_payload_len(attr) != octets)
		return false;
	memcpy(ret_value, mnl_attr_get_payload(attr), octets);
	return true;
}
