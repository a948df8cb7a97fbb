/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* `pinhold watch`: the daemon's events as they come, until a signal, or nobody reads them (1), or
 * the daemon ends (3). Returns an exit status. */
int ph_cli_watch(void);
