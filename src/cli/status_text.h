/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Status for people, of the daemon's JSON. Members that are missing show as no value. */

#include <jansson.h>
#include <stdio.h>
#include <time.h>

#define STATUS_WIDTH 80 /* columns, where the terminal does not say */

/* All mappings (an array): a table that keeps to width columns, and why those that are not well are
 * not. 0 or -ENOMEM. */
int status_print_all(FILE *out, const json_t *daemon, const json_t *mappings, time_t now,
		     unsigned width);
/* Everything about one mapping. */
void status_print_one(FILE *out, const json_t *m, time_t now, unsigned width);

#define STATUS_DURATION_STRLEN 32

/* "45s", "13m 20s", "2h 13m", "3d 4h"; returns buf. */
const char *status_duration(time_t seconds, char buf[static STATUS_DURATION_STRLEN]);
