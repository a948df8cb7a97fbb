/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Whoever is told of a mapping's endpoint, inside: receivers.c says when (what is owed, retries,
 * the end), hooks.c and publishers.c how, told.c remembers it over a restart.
 */

#include <jansson.h>

#include "mapping_run.h"

enum receiver_kind { RECEIVER_HOOK, RECEIVER_PUBLISHER };

#define RECEIVER_TEXT_OCTETS 1024 /* PH_PUBLISH_TEXT_MAX */

struct receiver_run {
	struct mapping_run *run;
	struct receiver_run *next;
	enum receiver_kind kind;
	char *name; /* a hook's path, a publisher's name; owned */
	char *spec; /* a publisher's settings, as JSON; owned, wiped */
	enum ph_publish_type type;
	bool gone; /* not configured any more; it may end what it does */
	struct ph_receiver receiver;
	struct ph_child *child;
	enum ph_announce calling; /* what the child was called for */
	uv_timer_t timer;         /* for the retry */
	uint64_t due_ms;          /* when it is */
	/* Of the calls that have ended. */
	struct ph_status_call last;
	char text[RECEIVER_TEXT_OCTETS]; /* what a publisher says about it */
	uint64_t after_ms;               /* a publisher's wish for the retry; 0: none */
};

/* A child for the delivery, which calls receiver_ended(). 0 or -errno, nothing runs. */
int hook_call(struct receiver_run *r, const struct ph_delivery *delivery);
int publisher_call(struct receiver_run *r, const struct ph_delivery *delivery);

/* The child's end; what came of it is in last and after_ms. */
void receiver_ended(struct receiver_run *r, enum ph_receiver_end end);

/* Our own environment without what is meant for us alone, and n more. The array is the caller's.
 * NULL: out of memory. */
char **receiver_environment(char *const more[], size_t n);

/* told.c */
/* What an earlier daemon has told a new receiver. */
void told_load(struct receiver_run *r);
/* Remembers what the run's receivers have been told. Where that fails, nothing is remembered. */
void told_save(struct mapping_run *run);
void told_remove(struct mapping_run *run);
