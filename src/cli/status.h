/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdbool.h>

/* `pinhold status`: mapping NULL: all of them. json: one document instead of text. Returns an exit
 * status. */
int ph_cli_status(const char *mapping, bool json);
