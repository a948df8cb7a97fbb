/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * As much HTTP/1.1 (RFC 9112) as a holder needs: a HEAD request that asks for a persistent
 * connection, and a reader that finds the end of each answer's header and says whether the server
 * will keep the connection. The reader stores no header: it is given bytes as they come and keeps a
 * few dozen of them.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PH_HTTP_REQUEST_MAX 512   /* with a host name of 255 octets */
#define PH_HTTP_HEADER_MAX  65536 /* an answer beyond this, with the 1xx before it, is refused */

/*
 * Writes "HEAD / HTTP/1.1" with Host (port left out if 80; IPv6 literals in brackets), User-Agent
 * and "Connection: keep-alive". No NUL behind it is promised. Returns the length, or -EINVAL if
 * port is 0 or host is empty, too long or holds anything that does not belong in a host name or an
 * address without brackets (so nothing can be smuggled into the request).
 */
int ph_http_head(const char *host, uint16_t port, char buf[static PH_HTTP_REQUEST_MAX]);

enum ph_http_next {
	PH_HTTP_MORE,   /* the answer is not complete */
	PH_HTTP_KEPT,   /* one final answer is complete; the connection goes on */
	PH_HTTP_CLOSES, /* one final answer is complete; the server will close */
	PH_HTTP_BAD,    /* not HTTP, or more than PH_HTTP_HEADER_MAX; .why says what */
};

struct ph_http_reader {
	unsigned state;
	unsigned status; /* after KEPT and CLOSES: of that answer, 200 to 599 */
	size_t count;    /* octets of this answer so far */
	bool minor_zero; /* HTTP/1.0: closes unless it says keep-alive */
	bool says_close;
	bool says_keep_alive;
	const char *why; /* of BAD: a constant string for the log; before that NULL */
	size_t fill;
	char line[64]; /* the beginning of the present name or option; not terminated */
};

void ph_http_reader_init(struct ph_http_reader *r);

/*
 * Feeds bytes; stops behind the first complete final answer (1xx are passed over) and sets
 * *ret_used. After KEPT the same reader reads the next answer; after CLOSES and BAD it uses nothing
 * and says the same again. How the bytes are cut into calls makes no difference.
 */
enum ph_http_next ph_http_reader_feed(struct ph_http_reader *r, const uint8_t *buf, size_t len,
				      size_t *ret_used);
