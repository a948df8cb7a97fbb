/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "test.h"

#include <errno.h>
#include <string.h>

#include <pinhold/config.h>

static void good(const char *text, const char *host, uint16_t port)
{
	struct ph_server s;

	assert_int_equal(ph_server_parse(text, 3478, &s), 0);
	assert_string_equal(s.host, host);
	assert_int_equal(s.port, port);
}

static void bad(const char *text)
{
	struct ph_server s;

	assert_int_equal(ph_server_parse(text, 3478, &s), -EINVAL);
}

static void test_server(void **state)
{
	char longest[PH_HOST_MAX + 1], over[300];

	(void)state;
	good("stun.example", "stun.example", 3478);
	good("stun.example:443", "stun.example", 443);
	good("192.0.2.1:80", "192.0.2.1", 80);
	good("2001:db8::1", "2001:db8::1", 3478);
	good("[2001:db8::1]", "2001:db8::1", 3478);
	good("[2001:db8::1]:80", "2001:db8::1", 80);
	memset(longest, 'a', PH_HOST_MAX);
	longest[PH_HOST_MAX] = '\0';
	good(longest, longest, 3478);
	memset(over, 'a', sizeof(over));
	over[sizeof(over) - 1] = '\0';
	bad(over);
	over[PH_HOST_MAX + 1] = '\0';
	bad(over);
	bad("");
	bad(":80");
	bad("host:");
	bad("host:0");
	bad("host:65536");
	bad("host:80x");
	bad("ho st");
	bad("host\r\nX: y");
	bad("[2001:db8::1");
	bad("[2001:db8::1]80");
	bad("[192.0.2.1]:80");
	bad("[host]:80");
	bad("a:b:c");
}

static void test_defaults(void **state)
{
	static const enum ph_proto protos[] = { PH_TCP, PH_UDP };
	const struct ph_server_list *list;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct ph_server s;

		list = ph_default_stun(protos[i]);
		assert_in_range(list->n, 5,
				PH_SERVERS_MAX); /* fresh flows for five minutes of `verify` */
		for (size_t k = 0; k < list->n; k++)
			assert_int_equal(
				ph_server_parse(list->items[k].host, list->items[k].port, &s), 0);
		ph_server_list_unref(list);
	}
	list = ph_default_keepalive();
	assert_in_range(list->n, 3, PH_SERVERS_MAX); /* two holders and one to go to */
	ph_server_list_unref(list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_server),
		cmocka_unit_test(test_defaults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
