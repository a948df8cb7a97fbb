/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Mappings to make tables of, for the tests of the plan and of the differences between plans. */

#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pinhold/table.h>

static const struct ph_plan_options plan_options = { .mark = 0x08000000, .mask = 0x0f000000 };

static inline struct ph_plan_mapping mapping(const char *name, const char *private,
					     const char *public)
{
	static struct ph_endpoint peers[1];
	struct ph_plan_mapping m = {
		.proto = PH_TCP,
		.interface = "wan",
		.open = true,
		.target = { .kind = PH_TARGET_LOCAL, .port = 443 },
		.peers = peers,
		.n_peers = 1,
	};

	peers[0] = endpoint("198.51.100.1:3478");
	snprintf(m.name, sizeof(m.name), "%s", name);
	m.private_endpoint = endpoint(private);
	m.public_endpoint = endpoint(public);
	return m;
}

static inline struct ph_plan_mapping web(void)
{
	return mapping("web", "100.64.0.2:8443", "203.0.113.7:32451");
}

/* `web` to a server in the LAN, with loopback. */
static inline struct ph_plan_mapping lan(void)
{
	struct ph_plan_mapping m = web();

	m.loopback = true;
	m.target =
		(struct ph_target){ PH_TARGET_ADDRESS, endpoint("192.168.10.50:1").address, 443 };
	return m;
}

/* The target is the bind port itself. */
static inline struct ph_plan_mapping identity(void)
{
	struct ph_plan_mapping m = web();

	m.target.port = m.private_endpoint.port;
	return m;
}

/* "198.51.100.0/24" is "198.51.100.0", 24; "": nobody. The caller's reference. */
static inline const struct ph_prefixes *prefixes(enum ph_family family, const char *first,
						 uint8_t bits)
{
	const struct ph_prefixes *set = NULL;
	struct ph_prefix p = { .bits = bits };

	if (*first)
		assert_int_equal(ph_address_parse(first, &p.address), 0);
	assert_int_equal(ph_prefixes_new(family, &p, *first != '\0', &set), 0);
	return set;
}

/* The three moments of a mapping that moves to another bind port; returns the number of mappings.
 */
static inline size_t moving(unsigned moment, struct ph_plan_mapping m[static 2])
{
	m[0] = web();
	m[1] = mapping("web", "100.64.0.2:8444", "203.0.113.7:1025");
	if (moment == 3) {
		m[0] = m[1];
		return 1;
	}
	m[0].retiring = moment == 2;
	m[1].open = moment == 2;
	if (moment == 1)
		m[1].public_endpoint = (struct ph_endpoint){ 0 };
	return 2;
}

static inline struct ph_table *table_of(const struct ph_plan_mapping *mappings, size_t n)
{
	struct ph_table *t = NULL;

	assert_int_equal(ph_table_new(&plan_options, mappings, n, &t), 0);
	assert_non_null(t);
	return t;
}
