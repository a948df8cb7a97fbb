// SPDX-License-Identifier: GPL-2.0-or-later
/* The STUN codec: RFC 5769's vectors, and every way in which an answer can be wrong. */

#include "test.h"

#include <errno.h>
#include <stdlib.h>

#include "stun_message.h"

/* RFC 5769 section 2.1. Carries PRIORITY, which a client without ICE does not know. */
static const uint8_t sample_request[] = {
	0x00, 0x01, 0x00, 0x58, 0x21, 0x12, 0xa4, 0x42, 0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34,
	0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae, 0x80, 0x22, 0x00, 0x10, 0x53, 0x54, 0x55, 0x4e,
	0x20, 0x74, 0x65, 0x73, 0x74, 0x20, 0x63, 0x6c, 0x69, 0x65, 0x6e, 0x74, 0x00, 0x24,
	0x00, 0x04, 0x6e, 0x00, 0x01, 0xff, 0x80, 0x29, 0x00, 0x08, 0x93, 0x2f, 0xf9, 0xb1,
	0x51, 0x26, 0x3b, 0x36, 0x00, 0x06, 0x00, 0x09, 0x65, 0x76, 0x74, 0x6a, 0x3a, 0x68,
	0x36, 0x76, 0x59, 0x20, 0x20, 0x20, 0x00, 0x08, 0x00, 0x14, 0x9a, 0xea, 0xa7, 0x0c,
	0xbf, 0xd8, 0xcb, 0x56, 0x78, 0x1e, 0xf2, 0xb5, 0xb2, 0xd3, 0xf2, 0x49, 0xc1, 0xb5,
	0x71, 0xa2, 0x80, 0x28, 0x00, 0x04, 0xe5, 0x7a, 0x3b, 0xcf,
};

/* Section 2.2: 192.0.2.1:32853. SOFTWARE is padded with a blank. */
static const uint8_t sample_ipv4[] = {
	0x01, 0x01, 0x00, 0x3c, 0x21, 0x12, 0xa4, 0x42, 0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34,
	0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae, 0x80, 0x22, 0x00, 0x0b, 0x74, 0x65, 0x73, 0x74,
	0x20, 0x76, 0x65, 0x63, 0x74, 0x6f, 0x72, 0x20, 0x00, 0x20, 0x00, 0x08, 0x00, 0x01,
	0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43, 0x00, 0x08, 0x00, 0x14, 0x2b, 0x91, 0xf5, 0x99,
	0xfd, 0x9e, 0x90, 0xc3, 0x8c, 0x74, 0x89, 0xf9, 0x2a, 0xf9, 0xba, 0x53, 0xf0, 0x6b,
	0xe7, 0xd7, 0x80, 0x28, 0x00, 0x04, 0xc0, 0x7d, 0x4c, 0x96,
};

/* Section 2.3: [2001:db8:1234:5678:11:2233:4455:6677]:32853. */
static const uint8_t sample_ipv6[] = {
	0x01, 0x01, 0x00, 0x48, 0x21, 0x12, 0xa4, 0x42, 0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34,
	0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae, 0x80, 0x22, 0x00, 0x0b, 0x74, 0x65, 0x73, 0x74,
	0x20, 0x76, 0x65, 0x63, 0x74, 0x6f, 0x72, 0x20, 0x00, 0x20, 0x00, 0x14, 0x00, 0x02,
	0xa1, 0x47, 0x01, 0x13, 0xa9, 0xfa, 0xa5, 0xd3, 0xf1, 0x79, 0xbc, 0x25, 0xf4, 0xb5,
	0xbe, 0xd2, 0xb9, 0xd9, 0x00, 0x08, 0x00, 0x14, 0xa3, 0x82, 0x95, 0x4e, 0x4b, 0xe6,
	0x7b, 0xf1, 0x17, 0x84, 0xc9, 0x7c, 0x82, 0x92, 0xc2, 0x75, 0xbf, 0xe3, 0xed, 0x41,
	0x80, 0x28, 0x00, 0x04, 0xc8, 0xfb, 0x0b, 0x4c,
};

