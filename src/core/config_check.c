// SPDX-License-Identifier: GPL-2.0-or-later
/* What the settings of a file say of each other, and what mappings inherit from [global]. */

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "config_build.h"

#define N(array) (sizeof(array) / sizeof(*(array)))

static unsigned proto_index(enum ph_proto proto)
{
	return proto == PH_UDP;
}

static enum ph_key server_key(enum ph_server_kind kind)
{
	return kind == PH_SERVER_STUN ? PH_KEY_STUN : PH_KEY_KEEPALIVE;
}

static const struct ph_server_list **list_of(struct ph_config_mapping *m, enum ph_server_kind kind)
{
	return kind == PH_SERVER_STUN ? &m->core.stun : &m->core.keepalive;
}

/* FNV-1a over what is equal in equal lists. */
static uint32_t hash(const struct ph_server *servers, size_t n)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < n; i++) {
		for (const char *c = servers[i].host; *c; c++)
			h = (h ^ (unsigned char)*c) * 16777619u;
		h = (h ^ servers[i].port) * 16777619u;
	}
	return h;
}

static bool same(const struct ph_server_list *list, const struct ph_server *servers, size_t n)
{
	if (list->n != n)
		return false;
	for (size_t i = 0; i < n; i++)
		if (strcmp(list->items[i].host, servers[i].host) != 0 ||
		    list->items[i].port != servers[i].port)
			return false;
	return true;
}

const struct ph_server_list *ph_intern_servers(struct ph_config_builder *b,
					       const struct ph_server *servers, size_t n)
{
	struct ph_interned *interned = b->interned;
	const struct ph_server_list *list;
	uint32_t h = hash(servers, n);

	for (size_t i = 0; i < b->n_interned; i++)
		if (interned[i].hash == h && same(interned[i].list, servers, n))
			return ph_server_list_ref(interned[i].list);
	interned = ph_builder_grow(b, b->interned, b->n_interned, sizeof(*interned));
	if (!interned)
		return NULL;
	b->interned = interned;
	list = ph_server_list_new(servers, n);
	if (!list) {
		b->reports.no_memory = true;
		return NULL;
	}
	interned[b->n_interned++] = (struct ph_interned){ h, ph_server_list_ref(list) };
	return list;
}

static bool is_wrong(const struct ph_draft *d, enum ph_key key)
{
	return d->wrong & 1u << key;
}

/* Key: an address of the other family, in a mapping of this one. */
static void other_family(struct ph_config_builder *b, unsigned line, enum ph_key key,
			 const char *address, enum ph_family family)
{
	int is = family == PH_IPV4 ? 6 : 4;

	ph_reports_mistake(&b->reports, line,
			   "%s: %s is an IPv%d address, the mapping is IPv%d: set family = ipv%d?",
			   ph_key_name(key), address, is, (int)family, is);
}

static void check_servers(struct ph_config_builder *b, struct ph_draft *d, enum ph_server_kind kind)
{
	const struct ph_draft_servers *list = &b->servers[kind];
	struct ph_address address;

	for (size_t i = 0; i < list->n; i++)
		if (ph_address_parse(list->items[i].host, &address) == 0 &&
		    address.family != d->m->core.family)
			other_family(b, list->lines[i], server_key(kind), list->items[i].host,
				     d->m->core.family);
}

static void check_families(struct ph_config_builder *b, struct ph_draft *d)
{
	const struct ph_target *target = &d->m->core.target;
	enum ph_family family = d->m->core.family;
	char text[PH_ADDRESS_STRLEN];
	struct ph_address address;

	if (is_wrong(d, PH_KEY_FAMILY))
		return;
	check_servers(b, d, PH_SERVER_STUN);
	check_servers(b, d, PH_SERVER_KEEPALIVE);
	if (d->lines[PH_KEY_INTERFACE] && ph_address_parse(d->m->interface, &address) == 0 &&
	    address.family != family)
		other_family(b, d->lines[PH_KEY_INTERFACE], PH_KEY_INTERFACE, d->m->interface,
			     family);
	if (target->kind == PH_TARGET_ADDRESS && target->address.family != family)
		other_family(b, d->lines[PH_KEY_TARGET], PH_KEY_TARGET,
			     ph_address_format(&target->address, text), family);
	for (size_t i = 0; i < b->allow.n; i++) {
		if (b->allow.items[i].address.family == family)
			continue;
		d->wrong |= 1u << PH_KEY_ALLOW;
		other_family(b, b->allow.lines[i], PH_KEY_ALLOW,
			     ph_address_format(&b->allow.items[i].address, text), family);
	}
}

