// SPDX-License-Identifier: GPL-2.0-or-later
#include "dns_record.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <pinhold/endpoint.h>

#include "buffer.h"

#define N(array) (sizeof(array) / sizeof(*(array)))

static const struct {
	const char *word, *type;
} kinds[] = {
	[RECORD_A] = { "A", "A" },          [RECORD_AAAA] = { "AAAA", "AAAA" },
	[RECORD_IP4P] = { "IP4P", "AAAA" }, [RECORD_HTTPS] = { "HTTPS", "HTTPS" },
	[RECORD_SRV] = { "SRV", "SRV" },    [RECORD_TXT] = { "TXT", "TXT" },
};

/* The next word to buf; what is behind it and its blanks, or NULL: none, or too long. */
static const char *take_word(const char *text, char *buf, size_t size)
{
	size_t len = strcspn(text, " \t");

	if (len == 0 || len >= size)
		return NULL;
	memcpy(buf, text, len);
	buf[len] = '\0';
	text += len;
	return text + strspn(text, " \t");
}

int dns_record_parse(const char *value, struct dns_record *ret_record)
{
	struct dns_record record = { .text = "" };
	char type[8] = "";
	const char *rest = take_word(value + strspn(value, " \t"), type, sizeof(type));
	size_t kind = 0;

	if (rest)
		rest = take_word(rest, record.name, sizeof(record.name));
	while (kind < N(kinds) && strcmp(kinds[kind].word, type) != 0)
		kind++;
	if (!rest || kind == N(kinds))
		return -EINVAL;
	record.kind = (enum record_kind)kind;
	if (record.kind == RECORD_SRV)
		rest = take_word(rest, record.host, sizeof(record.host));
	else if (record.kind == RECORD_TXT)
		record.text = rest;
	if (!rest || (record.kind != RECORD_TXT && *rest))
		return -EINVAL;
	*ret_record = record;
	return 0;
}

const char *dns_record_type(const struct dns_record *record)
{
	return kinds[record->kind].type;
}

/* ---- texts ---- */

