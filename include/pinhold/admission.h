/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Whose new connections from outside are let in, and how many of them. */

#include <pinhold/prefix.h>

struct ph_limit {
	uint32_t rate;    /* new connections; 0: no limit */
	uint32_t seconds; /* per 1, 60, 3600 or 86400 */
	uint32_t burst;
};
