/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Processes that a daemon started which has been killed. */

#include <stdbool.h>
#include <sys/types.h>

/*
 * Ends the session that `leader` began, by SIGKILL, if one of its processes, of whom the leader
 * need not be one any more, has `variable` ("NAME=value") in its environment: the number may be
 * somebody else's by now. What has begun a session or a process group of its own since is left
 * alone. True: there was one, and it is ended.
 */
bool ph_orphan_end(pid_t leader, const char *variable);
