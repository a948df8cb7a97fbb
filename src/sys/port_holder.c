/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Who holds a local port: /proc/net/{tcp,udp}{,6} gives inode and user, /proc/PID/fd the process.
 */

#include <pinhold/socket.h>

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TCP_LISTEN_STATE 0x0a

static int find_inode(const char *path, enum ph_proto proto, uint16_t port, uint64_t *ret_inode,
		      uid_t *ret_uid)
{
	char line[512];
	bool found = false;
	FILE *f = fopen(path, "re");

	if (!f)
		return -errno;
	while (!found && fgets(line, sizeof(line), f)) {
		unsigned local, state, uid;
		uint64_t inode;

		/* sl local:port remote:port st tx:rx tr:when retransmits uid timeout inode */
		if (sscanf(line,
			   " %*d: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*x:%*x %*x:%*x %*x %u %*d %" SCNu64,
			   &local, &state, &uid, &inode) != 4)
			continue;
		if (local != port || (proto == PH_TCP && state != TCP_LISTEN_STATE))
			continue;
		*ret_inode = inode;
		*ret_uid = uid;
		found = true;
	}
	fclose(f);
	return found ? 0 : -ENOENT;
}

static bool process_has(pid_t pid, const char *wanted)
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

static void read_comm(pid_t pid, char ret_comm[static 17])
{
	char path[64], comm[17] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return;
	if (fgets(comm, sizeof(comm), f)) {
		comm[strcspn(comm, "\n")] = '\0';
		memcpy(ret_comm, comm, sizeof(comm));
	}
	fclose(f);
}

int ph_port_holder(enum ph_proto proto, uint16_t port, pid_t *ret_pid, uid_t *ret_uid,
		   char ret_comm[static 17])
{
	static const char *const paths[2][2] = {
		{ "/proc/net/tcp", "/proc/net/tcp6" },
		{ "/proc/net/udp", "/proc/net/udp6" },
	};
	char wanted[64];
	uint64_t inode = 0;
	struct dirent *entry;
	uid_t uid = 0;
	DIR *dir;
	int r = -ENOENT;

	for (unsigned i = 0; r < 0 && i < 2; i++)
		r = find_inode(paths[proto == PH_UDP][i], proto, port, &inode, &uid);
	if (r < 0)
		return r;
	*ret_uid = uid;
	*ret_pid = 0;
	ret_comm[0] = '\0';
	snprintf(wanted, sizeof(wanted), "socket:[%" PRIu64 "]", inode);
	dir = opendir("/proc");
	if (!dir)
		return 0;
	while ((entry = readdir(dir))) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);

		if (pid <= 0 || !process_has(pid, wanted))
			continue;
		*ret_pid = pid;
		read_comm(pid, ret_comm);
		break;
	}
	closedir(dir);
	return 0;
}
