/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* ${variables} in settings, and how a value is written where it lands. */

#include "buffer.h"
#include "job.h"
#include "result.h"
#include "secret.h"

enum escape {
	ESCAPE_NONE,
	ESCAPE_JSON, /* inside a JSON string: RFC 8259 section 7 */
	ESCAPE_URL,  /* all but RFC 3986's unreserved characters as %XX */
};

void escape_add(struct buffer *b, enum escape escape, const char *text);

/*
 * Appends the text with its variables replaced; what stands around them is copied as it is. A
 * variable that is not known or not closed is an error, as it is for whoever checked the file.
 * 0, or -1.
 */
int template_expand(const char *text, enum escape escape, const struct event *event,
		    struct secrets *secrets, struct buffer *b, struct result *r);

/*
 * The same of a URL. Before its path there is no way to escape: there a variable may only be made
 * of what names, addresses and ports are made of, unless an @ behind it says that it belongs to the
 * user's name and password.
 */
int template_expand_url(const char *text, const struct event *event, struct secrets *secrets,
			struct buffer *b, struct result *r);