/* Decodes a copy that ends where the message ends, so that a sanitizer sees every octet read too
 * far. */
static struct ph_stun_answer decode(const uint8_t *buf, size_t len)
{
	struct ph_stun_answer answer;
	uint8_t *copy = malloc(len ? len : 1);

	assert_non_null(copy);
	if (len)
		memcpy(copy, buf, len);
	memset(&answer, 0xa5, sizeof(answer));
	ph_stun_decode(copy, len, &ID, &answer);
	free(copy);

	/* Whatever it is, it says why it is no use, and gives nothing that is not valid. */
	assert_int_equal(answer.why == NULL,
			 answer.kind == PH_STUN_SUCCESS || answer.kind == PH_STUN_ALTERNATE);
	assert_int_equal(answer.reflexive.port != 0, answer.kind == PH_STUN_SUCCESS);
	assert_int_equal(answer.alternate.port != 0, answer.kind == PH_STUN_ALTERNATE);
	if (answer.kind == PH_STUN_IGNORED)
		assert_true(answer.code == 0 && answer.other.port == 0);
	return answer;
}

static void expect(const struct message *m, enum ph_stun_kind kind, const char *why)
{
	struct ph_stun_answer answer = decode(m->buf, m->len);

	if (why)
		assert_string_equal(answer.why ? answer.why : "(none)", why);
	assert_int_equal(answer.kind, kind);
}

static void expect_reflexive(const struct message *m, const char *text)
{
	struct ph_stun_answer answer = decode(m->buf, m->len);

	assert_int_equal(answer.kind, PH_STUN_SUCCESS);
	assert_endpoint(&answer.reflexive, text);
	assert_int_equal(answer.code, 0);
}

static void success(struct message *m)
{
	open_message(m, SUCCESS);
	xor_address(m, endpoint("203.0.113.7:32451"));
}

static void request_is_a_header(void **state)
{
	uint8_t buf[PH_STUN_REQUEST_SIZE + 1] = { [PH_STUN_REQUEST_SIZE] = 0x77 };

	(void)state;
	assert_int_equal(ph_stun_encode_request(&ID, buf), 20);
	assert_memory_equal(buf, "\x00\x01\x00\x00\x21\x12\xa4\x42", 8);
	assert_memory_equal(buf + 8, ID.octets, 12);
	assert_int_equal(buf[20], 0x77);
}

static void rfc5769_fingerprints(void **state)
{
	static const struct {
		const uint8_t *buf;
		size_t len;
	} samples[] = {
		{ sample_request, sizeof(sample_request) },
		{ sample_ipv4, sizeof(sample_ipv4) },
		{ sample_ipv6, sizeof(sample_ipv6) },
	};

	(void)state;
	/* The check value of CRC-32 itself. */
	assert_int_equal(test_crc32((const uint8_t *)"123456789", 9), 0xcbf43926);
	for (size_t i = 0; i < 3; i++) {
		const uint8_t *end = samples[i].buf + samples[i].len;
		uint32_t sent = (uint32_t)end[-4] << 24 | (uint32_t)end[-3] << 16 |
				(uint32_t)end[-2] << 8 | end[-1];

		assert_int_equal(test_crc32(samples[i].buf, samples[i].len - 8) ^ 0x5354554e, sent);
	}
}

static void rfc5769_request_is_no_answer(void **state)
{
	struct message m = { .len = 0 };

	(void)state;
	octets(&m, sample_request, sizeof(sample_request));
	expect(&m, PH_STUN_IGNORED, "not an answer to a Binding request");

	/* As an answer it would demand that PRIORITY be understood. */
	m.buf[0] = 0x01;
	m.len -= 8;
	fingerprint(&m);
	expect(&m, PH_STUN_IGNORED, "an unknown attribute must be understood");
}

