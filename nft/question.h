/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Questions to nfnetlink, one at a time, each read to the end of its answer. */

#include <stdint.h>

#include <libmnl/libmnl.h>

/* Takes one message of an answer. 0 or -errno. */
typedef int (*ph_take_fn)(const struct nlmsghdr *nlh, void *data);

/*
 * Asks on this socket (ph_netlink_open()). question: a message whose sequence number is still to be
 * set, to seq: another one for each question, so that an answer which comes late is nobody's. What
 * is to be read: with NLM_F_DUMP any number of messages and NLMSG_DONE; with NLM_F_ACK the
 * acknowledgement (take may be NULL); else one message.
 *
 * 0; -EAGAIN: a dump was interrupted, ask again; -ETIMEDOUT; -ENOBUFS; -EPROTO; what take or the
 * kernel said; -errno.
 */
int ph_ask_on(const struct mnl_socket *socket, uint32_t seq, struct nlmsghdr *question,
	      ph_take_fn take, void *data);

/* The same on a socket of its own, so that the answers never mix with a transaction's. */
int ph_ask(struct nlmsghdr *question, ph_take_fn take, void *data);
