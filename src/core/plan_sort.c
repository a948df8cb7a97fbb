// SPDX-License-Identifier: GPL-2.0-or-later
/* What the mappings say, checked, and in the table's order. */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <pinhold/config.h>

#include "plan_internal.h"

#define IFNAME_OCTETS 16 /* IFNAMSIZ */

static bool name_is_valid(const char name[static PH_NAME_MAX + 1])
{
	return strnlen(name, PH_NAME_MAX + 1) <= PH_NAME_MAX && !ph_name_refusal(name);
}

/*
 * Names that the kernel takes (net/core/dev.c, dev_valid_name()), less those that nft's text cannot
 * say: a quotation mark ends its strings, a star at the end is its wildcard and would widen a rule.
 */
static bool interface_is_valid(const char name[static PH_INTERFACE_MAX + 1])
{
	size_t n = strnlen(name, PH_INTERFACE_MAX + 1);

	if (n == 0 || n > PH_INTERFACE_MAX || !strcmp(name, ".") || !strcmp(name, ".."))
		return false;
	for (size_t i = 0; i < n; i++)
		if (name[i] <= ' ' || name[i] > '~' || strchr("/:\"*\\", name[i]))
			return false;
	return true;
}

static bool family_is_valid(enum ph_family family)
{
	return family == PH_IPV4 || family == PH_IPV6;
}

static bool target_is_valid(const struct ph_target *t, enum ph_family family)
{
	switch (t->kind) {
	case PH_TARGET_NONE:
	case PH_TARGET_LOCAL:
		return true;
	case PH_TARGET_ADDRESS:
		return t->address.family == family;
	}
	return false;
}

static bool unit_is_valid(uint32_t seconds)
{
	return seconds == 1 || seconds == 60 || seconds == 3600 || seconds == 86400;
}

/* All but interface and peers, which are looked at where they are collected. */
static bool mapping_is_valid(const struct ph_plan_mapping *p)
{
	enum ph_family family = p->private_endpoint.address.family;

	if (!name_is_valid(p->name) || (p->proto != PH_TCP && p->proto != PH_UDP))
		return false;
	if (!p->private_endpoint.port)
		return true;
	if (p->public_endpoint.port && p->public_endpoint.address.family != family)
		return false;
	if (p->allow && p->allow->family != family)
		return false;
	if (p->limit.rate && !unit_is_valid(p->limit.seconds))
		return false;
	if (*p->turned_from && !interface_is_valid(p->turned_from))
		return false;
	return family_is_valid(family) && target_is_valid(&p->target, family) &&
	       (!p->n_peers || p->peers) && p->uplink <= PH_UPLINKS_MAX;
}

uint16_t ph_plan_target_port(const struct ph_plan_mapping *p)
{
	return p->target.port ? p->target.port : p->public_endpoint.port;
}

bool ph_plan_is_identity(const struct ph_plan_mapping *p)
{
	return p->target.kind == PH_TARGET_NONE ||
	       (p->target.kind == PH_TARGET_LOCAL &&
		ph_plan_target_port(p) == p->private_endpoint.port);
}

bool ph_plan_shares_port(const struct ph_target *target, uint16_t bind_port)
{
	return target->kind == PH_TARGET_NONE || (target->kind == PH_TARGET_LOCAL &&
						  (target->port == bind_port || target->port == 0));
}

bool ph_plan_is_loop(const struct ph_plan_mapping *p)
{
	struct ph_endpoint target = { p->target.address, ph_plan_target_port(p) };

	return p->target.kind == PH_TARGET_ADDRESS &&
	       (ph_endpoint_equal(&target, &p->private_endpoint) ||
		ph_endpoint_equal(&target, &p->public_endpoint));
}

bool ph_plan_is_open(const struct ph_plan_mapping *p)
{
	/* Where the target follows a public port that is not known, there is nothing to translate
	 * to. */
	return p->open && p->private_endpoint.port &&
	       (p->target.kind == PH_TARGET_NONE || ph_plan_target_port(p)) && !ph_plan_is_loop(p);
}

