/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Files that others read at any moment: written beside and moved into place. */

#include <stddef.h>
#include <sys/types.h>

/* Writes text to directory/name, whole or not at all, with that mode whatever the umask is; nothing
 * of a failed try stays. 0 or -errno. */
int ph_state_write(const char *directory, const char *name, mode_t mode, const char *text,
		   size_t len);
/*
 * What stands in directory/name, at most PH_STATE_MAX octets of it, if that is a regular file: 0
 * and *ret_text, NUL-terminated, for free(), and *ret_len; or -errno.
 */
int ph_state_read(const char *directory, const char *name, char **ret_text, size_t *ret_len);
#define PH_STATE_MAX ((size_t)64 * 1024)

/* Removes directory/name. Not there is fine. 0 or -errno. */
int ph_state_remove(const char *directory, const char *name);
