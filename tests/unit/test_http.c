// SPDX-License-Identifier: GPL-2.0-or-later
/* The HTTP request, and the reader against servers of every kind, cut in every way. */

#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pinhold/http.h>

static void the_request(void **state)
{
	static const struct {
		const char *host;
		uint16_t port;
		const char *field;
	} cases[] = {
		{ "www.example.com", 80, "Host: www.example.com\r\n" },
		{ "www.example.com", 8080, "Host: www.example.com:8080\r\n" },
		{ "localhost", 65535, "Host: localhost:65535\r\n" },
		{ "203.0.113.7", 80, "Host: 203.0.113.7\r\n" },
		{ "2001:db8::7", 80, "Host: [2001:db8::7]\r\n" },
		{ "::1", 8080, "Host: [::1]:8080\r\n" },
		{ "a_b-c.example.", 80, "Host: a_b-c.example.\r\n" },
	};
	char buf[PH_HTTP_REQUEST_MAX + 1];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int n = ph_http_head(cases[i].host, cases[i].port, buf);

		assert_true(n > 0 && n < PH_HTTP_REQUEST_MAX);
		buf[n] = '\0';
		assert_int_equal(strlen(buf), n);
		assert_memory_equal(buf, "HEAD / HTTP/1.1\r\nHost: ", 23);
		assert_non_null(strstr(buf, cases[i].field));
		assert_non_null(strstr(buf, "\r\nUser-Agent: pinhold/"));
		assert_non_null(strstr(buf, "\r\nConnection: keep-alive\r\n"));
		assert_string_equal(buf + n - 4, "\r\n\r\n");
		assert_ptr_equal(strstr(buf, "\r\n\r\n"), buf + n - 4);
	}
}

static void hosts_that_are_none(void **state)
{
	static const char *const cases[] = {
		"",     "a b",   "a\r\nX: y", "a\n",         "a/b",  "user@host",
		"a:80", "[::1]", "::1%eth0",  "\xc3\xa4.de", "a\tb", "a?b",
		"a#b",  "a\"b",  ":",         "1::2::3",     "a,b",  "%41",
	};
	char buf[PH_HTTP_REQUEST_MAX], host[258];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(ph_http_head(cases[i], 80, buf), -EINVAL);
	assert_int_equal(ph_http_head("example.com", 0, buf), -EINVAL);

	memset(host, 'a', sizeof(host));
	host[256] = '\0';
	assert_int_equal(ph_http_head(host, 65535, buf), -EINVAL);
	host[255] = '\0';
	assert_in_range(ph_http_head(host, 65535, buf), 300, PH_HTTP_REQUEST_MAX - 1);
}

/* Feeds text in pieces of size, from copies that end where the piece ends. Returns what was used in
 * all. */
static size_t feed(struct ph_http_reader *r, const char *text, size_t len, size_t size,
		   enum ph_http_next *ret_next)
{
	size_t total = 0;

	*ret_next = PH_HTTP_MORE;
	while (total < len && *ret_next == PH_HTTP_MORE) {
		size_t n = len - total < size ? len - total : size, used = SIZE_MAX;
		uint8_t *copy = malloc(n);

		assert_non_null(copy);
		memcpy(copy, text + total, n);
		*ret_next = ph_http_reader_feed(r, copy, n, &used);
		free(copy);
		assert_true(used <= n);
		if (*ret_next == PH_HTTP_MORE)
			assert_int_equal(used, n);
		total += used;
	}
	return total;
}

/* The whole text is one answer, however it is cut. */
static void expect_octets(const char *text, size_t len, enum ph_http_next next, unsigned status)
{
	for (size_t size = 1; size <= len; size++) {
		struct ph_http_reader r;
		enum ph_http_next got;

		memset(&r, 0xa5, sizeof(r));
		ph_http_reader_init(&r);
		assert_int_equal(feed(&r, text, len, size, &got), len);
		assert_int_equal(got, next);
		if (next == PH_HTTP_KEPT || next == PH_HTTP_CLOSES)
			assert_int_equal(r.status, status);
		assert_int_equal(r.why == NULL, next != PH_HTTP_BAD);
	}
}

static void expect(const char *text, enum ph_http_next next, unsigned status)
{
	expect_octets(text, strlen(text), next, status);
}

/* text is refused by its last octet, and not before. */
static void expect_bad(const char *text, const char *why)
{
	struct ph_http_reader r;
	size_t used;

	expect(text, PH_HTTP_BAD, 0);
	ph_http_reader_init(&r);
	assert_int_equal(ph_http_reader_feed(&r, (const uint8_t *)text, strlen(text), &used),
			 PH_HTTP_BAD);
	assert_string_equal(r.why, why);
}