bool ph_plan_is_localnet(const struct ph_plan_mapping *p)
{
	return p->target.kind == PH_TARGET_ADDRESS && p->target.address.family == PH_IPV4 &&
	       p->target.address.octets[0] == 127 && ph_plan_is_open(p);
}

bool ph_plan_is_here(const struct ph_plan_mapping *p)
{
	return p->proto == PH_UDP && p->target.kind != PH_TARGET_ADDRESS && p->loopback &&
	       ph_plan_is_open(p);
}

bool ph_plan_drops(const struct ph_plan_mapping *p)
{
	return (p->allow || p->limit.rate) && ph_plan_is_identity(p);
}

size_t ph_plan_put_interface(uint8_t *buf, size_t at, const char *name)
{
	memcpy(buf + at, name, strlen(name));
	return at + IFNAME_OCTETS;
}

static size_t put_address(uint8_t *buf, size_t at, const struct ph_address *a)
{
	size_t n = ph_family_octets(a->family);

	memcpy(buf + at, a->octets, n);
	return at + n;
}

size_t ph_plan_put_port(uint8_t *buf, size_t at, uint16_t port)
{
	buf[at] = (uint8_t)(port >> 8);
	buf[at + 1] = (uint8_t)port;
	return at + 4;
}

size_t ph_plan_put_socket(uint8_t *buf, size_t at, const struct ph_endpoint *e)
{
	at = put_address(buf, at, &e->address);
	return ph_plan_put_port(buf, at, e->port);
}

size_t ph_plan_put_endpoint(uint8_t *buf, size_t at, enum ph_proto proto,
			    const struct ph_endpoint *e)
{
	at = put_address(buf, at, &e->address);
	buf[at] = (uint8_t)proto;
	return ph_plan_put_port(buf, at + 4, e->port);
}

