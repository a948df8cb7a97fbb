// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * STUN: the decoder, the framing and a transaction, on what a server might send. The transaction ID
 * is taken from the input, or nearly every input would end there; and each input is tried a second
 * time with its envelope repaired, because no fuzzer guesses a length and a CRC-32.
 */

#include "fuzz.h"

#include <errno.h>

#include <pinhold/stun.h>

static uint32_t crc32_of(const uint8_t *buf, size_t n)
{
	uint32_t crc = UINT32_MAX;

	while (n--) {
		crc ^= *buf++;
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
	}
	return ~crc;
}

static bool same_answer(const struct ph_stun_answer *a, const struct ph_stun_answer *b)
{
	return a->kind == b->kind && ph_endpoint_equal(&a->reflexive, &b->reflexive) &&
	       ph_endpoint_equal(&a->alternate, &b->alternate) &&
	       ph_endpoint_equal(&a->other, &b->other) && a->code == b->code && a->why == b->why;
}

static void check_endpoint(const struct ph_endpoint *e, bool expected)
{
	char text[PH_ENDPOINT_STRLEN];
	struct ph_address again;

	CHECK((e->port != 0) == expected);
	if (!expected)
		return;
	CHECK(e->address.family == PH_IPV4 || e->address.family == PH_IPV6);
	for (size_t i = ph_family_octets(e->address.family); i < sizeof(e->address.octets); i++)
		CHECK(e->address.octets[i] == 0);
	CHECK(strlen(ph_endpoint_format(e, text)) < sizeof(text));
	ph_address_format(&e->address, text);
	CHECK(ph_address_parse(text, &again) == 0 && ph_address_equal(&again, &e->address));
}

static void check_answer(const struct ph_stun_answer *a)
{
	CHECK((a->why == NULL) == (a->kind == PH_STUN_SUCCESS || a->kind == PH_STUN_ALTERNATE));
	check_endpoint(&a->reflexive, a->kind == PH_STUN_SUCCESS);
	check_endpoint(&a->alternate, a->kind == PH_STUN_ALTERNATE);
	check_endpoint(&a->other, a->other.port != 0);
	switch (a->kind) {
	case PH_STUN_IGNORED:
		CHECK(a->code == 0 && a->other.port == 0);
		break;
	case PH_STUN_SUCCESS:
		CHECK(a->code == 0);
		break;
	case PH_STUN_ALTERNATE:
		CHECK(a->code == 300);
		break;
	case PH_STUN_REJECTED:
		CHECK(a->code == 0 || (a->code >= 300 && a->code <= 699));
		break;
	}
}

/* The same message with one more attribute that means nothing. */
static void check_extended(const uint8_t *data, size_t size, const struct ph_stun_id *id,
			   const struct ph_stun_answer *before)
{
	static const uint8_t software[8] = { 0x80, 0x22, 0x00, 0x03, 'a', 'b', 'c', 0x20 };
	uint8_t longer[PH_STUN_MESSAGE_MAX];
	struct ph_stun_answer after;

	if (before->kind == PH_STUN_IGNORED || size + sizeof(software) > sizeof(longer))
		return;
	memcpy(longer, data, size);
	memcpy(longer + size, software, sizeof(software));
	longer[2] = (uint8_t)((size + sizeof(software) - 20) >> 8);
	longer[3] = (uint8_t)(size + sizeof(software) - 20);
	ph_stun_decode(longer, size + sizeof(software), id, &after);
	/* FINGERPRINT covers the length. */
	CHECK(same_answer(before, &after) || after.kind == PH_STUN_IGNORED);
}

static void check_decode(const uint8_t *data, size_t size, const struct ph_stun_id *id,
			 struct ph_stun_answer *ret_answer)
{
	struct ph_stun_id stranger = *id;
	struct ph_stun_answer again;
	uint8_t *copy;

	ph_stun_decode(data, size, id, ret_answer);
	check_answer(ret_answer);
	check_extended(data, size, id, ret_answer);
	if (ret_answer->kind != PH_STUN_IGNORED)
		CHECK(ph_stun_frame(data, size) == (long)size);

	stranger.octets[11] ^= 1;
	ph_stun_decode(data, size, &stranger, &again);
	CHECK(again.kind == PH_STUN_IGNORED);
	if (size) {
		copy = exact_copy(data, size - 1);
		ph_stun_decode(copy, size - 1, id, &again);
		CHECK(again.kind == PH_STUN_IGNORED || ret_answer->kind == PH_STUN_IGNORED);
		free(copy);
	}
}

/* What is known of a frame's length never changes when more comes. */
static void check_frame(const uint8_t *data, size_t size)
{
	long whole = ph_stun_frame(data, size), before = 0;

	CHECK(whole == -EPROTO || whole == 0 || (whole >= 20 && whole <= PH_STUN_MESSAGE_MAX));
	CHECK((whole == 0) ? size < 20 : true);
	for (size_t n = 0; n <= size && n <= 24; n++) {
		uint8_t *copy = exact_copy(data, n);
		long now = ph_stun_frame(copy, n);

		CHECK(before == 0 || now == before);
		CHECK(now <= 0 || n >= 20);
		before = now;
		free(copy);
	}
	CHECK(size < 20 || before == whole);
}

