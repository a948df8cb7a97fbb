// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * STUN messages (RFC 8489): encode a Binding request, decode its answer.
 *
 * Whoever sees a request can forge its answer; whoever does not must guess 96 bits. So the decoder
 * is strict about what damages the envelope (the message is then as though it had never come), and
 * lenient where servers in the field differ without harm: padding of any value (RFC 8489 section
 * 14), attributes that RFC 3489 had and servers still send (section 18.3 keeps their numbers),
 * authentication attributes that nobody without credentials can verify.
 */

#include <assert.h>
#include <errno.h>
#include <string.h>

#include <pinhold/stun.h>

#include "wire.h"

#define HEADER_SIZE     20
#define MAGIC_COOKIE    0x2112a442u
#define FINGERPRINT_XOR 0x5354554eu /* "STUN", section 14.7 */

/* Section 5: the two bits of the class are spread into the type; method 1 is Binding. */
#define BINDING_REQUEST 0x0001
#define BINDING_SUCCESS 0x0101
#define BINDING_ERROR   0x0111

/* Section 18.3, RFC 5780 section 9.1; RFC 3489 section 11.2 for those marked obsolete. */
enum attribute {
	MAPPED_ADDRESS = 0x0001,
	RESPONSE_ADDRESS = 0x0002, /* obsolete */
	CHANGE_REQUEST = 0x0003,   /* obsolete */
	SOURCE_ADDRESS = 0x0004,   /* obsolete */
	CHANGED_ADDRESS = 0x0005,  /* obsolete */
	USERNAME = 0x0006,
	PASSWORD = 0x0007, /* obsolete */
	MESSAGE_INTEGRITY = 0x0008,
	ERROR_CODE = 0x0009,
	UNKNOWN_ATTRIBUTES = 0x000a,
	REFLECTED_FROM = 0x000b, /* obsolete */
	REALM = 0x0014,
	NONCE = 0x0015,
	MESSAGE_INTEGRITY_SHA256 = 0x001c,
	PASSWORD_ALGORITHM = 0x001d,
	USERHASH = 0x001e,
	XOR_MAPPED_ADDRESS = 0x0020,
	ALTERNATE_SERVER = 0x8023,
	FINGERPRINT = 0x8028,
	OTHER_ADDRESS = 0x802c,
};

#define COMPREHENSION_OPTIONAL 0x8000

enum { FAMILY_IPV4 = 0x01, FAMILY_IPV6 = 0x02 }; /* section 14.1 */

/* An address attribute as it stands in a message. */
struct seen_address {
	bool present;                /* the first of its kind counts, section 14 */
	struct ph_endpoint endpoint; /* port 0: of an unknown family */
};

struct message {
	const uint8_t *start;
	const struct ph_stun_id *id;
	struct seen_address mapped, xor_mapped, alternate, other;
	int code;           /* 0: no ERROR-CODE */
	bool integrity;     /* whatever follows is ignored, section 14.5 */
	bool fingerprinted; /* nothing may follow, section 14.7 */
};

size_t ph_stun_encode_request(const struct ph_stun_id *id, uint8_t buf[static PH_STUN_REQUEST_SIZE])
{
	static_assert(PH_STUN_REQUEST_SIZE == HEADER_SIZE, "a request is a header");

	ph_put_be16(buf, BINDING_REQUEST);
	ph_put_be16(buf + 2, 0);
	ph_put_be32(buf + 4, MAGIC_COOKIE);
	memcpy(buf + 8, id->octets, sizeof(id->octets));
	return PH_STUN_REQUEST_SIZE;
}

/* ITU-T V.42's CRC-32, bit by bit: a message is short, and a table would be more to get wrong. */
static uint32_t crc32(const uint8_t *octets, size_t n)
{
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < n; i++) {
		crc ^= octets[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
	}
	return ~crc;
}

static const char *read_address(struct ph_reader value, const struct ph_stun_id *id,
				struct seen_address *seen)
{
	struct ph_endpoint e = { .port = 0 };
	const uint8_t *head, *octets;
	uint8_t mask[16];
	size_t n;

	if (!ph_read_octets(&value, 4, &head))
		return "an address attribute is too short";
	if (head[1] == FAMILY_IPV4)
		e.address.family = PH_IPV4;
	else if (head[1] == FAMILY_IPV6)
		e.address.family = PH_IPV6;
	else
		goto out; /* present, but no use */

