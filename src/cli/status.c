/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "status.h"

#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "client.h"
#include "status_text.h"

/* The terminal's, if it is one; narrower than a table is worth, nothing is gained. */
static unsigned width_of_output(void)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col < 60)
		return STATUS_WIDTH;
	return size.ws_col;
}

static int print_document(const json_t *document)
{
	if (json_dumpf(document, stdout, JSON_INDENT(2)) < 0 || putchar('\n') < 0) {
		int r = cli_flush();

		return r ? r : cli_say(CLI_FAILED, "out of memory");
	}
	return cli_flush();
}

static int one(struct client *c, bool json)
{
	json_t *mapping;
	int r = client_object(c, &mapping);

	if (r)
		return r;
	r = client_refusal(mapping);
	if (r == 0 && json) {
		r = print_document(mapping);
	} else if (r == 0) {
		status_print_one(stdout, mapping, time(NULL), width_of_output());
		r = cli_flush();
	}
	json_decref(mapping);
	return r;
}

/* The daemon's line, and as many lines as it says there are mappings. */
static int read_all(struct client *c, json_t **ret_daemon, json_t *mappings)
{
	json_t *daemon, *mapping;
	long long count;
	int r = client_object(c, &daemon);

	if (r)
		return r;
	r = client_refusal(daemon);
	count = json_integer_value(json_object_get(daemon, "mappings"));
	for (long long i = 0; r == 0 && i < count; i++) {
		r = client_object(c, &mapping);
		if (r == 0 && json_array_append_new(mappings, mapping) < 0)
			r = cli_say(CLI_FAILED, "out of memory");
	}
	if (r) {
		json_decref(daemon);
		return r;
	}
	json_object_del(daemon, "mappings");
	*ret_daemon = daemon;
	return CLI_DONE;
}

static int all(struct client *c, bool json)
{
	json_t *mappings = json_array(), *daemon = NULL, *document;
	int r = mappings ? read_all(c, &daemon, mappings) : cli_say(CLI_FAILED, "out of memory");

	if (r == 0 && json) {
		document = json_pack("{s:O, s:O}", "daemon", daemon, "mappings", mappings);
		r = document ? print_document(document) : cli_say(CLI_FAILED, "out of memory");
		json_decref(document);
	} else if (r == 0) {
		if (status_print_all(stdout, daemon, mappings, time(NULL), width_of_output()) < 0)
			r = cli_say(CLI_FAILED, "out of memory");
		else
			r = cli_flush();
	}
	json_decref(daemon);
	json_decref(mappings);
	return r;
}

int ph_cli_status(const char *mapping, bool json)
{
	struct client c;
	int r = client_open(&c, "status", mapping);

	if (r == 0)
		r = mapping ? one(&c, json) : all(&c, json);
	client_close(&c);
	return r;
}
