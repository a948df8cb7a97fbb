// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * DNS records by Cloudflare's API: GET zones?name=, then zones/ID/dns_records?type=&name=, and POST
 * there or PATCH of one of them if something differs. A record that fails does not keep the others
 * from being tried, unless the API cannot be reached or asks to wait.
 */

#include <stdio.h>
#include <string.h>

#include <pinhold/config.h>
#include <pinhold/endpoint.h>

#include "cloudflare.h"
#include "dns_record.h"
#include "template.h"

struct dns {
	struct cloudflare cf;
	json_t *zones; /* owned: name → ID, null if there is none by this name */
	size_t changed, same, other_family, failed;
	struct result failure; /* of the first that failed; asks for a retry if any does */
	bool stop;
};

/* ---- zones ---- */

/* An active one goes before another of the name. */
static const char *pick_zone(const json_t *list)
{
	const char *id = NULL;

	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *zone = json_array_get(list, i);
		const char *status = json_string_value(json_object_get(zone, "status"));
		const char *this = json_string_value(json_object_get(zone, "id"));

		if (!id || (status && strcmp(status, "active") == 0))
			id = this ? this : id;
	}
	return id;
}

/* 0 and the zone's ID (it stays the cache's) or NULL, or -1. */
static int ask_zone(struct dns *d, const char *name, const char **ret_id, struct result *r)
{
	const json_t *known = json_object_get(d->zones, name);
	struct buffer path = { 0 };
	json_t *list = NULL;
	const char *id;
	int failed;

	if (!known) {
		buffer_puts(&path, "/zones?name=");
		escape_add(&path, ESCAPE_URL, name);
		failed = buffer_text(&path) ? cloudflare_list(&d->cf, buffer_text(&path), &list, r)
					    : result_no_memory(r);
		buffer_done(&path);
		if (failed)
			return -1;
		id = pick_zone(list);
		failed = json_object_set_new(d->zones, name, id ? json_string(id) : json_null());
		json_decref(list);
		if (failed)
			return result_no_memory(r);
		known = json_object_get(d->zones, name);
	}
	*ret_id = json_string_value(known);
	return 0;
}

/* From the record's name upwards, as long as a dot is left. */
static int find_zone(struct dns *d, const char *name, const char **ret_id, struct result *r)
{
	const char *zone = job_setting(d->cf.p->job, "zone"), *at = name;

	if (strncmp(at, "*.", 2) == 0)
		at += 2;
	*ret_id = NULL;
	if (zone) {
		if (ask_zone(d, zone, ret_id, r))
			return -1;
	} else {
		for (; at && strchr(at, '.') && !*ret_id; at = strchr(at, '.') + 1)
			if (ask_zone(d, at, ret_id, r))
				return -1;
	}
	if (!*ret_id)
		return result_give_up(r, "the token sees no zone %s%s", zone ? "" : "of ",
				      zone ? zone : name);
	return 0;
}

/* ---- what it ought to be ---- */

static int set_txt(const struct dns *d, const struct dns_record *record, const struct event *e,
		   struct buffer *b, struct result *r)
{
	return template_expand(*record->text ? record->text : "${public_endpoint}", ESCAPE_NONE, e,
			       d->cf.p->secrets, b, r);
}

/* The text for the endpoint before, if there was one. */
static int set_previous_txt(const struct dns *d, const struct dns_record *record, struct buffer *b,
			    struct result *r)
{
	struct event e = d->cf.p->job->event;
	struct ph_endpoint before = { .port = e.previous_port };
	char text[PH_ENDPOINT_STRLEN], ip4p[PH_ADDRESS_STRLEN];

	if (e.previous_port == 0 || ph_address_parse(e.previous_address, &before.address) < 0)
		return 0;
	e.public_address = e.previous_address;
	e.public_port = e.previous_port;
	e.public_endpoint = ph_endpoint_format(&before, text);
	e.ip4p = ph_ip4p_format(&before, ip4p);
	return set_txt(d, record, &e, b, r);
}