static void ordinary_answers(void **state)
{
	(void)state;
	expect("HTTP/1.1 200 OK\r\n\r\n", PH_HTTP_KEPT, 200);
	expect("HTTP/1.1 200 OK\r\nDate: today\r\nContent-Length: 5000000000\r\n\r\n", PH_HTTP_KEPT,
	       200);
	expect("HTTP/1.1 301 Moved Permanently\r\nServer: x\r\n\r\n", PH_HTTP_KEPT, 301);
	expect("HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n", PH_HTTP_KEPT, 404);
	expect("HTTP/1.1 599 \r\n\r\n", PH_HTTP_KEPT, 599);
	expect("HTTP/1.1 200\r\n\r\n", PH_HTTP_KEPT,
	       200); /* without the blank that should be there */
	expect("HTTP/1.7 200 newer\r\n\r\n", PH_HTTP_KEPT, 200);
	expect("HTTP/1.1 200 \xe4\xf6\xfc\r\nX: \xff\r\n\r\n", PH_HTTP_KEPT, 200);
}

static void incomplete_answers(void **state)
{
	static const char whole[] = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";

	(void)state;
	for (size_t n = 1; n < sizeof(whole) - 1; n++)
		expect_octets(whole, n, PH_HTTP_MORE, 0);
	expect(whole, PH_HTTP_CLOSES, 200);
}

static void connection_options(void **state)
{
	static const struct {
		const char *value;
		bool close, keep;
	} cases[] = {
		{ "close", true, false },
		{ "keep-alive", false, true },
		{ " Close ", true, false },
		{ "\tCLOSE\t", true, false },
		{ " Keep-Alive", false, true },
		{ " close, foo", true, false },
		{ " foo,close", true, false },
		{ " foo ,\tclose\t, bar", true, false },
		{ ",,close,,", true, false },
		{ " keep-alive, Upgrade", false, true },
		{ " keep-alive, close", true, true },
		{ "", false, false },
		{ " closed", false, false },
		{ " disclose", false, false },
		{ " clos", false, false },
		{ " close=1", false, false },
		{ " keep-alivex", false, false },
		{ " xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
		  "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx, close",
		  true, false },
		{ "\r\n close", true, false },
		{ " foo,\r\n\tclose", true, false },
		{ " foo\r\n \r\n \r\n close", true, false },
		{ " keep-\r\n alive", false, false },
	};
	char text[512];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bool closes = cases[i].close;

		snprintf(text, sizeof(text),
			 "HTTP/1.1 200 OK\r\nA: b\r\nConnection:%s\r\nC: d\r\n\r\n",
			 cases[i].value);
		expect(text, closes ? PH_HTTP_CLOSES : PH_HTTP_KEPT, 200);
		text[7] = '0'; /* HTTP/1.0 closes unless it is told otherwise */
		closes = cases[i].close || !cases[i].keep;
		expect(text, closes ? PH_HTTP_CLOSES : PH_HTTP_KEPT, 200);
	}
}

static void connection_fields(void **state)
{
	(void)state;
	/* Twice, and in any case; the last one does not undo the first. */
	expect("HTTP/1.1 200 OK\r\ncOnNeCtIoN: close\r\nConnection: keep-alive\r\n\r\n",
	       PH_HTTP_CLOSES, 200);
	expect("HTTP/1.0 200 OK\r\nConnection: x\r\nCONNECTION: keep-alive\r\n\r\n", PH_HTTP_KEPT,
	       200);
	expect("HTTP/1.1 200 OK\r\nConnection \t: close\r\n\r\n", PH_HTTP_CLOSES, 200);
	/* Names that are not it, values that are not its. */
	expect("HTTP/1.1 200 OK\r\nX-Connection: close\r\nConnections: close\r\n\r\n", PH_HTTP_KEPT,
	       200);
	expect("HTTP/1.1 200 Connection: close\r\nX: Connection: close\r\n\r\n", PH_HTTP_KEPT, 200);
	expect("HTTP/1.1 200 OK\r\nX: y\r\n Connection: close\r\n\r\n", PH_HTTP_KEPT, 200);
	expect("HTTP/1.1 200 OK\r\n Connection: close\r\nX: y\r\n\r\n", PH_HTTP_KEPT, 200);
	expect("HTTP/1.1 200 OK\r\nConnection: x\r\nY:\r\n close\r\n\r\n", PH_HTTP_KEPT, 200);
	/* A name as long as line[], and one beyond it. */
	expect("HTTP/1.1 200 OK\r\n"
	       "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn: close\r\n"
	       "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnconnection: close\r\n"
	       "\r\n",
	       PH_HTTP_KEPT, 200);
}

