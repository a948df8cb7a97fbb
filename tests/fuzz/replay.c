// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Runs a fuzz target over every file of a corpus, with any compiler: the findings of yesterday as a
 * test.
 *
 *   fuzz-replay-NAME DIRECTORY...
 */

#include <dirent.h>
#include <errno.h>

#include "fuzz.h"

static int replay_file(const char *directory, const char *name)
{
	char path[4096];
	uint8_t *data;
	FILE *file;
	long size;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	file = fopen(path, "rbe");
	if (!file || fseek(file, 0, SEEK_END) < 0 || (size = ftell(file)) < 0)
		goto failed;
	rewind(file);
	data = malloc(size ? (size_t)size : 1);
	CHECK(data);
	if (fread(data, 1, (size_t)size, file) != (size_t)size) {
		free(data);
		goto failed;
	}
	fclose(file);
	/* Before, because a finding leaves no time afterwards. */
	printf("%s\n", name);
	fflush(stdout);
	LLVMFuzzerTestOneInput(data, (size_t)size);
	free(data);
	return 0;

failed:
	fprintf(stderr, "%s: %s\n", path, strerror(errno));
	if (file)
		fclose(file);
	return -1;
}

/* The number of files, or -1. */
static int replay_directory(const char *path)
{
	struct dirent *entry;
	int n = 0;
	DIR *dir;

	dir = opendir(path);
	if (!dir) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return -1;
	}
	while (n >= 0 && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		n = replay_file(path, entry->d_name) < 0 ? -1 : n + 1;
	}
	closedir(dir);
	if (n == 0) {
		fprintf(stderr, "%s: an empty corpus\n", path);
		return -1;
	}
	return n;
}

int main(int argc, char **argv)
{
	int total = 0;

	for (int i = 1; i < argc; i++) {
		int n = replay_directory(argv[i]);

		if (n < 0)
			return 1;
		total += n;
	}
	if (total == 0) {
		fprintf(stderr, "usage: %s DIRECTORY...\n", argv[0]);
		return 1;
	}
	printf("%d inputs\n", total);
	return 0;
}
