/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* `pinhold get`: one bare value of one mapping and a newline. Returns an exit status: 1 where the
 * field has no value now, 2 for a field or mapping that does not exist. */
int ph_cli_get(const char *mapping, const char *field);
