/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "request.h"

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const commands[] = {
	[PH_COMMAND_STATUS] = "status",
	[PH_COMMAND_WATCH] = "watch",
	[PH_COMMAND_RELOAD] = "reload",
};

#define N_COMMANDS (sizeof(commands) / sizeof(*commands))

/* What a client wrote goes back into its reply only where it can do no harm there. */
static const char *quotable(const char *text)
{
	if (strlen(text) > PH_NAME_MAX)
		return "(a long word)";
	for (const char *c = text; *c; c++)
		if (*c < 0x20 || *c > 0x7e || *c == '"' || *c == '\\')
			return "(not a word)";
	return text;
}

__attribute__((format(printf, 2, 3))) static int refuse(char error[static PH_REQUEST_ERROR_MAX],
							const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error, PH_REQUEST_ERROR_MAX, format, args);
	va_end(args);
	return -EINVAL;
}

static int take_command(const json_t *value, struct ph_request *request, char *error)
{
	const char *text = json_string_value(value);

	if (!text)
		return refuse(error, "command: not a string");
	for (size_t i = 0; i < N_COMMANDS; i++)
		if (strcmp(text, commands[i]) == 0) {
			request->command = (enum ph_command)i;
			return 0;
		}
	return refuse(error, "command: %s is not known; there are status, watch, reload",
		      quotable(text));
}

static int take_mapping(const json_t *value, struct ph_request *request, char *error)
{
	const char *text = json_string_value(value);

	if (!text)
		return refuse(error, "mapping: not a string");
	if (*text == '\0' || strlen(text) > PH_NAME_MAX)
		return refuse(error, "mapping: a name has 1 to %d characters", PH_NAME_MAX);
	strcpy(request->mapping, text);
	return 0;
}

static int take_object(json_t *object, struct ph_request *request, char *error)
{
	bool has_command = false;
	const char *key;
	json_t *value;
	int r = 0;

	json_object_foreach(object, key, value)
	{
		if (strcmp(key, "command") == 0) {
			has_command = true;
			r = take_command(value, request, error);
		} else if (strcmp(key, "mapping") == 0) {
			r = take_mapping(value, request, error);
		} else {
			r = refuse(error, "the key %s is not known", quotable(key));
		}
		if (r < 0)
			return r;
	}
	if (!has_command)
		return refuse(error, "the key command is missing");
	if (request->command != PH_COMMAND_STATUS && *request->mapping)
		return refuse(error, "%s takes no mapping", commands[request->command]);
	return 0;
}

int ph_request_parse(const char *line, size_t len, struct ph_request *ret_request,
		     char error[static PH_REQUEST_ERROR_MAX])
{
	struct ph_request request = { 0 };
	json_error_t why;
	json_t *root;
	int r;

	/* jansson's own words may quote the line. */
	root = json_loadb(line, len, JSON_REJECT_DUPLICATES, &why);
	if (!root && json_error_code(&why) == json_error_out_of_memory) {
		refuse(error, "out of memory");
		return -ENOMEM;
	}
	if (!root)
		return refuse(error, "the request is no JSON object (near octet %d)", why.position);
	r = json_is_object(root) ? take_object(root, &request, error)
				 : refuse(error, "the request is no JSON object");
	json_decref(root);
	if (r == 0)
		*ret_request = request;
	return r;
}
