/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * A publisher is told by pinhold-publish, a process of its own: it gets the event on its standard
 * input and says on its standard output what came of it (pinhold/publish.h).
 */

#include "daemon_internal.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <pinhold/log.h>
#include <pinhold/publish.h>

#include "receivers.h"

#define LIMIT_MS (PH_PUBLISH_TOTAL_MS + 5000u)

/* ---- what the file says of them ---- */

void publishers_free(struct publisher_spec *specs, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (specs[i].json) {
			explicit_bzero(specs[i].json, strlen(specs[i].json));
			free(specs[i].json);
		}
	free(specs);
}

static char *describe_publisher(const struct ph_publish *p)
{
	json_t *settings = json_array(), *o;
	char *text;

	for (size_t i = 0; i < p->n_settings; i++)
		json_array_append_new(
			settings, json_pack("[s, s]", p->settings[i].key, p->settings[i].value));
	if (json_array_size(settings) != p->n_settings) {
		json_decref(settings);
		return NULL;
	}
	o = json_pack("{s:s, s:s, s:o}", "name", p->name, "type", ph_publish_type_name(p->type),
		      "settings", settings);
	text = o ? json_dumps(o, JSON_COMPACT) : NULL;
	json_decref(o);
	return text;
}

/* Only a webhook says which; to the others `down` is no news. */
static unsigned events_of(const struct ph_publish *p)
{
	unsigned events = 1u << PH_ANNOUNCE_UP | 1u << PH_ANNOUNCE_CHANGE;

	for (size_t i = 0; i < p->n_settings; i++)
		if (strcmp(p->settings[i].key, "events") == 0)
			ph_announce_list_parse(p->settings[i].value, &events);
	return events;
}

int publishers_describe(const struct ph_config *config, struct publisher_spec **ret_specs,
			size_t *ret_n)
{
	struct publisher_spec *specs = calloc(config->n_publishers + 1, sizeof(*specs));

	if (!specs)
		return -ENOMEM;
	for (size_t i = 0; i < config->n_publishers; i++) {
		const struct ph_publish *p = &config->publishers[i];

		memcpy(specs[i].name, p->name, sizeof(specs[i].name));
		specs[i].type = p->type;
		specs[i].events = events_of(p);
		specs[i].json = describe_publisher(p);
		if (!specs[i].json) {
			publishers_free(specs, config->n_publishers);
			return -ENOMEM;
		}
	}
	*ret_specs = specs;
	*ret_n = config->n_publishers;
	return 0;
}

const struct publisher_spec *ph_daemon_publisher(const struct ph_daemon *d, const char *name)
{
	for (size_t i = 0; i < d->n_publishers; i++)
		if (strcmp(d->publishers[i].name, name) == 0)
			return &d->publishers[i];
	return NULL;
}

/* ---- the program ---- */

/* Beside the daemon's own program, as it is built, or where it is installed. */
static const char *program(char buf[static PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", buf, PATH_MAX - 1);
	char *slash;

	if (n > 0) {
		buf[n] = '\0';
		slash = strrchr(buf, '/');
		if (slash &&
		    (size_t)(slash - buf) + sizeof("/publish/" PH_PUBLISH_PROGRAM) <= PATH_MAX) {
			strcpy(slash, "/publish/" PH_PUBLISH_PROGRAM);
			if (access(buf, X_OK) == 0)
				return buf;
		}
	}
	return PINHOLD_LIBEXECDIR "/" PH_PUBLISH_PROGRAM;
}

void publishers_check(const struct ph_daemon *d)
{
	char buf[PATH_MAX];
	const char *path = program(buf);

	if (d->n_publishers && access(path, X_OK) < 0)
		ph_warning("%s: %s; publishers need it", path, strerror(errno));
}

/* ---- a call ---- */

static json_t *describe_event(const struct receiver_run *r, const struct ph_delivery *d)
{
	const struct ph_mapping_config *core = &r->run->config->core;
	const struct ph_endpoint *public = &d->state.public_endpoint;
	const struct ph_endpoint *previous = &d->previous.public_endpoint;
	const struct ph_endpoint *private = &d->state.private_endpoint;
	char public_address[PH_ADDRESS_STRLEN], endpoint[PH_ENDPOINT_STRLEN];
	char ip4p[PH_ADDRESS_STRLEN], previous_address[PH_ADDRESS_STRLEN] = "";
	char private_address[PH_ADDRESS_STRLEN], target[PH_ENDPOINT_STRLEN];

	if (previous->port)
		ph_address_format(&previous->address, previous_address);
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:s, s:s, s:s, s:i, s:s, s:i, s:s}",
			 "event", ph_announce_name(d->event), "mapping", core->name, "protocol",
			 ph_proto_name(core->proto), "family",
			 core->family == PH_IPV6 ? "ipv6" : "ipv4", "interface", r->run->links.name,
			 "public_address", ph_address_format(&public->address, public_address),
			 "public_port", public->port, "public_endpoint",
			 ph_endpoint_format(public, endpoint), "ip4p", ph_ip4p_format(public, ip4p),
			 "previous_address", previous_address, "previous_port", previous->port,
			 "private_address", ph_address_format(&private->address, private_address),
			 "private_port", private->port, "target",
			 target_format(&core->target, public->port, target));
}

