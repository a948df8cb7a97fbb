/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pinhold/prefix.h>

#define N(array) (sizeof(array) / sizeof(*(array)))

static struct ph_address address(const char *text)
{
	struct ph_address a = { .family = PH_IPV4 };

	assert_int_equal(ph_address_parse(text, &a), 0);
	return a;
}

/* "10.0.0.0/8" */
static struct ph_prefix prefix(const char *text)
{
	const size_t slash = strcspn(text, "/");
	char copy[PH_ADDRESS_STRLEN];

	assert_true(slash < sizeof(copy));
	assert_int_equal(text[slash], '/');
	memcpy(copy, text, slash);
	copy[slash] = '\0';
	return (struct ph_prefix){ address(copy), (uint8_t)strtoul(text + slash + 1, NULL, 10) };
}

/* Of words with spaces between them. */
static const struct ph_prefixes *set(enum ph_family family, const char *words)
{
	const struct ph_prefixes *made = NULL;
	struct ph_prefix list[16];
	char copy[400], *save;
	size_t n = 0;

	assert_true(strlen(words) < sizeof(copy));
	strcpy(copy, words);
	for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
		assert_true(n < N(list));
		list[n++] = prefix(w);
	}
	assert_int_equal(ph_prefixes_new(family, list, n, &made), 0);
	assert_non_null(made);
	return made;
}

/* "first-last first-last" */
static void assert_ranges(const struct ph_prefixes *s, const char *expected)
{
	char text[1000] = "", from[PH_ADDRESS_STRLEN], to[PH_ADDRESS_STRLEN];

	for (size_t i = 0; i < s->n; i++) {
		struct ph_address first = { .family = s->family }, last = first;
		size_t len = strlen(text);

		memcpy(first.octets, s->ranges[i].first, 16);
		memcpy(last.octets, s->ranges[i].last, 16);
		snprintf(text + len, sizeof(text) - len, "%s%s-%s", i ? " " : "",
			 ph_address_format(&first, from), ph_address_format(&last, to));
		if (s->family == PH_IPV4)
			for (size_t k = 4; k < 16; k++)
				assert_true(first.octets[k] == 0 && last.octets[k] == 0);
	}
	assert_string_equal(text, expected);
}

static void test_ranges(void **state)
{
	static const struct {
		enum ph_family family;
		const char *words, *ranges;
	} cases[] = {
		{ PH_IPV4, "", "" },
		{ PH_IPV4, "0.0.0.0/0", "0.0.0.0-255.255.255.255" },
		{ PH_IPV4, "255.255.255.255/32", "255.255.255.255-255.255.255.255" },
		{ PH_IPV4, "0.0.0.0/0 255.255.255.255/32", "0.0.0.0-255.255.255.255" },
		{ PH_IPV4, "128.0.0.0/1 0.0.0.0/1", "0.0.0.0-255.255.255.255" },
		{ PH_IPV4, "10.0.0.0/8", "10.0.0.0-10.255.255.255" },
		{ PH_IPV4, "10.0.0.128/25", "10.0.0.128-10.0.0.255" },
		/* Any order; equal, contained, adjacent; what only comes near stays apart. */
		{ PH_IPV4, "192.0.2.0/24 10.0.0.0/8",
		  "10.0.0.0-10.255.255.255 192.0.2.0-192.0.2.255" },
		{ PH_IPV4, "10.0.0.0/8 10.0.0.0/8 10.9.0.0/16", "10.0.0.0-10.255.255.255" },
		{ PH_IPV4, "10.9.0.0/16 10.0.0.0/8 10.10.0.0/16", "10.0.0.0-10.255.255.255" },
		{ PH_IPV4, "10.0.1.0/24 10.0.0.0/24", "10.0.0.0-10.0.1.255" },
		{ PH_IPV4, "10.0.0.255/32 10.0.1.0/32", "10.0.0.255-10.0.1.0" },
		{ PH_IPV4, "10.0.0.1/32 10.0.0.3/32", "10.0.0.1-10.0.0.1 10.0.0.3-10.0.0.3" },
		/* A chain, from its end */
		{ PH_IPV4, "10.0.0.4/32 10.0.0.3/32 10.0.0.2/32 10.0.0.1/32 10.0.0.6/32",
		  "10.0.0.1-10.0.0.4 10.0.0.6-10.0.0.6" },
		{ PH_IPV4, "255.255.255.254/32 255.255.255.255/32",
		  "255.255.255.254-255.255.255.255" },
		{ PH_IPV6, "", "" },
		{ PH_IPV6, "::/0", "::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff" },
		{ PH_IPV6, "8000::/1 ::/1", "::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff" },
		{ PH_IPV6, "2001:db8::/33 2001:db8:8000::/33",
		  "2001:db8::-2001:db8:ffff:ffff:ffff:ffff:ffff:ffff" },
		{ PH_IPV6, "2001:db8:0:1::/64 2001:db8::ffff:ffff:ffff:ffff/128",
		  "2001:db8::ffff:ffff:ffff:ffff-2001:db8:0:1:ffff:ffff:ffff:ffff" },
		{ PH_IPV6, "::1/128", "::1-::1" },
	};

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		const struct ph_prefixes *s = set(cases[i].family, cases[i].words);

		assert_int_equal(s->family, cases[i].family);
		assert_ranges(s, cases[i].ranges);
		ph_prefixes_unref(s);
	}
}

