/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <pinhold/config.h>

/*
 * natmap's options, as design.md lists them, to a configuration of one mapping. Returns 0, or 2
 * after one line on standard error. skip: leading words of argv that are not options (the program,
 * a command).
 */
int ph_options_parse(int argc, char **argv, int skip, struct ph_config *ret_config);