static void bare_line_feeds(void **state)
{
	(void)state;
	expect("HTTP/1.1 204 No Content\nConnection: close\n\n", PH_HTTP_CLOSES, 204);
	expect("HTTP/1.1 204\n\n", PH_HTTP_KEPT, 204);
	expect("HTTP/1.0 200 OK\nConnection: foo,\n keep-alive\r\n\n", PH_HTTP_KEPT, 200);
}

static void interim_answers_are_passed_over(void **state)
{
	(void)state;
	expect("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
	       "HTTP/1.1 200 OK\r\n\r\n",
	       PH_HTTP_KEPT, 200);
	expect("HTTP/1.1 100 Continue\r\n\r\n", PH_HTTP_MORE, 0);
	/* What one says of the connection or by its version is not the final answer's word. */
	expect("HTTP/1.0 100 Continue\r\nConnection: close\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
	       PH_HTTP_KEPT, 200);
	expect_bad("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
		   "the server switches to a protocol nobody asked for");
}

static void garbage_is_refused_at_once(void **state)
{
	static const char *const starts[] = {
		"h",           "S",
		"\r",          "\n",
		" ",           "HTTP/2",
		"HTTP/0",      "HTTP/1.x",
		"HTTP/1.1x",   "HTTP/1.1\t",
		"HTTP/1.12",   "HTTP/1.1 0",
		"HTTP/1.1 6",  "HTTP/1.1 x",
		"HTTP/1.1 2x", "HTTP/1.1 20 ",
		"HTTP/1.1  ",  "HTTP/1.1 2000",
		"HTTP/1.1\r",  "HTTP/1.1 200\t",
		"HTTX",        "\x16",
		"\xff",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++)
		expect_bad(starts[i], "not an HTTP/1 status line");
	expect_octets("HTTP/1.1 200 OK\r\nA: \0", 21, PH_HTTP_BAD, 0);
	expect_octets("HTTP/1.1 200 \0", 14, PH_HTTP_BAD, 0);
	expect_octets("\0", 1, PH_HTTP_BAD, 0);
}

static void headers_that_are_none(void **state)
{
	(void)state;
	expect_bad("HTTP/1.1 200 OK\r\nno c", "a header line without a colon");
	expect_bad("HTTP/1.1 200 OK\r\nname\r", "a header line without a colon");
	expect_bad("HTTP/1.1 200 OK\r\nname\n", "a header line without a colon");
	expect_bad("HTTP/1.1 200 OK\r\nname \n", "a header line without a colon");
	expect_bad("HTTP/1.1 200 OK\r\na\x01", "a header line without a colon");
	expect_bad("HTTP/1.1 200 OK\r\na\x7f", "a header line without a colon");
	expect_bad("HTTP/1.1 200 OK\r\na\x80", "a header line without a colon");
	expect_bad("HTTP/1.1 200 OK\r\n:", "a header line without a name");
	expect_bad("HTTP/1.1 200 OK\rX", "a CR without its LF");
	expect_bad("HTTP/1.1 200 OK\r\nA: b\r\r", "a CR without its LF");
	expect_bad("HTTP/1.1 200 OK\r\nConnection: close\rX", "a CR without its LF");
	expect_bad("HTTP/1.1 200 OK\r\n\rX", "a CR without its LF");
}

static void the_end_is_final(void **state)
{
	static const char *const ends[] = { "HTTP/1.0 200 OK\r\n\r\n", "garbage" };
	static const enum ph_http_next says[] = { PH_HTTP_CLOSES, PH_HTTP_BAD };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct ph_http_reader r;
		size_t used = 77;
		const uint8_t *next = (const uint8_t *)"HTTP/1.1 200 OK\r\n\r\n";

		ph_http_reader_init(&r);
		assert_int_equal(
			ph_http_reader_feed(&r, (const uint8_t *)ends[i], strlen(ends[i]), &used),
			says[i]);
		assert_int_equal(ph_http_reader_feed(&r, next, 19, &used), says[i]);
		assert_int_equal(used, 0);
		assert_int_equal(ph_http_reader_feed(&r, NULL, 0, &used), says[i]);
		assert_int_equal(used, 0);
	}
}

