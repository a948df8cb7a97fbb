/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "status_text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"

#define GAP           2
#define LABEL_WIDTH   14
#define RESULT_OCTETS 1200 /* how a call has ended, in a receiver's words */
#define CELL_OCTETS   72   /* an endpoint in brackets, or a name */

enum column { NAME, STATE, SINCE, COUNT, BIND, PUBLIC, TARGET, COLUMNS };

/* What may be long stands at the end. most: a column takes no more for the sake of a longer cell.
 */
static const struct {
	const char *head;
	unsigned most;
} columns[COLUMNS] = {
	[NAME] = { "MAPPING", 16 },
	[STATE] = { "STATE", CELL_OCTETS },
	[SINCE] = { "SINCE", CELL_OCTETS },
	[COUNT] = { "CONNS", CELL_OCTETS },
	[BIND] = { "BIND", CELL_OCTETS },
	[PUBLIC] = { "PUBLIC ENDPOINT", sizeof("255.255.255.255:65535") - 1 },
	[TARGET] = { "TARGET", sizeof("255.255.255.255:65535") - 1 },
};

struct layout {
	unsigned width; /* of the whole */
	unsigned starts[COLUMNS], widths[COLUMNS];
};

struct row {
	char cells[COLUMNS][CELL_OCTETS];
	const char *why;
	const json_t *hooks, *publishers;
};

const char *status_duration(time_t seconds, char buf[static STATUS_DURATION_STRLEN])
{
	long long s = seconds > 0 ? seconds : 0, m = s / 60, h = m / 60, d = h / 24;

	if (d)
		snprintf(buf, STATUS_DURATION_STRLEN, "%lldd %lldh", d, h % 24);
	else if (h)
		snprintf(buf, STATUS_DURATION_STRLEN, "%lldh %lldm", h, m % 60);
	else if (m)
		snprintf(buf, STATUS_DURATION_STRLEN, "%lldm %llds", m, s % 60);
	else
		snprintf(buf, STATUS_DURATION_STRLEN, "%llds", s);
	return buf;
}

/* Nothing that a terminal would obey; UTF-8 passes. */
static void clean(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = '?';
}

/* Words of text from column `at` on, with `indent` blanks before each further line. */
static void wrap(FILE *out, const char *text, unsigned at, unsigned indent, unsigned width)
{
	bool first = true;

	while (*text) {
		size_t len = strcspn(text, " ");

		if (!first && at + 1 + len > width) {
			fprintf(out, "\n%*s", (int)indent, "");
			at = indent;
		} else if (!first) {
			fputc(' ', out);
			at++;
		}
		for (size_t i = 0; i < len; i++)
			fputc((unsigned char)text[i] < 0x20 || text[i] == 0x7f ? '?' : text[i],
			      out);
		at += (unsigned)len;
		first = false;
		text += len;
		text += strspn(text, " ");
	}
	fputc('\n', out);
}

/* "203.0.113.7:32451", "[2001:db8::7]:32451", or "-". */
static const char *endpoint_text(const json_t *mapping, const char *key, char *buf, size_t size)
{
	const json_t *endpoint = json_object_get(mapping, key);
	const char *address = member_text(endpoint, "address");
	bool v6 = strchr(address, ':');

	if (!*address)
		snprintf(buf, size, "-");
	else
		snprintf(buf, size, "%s%s%s:%d", v6 ? "[" : "", address, v6 ? "]" : "",
			 (int)json_integer_value(json_object_get(endpoint, "port")));
	return buf;
}

static const char *age(const json_t *object, const char *key, time_t now,
		       char buf[static STATUS_DURATION_STRLEN])
{
	time_t at;

	return member_time(object, key, &at) ? status_duration(now - at, buf) : NULL;
}

/* How a receiver's last call has ended: "failed, exit status 3", "refused, 401". */
static const char *result_text(const json_t *last, char *buf, size_t size)
{
	const char *words = member_text(last, "text");
	const json_t *status = json_object_get(last, "status");
	const json_t *signal = json_object_get(last, "signal");
	const char *result = member_text(last, "result"), *error = member_text(last, "error");

	if (*words)
		snprintf(buf, size, "%s, %s", result, words);
	else if (json_is_integer(signal))
		snprintf(buf, size, "%s, signal %d", result, (int)json_integer_value(signal));
	else if (json_integer_value(status) != 0)
		snprintf(buf, size, "%s, exit status %d", result, (int)json_integer_value(status));
	else
		snprintf(buf, size, "%s%s%s", result, *error ? ", " : "", error);
	return buf;
}

