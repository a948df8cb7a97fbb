/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdint.h>

/* How long to leave alone what has failed so many times before: 1, 2, 4 ... 32, 60, 60 s. In ms. */
static inline uint64_t ph_backoff_ms(unsigned failures_before)
{
	uint64_t ms = UINT64_C(1000) << (failures_before < 6 ? failures_before : 6);

	return ms < 60000 ? ms : 60000;
}
