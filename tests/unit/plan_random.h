/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Mappings by chance, the same ones for the same seed. Few values, so that the same ones meet
 * often. */

#include "plan_mappings.h"

#define RANDOM_MAPPINGS 6
#define RANDOM_PEERS    4
#define RANDOM_ALLOW    4

struct random_plan {
	uint32_t seed;
	const struct ph_prefixes *allow[2][RANDOM_ALLOW]; /* IPv4's, IPv6's; [0] is NULL */
	struct ph_endpoint peers[RANDOM_MAPPINGS][RANDOM_PEERS];
	struct ph_plan_mapping mappings[RANDOM_MAPPINGS];
	size_t n;
};

static inline uint32_t draw(uint32_t *seed, uint32_t below)
{
	*seed = *seed * 1664525 + 1013904223;
	return (*seed >> 16) % below;
}

static inline void random_init(struct random_plan *r, uint32_t seed)
{
	memset(r, 0, sizeof(*r));
	r->seed = seed;
	for (size_t i = 0; i < 2; i++) {
		enum ph_family family = i ? PH_IPV6 : PH_IPV4;
		struct ph_prefix two[2] = { { .address.family = family, .bits = 8 },
					    { .address.family = family, .bits = 16 } };

		two[0].address.octets[0] = 10;
		two[1].address.octets[0] = 12;
		/* Nobody; one range; the same and another. */
		for (size_t k = 0; k < 3; k++)
			assert_int_equal(ph_prefixes_new(family, two, k, &r->allow[i][k + 1]), 0);
	}
}

static inline void random_done(struct random_plan *r)
{
	for (size_t i = 0; i < 2; i++)
		for (size_t k = 0; k < RANDOM_ALLOW; k++) {
			if (r->allow[i][k])
				assert_int_equal(r->allow[i][k]->references, 1);
			ph_prefixes_unref(r->allow[i][k]);
		}
}

static inline void random_target(struct random_plan *r, struct ph_plan_mapping *m, bool six)
{
	static const char *const hosts[] = { "127.0.0.1:1", "192.168.10.50:1", "203.0.113.7:1" };

	m->target.kind = (enum ph_target_kind)draw(&r->seed, 3);
	m->target.port = (uint16_t)draw(&r->seed, 3);
	if (m->target.kind == PH_TARGET_ADDRESS)
		m->target.address =
			endpoint(six ? "[fd00::50]:1" : hosts[draw(&r->seed, 3)]).address;
}

static inline void random_public(struct random_plan *r, struct ph_plan_mapping *m)
{
	bool six = m->private_endpoint.address.family == PH_IPV6;

	m->public_endpoint = six ? endpoint("[2001:db8::1]:1")
				 : endpoint(draw(&r->seed, 3) ? "203.0.113.7:1" : "100.64.0.1:1");
	m->public_endpoint.port = (uint16_t)draw(&r->seed, 5);
}

static inline void random_mapping(struct random_plan *r, size_t i)
{
	static const char *const interfaces[] = { "wan", "lte" };
	char name[2] = { (char)('a' + draw(&r->seed, 8)), 0 };
	struct ph_plan_mapping *m = &r->mappings[i];
	bool six = draw(&r->seed, 4) == 0;

	*m = six ? mapping(name, "[2001:db8::1]:1", "[2001:db8::1]:1")
		 : mapping(name, "100.64.0.1:1", "203.0.113.7:1");
	m->proto = draw(&r->seed, 2) ? PH_TCP : PH_UDP;
	snprintf(m->interface, sizeof(m->interface), "%s", interfaces[draw(&r->seed, 2)]);
	m->private_endpoint.port = (uint16_t)draw(&r->seed, 4);
	random_public(r, m);
	random_target(r, m, six);
	m->open = draw(&r->seed, 4) != 0;
	m->retiring = draw(&r->seed, 3) == 0;
	m->loopback = draw(&r->seed, 2);
	m->snat = draw(&r->seed, 4) == 0;
	m->uplink = draw(&r->seed, 3) ? 0 : draw(&r->seed, PH_UPLINKS_MAX + 1);
	if (draw(&r->seed, 3) == 0)
		snprintf(m->turned_from, sizeof(m->turned_from), "%s",
			 interfaces[draw(&r->seed, 2)]);
	m->own_port = draw(&r->seed, 3) ? 0 : (uint16_t)(100 + i);
	m->allow = r->allow[six][draw(&r->seed, RANDOM_ALLOW)];
	if (draw(&r->seed, 3) == 0)
		m->limit = (struct ph_limit){ 1 + draw(&r->seed, 2), 60, 5 };
	for (size_t j = 0; j < RANDOM_PEERS; j++) {
		r->peers[i][j] = endpoint(six ? "[2001:db8::9]:1" : "198.51.100.1:1");
		r->peers[i][j].port = (uint16_t)(1 + draw(&r->seed, 5));
	}
	m->peers = r->peers[i];
	m->n_peers = draw(&r->seed, RANDOM_PEERS + 1);
}

/* The two bind ports of one mapping have its family, and let the same ones in. */
static inline bool random_twins_agree(struct random_plan *r)
{
	for (size_t i = 0; i < r->n; i++)
		for (size_t k = 0; k < i; k++) {
			if (strcmp(r->mappings[i].name, r->mappings[k].name) != 0)
				continue;
			if (r->mappings[i].private_endpoint.address.family !=
			    r->mappings[k].private_endpoint.address.family)
				return false;
			r->mappings[i].allow = r->mappings[k].allow;
		}
	return true;
}

/* Mappings that go together, and their table. */
static inline struct ph_table *random_table(struct random_plan *r)
{
	struct ph_table *t = NULL;
	int result;

	r->n = draw(&r->seed, RANDOM_MAPPINGS + 1);
	do {
		for (size_t i = 0; i < r->n; i++)
			random_mapping(r, i);
		result = -EINVAL;
		if (random_twins_agree(r))
			result = ph_table_new(&plan_options, r->mappings, r->n, &t);
	} while (result == -EINVAL); /* duplicates: again */
	assert_int_equal(result, 0);
	return t;
}