/* ---- the table ---- */

static void fill_row(struct row *row, const json_t *m, time_t now)
{
	const json_t *count = json_object_get(m, "connections");
	int port = (int)json_integer_value(json_object_get(json_object_get(m, "private"), "port"));
	char buf[STATUS_DURATION_STRLEN];
	const char *since = age(m, "since", now, buf);

	snprintf(row->cells[NAME], CELL_OCTETS, "%s", member_text(m, "name"));
	snprintf(row->cells[STATE], CELL_OCTETS, "%s", member_text(m, "state"));
	endpoint_text(m, "public", row->cells[PUBLIC], CELL_OCTETS);
	if (port)
		snprintf(row->cells[BIND], CELL_OCTETS, "%d/%s", port, member_text(m, "protocol"));
	else
		snprintf(row->cells[BIND], CELL_OCTETS, "%s", member_text(m, "protocol"));
	snprintf(row->cells[TARGET], CELL_OCTETS, "%s", member_text(m, "target"));
	snprintf(row->cells[SINCE], CELL_OCTETS, "%s", since ? since : "-");
	if (json_is_integer(count))
		snprintf(row->cells[COUNT], CELL_OCTETS, "%" JSON_INTEGER_FORMAT,
			 json_integer_value(count));
	else
		strcpy(row->cells[COUNT], "-");
	for (unsigned i = 0; i < COLUMNS; i++)
		clean(row->cells[i]);
	row->why = member_text(m, "why");
	row->hooks = json_object_get(m, "hooks");
	row->publishers = json_object_get(m, "publishers");
}

/* Returns the columns that this takes. */
static unsigned lay_out(const struct row *rows, size_t n, bool all, struct layout *l)
{
	unsigned at = 0;

	for (unsigned i = 0; i < COLUMNS; i++) {
		unsigned widest = (unsigned)strlen(columns[i].head);

		for (size_t j = 0; j < n; j++) {
			unsigned len = (unsigned)strlen(rows[j].cells[i]);

			if (len > widest && (all || len <= columns[i].most))
				widest = len;
		}
		l->starts[i] = at;
		l->widths[i] = widest;
		at += widest + GAP;
	}
	return at - GAP;
}

/*
 * As wide as the cells, if that fits. If not, overlong cells do not count: they get lines of their
 * own. If that does not fit either, the targets stand below the public endpoints.
 */
static void fit(const struct row *rows, size_t n, unsigned width, struct layout *l)
{
	l->width = width;
	if (lay_out(rows, n, true, l) > width && lay_out(rows, n, false, l) > width)
		l->starts[TARGET] = l->starts[PUBLIC];
}

static void print_cells(FILE *out, const char cells[COLUMNS][CELL_OCTETS], const struct layout *l)
{
	unsigned at = 0;

	for (unsigned i = 0; i < COLUMNS; i++) {
		unsigned len = (unsigned)strlen(cells[i]), start = l->starts[i];

		if (i == COUNT && len < l->widths[i])
			start += l->widths[i] - len;
		if (start + len > l->width)
			start = l->width > len ? l->width - len : 0;
		if (i > 0 && at + GAP > start) {
			fputc('\n', out);
			at = 0;
		}
		fprintf(out, "%*s%s", (int)(start - at), "", cells[i]);
		at = start + len;
	}
	fputc('\n', out);
}

/* Whom the last call has failed to tell. */
static void print_failures(FILE *out, const json_t *receivers, const char *kind, const char *key,
			   unsigned width)
{
	char line[RESULT_OCTETS + 1024], result[RESULT_OCTETS];

	for (size_t i = 0; i < json_array_size(receivers); i++) {
		const json_t *receiver = json_array_get(receivers, i);
		const json_t *last = json_object_get(receiver, "last");

		if (!json_is_object(last) || strcmp(member_text(last, "result"), "ok") == 0)
			continue;
		snprintf(line, sizeof(line), "%s %.800s: %s", kind, member_text(receiver, key),
			 result_text(last, result, sizeof(result)));
		fputs("  ", out);
		wrap(out, line, 2, 2, width);
	}
}

/* What is not well about a mapping, below its row. */
static void print_troubles(FILE *out, const struct row *row, unsigned width)
{
	if (*row->why) {
		fputs("  ", out);
		wrap(out, row->why, 2, 2, width);
	}
	print_failures(out, row->hooks, "hook", "path", width);
	print_failures(out, row->publishers, "publisher", "name", width);
}

