// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A request line of the control socket: any octets. What is accepted says the same again when it is
 * written anew; what is refused has words that can go into a reply.
 */

#include "fuzz.h"

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>

#include "../../src/request.h"

static void check_refusal(const char *error)
{
	size_t len = strnlen(error, PH_REQUEST_ERROR_MAX);

	CHECK(len > 0 && len < PH_REQUEST_ERROR_MAX);
	for (size_t i = 0; i < len; i++)
		CHECK(error[i] >= 0x20 && error[i] <= 0x7e);
}

static void check_accepted(const struct ph_request *request)
{
	static const char *const commands[] = { "status", "watch", "reload" };
	char error[PH_REQUEST_ERROR_MAX];
	struct ph_request again;
	json_t *object;
	char *line;

	CHECK(request->command <= PH_COMMAND_RELOAD);
	CHECK(strnlen(request->mapping, sizeof(request->mapping)) <= PH_NAME_MAX);
	CHECK(*request->mapping == '\0' || request->command == PH_COMMAND_STATUS);
	object = json_pack("{s:s}", "command", commands[request->command]);
	if (*request->mapping)
		json_object_set_new(object, "mapping", json_string(request->mapping));
	line = json_dumps(object, JSON_COMPACT);
	CHECK(line);
	CHECK(ph_request_parse(line, strlen(line), &again, error) == 0);
	CHECK(again.command == request->command);
	CHECK(strcmp(again.mapping, request->mapping) == 0);
	free(line);
	json_decref(object);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char error[PH_REQUEST_ERROR_MAX] = "";
	struct ph_request request;
	uint8_t *copy = exact_copy(data, size);
	int r = ph_request_parse((const char *)copy, size, &request, error);

	free(copy);
	CHECK(r == 0 || r == -EINVAL);
	if (r == 0)
		check_accepted(&request);
	else
		check_refusal(error);
	return 0;
}
