// SPDX-License-Identifier: GPL-2.0-or-later
/* The keys of [global] and [mapping NAME]. A new key is one function and one row of the table. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <pinhold/receiver.h>

#include "config_build.h"

#define N(array) (sizeof(array) / sizeof(*(array)))

#define SECOND UINT32_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

static enum ph_key index_of(const struct ph_key_info *key);

void ph_key_wrong(struct ph_config_builder *b, const char *value, const char *why)
{
	char shown[PH_SHOWN_STRLEN];

	b->draft->wrong |= 1u << index_of(b->key);
	ph_reports_mistake(&b->reports, b->line, "%s: \"%s\" %s", b->key->name,
			   ph_text_show(value, shown), why);
}

static void take_interface(struct ph_config_builder *b, const char *value)
{
	struct ph_config_mapping *m = b->draft->m;
	struct ph_address address;

	if (ph_address_parse(value, &address) == 0)
		ph_address_format(&address, m->interface);
	else if (ph_interface_name_valid(value))
		memcpy(m->interface, value, strlen(value) + 1);
	else
		ph_key_wrong(b, value,
			     "is neither auto, an interface's name nor a numeric address");
}

static void take_server(struct ph_config_builder *b, const char *value)
{
	bool stun = index_of(b->key) == PH_KEY_STUN;
	struct ph_draft_servers *list = &b->servers[stun ? PH_SERVER_STUN : PH_SERVER_KEEPALIVE];
	struct ph_server server;

	if (ph_server_parse(value, stun ? PH_STUN_PORT : PH_HTTP_PORT, &server) < 0) {
		ph_key_wrong(b, value,
			     "is not HOST or HOST:PORT (an IPv6 address with a port: [ADDR]:PORT)");
		return;
	}
	for (size_t i = 0; i < list->n; i++) {
		if (!strcasecmp(list->items[i].host, server.host) &&
		    list->items[i].port == server.port) {
			ph_key_wrong(b, value, "is listed twice");
			return;
		}
	}
	if (list->n == PH_SERVERS_MAX) {
		ph_key_wrong(b, value, "is one too many: 16 servers are the most");
		return;
	}
	list->lines[list->n] = b->line;
	list->items[list->n++] = server;
}

static uint32_t *duration(struct ph_config_mapping *m, enum ph_key key)
{
	if (key == PH_KEY_INTERVAL)
		return &m->core.interval_ms;
	if (key == PH_KEY_VERIFY)
		return &m->core.verify_ms;
	return key == PH_KEY_DETECT ? &m->detect_ms : &m->rotate_ms;
}

static void take_duration(struct ph_config_builder *b, const char *value)
{
	char shown[PH_SHOWN_STRLEN], least[16], most[16];
	uint32_t ms = 0;
	int r = ph_duration_parse(value, &ms);

	if (r == 0 && ms >= b->key->min_ms && ms <= b->key->max_ms) {
		*duration(b->draft->m, index_of(b->key)) = ms;
		return;
	}
	b->draft->wrong |= 1u << index_of(b->key);
	ph_reports_mistake(
		&b->reports, b->line, "%s: \"%s\" is not %s from %s to %s%s", b->key->name,
		ph_text_show(value, shown), r == -EINVAL ? "a duration" : "in the range",
		ph_duration_format(b->key->min_ms, least), ph_duration_format(b->key->max_ms, most),
		r == -EINVAL ? " (30 or 30s, 5m, 6h, 1d)" : "");
}

static void take_fwmark(struct ph_config_builder *b, const char *value)
{
	if (ph_number_parse(value, &b->draft->m->fwmark) < 0)
		ph_key_wrong(b, value,
			     "is not a number from 0 to 4294967295, or from 0x0 to 0xffffffff");
}

static void take_mark(struct ph_config_builder *b, const char *value)
{
	const char *why = ph_mark_parse(value, &b->config.plan);

	if (why)
		ph_key_wrong(b, value, why);
}

static void take_protocol(struct ph_config_builder *b, const char *value)
{
	if (!strcmp(value, "tcp"))
		b->draft->m->core.proto = PH_TCP;
	else if (!strcmp(value, "udp"))
		b->draft->m->core.proto = PH_UDP;
	else
		ph_key_wrong(b, value, "is neither tcp nor udp");
}

static void take_family(struct ph_config_builder *b, const char *value)
{
	if (!strcmp(value, "ipv4"))
		b->draft->m->core.family = PH_IPV4;
	else if (!strcmp(value, "ipv6"))
		b->draft->m->core.family = PH_IPV6;
	else
		ph_key_wrong(b, value, "is neither ipv4 nor ipv6");
}

static void take_bind(struct ph_config_builder *b, const char *value)
{
	struct ph_mapping_config *core = &b->draft->m->core;
	int r;

	if (!strcmp(value, "0")) {
		core->bind_first = b->source.ephemeral_first;
		core->bind_last = b->source.ephemeral_last;
		core->bind_random = true;
		return;
	}
	r = ph_bind_parse(value, core);
	if (r == -ERANGE)
		ph_key_wrong(b, value, "has its first port above its last");
	else if (r < 0)
		ph_key_wrong(b, value, "is no port: give 1 to 65535, LO-HI, LO~HI, or 0 for any");
}

static void take_target(struct ph_config_builder *b, const char *value)
{
	const char *why = ph_target_parse(value, &b->draft->m->core.target);

	if (why)
		ph_key_wrong(b, value, why);
}

static bool *flag(struct ph_config_mapping *m, enum ph_key key)
{
	if (key == PH_KEY_ENABLED)
		return &m->enabled;
	return key == PH_KEY_LOOPBACK ? &m->loopback : &m->snat;
}

static void take_flag(struct ph_config_builder *b, const char *value)
{
	bool yes = !strcmp(value, "yes");

	if (!yes && strcmp(value, "no") != 0)
		ph_key_wrong(b, value, "is neither yes nor no");
	else
		*flag(b->draft->m, index_of(b->key)) = yes;
}

static void take_reply_route(struct ph_config_builder *b, const char *value)
{
	bool automatic = !strcmp(value, "auto");

	if (!automatic && strcmp(value, "no") != 0)
		ph_key_wrong(b, value, "is neither auto nor no");
	else
		b->draft->m->reply_route = automatic;
}

static void take_hook(struct ph_config_builder *b, const char *value)
{
	struct ph_config_mapping *m = b->draft->m;
	const char *why = NULL;
	struct ph_hook *hooks;

	if (*value != '/')
		why = "is not an absolute path (a hook gets its arguments from pinhold alone)";
	for (size_t i = 0; i < m->n_hooks && !why; i++)
		if (!strcmp(m->hooks[i].path, value))
			why = "is listed twice";
	if (!why && m->n_hooks == PH_HOOKS_MAX)
		why = "is one too many: 8 hooks are the most";
	/* Mappings mostly have one and the same hook, and looking costs system calls. */
	if (!why && b->source.program_refusal && (!b->program || strcmp(b->program, value) != 0))
		why = b->source.program_refusal(value);
	if (why) {
		ph_key_wrong(b, value, why);
		return;
	}
	hooks = ph_builder_grow(b, m->hooks, m->n_hooks, sizeof(*hooks));
	if (!hooks)
		return;
	m->hooks = hooks;
	hooks[m->n_hooks] = (struct ph_hook){ .path = ph_builder_copy(b, value) };
	if (!hooks[m->n_hooks].path)
		return;
	b->program = hooks[m->n_hooks++].path;
}

