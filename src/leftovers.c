/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * What a daemon that was killed has left in the directory of state files. A hook of it that still
 * runs is ended, or it could say what is old after another has said what is new; and the file of a
 * mapping that is configured no more goes, for it says that the mapping is up.
 */

#include "daemon_internal.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pinhold/log.h>
#include <pinhold/orphan.h>
#include <pinhold/state_file.h>

#define SUFFIX ".json"

/* The mapping's name that a state file's has, "": it is none. */
static void mapping_of(const char *file, char ret[static PH_NAME_MAX + 1])
{
	size_t len = strlen(file);

	ret[0] = '\0';
	if (file[0] == '.' || len <= strlen(SUFFIX) || len - strlen(SUFFIX) > PH_NAME_MAX ||
	    strcmp(file + len - strlen(SUFFIX), SUFFIX) != 0)
		return;
	memcpy(ret, file, len - strlen(SUFFIX));
	ret[len - strlen(SUFFIX)] = '\0';
	if (ph_name_refusal(ret))
		ret[0] = '\0';
}

static void end_hooks(const char *directory, const char *file, const char *mapping)
{
	char variable[PH_NAME_MAX + 24], *text;
	json_t *o, *hook;
	size_t len, i;

	if (ph_state_read(directory, file, &text, &len) < 0)
		return;
	o = json_loadb(text, len, 0, NULL);
	free(text);
	snprintf(variable, sizeof(variable), "PINHOLD_MAPPING=%s", mapping);
	json_array_foreach(json_object_get(o, "hooks"), i, hook)
	{
		json_int_t pid = json_integer_value(json_object_get(hook, "pid"));
		const char *name = json_string_value(json_object_get(hook, "path"));

		if (pid > 1 && pid <= INT_MAX && ph_orphan_end((pid_t)pid, variable))
			ph_warning(
				"hook ended mapping=%s hook=%s pid=%d: the daemon that called it had been killed",
				mapping, name ? name : "", (int)pid);
	}
	json_decref(o);
}

static bool configured(const struct ph_daemon *d, const char *mapping)
{
	for (size_t i = 0; i < d->n_runs; i++)
		if (strcmp(d->runs[i]->config->core.name, mapping) == 0)
			return true;
	return false;
}

void leftovers_end(struct ph_daemon *d)
{
	struct dirent *entry;
	DIR *directory;

	if (!d->run_directory)
		return;
	directory = opendir(d->run_directory);
	if (!directory)
		return;
	while ((entry = readdir(directory))) {
		char mapping[PH_NAME_MAX + 1];

		mapping_of(entry->d_name, mapping);
		if (*mapping == '\0')
			continue;
		end_hooks(d->run_directory, entry->d_name, mapping);
		if (!configured(d, mapping))
			show_removed(d, mapping);
	}
	closedir(directory);
}