static void test_refused(void **state)
{
	struct ph_prefix list[2] = { prefix("10.0.0.0/8"), prefix("::/0") };
	const struct ph_prefixes *untouched = NULL;

	(void)state;
	assert_int_equal(ph_prefixes_new(PH_IPV4, list, 2, &untouched), -EINVAL);
	assert_int_equal(ph_prefixes_new(PH_IPV6, list, 1, &untouched), -EINVAL);
	list[0].bits = 33;
	assert_int_equal(ph_prefixes_new(PH_IPV4, list, 1, &untouched), -EINVAL);
	list[1].bits = 129;
	assert_int_equal(ph_prefixes_new(PH_IPV6, list + 1, 1, &untouched), -EINVAL);
	assert_null(untouched);
}

static void test_contain(void **state)
{
	const struct ph_prefixes *s = set(PH_IPV4, "10.0.0.0/8 192.0.2.4/30 255.255.255.255/32");
	static const struct {
		const char *text;
		bool in;
	} cases[] = {
		{ "9.255.255.255", false },   { "10.0.0.0", true },
		{ "10.255.255.255", true },   { "11.0.0.0", false },
		{ "192.0.2.3", false },       { "192.0.2.4", true },
		{ "192.0.2.7", true },        { "192.0.2.8", false },
		{ "0.0.0.0", false },         { "255.255.255.255", true },
		{ "255.255.255.254", false }, { "a00::", false },
	};
	const struct ph_prefixes *nobody = set(PH_IPV4, "");

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		struct ph_address a = address(cases[i].text);

		if (ph_prefixes_contain(s, &a) != cases[i].in)
			fail_msg("%s", cases[i].text);
		assert_true(ph_prefixes_contain(NULL, &a));
		assert_false(ph_prefixes_contain(nobody, &a));
	}
	ph_prefixes_unref(s);
	ph_prefixes_unref(nobody);
}

static void test_equal(void **state)
{
	const struct ph_prefixes *a = set(PH_IPV4, "10.0.0.0/8"),
				 *b = set(PH_IPV4, "10.128.0.0/9 10.0.0.0/9"),
				 *c = set(PH_IPV4, "10.0.0.0/9"), *none4 = set(PH_IPV4, ""),
				 *none6 = set(PH_IPV6, "");

	(void)state;
	assert_true(ph_prefixes_equal(NULL, NULL));
	assert_true(ph_prefixes_equal(a, a));
	assert_true(ph_prefixes_equal(a, b));
	assert_false(ph_prefixes_equal(a, c));
	assert_false(ph_prefixes_equal(a, NULL));
	assert_false(ph_prefixes_equal(NULL, none4));
	assert_false(ph_prefixes_equal(none4, none6));
	assert_ptr_equal(ph_prefixes_ref(a), a);
	assert_int_equal(a->references, 2);
	ph_prefixes_unref(a);
	assert_int_equal(a->references, 1);
	assert_null(ph_prefixes_ref(NULL));
	ph_prefixes_unref(NULL);
	ph_prefixes_unref(a);
	ph_prefixes_unref(b);
	ph_prefixes_unref(c);
	ph_prefixes_unref(none4);
	ph_prefixes_unref(none6);
}

