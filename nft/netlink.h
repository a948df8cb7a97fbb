/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Netlink sockets that neither block nor outlive an exec, waiting for their answers, and what is in
 * these. */

#include <stdbool.h>
#include <stddef.h>
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

/* Whether a message is all there, in so many octets. mnl_nlmsg_ok() takes a length above INT_MAX
 * for a negative one. */
bool ph_netlink_ok(const struct nlmsghdr *nlh, int left);

/*
 * Puts the attributes of a message, behind a header of so many octets, into table by their types:
 * max
 * + 1 pointers, NULL before. Types above max may be new, and are passed over. false: there is no
 * such header.
 */
bool ph_attrs_parse(const struct nlmsghdr *nlh, size_t header, const struct nlattr **table,
		    uint16_t max);
/* Those inside a nested one; false: nest is NULL. */
bool ph_attrs_parse_nested(const struct nlattr *nest, const struct nlattr **table, uint16_t max);

/* Copies a value of exactly so many octets. false: attr is NULL, or its value of another size. */
bool ph_attr_value(const struct nlattr *attr, void *ret_value, size_t octets);
