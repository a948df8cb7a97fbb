/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <pinhold/log.h>

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <syslog.h>

static struct {
	bool syslog;
} sink;

void ph_log_to_syslog(void)
{
	openlog("pinhold", LOG_PID, LOG_DAEMON);
	sink.syslog = true;
}

void ph_log(enum ph_log_level level, const char *format, ...)
{
	static const int priorities[] = { LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG };
	char line[2048];
	va_list args;

	if (level > PH_LOG_INFO)
		return;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (sink.syslog)
		syslog(priorities[level], "%s", line);
	else /* one write, so that lines of several processes do not mix */
		fprintf(stderr, "pinhold: %s\n", line);
}
