// SPDX-License-Identifier: GPL-2.0-or-later
/* One STUN transaction against scripted time. */

#include "test.h"

#include "stun_message.h"

#define BEGIN 1000000u

static struct ph_stun_tx begin(enum ph_proto proto, const char *server, uint32_t timeout_ms)
{
	struct ph_endpoint e = endpoint(server);
	struct ph_stun_tx tx;

	memset(&tx, 0xa5, sizeof(tx));
	ph_stun_tx_init(&tx, proto, &e, &ID, BEGIN, timeout_ms);
	return tx;
}

static struct ph_stun_tx begin_sent(enum ph_proto proto, const char *server)
{
	struct ph_stun_tx tx = begin(proto, server, 0);

	assert_int_equal(ph_stun_tx_tick(&tx, BEGIN), PH_STUN_SEND);
	return tx;
}

static enum ph_stun_next receive(struct ph_stun_tx *tx, const char *from, const struct message *m)
{
	struct ph_endpoint e = endpoint(from);

	return ph_stun_tx_receive(tx, &e, m->buf, m->len);
}

static void success(struct message *m, const char *reflexive)
{
	open_message(m, SUCCESS);
	xor_address(m, endpoint(reflexive));
}

/* Runs until the end, deadline by deadline; every tick a millisecond early must do nothing. */
static void expect_schedule(struct ph_stun_tx *tx, const uint64_t *sends, size_t n, uint64_t end)
{
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(ph_stun_tx_deadline(tx), BEGIN + sends[i]);
		if (sends[i])
			assert_int_equal(ph_stun_tx_tick(tx, BEGIN + sends[i] - 1), PH_STUN_WAIT);
		assert_int_equal(ph_stun_tx_tick(tx, BEGIN + sends[i]), PH_STUN_SEND);
		assert_int_equal(ph_stun_tx_tick(tx, BEGIN + sends[i]), PH_STUN_WAIT);
		assert_int_equal(tx->sent, i + 1);
	}
	if (n == 7)
		assert_true(tx->next_ms == UINT64_MAX);
	assert_int_equal(ph_stun_tx_deadline(tx), BEGIN + end);
	assert_int_equal(ph_stun_tx_tick(tx, BEGIN + end - 1), PH_STUN_WAIT);
	assert_int_equal(ph_stun_tx_tick(tx, BEGIN + end), PH_STUN_FAILED);
	assert_string_equal(tx->answer.why, "no answer in time");
	assert_int_equal(tx->answer.kind, PH_STUN_IGNORED);
	assert_true(ph_stun_tx_deadline(tx) == UINT64_MAX);
	assert_int_equal(ph_stun_tx_tick(tx, BEGIN + end + 100000), PH_STUN_FAILED);
	assert_int_equal(tx->sent, n);
}

static const uint64_t rfc_sends[] = { 0, 500, 1500, 3500, 7500, 15500, 31500 };

static void udp_follows_the_rfc(void **state)
{
	struct ph_stun_tx tx = begin(PH_UDP, "192.0.2.1:3478", 0);

	(void)state;
	expect_schedule(&tx, rfc_sends, 7, 39500);
	tx = begin(PH_UDP, "192.0.2.1:3478", UINT32_MAX);
	expect_schedule(&tx, rfc_sends, 7, 39500);
}

static void udp_is_cut_short(void **state)
{
	struct ph_stun_tx tx = begin(PH_UDP, "192.0.2.1:3478", 3000);

	(void)state;
	expect_schedule(&tx, rfc_sends, 3, 3000);
	/* At the very end nothing is sent any more. */
	tx = begin(PH_UDP, "192.0.2.1:3478", 1500);
	expect_schedule(&tx, rfc_sends, 2, 1500);
	tx = begin(PH_UDP, "192.0.2.1:3478", 1);
	expect_schedule(&tx, rfc_sends, 1, 1);
}

static void tcp_sends_once(void **state)
{
	struct ph_stun_tx tx = begin(PH_TCP, "192.0.2.1:3478", 0);

	(void)state;
	expect_schedule(&tx, rfc_sends, 1, 39500);
	tx = begin(PH_TCP, "192.0.2.1:3478", 5000);
	expect_schedule(&tx, rfc_sends, 1, 5000);
}

