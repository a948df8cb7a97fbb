/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config_internal.h"

/* Public servers whose operators offer them to everybody. TCP: those that answer Binding requests
 * there. */
static const struct ph_server default_stun_tcp[] = {
	{ "turn.cloudflare.com", PH_STUN_PORT },    { "stun.nextcloud.com", 443 },
	{ "global.turn.twilio.com", PH_STUN_PORT }, { "fwa.lifesizecloud.com", PH_STUN_PORT },
	{ "stun.freeswitch.org", PH_STUN_PORT },    { "stun.sipnet.com", PH_STUN_PORT },
	{ "stun.radiojar.com", PH_STUN_PORT },      { "stun.telnyx.com", PH_STUN_PORT },
};

static const struct ph_server default_stun_udp[] = {
	{ "turn.cloudflare.com", PH_STUN_PORT }, { "stun.l.google.com", 19302 },
	{ "stun.nextcloud.com", PH_STUN_PORT },  { "global.turn.twilio.com", PH_STUN_PORT },
	{ "stun.miwifi.com", PH_STUN_PORT },     { "stun.chat.bilibili.com", PH_STUN_PORT },
	{ "stun.freeswitch.org", PH_STUN_PORT }, { "stun.sipnet.com", PH_STUN_PORT },
};

static const struct ph_server default_keepalive[] = {
	{ "www.example.com", PH_HTTP_PORT },
	{ "detectportal.firefox.com", PH_HTTP_PORT },
	{ "www.msftconnecttest.com", PH_HTTP_PORT },
	{ "www.baidu.com", PH_HTTP_PORT },
};

#define N(array) (sizeof(array) / sizeof(*(array)))

struct ph_server_list *ph_server_list_new(const struct ph_server *servers, size_t n)
{
	struct ph_server_list *list = calloc(1, sizeof(*list));

	assert(n <= PH_SERVERS_MAX);
	if (!list)
		return NULL;
	list->references = 1;
	list->n = n;
	memcpy(list->items, servers, n * sizeof(*servers));
	return list;
}

/* Counting is the one thing that changes in a list. */
static struct ph_server_list *counted(const struct ph_server_list *list)
{
	return (struct ph_server_list *)(uintptr_t)list;
}

const struct ph_server_list *ph_server_list_ref(const struct ph_server_list *list)
{
	counted(list)->references++;
	return list;
}

void ph_server_list_unref(const struct ph_server_list *list)
{
	if (list && --counted(list)->references == 0)
		free(counted(list));
}

const struct ph_server_list *ph_default_stun(enum ph_proto proto)
{
	return proto == PH_TCP ? ph_server_list_new(default_stun_tcp, N(default_stun_tcp))
			       : ph_server_list_new(default_stun_udp, N(default_stun_udp));
}

const struct ph_server_list *ph_default_keepalive(void)
{
	return ph_server_list_new(default_keepalive, N(default_keepalive));
}

/* Digits behind the last dot make an address (RFC 1123 section 2.1), and it is none. */
static bool broken_address(const char *host)
{
	const char *label = strrchr(host, '.');

	label = label ? label + 1 : host;
	return *label != '\0' && label[strspn(label, "0123456789")] == '\0';
}

bool ph_host_valid(const char *text)
{
	size_t len = strlen(text);
	struct ph_address address;

	if (ph_address_parse(text, &address) == 0)
		return true;
	if (len == 0 || len > PH_HOST_MAX || *text == '.' || strstr(text, "..") ||
	    broken_address(text))
		return false;
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)text[i]) && !strchr("-._", text[i]))
			return false;
	return true;
}

int ph_server_parse(const char *text, uint16_t default_port, struct ph_server *ret_server)
{
	struct ph_server server = { .port = default_port };
	char copy[PH_HOST_MAX + sizeof("[]:65535")];
	struct ph_address address;
	char *colon, *name = copy;

	if (strlen(text) >= sizeof(copy))
		return -EINVAL;
	strcpy(copy, text);
	if (*name == '[') {
		char *end = strchr(++name, ']');

		if (!end || (end[1] != '\0' && end[1] != ':'))
			return -EINVAL;
		colon = end[1] == ':' ? end + 1 : NULL;
		*end = '\0';
		if (ph_address_parse(name, &address) < 0 || address.family != PH_IPV6)
			return -EINVAL;
	} else {
		/* More than one colon without brackets: an IPv6 address and no port. */
		colon = strchr(name, ':');
		if (colon && strchr(colon + 1, ':'))
			colon = NULL;
		else if (colon)
			*colon = '\0';
	}
	if (colon && ph_port_parse(colon + 1, &server.port) < 0)
		return -EINVAL;
	if (!ph_host_valid(name))
		return -EINVAL;
	memcpy(server.host, name, strlen(name) + 1);
	*ret_server = server;
	return 0;
}

struct ph_config_mapping *ph_config_mapping_new(enum ph_proto proto, enum ph_family family)
{
	struct ph_config_mapping *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	*m = (struct ph_config_mapping){
		.core = {
			.proto = proto,
			.family = family,
			.interval_ms = proto == PH_TCP ? 30000 : 10000,
			.verify_ms = 60000,
		},
		.enabled = true,
		.interface = "auto",
		.detect_ms = 5000,
		.loopback = true,
		.reply_route = true,
	};
	return m;
}

