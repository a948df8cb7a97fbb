/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What one receiver (a hook, a publisher) has been told of one mapping, and what it is owed:
 * serialised, only the latest state waits, nothing is told twice, failures are retried with
 * back-off, and what does not help to repeat is not repeated. Pure computation.
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
	struct ph_told maybe; /* unsure: the endpoint that it was called with last; port 0: none */
	struct ph_told latest;
	bool running;
	bool unsure; /* a call has begun and none has succeeded since: it may know `told` or not */
	bool was_unsure;   /* before the call */
	bool refused;      /* what it was told last, for good: not again before there is news */
	unsigned failures; /* in a row, to hear the latest */
	uint64_t calm_ms;  /* after a failure: not called before, whatever is new */
	uint64_t retry_ms;
};

enum ph_receiver_end {
	PH_RECEIVER_TOLD,
	PH_RECEIVER_FAILED,   /* the same may work later */
	PH_RECEIVER_REFUSED,  /* it will not */
	PH_RECEIVER_UNCALLED, /* failed, and it has heard nothing: the call could not be made */
};

struct ph_delivery {
	enum ph_announce event;
	struct ph_told state; /* of `down`: the endpoint that was, or that it may have heard of */
	struct ph_told previous; /* what the receiver knew until now */
};

/*
 * "up, change, down", or fewer of them, in any order and each at most once, as the file has it: 0
 * and 1u << enum ph_announce of each, or -EINVAL.
 */
int ph_announce_list_parse(const char *text, unsigned *ret_events);

/*
 * The mapping's state is this now. A delivery that failed before is due at once for a newer state,
 * or a second after the failure, or when the receiver has said that it may be called again; should
 * that fail, the back-off begins anew.
 */
void ph_receiver_offer(struct ph_receiver *r, const struct ph_told *state);
/* True: call the receiver with *ret_delivery now, and ph_receiver_done() after it. */
bool ph_receiver_next(struct ph_receiver *r, uint64_t now_ms, struct ph_delivery *ret_delivery);
/*
 * After a failure the same is due again after the back-off of core/backoff.h, of which up to a
 * quarter is left off by random, so that many do not come at once; and not before after_ms (0: the
 * receiver did not say).
 */
void ph_receiver_done(struct ph_receiver *r, enum ph_receiver_end end, uint64_t after_ms,
		      uint32_t random, uint64_t now_ms);
/* What was refused, or failed, may work now: due at once, or when the receiver has said. */
void ph_receiver_again(struct ph_receiver *r);
/* No time is left: what is news since the last call is due now, whatever became of that. */
void ph_receiver_hurry(struct ph_receiver *r);
/* The endpoint that it has, or may have; port 0: none. */
const struct ph_told *ph_receiver_heard(const struct ph_receiver *r);
/* When ph_receiver_next() may say true by the passing of time, ms; UINT64_MAX: not. */
uint64_t ph_receiver_deadline(const struct ph_receiver *r);
