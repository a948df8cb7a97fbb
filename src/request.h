/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* One line from a client of the control socket, as include/pinhold/control.h has them. */

#include <pinhold/plan.h>

enum ph_command { PH_COMMAND_STATUS, PH_COMMAND_WATCH, PH_COMMAND_RELOAD };

struct ph_request {
	enum ph_command command;
	char mapping[PH_NAME_MAX + 1]; /* of status; "": all */
};

#define PH_REQUEST_ERROR_MAX 128 /* octets of a refusal, with NUL */

/*
 * Strict: an object without duplicate, unknown or superfluous keys, and nothing behind it. len
 * octets, which may be anything. 0, or -EINVAL with the reason in error: one line of printable
 * ASCII, whatever the line holds; or -ENOMEM, also with words. Pure computation.
 */
int ph_request_parse(const char *line, size_t len, struct ph_request *ret_request,
		     char error[static PH_REQUEST_ERROR_MAX]);
