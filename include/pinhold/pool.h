/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The servers of one kind that a mapping may use: their resolved addresses, when each was used
 * last, how long its connections last, and how long each that failed is left alone. Pure data.
 */

#include <pinhold/mapping.h>

#define PH_CANDIDATES_MAX 32

/* A flow to a server and port that were not used for so long meets no state in the NAT that an
 * earlier flow left there (RFC 4787 REQ-5 recommends to keep it five minutes). */
#define PH_FRESH_MS 300000u

struct ph_candidate {
	struct ph_endpoint endpoint;
	uint16_t server;     /* index in the server list */
	uint8_t failures;    /* in a row */
	uint8_t held;        /* how long its last holder lived, 2^(held - 1) s; 0: none has ended */
	uint8_t idle_s;      /* after so long without a request it closes; 0: not known, 255: no */
	uint64_t used_ms;    /* when a flow to it began or ended last; 0: never */
	uint64_t retry_ms;   /* left alone until then */
	uint64_t generation; /* of the want that names it as a peer */
};

struct ph_pool {
	size_t n;
	struct ph_candidate *items; /* owned; exactly n */
};

void ph_pool_done(struct ph_pool *pool);

/*
 * The addresses of server `index` are these now: new ones are added with generation, known ones
 * keep their history, others of this server are dropped. With an empty list nothing changes (an old
 * address is better than none). 1: the set of endpoints has changed; 0: it has not; -ENOMEM:
 * nothing was done.
 */
int ph_pool_set(struct ph_pool *pool, size_t index, uint16_t port,
		const struct ph_address *addresses, size_t n, uint64_t generation);

/*
 * The list of servers is another one: to[i] is the new index of server i, negative: it is gone, and
 * its candidates with it. Candidates of servers >= n go too. Returns true if any went.
 */
bool ph_pool_renumber(struct ph_pool *pool, const int *to, size_t n);

struct ph_candidate *ph_pool_find(const struct ph_pool *pool, const struct ph_endpoint *endpoint);

/*
 * The best candidate among those that are not left alone at now_ms, are installed as peers
 * (generation <= installed) and whose address is none of avoid[]: the one that holds longest, of
 * equal ones a fresh one, then one of a server that has no address in avoid[], then the one used
 * longest ago, then the one whose server stands first. NULL: none.
 */
struct ph_candidate *ph_pool_pick(const struct ph_pool *pool, uint64_t now_ms, uint64_t installed,
				  const struct ph_endpoint *avoid, size_t n_avoid);

/* When ph_pool_pick() may answer again after NULL, ms; UINT64_MAX: not by waiting. */
uint64_t ph_pool_wait(const struct ph_pool *pool, uint64_t installed,
		      const struct ph_endpoint *avoid, size_t n_avoid);

/* No flow to it has begun or ended for PH_FRESH_MS. */
bool ph_candidate_fresh(const struct ph_candidate *c, uint64_t now_ms);
/* It failed: left alone for 1, 2, 4 ... s, but not longer than limit_ms. Returns how often in a
 * row. */
unsigned ph_candidate_failed(struct ph_candidate *c, uint64_t now_ms, uint64_t limit_ms);
void ph_candidate_good(struct ph_candidate *c);
/* A holder at it has ended after so long. */
void ph_candidate_held(struct ph_candidate *c, uint64_t life_ms);
/*
 * The server has closed in order, so long after its last answer. If it does so once, it is asked
 * sooner from then on; if it closes all the same, idleness is not its reason.
 */
void ph_candidate_closed_idle(struct ph_candidate *c, uint64_t idle_ms);
/* How long to wait between two requests to it, at most interval_ms. */
uint32_t ph_candidate_pause(const struct ph_candidate *c, uint32_t interval_ms);
