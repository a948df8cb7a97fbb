/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What the files that make a configuration have in common. Nobody else includes this. */

#include <pinhold/config.h>

#define PH_STUN_PORT 3478 /* RFC 8489 section 14.2 */
#define PH_HTTP_PORT 80

/*
 * core/config_values.c: single values. Those that return a string return NULL if the text is right,
 * and otherwise what is wrong with it, as the rest of a sentence that begins with the text ("is
 * ...", "has ..."). Outputs are untouched then.
 */

/* Decimal, or hexadecimal behind 0x; no sign and no leading zeros. 0 or -EINVAL. */
int ph_number_parse(const char *text, uint32_t *ret_number);
/* As people write it: "30s", "5m". Returns buf. */
const char *ph_duration_format(uint32_t ms, char buf[static 16]);
const char *ph_mark_parse(const char *text, struct ph_plan_options *ret_plan);
const char *ph_target_parse(const char *text, struct ph_target *ret_target);
const char *ph_limit_parse(const char *text, struct ph_limit *ret_limit);
/* 0, -EINVAL (no prefix), or -ERANGE: host bits are set, and *ret_prefix is what it should be. */
int ph_prefix_parse(const char *text, struct ph_prefix *ret_prefix);
/* A host name, or a numeric address of either family without brackets. */
bool ph_host_valid(const char *text);
/* How many octets must be added, removed or changed to make b of a: for "did you mean". */
size_t ph_text_distance(const char *a, const char *b);

/* UTF-8 without control characters but for tabs: what JSON can carry and a receiver can be sent. */
bool ph_text_printable(const char *text);

/*
 * Foreign text for a message: cut to a readable length, control characters and octets that are no
 * UTF-8 replaced. Returns buf.
 */
#define PH_SHOWN_STRLEN 144
const char *ph_text_show(const char *text, char buf[static PH_SHOWN_STRLEN]);

/* core/config_report.c: mistakes and notices, kept until the end and told in the file's order. */

#define PH_MISTAKES_MAX 50 /* told one by one; the others are only counted */
#define PH_NOTICES_MAX  50 /* the same of those that are PH_NOTICE_EACH */
#define PH_NOTICE_EACH  32 /* not only the first of its kind is kept */

struct ph_report_line {
	bool mistake;
	unsigned line;
	char *text; /* owned */
};

struct ph_reports {
	struct ph_report_line *lines;    /* owned */
	size_t n, n_mistakes, n_notices; /* n_notices: those that are PH_NOTICE_EACH */
	unsigned noticed;                /* 1u << whatever the caller counts: told already */
	bool no_memory;
};

void ph_reports_done(struct ph_reports *r);
__attribute__((format(printf, 3, 4))) void ph_reports_mistake(struct ph_reports *r, unsigned line,
							      const char *format, ...);
/* once: a number below 32, and of the notices with the same one only the first is kept, or
 * PH_NOTICE_EACH. */
__attribute__((format(printf, 4, 5))) void
ph_reports_notice(struct ph_reports *r, unsigned once, unsigned line, const char *format, ...);
void ph_reports_tell(struct ph_reports *r, ph_config_report_fn report, void *data);

/* core/config_publish.c: [publish NAME]. */

/* How often a publisher's key may be given, and what becomes of its value. */
bool ph_publish_key_repeats(const char *key);
/* NULL: a section may be called so. */
const char *ph_publish_name_refusal(const char *name);
/* Adds one `key = value`; `type` is one of them until ph_publish_check() has read it. -ENOMEM. */
int ph_publish_add(struct ph_publish *p, unsigned line, const char *key, const char *value);
/* The section is complete: takes `type` out of the settings and checks the others. */
void ph_publish_check(struct ph_publish *p, struct ph_reports *reports);
