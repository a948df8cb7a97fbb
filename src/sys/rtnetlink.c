/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * rtnetlink by libnl-3. The watch takes messages only as a sign that something has changed and
 * reads the whole view again: a gateway has few links, and no message can be missed or
 * misunderstood that way.
 */

#include <pinhold/links.h>

#include <errno.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/route.h>
#include <netlink/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define DEBOUNCE_MS  100
#define RECEIVE_ROOM (1024 * 1024) /* a routing daemon's bursts */

struct ph_rtnetlink {
	struct nl_sock *socket;
	uv_poll_t poll;
	uv_timer_t timer;
	unsigned closing; /* handles still to close */
	void (*fn)(void *data);
	void *data;
};

static int from_nl(int error)
{
	switch (-error) {
	case NLE_NOMEM:
		return -ENOMEM;
	case NLE_PERM:
		return -EPERM;
	case NLE_AGAIN:
		return -EAGAIN;
	default:
		return -EIO;
	}
}

static int allocate(struct nl_cache *cache, size_t size, void *ret_array)
{
	void *array = calloc((size_t)nl_cache_nitems(cache) + 1, size);

	if (!array)
		return -ENOMEM;
	memcpy(ret_array, &array, sizeof(array));
	return 0;
}

static int read_links(struct nl_sock *socket, struct ph_links *view)
{
	struct nl_cache *cache = NULL;
	int r = rtnl_link_alloc_cache(socket, AF_UNSPEC, &cache);

	if (r < 0)
		return from_nl(r);
	r = allocate(cache, sizeof(*view->links), &view->links);
	for (struct nl_object *o = r < 0 ? NULL : nl_cache_get_first(cache); o;
	     o = nl_cache_get_next(o)) {
		struct rtnl_link *link = (struct rtnl_link *)o;
		unsigned wanted = IFF_UP | IFF_RUNNING;
		struct ph_link *l = &view->links[view->n_links++];
		const char *name = rtnl_link_get_name(link);

		strncpy(l->name, name ? name : "", PH_INTERFACE_MAX);
		l->index = rtnl_link_get_ifindex(link);
		l->up = (rtnl_link_get_flags(link) & wanted) == wanted;
	}
	nl_cache_free(cache);
	return r;
}

static int read_addresses(struct nl_sock *socket, struct ph_links *view)
{
	struct nl_cache *cache = NULL;
	int r = rtnl_addr_alloc_cache(socket, &cache);

	if (r < 0)
		return from_nl(r);
	r = allocate(cache, sizeof(*view->addresses), &view->addresses);
	for (struct nl_object *o = r < 0 ? NULL : nl_cache_get_first(cache); o;
	     o = nl_cache_get_next(o)) {
		struct rtnl_addr *addr = (struct rtnl_addr *)o;
		unsigned flags = rtnl_addr_get_flags(addr);
		struct nl_addr *local = rtnl_addr_get_local(addr);
		struct ph_link_address *a = &view->addresses[view->n_addresses];
		int family = rtnl_addr_get_family(addr);

		if (!local || (family != AF_INET && family != AF_INET6))
			continue;
		a->index = rtnl_addr_get_ifindex(addr);
		a->address.family = family == AF_INET6 ? PH_IPV6 : PH_IPV4;
		if (nl_addr_get_len(local) != ph_family_octets(a->address.family))
			continue;
		memcpy(a->address.octets, nl_addr_get_binary_addr(local), nl_addr_get_len(local));
		a->usable = rtnl_addr_get_scope(addr) == RT_SCOPE_UNIVERSE &&
			    !(flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED | IFA_F_DEPRECATED));
		a->temporary = flags & IFA_F_SECONDARY; /* the same bit as IFA_F_TEMPORARY */
		view->n_addresses++;
	}
	nl_cache_free(cache);
	return r;
}