/* What a transaction ought to make of a stream, by the codec alone. */
static enum ph_stun_next expect_stream(const uint8_t *data, size_t size,
				       const struct ph_stun_id *id,
				       struct ph_stun_answer *ret_answer)
{
	for (;;) {
		long whole = ph_stun_frame(data, size);

		if (whole < 0)
			return PH_STUN_FAILED;
		if (whole == 0 || (size_t)whole > size)
			return PH_STUN_WAIT;
		ph_stun_decode(data, (size_t)whole, id, ret_answer);
		if (ret_answer->kind != PH_STUN_IGNORED)
			return PH_STUN_DONE;
		data += whole;
		size -= (size_t)whole;
	}
}

static void check_outcome(const struct ph_stun_tx *tx, enum ph_stun_next next,
			  enum ph_stun_next expected, const struct ph_stun_answer *answer)
{
	const struct ph_endpoint *said =
		answer->kind == PH_STUN_ALTERNATE ? &answer->alternate : &answer->reflexive;

	CHECK(next == expected && tx->outcome == expected);
	CHECK((ph_stun_tx_deadline(tx) == UINT64_MAX) == (expected != PH_STUN_WAIT));
	if (expected == PH_STUN_FAILED)
		CHECK(tx->answer.kind == PH_STUN_IGNORED && tx->answer.why);
	if (expected != PH_STUN_DONE)
		return;
	check_answer(&tx->answer);
	if (said->port && said->address.family != tx->server.address.family)
		CHECK(tx->answer.kind == PH_STUN_REJECTED);
	else
		CHECK(same_answer(&tx->answer, answer));
}

static void check_transaction(const uint8_t *data, size_t size, const struct ph_stun_id *id,
			      const struct ph_endpoint *server)
{
	uint32_t seed = size ? crc32_of(data, size < 64 ? size : 64) : 0;
	struct ph_stun_answer answer = { .kind = PH_STUN_IGNORED };
	enum ph_stun_next expected = expect_stream(data, size, id, &answer), next;
	struct ph_endpoint stranger = *server;
	struct ph_stun_tx tx;

	/* TCP at once, and in pieces. */
	ph_stun_tx_init(&tx, PH_TCP, server, id, 1000, 0);
	CHECK(ph_stun_tx_tick(&tx, 1000) == PH_STUN_SEND);
	check_outcome(&tx, ph_stun_tx_receive(&tx, NULL, data, size), expected, &answer);
	ph_stun_tx_done(&tx);
	ph_stun_tx_init(&tx, PH_TCP, server, id, 1000, 0);
	next = PH_STUN_WAIT;
	for (size_t at = 0, n; at < size; at += n) {
		uint8_t *copy;

		n = next_piece(&seed, size - at);
		copy = exact_copy(data + at, n);
		next = ph_stun_tx_receive(&tx, NULL, copy, n);
		free(copy);
		/* A fault shows when its first twenty octets are there, or earlier. */
		CHECK(next == PH_STUN_WAIT || next == expected);
	}
	check_outcome(&tx, next, expected, &answer);
	ph_stun_tx_done(&tx);

	/* UDP: the whole input is one datagram. */
	ph_stun_decode(data, size, id, &answer);
	expected = answer.kind == PH_STUN_IGNORED ? PH_STUN_WAIT : PH_STUN_DONE;
	ph_stun_tx_init(&tx, PH_UDP, server, id, 1000, 3000);
	stranger.port ^= 1;
	CHECK(ph_stun_tx_receive(&tx, &stranger, data, size) == PH_STUN_WAIT);
	check_outcome(&tx, ph_stun_tx_receive(&tx, server, data, size), expected, &answer);
	CHECK(ph_stun_tx_tick(&tx, 4000) ==
	      (expected == PH_STUN_DONE ? PH_STUN_DONE : PH_STUN_FAILED));
}

static void check_all(const uint8_t *data, size_t size)
{
	static const struct ph_endpoint servers[] = {
		{ { PH_IPV4, { 192, 0, 2, 1 } }, 3478 },
		{ { PH_IPV6, { 0x20, 0x01, 0x0d, 0xb8 } }, 3478 },
	};
	struct ph_stun_answer answer;
	struct ph_stun_id id = { { 0 } };

	if (size >= 20)
		memcpy(id.octets, data + 8, sizeof(id.octets));
	check_decode(data, size, &id, &answer);
	check_frame(data, size);
	for (size_t i = 0; i < 2; i++)
		check_transaction(data, size, &id, &servers[i]);
}

/* Makes of any input a message whose header is right, and its FINGERPRINT if it ends with one. */
static size_t repair(uint8_t *buf, size_t size)
{
	static const uint8_t cookie[4] = { 0x21, 0x12, 0xa4, 0x42 };
	static const uint8_t head[4] = { 0x80, 0x28, 0x00, 0x04 };
	uint32_t crc;

	size -= size % 4;
	buf[0] = 0x01;
	buf[1] = buf[1] & 0x10 ? 0x11 : 0x01;
	buf[2] = (uint8_t)((size - 20) >> 8);
	buf[3] = (uint8_t)(size - 20);
	memcpy(buf + 4, cookie, sizeof(cookie));
	if (size >= 28 && memcmp(buf + size - 8, head, sizeof(head)) == 0) {
		crc = crc32_of(buf, size - 8) ^ 0x5354554e;
		for (size_t i = 0; i < 4; i++)
			buf[size - 4 + i] = (uint8_t)(crc >> (24 - 8 * i));
	}
	return size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy, *exact;
	size_t n;

	check_all(data, size);
	if (size < 20 || size > 65535)
		return 0;
	copy = exact_copy(data, size);
	n = repair(copy, size);
	exact = exact_copy(copy, n);
	check_all(exact, n);
	free(exact);
	free(copy);
	return 0;
}
