/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The servers of one kind that a mapping may use: their resolved addresses, when each was used
 * last, and how long each that failed is left alone. Pure data.
 */

#include <pinhold/mapping.h>

#define PH_CANDIDATES_MAX 32

struct ph_candidate {
	struct ph_endpoint endpoint;
	uint16_t server;     /* index in the server list */
	uint8_t failures;    /* in a row */
	uint64_t used_ms;    /* when a flow to it was opened last; 0: never */
	uint64_t retry_ms;   /* left alone until then */
	uint64_t generation; /* of the want that names it as a peer */
};

struct ph_pool {
	size_t n;
	struct ph_candidate items[PH_CANDIDATES_MAX];
};

/*
 * The addresses of server `index` are these now: new ones are added with generation, known ones
 * keep their history, others of this server are dropped. With an empty list nothing changes (an old
 * address is better than none). Returns true if the set of endpoints has changed.
 */
bool ph_pool_set(struct ph_pool *pool, size_t index, uint16_t port,
		 const struct ph_address *addresses, size_t n, uint64_t generation);

struct ph_candidate *ph_pool_find(struct ph_pool *pool, const struct ph_endpoint *endpoint);

/*
 * The candidate used longest ago among those that are not left alone at now_ms, are installed as
 * peers (generation <= installed) and whose address is none of avoid[]. NULL: none.
 */
struct ph_candidate *ph_pool_pick(struct ph_pool *pool, uint64_t now_ms, uint64_t installed,
				  const struct ph_endpoint *avoid, size_t n_avoid);

/* When ph_pool_pick() may answer again after NULL, ms; UINT64_MAX: not by waiting. */
uint64_t ph_pool_wait(const struct ph_pool *pool, const struct ph_endpoint *avoid, size_t n_avoid);

/* It failed: left alone for 1, 2, 4 ... 60 s. Returns how often in a row. */
unsigned ph_candidate_failed(struct ph_candidate *c, uint64_t now_ms);
void ph_candidate_good(struct ph_candidate *c);