static void rfc5769_responses(void **state)
{
	struct message m = { .len = 0 };

	(void)state;
	octets(&m, sample_ipv4, sizeof(sample_ipv4));
	expect_reflexive(&m, "192.0.2.1:32853");
	m.len = 0;
	octets(&m, sample_ipv6, sizeof(sample_ipv6));
	expect_reflexive(&m, "[2001:db8:1234:5678:11:2233:4455:6677]:32853");
}

/* Every octet of a fingerprinted message matters, its padding too. */
static void rfc5769_damaged(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(sample_ipv6); i++) {
		struct message m = { .len = 0 };

		octets(&m, sample_ipv6, sizeof(sample_ipv6));
		m.buf[i] ^= 0x01;
		/* But for the type of FINGERPRINT, two octets: another optional attribute then. */
		if (i == sizeof(sample_ipv6) - 8 || i == sizeof(sample_ipv6) - 7)
			expect_reflexive(&m, "[2001:db8:1234:5678:11:2233:4455:6677]:32853");
		else
			expect(&m, PH_STUN_IGNORED, NULL);
	}
}

static void mapped_address_where_there_is_nothing_else(void **state)
{
	struct message m;

	(void)state;
	open_message(&m, SUCCESS);
	address(&m, 0x0001, endpoint("198.51.100.9:258"));
	expect_reflexive(&m, "198.51.100.9:258");
	/* XOR-MAPPED-ADDRESS wins, before it or behind it. */
	xor_address(&m, endpoint("203.0.113.7:32451"));
	expect_reflexive(&m, "203.0.113.7:32451");
	address(&m, 0x0001, endpoint("198.51.100.10:258"));
	expect_reflexive(&m, "203.0.113.7:32451");

	open_message(&m, SUCCESS);
	address(&m, 0x0001, endpoint("[2001:db8::9]:65535"));
	expect_reflexive(&m, "[2001:db8::9]:65535");
}

static void first_of_duplicates_wins(void **state)
{
	struct ph_stun_answer answer;
	struct message m;

	(void)state;
	success(&m);
	xor_address(&m, endpoint("203.0.113.8:1"));
	address(&m, 0x802c, endpoint("192.0.2.2:3479"));
	address(&m, 0x802c, endpoint("192.0.2.3:3479"));
	expect_reflexive(&m, "203.0.113.7:32451");
	answer = decode(m.buf, m.len);
	assert_endpoint(&answer.other, "192.0.2.2:3479");

	open_message(&m, ERROR);
	error_code(&m, 4, 0);
	error_code(&m, 5, 0);
	assert_int_equal(decode(m.buf, m.len).code, 400);
	/* An unusable first one is still the first. */
	open_message(&m, SUCCESS);
	attribute(&m, 0x0020, "\x00\x03\x12\x34", 4);
	xor_address(&m, endpoint("203.0.113.8:1"));
	expect(&m, PH_STUN_REJECTED, "a success response with an unusable address");
}

static void unusable_addresses_are_rejected(void **state)
{
	static const char *const cases[] = {
		"0.0.0.0:80",         "0.0.0.1:80", "127.0.0.1:80", "127.1.2.3:80", "224.0.0.1:80",
		"255.255.255.255:80", "[::]:80",    "[::1]:80",     "[ff02::1]:80",
	};
	struct ph_endpoint portless = endpoint("203.0.113.7:1");
	struct message m;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		open_message(&m, SUCCESS);
		xor_address(&m, endpoint(cases[i]));
		expect(&m, PH_STUN_REJECTED, "a success response with an unusable address");
	}
	portless.port = 0;
	open_message(&m, SUCCESS);
	xor_address(&m, portless);
	/* MAPPED-ADDRESS is no second chance: what a server says first it means. */
	address(&m, 0x0001, endpoint("203.0.113.7:1"));
	expect(&m, PH_STUN_REJECTED, "a success response with an unusable address");

	open_message(&m, SUCCESS);
	expect(&m, PH_STUN_REJECTED, "a success response without an address");
	attribute(&m, 0x0020, "\x00\x03\x12\x34\x01\x02", 6); /* a family of the future */
	expect(&m, PH_STUN_REJECTED, "a success response with an unusable address");
}

