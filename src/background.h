/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The process's surroundings: standard descriptors, and the background of -d. */

/*
 * Whoever starts us may have closed standard descriptors; then the next files opened would take
 * their places and be written to. Opened for reading only, so that writing still fails.
 */
void background_fill_descriptors(void);

/*
 * -d: the parent stays until the child is ready, so that its exit status tells whether the start
 * went well. Returns in the child, with the descriptor to be given to background_ready(); the
 * parent exits.
 */
int background_enter(void);

/* Releases the parent. From now on the log goes to syslog. fd: of background_enter(). */
void background_ready(int fd);