	n = ph_family_octets(e.address.family);
	if (value.left != n || !ph_read_octets(&value, n, &octets))
		return "an address attribute's length does not fit its family";
	e.port = ph_get_be16(head + 2);
	memcpy(e.address.octets, octets, n);
	if (id) { /* section 14.2: XORed with the cookie, then with the transaction ID */
		ph_put_be32(mask, MAGIC_COOKIE);
		memcpy(mask + 4, id->octets, sizeof(id->octets));
		e.port ^= MAGIC_COOKIE >> 16;
		for (size_t i = 0; i < n; i++)
			e.address.octets[i] ^= mask[i];
	}
out:
	if (!seen->present)
		*seen = (struct seen_address){ .present = true, .endpoint = e };
	return NULL;
}

static const char *read_error_code(struct ph_reader value, int *code)
{
	const uint8_t *head;
	int hundreds, rest;

	if (!ph_read_octets(&value, 4, &head))
		return "ERROR-CODE is too short";
	hundreds = head[2] & 7; /* section 14.8: the bits before are reserved, not checked */
	rest = head[3];
	if (hundreds < 3 || hundreds > 6 || rest > 99)
		return "ERROR-CODE is out of range";
	if (!*code)
		*code = hundreds * 100 + rest;
	return NULL;
}

static const char *check_fingerprint(struct message *m, struct ph_reader value)
{
	size_t before = (size_t)(value.at - m->start) - 4;
	uint32_t fingerprint;

	if (value.left != 4 || !ph_read_be32(&value, &fingerprint))
		return "FINGERPRINT has a wrong length";
	if ((crc32(m->start, before) ^ FINGERPRINT_XOR) != fingerprint)
		return "FINGERPRINT does not match";
	m->fingerprinted = true;
	return NULL;
}

/* NULL, or why the message is unusable. */
static const char *read_attribute(struct message *m, uint16_t type, struct ph_reader value)
{
	if (m->fingerprinted)
		return "an attribute follows FINGERPRINT";
	if (m->integrity && type != FINGERPRINT)
		return NULL;

	/* Not converted to the enum: a number that is none of its is the ordinary case. */
	switch ((int)type) {
	case MAPPED_ADDRESS:
		return read_address(value, NULL, &m->mapped);
	case XOR_MAPPED_ADDRESS:
		return read_address(value, m->id, &m->xor_mapped);
	case ALTERNATE_SERVER:
		return read_address(value, NULL, &m->alternate);
	case OTHER_ADDRESS:
		return read_address(value, NULL, &m->other);
	case ERROR_CODE:
		return read_error_code(value, &m->code);
	case FINGERPRINT:
		return check_fingerprint(m, value);
	case MESSAGE_INTEGRITY:
	case MESSAGE_INTEGRITY_SHA256:
		m->integrity = true;
		return NULL;
	case RESPONSE_ADDRESS:
	case CHANGE_REQUEST:
	case SOURCE_ADDRESS:
	case CHANGED_ADDRESS:
	case USERNAME:
	case PASSWORD:
	case UNKNOWN_ATTRIBUTES:
	case REFLECTED_FROM:
	case REALM:
	case NONCE:
	case PASSWORD_ALGORITHM:
	case USERHASH:
		return NULL;
	default:
		if (type & COMPREHENSION_OPTIONAL)
			return NULL;
		return "an unknown attribute must be understood";
	}
}

static const char *read_attributes(struct message *m, struct ph_reader *r)
{
	const uint8_t *padding;
	struct ph_reader value;
	uint16_t type, length;
	const char *why;

	while (r->left) {
		if (!ph_read_be16(r, &type) || !ph_read_be16(r, &length))
			return "an attribute's header is cut off";
		value.left = length;
		if (!ph_read_octets(r, length, &value.at))
			return "an attribute is longer than the message";
		if (!ph_read_octets(r, -(size_t)length & 3, &padding))
			return "an attribute's padding is cut off";
		why = read_attribute(m, type, value);
		if (why)
			return why;
	}
	return NULL;
}

