/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Whether this machine can reach an address, as far as its kernel knows: nothing is sent. */

#include <pinhold/endpoint.h>

enum ph_reach_answer {
	/* The kernel was not asked, or did not answer. */
	PH_REACH_UNKNOWN,
	/* There is a route, perhaps to this machine itself, and nothing is known against it. */
	PH_REACH_ROUTED,
	/* There is none, or one of type unreachable, prohibit or blackhole. */
	PH_REACH_UNROUTABLE,
	/* There is one, but its next hop did not answer ARP or neighbour discovery when the kernel
	 * last asked for it. */
	PH_REACH_SILENT,
};

/*
 * What the kernel would do with an unmarked packet of this machine to the address, and what its
 * table of neighbours says about the next hop. Two questions over one socket of its own; blocks for
 * as long as the kernel takes to answer, well under a millisecond. Before kernel 5.0, which does
 * not answer the second one, nothing is ever SILENT.
 */
enum ph_reach_answer ph_reach(const struct ph_address *address);
