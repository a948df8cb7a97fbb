/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <pinhold/socket_owner.h>

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TCP_LISTEN_STATE 0x0a

struct wanted {
	enum ph_proto proto;
	uint32_t port;
	uint64_t inode; /* found */
	uid_t uid;
};

/* Reads a table of /proc/net line by line until one matches. 0, -ENOENT, -errno. */
static int search(const char *path, bool (*matches)(const char *line, struct wanted *w),
		  struct wanted *w)
{
	char line[512];
	bool found = false;
	FILE *f = fopen(path, "re");

	if (!f)
		return -errno;
	while (!found && fgets(line, sizeof(line), f))
		found = matches(line, w);
	fclose(f);
	return found ? 0 : -ENOENT;
}

static bool matches_port(const char *line, struct wanted *w)
{
	unsigned local, state, uid;
	uint64_t inode;

	/* sl local:port remote:port st tx:rx tr:when retransmits uid timeout inode */
	if (sscanf(line,
		   " %*d: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*x:%*x %*x:%*x %*x %u %*d %" SCNu64,
		   &local, &state, &uid, &inode) != 4)
		return false;
	if (local != w->port || (w->proto == PH_TCP && state != TCP_LISTEN_STATE))
		return false;
	w->inode = inode;
	w->uid = uid;
	return true;
}

static bool matches_netlink(const char *line, struct wanted *w)
{
	unsigned protocol;
	uint32_t port;
	uint64_t inode;

	/* sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode; the heading does not parse */
	if (sscanf(line, "%*s %u %" SCNu32 " %*s %*s %*s %*s %*s %*s %" SCNu64, &protocol, &port,
		   &inode) != 3)
		return false;
	if (protocol != NETLINK_NETFILTER || port != w->port)
		return false;
	w->inode = inode;
	return true;
}

static bool holds(pid_t pid, const char *wanted)
{
	char path[64], link[64];
	struct dirent *entry;
	bool found = false;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	if (!dir)
		return false;
	while (!found && (entry = readdir(dir))) {
		ssize_t n = readlinkat(dirfd(dir), entry->d_name, link, sizeof(link) - 1);

		if (n <= 0)
			continue;
		link[n] = '\0';
		found = strcmp(link, wanted) == 0;
	}
	closedir(dir);
	return found;
}

static void set_process(pid_t pid, struct ph_socket_owner *owner)
{
	char path[64];
	FILE *f;

	owner->pid = pid;
	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return;
	if (fgets(owner->comm, sizeof(owner->comm), f))
		owner->comm[strcspn(owner->comm, "\n")] = '\0';
	/* A process names itself as it likes, and this goes into a log. */
	for (char *p = owner->comm; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f || *p == '"' || *p == '\\')
			*p = '?';
	fclose(f);
}

static void find_process(uint64_t inode, struct ph_socket_owner *owner)
{
	struct dirent *entry;
	char wanted[64];
	DIR *dir = opendir("/proc");

	if (!dir)
		return;
	snprintf(wanted, sizeof(wanted), "socket:[%" PRIu64 "]", inode);
	while (owner->pid == 0 && (entry = readdir(dir))) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);

		if (pid > 0 && holds(pid, wanted))
			set_process(pid, owner);
	}
	closedir(dir);
}

int ph_owner_of_port(enum ph_proto proto, uint16_t port, struct ph_socket_owner *ret_owner)
{
	static const char *const paths[2][2] = {
		{ "/proc/net/tcp", "/proc/net/tcp6" },
		{ "/proc/net/udp", "/proc/net/udp6" },
	};
	struct wanted w = { .proto = proto, .port = port };
	struct ph_socket_owner owner = { 0 };
	int r = -ENOENT;

	for (unsigned i = 0; r < 0 && i < 2; i++)
		r = search(paths[proto == PH_UDP][i], matches_port, &w);
	if (r < 0)
		return r;
	owner.uid = w.uid;
	find_process(w.inode, &owner);
	*ret_owner = owner;
	return 0;
}

int ph_owner_of_netlink(uint32_t port_id, struct ph_socket_owner *ret_owner)
{
	struct wanted w = { .port = port_id };
	struct ph_socket_owner owner = { 0 };
	char path[64];
	int r = search("/proc/net/netlink", matches_netlink, &w);

	if (r < 0)
		return r;
	find_process(w.inode, &owner);
	/* A process's first netlink socket gets its process ID for a port ID (af_netlink.c,
	 * netlink_autobind()): the best guess where descriptors are hidden. */
	snprintf(path, sizeof(path), "/proc/%" PRIu32, port_id);
	if (owner.pid == 0 && port_id <= INT32_MAX && access(path, F_OK) == 0)
		set_process((pid_t)port_id, &owner);
	*ret_owner = owner;
	return 0;
}
