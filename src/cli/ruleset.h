/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <pinhold/config.h>

/*
 * Prints the table of config in nft's syntax, as it will be once the mappings are up: with the
 * addresses that the interfaces and servers have now, and without the public endpoints, which only
 * a running daemon learns. Returns an exit status.
 */
int ph_ruleset_print(const struct ph_config *config);
