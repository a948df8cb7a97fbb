/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdlib.h>

#include <pinhold/backoff.h>
#include <pinhold/pool.h>

void ph_pool_done(struct ph_pool *pool)
{
	free(pool->items);
	*pool = (struct ph_pool){ 0 };
}

struct ph_candidate *ph_pool_find(const struct ph_pool *pool, const struct ph_endpoint *endpoint)
{
	for (size_t i = 0; i < pool->n; i++)
		if (ph_endpoint_equal(&pool->items[i].endpoint, endpoint))
			return &pool->items[i];
	return NULL;
}

static bool listed(const struct ph_address *address, const struct ph_address *addresses, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (ph_address_equal(address, &addresses[i]))
			return true;
	return false;
}

/* Drops what is no address of server `index` any more. Returns true if anything was. */
static bool drop_others(struct ph_pool *pool, size_t index, const struct ph_address *addresses,
			size_t n)
{
	size_t kept = 0, before = pool->n;

	for (size_t i = 0; i < pool->n; i++) {
		const struct ph_candidate *c = &pool->items[i];

		if (c->server != index || listed(&c->endpoint.address, addresses, n))
			pool->items[kept++] = *c;
	}
	pool->n = kept;
	return kept < before;
}

int ph_pool_set(struct ph_pool *pool, size_t index, uint16_t port,
		const struct ph_address *addresses, size_t n, uint64_t generation)
{
	size_t room = pool->n + n;
	struct ph_candidate *items;
	bool changed;

	if (n == 0)
		return 0;
	items = realloc(pool->items, room * sizeof(*items));
	if (!items)
		return -ENOMEM;
	pool->items = items;
	changed = drop_others(pool, index, addresses, n);
	for (size_t i = 0; i < n && pool->n < PH_CANDIDATES_MAX; i++) {
		struct ph_endpoint e = { .address = addresses[i], .port = port };

		if (ph_pool_find(pool, &e))
			continue; /* known, or another server's name for the same endpoint */
		items[pool->n++] = (struct ph_candidate){
			.endpoint = e,
			.server = (uint16_t)index,
			.generation = generation,
		};
		changed = true;
	}
	/* Names are looked up seldom, and there may be thousands of mappings. */
	if (pool->n > 0)
		items = realloc(pool->items, pool->n * sizeof(*items));
	if (items)
		pool->items = items;
	return changed;
}

bool ph_pool_renumber(struct ph_pool *pool, const int *to, size_t n)
{
	size_t kept = 0, before = pool->n;

	for (size_t i = 0; i < pool->n; i++) {
		struct ph_candidate c = pool->items[i];

		if (c.server >= n || to[c.server] < 0)
			continue;
		c.server = (uint16_t)to[c.server];
		pool->items[kept++] = c;
	}
	pool->n = kept;
	return kept < before;
}

static bool avoided(const struct ph_candidate *c, const struct ph_endpoint *avoid, size_t n_avoid)
{
	for (size_t i = 0; i < n_avoid; i++)
		if (ph_address_equal(&c->endpoint.address, &avoid[i].address))
			return true;
	return false;
}

/* How good a holder is to be expected: one that has never ended is the best. */
static unsigned lasting(const struct ph_candidate *c)
{
	return c->held ? c->held : UINT8_MAX + 1u;
}

/* Another address of a server that is avoided: what becomes of that one, or what it says, may well
 * be so here, too. */
static bool related(const struct ph_pool *pool, const struct ph_candidate *c,
		    const struct ph_endpoint *avoid, size_t n_avoid)
{
	for (size_t i = 0; i < pool->n; i++)
		if (pool->items[i].server == c->server && avoided(&pool->items[i], avoid, n_avoid))
			return true;
	return false;
}

struct rank {
	const struct ph_candidate *c;
	bool fresh, related;
};

static bool better(const struct rank *x, const struct rank *y)
{
	const struct ph_candidate *a = x->c, *b = y->c;

	if (lasting(a) != lasting(b))
		return lasting(a) > lasting(b);
	if (x->fresh != y->fresh)
		return x->fresh;
	if (x->related != y->related)
		return y->related;
	if (a->used_ms != b->used_ms)
		return a->used_ms < b->used_ms;
	/* Ties go to the server named first, although addresses come in the order of DNS
	 * answers. */
	return a->server < b->server;
}

struct ph_candidate *ph_pool_pick(const struct ph_pool *pool, uint64_t now_ms, uint64_t installed,
				  const struct ph_endpoint *avoid, size_t n_avoid)
{
	struct ph_candidate *best = NULL;
	struct rank best_rank = { 0 };

	for (size_t i = 0; i < pool->n; i++) {
		struct ph_candidate *c = &pool->items[i];
		struct rank rank;

		if (c->retry_ms > now_ms || c->generation > installed || avoided(c, avoid, n_avoid))
			continue;
		rank = (struct rank){
			.c = c,
			.fresh = ph_candidate_fresh(c, now_ms),
			.related = related(pool, c, avoid, n_avoid),
		};
		if (best && !better(&rank, &best_rank))
			continue;
		best = c;
		best_rank = rank;
	}
	return best;
}

uint64_t ph_pool_wait(const struct ph_pool *pool, uint64_t installed,
		      const struct ph_endpoint *avoid, size_t n_avoid)
{
	uint64_t at = UINT64_MAX;

	for (size_t i = 0; i < pool->n; i++) {
		const struct ph_candidate *c = &pool->items[i];

		if (c->generation <= installed && !avoided(c, avoid, n_avoid) && c->retry_ms < at)
			at = c->retry_ms;
	}
	return at;
}

bool ph_candidate_fresh(const struct ph_candidate *c, uint64_t now_ms)
{
	return c->used_ms == 0 || now_ms - c->used_ms >= PH_FRESH_MS;
}

unsigned ph_candidate_failed(struct ph_candidate *c, uint64_t now_ms, uint64_t limit_ms)
{
	uint64_t wait_ms = ph_backoff_ms(c->failures);

	c->retry_ms = now_ms + (wait_ms < limit_ms ? wait_ms : limit_ms);
	if (c->failures < UINT8_MAX)
		c->failures++;
	return c->failures;
}

void ph_candidate_good(struct ph_candidate *c)
{
	c->failures = 0;
	c->retry_ms = 0;
}

void ph_candidate_held(struct ph_candidate *c, uint64_t life_ms)
{
	c->held = 1;
	for (uint64_t s = life_ms / 1000; s > 1; s /= 2)
		c->held++;
}

void ph_candidate_closed_idle(struct ph_candidate *c, uint64_t idle_ms)
{
	if (idle_ms < 2000)
		return; /* it closes after an answer */
	c->idle_s = c->idle_s == 0 && idle_ms < UINT8_MAX * 1000u ? (uint8_t)(idle_ms / 1000)
								  : UINT8_MAX;
}

uint32_t ph_candidate_pause(const struct ph_candidate *c, uint32_t interval_ms)
{
	uint32_t ms = c->idle_s * 600u;

	return c->idle_s == 0 || c->idle_s == UINT8_MAX || ms > interval_ms ? interval_ms : ms;
}
