/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What a fuzz target consists of: one file fuzz_NAME.c that defines LLVMFuzzerTestOneInput() and
 * checks what must hold for every input, and a directory corpus/NAME. run and meson.build find both
 * by their names.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An assertion that no build option removes. */
#define CHECK(condition)                                              \
	do {                                                          \
		if (!(condition))                                     \
			check_failed(#condition, __FILE__, __LINE__); \
	} while (0)

_Noreturn static inline void check_failed(const char *condition, const char *file, int line)
{
	fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, condition);
	abort();
}

/* A copy of its own length, so that AddressSanitizer sees the first octet that is read behind it.
 */
static inline uint8_t *exact_copy(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);

	CHECK(copy);
	if (size)
		memcpy(copy, data, size);
	return copy;
}

/* The sizes of pieces into which an input is cut: 1 to 64, the same ones each time for the same
 * seed. */
static inline size_t next_piece(uint32_t *seed, size_t left)
{
	size_t n;

	*seed = *seed * 1664525 + 1013904223;
	n = 1 + (*seed >> 16) % (*seed >> 31 ? 64 : 4);
	return n < left ? n : left;
}