static const char *member(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

/* Names may or may not have the root's dot. */
static bool same_name(const char *a, const char *b)
{
	size_t n = strlen(a), m = strlen(b);

	n -= n && a[n - 1] == '.';
	m -= m && b[m - 1] == '.';
	return n == m && strncasecmp(a, b, n) == 0;
}

/* 2001::PORT:HI16:LO16 */
static bool is_ip4p(const char *content)
{
	static const uint8_t prefix[10] = { 0x20, 0x01 };
	struct ph_address a;

	return ph_address_parse(content, &a) == 0 && a.family == PH_IPV6 &&
	       memcmp(a.octets, prefix, sizeof(prefix)) == 0;
}

static bool same_address(const char *a, const char *b)
{
	struct ph_address x, y;

	return ph_address_parse(a, &x) == 0 && ph_address_parse(b, &y) == 0 &&
	       ph_address_equal(&x, &y);
}

/*
 * TXT in a zone file's way: strings in quotes, each of at most 255 octets, with \ before a quote or
 * itself (RFC 1035 sections 3.3.14 and 5.1).
 */
static void quote(const char *text, struct buffer *b)
{
	size_t n = 0;

	buffer_puts(b, "\"");
	for (; *text; text++, n++) {
		if (n && n % 255 == 0)
			buffer_puts(b, "\" \"");
		if (*text == '"' || *text == '\\')
			buffer_puts(b, "\\");
		buffer_add(b, text, 1);
	}
	buffer_puts(b, "\"");
}

/* Of what does not begin with a quote: as it is. */
static void unquote(const char *content, struct buffer *b)
{
	bool inside = false;

	if (*content != '"') {
		buffer_puts(b, content);
		return;
	}
	for (; *content; content++) {
		if (*content == '"') {
			inside = !inside;
			continue;
		}
		if (!inside)
			continue;
		if (*content == '\\' && content[1])
			content++;
		buffer_add(b, content, 1);
	}
}

static bool same_text(const char *content, const char *text)
{
	struct buffer b = { 0 };
	bool same;

	unquote(content, &b);
	same = buffer_text(&b) && strcmp(buffer_text(&b), text) == 0;
	buffer_done(&b);
	return same;
}

/* ---- HTTPS: key=value words, values perhaps in quotes (RFC 9460 section 2.1) ---- */

static size_t parameter_length(const char *at)
{
	bool quoted = false;
	size_t len = 0;

	for (; at[len] && (quoted || at[len] != ' '); len++) {
		if (at[len] == '\\' && at[len + 1])
			len++;
		else if (at[len] == '"')
			quoted = !quoted;
	}
	return len;
}

static bool is_port(const char *at, size_t len)
{
	return len >= 5 && strncmp(at, "port=", 5) == 0;
}

/* 0: none. */
static uint16_t https_port(const char *value)
{
	for (size_t len; *value; value += len + strspn(value + len, " ")) {
		char digits[8];
		uint16_t port;

		len = parameter_length(value);
		if (!is_port(value, len))
			continue;
		snprintf(digits, sizeof(digits), "%.*s",
			 (int)strspn(value + 5 + (value[5] == '"'), "0123456789"),
			 value + 5 + (value[5] == '"'));
		return ph_port_parse(digits, &port) == 0 ? port : 0;
	}
	return 0;
}

static void https_with_port(const char *value, uint16_t port, struct buffer *b)
{
	bool found = false;

	for (size_t len; *value; value += len + strspn(value + len, " ")) {
		len = parameter_length(value);
		if (b->len)
			buffer_puts(b, " ");
		if (is_port(value, len)) {
			buffer_printf(b, "port=\"%u\"", port);
			found = true;
		} else {
			buffer_add(b, value, len);
		}
	}
	if (!found)
		buffer_printf(b, "%sport=\"%u\"", b->len ? " " : "", port);
}

/* ---- which one ---- */

static bool has_content(const struct dns_record *record, const json_t *have, const char *wanted)
{
	const char *there = member(have, "content");

	if (*wanted == '\0')
		return false;
	return record->kind == RECORD_TXT ? same_text(there, wanted) : same_address(there, wanted);
}

static bool is_right(const struct dns_want *want, const json_t *have)
{
	const json_t *data = json_object_get(have, "data");

	switch (want->record->kind) {
	case RECORD_A:
	case RECORD_AAAA:
	case RECORD_IP4P:
	case RECORD_TXT:
		return has_content(want->record, have, want->content);
	case RECORD_HTTPS:
		return https_port(member(data, "value")) == want->port;
	case RECORD_SRV:
		return json_integer_value(json_object_get(data, "port")) == want->port;
	}
	return false;
}

static bool is_ours(const struct dns_want *want, const json_t *have)
{
	return strcmp(member(have, "comment"), want->comment) == 0;
}

static bool is_meant(const struct dns_want *want, const json_t *have)
{
	const struct dns_record *record = want->record;

	if (strcmp(member(have, "type"), dns_record_type(record)) != 0 ||
	    !same_name(member(have, "name"), record->name))
		return false;
	switch (record->kind) {
	case RECORD_A:
	case RECORD_HTTPS:
		return true;
	case RECORD_AAAA:
		return !is_ip4p(member(have, "content"));
	case RECORD_IP4P:
		return is_ip4p(member(have, "content"));
	case RECORD_SRV:
		return same_name(member(json_object_get(have, "data"), "target"), record->host);
	case RECORD_TXT:
		return is_ours(want, have) || has_content(record, have, want->content) ||
		       has_content(record, have, want->previous);
	}
	return false;
}

struct candidates {
	size_t n, n_before, n_ours;
	const json_t *any, *right, *before, *ours;
};

static struct candidates find_candidates(const struct dns_want *want, const json_t *records)
{
	struct candidates c = { 0 };
	size_t i;
	const json_t *have;

	for (i = 0; i < json_array_size(records); i++) {
		have = json_array_get(records, i);
		if (!is_meant(want, have))
			continue;
		c.n++;
		c.any = have;
		if (is_right(want, have))
			c.right = have;
		if (has_content(want->record, have, want->previous)) {
			c.n_before++;
			c.before = have;
		}
		if (is_ours(want, have)) {
			c.n_ours++;
			c.ours = have;
		}
	}
	return c;
}

enum dns_choice dns_choose(const struct dns_want *want, const json_t *records,
			   const json_t **ret_record)
{
	struct candidates c = find_candidates(want, records);
	const json_t *chosen = c.right;

	if (c.n == 0)
		return DNS_NONE;
	if (!chosen && c.n == 1)
		chosen = c.any;
	if (!chosen && c.n_before == 1)
		chosen = c.before;
	if (!chosen && c.n_ours == 1)
		chosen = c.ours;
	if (!chosen)
		return DNS_UNCLEAR;
	*ret_record = chosen;
	return DNS_ONE;
}

/* ---- bodies ---- */

static json_t *content_of(const struct dns_want *want)
{
	struct buffer b = { 0 };
	json_t *content;

	if (want->record->kind == RECORD_TXT)
		quote(want->content, &b);
	else
		buffer_puts(&b, want->content);
	content = buffer_text(&b) ? json_string(buffer_text(&b)) : NULL;
	buffer_done(&b);
	return content;
}

/* have: the record's data, or NULL of one that does not exist yet. */
static json_t *https_data(const struct dns_want *want, const json_t *have)
{
	json_t *data =
		have ? json_deep_copy(have) : json_pack("{s:i, s:s}", "priority", 1, "target", ".");
	struct buffer b = { 0 };

	https_with_port(member(have, "value"), want->port, &b);
	if (!buffer_text(&b) || json_object_set_new(data, "value", json_string(buffer_text(&b)))) {
		json_decref(data);
		data = NULL;
	}
	buffer_done(&b);
	return data;
}

static json_t *srv_data(const struct dns_want *want, const json_t *have)
{
	json_t *data = have ? json_deep_copy(have)
			    : json_pack("{s:i, s:i, s:s}", "priority", 0, "weight", 0, "target",
					want->record->host);

	if (json_object_set_new(data, "port", json_integer(want->port))) {
		json_decref(data);
		return NULL;
	}
	return data;
}

/* What the record says, under the key that its type has for it. */
static int set_value(const struct dns_want *want, const json_t *have, json_t *body)
{
	const json_t *data = json_object_get(have, "data");

	switch (want->record->kind) {
	case RECORD_A:
	case RECORD_AAAA:
	case RECORD_IP4P:
	case RECORD_TXT:
		return json_object_set_new(body, "content", content_of(want));
	case RECORD_HTTPS:
		return json_object_set_new(body, "data", https_data(want, data));
	case RECORD_SRV:
		return json_object_set_new(body, "data", srv_data(want, data));
	}
	return -1;
}

static json_t *named(const struct dns_want *want, json_int_t ttl)
{
	return json_pack("{s:s, s:s, s:I}", "type", dns_record_type(want->record), "name",
			 want->record->name, "ttl", ttl);
}

json_t *dns_create(const struct dns_want *want)
{
	enum record_kind kind = want->record->kind;
	json_t *body = named(want, want->ttl ? want->ttl : 1 /* automatic */);
	int failed = set_value(want, NULL, body) ||
		     json_object_set_new(body, "comment", json_string(want->comment));

	/* Cloudflare's proxy takes few ports, and ours is none of them. */
	if (kind == RECORD_A || kind == RECORD_AAAA || kind == RECORD_IP4P)
		failed = failed || json_object_set_new(body, "proxied", json_false());
	if (failed) {
		json_decref(body);
		return NULL;
	}
	return body;
}

enum dns_difference dns_compare(const struct dns_want *want, const json_t *record,
				json_t **ret_body)
{
	json_int_t have = json_integer_value(json_object_get(record, "ttl"));
	/* One that is proxied has no other TTL than the API's choice. */
	bool ttl =
		want->ttl && !json_is_true(json_object_get(record, "proxied")) && want->ttl != have;
	bool right = is_right(want, record);
	json_t *body;

	if (right && !ttl)
		return DNS_SAME;
	body = named(want, ttl ? want->ttl : have);
	if (!body || (!right && set_value(want, record, body))) {
		json_decref(body);
		return DNS_NO_MEMORY;
	}
	*ret_body = body;
	return DNS_DIFFERS;
}
