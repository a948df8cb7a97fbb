/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The states that the golden tests know by name: sets of mappings, and the tables that follow from
 * them. */

#include <pinhold/plan.h>

/* The name of the nth case, or NULL behind the last. */
const char *case_name(size_t n);

/* The table of that case, for the caller to free. Ends the program if there is no such case or no
 * memory. */
struct ph_table *case_table(const char *name);

/* As case_table(), but 0 or what ph_table_new() says: for tests in which memory runs out. */
int case_try_table(const char *name, struct ph_table **ret_table);
