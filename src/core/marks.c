// SPDX-License-Identifier: GPL-2.0-or-later
/* What the bits of the conntrack mark mean. */

#include <errno.h>

#include <pinhold/plan.h>

/* Takes the highest bit out of *bits. */
static uint32_t take_highest(uint32_t *bits)
{
	uint32_t bit = UINT32_C(1) << (31 - __builtin_clz(*bits));

	*bits &= ~bit;
	return bit;
}

int ph_marks_of(const struct ph_plan_options *options, struct ph_marks *ret_marks)
{
	struct ph_marks m = { .mask = options->mask, .accept = options->mark };
	uint32_t left = options->mask & ~options->mark, high, low;

	if (__builtin_popcount(options->mark) != 1 || !(options->mark & options->mask) ||
	    __builtin_popcount(left) < 3)
		return -EINVAL;
	m.masquerade = take_highest(&left);
	high = take_highest(&left);
	low = take_highest(&left);
	m.uplinks = high | low;
	m.uplink[1] = low;
	m.uplink[2] = high;
	m.uplink[3] = high | low;
	*ret_marks = m;
	return 0;
}