static void print_summary(FILE *out, const json_t *daemon, const json_t *mappings, time_t now,
			  unsigned width)
{
	const json_t *table = json_object_get(daemon, "table");
	const char *config = member_text(daemon, "config"), *error = member_text(table, "error");
	char running[STATUS_DURATION_STRLEN] = "-", foreign[STATUS_DURATION_STRLEN];
	size_t n = json_array_size(mappings), up = 0;
	char line[1024];

	for (size_t i = 0; i < n; i++)
		up += strcmp(member_text(json_array_get(mappings, i), "state"), "up") == 0;
	age(daemon, "started", now, running);
	snprintf(line, sizeof(line), "pinhold %s, pid %d, running for %s: %zu of %zu mapping%s up",
		 member_text(daemon, "version"),
		 (int)json_integer_value(json_object_get(daemon, "pid")), running, up, n,
		 n == 1 ? "" : "s");
	wrap(out, line, 0, 2, width);
	snprintf(line, sizeof(line), "file: %.900s", *config ? config : "none, by command line");
	wrap(out, line, 0, 6, width);
	snprintf(line, sizeof(line), "table: inet pinhold, %s, %s%s%.500s",
		 json_is_true(json_object_get(table, "installed")) ? "installed" : "NOT installed",
		 strcmp(member_text(table, "ownership"), "owner") == 0
			 ? "owned by the daemon"
			 : "a plain table (other programs can change it)",
		 *error ? "; " : "", error);
	if (age(table, "foreign_change", now, foreign)) {
		strcat(line, "; another program changed it ");
		strcat(line, foreign);
		strcat(line, " ago");
	}
	wrap(out, line, 0, 7, width);
}

int status_print_all(FILE *out, const json_t *daemon, const json_t *mappings, time_t now,
		     unsigned width)
{
	size_t n = json_array_size(mappings);
	char heads[COLUMNS][CELL_OCTETS];
	struct layout layout;
	struct row *rows;

	print_summary(out, daemon, mappings, now, width);
	if (n == 0)
		return 0;
	rows = calloc(n, sizeof(*rows));
	if (!rows)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		fill_row(&rows[i], json_array_get(mappings, i), now);
	for (unsigned i = 0; i < COLUMNS; i++)
		strcpy(heads[i], columns[i].head);
	fit(rows, n, width, &layout);
	fputc('\n', out);
	print_cells(out, (const char(*)[CELL_OCTETS])heads, &layout);
	for (size_t i = 0; i < n; i++) {
		print_cells(out, (const char(*)[CELL_OCTETS])rows[i].cells, &layout);
		print_troubles(out, &rows[i], width);
	}
	free(rows);
	return 0;
}

/* ---- one mapping ---- */

struct page {
	FILE *out;
	unsigned width;
	time_t now;
};

/* label "": a further value of the same. */
__attribute__((format(printf, 3, 4))) static void field(const struct page *p, const char *label,
							const char *format, ...)
{
	char line[2048];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	fprintf(p->out, "%-*s", LABEL_WIDTH, label);
	wrap(p->out, line[strspn(line, " ")] ? line : "-", LABEL_WIDTH, LABEL_WIDTH, p->width);
}

/* ", since 2026-11-21 10:23:23 (2h 13m)" in local time, or "". */
static const char *since_text(const struct page *p, const json_t *object, const char *key,
			      const char *before, char *buf, size_t size)
{
	char when[32], duration[STATUS_DURATION_STRLEN];
	struct tm tm;
	time_t at;

	*buf = '\0';
	if (member_time(object, key, &at) && localtime_r(&at, &tm) &&
	    strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm))
		snprintf(buf, size, "%s%s (%s)", before, when,
			 status_duration(p->now - at, duration));
	return buf;
}

static void print_endpoints(const struct page *p, const json_t *m)
{
	const json_t *public = json_object_get(m, "public");
	const json_t *own = json_object_get(m, "own_port"), *uplink = json_object_get(m, "uplink");
	long long changes = json_integer_value(json_object_get(m, "changes"));
	char buf[CELL_OCTETS], since[96];

	if (json_is_object(public))
		field(p, "public", "%s%s; %lld change%s",
		      endpoint_text(m, "public", buf, sizeof(buf)),
		      since_text(p, m, "endpoint_since", " since ", since, sizeof(since)), changes,
		      changes == 1 ? "" : "s");
	else
		field(p, "public", "-");
	if (*member_text(public, "ip4p"))
		field(p, "IP4P", "%s", member_text(public, "ip4p"));
	field(p, "private", "%s%s%s", endpoint_text(m, "private", buf, sizeof(buf)),
	      *member_text(m, "interface") ? " on " : "", member_text(m, "interface"));
	if (json_is_integer(own))
		field(p, "own port", "%d: the bind port is left to the service",
		      (int)json_integer_value(own));
	if (json_is_integer(uplink))
		field(p, "replies", "routed back by %s, as uplink %d", member_text(m, "interface"),
		      (int)json_integer_value(uplink));
	field(p, "target", "%s", member_text(m, "target"));
}

