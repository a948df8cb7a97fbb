// SPDX-License-Identifier: GPL-2.0-or-later
/* Which process is behind a netlink port: /proc/net/netlink has its socket's inode, /proc/PID/fd who has that. */

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/netlink.h>

#include "owner.h"

/* The inode of the netfilter socket with that port, or 0. Of this network namespace, as the table is. */
static unsigned long socket_inode(uint32_t portid)
{
	FILE *f = fopen("/proc/net/netlink", "re");
	unsigned long found = 0;
	char line[256];

	if (!f)
		return 0;
	while (!found && fgets(line, sizeof(line), f)) {
		unsigned protocol;
		uint32_t port;
		unsigned long inode;

		/* sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode; the heading does not parse. */
		if (sscanf(line, "%*s %u %" SCNu32 " %*s %*s %*s %*s %*s %*s %lu", &protocol, &port,
			   &inode) == 3 &&
		    protocol == NETLINK_NETFILTER && port == portid)
			found = inode;
	}
	fclose(f);
	return found;
}

static bool holds_socket(const char *pid, unsigned long inode)
{
	char path[64], want[64], have[64];
	bool found = false;
	struct dirent *d;
	DIR *dir;

	snprintf(want, sizeof(want), "socket:[%lu]", inode);
	snprintf(path, sizeof(path), "/proc/%.20s/fd", pid);
	dir = opendir(path);
	if (!dir)
		return false;
	while (!found && (d = readdir(dir))) {
		ssize_t n = readlinkat(dirfd(dir), d->d_name, have, sizeof(have) - 1);

		if (n > 0) {
			have[n] = '\0';
			found = !strcmp(have, want);
		}
	}
	closedir(dir);
	return found;
}

static pid_t socket_holder(unsigned long inode)
{
	DIR *proc = opendir("/proc");
	struct dirent *d;
	pid_t found = 0;

	if (!proc)
		return 0;
	while (!found && (d = readdir(proc)))
		if (isdigit((unsigned char)d->d_name[0]) && holds_socket(d->d_name, inode))
			found = (pid_t)strtol(d->d_name, NULL, 10);
	closedir(proc);
	return found;
}

static void read_comm(pid_t pid, char ret_comm[static 17])
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return;
	if (fgets(ret_comm, 17, f))
		ret_comm[strcspn(ret_comm, "\n")] = '\0';
	fclose(f);
}

static bool exists(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	return access(path, F_OK) == 0;
}

void ph_owner_of_port(uint32_t portid, pid_t *ret_pid, char ret_comm[static 17])
{
	unsigned long inode = socket_inode(portid);
	pid_t pid = inode ? socket_holder(inode) : 0;

	ret_comm[0] = '\0';
	/*
	 * Other users' descriptors are hidden from us. A process's first netlink socket gets its process ID
	 * for a port (af_netlink.c, netlink_autobind()), so that is the next best guess.
	 */
	if (!pid && portid <= INT32_MAX && exists((pid_t)portid))
		pid = (pid_t)portid;
	if (pid)
		read_comm(pid, ret_comm);
	*ret_pid = pid;
}
