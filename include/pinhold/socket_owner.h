/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Which process is behind a socket, for messages to people: /proc/net gives its inode and user,
 * /proc/PID/fd the process. Other users' descriptors are hidden from the unprivileged; then only
 * the user is known.
 */

#include <sys/types.h>

#include <pinhold/endpoint.h>

struct ph_socket_owner {
	pid_t pid; /* 0: not known */
	uid_t uid;
	char comm[17]; /* "" with pid 0 */
};

/* Who listens on (TCP) or has bound (UDP) a local port. 0, -ENOENT (nobody is seen), -errno. */
int ph_owner_of_port(enum ph_proto proto, uint16_t port, struct ph_socket_owner *ret_owner);

/* Who has the netfilter netlink socket with that port ID. 0, -ENOENT, -errno. */
int ph_owner_of_netlink(uint32_t port_id, struct ph_socket_owner *ret_owner);
