/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <pinhold/orphan.h>

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* /proc/PID/stat: pid (comm) state ppid pgrp session; comm may hold anything (proc(5)). */
static bool is_of_session(const char *pid, pid_t leader)
{
	char path[64], text[512], *end;
	int group = 0, session = 0;
	FILE *f;
	size_t n;

	snprintf(path, sizeof(path), "/proc/%.20s/stat", pid);
	f = fopen(path, "re");
	if (!f)
		return false;
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = '\0';
	end = strrchr(text, ')');
	return end && sscanf(end + 1, " %*c %*d %d %d", &group, &session) == 2 && group == leader &&
	       session == leader;
}

static bool has_variable(const char *pid, const char *variable)
{
	char path[64], *entry = NULL;
	size_t size = 0;
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%.20s/environ", pid);
	f = fopen(path, "re");
	if (!f)
		return false;
	while (!found && getdelim(&entry, &size, '\0', f) > 0)
		found = strcmp(entry, variable) == 0;
	free(entry);
	fclose(f);
	return found;
}

bool ph_orphan_end(pid_t leader, const char *variable)
{
	struct dirent *entry;
	bool found = false;
	DIR *proc;

	/* Mostly nobody is left, and nobody need be looked at. */
	if (leader <= 1 || (kill(-leader, 0) < 0 && errno == ESRCH))
		return false;
	proc = opendir("/proc");
	if (!proc)
		return false;
	while (!found && (entry = readdir(proc)))
		found = entry->d_name[0] >= '1' && entry->d_name[0] <= '9' &&
			is_of_session(entry->d_name, leader) &&
			has_variable(entry->d_name, variable);
	closedir(proc);
	return found && kill(-leader, SIGKILL) == 0;
}
