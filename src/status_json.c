/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Status as JSON. The names and types are a promise: pinhold(8), STATUS, and
 * tests/unit/status.schema.json. */

#include <pinhold/status.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Adds to object unless something has failed before; value is taken over, NULL is a failure. */
static void put(json_t **object, const char *key, json_t *value)
{
	if (*object && json_object_set_new(*object, key, value) < 0) {
		json_decref(*object);
		*object = NULL;
	} else if (!*object) {
		json_decref(value);
	}
}

/*
 * A string, or null of NULL. JSON is UTF-8 (RFC 8259 section 8.1), paths are any octets: where they
 * are no UTF-8, each octet above ASCII shows as U+FFFD.
 */
static json_t *text(const char *s)
{
	json_t *value;
	size_t n = 0;
	char *copy;

	if (!s)
		return json_null();
	value = json_string(s);
	if (value)
		return value;
	copy = malloc(3 * strlen(s) + 1);
	if (!copy)
		return NULL;
	for (; *s; s++) {
		if ((unsigned char)*s < 0x80) {
			copy[n++] = *s;
			continue;
		}
		memcpy(copy + n, "\xef\xbf\xbd", 3);
		n += 3;
	}
	copy[n] = '\0';
	value = json_string(copy);
	free(copy);
	return value;
}