static void take_hook_events(struct ph_config_builder *b, const char *value)
{
	if (ph_announce_list_parse(value, &b->hook_events) < 0)
		ph_key_wrong(b, value, "is not a list of up, change and down, each at most once");
}

static void take_limit(struct ph_config_builder *b, const char *value)
{
	const char *why = ph_limit_parse(value, &b->draft->m->limit);

	if (why)
		ph_key_wrong(b, value, why);
}

static void take_publish(struct ph_config_builder *b, const char *value)
{
	struct ph_config_mapping *m = b->draft->m;
	const char *why = ph_publish_name_refusal(value);
	char(*names)[PH_NAME_MAX + 1];

	for (size_t i = 0; i < m->n_publish && !why; i++)
		if (!strcmp(m->publish[i], value))
			why = "is listed twice";
	if (!why && m->n_publish == PH_PUBLISH_MAX)
		why = "is one too many: 8 publishers are the most";
	if (why) {
		ph_key_wrong(b, value, why);
		return;
	}
	names = ph_builder_grow(b, m->publish, m->n_publish, sizeof(*names));
	if (!names)
		return;
	m->publish = names;
	b->draft->publish_lines[m->n_publish] = b->line;
	memcpy(names[m->n_publish++], value, strlen(value) + 1);
}

#define BOTH    .global = true, .mapping = true
#define MAPPING .mapping = true

