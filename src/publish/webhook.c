// SPDX-License-Identifier: GPL-2.0-or-later
/* Any HTTP receiver: a URL, header fields and a body with variables. */

#include <string.h>
#include <strings.h>

#include "template.h"
#include "types.h"
#include "wiped.h"

#define HEADERS_MAX 66 /* PH_SETTINGS_MAX, one of our own, NULL */

struct hook {
	struct buffer url, body;
	struct buffer headers[HEADERS_MAX];
	size_t n_headers;
	bool has_body;
};

/* The value of a header setting, or NULL if it has another name. */
static const char *header_value(const char *header, const char *name)
{
	size_t len = strlen(name);

	if (strncasecmp(header, name, len) != 0 || header[len] != ':')
		return NULL;
	return header + len + 1 + strspn(header + len + 1, " \t");
}

static const char *content_type(const struct job *job)
{
	for (size_t i = 0; i < job->n_settings; i++) {
		const char *value = strcmp(job->settings[i].key, "header") == 0
					    ? header_value(job->settings[i].value, "Content-Type")
					    : NULL;

		if (value)
			return value;
	}
	return NULL;
}

static bool looks_like_json(const char *body)
{
	body += strspn(body, " \t");
	return *body == '{' || *body == '[';
}

static enum escape body_escape(const char *body, const char *type)
{
	if (type && strcasestr(type, "json"))
		return ESCAPE_JSON;
	if (type && strcasestr(type, "x-www-form-urlencoded"))
		return ESCAPE_URL;
	return looks_like_json(body) ? ESCAPE_JSON : ESCAPE_NONE;
}

/* Where a line ends another field could begin. */
static int check_header(const char *header, struct result *r)
{
	for (const char *c = header; *c; c++)
		if (((unsigned char)*c < 0x20 && *c != '\t') || *c == 0x7f)
			return result_give_up(
				r, "header %.*s: the value would have a control character",
				(int)strcspn(header, ":"), header);
	return 0;
}

static int add_header(struct hook *h, const struct publication *p, const char *text,
		      struct result *r)
{
	struct buffer *b = &h->headers[h->n_headers];
	const char *line;
	size_t name;

	if (h->n_headers + 1 >= HEADERS_MAX)
		return result_give_up(r, "too many header fields");
	h->n_headers++;
	if (template_expand(text, ESCAPE_NONE, &p->job->event, p->secrets, b, r))
		return -1;
	line = buffer_text(b);
	name = strcspn(line, ":");
	/* libcurl takes "Name:" for a wish to leave the field out. */
	if (line[name] == ':' && line[name + 1 + strspn(line + name + 1, " \t")] == '\0')
		b->data[name] = ';';
	return check_header(line, r);
}

static int add_type(struct hook *h, const struct publication *p, struct result *r)
{
	const char *body = job_setting(p->job, "body");

	if (!body || content_type(p->job))
		return 0;
	return add_header(h, p,
			  looks_like_json(body) ? "Content-Type: application/json"
						: "Content-Type: text/plain; charset=utf-8",
			  r);
}

static int make(struct hook *h, const struct publication *p, struct result *r)
{
	const struct job *job = p->job;
	const char *url = job_setting(job, "url"), *body = job_setting(job, "body");

	if (!url)
		return result_give_up(r, "there is no url");
	if (template_expand_url(url, &job->event, p->secrets, &h->url, r))
		return -1;
	for (size_t i = 0; i < job->n_settings; i++)
		if (strcmp(job->settings[i].key, "header") == 0 &&
		    add_header(h, p, job->settings[i].value, r))
			return -1;
	if (add_type(h, p, r))
		return -1;
	h->has_body = body;
	return body ? template_expand(body, body_escape(body, content_type(job)), &job->event,
				      p->secrets, &h->body, r)
		    : 0;
}

static void send_hook(const struct hook *h, const struct publication *p, struct result *r)
{
	const char *method = job_setting(p->job, "method"), *headers[HEADERS_MAX] = { NULL };
	char excerpt[EXCERPT_MAX];
	struct answer a;
	struct call call = {
		.method = method ? method : (h->has_body ? "POST" : "GET"),
		.url = buffer_text(&h->url),
		.headers = headers,
		.body = h->has_body ? buffer_text(&h->body) : NULL,
	};

	for (size_t i = 0; i < h->n_headers; i++)
		headers[i] = buffer_text(&h->headers[i]);
	if (session_call(p->session, &call, &a, r))
		return;
	answer_excerpt(p->session, &a, excerpt);
	if (answer_check(&a, excerpt, r) == 0)
		result_ok(r, "%s: status %ld", a.where, a.status);
	answer_done(&a);
}

void webhook_publish(const struct publication *p, struct result *r)
{
	struct hook *h = wiped_calloc(1, sizeof(*h));

	if (!h) {
		result_no_memory(r);
		return;
	}
	if (make(h, p, r) == 0)
		send_hook(h, p, r);
	buffer_done(&h->url);
	buffer_done(&h->body);
	for (size_t i = 0; i < h->n_headers; i++)
		buffer_done(&h->headers[i]);
	wiped_free(h);
}
