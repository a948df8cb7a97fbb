/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * A look-up is under way (requests wait in it), or over (it is a memory). Requests that can be
 * answered wait in the resolver's `ready` list for the loop's next iteration, so that nobody is
 * called from within a call of his own. (A timer of 0 ms would not do: libuv runs those that a
 * timer starts in the same iteration.)
 */

#include <pinhold/resolve.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <pinhold/sockaddr.h>

#define BUCKETS 64u

struct list {
	struct list *prev, *next;
};

struct ph_resolve {
	struct list link; /* first: the link is the request */
	ph_resolve_fn fn;
	void *data;
	int error;
	size_t n;
	struct ph_address addresses[PH_RESOLVE_MAX];
};

struct lookup {
	uv_getaddrinfo_t request;
	struct ph_resolver *resolver;
	struct lookup *next; /* in its bucket */
	struct list waiting; /* for it */
	bool running;
	uint64_t until; /* how long it is remembered, in the loop's time */
	int error;
	size_t n;
	struct ph_address addresses[PH_RESOLVE_MAX];
	enum ph_family family;
	char host[];
};

struct ph_resolver {
	uv_loop_t *loop;
	uv_idle_t deliver;
	uv_timer_t forget;
	struct list ready;
	size_t running;   /* look-ups */
	unsigned handles; /* not closed yet */
	bool freeing;
	struct lookup *buckets[BUCKETS];
};

static void list_init(struct list *l)
{
	l->prev = l->next = l;
}

static void list_add(struct list *l, struct list *item)
{
	item->prev = l->prev;
	item->next = l;
	item->prev->next = item->next->prev = item;
}

static void list_remove(struct list *item)
{
	item->prev->next = item->next;
	item->next->prev = item->prev;
}

static struct ph_resolve *take_first(struct list *l)
{
	struct list *item = l->next;

	if (item == l)
		return NULL;
	l->next = item->next;
	item->next->prev = l;
	return (struct ph_resolve *)item;
}

static struct lookup **bucket_of(struct ph_resolver *resolver, const char *host,
				 enum ph_family family)
{
	unsigned h = (unsigned)family;

	for (; *host; host++)
		h = h * 31 + (unsigned char)*host;
	return &resolver->buckets[h % BUCKETS];
}

/* ---- answers ---- */

static void on_deliver(uv_idle_t *idle)
{
	struct ph_resolver *resolver = idle->data;
	struct ph_resolve *r;
	struct list batch;

	/* Only those that are ready now: one who asks again and again must not keep the loop. They
	 * stay in a list, because one may cancel another. */
	uv_idle_stop(idle);
	list_init(&batch);
	while ((r = take_first(&resolver->ready)))
		list_add(&batch, &r->link);
	while ((r = take_first(&batch))) {
		if (!resolver->freeing)
			r->fn(r->data, r->error, r->addresses, r->n);
		free(r);
	}
}

static void make_ready(struct ph_resolver *resolver, struct ph_resolve *r, const struct lookup *l)
{
	r->error = l->error;
	r->n = l->n;
	memcpy(r->addresses, l->addresses, sizeof(r->addresses));
	list_add(&resolver->ready, &r->link);
	uv_idle_start(&resolver->deliver, on_deliver);
}

/* ---- memories ---- */

static bool is_old(const struct ph_resolver *resolver, const struct lookup *l)
{
	return !l->running && (resolver->freeing || uv_now(resolver->loop) >= l->until);
}

static bool forget_old(struct ph_resolver *resolver)
{
	bool left = false;

	for (unsigned i = 0; i < BUCKETS; i++) {
		struct lookup **at = &resolver->buckets[i];

		while (*at) {
			struct lookup *l = *at;

			if (is_old(resolver, l)) {
				*at = l->next;
				free(l);
			} else {
				left = left || !l->running;
				at = &l->next;
			}
		}
	}
	return left;
}

static void on_forget(uv_timer_t *timer)
{
	struct ph_resolver *resolver = timer->data;

	if (forget_old(resolver))
		uv_timer_start(timer, on_forget, PH_RESOLVE_KEEP_MS, 0);
}

/* ---- look-ups ---- */

static void finish_freeing(struct ph_resolver *resolver)
{
	if (resolver->handles > 0 || resolver->running > 0)
		return;
	forget_old(resolver);
	free(resolver);
}

