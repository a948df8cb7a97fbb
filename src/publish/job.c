// SPDX-License-Identifier: GPL-2.0-or-later
#include "job.h"

#include <limits.h>
#include <stdbool.h>
#include <string.h>

#include <pinhold/endpoint.h>

#include "wiped.h"

#define N(array) (sizeof(array) / sizeof(*(array)))

static int take_text(const json_t *object, const char *key, const char **ret_text, struct result *r)
{
	const char *text = json_string_value(json_object_get(object, key));

	if (!text)
		return result_give_up(r, "input: no text \"%s\"", key);
	*ret_text = text;
	return 0;
}

static int take_port(const json_t *object, const char *key, uint16_t *ret_port, struct result *r)
{
	const json_t *value = json_object_get(object, key);
	json_int_t port = json_integer_value(value);

	if (!json_is_integer(value) || port < 0 || port > UINT16_MAX)
		return result_give_up(r, "input: no port \"%s\"", key);
	*ret_port = (uint16_t)port;
	return 0;
}

static int one_of(const char *key, const char *text, const char *const words[], size_t n,
		  struct result *r)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(text, words[i]) == 0)
			return 0;
	return result_give_up(r, "input: \"%s\" has an unknown value", key);
}

/* A lost endpoint may be unknown. */
static int check_public(const struct event *e, struct result *r)
{
	struct ph_address address;

	if (strcmp(e->event, "down") == 0 && *e->public_address == '\0' && e->public_port == 0)
		return 0;
	if (ph_address_parse(e->public_address, &address) < 0 || e->public_port == 0)
		return result_give_up(r, "input: no public endpoint");
	if ((address.family == PH_IPV4) != (strcmp(e->family, "ipv4") == 0))
		return result_give_up(r, "input: the public address is not of the family");
	return 0;
}

static int take_event(const json_t *object, struct event *e, struct result *r)
{
	static const char *const events[] = { "up", "change", "down" };
	static const char *const protocols[] = { "tcp", "udp" };
	static const char *const families[] = { "ipv4", "ipv6" };
	const struct {
		const char *key;
		const char **text;
	} texts[] = {
		{ "event", &e->event },
		{ "mapping", &e->mapping },
		{ "protocol", &e->protocol },
		{ "family", &e->family },
		{ "interface", &e->interface },
		{ "target", &e->target },
		{ "public_address", &e->public_address },
		{ "public_endpoint", &e->public_endpoint },
		{ "ip4p", &e->ip4p },
		{ "previous_address", &e->previous_address },
		{ "private_address", &e->private_address },
	};

	for (size_t i = 0; i < N(texts); i++)
		if (take_text(object, texts[i].key, texts[i].text, r))
			return -1;
	if (take_port(object, "public_port", &e->public_port, r) ||
	    take_port(object, "previous_port", &e->previous_port, r) ||
	    take_port(object, "private_port", &e->private_port, r) ||
	    one_of("event", e->event, events, N(events), r) ||
	    one_of("protocol", e->protocol, protocols, N(protocols), r) ||
	    one_of("family", e->family, families, N(families), r))
		return -1;
	return check_public(e, r);
}

static int take_settings(const json_t *array, struct job *job, struct result *r)
{
	size_t n = json_array_size(array);

	if (!json_is_array(array))
		return result_give_up(r, "input: no array \"settings\"");
	job->settings = wiped_calloc(n + 1, sizeof(*job->settings));
	if (!job->settings)
		return result_no_memory(r);
	for (size_t i = 0; i < n; i++) {
		const json_t *pair = json_array_get(array, i);
		struct setting s = {
			.key = json_string_value(json_array_get(pair, 0)),
			.value = json_string_value(json_array_get(pair, 1)),
		};

		if (!s.key || !s.value || json_array_size(pair) != 2)
			return result_give_up(r, "input: a setting is not a pair of texts");
		job->settings[job->n_settings++] = s;
	}
	return 0;
}

static int take_publisher(const json_t *object, struct job *job, struct result *r)
{
	if (take_text(object, "name", &job->name, r) || take_text(object, "type", &job->type, r))
		return -1;
	return take_settings(json_object_get(object, "settings"), job, r);
}

static int take_limit(const json_t *limits, const char *key, unsigned *limit, struct result *r)
{
	const json_t *value = json_object_get(limits, key);
	json_int_t ms = json_integer_value(value);

	if (!value)
		return 0;
	if (!json_is_integer(value) || ms < 1 || ms > PH_PUBLISH_LIMIT_MAX_MS)
		return result_give_up(r, "input: \"%s\" is no time-out", key);
	*limit = (unsigned)ms;
	return 0;
}

static int take_parent(const json_t *value, struct job *job, struct result *r)
{
	json_int_t parent = json_integer_value(value);

	if (!value)
		return 0;
	if (!json_is_integer(value) || parent < 1 || parent > INT_MAX)
		return result_give_up(r, "input: \"parent\" is no process");
	job->parent = (int)parent;
	return 0;
}

static int take_job(struct job *job, struct result *r)
{
	const json_t *limits = json_object_get(job->root, "limits");

	if (!json_is_object(job->root))
		return result_give_up(r, "input: no JSON object");
	if (limits && !json_is_object(limits))
		return result_give_up(r, "input: \"limits\" is no object");
	if (take_limit(limits, "connect_ms", &job->connect_ms, r) ||
	    take_limit(limits, "total_ms", &job->total_ms, r) ||
	    take_parent(json_object_get(job->root, "parent"), job, r) ||
	    take_publisher(json_object_get(job->root, "publisher"), job, r))
		return -1;
	return take_event(json_object_get(job->root, "event"), &job->event, r);
}

int job_parse(const char *text, size_t len, struct job *ret_job, struct result *r)
{
	struct job job = {
		.connect_ms = PH_PUBLISH_CONNECT_MS,
		.total_ms = PH_PUBLISH_TOTAL_MS,
	};
	json_error_t why;

	/* jansson's own words may quote the input. */
	job.root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
	explicit_bzero(why.text, sizeof(why.text));
	if (!job.root)
		return result_give_up(r, "input: no JSON object (near octet %d)", why.position);
	if (take_job(&job, r)) {
		job_done(&job);
		return -1;
	}
	*ret_job = job;
	return 0;
}

void job_done(struct job *job)
{
	wiped_free(job->settings);
	json_decref(job->root);
	*job = (struct job){ 0 };
}

const char *job_setting(const struct job *job, const char *key)
{
	for (size_t i = 0; i < job->n_settings; i++)
		if (strcmp(job->settings[i].key, key) == 0)
			return job->settings[i].value;
	return NULL;
}
