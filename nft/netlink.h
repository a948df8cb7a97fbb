/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Netlink sockets that neither block nor outlive an exec, and waiting for their answers. */

#include <stdint.h>
#include <sys/types.h>

#include <libmnl/libmnl.h>

#define PH_ANSWER_TIMEOUT_MS 5000

/* Opens one to nfnetlink and binds it. 0 or -errno. */
int ph_netlink_open(struct mnl_socket **ret_socket);

/* The monotonic clock, in ms, for deadlines. */
int64_t ph_netlink_now(void);

/* Waits until there is something to read. 0, -ETIMEDOUT, -errno. */
int ph_netlink_wait(const struct mnl_socket *socket, int64_t deadline);

/* One datagram, waited for. Its octets; -ETIMEDOUT; -ENOSPC (larger than buf); -ENOBUFS; -errno. */
ssize_t ph_netlink_read(const struct mnl_socket *socket, void *buf, size_t size, int64_t deadline);
