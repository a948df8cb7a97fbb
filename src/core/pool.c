/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <pinhold/backoff.h>
#include <pinhold/pool.h>

struct ph_candidate *ph_pool_find(struct ph_pool *pool, const struct ph_endpoint *endpoint)
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

bool ph_pool_set(struct ph_pool *pool, size_t index, uint16_t port,
		 const struct ph_address *addresses, size_t n, uint64_t generation)
{
	bool changed = false;
	size_t kept = 0;

	if (n == 0)
		return false;
	for (size_t i = 0; i < pool->n; i++) {
		struct ph_candidate *c = &pool->items[i];
		if (c->server == index && !listed(&c->endpoint.address, addresses, n)) {
			changed = true;
			continue;
		}
		pool->items[kept++] = *c;
	}
	pool->n = kept;

	for (size_t i = 0; i < n && pool->n < PH_CANDIDATES_MAX; i++) {
		struct ph_endpoint e = { .address = addresses[i], .port = port };
		if (ph_pool_find(pool, &e))
			continue; /* known, or another server's name for the same endpoint */
		pool->items[pool->n++] = (struct ph_candidate){
			.endpoint = e,
			.server = (uint16_t)index,
			.generation = generation,
		};
		changed = true;
	}
	return changed;
}

static bool avoided(const struct ph_candidate *c, const struct ph_endpoint *avoid, size_t n_avoid)
{
	for (size_t i = 0; i < n_avoid; i++)
		if (ph_address_equal(&c->endpoint.address, &avoid[i].address))
			return true;
	return false;
}

struct ph_candidate *ph_pool_pick(struct ph_pool *pool, uint64_t now_ms, uint64_t installed,
				  const struct ph_endpoint *avoid, size_t n_avoid)
{
	struct ph_candidate *best = NULL;

	for (size_t i = 0; i < pool->n; i++) {
		struct ph_candidate *c = &pool->items[i];
		if (c->retry_ms > now_ms || c->generation > installed || avoided(c, avoid, n_avoid))
			continue;
		/* Ties go to the server named first, although addresses come in the order of DNS
		 * answers. */
		if (!best || c->used_ms < best->used_ms ||
		    (c->used_ms == best->used_ms && c->server < best->server))
			best = c;
	}
	return best;
}

uint64_t ph_pool_wait(const struct ph_pool *pool, const struct ph_endpoint *avoid, size_t n_avoid)
{
	uint64_t at = UINT64_MAX;

	for (size_t i = 0; i < pool->n; i++)
		if (!avoided(&pool->items[i], avoid, n_avoid) && pool->items[i].retry_ms < at)
			at = pool->items[i].retry_ms;
	return at;
}

unsigned ph_candidate_failed(struct ph_candidate *c, uint64_t now_ms)
{
	c->retry_ms = now_ms + ph_backoff_ms(c->failures);
	if (c->failures < UINT8_MAX)
		c->failures++;
	return c->failures;
}

void ph_candidate_good(struct ph_candidate *c)
{
	c->failures = 0;
	c->retry_ms = 0;
}