static void a_late_caller_sends_no_burst(void **state)
{
	struct ph_stun_tx tx = begin_sent(PH_UDP, "192.0.2.1:3478");

	(void)state;
	assert_int_equal(ph_stun_tx_tick(&tx, BEGIN + 4000), PH_STUN_SEND);
	assert_int_equal(ph_stun_tx_tick(&tx, BEGIN + 4000), PH_STUN_WAIT);
	assert_int_equal(ph_stun_tx_deadline(&tx), BEGIN + 5000);
	/* The end does not move. */
	assert_int_equal(ph_stun_tx_tick(&tx, BEGIN + 39500), PH_STUN_FAILED);
	assert_int_equal(tx.sent, 2);
}

static void an_answer_ends_it(void **state)
{
	static const enum ph_proto protos[] = { PH_UDP, PH_TCP };
	struct message m;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct ph_stun_tx tx = begin_sent(protos[i], "192.0.2.1:3478");

		success(&m, "203.0.113.7:32451");
		assert_int_equal(receive(&tx, "192.0.2.1:3478", &m), PH_STUN_DONE);
		assert_int_equal(tx.answer.kind, PH_STUN_SUCCESS);
		assert_endpoint(&tx.answer.reflexive, "203.0.113.7:32451");
		assert_true(ph_stun_tx_deadline(&tx) == UINT64_MAX);
		assert_int_equal(ph_stun_tx_tick(&tx, BEGIN + 500), PH_STUN_DONE);
		assert_int_equal(ph_stun_tx_tick(&tx, BEGIN + 100000), PH_STUN_DONE);
		assert_int_equal(tx.sent, 1);

		/* Twice, with another address: the first stands. */
		success(&m, "203.0.113.8:1");
		assert_int_equal(receive(&tx, "192.0.2.1:3478", &m), PH_STUN_DONE);
		assert_endpoint(&tx.answer.reflexive, "203.0.113.7:32451");
	}
}

static void an_answer_to_a_repeated_request(void **state)
{
	struct ph_stun_tx tx = begin_sent(PH_UDP, "192.0.2.1:3478");
	struct message m;

	(void)state;
	assert_int_equal(ph_stun_tx_tick(&tx, BEGIN + 500), PH_STUN_SEND);
	assert_int_equal(ph_stun_tx_tick(&tx, BEGIN + 1500), PH_STUN_SEND);
	success(&m, "203.0.113.7:32451");
	assert_int_equal(receive(&tx, "192.0.2.1:3478", &m), PH_STUN_DONE);
	assert_int_equal(tx.sent, 3);
}

static void a_late_answer_changes_nothing(void **state)
{
	static const enum ph_proto protos[] = { PH_UDP, PH_TCP };
	struct message m;

	(void)state;
	success(&m, "203.0.113.7:32451");
	for (size_t i = 0; i < 2; i++) {
		struct ph_stun_tx tx = begin_sent(protos[i], "192.0.2.1:3478");

		assert_int_equal(ph_stun_tx_tick(&tx, BEGIN + 39500), PH_STUN_FAILED);
		assert_int_equal(receive(&tx, "192.0.2.1:3478", &m), PH_STUN_FAILED);
		assert_int_equal(tx.answer.kind, PH_STUN_IGNORED);
		assert_string_equal(tx.answer.why, "no answer in time");
		assert_int_equal(tx.answer.reflexive.port, 0);
	}
}

static void only_the_server_answers(void **state)
{
	static const char *const strangers[] = { "192.0.2.1:3479", "192.0.2.2:3478",
						 "[2001:db8::1]:3478", "192.0.2.1:13" };
	struct ph_stun_tx tx = begin_sent(PH_UDP, "192.0.2.1:3478");
	struct message m;

	(void)state;
	success(&m, "203.0.113.7:32451");
	assert_null(tx.ignored);
	for (size_t i = 0; i < sizeof(strangers) / sizeof(strangers[0]); i++) {
		assert_int_equal(receive(&tx, strangers[i], &m), PH_STUN_WAIT);
		assert_string_equal(tx.ignored, "from another address than the server's");
	}
	assert_int_equal(ph_stun_tx_deadline(&tx), BEGIN + 500);
	assert_int_equal(receive(&tx, "192.0.2.1:3478", &m), PH_STUN_DONE);
}

