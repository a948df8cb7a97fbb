/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * STUN (RFC 8489), the client's side of one Binding transaction: the codec, and a transaction that
 * is given the time and the bytes and says what to do next. No I/O, no clock, no randomness.
 */

#include <pinhold/endpoint.h>

#define PH_STUN_REQUEST_SIZE 20 /* a Binding request without attributes */
#define PH_STUN_MESSAGE_MAX \
	2048 /* longer answers are refused (RFC 8489 section 6.1: below the MTU) */

struct ph_stun_id {
	uint8_t octets[12]; /* 96 uniformly random bits (RFC 8489 section 5) */
};

enum ph_stun_kind {
	PH_STUN_IGNORED,   /* not the answer to this request: keep waiting */
	PH_STUN_SUCCESS,   /* .reflexive is valid */
	PH_STUN_ALTERNATE, /* 300 Try Alternate: .alternate is valid */
	PH_STUN_REJECTED,  /* an error response, or a success response without a usable address */
};

struct ph_stun_answer {
	enum ph_stun_kind kind;
	struct ph_endpoint reflexive; /* of SUCCESS: XOR-MAPPED-ADDRESS, or MAPPED-ADDRESS where
					 that is all there is */
	struct ph_endpoint alternate; /* of ALTERNATE: ALTERNATE-SERVER */
	struct ph_endpoint
		other;   /* OTHER-ADDRESS (RFC 5780 section 7.4); port 0: the server has none */
	int code;        /* of an error response, 300 to 699; otherwise 0 */
	const char *why; /* of IGNORED and REJECTED: a constant string for the log */
};

/* Writes a Binding request. Returns PH_STUN_REQUEST_SIZE. */
size_t ph_stun_encode_request(const struct ph_stun_id *id,
			      uint8_t buf[static PH_STUN_REQUEST_SIZE]);

/*
 * Reads one whole message. Checked: the two leading zero bits, method and class, the length against
 * len and its divisibility by four, the magic cookie, the transaction ID, each attribute's length
 * and padding, no unknown comprehension-required attribute, ERROR-CODE in an error response,
 * FINGERPRINT (last, CRC) where present. Anything that fails is IGNORED, so that a forged or
 * damaged packet cannot end a transaction. MESSAGE-INTEGRITY ends what is read, but nobody here has
 * the credentials to verify it. An endpoint is usable if it has a port and the address of a single
 * host. id is the request's; nothing is kept of buf.
 */
void ph_stun_decode(const uint8_t *buf, size_t len, const struct ph_stun_id *id,
		    struct ph_stun_answer *ret_answer);

/*
 * Framing on a stream (RFC 8489 section 6.2.2): the length of the message that begins at buf (of
 * which len octets have come, perhaps not all), 0 while fewer than its header has come, -EPROTO as
 * soon as these bytes begin no STUN message or one longer than PH_STUN_MESSAGE_MAX.
 */
long ph_stun_frame(const uint8_t *buf, size_t len);

enum ph_stun_next {
	PH_STUN_WAIT,   /* until bytes come or ph_stun_tx_deadline() */
	PH_STUN_SEND,   /* send the request (again) now */
	PH_STUN_DONE,   /* the transaction's .answer is SUCCESS, ALTERNATE or REJECTED */
	PH_STUN_FAILED, /* no answer in time, or a stream that carries no STUN; .answer.why says
			   which */
};

struct ph_stun_tx {
	struct ph_stun_id id;
	enum ph_proto proto;
	struct ph_endpoint server;
	unsigned sent;    /* requests sent so far */
	uint64_t next_ms; /* when to send again (UDP), UINT64_MAX: not any more */
	uint64_t end_ms;  /* when to give up */
	uint32_t rto_ms;  /* the present retransmission interval */
	size_t fill;      /* bytes in stream (TCP) */
	uint8_t *stream;  /* the beginning of a message whose rest has not come; owned */
	struct ph_stun_answer answer;
	enum ph_stun_next outcome; /* WAIT while it runs, then DONE or FAILED */
	const char *ignored;       /* why the last message was passed over; NULL: none was */
};

/*
 * Begins a transaction with server. UDP: sends at 0, 500, 1500, 3500 ms ... (RFC 8489
 * section 6.2.1, RTO 500 ms, doubled; Rc 7, Rm 16). TCP: once. timeout_ms cuts the waiting short
 * (0, or more than that: RFC's 39.5 s), because a client with a list of servers does better to ask
 * the next one. Times are of any clock that never goes back.
 */
void ph_stun_tx_init(struct ph_stun_tx *tx, enum ph_proto proto, const struct ph_endpoint *server,
		     const struct ph_stun_id *id, uint64_t now_ms, uint32_t timeout_ms);

/* Frees what a transaction holds that is given up before its end; after that it may be begun anew.
 */
void ph_stun_tx_done(struct ph_stun_tx *tx);

/*
 * What to do at now_ms. After PH_STUN_SEND the caller sends ph_stun_encode_request(&tx->id) once.
 * DONE and FAILED are said again at every later call.
 */
enum ph_stun_next ph_stun_tx_tick(struct ph_stun_tx *tx, uint64_t now_ms);

/* The time of the next tick that does something, ms; UINT64_MAX once the transaction is over. */
uint64_t ph_stun_tx_deadline(const struct ph_stun_tx *tx);

/*
 * Bytes from the network: over UDP one datagram and its source, which must be the server; over TCP
 * whatever the stream brought (from is ignored), in pieces of any size; what follows the answer is
 * ignored. WAIT, DONE or FAILED. An address of another family than the server's makes the answer
 * REJECTED.
 */
enum ph_stun_next ph_stun_tx_receive(struct ph_stun_tx *tx, const struct ph_endpoint *from,
				     const uint8_t *buf, size_t len);
