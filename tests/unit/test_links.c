/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "test.h"

#include <string.h>

#include <pinhold/links.h>

static struct ph_link links[] = {
	{ "lo", 1, true }, { "lan", 2, true }, { "wan", 3, true }, { "lte", 4, false }
};
static struct ph_link_address addresses[] = {
	{ 2, { PH_IPV4, { 192, 168, 10, 1 } }, true, false, 24 },
	{ 3, { PH_IPV6, { 0xfe, 0x80, [15] = 1 } }, false, false, 64 },
	{ 3, { PH_IPV6, { 0x20, 0x01, 0x0d, 0xb8, [15] = 9 } }, true, true, 64 },
	{ 3, { PH_IPV6, { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 } }, true, false, 64 },
	{ 3, { PH_IPV4, { 100, 64, 0, 3 } }, true, true, 24 },
	{ 3, { PH_IPV4, { 100, 64, 0, 2 } }, true, false, 24 },
	{ 4, { PH_IPV4, { 10, 0, 0, 2 } }, true, false, 24 },
};
static struct ph_link_route routes[] = { { .index = 4, .family = PH_IPV4, .metric = 200 },
					 { .index = 3, .family = PH_IPV4, .metric = 100 } };
static const struct ph_links view = { .links = links,
				      .n_links = 4,
				      .addresses = addresses,
				      .n_addresses = 7,
				      .routes = routes,
				      .n_routes = 2 };