static void what_does_not_fit_ends_nothing(void **state)
{
	struct ph_stun_tx tx = begin_sent(PH_UDP, "192.0.2.1:3478");
	struct message m;

	(void)state;
	success(&m, "203.0.113.66:1");
	m.buf[19] ^= 1;
	assert_int_equal(receive(&tx, "192.0.2.1:3478", &m), PH_STUN_WAIT);
	assert_string_equal(tx.ignored, "of another transaction");
	m.len = 0;
	assert_int_equal(receive(&tx, "192.0.2.1:3478", &m), PH_STUN_WAIT);
	success(&m, "203.0.113.66:1");
	m.len -= 4;
	assert_int_equal(receive(&tx, "192.0.2.1:3478", &m), PH_STUN_WAIT);
	m.len = sizeof(m.buf);
	assert_int_equal(receive(&tx, "192.0.2.1:3478", &m), PH_STUN_WAIT);
	/* A datagram holds one message, or it holds none. */
	success(&m, "203.0.113.66:1");
	octet(&m, 0);
	assert_int_equal(receive(&tx, "192.0.2.1:3478", &m), PH_STUN_WAIT);

	success(&m, "203.0.113.7:32451");
	assert_int_equal(receive(&tx, "192.0.2.1:3478", &m), PH_STUN_DONE);
	assert_endpoint(&tx.answer.reflexive, "203.0.113.7:32451");
}

static void errors_and_alternates_end_it(void **state)
{
	struct ph_stun_tx tx = begin_sent(PH_UDP, "192.0.2.1:3478");
	struct message m;

	(void)state;
	open_message(&m, ERROR);
	error_code(&m, 4, 20);
	assert_int_equal(receive(&tx, "192.0.2.1:3478", &m), PH_STUN_DONE);
	assert_int_equal(tx.answer.kind, PH_STUN_REJECTED);
	assert_int_equal(tx.answer.code, 420);

	tx = begin_sent(PH_TCP, "192.0.2.1:3478");
	open_message(&m, ERROR);
	error_code(&m, 3, 0);
	address(&m, 0x8023, endpoint("192.0.2.9:3478"));
	assert_int_equal(receive(&tx, "192.0.2.1:3478", &m), PH_STUN_DONE);
	assert_int_equal(tx.answer.kind, PH_STUN_ALTERNATE);
	assert_endpoint(&tx.answer.alternate, "192.0.2.9:3478");
}

static void the_family_is_the_servers(void **state)
{
	struct ph_stun_tx tx = begin_sent(PH_UDP, "192.0.2.1:3478");
	struct message m;

	(void)state;
	success(&m, "[2001:db8::7]:32451");
	assert_int_equal(receive(&tx, "192.0.2.1:3478", &m), PH_STUN_DONE);
	assert_int_equal(tx.answer.kind, PH_STUN_REJECTED);
	assert_int_equal(tx.answer.reflexive.port, 0);
	assert_string_equal(tx.answer.why, "the address is of another family than the server's");

	tx = begin_sent(PH_UDP, "[2001:db8::1]:3478");
	assert_int_equal(receive(&tx, "[2001:db8::1]:3478", &m), PH_STUN_DONE);
	assert_int_equal(tx.answer.kind, PH_STUN_SUCCESS);
	assert_endpoint(&tx.answer.reflexive, "[2001:db8::7]:32451");

	tx = begin_sent(PH_UDP, "[2001:db8::1]:3478");
	open_message(&m, ERROR);
	error_code(&m, 3, 0);
	address(&m, 0x8023, endpoint("192.0.2.9:3478"));
	assert_int_equal(receive(&tx, "[2001:db8::1]:3478", &m), PH_STUN_DONE);
	assert_int_equal(tx.answer.kind, PH_STUN_REJECTED);
	assert_int_equal(tx.answer.code, 300);
	assert_int_equal(tx.answer.alternate.port, 0);
}

/* An answer of another transaction, then ours, then something else: what a stream may bring. */
static void stream_script(struct message *m, size_t *ret_end)
{
	struct message part;

	m->len = 0;
	success(&part, "203.0.113.66:1");
	part.buf[8] ^= 0xff;
	octets(m, part.buf, part.len);
	open_message(&part, INDICATION);
	octets(m, part.buf, part.len);
	success(&part, "203.0.113.7:32451");
	attribute(&part, 0x8022, "a server", 8);
	fingerprint(&part);
	octets(m, part.buf, part.len);
	*ret_end = m->len;
	octets(m, "HTTP/1.1 400 Bad Request\r\n\r\n", 28);
}