static void on_looked_up(uv_getaddrinfo_t *request, int status, struct addrinfo *list)
{
	struct lookup *l = request->data;
	struct ph_resolver *resolver = l->resolver;
	struct ph_resolve *r;

	for (const struct addrinfo *ai = list; ai && l->n < PH_RESOLVE_MAX; ai = ai->ai_next) {
		struct ph_endpoint e;

		if (ph_endpoint_from_sockaddr(ai->ai_addr, &e) == 0)
			l->addresses[l->n++] = e.address;
	}
	uv_freeaddrinfo(list);
	l->error = status == 0 && l->n == 0 ? UV_EAI_NODATA : status;
	l->n = l->error ? 0 : l->n;
	l->running = false;
	resolver->running--;
	if (resolver->freeing) {
		finish_freeing(resolver);
		return;
	}
	l->until = uv_now(resolver->loop) + (l->error ? PH_RESOLVE_FAILED_MS : PH_RESOLVE_KEEP_MS);
	while ((r = take_first(&l->waiting)))
		make_ready(resolver, r, l);
	if (!uv_is_active((uv_handle_t *)&resolver->forget))
		uv_timer_start(&resolver->forget, on_forget, PH_RESOLVE_KEEP_MS, 0);
}

static int begin(struct ph_resolver *resolver, struct lookup **bucket, const char *host,
		 enum ph_family family, struct lookup **ret_lookup)
{
	const struct addrinfo hints = {
		.ai_family = family == PH_IPV6 ? AF_INET6 : AF_INET,
		.ai_socktype = SOCK_STREAM, /* one entry an address */
	};
	size_t size = strlen(host) + 1;
	struct lookup *l = calloc(1, sizeof(*l) + size);
	int r;

	if (!l)
		return -ENOMEM;
	l->resolver = resolver;
	l->running = true;
	l->family = family;
	memcpy(l->host, host, size);
	list_init(&l->waiting);
	l->request.data = l;
	r = uv_getaddrinfo(resolver->loop, &l->request, on_looked_up, host, NULL, &hints);
	if (r < 0) {
		free(l);
		return r;
	}
	resolver->running++;
	l->next = *bucket;
	*bucket = l;
	*ret_lookup = l;
	return 0;
}

/* The look-up that is under way or remembered, or NULL. Removes a memory that is too old. */
static struct lookup *known(struct ph_resolver *resolver, struct lookup **bucket, const char *host,
			    enum ph_family family)
{
	for (struct lookup **at = bucket; *at; at = &(*at)->next) {
		struct lookup *l = *at;

		if (l->family != family || strcmp(l->host, host) != 0)
			continue;
		if (!is_old(resolver, l))
			return l;
		*at = l->next;
		free(l);
		return NULL;
	}
	return NULL;
}

int ph_resolve_start(struct ph_resolver *resolver, const char *host, enum ph_family family,
		     ph_resolve_fn fn, void *data, struct ph_resolve **ret_resolve)
{
	struct lookup **bucket = bucket_of(resolver, host, family);
	struct lookup *l = known(resolver, bucket, host, family);
	struct ph_resolve *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	if (!l) {
		int error = begin(resolver, bucket, host, family, &l);

		if (error < 0) {
			free(r);
			return error;
		}
	}
	r->fn = fn;
	r->data = data;
	if (l->running)
		list_add(&l->waiting, &r->link);
	else
		make_ready(resolver, r, l);
	*ret_resolve = r;
	return 0;
}

void ph_resolve_cancel(struct ph_resolve *r)
{
	if (!r)
		return;
	list_remove(&r->link);
	free(r);
}

/* ---- life ---- */

struct ph_resolver *ph_resolver_new(uv_loop_t *loop)
{
	struct ph_resolver *resolver = calloc(1, sizeof(*resolver));

	if (!resolver)
		return NULL;
	resolver->loop = loop;
	list_init(&resolver->ready);
	uv_idle_init(loop, &resolver->deliver);
	uv_timer_init(loop, &resolver->forget);
	resolver->deliver.data = resolver->forget.data = resolver;
	resolver->handles = 2;
	uv_unref((uv_handle_t *)&resolver->forget);
	return resolver;
}

static void on_closed(uv_handle_t *handle)
{
	struct ph_resolver *resolver = handle->data;

	resolver->handles--;
	finish_freeing(resolver);
}

bool ph_resolver_free(struct ph_resolver *resolver)
{
	struct ph_resolve *r;
	bool clean = true;

	if (!resolver)
		return true;
	resolver->freeing = true;
	while ((r = take_first(&resolver->ready)))
		free(r);
	for (unsigned i = 0; i < BUCKETS; i++)
		for (struct lookup *l = resolver->buckets[i]; l; l = l->next) {
			while ((r = take_first(&l->waiting)))
				free(r);
			/* The end of one that could be cancelled comes from the loop. */
			if (l->running && uv_cancel((uv_req_t *)&l->request) < 0)
				clean = false;
		}
	uv_close((uv_handle_t *)&resolver->deliver, on_closed);
	uv_close((uv_handle_t *)&resolver->forget, on_closed);
	return clean;
}
