/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "../unit/test.h"

#include <string.h>

#include "publish/buffer.h"
#include "publish/secret.h"
#include "publish/wiped.h"

#define CANARY "canary-4f1c9d2e7b"

/* The linker puts this in the place of free(): what it gets must hold nothing any more. */
void __real_free(void *memory); /* NOLINT(bugprone-reserved-identifier) */
void __wrap_free(void *memory); /* NOLINT(bugprone-reserved-identifier) */

static size_t freed;

void __wrap_free(void *memory)
{
	if (memory) {
		freed++;
		assert_memory_equal(memory, "\0\0\0\0\0\0\0", 8);
	}
	__real_free(memory);
}

static void test_memory(void **state)
{
	char *text = wiped_strdup(CANARY);

	(void)state;
	freed = 0;
	assert_string_equal(text, CANARY);
	text = wiped_realloc(text, 4096);
	assert_int_equal(freed, 1);
	assert_string_equal(text, CANARY);
	text = wiped_realloc(text, 32);
	assert_int_equal(freed, 2);
	assert_string_equal(text, CANARY);
	wiped_free(text);
	wiped_free(NULL);
	assert_int_equal(freed, 3);
}

static void test_buffer(void **state)
{
	struct buffer b = { 0 };

	(void)state;
	freed = 0;
	for (int i = 0; i < 100; i++)
		buffer_puts(&b, CANARY);
	assert_int_equal(b.len, 100 * strlen(CANARY));
	buffer_done(&b);
	/* 256, 512, 1024 and 2048 octets */
	assert_int_equal(freed, 4);
}

static void test_secrets(void **state)
{
	struct secrets secrets = { 0 };
	struct result r = { 0 };
	char text[] = "<" CANARY "> " CANARY;

	(void)state;
	freed = 0;
	assert_int_equal(secret_also(&secrets, CANARY, &r), 0);
	secrets_redact(&secrets, text);
	assert_string_equal(text, "<***> ***");
	secrets_done(&secrets);
	assert_int_equal(freed, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_buffer),
		cmocka_unit_test(test_secrets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
