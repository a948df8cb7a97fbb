/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Before anything else: no capabilities, no new privileges, no core dump, no inherited descriptors.
 * 0, or -errno with the name of what failed; the process must not go on then.
 *
 * The user stays who it was. Started by root it is root without capabilities: it reads root's
 * files, as their owner, and nothing that the owner's permissions do not allow.
 */
int confine(const char **ret_failed);

/* Only for the leak checker, which attaches to the process as a debugger would; once secrets are
 * gone. Nothing in a build without it. */
void confine_end(void);
