// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What pinhold-publish reads from its standard input, and the templates in it: any octets. What
 * comes of a template is what its escaping promises.
 */

#include "fuzz.h"

#include <stdbool.h>

#include "../../src/publish/dns_record.h"
#include "../../src/publish/job.h"
#include "../../src/publish/template.h"
#include "../../src/publish/wiped.h"

static void check_refusal(const struct result *r)
{
	CHECK(r->outcome == OUTCOME_FAILED && !r->retry);
	CHECK(strnlen(r->text, sizeof(r->text)) < sizeof(r->text));
}

static void check_escaped(const char *text)
{
	struct buffer url = { 0 }, json = { 0 };

	escape_add(&url, ESCAPE_URL, text);
	for (const char *c = buffer_text(&url); *c; c++)
		CHECK(strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~%",
			     *c));
	/* What jansson let in is UTF-8, and so the string must be JSON. */
	buffer_puts(&json, "[\"");
	escape_add(&json, ESCAPE_JSON, text);
	buffer_puts(&json, "\"]");
	json_t *array = json_loads(buffer_text(&json), 0, NULL);

	CHECK(array);
	CHECK(strcmp(json_string_value(json_array_get(array, 0)), text) == 0);
	json_decref(array);
	buffer_done(&url);
	buffer_done(&json);
}

static void check_template(const char *text, const struct event *event)
{
	struct secrets secrets = { 0 };

	for (enum escape escape = ESCAPE_NONE; escape <= ESCAPE_URL; escape++) {
		struct buffer b = { 0 };
		struct result r = { 0 };

		if (template_expand(text, escape, event, &secrets, &b, &r))
			check_refusal(&r);
		else if (!strstr(text, "${"))
			CHECK(strcmp(buffer_text(&b), text) == 0);
		buffer_done(&b);
		if (template_expand_url(text, event, &secrets, &b, &r))
			check_refusal(&r);
		buffer_done(&b);
	}
	secrets_done(&secrets);
}

static void check_job(const struct job *job)
{
	CHECK(job->name && job->type && job->event.target);
	CHECK(job->connect_ms > 0 && job->total_ms > 0);
	for (size_t i = 0; i < job->n_settings; i++) {
		const char *value = job->settings[i].value;
		struct dns_record record;

		CHECK(job_setting(job, job->settings[i].key));
		check_escaped(value);
		/* Whatever files there are here are nobody's business. */
		if (!strstr(value, "file:"))
			check_template(value, &job->event);
		if (dns_record_parse(value, &record) == 0)
			CHECK(*record.name && strlen(record.name) < sizeof(record.name));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy = exact_copy(data, size);
	struct result r = { 0 };
	struct job job;

	wiped_jansson();
	if (job_parse((const char *)copy, size, &job, &r)) {
		check_refusal(&r);
	} else {
		check_job(&job);
		job_done(&job);
	}
	free(copy);
	return 0;
}
