/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "test.h"

#include <string.h>

#include <pinhold/config.h>

static void test_names(void **state)
{
	static const char *const names[] = {
		"web", "A",       "z9",     "tcp-8443", "TCP",
		"Tcp", "Counter", "tcps",   "tc",       "a-",
		"a_",  "ssh",     "saddr",  "port",     "accept_",
		"xtt", "x",       "in-tcp", "old-web",  "abcdefghijklmnopqrstuvwxyz_-0129",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_null(ph_name_refusal(names[i]));
}

static void test_not_a_name(void **state)
{
	static const struct {
		const char *name, *why;
	} cases[] = {
		{ "", "is empty" },
		{ "8443", "begin with a letter" },
		{ "-a", "begin with a letter" },
		{ "_a", "begin with a letter" },
		{ "\xc3\xa9", "begin with a letter" },
		{ "a b", "other than letters" },
		{ "a.b", "other than letters" },
		{ "a\"", "other than letters" },
		{ "a\n", "other than letters" },
		{ "caf\xc3\xa9", "other than letters" },
		{ "abcdefghijklmnopqrstuvwxyz_-01234", "longer than 32" },
		/* The first, the last, and those beside the middle of the list; 1.0.6's and later
		 * ones. */
		{ "accept", "nft's own language" },
		{ "xt", "nft's own language" },
		{ "ip", "nft's own language" },
		{ "ip6", "nft's own language" },
		{ "auto-merge", "nft's own language" },
		{ "tcp", "nft's own language" },
		{ "udp", "nft's own language" },
		{ "counter", "nft's own language" },
		{ "limit", "nft's own language" },
		{ "mark", "nft's own language" },
		{ "set", "nft's own language" },
		{ "destroy", "nft's own language" },
		{ "last", "nft's own language" },
		{ "tunnel", "nft's own language" },
		{ "vxlan", "nft's own language" },
		{ "fullcone", "nft's own language" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *why = ph_name_refusal(cases[i].name);

		assert_non_null(why);
		assert_non_null(strstr(why, cases[i].why));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_not_a_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
