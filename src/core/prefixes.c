// SPDX-License-Identifier: GPL-2.0-or-later
/* Sets of addresses, as ascending ranges that do not touch. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <pinhold/prefix.h>

static struct ph_range range_of(const struct ph_prefix *prefix)
{
	size_t octets = ph_family_octets(prefix->address.family);
	struct ph_range range = { 0 };

	for (size_t i = 0; i < octets; i++) {
		unsigned before = 8 * (unsigned)i;
		unsigned bits = prefix->bits <= before ? 0 : prefix->bits - before;
		unsigned host = bits >= 8 ? 0 : 0xffu >> bits;

		range.first[i] = (uint8_t)(prefix->address.octets[i] & ~host);
		range.last[i] = (uint8_t)(range.first[i] | host);
	}
	return range;
}

static int by_first(const void *a, const void *b)
{
	const struct ph_range *x = a, *y = b;

	return memcmp(x->first, y->first, sizeof(x->first));
}

/* The address behind one. False: it is the family's last. */
static bool next_address(const uint8_t *address, size_t octets, uint8_t next[static 16])
{
	memcpy(next, address, 16);
	for (size_t i = octets; i > 0; i--)
		if (++next[i - 1] != 0)
			return true;
	return false;
}

/* Whether b, which does not begin before a, overlaps a or begins right behind it. */
static bool touches(const struct ph_range *a, const struct ph_range *b, size_t octets)
{
	uint8_t next[16];

	return !next_address(a->last, octets, next) || memcmp(b->first, next, sizeof(next)) <= 0;
}

static size_t merge(struct ph_range *ranges, size_t n, size_t octets)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		struct ph_range *last = kept ? &ranges[kept - 1] : NULL;

		if (!last || !touches(last, &ranges[i], octets))
			ranges[kept++] = ranges[i];
		else if (memcmp(ranges[i].last, last->last, sizeof(last->last)) > 0)
			memcpy(last->last, ranges[i].last, sizeof(last->last));
	}
	return kept;
}

/* Room for n ranges, of which there is none yet. NULL: out of memory. */
static struct ph_prefixes *allocate(enum ph_family family, size_t n)
{
	struct ph_prefixes *set;

	if (n > (SIZE_MAX - sizeof(*set)) / sizeof(*set->ranges))
		return NULL;
	set = malloc(sizeof(*set) + n * sizeof(*set->ranges));
	if (set)
		*set = (struct ph_prefixes){ .references = 1, .family = family };
	return set;
}

/* The same set with its ranges as they ought to be; takes what it is given. */
static const struct ph_prefixes *normal(struct ph_prefixes *set)
{
	struct ph_prefixes *smaller;

	if (set->n) {
		qsort(set->ranges, set->n, sizeof(*set->ranges), by_first);
		set->n = merge(set->ranges, set->n, ph_family_octets(set->family));
	}
	/* It lives as long as a mapping; what merging freed need not. */
	smaller = realloc(set, sizeof(*set) + set->n * sizeof(*set->ranges));
	if (smaller)
		set = smaller;
	return set;
}

int ph_prefixes_new(enum ph_family family, const struct ph_prefix *list, size_t n,
		    const struct ph_prefixes **ret_set)
{
	struct ph_prefixes *set;

	for (size_t i = 0; i < n; i++)
		if (list[i].address.family != family || list[i].bits > 8 * ph_family_octets(family))
			return -EINVAL;
	set = allocate(family, n);
	if (!set)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		set->ranges[set->n++] = range_of(&list[i]);
	*ret_set = normal(set);
	return 0;
}

int ph_prefixes_union(enum ph_family family, const struct ph_prefixes *const *sets, size_t n,
		      const struct ph_prefixes **ret_set)
{
	struct ph_prefixes *set;
	size_t total = 0;

	for (size_t i = 0; i < n; i++) {
		if (sets[i]->family != family)
			return -EINVAL;
		if (sets[i]->n > SIZE_MAX - total)
			return -ENOMEM;
		total += sets[i]->n;
	}
	set = allocate(family, total);
	if (!set)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < sets[i]->n; k++)
			set->ranges[set->n++] = sets[i]->ranges[k];
	*ret_set = normal(set);
	return 0;
}

/* Counting is the one thing that changes in a set. */
static struct ph_prefixes *counted(const struct ph_prefixes *set)
{
	return (struct ph_prefixes *)(uintptr_t)set;
}

const struct ph_prefixes *ph_prefixes_ref(const struct ph_prefixes *set)
{
	if (set)
		counted(set)->references++;
	return set;
}

void ph_prefixes_unref(const struct ph_prefixes *set)
{
	if (set && --counted(set)->references == 0)
		free(counted(set));
}

bool ph_prefixes_equal(const struct ph_prefixes *a, const struct ph_prefixes *b)
{
	if (a == b)
		return true;
	return a && b && a->family == b->family && a->n == b->n &&
	       (a->n == 0 || memcmp(a->ranges, b->ranges, a->n * sizeof(*a->ranges)) == 0);
}

bool ph_prefixes_contain(const struct ph_prefixes *set, const struct ph_address *address)
{
	size_t low = 0, high;

	if (!set)
		return true;
	if (set->family != address->family)
		return false;
	/* The last range that does not begin behind the address is ranges[low - 1]. */
	for (high = set->n; low < high;) {
		size_t middle = low + (high - low) / 2;

		if (memcmp(set->ranges[middle].first, address->octets, 16) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low > 0 && memcmp(address->octets, set->ranges[low - 1].last, 16) <= 0;
}
