/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * net.ipv4.conf.INTERFACE.route_localnet, without which the kernel drops what comes in on the
 * interface and is translated to 127.0.0.0/8. It is set where it is wanted, and set back where
 * pinhold set it: also after a crash, because a file remembers that before it is done.
 */

#include <stdbool.h>
#include <stddef.h>

#define PH_LOCALNET_FILE "route_localnet" /* no mapping's status file: those are NAME.json */

struct ph_localnet;

struct ph_localnet_interface {
	const char *name; /* borrowed for the call */
	int error;        /* set by the call: 0: it is set; else -errno, and it is not */
	bool by_file;     /* set by the call: it is not because the file could not be written */
	/* Set by the call: somebody else had set it, so it stays. Once, while it is there. */
	bool found;
};

/*
 * Begins, and sets back what a killed daemon left set, if the machine has not been started again
 * since. directory: of the file, copied; NULL: nothing is remembered. 0 or -ENOMEM. *ret_unread: 0,
 * or -errno: the file cannot be read, or is none (-EINVAL, -ELOOP, -EISDIR). What it says is not
 * set back then; the next thing to be remembered takes its place.
 */
int ph_localnet_open(const char *directory, struct ph_localnet **ret_localnet, int *ret_unread);

/*
 * Sets it on these interfaces, and sets it back on others, also after they were renamed. Where it
 * was set already it is left alone. Each call looks again: what others have undone is done again.
 *
 * 0; -ENOMEM; or another -errno: the file could not be written (then what could not be remembered
 * is not set), or an interface could not be set back (which the next call tries again). Each
 * interface's own error is with it: -EACCES or -EPERM (no permission), -EROFS (/proc/sys is
 * read-only), -ENOENT (there is none), -EINVAL (no interface's name), or the file's.
 */
int ph_localnet_want(struct ph_localnet *localnet, struct ph_localnet_interface *wanted, size_t n);

/* Sets back everything and removes the file; what could not be set back stays in it. NULL is fine.
 */
void ph_localnet_close(struct ph_localnet *localnet);
