/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * What lies around the table: by which uplink a mapping's replies leave, and what else on this
 * machine decides whether a connection arrives.
 */

#include "daemon_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pinhold/log.h>

#include "notes.h"

static bool routes_replies(const struct mapping_run *run)
{
	return run->current && run->config->reply_route && run->links.answer == PH_LINKS_FOUND;
}

/* A run's uplink as it is now; the table has its number. */
static void set_uplink(struct mapping_run *run, const struct ph_uplink *uplink)
{
	bool same = run->uplink.number == uplink->number && run->uplink.answer == uplink->answer;

	if (run->uplink.number != uplink->number)
		ph_daemon_table_changed(run->daemon);
	run->uplink = *uplink;
	if (same)
		return;
	note_uplink(run);
	run->outdated = true;
	ph_daemon_touch(run);
}

static void decide(struct ph_daemon *d, const struct ph_links *view, struct ph_uplink_user *users,
		   struct ph_uplink *answers)
{
	static const struct ph_uplink none = { .answer = PH_UPLINK_DEFAULT };
	struct ph_reply_routes routes;
	size_t n = 0;
	int r;

	for (size_t i = 0; i < d->n_runs; i++)
		if (routes_replies(d->runs[i]))
			users[n++] = (struct ph_uplink_user){
				.interface = d->runs[i]->links.name,
				.family = d->runs[i]->config->core.family,
			};
	r = ph_uplinks_decide(&d->uplinks, view, users, n, answers, &routes);
	if (r < 0) {
		ph_error("reply routing: %s", strerror(-r));
		return;
	}
	/* Rules and routes first: only the table sends packets there. */
	r = d->routes ? ph_routes_apply(d->routes, &routes, &d->marks) : 0;
	if (r < 0 && r != d->routes_error)
		ph_error("reply routing: %s: %s", ph_routes_failed(d->routes), strerror(-r));
	d->routes_error = r;
	ph_reply_routes_done(&routes);
	n = 0;
	for (size_t i = 0; i < d->n_runs; i++)
		set_uplink(d->runs[i], routes_replies(d->runs[i]) ? &answers[n++] : &none);
}

static void see_default_route(struct ph_daemon *d, const struct ph_links *view)
{
	struct links_seen seen = { 0 };

	seen.answer = ph_links_find(view, "auto", PH_IPV4, seen.name, &seen.index, &seen.address);
	/* Where replies to 127.0.0.0/8 targets are routed back, this interface needs
	 * route_localnet too (hold.c, set_turned_from()). */
	if (d->localnet_set &&
	    (seen.index != d->default_route.index || strcmp(seen.name, d->default_route.name) != 0))
		ph_daemon_table_changed(d);
	d->default_route = seen;
}

/* Where strangers come from: whether the mappings there are up or not. */
static void see_outside(struct ph_daemon *d, const struct ph_links *view)
{
	const char **own = calloc(d->n_runs + 1, sizeof(*own));
	char(*outside)[PH_INTERFACE_MAX + 1];
	size_t n = 0;
	int r = -ENOMEM;

	/* An address, or `auto`, is what it was found to be. */
	for (size_t i = 0; own && i < d->n_runs; i++)
		own[i] = *d->runs[i]->links.name ? d->runs[i]->links.name
						 : d->runs[i]->config->interface;
	if (own)
		r = ph_links_outside(view, own, d->n_runs, &outside, &n);
	free(own);
	if (r < 0) {
		ph_error("loopback: who is outside: %s", strerror(-r));
		return;
	}
	if (n == d->plan.n_outside &&
	    (n == 0 || memcmp(outside, d->plan.outside, n * sizeof(*outside)) == 0)) {
		free(outside);
		return;
	}
	free(d->outside);
	d->outside = outside;
	d->plan.outside = (const char(*)[PH_INTERFACE_MAX + 1]) outside;
	d->plan.n_outside = n;
	ph_daemon_table_changed(d);
}

void surroundings_look(struct ph_daemon *d, const struct ph_links *view)
{
	struct ph_uplink_user *users = calloc(d->n_runs + 1, sizeof(*users));
	struct ph_uplink *answers = calloc(d->n_runs + 1, sizeof(*answers));
	struct surroundings_memo memo = { 0 };

	see_default_route(d, view);
	see_outside(d, view);
	if (users && answers)
		decide(d, view, users, answers);
	free(users);
	free(answers);
	for (size_t i = 0; i < d->n_runs; i++)
		surroundings_check(d->runs[i], &memo);
}