/* The whole input; the caller's. NULL: out of memory. */
static char *make_input(const struct receiver_run *r, const struct ph_delivery *delivery)
{
	json_t *event = describe_event(r, delivery);
	char *text = event ? json_dumps(event, JSON_COMPACT) : NULL, *input = NULL;

	json_decref(event);
	if (text && asprintf(&input, "{\"publisher\":%s,\"event\":%s,\"parent\":%d}", r->spec, text,
			     (int)getpid()) < 0)
		input = NULL;
	free(text);
	return input;
}

/* Its one line of JSON; whatever else it says is a library's complaint. */
static void on_line(void *data, const char *line)
{
	struct receiver_run *r = data;
	json_t *o = *line == '{' ? json_loads(line, 0, NULL) : NULL;
	const char *text = json_string_value(json_object_get(o, "text"));
	json_int_t after = json_integer_value(json_object_get(o, "retry_after"));

	if (!text) {
		ph_warning("publisher output mapping=%s publisher=%s: %s",
			   r->run->config->core.name, r->name, line);
	} else {
		snprintf(r->text, sizeof(r->text), "%s", text);
		r->after_ms = after > 0 && after <= 86400 ? (uint64_t)after * 1000 : 0;
	}
	json_decref(o);
}

static void on_done(void *data, const struct ph_child_result *result)
{
	struct receiver_run *r = data;
	const char *name = r->run->config->core.name;
	enum ph_receiver_end end = PH_RECEIVER_FAILED;

	r->child = NULL;
	r->last = (struct ph_status_call){
		.timed_out = result->timed_out,
		.signal = result->signal,
		.status = result->status,
	};
	if (!result->timed_out && !result->signal && result->status == PH_PUBLISH_OK)
		end = PH_RECEIVER_TOLD;
	else if (!result->timed_out && !result->signal && result->status == PH_PUBLISH_GIVE_UP)
		end = PH_RECEIVER_REFUSED;
	if (result->timed_out)
		snprintf(r->text, sizeof(r->text), "it ran into its time limit");
	else if (result->signal)
		snprintf(r->text, sizeof(r->text), "ended by signal %d", result->signal);
	else if (*r->text == '\0')
		snprintf(r->text, sizeof(r->text), "it ended with status %d, without a word",
			 result->status);
	if (end == PH_RECEIVER_TOLD)
		ph_info("published mapping=%s publisher=%s: %s", name, r->name, r->text);
	else
		ph_warning("not published mapping=%s publisher=%s: %s%s", name, r->name, r->text,
			   end == PH_RECEIVER_REFUSED ? "; given up until there is news or a reload"
						      : "");
	receiver_ended(r, end);
}

int publisher_call(struct receiver_run *r, const struct ph_delivery *delivery)
{
	static const struct ph_child_events events = { .line = on_line, .done = on_done };
	char buf[PATH_MAX];
	const char *path = program(buf);
	char *argv[] = { (char *)(uintptr_t)path, NULL };
	struct ph_child_options options = {
		.argv = argv,
		.limit_ms = LIMIT_MS,
		.line_octets = PH_PUBLISH_OUTPUT_MAX,
	};
	char *input = make_input(r, delivery);
	char **env = receiver_environment(NULL, 0);
	int error = -ENOMEM;

	r->after_ms = 0;
	r->text[0] = '\0';
	if (input && env) {
		options.env = env;
		options.input = input;
		options.input_len = strlen(input);
		error = ph_child_start(ph_daemon_loop(r->run->daemon), &options, &events, r,
				       &r->child);
	}
	free(env);
	if (input)
		explicit_bzero(input, strlen(input));
	free(input);
	if (error < 0) {
		snprintf(r->text, sizeof(r->text), "%.800s: %s", path, uv_strerror(error));
		ph_warning("not published mapping=%s publisher=%s: %s", r->run->config->core.name,
			   r->name, r->text);
	}
	return error;
}
