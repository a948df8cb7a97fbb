/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "test.h"

#include <errno.h>
#include <string.h>

#include "../../src/core/config_internal.h"

#define N(array) (sizeof(array) / sizeof(*(array)))

static void test_number(void **state)
{
	static const char *const bad[] = {
		"",   "x",          "-1",          "+1", "1x",  "0x",  "0xg",
		"01", "4294967296", "0x100000000", " 1", "1e3", "1.0", "99999999999999999999999999"
	};
	uint32_t n = 7;

	(void)state;
	for (size_t i = 0; i < N(bad); i++)
		assert_int_equal(ph_number_parse(bad[i], &n), -EINVAL);
	assert_int_equal(n, 7);
	assert_int_equal(ph_number_parse("0", &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(ph_number_parse("4294967295", &n), 0);
	assert_int_equal(n, UINT32_MAX);
	assert_int_equal(ph_number_parse("0xDeadBeef", &n), 0);
	assert_int_equal(n, 0xdeadbeef);
}

static void test_duration(void **state)
{
	static const struct {
		const char *text;
		uint32_t ms;
		const char *shown;
	} good[] = {
		{ "0", 0, "0s" },         { "30", 30000, "30s" },    { "30s", 30000, "30s" },
		{ "90", 90000, "90s" },   { "5m", 300000, "5m" },    { "6h", 21600000, "6h" },
		{ "1d", 86400000, "1d" }, { "24h", 86400000, "1d" }, { "007s", 7000, "7s" },
	};
	static const char *const bad[] = { "",    "s",  "5w",   "5ms",   "5 m",
					   "-5s", "+5", "1.5s", "1h30m", "0x10" };
	uint32_t ms = 1;
	char buf[16];

	(void)state;
	for (size_t i = 0; i < N(good); i++) {
		assert_int_equal(ph_duration_parse(good[i].text, &ms), 0);
		assert_int_equal(ms, good[i].ms);
		assert_string_equal(ph_duration_format(ms, buf), good[i].shown);
	}
	for (size_t i = 0; i < N(bad); i++)
		assert_int_equal(ph_duration_parse(bad[i], &ms), -EINVAL);
	assert_int_equal(ph_duration_parse("50d", &ms), -ERANGE);
	assert_int_equal(ph_duration_parse("99999999999999999999999d", &ms), -ERANGE);
}

static void test_bind(void **state)
{
	static const struct {
		const char *text;
		uint16_t first, last;
		bool random;
	} good[] = {
		{ "1", 1, 1, false },
		{ "65535", 65535, 65535, false },
		{ "8000-8010", 8000, 8010, false },
		{ "8000~8010", 8000, 8010, true },
		{ "8000-8000", 8000, 8000, false },
	};
	static const struct {
		const char *text;
		int error;
	} bad[] = {
		{ "0", -EINVAL },       { "65536", -EINVAL },      { "", -EINVAL },
		{ "x", -EINVAL },       { "0x10", -EINVAL },       { "+1", -EINVAL },
		{ "-1", -EINVAL },      { "1-", -EINVAL },         { "1x", -EINVAL },
		{ "1-2-3", -EINVAL },   { "1 - 2", -EINVAL },      { "0-5", -EINVAL },
		{ "5-65536", -EINVAL }, { "99999999-1", -EINVAL }, { "2-1", -ERANGE },
		{ "2~1", -ERANGE },
	};

	(void)state;
	for (size_t i = 0; i < N(good); i++) {
		struct ph_mapping_config core = { .bind_random = true };

		assert_int_equal(ph_bind_parse(good[i].text, &core), 0);
		assert_int_equal(core.bind_first, good[i].first);
		assert_int_equal(core.bind_last, good[i].last);
		assert_int_equal(core.bind_random, good[i].random);
	}
	for (size_t i = 0; i < N(bad); i++) {
		struct ph_mapping_config core = { .bind_first = 9 };

		assert_int_equal(ph_bind_parse(bad[i].text, &core), bad[i].error);
		assert_int_equal(core.bind_first, 9);
	}
}

static void test_mark(void **state)
{
	static const char *const bad[] = {
		"0x08000000",
		"/",
		"0x3/0xf",
		"0/0xf",
		"0x10/0xf",
		"0x1/0x7",
		"1/",
		"/0xf",
		"0x1/0xf/0xf",
		"0x1 /0xf",
		"00000000000000001/0xf",
		"x/0xf",
	};
	struct ph_plan_options plan = { 0 };

	(void)state;
	for (size_t i = 0; i < N(bad); i++)
		assert_non_null(ph_mark_parse(bad[i], &plan));
	assert_int_equal(plan.mark, 0);
	assert_null(ph_mark_parse("0x08000000/0x0f000000", &plan));
	assert_int_equal(plan.mark, PH_MARK_DEFAULT);
	assert_int_equal(plan.mask, PH_MASK_DEFAULT);
	assert_null(ph_mark_parse("1/15", &plan));
	assert_int_equal(plan.mark, 1);
	assert_int_equal(plan.mask, 15);
}

static void test_target(void **state)
{
	static const struct {
		const char *text, *address;
		enum ph_target_kind kind;
		uint16_t port;
	} good[] = {
		{ "none", NULL, PH_TARGET_NONE, 0 },
		{ ":443", NULL, PH_TARGET_LOCAL, 443 },
		{ ":public", NULL, PH_TARGET_LOCAL, 0 },
		{ "192.168.10.50:443", "192.168.10.50", PH_TARGET_ADDRESS, 443 },
		{ "127.0.0.1:443", "127.0.0.1", PH_TARGET_ADDRESS, 443 },
		{ "127.255.0.9:public", "127.255.0.9", PH_TARGET_ADDRESS, 0 },
		{ "192.168.10.50:public", "192.168.10.50", PH_TARGET_ADDRESS, 0 },
		{ "[2001:db8::50]:65535", "2001:db8::50", PH_TARGET_ADDRESS, 65535 },
		{ "[2001:db8::50]:public", "2001:db8::50", PH_TARGET_ADDRESS, 0 },
	};
	static const struct {
		const char *text, *why;
	} bad[] = {
		{ "", "is not" },
		{ "443", "is not" },
		{ ":", "a port that is neither" },
		{ ":0", "a port that is neither" },
		{ ":65536", "a port that is neither" },
		{ ":0x1bb", "a port that is neither" },
		{ ":-1", "a port that is neither" },
		{ ":443 ", "a port that is neither" },
		{ ":Public", "a port that is neither" },
		{ "192.168.10.50", "has no port" },
		{ "192.168.10.50:", "a port that is neither" },
		{ "192.168.10:443", "is not" },
		{ "nas:443", "is not" },
		{ "[nas]:443", "is not" },
		{ "[192.168.10.50]:443", "is not" },
		{ "[]:443", "is not" },
		{ "[2001:db8::50", "is not" },
		{ "[2001:db8::50]", "has no port" },
		{ "[2001:db8::50]443", "is not" },
		{ "2001:db8::50", "brackets" },
		{ "2001:db8::50:443", "brackets" },
		{ "192.168.10.50:443:443", "is not" },
		{ "0.0.0.0:443", "no host" },
		{ "224.0.0.1:443", "no single" },
		{ "255.255.255.255:443", "no single" },
		{ "[::]:443", "no host" },
		{ "[::1]:443", "no route_localnet" },
		{ "[fe80::1]:443", "link-local" },
		{ "[::ffff:127.0.0.1]:443", "an IPv4 address in IPv6's notation" },
		{ "[::ffff:192.168.1.2]:443", "an IPv4 address in IPv6's notation" },
		{ "[ff02::1]:443", "no single" },
		{ "[2001:db8:1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc]:443",
		  "is not" },
	};
	char text[PH_ADDRESS_STRLEN];

	(void)state;
	for (size_t i = 0; i < N(good); i++) {
		struct ph_target t = { .port = 9 };

		assert_null(ph_target_parse(good[i].text, &t));
		assert_int_equal(t.kind, good[i].kind);
		assert_int_equal(t.port, good[i].port);
		if (good[i].address)
			assert_string_equal(ph_address_format(&t.address, text), good[i].address);
	}
	for (size_t i = 0; i < N(bad); i++) {
		struct ph_target t = { .port = 9 };
		const char *why = ph_target_parse(bad[i].text, &t);

		if (!why || !strstr(why, bad[i].why))
			fail_msg("%s: %s", bad[i].text, why ? why : "accepted");
		assert_int_equal(t.port, 9);
	}
}

static void test_interface(void **state)
{
	static const char *const bad[] = {
		"",    ".",  "..",    "a/b", "a b",   "a:1",   "0123456789abcdef",
		"a\t", "e*", "\"a\"", "a\\", "a\xa0", "a\x7f", "w\xc3\xa4n"
	};

	(void)state;
	for (size_t i = 0; i < N(bad); i++)
		assert_false(ph_interface_name_valid(bad[i]));
	assert_true(ph_interface_name_valid("wan"));
	assert_true(ph_interface_name_valid("pppoe-wan"));
	assert_true(ph_interface_name_valid("eth0.2@x"));
	assert_true(ph_interface_name_valid("0123456789abcde"));
}

static void test_limit(void **state)
{
	static const struct {
		const char *text;
		struct ph_limit limit;
	} good[] = {
		{ "50/second burst 100", { 50, 1, 100 } },
		{ "1/minute", { 1, 60, 5 } },
		{ "1000000/hour", { 1000000, 3600, 5 } },
		{ "7/day  burst\t1", { 7, 86400, 1 } },
	};
	static const char *const bad[] = {
		"",
		"50",
		"50/",
		"/second",
		"0/second",
		"-1/second",
		"0x5/second",
		"1000001/second",
		"50/seconds",
		"50/s",
		"50 /second",
		"50/second burst",
		"50/second burst 0",
		"50/second burst 1 packets",
		"50/second 100",
	};
	struct ph_limit limit = { 0 };

	(void)state;
	for (size_t i = 0; i < N(good); i++) {
		assert_null(ph_limit_parse(good[i].text, &limit));
		assert_memory_equal(&limit, &good[i].limit, sizeof(limit));
	}
	for (size_t i = 0; i < N(bad); i++)
		assert_non_null(ph_limit_parse(bad[i], &limit));
}

static void test_prefix(void **state)
{
	static const struct {
		const char *text, *address;
		int result;
		uint8_t bits;
	} cases[] = {
		{ "0.0.0.0/0", "0.0.0.0", 0, 0 },
		{ "10.0.0.0/8", "10.0.0.0", 0, 8 },
		{ "192.0.2.1", "192.0.2.1", 0, 32 },
		{ "192.0.2.1/32", "192.0.2.1", 0, 32 },
		{ "192.0.2.129/25", "192.0.2.128", -ERANGE, 25 },
		{ "10.0.0.1/8", "10.0.0.0", -ERANGE, 8 },
		{ "255.255.255.255/0", "0.0.0.0", -ERANGE, 0 },
		{ "2001:db8::/32", "2001:db8::", 0, 32 },
		{ "2001:db8::1", "2001:db8::1", 0, 128 },
		{ "2001:db8::1/127", "2001:db8::", -ERANGE, 127 },
		{ "::/0", "::", 0, 0 },
	};
	static const char *const bad[] = { "",
					   "/8",
					   "10.0.0.0/",
					   "10.0.0.0/33",
					   "10.0.0.0/0x8",
					   "10.0.0.0/-1",
					   "10.0.0.0/8 ",
					   "::/129",
					   "host",
					   "10/8",
					   "10.0.0.0/255.0.0.0" };
	struct ph_prefix p;
	char text[PH_ADDRESS_STRLEN];

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		assert_int_equal(ph_prefix_parse(cases[i].text, &p), cases[i].result);
		assert_string_equal(ph_address_format(&p.address, text), cases[i].address);
		assert_int_equal(p.bits, cases[i].bits);
	}
	for (size_t i = 0; i < N(bad); i++)
		assert_int_equal(ph_prefix_parse(bad[i], &p), -EINVAL);
}

static void test_distance(void **state)
{
	(void)state;
	assert_int_equal(ph_text_distance("interval", "interval"), 0);
	assert_int_equal(ph_text_distance("intervall", "interval"), 1);
	assert_int_equal(ph_text_distance("kitten", "sitting"), 3);
	assert_int_equal(ph_text_distance("", "bind"), 4);
	assert_true(ph_text_distance("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "bind") > 100);
}

static void test_show(void **state)
{
	char buf[PH_SHOWN_STRLEN], many[400];

	(void)state;
	assert_string_equal(ph_text_show("a\tb\x01\x7f\x1b[1m", buf), "a?b???[1m");
	assert_string_equal(ph_text_show("gr\xc3\xbc\xc3\x9f \xe4\xbd\xa0 \xf0\x9f\x98\x80", buf),
			    "gr\xc3\xbc\xc3\x9f \xe4\xbd\xa0 \xf0\x9f\x98\x80");
	/* C1 controls, overlong, surrogate, cut off, too high */
	assert_string_equal(ph_text_show("\xc2\x9b", buf), "??");
	assert_string_equal(ph_text_show("\xc0\xaf", buf), "??");
	assert_string_equal(ph_text_show("\xed\xa0\x80", buf), "???");
	assert_string_equal(ph_text_show("\xe4\xbd", buf), "??");
	assert_string_equal(ph_text_show("\xf5\x80\x80\x80", buf), "????");
	memset(many, 'a', sizeof(many));
	many[sizeof(many) - 1] = '\0';
	ph_text_show(many, buf);
	assert_true(strlen(buf) < sizeof(buf));
	assert_string_equal(buf + strlen(buf) - 4, "a...");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_number),   cmocka_unit_test(test_duration),
		cmocka_unit_test(test_bind),     cmocka_unit_test(test_mark),
		cmocka_unit_test(test_target),   cmocka_unit_test(test_interface),
		cmocka_unit_test(test_limit),    cmocka_unit_test(test_prefix),
		cmocka_unit_test(test_distance), cmocka_unit_test(test_show),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
