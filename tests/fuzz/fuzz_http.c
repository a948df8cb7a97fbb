// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * HTTP: what a keep-alive server might send, cut in three ways, and its verdict compared to that of
 * a second reader which has the whole answer before it; and any text at all as a host name.
 */

#include "fuzz.h"

#include <errno.h>
#include <strings.h>

#include <pinhold/http.h>

enum cut { AT_ONCE, BY_OCTET, IN_PIECES };

#define EVENTS_MAX 64

/* What the reader said of an input, and where. */
struct story {
	size_t n;
	struct {
		enum ph_http_next next;
		unsigned status;
		size_t at;
		const char *why;
	} events[EVENTS_MAX];
};

/* One answer, or what there is of it. Returns the octets used. */
static size_t read_one(struct ph_http_reader *r, const uint8_t *data, size_t size, enum cut cut,
		       enum ph_http_next *ret_next)
{
	uint32_t seed = (uint32_t)size;
	size_t at = 0, used;

	*ret_next = PH_HTTP_MORE;
	while (at < size && *ret_next == PH_HTTP_MORE) {
		size_t n = cut == AT_ONCE    ? size - at
			   : cut == BY_OCTET ? 1
					     : next_piece(&seed, size - at);
		uint8_t *copy = exact_copy(data + at, n);

		used = SIZE_MAX;
		*ret_next = ph_http_reader_feed(r, copy, n, &used);
		free(copy);
		CHECK(used <= n);
		CHECK(*ret_next != PH_HTTP_MORE || used == n);
		CHECK((r->why != NULL) == (*ret_next == PH_HTTP_BAD));
		at += used;
	}
	return at;
}

/* Whether the server closes, by a look at the whole answer: [data, data + size) as lines, not as
 * octets. */
static bool closes(const uint8_t *data, size_t size)
{
	char *text = calloc(1, size + 1), *line, *save, *section, *end;
	bool close = false, keep_alive = false, minor_zero;
	size_t n = 0;

	CHECK(text);
	CHECK(size >= strlen("HTTP/1.1 200\n\n"));
	for (size_t i = 0; i < size; i++) {
		if (data[i] == '\r')
			continue;
		/* Unfold: a line that begins with a blank belongs to the one before. */
		if (n && text[n - 1] == '\n' && (data[i] == ' ' || data[i] == '\t'))
			text[n - 1] = ' ';
		text[n++] = (char)data[i];
	}
	/* The last section: those before it are interim answers. */
	for (section = text; (end = strstr(section, "\n\n")) && end[2]; section = end + 2)
		;
	minor_zero = section[strlen("HTTP/1.")] == '0';
	strtok_r(section, "\n", &save);
	while ((line = strtok_r(NULL, "\n", &save))) {
		char *colon = strchr(line, ':'), *option, *rest;
		size_t name;

		CHECK(colon);
		for (name = (size_t)(colon - line); strchr(" \t", line[name - 1]); name--)
			;
		if (name != strlen("connection") || strncasecmp(line, "connection", name) != 0)
			continue;
		for (option = strtok_r(colon + 1, ", \t", &rest); option;
		     option = strtok_r(NULL, ", \t", &rest)) {
			close |= strcasecmp(option, "close") == 0;
			keep_alive |= strcasecmp(option, "keep-alive") == 0;
		}
	}
	free(text);
	return close || (minor_zero && !keep_alive);
}

static void read_all(const uint8_t *data, size_t size, enum cut cut, struct story *ret_story)
{
	enum ph_http_next next = PH_HTTP_KEPT;
	struct ph_http_reader r;
	size_t at = 0;

	ret_story->n = 0;
	ph_http_reader_init(&r);
	while (next == PH_HTTP_KEPT && at < size && ret_story->n < EVENTS_MAX) {
		size_t used = read_one(&r, data + at, size - at, cut, &next);

		CHECK(used > 0 && used <= PH_HTTP_HEADER_MAX + 1);
		if (next == PH_HTTP_KEPT || next == PH_HTTP_CLOSES) {
			CHECK(r.status >= 200 && r.status <= 599);
			if (cut == AT_ONCE)
				CHECK(closes(data + at, used) == (next == PH_HTTP_CLOSES));
		}
		at += used;
		ret_story->events[ret_story->n].next = next;
		ret_story->events[ret_story->n].status = next == PH_HTTP_MORE ? 0 : r.status;
		ret_story->events[ret_story->n].at = at;
		ret_story->events[ret_story->n++].why = r.why;
	}
	if (next == PH_HTTP_CLOSES || next == PH_HTTP_BAD) {
		/* For good. */
		CHECK(ph_http_reader_feed(&r, data, size, &at) == next && at == 0);
	}
}

static void check_story(const struct story *a, const struct story *b)
{
	CHECK(a->n == b->n);
	for (size_t i = 0; i < a->n; i++) {
		CHECK(a->events[i].next == b->events[i].next);
		CHECK(a->events[i].status == b->events[i].status);
		CHECK(a->events[i].at == b->events[i].at);
		CHECK(a->events[i].why == b->events[i].why);
	}
}

/* A server that says the same over and over gets its verdict within PH_HTTP_HEADER_MAX octets. */
static void check_limit(const uint8_t *data, size_t size)
{
	enum ph_http_next next = PH_HTTP_MORE;
	struct ph_http_reader r;
	size_t total = 0, used;

	ph_http_reader_init(&r);
	while (next == PH_HTTP_MORE) {
		next = ph_http_reader_feed(&r, data, size, &used);
		total += used;
		CHECK(total <= PH_HTTP_HEADER_MAX + 1);
	}
}

/* Whatever the host is, the request is one request with three fields. */
static void check_request(const uint8_t *data, size_t size)
{
	char *host = malloc(size + 1), buf[PH_HTTP_REQUEST_MAX + 1];
	size_t lines = 0, host_length;
	int n;

	CHECK(host);
	if (size)
		memcpy(host, data, size);
	host[size] = '\0';
	host_length = strlen(host);
	n = ph_http_head(host, (uint16_t)(size * 40 + 1), buf);
	CHECK(n == -EINVAL || (n > 0 && n < PH_HTTP_REQUEST_MAX));
	if (n > 0) {
		CHECK(host_length >= 1 && host_length <= 255);
		for (int i = 0; i < n; i++) {
			lines += buf[i] == '\n';
			CHECK((buf[i] == '\n') == (i > 0 && buf[i - 1] == '\r'));
			CHECK(buf[i] == '\r' || buf[i] == '\n' || (buf[i] >= ' ' && buf[i] <= '~'));
		}
		buf[n] = '\0';
		CHECK(lines == 5 && strcmp(buf + n - 4, "\r\n\r\n") == 0);
		CHECK(strncmp(buf, "HEAD / HTTP/1.1\r\nHost: ", 23) == 0);
		CHECK(memcmp(buf + 23 + (buf[23] == '['), host, host_length) == 0);
	}
	free(host);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct story at_once, other;

	read_all(data, size, AT_ONCE, &at_once);
	read_all(data, size, BY_OCTET, &other);
	check_story(&at_once, &other);
	read_all(data, size, IN_PIECES, &other);
	check_story(&at_once, &other);
	/* Slow, so not for every input. */
	if (size && size % 32 == 0 && at_once.n == 1 && at_once.events[0].next == PH_HTTP_MORE)
		check_limit(data, size);
	check_request(data, size);
	return 0;
}
