/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Who has the plain table of this network namespace: the kernel lets anybody change it, and two
 * who both put theirs back would do so for ever. The lock is an abstract socket's name, which
 * there is once in a network namespace, whatever directories the two have.
 */

#include <sys/types.h>

/*
 * 0; -EALREADY: another process has it, *ret_holder (0: not known which); -errno: there is no
 * lock to be had. Any user could take the name, so it counts only if root or our own user has.
 * *ret_fd is close-on-exec and keeps the lock.
 */
int ph_lock_take(int *ret_fd, pid_t *ret_holder);
