/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Files with secrets, and the care that none of them gets into what people read. */

#include <stddef.h>

#include "buffer.h"
#include "result.h"

#define SECRET_MAX 65536 /* octets of a file */

struct secrets {
	struct secret *list; /* owned */
	size_t n;
	struct buffer warning; /* one sentence a file, or empty */
};

/*
 * The contents of a regular file without the one newline at its end; *ret_text stays the list's,
 * and a file is read once. A file that everybody may read is used, and there is a warning. 0, or
 * -1.
 */
int secret_read(struct secrets *s, const char *path, const char **ret_text, struct result *r);

/* Another way in which a secret was written (escaped, encoded). 0, or -1. */
int secret_also(struct secrets *s, const char *text, struct result *r);

/* Each secret in the text becomes ***. Those shorter than four octets are no secrets. */
void secrets_redact(const struct secrets *s, char *text);

void secrets_done(struct secrets *s);
