// SPDX-License-Identifier: GPL-2.0-or-later
/* A table changed in place: what most changes come to, one element for another. */

#include <assert.h>
#include <string.h>

#include <pinhold/table.h>

static const struct ph_set *find_set(const struct ph_table *t, const struct ph_set_def *def)
{
	for (size_t i = 0; i < t->n_sets; i++)
		if (!strcmp(t->sets[i].def->name, def->name))
			return &t->sets[i];
	return NULL;
}

/* Where the key is, or would be. */
static size_t position(const struct ph_set *set, const struct ph_element *e, bool *ret_there)
{
	size_t low = 0, high = set->n_elements;

	*ret_there = false;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = memcmp(set->elements[middle].key, e->key, PH_KEY_MAX);

		if (order == 0) {
			*ret_there = true;
			return middle;
		}
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool points_nowhere(const struct ph_set_def *def)
{
	return def->kind == PH_SET_DATA || def->kind == PH_SET_PLAIN;
}

/* The text that a removed element of the set had, for the one that takes its place. */
static bool same_text(const struct ph_element *removed, const struct ph_element *added)
{
	if (!removed->about || !added->about)
		return removed->about == added->about;
	return !strcmp(removed->about, added->about);
}

/*
 * The steps are in the order of their kinds, and removed elements of one set are neighbours, as
 * are added ones: the nth that is removed from a set is exchanged for the nth that is added to it.
 */
static const struct ph_op *partner(const struct ph_op *ops, size_t n, size_t removed)
{
	size_t before = 0, seen = 0;

	for (size_t i = 0; i < removed; i++)
		before += ops[i].set == ops[removed].set;
	for (size_t i = 0; i < n; i++)
		if (ops[i].kind == PH_OP_ADD_ELEMENT && ops[i].set == ops[removed].set &&
		    seen++ == before)
			return &ops[i];
	return NULL;
}

bool ph_table_can_patch(const struct ph_table *t, const struct ph_op *ops, size_t n)
{
	size_t n_removed = 0, n_added = 0;

	for (size_t i = 0; i < n; i++) {
		const struct ph_set *set;
		const struct ph_op *added;
		bool there;
		size_t at;

		if (ops[i].kind == PH_OP_ADD_ELEMENT) {
			n_added++;
			continue;
		}
		if (ops[i].kind != PH_OP_DEL_ELEMENT || !points_nowhere(ops[i].set))
			return false;
		n_removed++;
		set = find_set(t, ops[i].set);
		added = partner(ops, n, i);
		if (!set || !added)
			return false;
		if (set->def->kind == PH_SET_PLAIN && !same_text(ops[i].element, added->element))
			return false;
		/* It is there as it is thought to be, and no other mapping has it, or what comes in
		 * its place. */
		at = position(set, ops[i].element, &there);
		if (!there || set->elements[at].shared ||
		    !ph_element_equal(set->def, &set->elements[at], ops[i].element))
			return false;
		position(set, added->element, &there);
		if (there && memcmp(ops[i].element->key, added->element->key, PH_KEY_MAX) != 0)
			return false;
	}
	return n_removed == n_added;
}

static void exchange(struct ph_set *set, const struct ph_element *removed,
		     const struct ph_element *added)
{
	bool there;
	size_t from = position(set, removed, &there), to = position(set, added, &there);
	struct ph_element e = *added;

	if (set->def->kind == PH_SET_PLAIN)
		e.about = set->elements[from].about;
	if (to > from && !there)
		to--;
	if (to > from)
		memmove(&set->elements[from], &set->elements[from + 1], (to - from) * sizeof(e));
	else
		memmove(&set->elements[to + 1], &set->elements[to], (from - to) * sizeof(e));
	set->elements[to] = e;
}

void ph_table_patch(struct ph_table *t, const struct ph_op *ops, size_t n)
{
	for (size_t i = 0; i < n && ops[i].kind == PH_OP_DEL_ELEMENT; i++) {
		const struct ph_op *added = partner(ops, n, i);
		const struct ph_set *found = find_set(t, ops[i].set);

		/* What ph_table_can_patch() has seen to. */
		assert(added && found);
		exchange(&t->sets[found - t->sets], ops[i].element, added->element);
	}
}
