/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What every unit test needs of cmocka, in the order in which it must be included. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pinhold/endpoint.h>

/* "203.0.113.7:3478" or "[2001:db8::1]:3478"; anything else fails the test. */
static inline struct ph_endpoint endpoint(const char *text)
{
	char address[PH_ADDRESS_STRLEN] = "";
	struct ph_endpoint e = { .port = 0 };
	const char *end = text;

	while (*end)
		end++;
	while (end > text && end[-1] != ':')
		end--;
	assert_int_equal(ph_port_parse(end, &e.port), 0);
	end--;
	if (*text == '[') {
		text++;
		end--;
	}
	assert_true(end > text && end - text < PH_ADDRESS_STRLEN);
	for (ptrdiff_t i = 0; i < end - text; i++)
		address[i] = text[i];
	assert_int_equal(ph_address_parse(address, &e.address), 0);
	return e;
}

static inline void assert_endpoint(const struct ph_endpoint *e, const char *text)
{
	char buf[PH_ENDPOINT_STRLEN];

	assert_string_equal(ph_endpoint_format(e, buf), text);
}
