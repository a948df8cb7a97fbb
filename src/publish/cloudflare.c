// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Cloudflare's API v4: a bearer token, and answers that are objects with `success`, `errors` (each
 * a code and a message), `result` and, of lists, `result_info` with the number of pages.
 */

#include "cloudflare.h"

#include <stdio.h>
#include <string.h>

#include "template.h"
#include "wiped.h"

#define PAGES_MAX 100
#define PAGE      50 /* entries; the most that zones allow */

int cloudflare_init(struct cloudflare *cf, const struct publication *p, struct result *r)
{
	const char *file = job_setting(p->job, "token-file"), *api = job_setting(p->job, "api");
	const char *token;

	*cf = (struct cloudflare){ .p = p };
	if (!file)
		return result_give_up(r, "there is no token-file");
	if (secret_read(p->secrets, file, &token, r))
		return -1;
	if (token[strspn(token, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				"0123456789-._~+/=")] != '\0')
		return result_give_up(r, "%s: this is no API token", file);
	buffer_printf(&cf->authorization, "Authorization: Bearer %s", token);
	buffer_puts(&cf->base, api ? api : CLOUDFLARE_API);
	if (!buffer_text(&cf->authorization) || !buffer_text(&cf->base))
		return result_no_memory(r);
	while (cf->base.len && cf->base.data[cf->base.len - 1] == '/')
		cf->base.data[--cf->base.len] = '\0';
	cf->api = buffer_text(&cf->base);
	return 0;
}

void cloudflare_done(struct cloudflare *cf)
{
	buffer_done(&cf->authorization);
	buffer_done(&cf->base);
}

int cloudflare_call(const struct cloudflare *cf, const char *method, const char *path,
		    const char *type, const char *body, struct answer *ret_answer, struct result *r)
{
	const char *headers[] = { buffer_text(&cf->authorization), type, NULL };
	struct buffer url = { 0 };
	struct call call = { .method = method, .headers = headers, .body = body };
	int failed;

	buffer_puts(&url, cf->api);
	buffer_puts(&url, path);
	call.url = buffer_text(&url);
	failed =
		call.url ? session_call(cf->p->session, &call, ret_answer, r) : result_no_memory(r);
	buffer_done(&url);
	return failed;
}

/* "10000 Authentication error", "" if the answer has none. */
static void api_words(const struct cloudflare *cf, const json_t *object, char *buf, size_t size)
{
	const json_t *error = json_array_get(json_object_get(object, "errors"), 0);
	const char *message = json_string_value(json_object_get(error, "message"));
	char *copy = wiped_strdup(message ? message : "");

	buf[0] = '\0';
	if (copy && *copy) {
		secrets_redact(cf->p->secrets, copy);
		snprintf(buf, size, "%lld %.200s",
			 (long long)json_integer_value(json_object_get(error, "code")), copy);
	}
	wiped_free(copy);
}

int cloudflare_check(const struct cloudflare *cf, const struct answer *a, json_t **ret_object,
		     struct result *r)
{
	const char *text = buffer_text(&a->body);
	json_error_t why;
	json_t *object = text ? json_loads(text, 0, &why) : NULL;
	char words[256];
	int failed;

	api_words(cf, object, words, sizeof(words));
	failed = answer_check(a, words, r);
	if (!failed && !json_is_object(object))
		failed = result_retry(r, 0, "%s: the answer is not one of Cloudflare's API",
				      a->where);
	else if (!failed && !json_is_true(json_object_get(object, "success")))
		failed = result_retry(r, 0, "%s: no success%s%s", a->where, *words ? ": " : "",
				      words);
	if (failed) {
		json_decref(object);
		return -1;
	}
	*ret_object = object;
	return 0;
}

int cloudflare_ask(const struct cloudflare *cf, const char *method, const char *path,
		   const json_t *body, json_t **ret_object, struct result *r)
{
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	struct answer a;
	int failed;

	if (body && !text)
		return result_no_memory(r);
	failed = cloudflare_call(cf, method, path, body ? "Content-Type: application/json" : NULL,
				 text, &a, r);
	wiped_free(text);
	if (failed)
		return -1;
	failed = cloudflare_check(cf, &a, ret_object, r);
	answer_done(&a);
	return failed;
}

/* One page to the end of the array; 0 and the number of pages, or -1. */
static int add_page(const struct cloudflare *cf, const char *path, unsigned page, json_t *array,
		    json_int_t *ret_pages, struct result *r)
{
	struct buffer b = { 0 };
	json_t *object = NULL, *result;
	int failed;

	buffer_printf(&b, "%s&page=%u&per_page=%d", path, page, PAGE);
	failed = buffer_text(&b) ? cloudflare_ask(cf, "GET", buffer_text(&b), NULL, &object, r)
				 : result_no_memory(r);
	buffer_done(&b);
	if (failed)
		return -1;
	result = json_object_get(object, "result");
	*ret_pages = json_integer_value(
		json_object_get(json_object_get(object, "result_info"), "total_pages"));
	if (!json_is_array(result))
		failed = result_retry(r, 0, "Cloudflare's answer has no list");
	else if (json_array_extend(array, result))
		failed = result_no_memory(r);
	json_decref(object);
	return failed;
}

int cloudflare_list(const struct cloudflare *cf, const char *path, json_t **ret_array,
		    struct result *r)
{
	json_t *array = json_array();
	json_int_t pages = 1;

	if (!array)
		return result_no_memory(r);
	for (unsigned page = 1; page <= pages; page++) {
		int failed = add_page(cf, path, page, array, &pages, r);

		if (!failed && pages > PAGES_MAX)
			failed = result_give_up(r, "Cloudflare's list has too many pages");
		if (failed) {
			json_decref(array);
			return -1;
		}
	}
	*ret_array = array;
	return 0;
}