static void check(const char *setting, enum ph_family family, enum ph_links_answer wanted,
		  const char *name, const char *address)
{
	char got[PH_INTERFACE_MAX + 1] = "", text[PH_ADDRESS_STRLEN];
	struct ph_address a = { 0 };
	int index = 0;

	assert_int_equal(ph_links_find(&view, setting, family, got, &index, &a), wanted);
	assert_string_equal(got, name);
	assert_string_equal(index ? links[index - 1].name : "", name);
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

/* The interface that "auto" means with these default routes. */
static const char *automatic(enum ph_family family, struct ph_link_route *some, size_t n,
			     enum ph_links_answer wanted)
{
	static struct ph_link three[] = { { "dsl", 1, true },
					  { "lte", 2, true },
					  { "cut", 3, false } };
	static struct ph_link_address six[] = {
		{ 1, { PH_IPV4, { 10, 0, 0, 1 } }, true, false, 24 },
		{ 2, { PH_IPV4, { 10, 0, 0, 2 } }, true, false, 24 },
		{ 3, { PH_IPV4, { 10, 0, 0, 3 } }, true, false, 24 },
		{ 1, { PH_IPV6, { 0x20, 0x01, [15] = 1 } }, true, false, 64 },
		{ 2, { PH_IPV6, { 0x20, 0x01, [15] = 2 } }, true, false, 64 },
		{ 3, { PH_IPV6, { 0x20, 0x01, [15] = 3 } }, true, false, 64 },
	};
	const struct ph_links now = { .links = three,
				      .n_links = 3,
				      .addresses = six,
				      .n_addresses = 6,
				      .routes = some,
				      .n_routes = n };
	static char name[PH_INTERFACE_MAX + 1];
	struct ph_address a;
	int index = -1;

	name[0] = '\0';
	assert_int_equal(ph_links_find(&now, "auto", family, name, &index, &a), wanted);
	return name;
}

static void test_default_route(void **state)
{
	struct ph_link_route r[3] = { { .index = 2, .family = PH_IPV4, .metric = 10 },
				      { .index = 1, .family = PH_IPV4, .metric = 20 } };

	(void)state;
	assert_string_equal(automatic(PH_IPV4, r, 0, PH_LINKS_NO_INTERFACE), "");
	assert_string_equal(automatic(PH_IPV6, r, 2, PH_LINKS_NO_INTERFACE), "");
	assert_string_equal(automatic(PH_IPV4, r, 2, PH_LINKS_FOUND), "lte");
	/* The better one's interface is down: the next, wherever it stands. */
	r[0].index = 3;
	assert_string_equal(automatic(PH_IPV4, r, 2, PH_LINKS_FOUND), "dsl");
	r[2] = (struct ph_link_route){ .index = 3, .family = PH_IPV4, .metric = 1 };
	assert_string_equal(automatic(PH_IPV4, r, 3, PH_LINKS_FOUND), "dsl");
	/* All are down: the best says so. */
	assert_string_equal(automatic(PH_IPV4, r, 1, PH_LINKS_DOWN), "cut");
	/* An interface that is not there any more. */
	r[0].index = 9;
	assert_string_equal(automatic(PH_IPV4, r, 1, PH_LINKS_NO_INTERFACE), "");
	assert_string_equal(automatic(PH_IPV4, r, 2, PH_LINKS_FOUND), "dsl");
	/* IPv6: among equals the router's preference, then the kernel's order. */
	r[0] = (struct ph_link_route){ .index = 1, .family = PH_IPV6, .metric = 1024 };
	r[1] = (struct ph_link_route){ .index = 2, .family = PH_IPV6, .metric = 1024 };
	assert_string_equal(automatic(PH_IPV6, r, 2, PH_LINKS_FOUND), "dsl");
	r[1].preference = 1;
	assert_string_equal(automatic(PH_IPV6, r, 2, PH_LINKS_FOUND), "lte");
	r[0].metric = 512;
	assert_string_equal(automatic(PH_IPV6, r, 2, PH_LINKS_FOUND), "dsl");
}

/* A unique local address is taken only where there is no other. */
static void test_local_address(void **state)
{
	struct ph_link wan = { "wan", 1, true };
	struct ph_link_address two[] = {
		{ 1, { PH_IPV6, { 0xfd, [15] = 1 } }, true, false, 64 },
		{ 1, { PH_IPV6, { 0x20, 0x01, [15] = 1 } }, true, true, 64 },
	};
	struct ph_links now = { .links = &wan, .n_links = 1, .addresses = two, .n_addresses = 2 };
	char name[PH_INTERFACE_MAX + 1];
	struct ph_address a;
	int index;

	(void)state;
	assert_int_equal(ph_links_find(&now, "wan", PH_IPV6, name, &index, &a), PH_LINKS_FOUND);
	assert_true(ph_address_equal(&a, &two[1].address));
	now.n_addresses = 1;
	assert_int_equal(ph_links_find(&now, "wan", PH_IPV6, name, &index, &a), PH_LINKS_FOUND);
	assert_true(ph_address_equal(&a, &two[0].address));
}

/* The kernel lets an interface have a name that the plan refuses; it must not come to that. */
static void test_bad_name(void **state)
{
	static const char *const bad[] = { "w*2", "w\"", "w\\n", "w\x1b", "w\xc3\xa4n" };
	struct ph_link wan = { "", 1, true };
	struct ph_link_address address = { 1, { PH_IPV4, { 10, 0, 0, 1 } }, true, false, 24 };
	struct ph_link_route route = { .index = 1, .family = PH_IPV4, .metric = 1 };
	const struct ph_links now = {
		.links = &wan,
		.n_links = 1,
		.addresses = &address,
		.n_addresses = 1,
		.routes = &route,
		.n_routes = 1,
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const char *const settings[] = { "auto", "10.0.0.1", bad[i] };

		strcpy(wan.name, bad[i]);
		for (unsigned k = 0; k < 3; k++) {
			char name[PH_INTERFACE_MAX + 1] = "";
			struct ph_address a = { 0 };
			int index = 0;

			assert_int_equal(
				ph_links_find(&now, settings[k], PH_IPV4, name, &index, &a),
				PH_LINKS_BAD_NAME);
			assert_string_equal(name, "");
			assert_int_equal(index, 0);
			assert_int_equal(a.family, 0);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_default_route),
		cmocka_unit_test(test_local_address),
		cmocka_unit_test(test_bad_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
