/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Prefixes of addresses, and immutable sets of them: who may connect (allow). */

#include <pinhold/endpoint.h>

struct ph_prefix {
	struct ph_address address; /* host bits are 0 */
	uint8_t bits;              /* 0 to 32, or to 128 */
};

/* Every address from first to last, both included; octets as in struct ph_address. */
struct ph_range {
	uint8_t first[16], last[16];
};

/*
 * Addresses of one family. The ranges ascend and neither overlap nor touch, so equal sets have
 * equal ranges, whatever they were written as. Where one may be missing, NULL means everybody.
 */
struct ph_prefixes {
	unsigned references;
	enum ph_family family;
	size_t n; /* 0: nobody */
	struct ph_range ranges[];
};

/*
 * Of prefixes in any order, which may overlap and are copied; n may be 0. *ret_set is a reference
 * that the caller owns. 0, -ENOMEM, or -EINVAL (a prefix of another family, or too long).
 */
int ph_prefixes_new(enum ph_family family, const struct ph_prefix *list, size_t n,
		    const struct ph_prefixes **ret_set);
/* Of all that are in one of the sets, none of which is NULL. The rest as above. */
int ph_prefixes_union(enum ph_family family, const struct ph_prefixes *const *sets, size_t n,
		      const struct ph_prefixes **ret_set);
/* Returns set. NULL is fine for both. */
const struct ph_prefixes *ph_prefixes_ref(const struct ph_prefixes *set);
void ph_prefixes_unref(const struct ph_prefixes *set);
/* By content. Sets of different families differ, and NULL is equal to NULL alone. */
bool ph_prefixes_equal(const struct ph_prefixes *a, const struct ph_prefixes *b);
/* NULL contains every address, another set none of another family. */
bool ph_prefixes_contain(const struct ph_prefixes *set, const struct ph_address *address);
