/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What one receiver (a hook) has been told of one mapping, and what it is owed: serialised, only
 * the latest state waits, nothing is told twice, failures are retried with back-off. Pure
 * computation.
 */

#include <pinhold/mapping.h>

struct ph_told {
	struct ph_endpoint public_endpoint; /* port 0: the mapping is down */
	struct ph_endpoint private_endpoint;
};

struct ph_receiver {
	unsigned events;      /* 1u << enum ph_announce: those that it wants */
	struct ph_told told;  /* what it acknowledged last */
	struct ph_told going; /* what it is being told */
	struct ph_told latest;
	bool running;
	unsigned failures; /* in a row */
	uint64_t retry_ms;
};

struct ph_delivery {
	enum ph_announce event;
	struct ph_told state;    /* of `down`: the endpoint that was */
	struct ph_told previous; /* what the receiver knew until now */
};

/* The mapping's state is this now. A delivery that failed before is due at once for a newer state.
 */
void ph_receiver_offer(struct ph_receiver *r, const struct ph_told *state);
/* True: call the receiver with *ret_delivery now, and ph_receiver_done() after it. */
bool ph_receiver_next(struct ph_receiver *r, uint64_t now_ms, struct ph_delivery *ret_delivery);
void ph_receiver_done(struct ph_receiver *r, bool success, uint64_t now_ms);
/* When ph_receiver_next() may say true by the passing of time, ms; UINT64_MAX: not. */
uint64_t ph_receiver_deadline(const struct ph_receiver *r);
