// SPDX-License-Identifier: GPL-2.0-or-later
#include "template.h"

#include <stdio.h>
#include <string.h>

#include <pinhold/config.h>

#define N(array) (sizeof(array) / sizeof(*(array)))

static void add_json(struct buffer *b, const char *text)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			buffer_add(b, "\\", 1);
		if (c < 0x20)
			buffer_printf(b, "\\u%04x", c);
		else
			buffer_add(b, text, 1);
	}
}

/* isalnum() would ask the locale. */
static bool unreserved(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '.' || c == '_' || c == '~';
}

static void add_url(struct buffer *b, const char *text)
{
	for (; *text; text++) {
		if (unreserved((unsigned char)*text))
			buffer_add(b, text, 1);
		else
			buffer_printf(b, "%%%02X", (unsigned char)*text);
	}
}

void escape_add(struct buffer *b, enum escape escape, const char *text)
{
	switch (escape) {
	case ESCAPE_NONE:
		buffer_puts(b, text);
		break;
	case ESCAPE_JSON:
		add_json(b, text);
		break;
	case ESCAPE_URL:
		add_url(b, text);
		break;
	}
}

/* A variable's value; of a number in buf. NULL: there is none by this name. */
static const char *look_up(const struct event *e, const char *name, char buf[static 8])
{
	const struct {
		const char *name, *text;
		uint16_t port;
	} variables[] = {
		{ "public_address", e->public_address, 0 },
		{ "public_port", NULL, e->public_port },
		{ "public_endpoint", e->public_endpoint, 0 },
		{ "ip4p", e->ip4p, 0 },
		{ "mapping", e->mapping, 0 },
		{ "protocol", e->protocol, 0 },
		{ "event", e->event, 0 },
		{ "private_port", NULL, e->private_port },
	};

	for (size_t i = 0; i < N(variables); i++) {
		if (strcmp(name, variables[i].name) != 0)
			continue;
		if (variables[i].text)
			return variables[i].text;
		snprintf(buf, 8, "%u", variables[i].port);
		return buf;
	}
	return NULL;
}

/* A secret that is written differently is a secret still. */
static int note_form(const char *secret, enum escape escape, struct secrets *secrets,
		     struct result *r)
{
	struct buffer form = { 0 };
	int failed = 0;

	if (escape == ESCAPE_NONE)
		return 0;
	escape_add(&form, escape, secret);
	if (!buffer_text(&form))
		failed = result_no_memory(r);
	else if (strcmp(buffer_text(&form), secret) != 0)
		failed = secret_also(secrets, buffer_text(&form), r);
	buffer_done(&form);
	return failed;
}

static int add_variable(const char *name, enum escape escape, const struct event *event,
			struct secrets *secrets, struct buffer *b, struct result *r)
{
	char number[8];
	const char *value;

	if (strncmp(name, "file:", 5) == 0) {
		if (secret_read(secrets, name + 5, &value, r) ||
		    note_form(value, escape, secrets, r))
			return -1;
	} else {
		value = look_up(event, name, number);
		if (!value)
			return result_give_up(r, "a setting has an unknown variable");
	}
	escape_add(b, escape, value);
	return 0;
}

/* At "${": its end, behind the brace, with the name, or NULL. */
static const char *read_variable(const char *at, char name[static PH_VALUE_MAX])
{
	const char *end = strchr(at, '}');
	size_t len;

	if (!end)
		return NULL;
	len = (size_t)(end - at) - 2;
	if (len >= PH_VALUE_MAX)
		return NULL;
	memcpy(name, at + 2, len);
	name[len] = '\0';
	return end + 1;
}

int template_expand(const char *text, enum escape escape, const struct event *event,
		    struct secrets *secrets, struct buffer *b, struct result *r)
{
	char name[PH_VALUE_MAX];
	const char *at;

	while ((at = strstr(text, "${"))) {
		buffer_add(b, text, (size_t)(at - text));
		text = read_variable(at, name);
		if (!text)
			return result_give_up(r, "a setting has ${ without }");
		if (add_variable(name, escape, event, secrets, b, r))
			return -1;
	}
	buffer_puts(b, text);
	return b->failed ? result_no_memory(r) : 0;
}

/* Where the path, query or fragment begins; what stands in variables does not count. */
static size_t authority_length(const char *url)
{
	const char *scheme = strstr(url, "://");
	bool variable = false;
	size_t i = scheme ? (size_t)(scheme - url) + 3 : 0;

	for (; url[i]; i++) {
		if (strncmp(url + i, "${", 2) == 0)
			variable = true;
		else if (url[i] == '}')
			variable = false;
		else if (!variable && strchr("/?#", url[i]))
			break;
	}
	return i;
}

static bool plain_host(const char *text)
{
	return text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				 "0123456789-._:[]")] == '\0';
}

/* Piece by piece: what stands in the text, and what a variable gives. */
static int expand_authority(const char *text, const struct event *event, struct secrets *secrets,
			    struct buffer *b, struct result *r)
{
	char name[PH_VALUE_MAX];
	const char *at;
	size_t before;

	while ((at = strstr(text, "${"))) {
		buffer_add(b, text, (size_t)(at - text));
		text = read_variable(at, name);
		if (!text)
			return result_give_up(r, "a setting has ${ without }");
		before = b->len;
		if (add_variable(name, strchr(text, '@') ? ESCAPE_URL : ESCAPE_NONE, event, secrets,
				 b, r))
			return -1;
		if (buffer_text(b) && !strchr(text, '@') && !plain_host(buffer_text(b) + before))
			return result_give_up(r,
					      "url: a variable is no host name, address or port");
	}
	buffer_puts(b, text);
	return b->failed ? result_no_memory(r) : 0;
}

int template_expand_url(const char *text, const struct event *event, struct secrets *secrets,
			struct buffer *b, struct result *r)
{
	size_t len = authority_length(text);
	struct buffer authority = { 0 };
	int failed;

	buffer_add(&authority, text, len);
	if (!buffer_text(&authority))
		return result_no_memory(r);
	failed = expand_authority(buffer_text(&authority), event, secrets, b, r);
	buffer_done(&authority);
	return failed ? -1 : template_expand(text + len, ESCAPE_URL, event, secrets, b, r);
}