static void other_address(void **state)
{
	struct ph_endpoint portless = endpoint("192.0.2.2:1");
	struct ph_stun_answer answer;
	struct message m;

	(void)state;
	portless.port = 0;
	success(&m);
	assert_int_equal(decode(m.buf, m.len).other.port, 0);
	address(&m, 0x802c, endpoint("192.0.2.2:3479"));
	answer = decode(m.buf, m.len);
	assert_endpoint(&answer.other, "192.0.2.2:3479");
	success(&m);
	address(&m, 0x802c, endpoint("[2001:db8::2]:3479"));
	answer = decode(m.buf, m.len);
	assert_endpoint(&answer.other, "[2001:db8::2]:3479");
	/* One that cannot be sent to is none, and costs nothing else. */
	success(&m);
	address(&m, 0x802c, portless);
	expect_reflexive(&m, "203.0.113.7:32451");
	assert_int_equal(decode(m.buf, m.len).other.port, 0);
	success(&m);
	address(&m, 0x802c, endpoint("224.0.0.1:3479"));
	assert_int_equal(decode(m.buf, m.len).other.port, 0);
}

static void error_responses(void **state)
{
	static const unsigned codes[] = { 301, 399, 400, 401, 403, 420, 438, 500, 599, 600, 699 };
	struct message m;

	(void)state;
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		open_message(&m, ERROR);
		attribute(&m, 0x0014, "realm", 5);
		attribute(&m, 0x0015, "nonce!!", 7);
		attribute(&m, 0x000a, "\x00\x77", 2);
		error_code(&m, codes[i] / 100, codes[i] % 100);
		expect(&m, PH_STUN_REJECTED, "the server answered with an error");
		assert_int_equal(decode(m.buf, m.len).code, codes[i]);
	}
	/* The bits before the class are reserved. */
	open_message(&m, ERROR);
	attribute(&m, 0x0009, "\xff\xff\xfc\x14", 4);
	assert_int_equal(decode(m.buf, m.len).code, 420);
	/* An address in an error response is none. */
	xor_address(&m, endpoint("203.0.113.7:32451"));
	expect(&m, PH_STUN_REJECTED, "the server answered with an error");
}

static void error_responses_without_a_valid_code(void **state)
{
	static const uint8_t bad[][2] = { { 0, 0 }, { 1, 0 },   { 2, 99 },
					  { 7, 0 }, { 4, 100 }, { 3, 255 } };
	struct message m;

	(void)state;
	open_message(&m, ERROR);
	expect(&m, PH_STUN_IGNORED, "an error response without ERROR-CODE");
	xor_address(&m, endpoint("203.0.113.7:32451"));
	expect(&m, PH_STUN_IGNORED, "an error response without ERROR-CODE");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		open_message(&m, ERROR);
		error_code(&m, bad[i][0], bad[i][1]);
		expect(&m, PH_STUN_IGNORED, "ERROR-CODE is out of range");
	}
	for (size_t n = 0; n < 4; n++) {
		open_message(&m, ERROR);
		attribute(&m, 0x0009, "\x00\x00\x04\x00", n);
		expect(&m, PH_STUN_IGNORED, "ERROR-CODE is too short");
	}
}

