/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stddef.h>

/* What --help prints; pinhold(8) says more. */
extern const char usage_program[];
extern const char usage_run[];
extern const char usage_test[];
extern const char usage_reload[];
extern const char usage_status[];
extern const char usage_get[];
extern const char usage_watch[];
extern const char usage_ruleset[];

/* The candidate that word is likeliest a slip for, or NULL: none is near. */
const char *usage_nearest(const char *word, const char *const candidates[], size_t n);
