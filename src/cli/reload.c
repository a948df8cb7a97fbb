/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "reload.h"

#include <stdio.h>

#include "client.h"

#define NAMES_SHOWN 20

/* "2 changed: web, nas", after a separator if something stands before it. */
static void print_names(const json_t *reload, const char *key, bool *first)
{
	const json_t *names = json_object_get(reload, key);
	size_t n = json_array_size(names);

	if (n == 0)
		return;
	printf("%s%zu %s: ", *first ? "" : "; ", n, key);
	*first = false;
	for (size_t i = 0; i < n && i < NAMES_SHOWN; i++) {
		const char *text = json_string_value(json_array_get(names, i));

		printf("%s%s", i ? ", " : "", text ? text : "?");
	}
	if (n > NAMES_SHOWN)
		printf(" and %zu more", n - NAMES_SHOWN);
}

/* Line 0 is the file as a whole. */
static void say_lines(const json_t *lines, const char *path)
{
	for (size_t i = 0; i < json_array_size(lines); i++) {
		const json_t *item = json_array_get(lines, i);
		int line = (int)json_integer_value(json_object_get(item, "line"));

		if (line)
			cli_line("%s:%d: %s", path, line, member_text(item, "text"));
		else
			cli_line("%s: %s", path, member_text(item, "text"));
	}
}

static int print_change(const json_t *reload)
{
	long long unchanged = json_integer_value(json_object_get(reload, "unchanged"));
	bool first = true;

	say_lines(json_object_get(reload, "notices"), member_text(reload, "path"));
	print_names(reload, "changed", &first);
	print_names(reload, "added", &first);
	print_names(reload, "removed", &first);
	printf("%s%lld unchanged\n", first ? "" : "; ", unchanged);
	return cli_flush();
}

/* A file that cannot be loaded is a mistake in the configuration, anything else a failure. */
static int say_failure(const json_t *answer)
{
	const json_t *mistakes = json_object_get(answer, "mistakes");
	const char *path = member_text(answer, "path"), *error = member_text(answer, "error");

	if (json_array_size(mistakes)) {
		say_lines(mistakes, path);
		return cli_say(CLI_USAGE, "%s: not loaded; everything stays as it was", path);
	}
	if (*path)
		return cli_say(CLI_USAGE, "%s; everything stays as it was", error);
	return cli_say(CLI_FAILED, "%s",
		       *error ? error : "the daemon does not say whether it has reloaded");
}

int ph_cli_reload(void)
{
	json_t *answer = NULL;
	const json_t *reload;
	struct client c;
	int r = client_open(&c, "reload", NULL);

	if (r == 0)
		r = client_object(&c, &answer);
	reload = json_object_get(answer, "reload");
	if (r == 0)
		r = json_is_object(reload) ? print_change(reload) : say_failure(answer);
	json_decref(answer);
	client_close(&c);
	return r;
}
