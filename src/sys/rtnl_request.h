/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Requests to rtnetlink and their answers, blocking. */

#include <netlink/msg.h>
#include <netlink/netlink.h>

#include <pinhold/endpoint.h>

/* A socket for requests; the kernel may take 5 s for each datagram of an answer. 0 or -errno. */
int rtnl_request_open(struct nl_sock **ret_socket);

/*
 * Sends msg (which stays the caller's) and reads its whole answer. fn, which may be NULL, gets each
 * message but the last, is not to write to it, and ends the reading by returning an error. 0, the
 * kernel's or fn's error as -errno, -ETIMEDOUT, or -EAGAIN: something changed while it was listed
 * (NLM_F_DUMP_INTR), so the list may be wrong.
 */
int rtnl_request(struct nl_sock *socket, struct nl_msg *msg,
		 int (*fn)(void *data, struct nlmsghdr *h), void *data);

/* The same for all rules of the family. 0, too, where the kernel has no rules. */
int rtnl_request_rules(struct nl_sock *socket, enum ph_family family,
		       int (*fn)(void *data, struct nlmsghdr *h), void *data);
