/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "test.h"

#include <pinhold/links.h>

static struct ph_link links[] = {
	{ "lo", 1, true }, { "lan", 2, true }, { "wan", 3, true }, { "lte", 4, false }
};
static struct ph_link_address addresses[] = {
	{ 2, { PH_IPV4, { 192, 168, 10, 1 } }, true, false },
	{ 3, { PH_IPV6, { 0xfe, 0x80, [15] = 1 } }, false, false },
	{ 3, { PH_IPV6, { 0x20, 0x01, 0x0d, 0xb8, [15] = 9 } }, true, true },
	{ 3, { PH_IPV6, { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 } }, true, false },
	{ 3, { PH_IPV4, { 100, 64, 0, 3 } }, true, true },
	{ 3, { PH_IPV4, { 100, 64, 0, 2 } }, true, false },
	{ 4, { PH_IPV4, { 10, 0, 0, 2 } }, true, false },
};
static struct ph_link_route routes[] = { { 4, PH_IPV4, 200 }, { 3, PH_IPV4, 100 } };
static const struct ph_links view = { links, 4, addresses, 7, routes, 2 };

static void check(const char *setting, enum ph_family family, enum ph_links_answer wanted,
		  const char *name, const char *address)
{
	char got[PH_INTERFACE_MAX + 1] = "", text[PH_ADDRESS_STRLEN];
	struct ph_address a = { 0 };

	assert_int_equal(ph_links_find(&view, setting, family, got, &a), wanted);
	assert_string_equal(got, name);
	if (address)
		assert_string_equal(ph_address_format(&a, text), address);
}

static void test_find(void **state)
{
	(void)state;
	check("auto", PH_IPV4, PH_LINKS_FOUND, "wan",
	      "100.64.0.2"); /* the lower metric; not the secondary */
	check("auto", PH_IPV6, PH_LINKS_NO_INTERFACE, "", NULL);
	check("wan", PH_IPV6, PH_LINKS_FOUND, "wan",
	      "2001:db8::1"); /* neither link-local nor temporary */
	check("lan", PH_IPV4, PH_LINKS_FOUND, "lan", "192.168.10.1");
	check("lan", PH_IPV6, PH_LINKS_NO_ADDRESS, "lan", NULL);
	check("lte", PH_IPV4, PH_LINKS_DOWN, "lte", NULL);
	check("10.0.0.2", PH_IPV4, PH_LINKS_DOWN, "lte", NULL);
	check("100.64.0.3", PH_IPV4, PH_LINKS_FOUND, "wan", "100.64.0.3");
	check("100.64.0.9", PH_IPV4, PH_LINKS_NO_INTERFACE, "", NULL);
	check("eth9", PH_IPV4, PH_LINKS_NO_INTERFACE, "", NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_find) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
