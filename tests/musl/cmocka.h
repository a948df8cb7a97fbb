/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * As much of cmocka(3) as the core's tests use, for a C library for which Debian has no cmocka: a
 * failure is told with its place, and the next test goes on.
 */

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct CMUnitTest {
	const char *name;
	void (*run)(void **state);
	int (*before)(void **state);
	int (*after)(void **state);
};

static jmp_buf musl_failed;

__attribute__((noreturn, format(printf, 3, 4))) static inline void
musl_fail(const char *file, int line, const char *format, ...)
{
	va_list args;

	printf("# %s:%d: ", file, line);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	longjmp(musl_failed, 1);
}

static inline void musl_equal(uintmax_t a, uintmax_t b, bool wanted, const char *text,
			      const char *file, int line)
{
	if ((a == b) != wanted)
		musl_fail(file, line, "%s: %#jx, %#jx", text, a, b);
}

static inline void musl_string(const char *a, const char *b, const char *file, int line)
{
	if (strcmp(a, b) != 0)
		musl_fail(file, line, "\"%s\" is not \"%s\"", a, b);
}

static inline void musl_range(uintmax_t value, uintmax_t least, uintmax_t most, const char *file,
			      int line)
{
	if (value < least || value > most)
		musl_fail(file, line, "%ju is not within %ju and %ju", value, least, most);
}

#define fail_msg(...)      musl_fail(__FILE__, __LINE__, __VA_ARGS__)
#define fail()             fail_msg("failed")
#define print_message(...) printf("# " __VA_ARGS__)

#define assert_true(c)                              \
	do {                                        \
		if (!(c))                           \
			fail_msg("not so: %s", #c); \
	} while (0)
#define assert_false(c)    assert_true(!(c))
#define assert_null(p)     assert_true(!(p))
#define assert_non_null(p) assert_true(p)
#define assert_int_equal(a, b) \
	musl_equal((uintmax_t)(a), (uintmax_t)(b), true, #a, __FILE__, __LINE__)
#define assert_int_not_equal(a, b) \
	musl_equal((uintmax_t)(a), (uintmax_t)(b), false, #a, __FILE__, __LINE__)
#define assert_ptr_equal(a, b)       assert_true((const void *)(a) == (const void *)(b))
#define assert_string_equal(a, b)    musl_string(a, b, __FILE__, __LINE__)
#define assert_memory_equal(a, b, n) assert_true(memcmp(a, b, n) == 0)
#define assert_in_range(v, a, b) \
	musl_range((uintmax_t)(v), (uintmax_t)(a), (uintmax_t)(b), __FILE__, __LINE__)

#define cmocka_unit_test(function)              \
	{                                       \
#function, function, NULL, NULL \
	}
#define cmocka_unit_test_setup_teardown(function, before, after) \
	{                                                        \
#function, function, before, after               \
	}
#define cmocka_run_group_tests_name(name, tests, before, after) \
	cmocka_run_group_tests(tests, before, after)
#define cmocka_run_group_tests(tests, before, after) \
	musl_run(tests, sizeof(tests) / sizeof((tests)[0]))

/* TAP; how many have failed. */
static inline int musl_run(const struct CMUnitTest *tests, size_t n)
{
	volatile int failed = 0;

	for (volatile size_t i = 0; i < n; i++) {
		void *state = NULL;

		if (setjmp(musl_failed) == 0) {
			if (tests[i].before && tests[i].before(&state) != 0)
				fail_msg("its setup failed");
			tests[i].run(&state);
			if (tests[i].after && tests[i].after(&state) != 0)
				fail_msg("its teardown failed");
			printf("ok %zu - %s\n", i + 1, tests[i].name);
		} else {
			printf("not ok %zu - %s\n", i + 1, tests[i].name);
			failed++;
		}
	}
	printf("1..%zu\n", n);
	return failed;
}
