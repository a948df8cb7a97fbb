/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Between plan.c, which makes the table, and plan_sort.c, which checks and orders what it is made
 * from. */

#include <pinhold/table.h>

#define PH_CHAIN_INBOUND  "in-"         /* before a mapping's name */
#define PH_CHAIN_RETIRING "old-"        /* the same for its old bind port */
#define PH_ABOUT_RETIRING " (old port)" /* behind the name, in that chain's comment */

struct ph_plan_entry {
	const struct ph_plan_mapping *mapping;
	/* In the table, once they are made. */
	const char *name;  /* the mapping's, which is the counter's */
	const char *chain; /* NULL: it has none */
};

/* A growing list of distinct keys, in order. */
struct ph_plan_key {
	uint8_t octets[PH_KEY_MAX];
};

struct ph_plan_keys {
	struct ph_plan_key *keys;
	size_t n, room;
};

struct ph_plan_sorted {
	struct ph_plan_entry *entries;
	struct ph_plan_entry **by_name; /* all; of one name the retiring one comes last */
	size_t n_names;
	struct ph_plan_entry **by_endpoint; /* those with a private endpoint */
	size_t n_endpoints;
	size_t n_open;      /* those that are let in */
	size_t text_octets; /* for all names and comments */
	struct ph_plan_keys uplinks, peers4, peers6;
};

/* Whether connections from outside are let in, and it is known where to. */
bool ph_plan_is_open(const struct ph_plan_mapping *p);

/* Checks everything and orders it. 0, -EINVAL, -ENOMEM; nothing to release unless 0. */
int ph_plan_sort(const struct ph_plan_options *options, const struct ph_plan_mapping *mappings,
		 size_t n, struct ph_plan_sorted *ret_sorted);
void ph_plan_sorted_done(struct ph_plan_sorted *s);

/* Write parts of a key or of data at an offset of a zeroed buffer; return the offset behind. */
size_t ph_plan_put_interface(uint8_t *buf, size_t at, const char *name);
size_t ph_plan_put_socket(uint8_t *buf, size_t at,
			  const struct ph_endpoint *e); /* address . port */
size_t ph_plan_put_endpoint(uint8_t *buf, size_t at, enum ph_proto proto,
			    const struct ph_endpoint *e); /* address . protocol . port */