static void alternate_server(void **state)
{
	struct ph_endpoint portless = endpoint("192.0.2.2:1");
	struct ph_stun_answer answer;
	struct message m;

	(void)state;
	open_message(&m, ERROR);
	error_code(&m, 3, 0);
	expect(&m, PH_STUN_REJECTED, "300 Try Alternate without a usable server");
	address(&m, 0x8023, endpoint("192.0.2.2:3479"));
	answer = decode(m.buf, m.len);
	assert_int_equal(answer.kind, PH_STUN_ALTERNATE);
	assert_int_equal(answer.code, 300);
	assert_endpoint(&answer.alternate, "192.0.2.2:3479");

	open_message(&m, ERROR);
	address(&m, 0x8023, endpoint("[2001:db8::2]:3478"));
	error_code(&m, 3, 0);
	answer = decode(m.buf, m.len);
	assert_int_equal(answer.kind, PH_STUN_ALTERNATE);
	assert_endpoint(&answer.alternate, "[2001:db8::2]:3478");

	portless.port = 0;
	open_message(&m, ERROR);
	error_code(&m, 3, 0);
	address(&m, 0x8023, portless);
	expect(&m, PH_STUN_REJECTED, "300 Try Alternate without a usable server");

	/* With another code it is no redirection. */
	open_message(&m, ERROR);
	error_code(&m, 4, 0);
	address(&m, 0x8023, endpoint("192.0.2.2:3479"));
	expect(&m, PH_STUN_REJECTED, "the server answered with an error");
	success(&m);
	address(&m, 0x8023, endpoint("192.0.2.2:3479"));
	expect_reflexive(&m, "203.0.113.7:32451");
}

static void what_need_not_be_understood(void **state)
{
	static const unsigned optional[] = {
		0x8000, 0x8022, 0x802b, 0x8020, 0x8003, 0xc057, 0xffff
	};
	static const unsigned known[] = { 0x0002, 0x0003, 0x0004, 0x0005, 0x0006, 0x0007,
					  0x000a, 0x000b, 0x0014, 0x0015, 0x001d, 0x001e };
	static const unsigned required[] = {
		0x0000, 0x000c, 0x0024, 0x0025, 0x0021, 0x7fff, 0x4001
	};
	struct message m;

	(void)state;
	open_message(&m, SUCCESS);
	for (size_t i = 0; i < sizeof(optional) / sizeof(optional[0]); i++)
		for (size_t n = 0; n <= 5; n++)
			attribute(&m, optional[i], "abcde", n);
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		attribute(&m, known[i], "abcdefghijkl", i);
	xor_address(&m, endpoint("203.0.113.7:32451"));
	expect_reflexive(&m, "203.0.113.7:32451");

	for (size_t i = 0; i < sizeof(required) / sizeof(required[0]); i++) {
		success(&m);
		attribute(&m, required[i], "abcd", 4);
		expect(&m, PH_STUN_IGNORED, "an unknown attribute must be understood");
		open_message(&m, ERROR);
		attribute(&m, required[i], "", 0);
		error_code(&m, 4, 0);
		expect(&m, PH_STUN_IGNORED, "an unknown attribute must be understood");
	}
}

static void nothing_counts_behind_integrity(void **state)
{
	static const unsigned integrity[] = { 0x0008, 0x001c };
	uint8_t hmac[32] = { 0 };
	struct message m;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		open_message(&m, SUCCESS);
		address(&m, 0x0001, endpoint("198.51.100.9:258"));
		attribute(&m, integrity[i], hmac, i ? 32 : 20);
		xor_address(&m, endpoint("203.0.113.7:32451"));
		attribute(&m, 0x7fff, "", 0);
		attribute(&m, 0x0009, "", 0);
		expect_reflexive(&m, "198.51.100.9:258");
		/* FINGERPRINT does. */
		fingerprint(&m);
		expect_reflexive(&m, "198.51.100.9:258");
		m.buf[m.len - 1] ^= 1;
		expect(&m, PH_STUN_IGNORED, "FINGERPRINT does not match");

		/* And the envelope must be whole to its end. */
		open_message(&m, SUCCESS);
		xor_address(&m, endpoint("203.0.113.7:32451"));
		attribute(&m, integrity[i], hmac, i ? 32 : 20);
		attribute(&m, 0x8022, "four", 4);
		m.buf[m.len - 5] = 5;
		expect(&m, PH_STUN_IGNORED, "an attribute is longer than the message");
	}
}

