// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A holder's HTTP (RFC 9112): the request, and a reader of answers.
 *
 * The answer to HEAD ends with its header section (RFC 9112 section 6.3), so all that matters of it
 * is the status line, the options of Connection, and the empty line. The reader works octet by
 * octet, so that it cannot matter how a server or a network cuts the answer:
 *
 *   state        reads                          goes on with
 *   VERSION      "HTTP/1.x NNN"                 STATUS_END
 *   STATUS_END   what must follow the status    SKIP (the reason), CR, LINE
 *   LINE         the first octet of a line      NAME, SKIP (folded), CR_END, the end
 *   LINE_LIST    the same, below Connection     NAME, LIST (folded), CR_END, the end
 *   NAME         a field's name                 NAME_END, LIST, SKIP
 *   NAME_END     blanks behind the name         LIST, SKIP
 *   SKIP         what is of no interest         CR, LINE
 *   LIST         Connection's value             CR_LIST, LINE_LIST
 *   CR           the LF that must follow        LINE
 *   CR_LIST      the same                       LINE_LIST
 *   CR_END       the same                       the end
 *   CLOSED, BAD  nothing any more
 *
 * The end of a final answer is CLOSED, or VERSION for the next one; the end of an interim one is
 * VERSION.
 *
 * A line may end with a bare LF (section 2.2), a field may be folded (section 5.2), fields and
 * lists may be of any length within PH_HTTP_HEADER_MAX. NUL and a CR without its LF are refused
 * (RFC 9110 section 5.5).
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <pinhold/endpoint.h>
#include <pinhold/http.h>

#define HOST_MAX 255

enum state {
	VERSION, /* zero, where a fresh reader stands */
	STATUS_END,
	LINE,
	LINE_LIST,
	NAME,
	NAME_END,
	SKIP,
	LIST,
	CR,
	CR_LIST,
	CR_END,
	CLOSED,
	BAD,
};

