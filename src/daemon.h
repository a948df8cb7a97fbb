/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <pinhold/config.h>

/*
 * Runs until SIGTERM or SIGINT. Takes over config's path and mappings. Returns
 * an exit status: 0 done, 1 failed while running, 2 could not start (one line on standard error
 * says why). ready is called once, after the table has been installed for the first time.
 */
int ph_daemon_run(struct ph_config *config, void (*ready)(void));
