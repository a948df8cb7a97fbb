/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* `pinhold reload`: the daemon reads its file again; what has changed, or the mistakes (2). Returns
 * an exit status. */
int ph_cli_reload(void);