static const char *read_header(struct ph_reader *r, const struct ph_stun_id *id, uint16_t *ret_type)
{
	uint16_t type, length;
	const uint8_t *octets;
	uint32_t cookie;

	if (!ph_read_be16(r, &type) || !ph_read_be16(r, &length) || !ph_read_be32(r, &cookie) ||
	    !ph_read_octets(r, sizeof(id->octets), &octets))
		return "shorter than a STUN header";
	if (r->left > PH_STUN_MESSAGE_MAX - HEADER_SIZE)
		return "longer than any answer is";
	if (type & 0xc000)
		return "not STUN";
	if (cookie != MAGIC_COOKIE)
		return "without STUN's magic cookie";
	if (length % 4 || length != r->left)
		return "the length is wrong";
	if (type != BINDING_SUCCESS && type != BINDING_ERROR)
		return "not an answer to a Binding request";
	if (memcmp(octets, id->octets, sizeof(id->octets)) != 0)
		return "of another transaction";
	*ret_type = type;
	return NULL;
}

/* An endpoint that a packet could be sent to: a known family, a port, an address of a single host
 * that is not this very one. What is taken for the public endpoint is translated from inside, too:
 * a server that tells 127.0.0.1 could cut the gateway off from its own services. */
static bool usable(const struct ph_endpoint *e)
{
	static const uint8_t zero[16] = { 0 }, loopback[16] = { [15] = 1 };
	const uint8_t *o = e->address.octets;

	if (!e->port || memcmp(o, zero, sizeof(zero)) == 0)
		return false;
	/* Multicast, and of IPv4 also the reserved addresses above it (RFC 6890). */
	if (e->address.family == PH_IPV4)
		return o[0] != 0 && o[0] != 127 && o[0] < 224;
	return o[0] != 0xff && memcmp(o, loopback, sizeof(loopback)) != 0;
}

static void conclude_success(const struct message *m, struct ph_stun_answer *answer)
{
	/* A NAT with an ALG may have rewritten MAPPED-ADDRESS (section 14.2): it never overrules.
	 */
	const struct seen_address *a = m->xor_mapped.present ? &m->xor_mapped : &m->mapped;

	answer->kind = PH_STUN_REJECTED;
	if (!a->present) {
		answer->why = "a success response without an address";
	} else if (!usable(&a->endpoint)) {
		answer->why = "a success response with an unusable address";
	} else {
		answer->kind = PH_STUN_SUCCESS;
		answer->reflexive = a->endpoint;
	}
}

static void conclude_error(const struct message *m, struct ph_stun_answer *answer)
{
	if (!m->code) {
		answer->kind = PH_STUN_IGNORED;
		answer->why = "an error response without ERROR-CODE";
		return;
	}
	answer->code = m->code;
	answer->kind = PH_STUN_REJECTED;
	if (m->code != 300) {
		answer->why = "the server answered with an error";
	} else if (!usable(&m->alternate.endpoint)) {
		answer->why = "300 Try Alternate without a usable server";
	} else {
		answer->kind = PH_STUN_ALTERNATE;
		answer->alternate = m->alternate.endpoint;
	}
}

void ph_stun_decode(const uint8_t *buf, size_t len, const struct ph_stun_id *id,
		    struct ph_stun_answer *ret_answer)
{
	struct ph_stun_answer answer = { .kind = PH_STUN_IGNORED };
	struct message m = { .start = buf, .id = id };
	struct ph_reader r = { buf, len };
	uint16_t type;

	answer.why = read_header(&r, id, &type);
	if (!answer.why)
		answer.why = read_attributes(&m, &r);
	if (!answer.why) {
		if (type == BINDING_SUCCESS)
			conclude_success(&m, &answer);
		else
			conclude_error(&m, &answer);
		if (answer.kind != PH_STUN_IGNORED && usable(&m.other.endpoint))
			answer.other = m.other.endpoint;
	}
	*ret_answer = answer;
}

long ph_stun_frame(const uint8_t *buf, size_t len)
{
	static const uint8_t cookie[4] = { 0x21, 0x12, 0xa4, 0x42 };
	long length = 0;

	if (len >= 1 && buf[0] & 0xc0)
		return -EPROTO;
	if (len >= 4) {
		length = HEADER_SIZE + (long)ph_get_be16(buf + 2);
		if (length % 4 || length > PH_STUN_MESSAGE_MAX)
			return -EPROTO;
	}
	for (size_t i = 0; i < sizeof(cookie) && 4 + i < len; i++)
		if (buf[4 + i] != cookie[i])
			return -EPROTO;
	return len >= HEADER_SIZE ? length : 0;
}