/* clang-format off */
static const struct ph_key_info keys[PH_KEYS] = {
	[PH_KEY_INTERFACE]   = { "interface",   PH_KEY_ONCE,  BOTH, .take = take_interface },
	[PH_KEY_STUN]        = { "stun",        PH_KEY_LIST,  BOTH, .take = take_server },
	[PH_KEY_KEEPALIVE]   = { "keepalive",   PH_KEY_LIST,  BOTH, .take = take_server },
	[PH_KEY_INTERVAL]    = { "interval",    PH_KEY_ONCE,  BOTH, .take = take_duration,
				 .min_ms = SECOND, .max_ms = HOUR },
	[PH_KEY_DETECT]      = { "detect",      PH_KEY_ONCE,  BOTH, .take = take_duration,
				 .min_ms = SECOND, .max_ms = 10 * MINUTE },
	[PH_KEY_VERIFY]      = { "verify",      PH_KEY_ONCE,  BOTH, .take = take_duration,
				 .min_ms = 5 * SECOND, .max_ms = DAY },
	[PH_KEY_FWMARK]      = { "fwmark",      PH_KEY_ONCE,  BOTH, .take = take_fwmark },
	[PH_KEY_MARK]        = { "mark",        PH_KEY_ONCE,  .global = true, .take = take_mark },
	[PH_KEY_PROTOCOL]    = { "protocol",    PH_KEY_ONCE,  MAPPING, .take = take_protocol },
	[PH_KEY_FAMILY]      = { "family",      PH_KEY_ONCE,  MAPPING, .take = take_family },
	[PH_KEY_BIND]        = { "bind",        PH_KEY_ONCE,  MAPPING, .take = take_bind },
	[PH_KEY_TARGET]      = { "target",      PH_KEY_ONCE,  MAPPING, .take = take_target },
	[PH_KEY_ENABLED]     = { "enabled",     PH_KEY_ONCE,  MAPPING, .take = take_flag },
	[PH_KEY_ROTATE]      = { "rotate",      PH_KEY_ONCE,  MAPPING, .take = take_duration,
				 .min_ms = MINUTE, .max_ms = 30 * DAY },
	[PH_KEY_HOOK]        = { "hook",        PH_KEY_LINES, MAPPING, .take = take_hook },
	[PH_KEY_HOOK_EVENTS] = { "hook-events", PH_KEY_ONCE,  MAPPING, .take = take_hook_events },
	[PH_KEY_LOOPBACK]    = { "loopback",    PH_KEY_ONCE,  MAPPING, .take = take_flag },
	[PH_KEY_SNAT]        = { "snat",        PH_KEY_ONCE,  MAPPING, .take = take_flag },
	[PH_KEY_ALLOW]       = { "allow",       PH_KEY_LIST,  MAPPING, .take = ph_allow_take },
	[PH_KEY_LIMIT]       = { "limit",       PH_KEY_ONCE,  MAPPING, .take = take_limit },
	[PH_KEY_REPLY_ROUTE] = { "reply-route", PH_KEY_ONCE,  MAPPING, .take = take_reply_route },
	[PH_KEY_PUBLISH]     = { "publish",     PH_KEY_LIST,  MAPPING, .take = take_publish },
};
/* clang-format on */

static enum ph_key index_of(const struct ph_key_info *key)
{
	return (enum ph_key)(key - keys);
}

const char *ph_key_name(enum ph_key key)
{
	return keys[key].name;
}

const struct ph_key_info *ph_key_find(const char *name)
{
	for (size_t i = 0; i < N(keys); i++)
		if (!strcmp(keys[i].name, name))
			return &keys[i];
	return NULL;
}

const char *ph_key_nearest(const char *name, bool global)
{
	const char *best = NULL;
	size_t distance = 3;

	for (size_t i = 0; i < N(keys); i++) {
		size_t d = ph_text_distance(name, keys[i].name);

		/* Two slips make "xy" of anything short. */
		if ((global ? keys[i].global : keys[i].mapping) && d < distance &&
		    d < strlen(keys[i].name) / 2) {
			distance = d;
			best = keys[i].name;
		}
	}
	return best;
}

/* The pieces between commas. */
static void take_list(struct ph_config_builder *b, const struct ph_key_info *key, char *value)
{
	char *next;

	for (char *piece = value; piece; piece = next) {
		size_t len;

		next = strchr(piece, ',');
		if (next)
			*next++ = '\0';
		piece += strspn(piece, " \t");
		len = strlen(piece);
		while (len && (piece[len - 1] == ' ' || piece[len - 1] == '\t'))
			piece[--len] = '\0';
		if (len)
			key->take(b, piece);
		else
			ph_key_wrong(b, piece, "stands for a value that is missing beside a comma");
	}
}

void ph_key_take(struct ph_config_builder *b, const struct ph_key_info *key, const char *value)
{
	unsigned *first = &b->draft->lines[index_of(key)];
	char *pieces;

	if (*first && key->count == PH_KEY_ONCE) {
		ph_reports_mistake(&b->reports, b->line, "%s was given in line %u already",
				   key->name, *first);
		return;
	}
	if (!*first)
		*first = b->line;
	if (key->count != PH_KEY_LIST) {
		key->take(b, value);
		return;
	}
	pieces = ph_builder_copy(b, value);
	if (pieces)
		take_list(b, key, pieces);
	free(pieces);
}

void ph_key_spoil(struct ph_config_builder *b, const struct ph_key_info *key)
{
	if (!b->draft->lines[index_of(key)])
		b->draft->lines[index_of(key)] = b->line;
	b->draft->wrong |= 1u << index_of(key);
}
