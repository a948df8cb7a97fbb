/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The process's resource limits (getrlimit(2)). */

#include <stddef.h>

/* A positive outcome: the hard limit is lower than what is needed, and only the administrator can
 * raise it (systemd: LimitNOFILE=, procd: limits). */
#define PH_LIMITS_TOO_LOW 1

/*
 * Raises the soft limit of open descriptors to needed, or as far as the hard one allows; it is
 * never lowered. 0, PH_LIMITS_TOO_LOW, or -errno; *ret_limit is what holds now, unless -errno.
 */
int ph_limits_raise_files(size_t needed, size_t *ret_limit);