static int set_previous_ip4p(const struct event *e, struct buffer *b)
{
	struct ph_endpoint before = { .port = e->previous_port };
	char text[PH_ADDRESS_STRLEN];

	if (e->previous_port && ph_address_parse(e->previous_address, &before.address) == 0)
		buffer_puts(b, ph_ip4p_format(&before, text));
	return 0;
}

/* content and previous of a struct dns_want; both stay empty of what has none. */
static int set_contents(const struct dns *d, const struct dns_record *record,
			struct buffer *content, struct buffer *previous, struct result *r)
{
	const struct event *e = &d->cf.p->job->event;

	switch (record->kind) {
	case RECORD_A:
	case RECORD_AAAA:
		buffer_puts(content, e->public_address);
		buffer_puts(previous, e->previous_address);
		break;
	case RECORD_IP4P:
		buffer_puts(content, e->ip4p);
		set_previous_ip4p(e, previous);
		break;
	case RECORD_TXT:
		if (set_txt(d, record, e, content, r) || set_previous_txt(d, record, previous, r))
			return -1;
		break;
	case RECORD_HTTPS:
	case RECORD_SRV:
		break;
	}
	return buffer_text(content) && buffer_text(previous) ? 0 : result_no_memory(r);
}

static bool of_family(const struct dns_record *record, const struct event *e)
{
	bool ipv4 = strcmp(e->family, "ipv4") == 0;

	switch (record->kind) {
	case RECORD_A:
	case RECORD_IP4P:
		return ipv4;
	case RECORD_AAAA:
		return !ipv4;
	case RECORD_HTTPS:
	case RECORD_SRV:
	case RECORD_TXT:
		return true;
	}
	return true;
}

/* ---- one record ---- */

static int list_records(const struct dns *d, const char *zone, const struct dns_record *record,
			json_t **ret_list, struct result *r)
{
	struct buffer path = { 0 };
	int failed;

	buffer_puts(&path, "/zones/");
	escape_add(&path, ESCAPE_URL, zone);
	buffer_printf(&path, "/dns_records?type=%s&name=", dns_record_type(record));
	escape_add(&path, ESCAPE_URL, record->name);
	failed = buffer_text(&path) ? cloudflare_list(&d->cf, buffer_text(&path), ret_list, r)
				    : result_no_memory(r);
	buffer_done(&path);
	return failed;
}

/* id: of the record that is changed, or NULL: a new one. Takes the body over. */
static int write_record(const struct dns *d, const char *zone, const char *id, json_t *body,
			struct result *r)
{
	struct buffer path = { 0 };
	json_t *object = NULL;
	int failed;

	buffer_puts(&path, "/zones/");
	escape_add(&path, ESCAPE_URL, zone);
	buffer_puts(&path, "/dns_records");
	if (id) {
		buffer_puts(&path, "/");
		escape_add(&path, ESCAPE_URL, id);
	}
	failed = body && buffer_text(&path) ? cloudflare_ask(&d->cf, id ? "PATCH" : "POST",
							     buffer_text(&path), body, &object, r)
					    : result_no_memory(r);
	json_decref(object);
	json_decref(body);
	buffer_done(&path);
	return failed;
}

static int change(struct dns *d, const char *zone, const struct dns_want *want,
		  const json_t *record, struct result *r)
{
	const char *id = json_string_value(json_object_get(record, "id"));
	json_t *body = NULL;

	if (!id)
		return result_retry(r, 0, "Cloudflare's record has no ID");
	switch (dns_compare(want, record, &body)) {
	case DNS_SAME:
		d->same++;
		return 0;
	case DNS_NO_MEMORY:
		return result_no_memory(r);
	case DNS_DIFFERS:
		break;
	}
	if (write_record(d, zone, id, body, r))
		return -1;
	d->changed++;
	return 0;
}