static void fingerprint_is_last_and_right(void **state)
{
	struct message m;

	(void)state;
	success(&m);
	fingerprint(&m);
	expect_reflexive(&m, "203.0.113.7:32451");
	attribute(&m, 0x8022, "x", 1);
	expect(&m, PH_STUN_IGNORED, "FINGERPRINT does not match"); /* the length is covered */

	/* One that is right for the longer message, but not at its end. */
	success(&m);
	attribute(&m, 0x8022, "x", 1);
	fingerprint(&m);
	memmove(m.buf + m.len - 16, m.buf + m.len - 8, 8);
	m.len -= 8;
	attribute(&m, 0x8022, "x", 1);
	{
		uint32_t crc = test_crc32(m.buf, m.len - 16) ^ 0x5354554e;

		m.len -= 12;
		pair(&m, crc >> 16);
		pair(&m, crc & 0xffff);
		m.len += 8;
	}
	expect(&m, PH_STUN_IGNORED, "an attribute follows FINGERPRINT");

	for (size_t n = 0; n <= 8; n++) {
		if (n == 4)
			continue;
		success(&m);
		attribute(&m, 0x8028, "abcdefgh", n);
		expect(&m, PH_STUN_IGNORED, "FINGERPRINT has a wrong length");
	}
}

static void addresses_of_a_wrong_length(void **state)
{
	static const unsigned types[] = { 0x0001, 0x0020, 0x8023, 0x802c };
	uint8_t value[32] = { 0, 1, 0x12, 0x34, 0x40, 0x40 };

	(void)state;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		for (uint8_t family = 1; family <= 2; family++) {
			value[1] = family;
			for (size_t n = 0; n <= sizeof(value); n++) {
				struct message m;

				if (n == (family == 1 ? 8u : 20u))
					continue;
				success(&m);
				attribute(&m, types[i], value, n);
				expect(&m, PH_STUN_IGNORED,
				       n < 4 ? "an address attribute is too short"
					     : "an address attribute's length does not fit its family");
			}
		}
	}
}

static void every_cut_is_noticed(void **state)
{
	struct message m;

	(void)state;
	success(&m);
	attribute(&m, 0x8022, "seven..", 7);
	for (size_t n = 0; n < m.len; n++) {
		struct message cut = m;

		cut.len = n;
		expect(&cut, PH_STUN_IGNORED,
		       n < 20 ? "shorter than a STUN header" : "the length is wrong");
		/* And with a header that says so. */
		if (n >= 20 && n != 20 && n != 32) {
			close_message(&cut);
			expect(&cut, PH_STUN_IGNORED, NULL);
		}
	}
	assert_int_equal(decode(NULL, 0).kind, PH_STUN_IGNORED);
}

static void every_excess_is_noticed(void **state)
{
	struct message m;

	(void)state;
	for (size_t n = 1; n <= 8; n++) {
		success(&m);
		octets(&m, "\0\0\0\0\0\0\0\0", n);
		expect(&m, PH_STUN_IGNORED, "the length is wrong");
	}
	/* An attribute's header cut short cannot be: the length is a multiple of four. Its value
	 * can. */
	success(&m);
	attribute(&m, 0x8022, "abcdefgh", 8);
	for (unsigned n = 9; n < 65536; n += 97) {
		m.buf[m.len - 10] = (uint8_t)(n >> 8);
		m.buf[m.len - 9] = (uint8_t)n;
		expect(&m, PH_STUN_IGNORED, "an attribute is longer than the message");
	}
}

static void messages_of_any_size_up_to_the_limit(void **state)
{
	static const uint8_t filling[PH_STUN_MESSAGE_MAX] = { 0 };
	struct message m;

	(void)state;
	success(&m);
	attribute(&m, 0x8022, filling, PH_STUN_MESSAGE_MAX - m.len - 4);
	assert_int_equal(m.len, PH_STUN_MESSAGE_MAX);
	expect_reflexive(&m, "203.0.113.7:32451");
	success(&m);
	attribute(&m, 0x8022, filling, PH_STUN_MESSAGE_MAX - m.len);
	assert_int_equal(m.len, PH_STUN_MESSAGE_MAX + 4);
	expect(&m, PH_STUN_IGNORED, "longer than any answer is");
}