/* text: the interface's name is put in. */
static const char *uplink_obstacle(const struct mapping_run *run, char *text, size_t size)
{
	switch (run->uplink.answer) {
	case PH_UPLINK_DEFAULT:
		return NULL;
	case PH_UPLINK_NUMBERED:
		/* It looks at the main table, where others' rules do not say otherwise. */
		if (!run->uplink.needed || run->config->core.family != PH_IPV4 ||
		    ph_rp_filter_strict(run->links.name) != 1)
			return NULL;
		/* The kernel takes the higher one of the interface's and that of `all`. */
		snprintf(text, size,
			 "strict rp_filter drops what comes in by this interface: set its "
			 "net.ipv4.conf.%s.rp_filter to 2",
			 run->links.name);
		return text;
	case PH_UPLINK_NO_ROUTE:
		return "replies may leave by another interface: no default route goes by this one";
	case PH_UPLINK_TOO_MANY:
		return "replies may leave by another interface: there are more than three uplinks beside "
		       "the default one";
	}
	return NULL;
}

bool ph_daemon_is_inside(const struct ph_daemon *d, const struct ph_address *own,
			 const struct ph_address *address)
{
	const struct ph_links *view;

	return ph_rtnetlink_view(d->rtnetlink, &view) == 0 &&
	       ph_links_is_inside(view, d->plan.outside, d->plan.n_outside, own, address);
}

/* As it is shown and told. */
static const char *public_obstacle(const struct mapping_run *run)
{
	const struct ph_told *told = &run->told;

	return told->public_endpoint.port &&
			       ph_daemon_is_inside(run->daemon, &told->private_endpoint.address,
						   &told->public_endpoint.address)
		       ? "the servers say that the public address is one of this machine's, or of its "
			 "networks: somebody lies"
		       : NULL;
}

static const char *target_obstacle(const struct mapping_run *run, struct surroundings_memo *memo)
{
	const struct ph_target *target = &run->config->core.target;

	if (target->kind != PH_TARGET_ADDRESS)
		return NULL;
	if (!memo->asked || !ph_address_equal(&memo->address, &target->address))
		*memo = (struct surroundings_memo){
			.asked = true,
			.address = target->address,
			.answer = ph_reach(&target->address),
		};
	switch (memo->answer) {
	case PH_REACH_UNROUTABLE:
		return "there is no route to the target";
	case PH_REACH_SILENT:
		return "the target's address does not answer in its network";
	case PH_REACH_UNKNOWN:
	case PH_REACH_ROUTED:
		return NULL;
	}
	return NULL;
}

void surroundings_check(struct mapping_run *run, struct surroundings_memo *memo)
{
	const char *obstacle = NULL;
	char text[OBSTACLE_STRLEN];
	bool told = false;

	if (run->current)
		obstacle = uplink_obstacle(run, text, sizeof(text));
	run->cut_off = obstacle && run->uplink.answer != PH_UPLINK_TOO_MANY;
	if (!obstacle && run->current && run->localnet_error) {
		obstacle = "route_localnet cannot be set on the interface, so nobody reaches the "
			   "target; the log says why";
		told = true; /* by note_localnet() */
	}
	if (!obstacle && run->current)
		obstacle = public_obstacle(run);
	if (!obstacle && run->current)
		obstacle = target_obstacle(run, memo);
	if (strcmp(obstacle ? obstacle : "", run->obstacle) == 0)
		return;
	snprintf(run->obstacle, sizeof(run->obstacle), "%s", obstacle ? obstacle : "");
	if (obstacle && !told)
		note_obstacle(run);
	else if (!obstacle && run->current && run->links.answer == PH_LINKS_FOUND)
		note_no_obstacle(run);
	run->outdated = true;
	ph_daemon_touch(run);
}

/* Whether somebody else's rules look at bits of ours: told, not changed. */
void surroundings_marks(const struct ph_daemon *d)
{
	struct ph_rule_mark rule;

	if (ph_routes_mark_in_use(d->plan.mask, &rule) == 1)
		note_mark_in_use(d->plan.mask, &rule);
}

int surroundings_open(struct ph_daemon *d)
{
	const char *given = getenv("STATE_DIRECTORY");
	int r, unread;

	if (given && *given && *given != '/') {
		ph_error("STATE_DIRECTORY: %s is not an absolute path", given);
		return -EINVAL;
	}
	d->localnet_directory = given && *given ? d->state_directory : d->run_directory;
	r = ph_routes_open(&d->routes);
	if (r == -ENOMEM)
		return r;
	if (r < 0)
		ph_warning("reply routing: rules or routes that a killed pinhold left stay: %s",
			   strerror(-r));
	r = ph_localnet_open(d->localnet_directory, &d->localnet, &unread);
	if (r < 0)
		return r;
	if (unread)
		ph_warning("route_localnet: what a killed pinhold left set cannot be looked up: %s",
			   strerror(-unread));
	/* The table is right; now it may be on. */
	ph_daemon_table_changed(d);
	return 0;
}

void surroundings_close(struct ph_daemon *d)
{
	ph_localnet_close(d->localnet);
	d->localnet = NULL;
	if (d->routes)
		ph_routes_remove(d->routes);
	ph_routes_close(d->routes);
	d->routes = NULL;
}
