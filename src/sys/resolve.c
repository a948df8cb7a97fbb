/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <pinhold/resolve.h>

#include <errno.h>
#include <stdlib.h>

#include <pinhold/sockaddr.h>

struct ph_resolve {
	uv_getaddrinfo_t request;
	ph_resolve_fn fn;
	void *data;
};

static void done(uv_getaddrinfo_t *request, int status, struct addrinfo *list)
{
	struct ph_resolve *r = request->data;
	struct ph_address addresses[PH_RESOLVE_MAX];
	size_t n = 0;

	for (const struct addrinfo *ai = list; ai && n < PH_RESOLVE_MAX; ai = ai->ai_next) {
		struct ph_endpoint e;

		if (ph_endpoint_from_sockaddr(ai->ai_addr, &e) == 0)
			addresses[n++] = e.address;
	}
	uv_freeaddrinfo(list);
	if (status == 0 && n == 0)
		status = UV_EAI_NODATA;
	if (r->fn)
		r->fn(r->data, status, addresses, status == 0 ? n : 0);
	free(r);
}

int ph_resolve_start(uv_loop_t *loop, const char *host, enum ph_family family, ph_resolve_fn fn,
		     void *data, struct ph_resolve **ret_resolve)
{
	struct addrinfo hints = {
		.ai_family = family == PH_IPV6 ? AF_INET6 : AF_INET,
		.ai_socktype = SOCK_STREAM, /* one entry an address */
	};
	struct ph_resolve *r = calloc(1, sizeof(*r));
	int error;

	if (!r)
		return -ENOMEM;
	r->fn = fn;
	r->data = data;
	r->request.data = r;
	error = uv_getaddrinfo(loop, &r->request, done, host, NULL, &hints);
	if (error < 0) {
		free(r);
		return error;
	}
	*ret_resolve = r;
	return 0;
}

void ph_resolve_cancel(struct ph_resolve *r)
{
	if (!r)
		return;
	r->fn = NULL;
	uv_cancel((uv_req_t *)&r->request);
}
