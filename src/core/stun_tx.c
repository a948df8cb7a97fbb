// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One Binding transaction (RFC 8489 section 6.2), driven by its caller.
 *
 *   outcome  tick                                  receive
 *   WAIT     SEND when one is due, else WAIT;      the answer: DONE
 *            FAILED at the end                     TCP, and no STUN: FAILED
 *                                                  anything else: WAIT
 *   DONE     DONE                                  DONE (twice)
 *   FAILED   FAILED                                FAILED (late)
 *
 * SEND is never an outcome, only what tick asks for. An answer that does not fit (ph_stun_decode()
 * says IGNORED) ends nothing: the right one may still be under way, and the wrong one may be
 * forged.
 */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <pinhold/stun.h>

/* Section 6.2.1: Rc requests, RTO doubled after each, Rm times the first RTO after the last. */
#define RTO_MS 500u
#define RC     7u
#define RM     16u
#define TI_MS  39500u /* what that adds up to; section 6.2.2 has the same for TCP */

static_assert(TI_MS == ((1u << (RC - 1)) - 1 + RM) * RTO_MS, "Ti is not what Rc and Rm make");

void ph_stun_tx_init(struct ph_stun_tx *tx, enum ph_proto proto, const struct ph_endpoint *server,
		     const struct ph_stun_id *id, uint64_t now_ms, uint32_t timeout_ms)
{
	if (timeout_ms == 0 || timeout_ms > TI_MS)
		timeout_ms = TI_MS;
	*tx = (struct ph_stun_tx){
		.id = *id,
		.proto = proto,
		.server = *server,
		.next_ms = now_ms,
		.end_ms = now_ms + timeout_ms,
		.rto_ms = RTO_MS,
		.outcome = PH_STUN_WAIT,
	};
}

void ph_stun_tx_done(struct ph_stun_tx *tx)
{
	free(tx->stream);
	tx->stream = NULL;
	tx->fill = 0;
}

static enum ph_stun_next finish(struct ph_stun_tx *tx, enum ph_stun_next outcome)
{
	ph_stun_tx_done(tx);
	tx->outcome = outcome;
	tx->next_ms = UINT64_MAX;
	return outcome;
}

static enum ph_stun_next fail(struct ph_stun_tx *tx, const char *why)
{
	tx->answer = (struct ph_stun_answer){ .kind = PH_STUN_IGNORED, .why = why };
	return finish(tx, PH_STUN_FAILED);
}

enum ph_stun_next ph_stun_tx_tick(struct ph_stun_tx *tx, uint64_t now_ms)
{
	if (tx->outcome != PH_STUN_WAIT)
		return tx->outcome;
	if (now_ms >= tx->end_ms)
		return fail(tx, "no answer in time");
	if (now_ms < tx->next_ms)
		return PH_STUN_WAIT;

	tx->sent++;
	if (tx->proto == PH_TCP || tx->sent == RC) {
		tx->next_ms = UINT64_MAX;
	} else {
		/* From now, not from when it was due: a caller that was held up must not send a
		 * burst. */
		tx->next_ms = now_ms + tx->rto_ms;
		tx->rto_ms *= 2;
	}
	return PH_STUN_SEND;
}

uint64_t ph_stun_tx_deadline(const struct ph_stun_tx *tx)
{
	if (tx->outcome != PH_STUN_WAIT)
		return UINT64_MAX;
	return tx->next_ms < tx->end_ms ? tx->next_ms : tx->end_ms;
}

/* One whole message from the server. */
static enum ph_stun_next take_message(struct ph_stun_tx *tx, const uint8_t *buf, size_t len)
{
	struct ph_stun_answer answer;
	const struct ph_endpoint *said;

	ph_stun_decode(buf, len, &tx->id, &answer);
	switch (answer.kind) {
	case PH_STUN_IGNORED:
		tx->ignored = answer.why;
		return PH_STUN_WAIT;
	case PH_STUN_SUCCESS:
	case PH_STUN_ALTERNATE:
		/* Section 14.15 asks it of the alternate server; for the reflexive address it is
		 * ours to ask: between the families there is no DNAT. */
		said = answer.kind == PH_STUN_SUCCESS ? &answer.reflexive : &answer.alternate;
		if (said->address.family != tx->server.address.family) {
			answer.reflexive = answer.alternate = (struct ph_endpoint){ .port = 0 };
			answer.kind = PH_STUN_REJECTED;
			answer.why = "the address is of another family than the server's";
		}
		break;
	case PH_STUN_REJECTED:
		break;
	}
	tx->answer = answer;
	return finish(tx, PH_STUN_DONE);
}

/*
 * Adds bytes to the message that has begun, never more than belong to it, so that nothing has to be
 * moved afterwards. Returns how many, or -ENOMEM. Most messages come whole and need no copy, so the
 * buffer is made when one does not: there may be thousands of transactions at once.
 */
static long collect(struct ph_stun_tx *tx, const uint8_t *buf, size_t len)
{
	long whole;
	size_t want;

	if (!tx->stream)
		tx->stream = malloc(PH_STUN_MESSAGE_MAX);
	if (!tx->stream)
		return -ENOMEM;
	whole = ph_stun_frame(tx->stream, tx->fill);
	want = (whole > 0 ? (size_t)whole : PH_STUN_REQUEST_SIZE) - tx->fill;
	if (len > want)
		len = want;
	memcpy(tx->stream + tx->fill, buf, len);
	tx->fill += len;
	return (long)len;
}

/* Bytes of a stream: takes one message after the other. */
static enum ph_stun_next take_stream(struct ph_stun_tx *tx, const uint8_t *buf, size_t len)
{
	while (len) {
		const uint8_t *message = buf;
		long whole = tx->fill ? 0 : ph_stun_frame(buf, len), used = whole;

		if (whole == 0 || (whole > 0 && (size_t)whole > len)) {
			used = collect(tx, buf, len);
			if (used < 0)
				return fail(tx, "out of memory");
			message = tx->stream;
			whole = ph_stun_frame(message, tx->fill);
			if (whole > 0 && tx->fill < (size_t)whole)
				whole = 0;
		}
		if (whole < 0)
			return fail(tx, "the stream carries no STUN");
		buf += used;
		len -= (size_t)used;
		if (whole == 0)
			continue;
		tx->fill = 0;
		if (take_message(tx, message, (size_t)whole) == PH_STUN_DONE)
			return PH_STUN_DONE;
	}
	return PH_STUN_WAIT;
}

enum ph_stun_next ph_stun_tx_receive(struct ph_stun_tx *tx, const struct ph_endpoint *from,
				     const uint8_t *buf, size_t len)
{
	if (tx->outcome != PH_STUN_WAIT)
		return tx->outcome;
	if (tx->proto == PH_TCP)
		return take_stream(tx, buf, len);
	if (!ph_endpoint_equal(from, &tx->server)) {
		tx->ignored = "from another address than the server's";
		return PH_STUN_WAIT;
	}
	return take_message(tx, buf, len);
}
