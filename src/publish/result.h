/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * How it ended. A function that takes a result and returns an int returns 0 and leaves the result
 * alone, or -1 after it has said there why there is nothing more to do.
 */

#include <stdbool.h>
#include <stddef.h>

#include <pinhold/publish.h>

enum outcome { OUTCOME_OK, OUTCOME_UNCHANGED, OUTCOME_FAILED };

struct result {
	enum outcome outcome;
	bool retry;
	long retry_after; /* s; 0: the receiver did not say */
	char text[PH_PUBLISH_TEXT_MAX];
};

void result_ok(struct result *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
void result_unchanged(struct result *r, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Both return -1. */
int result_give_up(struct result *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
int result_retry(struct result *r, long retry_after, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
int result_no_memory(struct result *r);

/* Control characters and what is not ASCII become question marks. */
void result_printable(char *text);