static void check_udp(struct ph_config_builder *b, const struct ph_draft *d)
{
	if (d->m->core.proto != PH_UDP)
		return;
	if (d->lines[PH_KEY_DETECT])
		ph_reports_notice(&b->reports, PH_NOTICE_UDP_DETECT, d->lines[PH_KEY_DETECT],
				  "detect concerns TCP alone, and this mapping is UDP");
	if (d->lines[PH_KEY_KEEPALIVE])
		ph_reports_notice(&b->reports, PH_NOTICE_UDP_KEEPALIVE, d->lines[PH_KEY_KEEPALIVE],
				  "keepalive concerns TCP alone, and this mapping is UDP");
}

static void check_snat(struct ph_config_builder *b, const struct ph_draft *d)
{
	const struct ph_target *target = &d->m->core.target;
	bool localnet = target->kind == PH_TARGET_ADDRESS && target->address.family == PH_IPV4 &&
			target->address.octets[0] == 127;

	if (d->m->snat && d->lines[PH_KEY_TARGET] && !is_wrong(d, PH_KEY_TARGET) &&
	    (localnet || target->kind == PH_TARGET_LOCAL))
		ph_reports_notice(&b->reports, PH_NOTICE_EACH, d->lines[PH_KEY_SNAT],
				  "snat has no effect: the target is this machine");
}

void ph_check_mapping(struct ph_config_builder *b, struct ph_draft *d)
{
	struct ph_config_mapping *m = d->m;

	if (!d->lines[PH_KEY_BIND])
		ph_reports_mistake(
			&b->reports, m->line,
			"this mapping has no bind: write bind = PORT, or bind = 0 for any port");
	if (!d->lines[PH_KEY_TARGET])
		ph_reports_mistake(
			&b->reports, m->line,
			"this mapping has no target: write target = ADDR:PORT, target = :PORT for this machine, or target = none");
	if (d->lines[PH_KEY_ROTATE] && d->lines[PH_KEY_BIND] && !is_wrong(d, PH_KEY_BIND) &&
	    m->core.bind_first == m->core.bind_last)
		ph_reports_mistake(
			&b->reports, d->lines[PH_KEY_ROTATE],
			"rotate needs several ports to go round: write bind = LO-HI, LO~HI or 0");
	if (d->lines[PH_KEY_HOOK_EVENTS] && !d->lines[PH_KEY_HOOK])
		ph_reports_mistake(&b->reports, d->lines[PH_KEY_HOOK_EVENTS],
				   "hook-events needs a hook beside it");
	for (size_t i = 0; i < m->n_hooks; i++)
		m->hooks[i].events = b->hook_events
					     ? b->hook_events
					     : 1u << PH_ANNOUNCE_UP | 1u << PH_ANNOUNCE_CHANGE |
						       1u << PH_ANNOUNCE_DOWN;
	check_families(b, d);
	check_udp(b, d);
	check_snat(b, d);
}

/* Of [global]'s servers, names and the addresses of that family; NULL: none is left. */
static const struct ph_server_list *inherit_servers(struct ph_config_builder *b,
						    enum ph_server_kind kind, enum ph_family family)
{
	const struct ph_server_list **cached = &b->inherited[kind][ph_family_index(family)];
	const struct ph_server_list *all = *list_of(b->global.m, kind);
	struct ph_draft_servers *fit = &b->servers[kind];
	struct ph_address address;

	if (*cached)
		return ph_server_list_ref(*cached);
	fit->n = 0;
	for (size_t i = 0; i < all->n; i++)
		if (ph_address_parse(all->items[i].host, &address) < 0 || address.family == family)
			fit->items[fit->n++] = all->items[i];
	if (fit->n == 0)
		return NULL;
	/* Borrowed from the interned ones, which last as long as the builder. */
	*cached = ph_intern_servers(b, fit->items, fit->n);
	return *cached;
}

static const struct ph_server_list *builtin_servers(struct ph_config_builder *b,
						    enum ph_server_kind kind, enum ph_proto proto)
{
	const struct ph_server_list **list = &b->builtin[kind][proto_index(proto)];

	if (!*list)
		*list = kind == PH_SERVER_STUN ? ph_default_stun(proto) : ph_default_keepalive();
	if (!*list) {
		b->reports.no_memory = true;
		return NULL;
	}
	return ph_server_list_ref(*list);
}

static void complete_servers(struct ph_config_builder *b, struct ph_draft *d,
			     enum ph_server_kind kind)
{
	const struct ph_server_list **list = list_of(d->m, kind);
	enum ph_key key = server_key(kind);

