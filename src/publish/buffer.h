/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Text that grows, in memory that is zeroed when it is freed. */

#include <stdbool.h>
#include <stddef.h>

struct buffer {
	char *data; /* owned; NUL-terminated unless NULL */
	size_t len, room;
	bool failed; /* out of memory once: from then on nothing is added */
};

void buffer_add(struct buffer *b, const char *data, size_t len);
void buffer_puts(struct buffer *b, const char *text);
void buffer_printf(struct buffer *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The text, "" of an empty buffer; NULL: out of memory. It stays the buffer's. */
const char *buffer_text(const struct buffer *b);

/* Zeroes and frees; the buffer is empty afterwards. */
void buffer_done(struct buffer *b);
