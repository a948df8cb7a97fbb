/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * What receivers were told, over a restart: STATE/NAME.told.json. Who was told and has the same
 * settings is not told again, and hears of a change from the last endpoint that it knew. A hook
 * may have done something that does not outlive the machine's boot: after that it is told anew. A
 * publisher is told once more, for the file may be older than what it heard last: nothing forces
 * it to the disk, which a daemon on a router's flash should not do.
 */

#include "daemon_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pinhold/log.h>
#include <pinhold/state_file.h>

#include "receivers.h"

#define BOOT_OCTETS 36

/* FNV-1a; the settings themselves may hold a secret. */
static void digest(const char *text, char ret[static 17])
{
	uint64_t h = UINT64_C(14695981039346656037);

	for (; text && *text; text++)
		h = (h ^ (unsigned char)*text) * UINT64_C(1099511628211);
	snprintf(ret, 17, "%016llx", (unsigned long long)h);
}

static void boot_id(char ret[static BOOT_OCTETS + 1])
{
	FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");

	if (!f || !fgets(ret, BOOT_OCTETS + 1, f))
		ret[0] = '\0';
	if (f)
		fclose(f);
}

static void file_name(const struct mapping_run *run, char ret[static PH_NAME_MAX + 16])
{
	snprintf(ret, PH_NAME_MAX + 16, "%s.told.json", run->config->core.name);
}

static json_t *read_file(const struct mapping_run *run)
{
	const char *directory = ph_daemon_state_directory(run->daemon);
	char name[PH_NAME_MAX + 16], *text;
	json_t *o = NULL;
	size_t len;

	if (!directory)
		return NULL;
	file_name(run, name);
	if (ph_state_read(directory, name, &text, &len) == 0) {
		o = json_loadb(text, len, 0, NULL);
		free(text);
	}
	/* Whatever it is, it was not of this mapping as it is now. */
	if (o && strcmp(json_string_value(json_object_get(o, "protocol"))
				? json_string_value(json_object_get(o, "protocol"))
				: "",
			ph_proto_name(run->config->core.proto)) != 0) {
		json_decref(o);
		o = NULL;
	}
	return o;
}

static bool read_endpoint(const json_t *o, const char *key, enum ph_family family,
			  struct ph_endpoint *ret)
{
	const json_t *pair = json_object_get(o, key);
	const char *address = json_string_value(json_array_get(pair, 0));
	json_int_t port = json_integer_value(json_array_get(pair, 1));

	if (!address || ph_address_parse(address, &ret->address) < 0 ||
	    ret->address.family != family || port < 1 || port > 65535)
		return false;
	ret->port = (uint16_t)port;
	return true;
}

static bool is_of(const json_t *o, const struct receiver_run *r)
{
	const char *kind = json_string_value(json_object_get(o, "kind"));
	const char *name = json_string_value(json_object_get(o, "name"));
	const char *settings = json_string_value(json_object_get(o, "settings"));
	char own[17];

	digest(r->spec, own);
	return kind && name && settings &&
	       strcmp(kind, r->kind == RECEIVER_HOOK ? "hook" : "publisher") == 0 &&
	       strcmp(name, r->name) == 0 && strcmp(settings, own) == 0;
}

/* Until the mapping has a state, what it was told is the latest. */
static void take(struct receiver_run *r, const struct ph_told *heard, const json_t *o,
		 bool same_boot)
{
	if (!same_boot && r->kind == RECEIVER_HOOK)
		return;
	r->receiver.unsure = !same_boot || !json_is_true(json_object_get(o, "sure"));
	if (json_is_false(json_object_get(o, "acknowledged"))) {
		r->receiver.maybe = *heard;
		return;
	}
	r->receiver.told = *heard;
	if (!r->run->spoken)
		r->receiver.latest = *heard;
}

void told_load(struct receiver_run *r)
{
	const struct mapping_run *run = r->run;
	json_t *o = read_file(run), *item;
	const char *boot = json_string_value(json_object_get(o, "boot"));
	char now[BOOT_OCTETS + 1];
	size_t i;

	boot_id(now);
	json_array_foreach(json_object_get(o, "receivers"), i, item)
	{
		enum ph_family family = run->config->core.family;
		struct ph_told heard = { 0 };

		if (is_of(item, r) &&
		    read_endpoint(item, "public", family, &heard.public_endpoint) &&
		    read_endpoint(item, "private", family, &heard.private_endpoint))
			take(r, &heard, item, boot && *now && strcmp(boot, now) == 0);
	}
	json_decref(o);
}

static json_t *endpoint_json(const struct ph_endpoint *e)
{
	char text[PH_ADDRESS_STRLEN];

	return json_pack("[s, i]", ph_address_format(&e->address, text), e->port);
}

/* NULL: it has not heard of any endpoint, or will not be told any more. */
static json_t *receiver_json(const struct receiver_run *r)
{
	const struct ph_told *heard = ph_receiver_heard(&r->receiver);
	char settings[17];

	if (r->gone || !heard->public_endpoint.port)
		return NULL;
	digest(r->spec, settings);
	/* Who is being told, or could not be, may have heard or not. */
	return json_pack("{s:s, s:s, s:s, s:b, s:b, s:o, s:o}", "kind",
			 r->kind == RECEIVER_HOOK ? "hook" : "publisher", "name", r->name,
			 "settings", settings, "sure", !r->receiver.unsure, "acknowledged",
			 r->receiver.told.public_endpoint.port != 0, "public",
			 endpoint_json(&heard->public_endpoint), "private",
			 endpoint_json(&heard->private_endpoint));
}

/* For free(); NULL: out of memory. */
static char *file_text(const struct mapping_run *run)
{
	json_t *receivers = json_array(), *o, *one;
	char boot[BOOT_OCTETS + 1], *text;

	for (const struct receiver_run *r = run->receivers; r; r = r->next)
		if ((one = receiver_json(r)))
			json_array_append_new(receivers, one);
	boot_id(boot);
	o = json_pack("{s:s, s:s, s:o}", "boot", boot, "protocol",
		      ph_proto_name(run->config->core.proto), "receivers", receivers);
	text = o ? json_dumps(o, JSON_COMPACT) : NULL;
	json_decref(o);
	return text;
}

void told_save(struct mapping_run *run)
{
	const char *directory = ph_daemon_state_directory(run->daemon);
	char name[PH_NAME_MAX + 16], *text;
	int r = -ENOMEM;

	if (!directory)
		return;
	text = file_text(run);
	if (text && run->told_text && strcmp(text, run->told_text) == 0) {
		free(text);
		return;
	}
	free(run->told_text);
	run->told_text = NULL;
	file_name(run, name);
	if (text)
		/* The digest of settings is not for everybody: a short secret in them can be
		 * guessed. */
		r = ph_state_write(directory, name, 0600, text, strlen(text));
	if (r == 0) {
		run->told_text = text;
	} else {
		/* Whoever is not in it is told once more; what it says now would be believed. */
		ph_state_remove(directory, name);
		free(text);
	}
	ph_daemon_state_error(run->daemon, r);
}

void told_remove(struct mapping_run *run)
{
	const char *directory = ph_daemon_state_directory(run->daemon);
	char name[PH_NAME_MAX + 16];

	if (!directory)
		return;
	file_name(run, name);
	ph_state_remove(directory, name);
	free(run->told_text);
	run->told_text = NULL;
}
