/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watch.h"

#include <stdio.h>
#include <string.h>

#include "client.h"

/* A line is shown as it came; only one that may be a refusal is looked into. */
static int show(const char *line)
{
	json_t *object;
	int r = CLI_DONE;

	if (strncmp(line, "{\"error\"", strlen("{\"error\"")) == 0) {
		object = json_loads(line, 0, NULL);
		r = client_refusal(object);
		json_decref(object);
	}
	if (r == 0) {
		puts(line);
		r = cli_flush();
	}
	return r;
}

int ph_cli_watch(void)
{
	struct client c;
	char *line;
	int r = client_open(&c, "watch", NULL);

	while (r == 0) {
		r = client_line(&c, true, &line);
		if (r == 0)
			r = show(line);
	}
	client_close(&c);
	return r;
}