static void one_answer_after_the_other(void **state)
{
	static const char text[] = "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n"
				   "HTTP/1.1 404 Not Found\r\nX: y\r\n\r\n"
				   "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 500 Oops\n\n"
				   "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nrest";
	static const struct {
		enum ph_http_next next;
		unsigned status;
	} answers[] = { { PH_HTTP_KEPT, 200 },
			{ PH_HTTP_KEPT, 404 },
			{ PH_HTTP_KEPT, 500 },
			{ PH_HTTP_CLOSES, 200 } };

	(void)state;
	for (size_t size = 1; size < sizeof(text); size++) {
		struct ph_http_reader r;
		enum ph_http_next next;
		size_t at = 0;

		ph_http_reader_init(&r);
		for (size_t i = 0; i < 4; i++) {
			at += feed(&r, text + at, strlen(text) - at, size, &next);
			assert_int_equal(next, answers[i].next);
			assert_int_equal(r.status, answers[i].status);
		}
		assert_string_equal(text + at, "rest");
	}
}

/* A server that sends the body which HEAD must not have. */
static void a_body_is_garbage(void **state)
{
	static const char text[] = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>";
	struct ph_http_reader r;
	enum ph_http_next next;
	size_t at;

	(void)state;
	ph_http_reader_init(&r);
	at = feed(&r, text, strlen(text), 1000, &next);
	assert_int_equal(next, PH_HTTP_KEPT);
	assert_string_equal(text + at, "<html>");
	feed(&r, text + at, 6, 1000, &next);
	assert_int_equal(next, PH_HTTP_BAD);
	assert_string_equal(r.why, "not an HTTP/1 status line");
}

/* An answer of exactly n octets. */
static char *answer_of(size_t n)
{
	static const char head[] = "HTTP/1.1 200 OK\r\nX: ", tail[] = "\r\n\r\n";
	char *text = malloc(n);

	assert_non_null(text);
	memset(text, 'x', n);
	memcpy(text, head, sizeof(head) - 1);
	memcpy(text + n - (sizeof(tail) - 1), tail, sizeof(tail) - 1);
	return text;
}

static void the_limit(void **state)
{
	static const size_t sizes[] = { 1, 1448, 100000 };
	char *fits = answer_of(PH_HTTP_HEADER_MAX), *too_long = answer_of(PH_HTTP_HEADER_MAX + 1);

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct ph_http_reader r;
		enum ph_http_next next;

		ph_http_reader_init(&r);
		/* Twice: the count is an answer's, not a connection's. */
		for (int k = 0; k < 2; k++) {
			assert_int_equal(feed(&r, fits, PH_HTTP_HEADER_MAX, sizes[i], &next),
					 PH_HTTP_HEADER_MAX);
			assert_int_equal(next, PH_HTTP_KEPT);
		}
		feed(&r, too_long, PH_HTTP_HEADER_MAX + 1, sizes[i], &next);
		assert_int_equal(next, PH_HTTP_BAD);
		assert_string_equal(r.why, "the header is too long");
	}
	free(fits);
	free(too_long);
}

static void interim_answers_without_end(void **state)
{
	static const char interim[] = "HTTP/1.1 102 Processing\r\n\r\n";
	enum ph_http_next next = PH_HTTP_MORE;
	struct ph_http_reader r;
	size_t total = 0;

	(void)state;
	ph_http_reader_init(&r);
	while (next == PH_HTTP_MORE && total <= PH_HTTP_HEADER_MAX)
		total += feed(&r, interim, sizeof(interim) - 1, 100, &next);
	assert_int_equal(next, PH_HTTP_BAD);
	assert_int_equal(total, PH_HTTP_HEADER_MAX + 1);
}

static void nothing_is_not_an_answer(void **state)
{
	struct ph_http_reader r;
	size_t used = 77;

	(void)state;
	ph_http_reader_init(&r);
	assert_int_equal(ph_http_reader_feed(&r, NULL, 0, &used), PH_HTTP_MORE);
	assert_int_equal(used, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_request),
		cmocka_unit_test(hosts_that_are_none),
		cmocka_unit_test(ordinary_answers),
		cmocka_unit_test(incomplete_answers),
		cmocka_unit_test(connection_options),
		cmocka_unit_test(connection_fields),
		cmocka_unit_test(bare_line_feeds),
		cmocka_unit_test(interim_answers_are_passed_over),
		cmocka_unit_test(garbage_is_refused_at_once),
		cmocka_unit_test(headers_that_are_none),
		cmocka_unit_test(the_end_is_final),
		cmocka_unit_test(one_answer_after_the_other),
		cmocka_unit_test(a_body_is_garbage),
		cmocka_unit_test(the_limit),
		cmocka_unit_test(interim_answers_without_end),
		cmocka_unit_test(nothing_is_not_an_answer),
	};

	return cmocka_run_group_tests_name("http", tests, NULL, NULL);
}