static void test_union(void **state)
{
	const struct ph_prefixes *sets[] = {
		set(PH_IPV4, "10.0.0.0/9 192.0.2.0/24"),
		set(PH_IPV4, ""),
		set(PH_IPV4, "10.128.0.0/9 0.0.0.0/8"),
	};
	const struct ph_prefixes *other = set(PH_IPV6, "::/0"), *made = NULL;

	(void)state;
	assert_int_equal(ph_prefixes_union(PH_IPV4, sets, 3, &made), 0);
	assert_ranges(made, "0.0.0.0-0.255.255.255 10.0.0.0-10.255.255.255 192.0.2.0-192.0.2.255");
	ph_prefixes_unref(made);
	assert_int_equal(ph_prefixes_union(PH_IPV4, sets, 0, &made), 0);
	assert_int_equal(made->n, 0);
	ph_prefixes_unref(made);
	made = NULL;
	assert_int_equal(ph_prefixes_union(PH_IPV4, &other, 1, &made), -EINVAL);
	assert_null(made);
	for (size_t i = 0; i < N(sets); i++)
		ph_prefixes_unref(sets[i]);
	ph_prefixes_unref(other);
}

/* xorshift32; the same numbers in every run. */
static uint32_t next(uint32_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed;
}

/* Does the prefix contain the address? Bit by bit. */
static bool naive(const struct ph_prefix *p, const struct ph_address *a)
{
	for (unsigned i = 0; i < p->bits; i++)
		if ((p->address.octets[i / 8] ^ a->octets[i / 8]) >> (7 - i % 8) & 1)
			return false;
	return true;
}

/*
 * Prefixes within one /24 or /120 at the beginning, in the middle or at the end of all addresses:
 * every address in it and beside it is in the set if it is in one of them, and the ranges are as
 * the header says.
 */
static void check_random(uint32_t *seed, enum ph_family family)
{
	static const uint8_t bases[] = { 0x00, 0x5a, 0xff };
	size_t octets = ph_family_octets(family), n = next(seed) % 12;
	uint8_t base = bases[next(seed) % N(bases)];
	const struct ph_prefixes *s;
	struct ph_prefix list[12];

	for (size_t i = 0; i < n; i++) {
		list[i] = (struct ph_prefix){ .address.family = family };
		memset(list[i].address.octets, base, octets);
		list[i].bits = (uint8_t)(8 * octets - next(seed) % 7);
		list[i].address.octets[octets - 1] =
			(uint8_t)(next(seed) & 0xffu << (8 * octets - list[i].bits));
	}
	assert_int_equal(ph_prefixes_new(family, list, n, &s), 0);
	assert_true(s->n <= n);
	for (unsigned last = 0; last < 256; last++) {
		struct ph_address a = { .family = family };
		bool in = false;

		memset(a.octets, base, octets);
		a.octets[octets - 1] = (uint8_t)last;
		for (size_t i = 0; i < n; i++)
			in = in || naive(&list[i], &a);
		assert_int_equal(ph_prefixes_contain(s, &a), in);
		a.octets[0] ^= 1;
		assert_false(ph_prefixes_contain(s, &a));
	}
	for (size_t i = 0; i < s->n; i++) {
		unsigned first = s->ranges[i].first[octets - 1],
			 end = s->ranges[i].last[octets - 1];

		assert_true(first <= end);
		if (i)
			assert_true(first > s->ranges[i - 1].last[octets - 1] + 1u);
	}
	ph_prefixes_unref(s);
}

static void test_random(void **state)
{
	uint32_t seed = 20251;

	(void)state;
	for (unsigned i = 0; i < 3000; i++)
		check_random(&seed, i % 2 ? PH_IPV4 : PH_IPV6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ranges),  cmocka_unit_test(test_refused),
		cmocka_unit_test(test_contain), cmocka_unit_test(test_equal),
		cmocka_unit_test(test_union),   cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
