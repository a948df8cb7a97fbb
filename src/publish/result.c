// SPDX-License-Identifier: GPL-2.0-or-later
#include "result.h"

#include <stdarg.h>
#include <stdio.h>

__attribute__((format(printf, 5, 0))) static void set(struct result *r, enum outcome outcome,
						      bool retry, long retry_after,
						      const char *format, va_list args)
{
	char text[PH_PUBLISH_TEXT_MAX];

	/* The arguments may be the old text. */
	vsnprintf(text, sizeof(text), format, args);
	r->outcome = outcome;
	r->retry = retry;
	r->retry_after = retry_after;
	snprintf(r->text, sizeof(r->text), "%s", text);
}

void result_ok(struct result *r, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	set(r, OUTCOME_OK, false, 0, format, args);
	va_end(args);
}

void result_unchanged(struct result *r, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	set(r, OUTCOME_UNCHANGED, false, 0, format, args);
	va_end(args);
}

int result_give_up(struct result *r, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	set(r, OUTCOME_FAILED, false, 0, format, args);
	va_end(args);
	return -1;
}

int result_retry(struct result *r, long retry_after, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	set(r, OUTCOME_FAILED, true, retry_after, format, args);
	va_end(args);
	return -1;
}

int result_no_memory(struct result *r)
{
	return result_retry(r, 0, "out of memory");
}

void result_printable(char *text)
{
	for (; *text; text++)
		if (*text < 0x20 || *text > 0x7e)
			*text = '?';
}