static int read_routes(struct nl_sock *socket, struct ph_links *view)
{
	struct nl_cache *cache = NULL;
	int r = rtnl_route_alloc_cache(socket, AF_UNSPEC, 0, &cache);

	if (r < 0)
		return from_nl(r);
	r = allocate(cache, sizeof(*view->routes), &view->routes);
	for (struct nl_object *o = r < 0 ? NULL : nl_cache_get_first(cache); o;
	     o = nl_cache_get_next(o)) {
		struct rtnl_route *route = (struct rtnl_route *)o;
		struct nl_addr *to = rtnl_route_get_dst(route);
		struct rtnl_nexthop *hop = rtnl_route_nexthop_n(route, 0);
		int family = rtnl_route_get_family(route);

		if (rtnl_route_get_table(route) != RT_TABLE_MAIN ||
		    rtnl_route_get_type(route) != RTN_UNICAST ||
		    (to && nl_addr_get_prefixlen(to) != 0) || !hop ||
		    (family != AF_INET && family != AF_INET6))
			continue;
		view->routes[view->n_routes++] = (struct ph_link_route){
			.index = rtnl_route_nh_get_ifindex(hop),
			.family = family == AF_INET6 ? PH_IPV6 : PH_IPV4,
			.metric = rtnl_route_get_priority(route),
		};
	}
	nl_cache_free(cache);
	return r;
}

int ph_rtnetlink_read(struct ph_links *ret_view)
{
	struct nl_sock *socket = nl_socket_alloc();
	struct ph_links view = { 0 };
	int r;

	if (!socket)
		return -ENOMEM;
	r = nl_connect(socket, NETLINK_ROUTE);
	r = r < 0 ? from_nl(r) : 0;
	if (r == 0)
		r = read_links(socket, &view);
	if (r == 0)
		r = read_addresses(socket, &view);
	if (r == 0)
		r = read_routes(socket, &view);
	nl_socket_free(socket);
	if (r < 0) {
		ph_links_done(&view);
		return r;
	}
	*ret_view = view;
	return 0;
}

static void on_timer(uv_timer_t *timer)
{
	struct ph_rtnetlink *w = timer->data;

	w->fn(w->data);
}

static void on_readable(uv_poll_t *poll, int status, int ready)
{
	struct ph_rtnetlink *w = poll->data;

	(void)ready;
	/* Without callbacks libnl reads and drops; an error (ENOBUFS) means that messages were
	 * lost. */
	nl_recvmsgs_default(w->socket);
	/* After an error on the socket libuv has stopped to look. */
	if (status < 0)
		uv_poll_start(poll, UV_READABLE, on_readable);
	if (!uv_is_active((uv_handle_t *)&w->timer))
		uv_timer_start(&w->timer, on_timer, DEBOUNCE_MS, 0);
}

int ph_rtnetlink_watch(uv_loop_t *loop, void (*fn)(void *data), void *data,
		       struct ph_rtnetlink **ret_watch)
{
	struct ph_rtnetlink *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return -ENOMEM;
	w->fn = fn;
	w->data = data;
	w->socket = nl_socket_alloc();
	if (!w->socket) {
		free(w);
		return -ENOMEM;
	}
	nl_socket_disable_seq_check(w->socket);
	r = nl_connect(w->socket, NETLINK_ROUTE);
	if (r == 0)
		r = nl_socket_add_memberships(w->socket, RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR,
					      RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE,
					      RTNLGRP_IPV6_ROUTE, RTNLGRP_NONE);
	if (r == 0)
		r = nl_socket_set_buffer_size(w->socket, RECEIVE_ROOM, 0);
	if (r == 0)
		r = nl_socket_set_nonblocking(w->socket);
	if (r < 0) {
		nl_socket_free(w->socket);
		free(w);
		return from_nl(r);
	}
	uv_poll_init(loop, &w->poll, nl_socket_get_fd(w->socket));
	uv_timer_init(loop, &w->timer);
	w->poll.data = w->timer.data = w;
	uv_poll_start(&w->poll, UV_READABLE, on_readable);
	*ret_watch = w;
	return 0;
}

static void on_closed(uv_handle_t *handle)
{
	struct ph_rtnetlink *w = handle->data;

	if (--w->closing > 0)
		return;
	nl_socket_free(w->socket);
	free(w);
}

void ph_rtnetlink_close(struct ph_rtnetlink *w)
{
	if (!w)
		return;
	w->closing = 2;
	uv_close((uv_handle_t *)&w->poll, on_closed);
	uv_close((uv_handle_t *)&w->timer, on_closed);
}
