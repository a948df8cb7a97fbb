/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "get.h"

#include <stdio.h>
#include <string.h>

#include "client.h"

/* Where a field is found in a mapping's status. */
static const struct field {
	const char *name;
	const char *outer; /* the object in which it lies, or NULL: the mapping itself */
	const char *key;   /* NULL: address and port in one */
} fields[] = {
	{ "state", NULL, "state" },
	{ "why", NULL, "why" },
	{ "public-address", "public", "address" },
	{ "public-port", "public", "port" },
	{ "public-endpoint", "public", NULL },
	{ "ip4p", "public", "ip4p" },
	{ "private-address", "private", "address" },
	{ "private-port", "private", "port" },
	{ "private-endpoint", "private", NULL },
	{ "own-port", NULL, "own_port" },
	{ "protocol", NULL, "protocol" },
	{ "interface", NULL, "interface" },
	{ "uplink", NULL, "uplink" },
	{ "target", NULL, "target" },
	{ "since", NULL, "since" },
	{ "changes", NULL, "changes" },
	{ "verified", NULL, "verified" },
	{ "connections", NULL, "connections" },
};

#define N_FIELDS (sizeof(fields) / sizeof(*fields))

static int say_unknown(const char *name)
{
	char list[512];
	size_t n = 0;

	for (size_t i = 0; i < N_FIELDS; i++)
		n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%s", i ? ", " : "",
				      fields[i].name);
	return cli_say(CLI_USAGE, "get: \"%s\" is no field; there are %s", name, list);
}

static int print_field(const struct field *f, const json_t *mapping)
{
	const json_t *outer = f->outer ? json_object_get(mapping, f->outer) : mapping;
	const json_t *value = json_object_get(outer, f->key ? f->key : "port");
	const char *address = member_text(outer, "address");
	bool v6 = strchr(address, ':');

	if (json_is_string(value))
		puts(json_string_value(value));
	else if (json_is_integer(value) && !f->key)
		printf("%s%s%s:%" JSON_INTEGER_FORMAT "\n", v6 ? "[" : "", address, v6 ? "]" : "",
		       json_integer_value(value));
	else if (json_is_integer(value))
		printf("%" JSON_INTEGER_FORMAT "\n", json_integer_value(value));
	else
		return cli_say(CLI_FAILED, "%s has no %s now; its state is %s",
			       member_text(mapping, "name"), f->name,
			       member_text(mapping, "state"));
	return cli_flush();
}

int ph_cli_get(const char *mapping, const char *field)
{
	const struct field *f = NULL;
	json_t *status = NULL;
	struct client c;
	int r;

	for (size_t i = 0; i < N_FIELDS && !f; i++)
		if (strcmp(field, fields[i].name) == 0)
			f = &fields[i];
	if (!f)
		return say_unknown(field);
	r = client_open(&c, "status", mapping);
	if (r == 0)
		r = client_object(&c, &status);
	if (r == 0)
		r = client_refusal(status);
	if (r == 0)
		r = print_field(f, status);
	json_decref(status);
	client_close(&c);
	return r;
}
