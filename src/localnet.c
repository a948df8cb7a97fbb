/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * route_localnet, for targets in 127.0.0.0/8: it is on only where the table guards the interface,
 * so it goes before the table changes and comes after it.
 */

#include "daemon_internal.h"

#include <stdlib.h>
#include <string.h>

#include <pinhold/log.h>

#include "notes.h"

struct list {
	struct ph_localnet_interface *items;
	size_t n;
};

/* The interfaces that a want needs it on; at most two. */
static size_t interfaces_of(const struct ph_plan_mapping *want,
			    struct ph_localnet_interface ret_list[static 2])
{
	size_t n = 0;

	if (!ph_plan_is_localnet(want))
		return 0;
	ret_list[n++] = (struct ph_localnet_interface){ .name = want->interface };
	if (*want->turned_from)
		ret_list[n++] = (struct ph_localnet_interface){ .name = want->turned_from };
	return n;
}

static struct ph_localnet_interface *find(const struct list *list, const char *name)
{
	for (size_t i = 0; i < list->n; i++)
		if (strcmp(list->items[i].name, name) == 0)
			return &list->items[i];
	return NULL;
}

/* Whether the installed table guards the interface for the hold. */
static bool is_guarded(const struct hold *hold, const char *name)
{
	const struct ph_plan_mapping *p = &hold->installed;

	return ph_plan_is_localnet(p) &&
	       (strcmp(p->interface, name) == 0 || strcmp(p->turned_from, name) == 0);
}

static void want(struct ph_daemon *d, struct list *list)
{
	bool told = false;
	int r;

	if (list->n == 0 && !d->localnet_set)
		return;
	r = ph_localnet_want(d->localnet, list->items, list->n);
	/* What is wrong with the file is told for each mapping that needs it. */
	for (size_t i = 0; i < list->n; i++)
		told = told || list->items[i].by_file;
	for (size_t i = 0; i < list->n; i++)
		if (list->items[i].found)
			ph_warning(
				"net.ipv4.conf.%s.route_localnet was set already: it stays set when pinhold ends, and nothing guards 127.0.0.0/8 then",
				list->items[i].name);
	if (r < 0 && r != d->localnet_error && !told)
		ph_error("route_localnet: %s", strerror(-r));
	d->localnet_error = r;
	d->localnet_set = list->n > 0;
}

/* -ENOMEM counts as nothing wanted: it is never on where it might not be guarded. */
static void collect(struct hold *const *holds, const struct ph_plan_mapping *wants, size_t n,
		    bool guarded, struct list *list)
{
	*list = (struct list){ .items = calloc(2 * n + 1, sizeof(*list->items)) };
	for (size_t i = 0; list->items && i < n; i++) {
		struct ph_localnet_interface of[2];
		size_t n_of = interfaces_of(&wants[i], of);

		for (size_t k = 0; k < n_of; k++)
			if (!find(list, of[k].name) &&
			    (!guarded || is_guarded(holds[i], of[k].name)))
				list->items[list->n++] = of[k];
	}
}

void localnet_before(struct ph_daemon *d, struct hold *const *holds,
		     const struct ph_plan_mapping *wants, size_t n)
{
	struct list list;

	if (!d->localnet || !d->localnet_set)
		return;
	collect(holds, wants, n, true, &list);
	want(d, &list);
	free(list.items);
}

/* What has become of one mapping's interfaces. */
static void report(struct hold *hold, const struct ph_plan_mapping *p, const struct list *list)
{
	struct mapping_run *run = hold->run;
	struct ph_localnet_interface of[2];
	struct surroundings_memo memo = { 0 };
	struct ph_localnet_interface failed = { 0 };
	size_t n = interfaces_of(p, of);

	for (size_t i = 0; i < n && !failed.error; i++) {
		const struct ph_localnet_interface *set = find(list, of[i].name);

		failed = set ? *set : of[i];
		failed.error = set ? set->error : -ENOMEM;
	}
	if (failed.error == run->localnet_error)
		return;
	run->localnet_error = failed.error;
	if (failed.error)
		note_localnet(run, &failed, run->daemon->localnet_directory);
	surroundings_check(run, &memo);
}

void localnet_after(struct ph_daemon *d, struct hold *const *holds,
		    const struct ph_plan_mapping *wants, size_t n)
{
	struct list list;

	if (!d->localnet)
		return;
	collect(holds, wants, n, false, &list);
	want(d, &list);
	for (size_t i = 0; i < n; i++)
		if (holds[i]->role == HOLD_CURRENT)
			report(holds[i], &wants[i], &list);
	free(list.items);
}

void localnet_unguarded(struct ph_daemon *d)
{
	struct list none = { 0 };

	if (d->localnet)
		want(d, &none);
}
