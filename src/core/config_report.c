// SPDX-License-Identifier: GPL-2.0-or-later
/* Mistakes and notices about a configuration file. */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_internal.h"

#define TEXT_MAX 512

void ph_reports_done(struct ph_reports *r)
{
	for (size_t i = 0; i < r->n; i++)
		free(r->lines[i].text);
	free(r->lines);
	*r = (struct ph_reports){ 0 };
}

__attribute__((format(printf, 4, 0))) static void
keep(struct ph_reports *r, bool mistake, unsigned line, const char *format, va_list args)
{
	struct ph_report_line *lines = reallocarray(r->lines, r->n + 1, sizeof(*lines));
	char text[TEXT_MAX];

	if (lines)
		r->lines = lines;
	vsnprintf(text, sizeof(text), format, args);
	if (lines)
		lines[r->n] = (struct ph_report_line){ mistake, line, strdup(text) };
	if (!lines || !lines[r->n].text)
		r->no_memory = true;
	else
		r->n++;
}

void ph_reports_mistake(struct ph_reports *r, unsigned line, const char *format, ...)
{
	va_list args;

	if (r->n_mistakes++ >= PH_MISTAKES_MAX)
		return;
	va_start(args, format);
	keep(r, true, line, format, args);
	va_end(args);
}

void ph_reports_notice(struct ph_reports *r, unsigned once, unsigned line, const char *format, ...)
{
	va_list args;

	if (once == PH_NOTICE_EACH) {
		if (r->n_notices++ >= PH_NOTICES_MAX)
			return;
	} else {
		if (r->noticed & 1u << once)
			return;
		r->noticed |= 1u << once;
	}
	va_start(args, format);
	keep(r, false, line, format, args);
	va_end(args);
}

/* By line; 0, the file as a whole, first. Stable, unlike qsort(): what was found first in a line
 * stays first. There are few. */
static void sort(struct ph_report_line *lines, size_t n)
{
	for (size_t i = 1; i < n; i++)
		for (size_t j = i; j > 0 && lines[j - 1].line > lines[j].line; j--) {
			struct ph_report_line other = lines[j];

			lines[j] = lines[j - 1];
			lines[j - 1] = other;
		}
}

/* How many of n there are beyond those that were told. */
static void tell_more(bool mistake, size_t n, size_t told, ph_config_report_fn report, void *data)
{
	char text[64];

	if (n <= told)
		return;
	snprintf(text, sizeof(text), "... and %zu more %s%s", n - told,
		 mistake ? "mistake" : "notice", n - told == 1 ? "" : "s");
	report(data, mistake, 0, text);
}

void ph_reports_tell(struct ph_reports *r, ph_config_report_fn report, void *data)
{
	sort(r->lines, r->n);
	for (size_t i = 0; i < r->n; i++)
		report(data, r->lines[i].mistake, r->lines[i].line, r->lines[i].text);
	tell_more(false, r->n_notices, PH_NOTICES_MAX, report, data);
	tell_more(true, r->n_mistakes, PH_MISTAKES_MAX, report, data);
}
