/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What `pinhold status` looks like. */

#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/status_text.h"
#include "daemon_answers.h"

static time_t at(int hour, int minute, int second)
{
	struct tm tm = { .tm_year = 126, .tm_mon = 10, .tm_mday = 21 };

	tm.tm_hour = hour;
	tm.tm_min = minute;
	tm.tm_sec = second;
	return timegm(&tm);
}

/* The text, which is not wider than it may be and has no blanks at the ends of lines. */
static char *print(const json_t *mappings, unsigned width)
{
	json_t *daemon = json_loads(DAEMON("3"), 0, NULL);
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_true(daemon && out);
	if (json_is_array(mappings))
		assert_int_equal(status_print_all(out, daemon, mappings, at(10, 13, 23), width), 0);
	else
		status_print_one(out, mappings, at(10, 13, 23), width);
	fclose(out);
	json_decref(daemon);
	for (const char *line = text; *line; line = strchr(line, '\n') + 1) {
		size_t len = strcspn(line, "\n");

		if (len > width || (len && line[len - 1] == ' '))
			fail_msg("a line of %zu columns:\n%s", len, text);
	}
	return text;
}

static json_t *mappings_of(const char *const *lines)
{
	json_t *array = json_array();

	for (; *lines; lines++)
		json_array_append_new(array, json_loads(*lines, 0, NULL));
	return array;
}

static size_t count(const char *text, char c)
{
	size_t n = 0;

	for (; *text; text++)
		n += *text == c;
	return n;
}

static void test_table(void **state)
{
	static const char *const usual[] = { UP, UP, NULL };
	json_t *mappings = mappings_of(usual), *well = json_array_get(mappings, 1);
	json_t *hook = json_array_get(json_object_get(well, "hooks"), 0);
	char *text;

	(void)state;
	json_object_set_new(well, "name", json_string("well"));
	json_object_update_new(json_object_get(hook, "last"),
			       json_pack("{s:s, s:i}", "result", "ok", "status", 0));
	text = print(mappings, 80);
	/* One line for each mapping, under the head, and one for what is not well. */
	assert_string_equal(
		text,
		"pinhold 0.1.0, pid 4711, running for 2h 13m: 2 of 2 mappings up\n"
		"file: /etc/pinhold.conf\n"
		"table: inet pinhold, installed, owned by the daemon\n"
		"\n"
		"MAPPING  STATE  SINCE   CONNS  BIND      PUBLIC ENDPOINT    TARGET\n"
		"web      up     2h 13m     12  8443/tcp  203.0.113.7:32451  192.168.10.50:443\n"
		"  hook /etc/pinhold/on-change: failed, exit status 7\n"
		"well     up     2h 13m     12  8443/tcp  203.0.113.7:32451  192.168.10.50:443\n");
	free(text);
	json_decref(mappings);
}

static void test_table_with_what_is_long(void **state)
{
	static const char *const lines[] = { UP, DOWN, UP6, NULL };
	json_t *mappings = mappings_of(lines);
	char *text = print(mappings, 80);

	(void)state;
	assert_string_equal(
		strchr(text, 'M'),
		"MAPPING  STATE    SINCE   CONNS  BIND       PUBLIC ENDPOINT    TARGET\n"
		"web      up       2h 13m     12  8443/tcp   203.0.113.7:32451  192.168.10.50:443\n"
		"  hook /etc/pinhold/on-change: failed, exit status 7\n"
		"a-name-of-thirty-two-octets-here\n"
		"         opening  -           -  udp        -\n"
		"                                  [2001:db8:1234:5678:9abc:def0:1234:5678]:51820\n"
		"  none of the STUN servers has answered so far, and this is a long explanation\n"
		"  of it\n"
		"wg6      up       2d 2h       0  51820/udp\n"
		"                                  [2001:db8:1234:5678:9abc:def0:1234:5678]:51820\n"
		"                                                               :51820\n");
	free(text);
	/* With the room for it, nothing is broken. */
	text = print(mappings, 200);
	/* Summary, blank line, head, three mappings and what two of them lack. */
	assert_int_equal(count(text, '\n'), 3 + 1 + 1 + 3 + 2);
	free(text);
	json_decref(mappings);
}

static void test_page(void **state)
{
	json_t *m = json_loads(UP, 0, NULL);
	char *text;

	(void)state;
	setenv("TZ", "UTC", 1);
	text = print(m, 80);
	assert_string_equal(
		text,
		"mapping       web\n"
		"state         up since 2026-11-21 08:00:10 (2h 13m)\n"
		"protocol      tcp, ipv4\n"
		"public        203.0.113.7:32451 since 2026-11-21 08:00:10 (2h 13m); 3 changes\n"
		"IP4P          2001::7ec3:cb00:7107\n"
		"private       100.64.0.2:8443 on wan\n"
		"target        192.168.10.50:443\n"
		"connections   12\n"
		"NAT           endpoint-independent: two servers see the same endpoint\n"
		"verified      13m 23s ago\n"
		"holders       192.0.2.13:80 open for 2h 13m, round trip 23 ms\n"
		"              192.0.2.14:80 connecting\n"
		"hooks         /etc/pinhold/on-change\n"
		"              last told up, 2h 13m ago: failed, exit status 7\n"
		"              told again in 1m 0s\n");
	free(text);
	json_decref(m);
	m = json_loads(DOWN, 0, NULL);
	text = print(m, 80);
	assert_non_null(strstr(text, "\npublic        -\n"));
	free(text);
	json_decref(m);
	/* Where a service has the bind port, and by another uplink than the default route's. */
	m = json_loads(UP6, 0, NULL);
	text = print(m, 200);
	assert_non_null(strstr(text, "\nown port      40001: the bind port is left to the service\n"
				     "replies       routed back by wan, as uplink 2\n"
				     "target        :51820\n"));
	free(text);
	json_decref(m);
	/* Of one that nobody holds there is nothing to tell. */
	m = json_loads(DOWN, 0, NULL);
	json_object_set_new(m, "state", json_string("disabled"));
	json_object_set_new(m, "why", json_string("it is disabled in the configuration"));
	text = print(m, 80);
	assert_string_equal(text, "mapping       a-name-of-thirty-two-octets-here\n"
				  "state         disabled\n"
				  "why           it is disabled in the configuration\n"
				  "protocol      udp, ipv6\n"
				  "target        [2001:db8:1234:5678:9abc:def0:1234:5678]:51820\n");
	free(text);
	json_decref(m);
	/* Anything at all that is an object. */
	m = json_loads("{\"name\":\"\\u001b[31mred\",\"why\":7,\"holders\":[1,null],"
		       "\"hooks\":[{}],\"public\":\"x\"}",
		       0, NULL);
	text = print(m, 80);
	assert_null(strchr(text, '\033'));
	free(text);
	json_decref(m);
}

static void test_durations(void **state)
{
	static const struct {
		time_t seconds;
		const char *text;
	} cases[] = {
		{ -5, "0s" },         { 0, "0s" },         { 59, "59s" },
		{ 60, "1m 0s" },      { 3599, "59m 59s" }, { 3600, "1h 0m" },
		{ 86399, "23h 59m" }, { 86400, "1d 0h" },  { 400 * 86400 + 7200, "400d 2h" },
	};
	char buf[STATUS_DURATION_STRLEN];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_string_equal(status_duration(cases[i].seconds, buf), cases[i].text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_table_with_what_is_long),
		cmocka_unit_test(test_page),
		cmocka_unit_test(test_durations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
