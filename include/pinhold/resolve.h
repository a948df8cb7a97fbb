/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Asynchronous name look-up (getaddrinfo on libuv's thread). */

#include <uv.h>

#include <pinhold/endpoint.h>

#define PH_RESOLVE_MAX 8 /* addresses of one name that are used */

struct ph_resolve;

/* error: a UV_EAI_* code, 0 if addresses came. The request is freed after it. */
typedef void (*ph_resolve_fn)(void *data, int error, const struct ph_address *addresses, size_t n);

/* Looks up host's addresses of one family; fn is called from the loop, unless cancelled. 0 or
 * -errno. */
int ph_resolve_start(uv_loop_t *loop, const char *host, enum ph_family family, ph_resolve_fn fn,
		     void *data, struct ph_resolve **ret_resolve);
/* fn will not be called any more; the thread ends when the resolver gives up. NULL is fine. */
void ph_resolve_cancel(struct ph_resolve *r);
