/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * A server's side of STUN for tests, written without a look at the decoder: builds messages, right
 * or wrong, octet by octet.
 */

#include <string.h>

#include <pinhold/stun.h>

enum { REQUEST = 0x0001, INDICATION = 0x0011, SUCCESS = 0x0101, ERROR = 0x0111 };

static const struct ph_stun_id ID = { { 0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87,
					0xdf, 0xae } };

struct message {
	uint8_t buf[4096];
	size_t len;
};

static inline void octet(struct message *m, unsigned value)
{
	m->buf[m->len++] = (uint8_t)value;
}

static inline void pair(struct message *m, unsigned value)
{
	octet(m, value >> 8);
	octet(m, value & 0xff);
}

static inline void octets(struct message *m, const void *value, size_t n)
{
	memcpy(m->buf + m->len, value, n);
	m->len += n;
}

/* The header's length field, from what there is now. */
static inline void close_message(struct message *m)
{
	m->buf[2] = (uint8_t)((m->len - 20) >> 8);
	m->buf[3] = (uint8_t)(m->len - 20);
}

static inline void open_message(struct message *m, unsigned type)
{
	m->len = 0;
	pair(m, type);
	pair(m, 0);
	octets(m, "\x21\x12\xa4\x42", 4);
	octets(m, ID.octets, sizeof(ID.octets));
}

static inline void attribute(struct message *m, unsigned type, const void *value, size_t n)
{
	pair(m, type);
	pair(m, (unsigned)n);
	octets(m, value, n);
	while (m->len % 4)
		octet(m, ' ');
	close_message(m);
}

static inline void address(struct message *m, unsigned type, struct ph_endpoint e)
{
	uint8_t value[20] = { 0, e.address.family == PH_IPV4 ? 1 : 2 };
	size_t n = e.address.family == PH_IPV4 ? 4 : 16;

	value[2] = (uint8_t)(e.port >> 8);
	value[3] = (uint8_t)e.port;
	memcpy(value + 4, e.address.octets, n);
	attribute(m, type, value, 4 + n);
}

static inline void xor_address(struct message *m, struct ph_endpoint e)
{
	uint8_t mask[16] = { 0x21, 0x12, 0xa4, 0x42 };

	memcpy(mask + 4, ID.octets, sizeof(ID.octets));
	e.port = (uint16_t)(e.port ^ 0x2112);
	for (size_t i = 0; i < (e.address.family == PH_IPV4 ? 4 : 16); i++)
		e.address.octets[i] ^= mask[i];
	address(m, 0x0020, e);
}

static inline void error_code(struct message *m, unsigned hundreds, unsigned rest)
{
	uint8_t value[] = { 0, 0, (uint8_t)hundreds, (uint8_t)rest, 'n', 'o' };

	attribute(m, 0x0009, value, sizeof(value));
}

/* CRC-32 by polynomial division from the left, on reflected octets: not the decoder's way. */
static inline uint32_t test_crc32(const uint8_t *buf, size_t n)
{
	uint32_t crc = 0xffffffff, reflected = 0;

	for (size_t i = 0; i < n; i++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			uint32_t in = (uint32_t)buf[i] >> bit & 1;

			crc = crc << 1 ^ ((crc >> 31) != in ? 0x04c11db7 : 0);
		}
	}
	for (unsigned bit = 0; bit < 32; bit++)
		reflected |= (~crc >> bit & 1) << (31 - bit);
	return reflected;
}

static inline void fingerprint(struct message *m)
{
	uint8_t value[4] = { 0 };
	uint32_t crc;

	attribute(m, 0x8028, value, sizeof(value));
	crc = test_crc32(m->buf, m->len - 8) ^ 0x5354554e;
	m->len -= 4;
	pair(m, crc >> 16);
	pair(m, crc & 0xffff);
}