static void tcp_is_cut_anywhere(void **state)
{
	struct message m;
	size_t end;

	(void)state;
	stream_script(&m, &end);
	for (size_t size = 1; size <= m.len; size++) {
		struct ph_stun_tx tx = begin_sent(PH_TCP, "192.0.2.1:3478");

		for (size_t at = 0; at < m.len; at += size) {
			size_t n = m.len - at < size ? m.len - at : size;

			assert_int_equal(ph_stun_tx_receive(&tx, NULL, m.buf + at, n),
					 at + n < end ? PH_STUN_WAIT : PH_STUN_DONE);
		}
		assert_endpoint(&tx.answer.reflexive, "203.0.113.7:32451");
	}
	for (size_t cut = 0; cut <= m.len; cut++) {
		struct ph_stun_tx tx = begin_sent(PH_TCP, "192.0.2.1:3478");

		assert_int_equal(ph_stun_tx_receive(&tx, NULL, m.buf, cut),
				 cut < end ? PH_STUN_WAIT : PH_STUN_DONE);
		assert_int_equal(ph_stun_tx_receive(&tx, NULL, m.buf + cut, m.len - cut),
				 PH_STUN_DONE);
		assert_endpoint(&tx.answer.reflexive, "203.0.113.7:32451");
	}
}

static void tcp_messages_up_to_the_limit(void **state)
{
	static const uint8_t filling[PH_STUN_MESSAGE_MAX] = { 0 };
	struct ph_stun_tx tx = begin_sent(PH_TCP, "192.0.2.1:3478");
	struct message m;

	(void)state;
	success(&m, "203.0.113.7:32451");
	attribute(&m, 0x8022, filling, PH_STUN_MESSAGE_MAX - m.len - 4);
	assert_int_equal(ph_stun_tx_receive(&tx, NULL, m.buf, m.len - 1), PH_STUN_WAIT);
	assert_int_equal(ph_stun_tx_receive(&tx, NULL, m.buf + m.len - 1, 1), PH_STUN_DONE);

	tx = begin_sent(PH_TCP, "192.0.2.1:3478");
	success(&m, "203.0.113.7:32451");
	attribute(&m, 0x8022, filling, PH_STUN_MESSAGE_MAX - m.len);
	assert_int_equal(ph_stun_tx_receive(&tx, NULL, m.buf, m.len), PH_STUN_FAILED);
	assert_string_equal(tx.answer.why, "the stream carries no STUN");
}

static void tcp_without_stun_fails_at_once(void **state)
{
	static const char garbage[] = "HTTP/1.1 400 Bad Request\r\n\r\n";
	struct ph_stun_tx tx = begin_sent(PH_TCP, "192.0.2.1:3478");
	struct message m;

	(void)state;
	assert_int_equal(ph_stun_tx_receive(&tx, NULL, (const uint8_t *)garbage, 1),
			 PH_STUN_FAILED);
	assert_int_equal(tx.answer.kind, PH_STUN_IGNORED);
	assert_string_equal(tx.answer.why, "the stream carries no STUN");
	assert_true(ph_stun_tx_deadline(&tx) == UINT64_MAX);
	assert_int_equal(ph_stun_tx_tick(&tx, BEGIN + 1), PH_STUN_FAILED);
	success(&m, "203.0.113.7:32451");
	assert_int_equal(receive(&tx, "192.0.2.1:3478", &m), PH_STUN_FAILED);

	/* And behind a message that is not the answer. */
	tx = begin_sent(PH_TCP, "192.0.2.1:3478");
	m.buf[8] ^= 1;
	assert_int_equal(ph_stun_tx_receive(&tx, NULL, m.buf, m.len), PH_STUN_WAIT);
	assert_int_equal(ph_stun_tx_receive(&tx, NULL, (const uint8_t *)garbage, sizeof(garbage)),
			 PH_STUN_FAILED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(udp_follows_the_rfc),
		cmocka_unit_test(udp_is_cut_short),
		cmocka_unit_test(tcp_sends_once),
		cmocka_unit_test(a_late_caller_sends_no_burst),
		cmocka_unit_test(an_answer_ends_it),
		cmocka_unit_test(an_answer_to_a_repeated_request),
		cmocka_unit_test(a_late_answer_changes_nothing),
		cmocka_unit_test(only_the_server_answers),
		cmocka_unit_test(what_does_not_fit_ends_nothing),
		cmocka_unit_test(errors_and_alternates_end_it),
		cmocka_unit_test(the_family_is_the_servers),
		cmocka_unit_test(tcp_is_cut_anywhere),
		cmocka_unit_test(tcp_messages_up_to_the_limit),
		cmocka_unit_test(tcp_without_stun_fails_at_once),
	};

	return cmocka_run_group_tests_name("stun_tx", tests, NULL, NULL);
}
