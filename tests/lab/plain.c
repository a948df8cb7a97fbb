// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pinhold on a kernel without the owner flag: this is linked in front of libmnl, and makes every
 * message that asks for the flag one that the kernel refuses.
 */

#include <stdlib.h>
#include <string.h>

#include <libmnl/libmnl.h>

#include "../golden/refuse_owner.h"

ssize_t __real_mnl_socket_sendto(const struct mnl_socket *nl, const void *buf, size_t len);
ssize_t __wrap_mnl_socket_sendto(const struct mnl_socket *nl, const void *buf, size_t len);

ssize_t __wrap_mnl_socket_sendto(const struct mnl_socket *nl, const void *buf, size_t len)
{
	void *copy = malloc(len);
	struct nlmsghdr *nlh = copy;
	int left = (int)len;
	ssize_t n;

	if (!copy)
		abort();
	memcpy(copy, buf, len);
	for (; mnl_nlmsg_ok(nlh, left); nlh = mnl_nlmsg_next(nlh, &left))
		refuse_owner(nlh);
	n = __real_mnl_socket_sendto(nl, copy, len);
	free(copy);
	return n;
}
