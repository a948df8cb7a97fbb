/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "test.h"

#include <errno.h>
#include <string.h>

#include "request.h"

static int parse(const char *line, struct ph_request *request, char *error)
{
	return ph_request_parse(line, strlen(line), request, error);
}

static void test_accepted(void **state)
{
	static const struct {
		const char *line;
		enum ph_command command;
		const char *mapping;
	} cases[] = {
		{ "{\"command\":\"status\"}", PH_COMMAND_STATUS, "" },
		{ " { \"command\" : \"status\" } \r", PH_COMMAND_STATUS, "" },
		{ "{\"command\":\"status\",\"mapping\":\"web\"}", PH_COMMAND_STATUS, "web" },
		{ "{\"mapping\":\"web\",\"command\":\"status\"}", PH_COMMAND_STATUS, "web" },
		{ "{\"command\":\"st\\u0061tus\"}", PH_COMMAND_STATUS, "" },
		{ "{\"command\":\"status\",\"mapping\":\"abcdefghijklmnopqrstuvwxyzABCDEF\"}",
		  PH_COMMAND_STATUS, "abcdefghijklmnopqrstuvwxyzABCDEF" },
		{ "{\"command\":\"watch\"}", PH_COMMAND_WATCH, "" },
		{ "{\"command\":\"reload\"}", PH_COMMAND_RELOAD, "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char error[PH_REQUEST_ERROR_MAX] = "";
		struct ph_request request;

		memset(&request, 0xa5, sizeof(request));
		assert_int_equal(parse(cases[i].line, &request, error), 0);
		assert_int_equal(request.command, cases[i].command);
		assert_string_equal(request.mapping, cases[i].mapping);
		assert_string_equal(error, "");
	}
}

static void test_refused(void **state)
{
	static const char *const cases[][2] = {
		{ "", "no JSON object" },
		{ "status", "no JSON object" },
		{ "{", "no JSON object" },
		{ "{\"command\":\"status\"", "no JSON object" },
		{ "{\"command\":\"status\"}}", "no JSON object" },
		{ "{\"command\":\"status\"} x", "no JSON object" },
		{ "{\"command\":\"status\"}{\"command\":\"status\"}", "no JSON object" },
		{ "{\"command\":\"status\",\"command\":\"watch\"}", "no JSON object" },
		{ "{\"command\":\"status\",}", "no JSON object" },
		{ "{'command':'status'}", "no JSON object" },
		{ "{\"command\":\"\xff\"}", "no JSON object" },
		{ "{\"command\":\"status\",\"mapping\":\"a\\u0000b\"}", "no JSON object" },
		{ "GET / HTTP/1.1\r", "no JSON object" },
		{ "null", "no JSON object" },
		{ "[]", "no JSON object" },
		{ "[\"status\"]", "no JSON object" },
		{ "\"status\"", "no JSON object" },
		{ "{}", "command is missing" },
		{ "{\"mapping\":\"web\"}", "command is missing" },
		{ "{\"command\":1}", "not a string" },
		{ "{\"command\":null}", "not a string" },
		{ "{\"command\":[\"status\"]}", "not a string" },
		{ "{\"command\":\"\"}", "not known" },
		{ "{\"command\":\"Status\"}", "Status is not known; there are status" },
		{ "{\"command\":\"stop\"}", "stop is not known" },
		{ "{\"command\":\"a\\nb\"}", "(not a word) is not known" },
		{ "{\"command\":\"\\u00e4\"}", "(not a word) is not known" },
		{ "{\"command\":\"status\",\"mapping\":\"\"}", "1 to 32" },
		{ "{\"command\":\"status\",\"mapping\":\"abcdefghijklmnopqrstuvwxyzABCDEFG\"}",
		  "1 to 32" },
		{ "{\"command\":\"status\",\"mapping\":1}", "mapping: not a string" },
		{ "{\"command\":\"status\",\"mapping\":null}", "mapping: not a string" },
		{ "{\"command\":\"status\",\"name\":\"web\"}", "the key name is not known" },
		{ "{\"command\":\"status\",\"\":1}", "the key  is not known" },
		{ "{\"command\":\"reload\",\"mapping\":\"web\"}", "reload takes no mapping" },
		{ "{\"command\":\"watch\",\"mapping\":\"web\"}", "watch takes no mapping" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct ph_request request = { .command = PH_COMMAND_RELOAD, .mapping = "kept" };
		char error[PH_REQUEST_ERROR_MAX] = "";

		assert_int_equal(parse(cases[i][0], &request, error), -EINVAL);
		if (!strstr(error, cases[i][1]))
			fail_msg("%s: \"%s\" is not \"%s\"", cases[i][0], error, cases[i][1]);
		assert_int_equal(request.command, PH_COMMAND_RELOAD);
		assert_string_equal(request.mapping, "kept");
	}
}

static void test_nul_and_depth(void **state)
{
	static const char nul[] = "{\"command\":\"status\"}\0";
	char deep[4096], error[PH_REQUEST_ERROR_MAX];
	struct ph_request request;

	(void)state;
	assert_int_equal(ph_request_parse(nul, sizeof(nul) - 1, &request, error), -EINVAL);
	assert_int_equal(ph_request_parse(nul, sizeof(nul) - 2, &request, error), 0);
	assert_int_equal(ph_request_parse("{\"comm\0and\":1}", 14, &request, error), -EINVAL);
	memset(deep, '[', sizeof(deep));
	assert_int_equal(ph_request_parse(deep, sizeof(deep), &request, error), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accepted),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_nul_and_depth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
