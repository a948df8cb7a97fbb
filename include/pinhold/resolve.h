/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Asynchronous name look-up (getaddrinfo on libuv's thread). All who ask for the same host and
 * family at the same time share one look-up, and its result is remembered for a little while, so
 * that a thousand mappings with the same servers cost as much as one.
 */

#include <uv.h>

#include <pinhold/endpoint.h>

#define PH_RESOLVE_MAX 8 /* addresses of one name that are used */

/* How long a result is remembered. Short, because who asks again often does so as a server's
 * address has changed, or as the network is back. */
#define PH_RESOLVE_KEEP_MS   5000u
#define PH_RESOLVE_FAILED_MS 1000u

struct ph_resolver; /* one per loop */
struct ph_resolve;  /* what one caller has asked for */

/* error: a UV_EAI_* code, 0 if addresses came. The request is freed after it. */
typedef void (*ph_resolve_fn)(void *data, int error, const struct ph_address *addresses, size_t n);

/* NULL: out of memory. */
struct ph_resolver *ph_resolver_new(uv_loop_t *loop);

/*
 * Cancels all that is asked for; nobody is called any more. The resolver frees itself as the loop
 * runs on, which it must. False: a look-up may be in the thread's hands, and the loop would not end
 * before it does; then the process may end without, but not free the loop. NULL is fine, and true.
 */
bool ph_resolver_free(struct ph_resolver *resolver);

/*
 * Looks up host's addresses of one family. fn is called from the loop, never from within this call,
 * unless cancelled; a result that is remembered comes in the loop's next iteration. 0 or -errno, or
 * a UV_EAI_* code.
 */
int ph_resolve_start(struct ph_resolver *resolver, const char *host, enum ph_family family,
		     ph_resolve_fn fn, void *data, struct ph_resolve **ret_resolve);
/* fn will not be called any more, and the request is freed. What was begun is finished, and
 * remembered. NULL is fine. */
void ph_resolve_cancel(struct ph_resolve *r);
