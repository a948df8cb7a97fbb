/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Logging: one line an event, to standard error or syslog. The sink is the program's only mutable
 * global. */

enum ph_log_level { PH_LOG_ERROR, PH_LOG_WARNING, PH_LOG_INFO, PH_LOG_DEBUG };

/* Debug lines are dropped. Standard error until ph_log_to_syslog() is called. */
void ph_log_to_syslog(void);

void ph_log(enum ph_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define ph_error(...)   ph_log(PH_LOG_ERROR, __VA_ARGS__)
#define ph_warning(...) ph_log(PH_LOG_WARNING, __VA_ARGS__)
#define ph_info(...)    ph_log(PH_LOG_INFO, __VA_ARGS__)
#define ph_debug(...)   ph_log(PH_LOG_DEBUG, __VA_ARGS__)
