/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The service manager's socket (sd_notify(3), without its library): $NOTIFY_SOCKET, one datagram
 * of lines. All calls do nothing where there is no such socket.
 */

#include <stdint.h>

struct ph_notify;

/* Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID, and takes them out of the environment, so
 * that no hook inherits them. Never fails: NULL means that nobody wants to know. */
struct ph_notify *ph_notify_open(void);
void ph_notify_close(struct ph_notify *n);

void ph_notify_ready(struct ph_notify *n);
void ph_notify_reloading(struct ph_notify *n); /* with MONOTONIC_USEC; ready() follows */
void ph_notify_stopping(struct ph_notify *n);
void ph_notify_watchdog(struct ph_notify *n);
/* One line for people, sent only when it differs from the last. */
void ph_notify_status(struct ph_notify *n, const char *text);

/* How often ph_notify_watchdog() must be called, ms: half of what is asked for; 0: not. */
uint64_t ph_notify_watchdog_ms(const struct ph_notify *n);