	if (d->lines[key])
		return;
	if (!b->global.lines[key]) {
		/* One object whatever the protocol, where the list is. */
		*list = builtin_servers(b, kind,
					kind == PH_SERVER_STUN ? d->m->core.proto : PH_TCP);
		return;
	}
	if (!*list_of(b->global.m, kind)) /* all were wrong, which was said */
		return;
	*list = inherit_servers(b, kind, d->m->core.family);
	if (!*list && !b->reports.no_memory && !is_wrong(d, PH_KEY_FAMILY))
		ph_reports_mistake(
			&b->reports, d->m->line,
			"this mapping is IPv%d, and %s in [global] names only IPv%d addresses: give it its own",
			(int)d->m->core.family, ph_key_name(key),
			d->m->core.family == PH_IPV4 ? 6 : 4);
}

static void complete_interface(struct ph_config_builder *b, struct ph_draft *d)
{
	struct ph_config_mapping *m = d->m;
	struct ph_address address;

	if (d->lines[PH_KEY_INTERFACE])
		return;
	memcpy(m->interface, b->global.m->interface, sizeof(m->interface));
	if (ph_address_parse(m->interface, &address) == 0 && address.family != m->core.family &&
	    !is_wrong(d, PH_KEY_FAMILY))
		ph_reports_mistake(
			&b->reports, m->line,
			"this mapping is IPv%d, and interface in [global] is an IPv%d address: give it its own",
			(int)m->core.family, (int)address.family);
}

/* Connections that are sent to where they arrive would come back for ever. */
static void check_loop(struct ph_config_builder *b, const struct ph_draft *d)
{
	const struct ph_target *target = &d->m->core.target;
	struct ph_endpoint own = { target->address, target->port };
	char text[PH_ENDPOINT_STRLEN];

	if (!is_wrong(d, PH_KEY_BIND) && ph_target_loops(&d->m->core, d->m->interface))
		ph_reports_mistake(
			&b->reports, d->lines[PH_KEY_TARGET],
			"target: %s is where this mapping's connections arrive, a loop: for a service on this machine write target = :%u",
			ph_endpoint_format(&own, text), target->port);
}

static void complete(struct ph_config_builder *b, struct ph_draft *d)
{
	const struct ph_draft *g = &b->global;
	struct ph_config_mapping *m = d->m;

	complete_servers(b, d, PH_SERVER_STUN);
	complete_servers(b, d, PH_SERVER_KEEPALIVE);
	if (!d->lines[PH_KEY_INTERVAL])
		m->core.interval_ms = g->lines[PH_KEY_INTERVAL] ? g->m->core.interval_ms
				      : m->core.proto == PH_UDP ? 10000
								: 30000;
	if (!d->lines[PH_KEY_VERIFY])
		m->core.verify_ms = g->m->core.verify_ms;
	if (!d->lines[PH_KEY_DETECT])
		m->detect_ms = g->m->detect_ms;
	if (!d->lines[PH_KEY_FWMARK])
		m->fwmark = g->m->fwmark;
	complete_interface(b, d);
	check_loop(b, d);
}

/* SO_MARK on our own packets would look like a reply that is routed back by an uplink. */
static void check_fwmark(struct ph_config_builder *b, const struct ph_draft *d)
{
	uint32_t mask = b->config.plan.mask;

	if (d->lines[PH_KEY_FWMARK] && d->m->fwmark & mask && !is_wrong(&b->global, PH_KEY_MARK))
		ph_reports_mistake(
			&b->reports, d->lines[PH_KEY_FWMARK],
			"fwmark: 0x%08x has bits of mark's mask 0x%08x, which pinhold needs itself: choose others",
			d->m->fwmark, mask);
}

static int by_name(const void *a, const void *b)
{
	const struct ph_draft *x = *(const struct ph_draft *const *)a;
	const struct ph_draft *y = *(const struct ph_draft *const *)b;
	int order = strcmp(x->m->core.name, y->m->core.name);

	return order ? order : (x->m->line > y->m->line) - (x->m->line < y->m->line);
}

static void check_names(struct ph_config_builder *b, const struct ph_draft **sorted)
{
	qsort(sorted, b->n_drafts, sizeof(struct ph_draft *), by_name);
	for (size_t i = 1; i < b->n_drafts; i++) {
		const struct ph_config_mapping *m = sorted[i]->m, *before = sorted[i - 1]->m;

		if (*m->core.name && !strcmp(m->core.name, before->core.name))
			ph_reports_mistake(
				&b->reports, m->line,
				"[mapping %s] stands in line %u already: each needs a name of its own",
				m->core.name, before->line);
	}
}

/* Whether it wants one port and no other; then it wants it for itself. */
static bool fixed(const struct ph_draft *d)
{
	return d->m->enabled && d->lines[PH_KEY_BIND] && !is_wrong(d, PH_KEY_BIND) &&
	       d->m->core.bind_first == d->m->core.bind_last;
}