/* Where it is, or would be; *ret_there says which. */
static size_t keys_find(const struct ph_plan_keys *k, const struct ph_plan_key *key,
			bool *ret_there)
{
	size_t low = 0, high = k->n;

	*ret_there = false;
	while (low < high && !*ret_there) {
		size_t middle = low + (high - low) / 2;
		int order = memcmp(k->keys[middle].octets, key->octets, sizeof(key->octets));

		*ret_there = !order;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return *ret_there ? high : low;
}

static int keys_insert(struct ph_plan_keys *k, const struct ph_plan_key *key)
{
	bool there;
	size_t low = keys_find(k, key, &there);

	if (there)
		return 0;
	if (k->n == k->room) {
		size_t room = k->room ? 2 * k->room : 16;
		struct ph_plan_key *keys = reallocarray(k->keys, room, sizeof(*keys));

		if (!keys)
			return -ENOMEM;
		k->keys = keys;
		k->room = room;
	}
	memmove(&k->keys[low + 1], &k->keys[low], (k->n - low) * sizeof(*key));
	k->keys[low] = *key;
	k->n++;
	return 0;
}

static int collect_peer(struct ph_plan_sorted *s, const struct ph_plan_mapping *p,
			const struct ph_endpoint *peer)
{
	enum ph_family family = p->private_endpoint.address.family;
	struct ph_plan_key key = {};

	if (!peer->port || !family_is_valid(peer->address.family))
		return -EINVAL;
	/* A server of the other family cannot be spoken to from this endpoint. */
	if (peer->address.family != family)
		return 0;
	ph_plan_put_endpoint(key.octets, 0, p->proto, peer);
	return keys_insert(family == PH_IPV4 ? &s->peers4 : &s->peers6, &key);
}

/*
 * Checks the interface and the servers of p and puts them into the lists. Neighbours mostly have
 * the same ones in the same order, so what the mapping before said at the same place is right and
 * is there.
 */
static int collect_keys(struct ph_plan_sorted *s, const struct ph_plan_mapping *p,
			const struct ph_plan_mapping *before)
{
	bool alike = before && before->proto == p->proto &&
		     before->private_endpoint.address.family == p->private_endpoint.address.family;
	int r;

	if (!before || memcmp(before->interface, p->interface, sizeof(p->interface))) {
		struct ph_plan_key key = {};

		if (!interface_is_valid(p->interface))
			return -EINVAL;
		ph_plan_put_interface(key.octets, 0, p->interface);
		r = keys_insert(&s->uplinks, &key);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < p->n_peers; i++) {
		if (alike && i < before->n_peers &&
		    ph_endpoint_equal(&before->peers[i], &p->peers[i]))
			continue;
		r = collect_peer(s, p, &p->peers[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	struct ph_plan_entry *const *x = a, *const *y = b;

	int order = strcmp((*x)->mapping->name, (*y)->mapping->name);

	return order ? order : (int)(*x)->mapping->retiring - (int)(*y)->mapping->retiring;
}

/* The order of the keys of inbound4 and inbound6. */
static int compare_endpoints(const void *a, const void *b)
{
	struct ph_plan_entry *const *x = a, *const *y = b;
	const struct ph_plan_mapping *p = (*x)->mapping, *q = (*y)->mapping;
	int order = strcmp(p->interface, q->interface);

	if (order)
		return order;
	if (p->private_endpoint.address.family != q->private_endpoint.address.family)
		return p->private_endpoint.address.family < q->private_endpoint.address.family ? -1
											       : 1;
	order = memcmp(p->private_endpoint.address.octets, q->private_endpoint.address.octets,
		       sizeof(p->private_endpoint.address.octets));
	if (order)
		return order;
	if (p->proto != q->proto)
		return p->proto < q->proto ? -1 : 1;
	return (int)p->private_endpoint.port - (int)q->private_endpoint.port;
}

/* Whether each is less than the next: in order, and no two the same. */
static bool ascends(struct ph_plan_entry **list, size_t n,
		    int (*compare)(const void *, const void *))
{
	for (size_t i = 1; i < n; i++) {
		assert(list[i - 1] && list[i]); /* all n are there */
		if (compare(&list[i - 1], &list[i]) >= 0)
			return false;
	}
	return true;
}

/* Whether the names allow one in-NAME and one old-NAME each, and no name is there a third time. */
static bool names_are_valid(const struct ph_plan_sorted *s)
{
	for (size_t i = 1; i < s->n_names; i++) {
		const struct ph_plan_mapping *p = s->by_name[i - 1]->mapping;
		const struct ph_plan_mapping *q = s->by_name[i]->mapping;

		if (strcmp(p->name, q->name))
			continue;
		if (p->retiring || (!q->retiring && p->open && q->open))
			return false;
		/* Both have one counter and one set of who may connect. */
		if (p->private_endpoint.port && q->private_endpoint.port &&
		    (p->private_endpoint.address.family != q->private_endpoint.address.family ||
		     !ph_prefixes_equal(p->allow, q->allow)))
			return false;
		if (i > 1 && !strcmp(s->by_name[i - 2]->mapping->name, q->name))
			return false;
	}
	return true;
}

/* What a mapping adds to what the table needs. */
static void add_sizes(struct ph_plan_sorted *s, const struct ph_plan_mapping *p)
{
	size_t name = strlen(p->name) + 1;

	s->sizes.text += name;
	if (p->retiring)
		s->sizes.text += name + strlen(PH_ABOUT_RETIRING);
	if (!p->private_endpoint.port)
		return;
	s->sizes.elements += ph_plan_elements_of(p);
	if (!ph_plan_is_open(p))
		return;
	ph_plan_chain_sizes(p, &s->sizes);
	s->sizes.text += strlen(p->retiring ? PH_CHAIN_RETIRING : PH_CHAIN_INBOUND) + name;
	if (p->allow) {
		s->sizes.sets++;
		s->sizes.text += strlen("allow4-") + name;
	}
}

static void note_needs(struct ph_plan_sorted *s, const struct ph_plan_mapping *p)
{
	bool four = p->private_endpoint.address.family == PH_IPV4;

	if (p->own_port)
		*(four ? &s->borrows4 : &s->borrows6) = true;
	if (!ph_plan_is_open(p))
		return;
	s->uplink[p->uplink] = true;
	if (ph_plan_is_localnet(p)) {
		s->localnet = true;
		s->localhost4 = s->localhost4 || p->loopback;
	}
	if (ph_plan_is_here(p)) {
		*(four ? &s->here4 : &s->here6) = true;
		*(four ? &s->localhost4 : &s->localhost6) = true;
	}
}

/* Ways to the Internet that are no uplink now. A name that cannot be in a set is none. */
static int collect_outside(struct ph_plan_sorted *s, const struct ph_plan_options *options)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < options->n_outside; i++) {
		struct ph_plan_key key = {};
		bool there;

		if (!interface_is_valid(options->outside[i]))
			continue;
		ph_plan_put_interface(key.octets, 0, options->outside[i]);
		keys_find(&s->uplinks, &key, &there);
		if (!there)
			r = keys_insert(&s->outside, &key);
	}
	return r;
}

static int sort_mappings(struct ph_plan_sorted *s, const struct ph_plan_mapping *mappings, size_t n)
{
	const struct ph_plan_mapping *before = NULL;
	int r;

	for (size_t i = 0; i < n; i++) {
		const struct ph_plan_mapping *p = &mappings[i];

		if (!mapping_is_valid(p))
			return -EINVAL;
		s->entries[i].mapping = p;
		s->by_name[s->n_names++] = &s->entries[i];
		add_sizes(s, p);
		if (!p->private_endpoint.port)
			continue;
		s->by_endpoint[s->n_endpoints++] = &s->entries[i];
		note_needs(s, p);
		r = collect_keys(s, p, before);
		if (r < 0)
			return r;
		before = p;
	}
	/* Mostly they come in order: the caller's. */
	if (!ascends(s->by_name, s->n_names, compare_names)) {
		qsort(s->by_name, s->n_names, sizeof(*s->by_name), compare_names);
		if (!names_are_valid(s))
			return -EINVAL;
	}
	if (!ascends(s->by_endpoint, s->n_endpoints, compare_endpoints)) {
		qsort(s->by_endpoint, s->n_endpoints, sizeof(*s->by_endpoint), compare_endpoints);
		if (!ascends(s->by_endpoint, s->n_endpoints, compare_endpoints))
			return -EINVAL;
	}
	return 0;
}

int ph_plan_sort(const struct ph_plan_options *options, const struct ph_plan_mapping *mappings,
		 size_t n, struct ph_plan_sorted *ret_sorted)
{
	struct ph_plan_sorted s = {};
	int r = -ENOMEM;

	if (ph_marks_of(options, &s.marks) < 0)
		return -EINVAL;
	/* One more than needed, because an allocation of nothing may be NULL. */
	s.entries = calloc(n + 1, sizeof(*s.entries));
	s.by_name = calloc(n + 1, sizeof(*s.by_name));
	s.by_endpoint = calloc(n + 1, sizeof(*s.by_endpoint));
	if (s.entries && s.by_name && s.by_endpoint)
		r = sort_mappings(&s, mappings, n);
	if (r == 0)
		r = collect_outside(&s, options);
	if (r < 0) {
		ph_plan_sorted_done(&s);
		return r;
	}
	*ret_sorted = s;
	return 0;
}

void ph_plan_sorted_done(struct ph_plan_sorted *s)
{
	free(s->entries);
	free(s->by_name);
	free(s->by_endpoint);
	free(s->uplinks.keys);
	free(s->outside.keys);
	free(s->peers4.keys);
	free(s->peers6.keys);
}
