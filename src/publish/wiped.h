/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Memory that is zeroed when it is freed. libcurl and jansson get these functions too, so that the
 * copies of a secret which they make do not outlive its use.
 */

#include <stddef.h>

void *wiped_malloc(size_t octets);
void *wiped_calloc(size_t n, size_t octets);
void *wiped_realloc(void *old, size_t octets);
char *wiped_strdup(const char *text);
void wiped_free(void *memory);

/* Before anything else of jansson is used. libcurl is told by session_start(). */
void wiped_jansson(void);