/* Letters as ASCII has them: the locale has no say in a protocol. */
static char lower(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (char)(c - 'A' + 'a');
	return c;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_host_name(const char *host)
{
	for (const char *c = host; *c; c++)
		if (!is_digit(*c) && !(lower(*c) >= 'a' && lower(*c) <= 'z') && *c != '-' &&
		    *c != '.' && *c != '_')
			return false;
	return true;
}

int ph_http_head(const char *host, uint16_t port, char buf[static PH_HTTP_REQUEST_MAX])
{
	size_t length = strnlen(host, HOST_MAX + 1);
	struct ph_address address;
	char suffix[sizeof(":65535")] = "";
	bool literal;

	if (length == 0 || length > HOST_MAX || port == 0)
		return -EINVAL;
	literal = ph_address_parse(host, &address) == 0 && address.family == PH_IPV6;
	if (!literal && !is_host_name(host))
		return -EINVAL;
	if (port != 80)
		snprintf(suffix, sizeof(suffix), ":%u", port);
	return snprintf(buf, PH_HTTP_REQUEST_MAX,
			"HEAD / HTTP/1.1\r\n"
			"Host: %s%s%s%s\r\n"
			"User-Agent: pinhold/" PINHOLD_VERSION "\r\n"
			"Connection: keep-alive\r\n"
			"\r\n",
			literal ? "[" : "", host, literal ? "]" : "", suffix);
}

void ph_http_reader_init(struct ph_http_reader *r)
{
	*r = (struct ph_http_reader){ .state = VERSION };
}

static enum ph_http_next refuse(struct ph_http_reader *r, const char *why)
{
	r->state = BAD;
	r->why = why;
	return PH_HTTP_BAD;
}

/* Keeps c; of what is longer than line[] only that it is (it equals nothing that is looked for). */
static void keep(struct ph_http_reader *r, char c)
{
	if (r->fill < sizeof(r->line))
		r->line[r->fill] = c;
	if (r->fill <= sizeof(r->line))
		r->fill++;
}

/* Whether what was kept is word (in lower case). */
static bool kept(const struct ph_http_reader *r, const char *word)
{
	size_t n = strlen(word);

	if (r->fill != n)
		return false;
	for (size_t i = 0; i < n; i++)
		if (lower(r->line[i]) != word[i])
			return false;
	return true;
}

/* An octet of "HTTP/1.x NNN". Refused at once where it does not fit: garbage may have no end of
 * line. */
static enum ph_http_next read_version(struct ph_http_reader *r, char c)
{
	/* d: any digit, s: the first digit of a status (RFC 9110 section 15) */
	static const char pattern[] = "HTTP/1.d sdd";
	char p = pattern[r->fill];
	bool fits = p == c;

	if (p == 'd')
		fits = is_digit(c);
	else if (p == 's')
		fits = c >= '1' && c <= '5';
	if (!fits)
		return refuse(r, "not an HTTP/1 status line");
	keep(r, c);
	if (r->fill < sizeof(pattern) - 1)
		return PH_HTTP_MORE;

	r->status = 0;
	for (size_t i = r->fill - 3; i < r->fill; i++)
		r->status = r->status * 10 + (unsigned)(r->line[i] - '0');
	r->minor_zero = r->line[sizeof("HTTP/1.") - 1] == '0';
	r->says_close = r->says_keep_alive = false;
	r->state = STATUS_END;
	return PH_HTTP_MORE;
}

/* The end of a line that may be one of two octets; whatever is no end of it is refused. */
static bool line_end(struct ph_http_reader *r, char c, enum state cr, enum state lf)
{
	if (c == '\r')
		r->state = cr;
	else if (c == '\n')
		r->state = lf;
	else
		return false;
	return true;
}

/* The empty line came: the section is complete. */
static enum ph_http_next conclude(struct ph_http_reader *r)
{
	r->fill = 0;
	if (r->status == 101)
		return refuse(r, "the server switches to a protocol nobody asked for");
	if (r->status < 200) {
		/* count goes on: a server must not keep a reader busy with interim answers for
		 * ever. */
		r->state = VERSION;
		return PH_HTTP_MORE;
	}
	r->count = 0;
	/* RFC 9112 section 9.3 */
	if (r->says_close || (r->minor_zero && !r->says_keep_alive)) {
		r->state = CLOSED;
		return PH_HTTP_CLOSES;
	}
	r->state = VERSION;
	return PH_HTTP_KEPT;
}

/* The first octet of a line; folded: where to go on if the line continues the one before
 * (obs-fold). */
static enum ph_http_next read_line_start(struct ph_http_reader *r, char c, enum state folded)
{
	r->fill = 0;
	if (c == '\n')
		return conclude(r);
	if (c == '\r') {
		r->state = CR_END;
	} else if (c == ' ' || c == '\t') {
		r->state = folded;
	} else if (c == ':') {
		return refuse(r, "a header line without a name");
	} else {
		r->state = NAME;
		keep(r, c);
	}
	return PH_HTTP_MORE;
}

/*
 * Servers put stranger things into names than section 5.1 allows, and mean no harm; but a line that
 * is none, or that holds octets beyond visible ASCII, belongs to something else than HTTP.
 */
static enum ph_http_next read_name(struct ph_http_reader *r, char c)
{
	if (c == ':') {
		r->state = kept(r, "connection") ? LIST : SKIP;
		r->fill = 0;
	} else if (c == ' ' || c == '\t') {
		r->state = NAME_END;
	} else if (r->state == NAME_END || c < '!' || c > '~') {
		return refuse(r, "a header line without a colon");
	} else {
		keep(r, c);
	}
	return PH_HTTP_MORE;
}

/* Connection's value: options in any case, with commas and blanks between them (RFC 9110
 * section 7.6.1). */
static enum ph_http_next read_list(struct ph_http_reader *r, char c)
{
	bool blank = c == ' ' || c == '\t' || c == ',';

	if (!line_end(r, c, CR_LIST, LINE_LIST) && !blank) {
		keep(r, c);
		return PH_HTTP_MORE;
	}
	if (kept(r, "close"))
		r->says_close = true;
	else if (kept(r, "keep-alive"))
		r->says_keep_alive = true;
	r->fill = 0;
	return PH_HTTP_MORE;
}

static enum ph_http_next read_octet(struct ph_http_reader *r, char c)
{
	enum state state = (enum state)r->state;

	if (c == '\0')
		return refuse(r, "a NUL in the header");

	switch (state) {
	case VERSION:
		return read_version(r, c);
	case STATUS_END:
		if (c == ' ')
			r->state = SKIP;
		else if (!line_end(r, c, CR, LINE))
			return refuse(r, "not an HTTP/1 status line");
		return PH_HTTP_MORE;
	case LINE:
		return read_line_start(r, c, SKIP);
	case LINE_LIST:
		return read_line_start(r, c, LIST);
	case NAME:
	case NAME_END:
		return read_name(r, c);
	case SKIP:
		line_end(r, c, CR, LINE);
		return PH_HTTP_MORE;
	case LIST:
		return read_list(r, c);
	case CR:
	case CR_LIST:
	case CR_END:
		if (c != '\n')
			return refuse(r, "a CR without its LF");
		if (state == CR_END)
			return conclude(r);
		r->state = state == CR ? LINE : LINE_LIST;
		return PH_HTTP_MORE;
	case CLOSED:
		return PH_HTTP_CLOSES;
	case BAD:
		break;
	}
	return PH_HTTP_BAD;
}

enum ph_http_next ph_http_reader_feed(struct ph_http_reader *r, const uint8_t *buf, size_t len,
				      size_t *ret_used)
{
	enum ph_http_next next = PH_HTTP_MORE;
	size_t used = 0;

	if (r->state == BAD)
		next = PH_HTTP_BAD;
	else if (r->state == CLOSED)
		next = PH_HTTP_CLOSES;
	while (used < len && next == PH_HTTP_MORE) {
		if (r->count++ == PH_HTTP_HEADER_MAX)
			next = refuse(r, "the header is too long");
		else
			next = read_octet(r, (char)buf[used]);
		used++;
	}
	*ret_used = used;
	return next;
}
