// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The C library knows how long a piece is, glibc's and musl's alike. What is zeroed is never used
 * beyond what was asked for, so that _FORTIFY_SOURCE has no reason to object.
 */

#include "wiped.h"

#include <jansson.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

void *wiped_malloc(size_t octets)
{
	return malloc(octets ? octets : 1);
}

void *wiped_calloc(size_t n, size_t octets)
{
	return calloc(n ? n : 1, octets ? octets : 1);
}

/* Never in place: what is left behind would be freed unseen. */
void *wiped_realloc(void *old, size_t octets)
{
	void *memory = wiped_malloc(octets);
	size_t before = malloc_usable_size(old);

	if (!memory || !old)
		return memory;
	memcpy(memory, old, before < octets ? before : octets);
	wiped_free(old);
	return memory;
}

char *wiped_strdup(const char *text)
{
	return strdup(text);
}

void wiped_free(void *memory)
{
	if (memory)
		explicit_bzero(memory, malloc_usable_size(memory));
	free(memory);
}

void wiped_jansson(void)
{
	json_set_alloc_funcs(wiped_malloc, wiped_free);
}