static int bind_order(const struct ph_draft *x, const struct ph_draft *y)
{
	const struct ph_mapping_config *a = &x->m->core, *b = &y->m->core;

	if (fixed(x) != fixed(y))
		return fixed(x) ? -1 : 1;
	if (a->bind_first != b->bind_first)
		return a->bind_first < b->bind_first ? -1 : 1;
	if (a->proto != b->proto)
		return a->proto < b->proto ? -1 : 1;
	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	return strcmp(x->m->interface, y->m->interface);
}

static int by_bind(const void *a, const void *b)
{
	const struct ph_draft *x = *(const struct ph_draft *const *)a;
	const struct ph_draft *y = *(const struct ph_draft *const *)b;
	int order = bind_order(x, y);

	return order ? order : (x->m->line > y->m->line) - (x->m->line < y->m->line);
}

static void check_binds(struct ph_config_builder *b, const struct ph_draft **sorted)
{
	qsort(sorted, b->n_drafts, sizeof(struct ph_draft *), by_bind);
	for (size_t i = 1; i < b->n_drafts && fixed(sorted[i]); i++) {
		const struct ph_config_mapping *m = sorted[i]->m, *before = sorted[i - 1]->m;

		/* Of two with one name that was said already. */
		if (bind_order(sorted[i - 1], sorted[i]) == 0 &&
		    strcmp(m->core.name, before->core.name) != 0)
			ph_reports_mistake(
				&b->reports, sorted[i]->lines[PH_KEY_BIND],
				"bind: %s port %u on the same interface belongs to [mapping %s] in line %u already",
				ph_proto_name(m->core.proto), m->core.bind_first, before->core.name,
				before->line);
	}
}

/* Whether replies of it may need a route of their own, by an interface that the file names. */
static bool names_uplink(const struct ph_draft *d)
{
	struct ph_address address;

	return d->m->enabled && d->m->reply_route && !is_wrong(d, PH_KEY_INTERFACE) &&
	       strcmp(d->m->interface, "auto") != 0 &&
	       ph_address_parse(d->m->interface, &address) < 0;
}

/* Two bits of the mark number the uplinks beside the default one. */
static void check_uplinks(struct ph_config_builder *b)
{
	const char *names[1 + PH_UPLINKS_MAX]; /* the default one, and what is numbered */
	size_t n = 0;

	for (size_t i = 0; i < b->n_drafts; i++) {
		const struct ph_draft *d = &b->drafts[i];
		size_t k = 0;

		if (!names_uplink(d))
			continue;
		while (k < n && strcmp(names[k], d->m->interface) != 0)
			k++;
		if (k == N(names)) {
			unsigned line = d->lines[PH_KEY_INTERFACE];

			ph_reports_mistake(
				&b->reports, line ? line : d->m->line,
				"interface: %s is one uplink too many: replies can be routed by at most three uplinks beside the default one; write reply-route = no here, or use a second gateway",
				d->m->interface);
			return;
		}
		if (k == n)
			names[n++] = d->m->interface;
	}
}

static const struct ph_publish *publisher(const struct ph_config *config, const char *name)
{
	for (size_t i = 0; i < config->n_publishers; i++)
		if (!strcmp(config->publishers[i].name, name))
			return &config->publishers[i];
	return NULL;
}

static void check_publishers(struct ph_config_builder *b)
{
	for (size_t i = 0; i < b->config.n_publishers; i++) {
		const struct ph_publish *p = &b->config.publishers[i];
		const struct ph_publish *first = publisher(&b->config, p->name);

		if (*p->name && first && first != p)
			ph_reports_mistake(
				&b->reports, p->line,
				"[publish %s] stands in line %u already: each needs a name of its own",
				p->name, first->line);
	}
	for (size_t i = 0; i < b->n_drafts; i++) {
		const struct ph_draft *d = &b->drafts[i];

		for (size_t k = 0; k < d->m->n_publish; k++)
			if (!publisher(&b->config, d->m->publish[k]))
				ph_reports_mistake(&b->reports, d->publish_lines[k],
						   "publish: there is no section [publish %s]",
						   d->m->publish[k]);
	}
}

void ph_check_file(struct ph_config_builder *b)
{
	const struct ph_draft **sorted;

	if (b->n_drafts == 0) {
		ph_reports_mistake(&b->reports, 0,
				   "no section [mapping NAME]: there is nothing to hold");
		return;
	}
	check_fwmark(b, &b->global);
	for (size_t i = 0; i < b->n_drafts; i++) {
		check_fwmark(b, &b->drafts[i]);
		complete(b, &b->drafts[i]);
	}
	check_uplinks(b);
	check_publishers(b);
	sorted = reallocarray(NULL, b->n_drafts, sizeof(*sorted));
	if (!sorted) {
		b->reports.no_memory = true;
		return;
	}
	for (size_t i = 0; i < b->n_drafts; i++)
		sorted[i] = &b->drafts[i];
	check_names(b, sorted);
	check_binds(b, sorted);
	free(sorted);
}
