/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Files that others read at any moment: written beside and moved into place. */

#include <stddef.h>
#include <sys/types.h>

/* Writes text to directory/name, whole or not at all, with that mode whatever the umask is; nothing
 * of a failed try stays. 0 or -errno. */
int ph_state_write(const char *directory, const char *name, mode_t mode, const char *text,
		   size_t len);
/* Removes directory/name. Not there is fine. 0 or -errno. */
int ph_state_remove(const char *directory, const char *name);