static void print_trust(const struct page *p, const json_t *m)
{
	const json_t *independent = json_object_get(m, "endpoint_independent");
	bool can = json_is_true(json_object_get(m, "can_verify"));
	char ago[STATUS_DURATION_STRLEN];
	const char *verified = age(m, "verified", p->now, ago);

	field(p, "NAT", "%s",
	      json_is_true(independent) ? "endpoint-independent: two servers see the same endpoint"
	      : json_is_false(independent)
		      ? "not endpoint-independent (symmetric): each server sees another endpoint, and nobody can call in"
		      : "not known: fewer than two servers have answered");
	field(p, "verified", "%s%s%s", verified ? verified : "never", verified ? " ago" : "",
	      can || strcmp(member_text(m, "state"), "up") != 0
		      ? ""
		      : "; there are too few STUN servers to verify by fresh flows");
}

static void print_holders(const struct page *p, const json_t *m)
{
	const json_t *holders = json_object_get(m, "holders");

	if (json_array_size(holders) == 0)
		field(p, "holders", "none");
	for (size_t i = 0; i < json_array_size(holders); i++) {
		const json_t *h = json_array_get(holders, i);
		const json_t *rtt = json_object_get(h, "rtt_ms");
		char duration[STATUS_DURATION_STRLEN], answer[48] = "";
		const char *open = age(h, "since", p->now, duration);

		if (json_is_integer(rtt))
			snprintf(answer, sizeof(answer), ", round trip %d ms",
				 (int)json_integer_value(rtt));
		field(p, i ? "" : "holders", "%s %s%s%s%s", member_text(h, "server"),
		      member_text(h, "state"), open ? " for " : "", open ? open : "", answer);
	}
}

/* label: the receivers' list in m, too; key: what they are called by. */
static void print_receivers(const struct page *p, const json_t *m, const char *label,
			    const char *key)
{
	const json_t *receivers = json_object_get(m, label);

	for (size_t i = 0; i < json_array_size(receivers); i++) {
		const json_t *h = json_array_get(receivers, i);
		const json_t *last = json_object_get(h, "last");
		char ago[STATUS_DURATION_STRLEN], result[RESULT_OCTETS];
		const char *type = member_text(h, "type");
		const char *ended = age(last, "ended", p->now, ago);
		time_t retry;

		field(p, i ? "" : label, "%s%s%s%s", member_text(h, key), *type ? ", " : "", type,
		      json_is_true(json_object_get(h, "running")) ? ", running now" : "");
		if (json_is_object(last))
			field(p, "", "last told %s, %s%s: %s", member_text(last, "event"),
			      ended ? ended : "", ended ? " ago" : "",
			      result_text(last, result, sizeof(result)));
		if (member_time(h, "retry", &retry))
			field(p, "", "told again in %s", status_duration(retry - p->now, ago));
	}
}

static void print_told(const struct page *p, const json_t *m)
{
	print_receivers(p, m, "hooks", "path");
	print_receivers(p, m, "publishers", "name");
}

void status_print_one(FILE *out, const json_t *m, time_t now, unsigned width)
{
	const struct page p = { .out = out, .width = width, .now = now };
	const json_t *count = json_object_get(m, "connections");
	char since[96];

	field(&p, "mapping", "%s", member_text(m, "name"));
	field(&p, "state", "%s%s", member_text(m, "state"),
	      since_text(&p, m, "since", " since ", since, sizeof(since)));
	if (*member_text(m, "why"))
		field(&p, "why", "%s", member_text(m, "why"));
	field(&p, "protocol", "%s, %s", member_text(m, "protocol"), member_text(m, "family"));
	if (strcmp(member_text(m, "state"), "disabled") == 0) {
		field(&p, "target", "%s", member_text(m, "target"));
		print_told(&p, m);
		return;
	}
	print_endpoints(&p, m);
	if (json_is_integer(count))
		field(&p, "connections", "%" JSON_INTEGER_FORMAT, json_integer_value(count));
	else
		field(&p, "connections", "not counted");
	print_trust(&p, m);
	print_holders(&p, m);
	print_told(&p, m);
}
