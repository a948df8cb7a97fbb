/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A configuration while memory runs out, at every place where it can: -ENOMEM, nothing reported,
 * nothing left behind (AddressSanitizer and valgrind look for that). Linked with --wrap.
 */

#include "config_text.h"

void *__real_malloc(size_t n);
void *__wrap_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__real_reallocarray(void *p, size_t n, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
char *__real_strdup(const char *s);
char *__wrap_strdup(const char *s);

/* Allocations until one fails; 0: none does. */
static size_t countdown;
static bool failed;

static bool fails(void)
{
	if (countdown == 0 || --countdown > 0)
		return false;
	failed = true;
	return true;
}

void *__wrap_malloc(size_t n)
{
	return fails() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
	return fails() ? NULL : __real_reallocarray(p, n, size);
}

char *__wrap_strdup(const char *s)
{
	return fails() ? NULL : __real_strdup(s);
}

/* How many allocations the text takes. Each of them fails once. */
static size_t starve(const char *text, int expected)
{
	static struct said said;
	struct ph_config_source source = {
		.path = "/etc/pinhold.conf",
		.ephemeral_first = 32768,
		.ephemeral_last = 60999,
		.report = report,
		.data = &said,
		.read_file = prefix_file,
	};
	size_t n = 0;

	for (;;) {
		struct ph_config config = { .n_mappings = 77 };
		int r;

		said = (struct said){ 0 };
		failed = false;
		countdown = ++n;
		r = ph_config_parse(text, strlen(text), &source, &config);
		countdown = 0;
		if (!failed) {
			assert_int_equal(r, expected);
			if (r == 0)
				ph_config_done(&config);
			return n - 1;
		}
		assert_int_equal(r, -ENOMEM);
		assert_int_equal(said.n, 0);
		assert_int_equal(config.n_mappings, 77);
	}
}

static void test_good(void **state)
{
	(void)state;
	assert_in_range(
		starve("[global]\nstun = a, b\n" M "[mapping n]\nfamily = ipv6\nbind = 0\n"
		       "target = none\nkeepalive = k\nhook = /a\n /b\n /c\nallow = ::1\n"
		       " @/etc/allow\n @/etc/allow\npublish = w\n[publish w]\ntype = webhook\n"
		       "url = http://h\nheader = A: b\n C: d\n",
		       0),
		30, 200);
}

static void test_mistakes(void **state)
{
	(void)state;
	assert_in_range(
		starve(M "colour = red\nhook = b\nstun = ,\n[mapping m]\nloopback = no\n", -EINVAL),
		10, 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_mistakes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