void ph_config_mapping_free(struct ph_config_mapping *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->n_hooks; i++)
		free(m->hooks[i].path);
	free(m->hooks);
	free(m->publish);
	ph_server_list_unref(m->core.stun);
	ph_server_list_unref(m->core.keepalive);
	ph_prefixes_unref(m->allowed);
	free(m);
}

void ph_config_done(struct ph_config *config)
{
	for (size_t i = 0; i < config->n_mappings; i++)
		ph_config_mapping_free(config->mappings[i]);
	for (size_t i = 0; i < config->n_publishers; i++) {
		struct ph_publish *p = &config->publishers[i];

		for (size_t k = 0; k < p->n_settings; k++) {
			free(p->settings[k].key);
			free(p->settings[k].value);
		}
		free(p->settings);
	}
	free(config->mappings);
	free(config->publishers);
	free(config->path);
	*config = (struct ph_config){ 0 };
}

static bool servers_equal(const struct ph_server_list *a, const struct ph_server_list *b)
{
	if (a == b)
		return true;
	if (!a || !b || a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (strcmp(a->items[i].host, b->items[i].host) != 0 ||
		    a->items[i].port != b->items[i].port)
			return false;
	return true;
}

static bool target_equal(const struct ph_target *a, const struct ph_target *b)
{
	if (a->kind != b->kind)
		return false;
	switch (a->kind) {
	case PH_TARGET_NONE:
		return true;
	case PH_TARGET_LOCAL:
		return a->port == b->port;
	case PH_TARGET_ADDRESS:
		return a->port == b->port && ph_address_equal(&a->address, &b->address);
	}
	assert(false && "a target is one of those above");
	return false;
}

static bool hooks_equal(const struct ph_config_mapping *a, const struct ph_config_mapping *b)
{
	if (a->n_hooks != b->n_hooks)
		return false;
	for (size_t i = 0; i < a->n_hooks; i++)
		if (strcmp(a->hooks[i].path, b->hooks[i].path) != 0 ||
		    a->hooks[i].events != b->hooks[i].events)
			return false;
	return true;
}

static bool publish_equal(const struct ph_config_mapping *a, const struct ph_config_mapping *b)
{
	if (a->n_publish != b->n_publish)
		return false;
	for (size_t i = 0; i < a->n_publish; i++)
		if (strcmp(a->publish[i], b->publish[i]) != 0)
			return false;
	return true;
}

/* What the state machine and the flows are told, and what can change while they run. */
static bool core_equal(const struct ph_mapping_config *a, const struct ph_mapping_config *b)
{
	return target_equal(&a->target, &b->target) && a->interval_ms == b->interval_ms &&
	       a->verify_ms == b->verify_ms && servers_equal(a->stun, b->stun) &&
	       servers_equal(a->keepalive, b->keepalive);
}

static bool options_equal(const struct ph_config_mapping *a, const struct ph_config_mapping *b)
{
	return !strcmp(a->interface, b->interface) && a->detect_ms == b->detect_ms &&
	       a->fwmark == b->fwmark && a->rotate_ms == b->rotate_ms &&
	       a->loopback == b->loopback && a->snat == b->snat &&
	       a->reply_route == b->reply_route && a->limit.rate == b->limit.rate &&
	       a->limit.seconds == b->limit.seconds && a->limit.burst == b->limit.burst;
}

/* Whether a service of this machine may be at one of the bind ports: our own sockets leave it. */
static bool shares_port(const struct ph_mapping_config *core)
{
	uint16_t port = core->target.port;

	if (port < core->bind_first || port > core->bind_last)
		port = core->bind_first;
	return ph_plan_shares_port(&core->target, port);
}

/* Whether our own sockets may be where the other settings want the service, or the reverse. */
static bool sockets_move(const struct ph_mapping_config *a, const struct ph_mapping_config *b)
{
	if (shares_port(a) != shares_port(b))
		return true;
	/* Of several bind ports it may be another one. */
	return shares_port(a) && a->bind_first != a->bind_last &&
	       !target_equal(&a->target, &b->target);
}

enum ph_config_step ph_config_mapping_compare(const struct ph_config_mapping *a,
					      const struct ph_config_mapping *b)
{
	/* bind_start is where a running mapping stands, not a setting. */
	if (a->core.proto != b->core.proto || a->core.family != b->core.family ||
	    a->core.bind_first != b->core.bind_first || a->core.bind_last != b->core.bind_last ||
	    a->core.bind_random != b->core.bind_random || a->enabled != b->enabled ||
	    sockets_move(&a->core, &b->core))
		return PH_CONFIG_RESTART;
	if (core_equal(&a->core, &b->core) && options_equal(a, b) && hooks_equal(a, b) &&
	    ph_prefixes_equal(a->allowed, b->allowed) && publish_equal(a, b))
		return PH_CONFIG_SAME;
	return PH_CONFIG_ADAPT;
}
