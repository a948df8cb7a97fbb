/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Connections that the kernel has on its books (conntrack), and those of a mapping that it shall
 * forget. */

#include <pinhold/endpoint.h>

/* Which entries: all of what is said here holds for them. */
struct ph_conntrack_match {
	enum ph_proto proto;
	uint32_t mark;                  /* all of these bits are set in the entry's mark */
	struct ph_endpoint destination; /* of the first packet, as its sender wrote it */
	struct ph_endpoint keep; /* entries that answer from here, translated as they should be
				    already, stay; port 0: none stay */
};

/*
 * Deletes the entries that any of the n matches (> 0) is about; the next packet of such a flow is a
 * new one to the NAT chains. Asks on a socket of its own, and blocks meanwhile; changes nothing
 * else. An entry that was made while this ran may be missed: first the table, then this.
 *
 * *ret_deleted (or NULL): how many there were; ones that had gone by themselves do not count.
 *
 * 0, or: -EPERM: no CAP_NET_ADMIN; -EPROTONOSUPPORT: a kernel without nfnetlink; -EINVAL: one
 * without ctnetlink (nfnetlink.c, nfnetlink_rcv_msg()); -EAGAIN, -ENOBUFS: listing them was
 * interrupted again and again; -ETIMEDOUT; -EPROTO; -ENOMEM; -errno. Some may be gone all the same.
 */
int ph_conntrack_forget(const struct ph_conntrack_match *matches, size_t n, size_t *ret_deleted);
