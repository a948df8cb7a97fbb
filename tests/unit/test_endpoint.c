// SPDX-License-Identifier: GPL-2.0-or-later
/* Transport addresses. */

#include "test.h"

#include <errno.h>
#include <string.h>

static void families_and_protocols(void **state)
{
	(void)state;
	assert_int_equal(ph_family_octets(PH_IPV4), 4);
	assert_int_equal(ph_family_octets(PH_IPV6), 16);
	assert_string_equal(ph_proto_name(PH_TCP), "tcp");
	assert_string_equal(ph_proto_name(PH_UDP), "udp");
}

static void addresses_are_read_and_written(void **state)
{
	static const struct {
		const char *in, *out;
		enum ph_family family;
	} cases[] = {
		{ "203.0.113.7", "203.0.113.7", PH_IPV4 },
		{ "0.0.0.0", "0.0.0.0", PH_IPV4 },
		{ "255.255.255.255", "255.255.255.255", PH_IPV4 },
		{ "::", "::", PH_IPV6 },
		{ "2001:DB8:0:0::7", "2001:db8::7", PH_IPV6 },
		{ "::ffff:203.0.113.7", "::ffff:203.0.113.7", PH_IPV6 },
		{ "fe80:1111:2222:3333:4444:5555:6666:7777",
		  "fe80:1111:2222:3333:4444:5555:6666:7777", PH_IPV6 },
	};
	char buf[PH_ADDRESS_STRLEN];
	struct ph_address a;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(ph_address_parse(cases[i].in, &a), 0);
		assert_int_equal(a.family, cases[i].family);
		assert_ptr_equal(ph_address_format(&a, buf), buf);
		assert_string_equal(buf, cases[i].out);
	}
	/* Network order, and nothing behind an IPv4 address. */
	assert_int_equal(ph_address_parse("203.0.113.7", &a), 0);
	assert_memory_equal(a.octets, ((uint8_t[16]){ 203, 0, 113, 7 }), 16);
}

static void what_is_no_address_is_refused(void **state)
{
	static const char *const cases[] = {
		"",
		" ",
		"203.0.113",
		"203.0.113.256",
		"203.0.113.7 ",
		" 203.0.113.7",
		"1.2.3.4.5",
		"[::1]",
		"fe80::1%eth0",
		":::",
		"2001:db8",
		"12345::",
		"1.2.3.4:80",
		"0x1.2.3.4",
		"example.com",
		"1:2:3:4:5:6:7:8:9",
	};
	struct ph_address a = { .family = PH_IPV6, .octets = { 1 } }, before = a;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(ph_address_parse(cases[i], &a), -EINVAL);
		assert_memory_equal(&a, &before, sizeof(a));
	}
}

static void ports_are_read(void **state)
{
	static const struct {
		const char *text;
		int result;
		uint16_t port;
	} cases[] = {
		{ "1", 0, 1 },
		{ "65535", 0, 65535 },
		{ "0080", 0, 80 },
		{ "0", -ERANGE, 9 },
		{ "000", -ERANGE, 9 },
		{ "65536", -ERANGE, 9 },
		{ "4294967377", -ERANGE, 9 }, /* 81 in 32 bits */
		{ "18446744073709551697", -ERANGE, 9 },
		{ "", -EINVAL, 9 },
		{ " 80", -EINVAL, 9 },
		{ "80 ", -EINVAL, 9 },
		{ "+80", -EINVAL, 9 },
		{ "-1", -EINVAL, 9 },
		{ "0x50", -EINVAL, 9 },
		{ "8o", -EINVAL, 9 },
		{ "99999x", -EINVAL, 9 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint16_t port = 9;

		assert_int_equal(ph_port_parse(cases[i].text, &port), cases[i].result);
		assert_int_equal(port, cases[i].port);
	}
}

static void endpoints_are_written(void **state)
{
	static const char *const cases[] = {
		"203.0.113.7:32451",
		"255.255.255.255:65535",
		"[2001:db8::7]:1",
		"[fe80:1111:2222:3333:4444:5555:6666:7777]:65535",
		"[::ffff:255.255.255.255]:65535",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ph_endpoint e = endpoint(cases[i]);

		assert_endpoint(&e, cases[i]);
	}
}

static void order_is_family_octets_port(void **state)
{
	static const char *const sorted[] = {
		"9.255.255.255:65535", "10.0.0.1:80", "10.0.0.1:81", "10.0.0.1:256",
		"10.0.0.2:1",          "200.0.0.0:1", "[::1]:65535", "[2001:db8::1]:443",
		"[2001:db8::2]:1",     "[ff00::]:1",
	};
	size_t n = sizeof(sorted) / sizeof(sorted[0]);

	(void)state;
	for (size_t i = 0; i < n; i++) {
		for (size_t j = 0; j < n; j++) {
			struct ph_endpoint a = endpoint(sorted[i]), b = endpoint(sorted[j]);
			int order = ph_endpoint_compare(&a, &b);

			assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
			assert_int_equal(ph_endpoint_equal(&a, &b), i == j);
		}
	}
}

static void addresses_of_different_families_differ(void **state)
{
	struct ph_address v4, v6;

	(void)state;
	assert_int_equal(ph_address_parse("32.1.13.184", &v4), 0);
	assert_int_equal(ph_address_parse("2001:db8::", &v6), 0);
	assert_memory_equal(v4.octets, v6.octets, 16);
	assert_false(ph_address_equal(&v4, &v6));
	assert_true(ph_address_equal(&v4, &v4));
}

static void ip4p_is_natmaps(void **state)
{
	struct ph_endpoint v4 = endpoint("203.0.113.7:32451"), low = endpoint("1.2.3.4:80"),
			   v6 = endpoint("[2001:db8::1]:80");
	char buf[PH_ADDRESS_STRLEN] = "x";

	(void)state;
	assert_ptr_equal(ph_ip4p_format(&v4, buf), buf);
	assert_string_equal(buf, "2001::7ec3:cb00:7107");
	assert_string_equal(ph_ip4p_format(&low, buf), "2001::0050:0102:0304");
	assert_string_equal(ph_ip4p_format(&v6, buf), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(families_and_protocols),
		cmocka_unit_test(addresses_are_read_and_written),
		cmocka_unit_test(what_is_no_address_is_refused),
		cmocka_unit_test(ports_are_read),
		cmocka_unit_test(endpoints_are_written),
		cmocka_unit_test(order_is_family_octets_port),
		cmocka_unit_test(addresses_of_different_families_differ),
		cmocka_unit_test(ip4p_is_natmaps),
	};

	return cmocka_run_group_tests_name("endpoint", tests, NULL, NULL);
}
