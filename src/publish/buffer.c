// SPDX-License-Identifier: GPL-2.0-or-later
#include "buffer.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "wiped.h"

static bool make_room(struct buffer *b, size_t len)
{
	size_t room = b->room ? b->room : 256;
	char *data;

	if (b->failed || len > SIZE_MAX / 4 - b->len) {
		b->failed = true;
		return false;
	}
	while (room <= b->len + len)
		room *= 2;
	if (room == b->room)
		return true;
	data = wiped_realloc(b->data, room);
	if (!data) {
		b->failed = true;
		return false;
	}
	b->data = data;
	b->room = room;
	return true;
}

void buffer_add(struct buffer *b, const char *data, size_t len)
{
	if (!make_room(b, len))
		return;
	if (len)
		memcpy(b->data + b->len, data, len);
	b->len += len;
	b->data[b->len] = '\0';
}

void buffer_puts(struct buffer *b, const char *text)
{
	buffer_add(b, text, strlen(text));
}

void buffer_printf(struct buffer *b, const char *format, ...)
{
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (len < 0 || !make_room(b, (size_t)len)) {
		b->failed = true;
		return;
	}
	va_start(args, format);
	vsnprintf(b->data + b->len, (size_t)len + 1, format, args);
	va_end(args);
	b->len += (size_t)len;
}

const char *buffer_text(const struct buffer *b)
{
	if (b->failed)
		return NULL;
	return b->data ? b->data : "";
}

void buffer_done(struct buffer *b)
{
	wiped_free(b->data);
	*b = (struct buffer){ 0 };
}