static void headers_that_are_not_ours(void **state)
{
	/* Requests, indications, other methods, the two leading bits. */
	static const unsigned types[] = { 0x0001, 0x0011, 0x0003, 0x0103, 0x0113, 0x0000,
					  0x0100, 0x0102, 0x0110, 0x2101, 0x0301 };
	struct message m;

	(void)state;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		success(&m);
		m.buf[0] = (uint8_t)(types[i] >> 8);
		m.buf[1] = (uint8_t)types[i];
		expect(&m, PH_STUN_IGNORED, "not an answer to a Binding request");
	}
	for (unsigned bits = 1; bits <= 3; bits++) {
		success(&m);
		m.buf[0] |= (uint8_t)(bits << 6);
		expect(&m, PH_STUN_IGNORED, "not STUN");
	}
	for (size_t i = 4; i < 20; i++) {
		success(&m);
		m.buf[i] ^= 0x80;
		expect(&m, PH_STUN_IGNORED,
		       i < 8 ? "without STUN's magic cookie" : "of another transaction");
	}
	/* A length that fits what came, but is none. */
	success(&m);
	octets(&m, "\0\0", 2);
	close_message(&m);
	expect(&m, PH_STUN_IGNORED, "the length is wrong");
}

static void frames(void **state)
{
	struct message m;

	(void)state;
	success(&m);
	for (size_t n = 0; n <= m.len; n++)
		assert_int_equal(ph_stun_frame(m.buf, n), n < 20 ? 0 : 32);
	assert_int_equal(ph_stun_frame(m.buf, sizeof(m.buf)), 32);

	/* Each fault as soon as it can be seen, and ever after. */
	for (size_t n = 0; n <= m.len; n++) {
		success(&m);
		m.buf[0] = 'H';
		assert_int_equal(ph_stun_frame(m.buf, n), n < 1 ? 0 : -EPROTO);
		success(&m);
		m.buf[3] = 13;
		assert_int_equal(ph_stun_frame(m.buf, n), n < 4 ? 0 : -EPROTO);
		for (size_t i = 4; i < 8; i++) {
			success(&m);
			m.buf[i] ^= 1;
			assert_int_equal(ph_stun_frame(m.buf, n), n <= i ? 0 : -EPROTO);
		}
	}
	success(&m);
	m.buf[2] = (PH_STUN_MESSAGE_MAX - 20) >> 8;
	m.buf[3] = (PH_STUN_MESSAGE_MAX - 20) & 0xff;
	assert_int_equal(ph_stun_frame(m.buf, 20), PH_STUN_MESSAGE_MAX);
	m.buf[3] += 4;
	assert_int_equal(ph_stun_frame(m.buf, 20), -EPROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(request_is_a_header),
		cmocka_unit_test(rfc5769_fingerprints),
		cmocka_unit_test(rfc5769_request_is_no_answer),
		cmocka_unit_test(rfc5769_responses),
		cmocka_unit_test(rfc5769_damaged),
		cmocka_unit_test(mapped_address_where_there_is_nothing_else),
		cmocka_unit_test(first_of_duplicates_wins),
		cmocka_unit_test(unusable_addresses_are_rejected),
		cmocka_unit_test(other_address),
		cmocka_unit_test(error_responses),
		cmocka_unit_test(error_responses_without_a_valid_code),
		cmocka_unit_test(alternate_server),
		cmocka_unit_test(what_need_not_be_understood),
		cmocka_unit_test(nothing_counts_behind_integrity),
		cmocka_unit_test(fingerprint_is_last_and_right),
		cmocka_unit_test(addresses_of_a_wrong_length),
		cmocka_unit_test(every_cut_is_noticed),
		cmocka_unit_test(every_excess_is_noticed),
		cmocka_unit_test(messages_of_any_size_up_to_the_limit),
		cmocka_unit_test(headers_that_are_not_ours),
		cmocka_unit_test(frames),
	};

	return cmocka_run_group_tests_name("stun", tests, NULL, NULL);
}