/* RFC 3339, UTC, whole seconds; at_ms 0: null. Times to come have a place too (retry). */
json_t *ph_status_time_json(uint64_t at_ms, const struct ph_status_clock *clock)
{
	int64_t ms = (int64_t)clock->now.tv_sec * 1000 + clock->now.tv_nsec / 1000000;
	char buf[64];
	struct tm tm;
	time_t t;

	if (at_ms == 0)
		return json_null();
	ms += (int64_t)at_ms - (int64_t)clock->now_ms;
	t = (time_t)(ms / 1000);
	if (!gmtime_r(&t, &tm) || strftime(buf, sizeof(buf), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		return json_null();
	return json_string(buf);
}

static json_t *endpoint(const struct ph_endpoint *e, bool with_ip4p)
{
	char buf[PH_ADDRESS_STRLEN];
	json_t *object;

	if (e->port == 0)
		return json_null();
	object = json_object();
	put(&object, "address", text(ph_address_format(&e->address, buf)));
	put(&object, "port", json_integer(e->port));
	if (with_ip4p)
		put(&object, "ip4p",
		    text(e->address.family == PH_IPV4 ? ph_ip4p_format(e, buf) : NULL));
	return object;
}

/* As it stands in the file, but for a port that follows the public one, once that is known. */
static json_t *target(const struct ph_target *t, uint16_t public_port)
{
	struct ph_endpoint e = { .address = t->address, .port = t->port ? t->port : public_port };
	char buf[PH_ENDPOINT_STRLEN + sizeof("public")], *colon;

	switch (t->kind) {
	case PH_TARGET_NONE:
		return json_string("none");
	case PH_TARGET_LOCAL:
		snprintf(buf, sizeof(buf), ":%u", e.port);
		break;
	case PH_TARGET_ADDRESS:
		ph_endpoint_format(&e, buf);
		break;
	}
	colon = strrchr(buf, ':');
	if (e.port == 0 && colon)
		strcpy(colon, ":public");
	return json_string(buf);
}

static unsigned open_holders(const struct ph_mapping_view *view)
{
	unsigned n = 0;

	for (size_t i = 0; i < view->n_holders; i++)
		n += view->holders[i].open;
	return n;
}

const char *ph_status_state(const struct ph_status_mapping *s)
{
	if (!s->held)
		return "disabled";
	switch (s->view.state) {
	case PH_MAPPING_WAITING:
	case PH_MAPPING_RESOLVING:
	case PH_MAPPING_PREPARING:
		return "opening";
	case PH_MAPPING_OPENING:
		return open_holders(&s->view) ? "probing" : "opening";
	case PH_MAPPING_UP:
		return "up";
	case PH_MAPPING_LOST:
		return "lost";
	case PH_MAPPING_STOPPED:
		return "disabled";
	}
	return "disabled";
}

static json_t *holders(const struct ph_mapping_view *view, const struct ph_status_clock *clock)
{
	json_t *array = json_array();

	for (size_t i = 0; array && i < view->n_holders; i++) {
		const struct ph_holder_view *h = &view->holders[i];
		char buf[PH_ENDPOINT_STRLEN];
		json_t *item = json_object();

		put(&item, "server", text(ph_endpoint_format(&h->server, buf)));
		put(&item, "state", json_string(h->open ? "open" : "connecting"));
		put(&item, "since", ph_status_time_json(h->open ? h->since_ms : 0, clock));
		put(&item, "rtt_ms",
		    h->rtt_ms == UINT32_MAX ? json_null() : json_integer(h->rtt_ms));
		if (json_array_append_new(array, item) < 0) {
			json_decref(array);
			array = NULL;
		}
	}
	return array;
}

static const char *hook_result(const struct ph_status_call *c)
{
	return c->error       ? "not started"
	       : c->timed_out ? "timed out"
	       : c->signal    ? "killed"
	       : c->status    ? "failed"
			      : "ok";
}

static json_t *hook_call(const struct ph_status_call *c, const struct ph_status_clock *clock)
{
	bool started = c->error == 0, by_itself = started && !c->timed_out && c->signal == 0;
	json_t *last;

	if (!c->called)
		return json_null();
	last = json_object();
	put(&last, "event", text(ph_announce_name(c->event)));
	put(&last, "ended", ph_status_time_json(c->ended_ms, clock));
	put(&last, "result", json_string(hook_result(c)));
	put(&last, "status", by_itself ? json_integer(c->status) : json_null());
	put(&last, "signal", started && c->signal ? json_integer(c->signal) : json_null());
	put(&last, "error", text(started ? NULL : strerror(-c->error)));
	return last;
}

static json_t *hook(const struct ph_status_receiver *h, const struct ph_status_clock *clock)
{
	json_t *item = json_object();

	put(&item, "path", text(h->name));
	put(&item, "running", json_boolean(h->running));
	put(&item, "pid", h->running ? json_integer(h->pid) : json_null());
	put(&item, "owed", json_boolean(h->owed));
	put(&item, "last", hook_call(&h->last, clock));
	put(&item, "retry", ph_status_time_json(h->retry_ms, clock));
	return item;
}

static json_t *publisher_call(const struct ph_status_receiver *p,
			      const struct ph_status_clock *clock)
{
	json_t *last;

	if (!p->last.called)
		return json_null();
	last = json_object();
	put(&last, "event", text(ph_announce_name(p->last.event)));
	put(&last, "ended", ph_status_time_json(p->last.ended_ms, clock));
	put(&last, "result", json_string(p->last.refused ? "refused" : hook_result(&p->last)));
	put(&last, "text", text(p->text));
	return last;
}

static json_t *publisher(const struct ph_status_receiver *p, const struct ph_status_clock *clock)
{
	json_t *item = json_object();

	put(&item, "name", text(p->name));
	put(&item, "type", json_string(ph_publish_type_name(p->type)));
	put(&item, "running", json_boolean(p->running));
	put(&item, "owed", json_boolean(p->owed));
	put(&item, "last", publisher_call(p, clock));
	put(&item, "retry", ph_status_time_json(p->retry_ms, clock));
	return item;
}

static json_t *receivers(const struct ph_status_receiver *list, size_t n,
			 json_t *(*one)(const struct ph_status_receiver *r,
					const struct ph_status_clock *clock),
			 const struct ph_status_clock *clock)
{
	json_t *array = json_array();

	for (size_t i = 0; array && i < n; i++)
		if (json_array_append_new(array, one(&list[i], clock)) < 0) {
			json_decref(array);
			array = NULL;
		}
	return array;
}

static json_t *independence(enum ph_independence independence)
{
	switch (independence) {
	case PH_INDEPENDENCE_UNKNOWN:
		return json_null();
	case PH_INDEPENDENT:
		return json_true();
	case PH_DEPENDENT:
		return json_false();
	}
	return json_null();
}

json_t *ph_status_mapping_json(const struct ph_status_mapping *s,
			       const struct ph_status_clock *clock)
{
	static const struct ph_mapping_view empty = { 0 };
	const struct ph_mapping_config *core = &s->config->core;
	const struct ph_mapping_view *view = s->held ? &s->view : &empty;
	/* What is switched on and not held belongs to a daemon that ends. */
	const char *not_held =
		s->config->enabled ? "stopped" : "it is disabled in the configuration";
	const char *why = s->why ? s->why : s->held ? view->why : not_held;
	json_t *o = json_object();

	put(&o, "name", text(core->name));
	put(&o, "protocol", json_string(ph_proto_name(core->proto)));
	put(&o, "family", json_string(core->family == PH_IPV6 ? "ipv6" : "ipv4"));
	put(&o, "state", json_string(ph_status_state(s)));
	put(&o, "why", text(why));
	put(&o, "interface", text(*s->interface ? s->interface : NULL));
	put(&o, "public", endpoint(&view->public_endpoint, true));
	put(&o, "private", endpoint(&view->private_endpoint, false));
	put(&o, "own_port", s->own_port ? json_integer(s->own_port) : json_null());
	put(&o, "uplink", s->uplink ? json_integer((json_int_t)s->uplink) : json_null());
	put(&o, "target", target(&core->target, view->public_endpoint.port));
	put(&o, "since", ph_status_time_json(view->state_since_ms, clock));
	put(&o, "endpoint_since",
	    ph_status_time_json(view->public_endpoint.port ? view->endpoint_since_ms : 0, clock));
	put(&o, "changes", json_integer(view->changes));
	put(&o, "verified", ph_status_time_json(view->verified_ms, clock));
	put(&o, "can_verify", json_boolean(view->can_verify));
	put(&o, "endpoint_independent", independence(view->independence));
	put(&o, "holders", holders(view, clock));
	put(&o, "connections", s->counted ? json_integer((json_int_t)s->connections) : json_null());
	put(&o, "hooks", receivers(s->hooks, s->n_hooks, hook, clock));
	put(&o, "publishers", receivers(s->publishers, s->n_publishers, publisher, clock));
	return o;
}

static json_t *table(const struct ph_status_table *t, const struct ph_status_clock *clock)
{
	json_t *o = json_object();

	put(&o, "installed", json_boolean(t->installed));
	put(&o, "ownership", json_string(t->owner ? "owner" : "plain"));
	put(&o, "error", text(t->error));
	put(&o, "foreign_change", ph_status_time_json(t->foreign_ms, clock));
	return o;
}

json_t *ph_status_daemon_json(const struct ph_status_daemon *s, const struct ph_status_clock *clock)
{
	json_t *o = json_object();

	put(&o, "version", json_string(PINHOLD_VERSION));
	put(&o, "pid", json_integer(getpid()));
	put(&o, "config", text(s->config_path));
	put(&o, "started", ph_status_time_json(s->started_ms, clock));
	put(&o, "table", table(&s->table, clock));
	return o;
}