static int settle(struct dns *d, const char *zone, const struct dns_want *want,
		  const json_t *records, struct result *r)
{
	const json_t *record;

	switch (dns_choose(want, records, &record)) {
	case DNS_ONE:
		return change(d, zone, want, record, r);
	case DNS_UNCLEAR:
		return result_give_up(r, "there are several records, and none is known to be ours");
	case DNS_NONE:
		break;
	}
	if (write_record(d, zone, NULL, dns_create(want), r))
		return -1;
	d->changed++;
	return 0;
}

static int keep_right(struct dns *d, const struct dns_want *want, struct result *r)
{
	json_t *records = NULL;
	const char *zone;
	int failed;

	if (find_zone(d, want->record->name, &zone, r) ||
	    list_records(d, zone, want->record, &records, r))
		return -1;
	failed = settle(d, zone, want, records, r);
	json_decref(records);
	return failed;
}

static int do_record(struct dns *d, const struct dns_record *record, struct result *r)
{
	const struct job *job = d->cf.p->job;
	const char *ttl = job_setting(job, "ttl");
	struct buffer content = { 0 }, previous = { 0 };
	char comment[64];
	uint32_t ttl_ms = 0;
	int failed;

	if (ttl && ph_duration_parse(ttl, &ttl_ms) < 0)
		return result_give_up(r, "ttl: not a duration");
	snprintf(comment, sizeof(comment), "pinhold: %.40s", job->event.mapping);
	failed = set_contents(d, record, &content, &previous, r) ||
		 keep_right(d,
			    &(struct dns_want){
				    .record = record,
				    .content = buffer_text(&content),
				    .previous = buffer_text(&previous),
				    .port = job->event.public_port,
				    .ttl = ttl_ms / 1000,
				    .comment = comment,
			    },
			    r);
	buffer_done(&content);
	buffer_done(&previous);
	return failed ? -1 : 0;
}

/* ---- all of them ---- */

static void note_failure(struct dns *d, const char *setting, const struct result *r)
{
	struct result *f = &d->failure;

	d->failed++;
	/* Whoever asks to wait, or is not there, is not asked on. */
	d->stop = r->retry;
	if (d->failed == 1)
		result_give_up(f, "%.80s: %s", setting, r->text);
	f->retry = f->retry || r->retry;
	if (r->retry_after > f->retry_after)
		f->retry_after = r->retry_after;
}

static void do_setting(struct dns *d, const char *setting)
{
	struct dns_record record;
	struct result r = { 0 };
	int failed;

	if (dns_record_parse(setting, &record) < 0)
		failed = result_give_up(&r, "not a record");
	else if (!of_family(&record, &d->cf.p->job->event)) {
		d->other_family++;
		return;
	} else {
		failed = do_record(d, &record, &r);
	}
	if (failed)
		note_failure(d, setting, &r);
}

static void sum_up(const struct dns *d, struct result *r)
{
	if (d->failed) {
		*r = d->failure;
		if (d->changed + d->same > 0 || d->failed > 1)
			snprintf(r->text + strlen(r->text), sizeof(r->text) - strlen(r->text),
				 " (%zu failed, %zu changed, %zu unchanged)", d->failed, d->changed,
				 d->same);
	} else if (d->changed) {
		result_ok(r, "records: %zu changed, %zu unchanged", d->changed, d->same);
	} else if (d->same) {
		result_unchanged(r, "records: all %zu are right", d->same);
	} else {
		result_give_up(r, "no record is for an %s mapping", d->cf.p->job->event.family);
	}
}

void cloudflare_dns_publish(const struct publication *p, struct result *r)
{
	struct dns d = { .zones = json_object() };

	if (!d.zones)
		result_no_memory(r);
	else if (cloudflare_init(&d.cf, p, r) == 0) {
		for (size_t i = 0; i < p->job->n_settings && !d.stop; i++)
			if (strcmp(p->job->settings[i].key, "record") == 0)
				do_setting(&d, p->job->settings[i].value);
		sum_up(&d, r);
	}
	cloudflare_done(&d.cf);
	json_decref(d.zones);
}
