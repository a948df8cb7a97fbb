/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * rtnetlink by libnl-3. The watch keeps a view. A notification is only compared with it: when it
 * says something else, that part of the view is read again as a whole, 100 ms after the first such
 * message. So no order of messages can be misunderstood, and a gateway's usual noise (wireless
 * statistics, lifetimes of IPv6 addresses, other people's routes) costs no more than the
 * comparison.
 */

#include <pinhold/links.h>

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include <pinhold/log.h>

#include "routes_message.h"
#include "rtnetlink_parse.h"
#include "rtnl_request.h"

#define DEBOUNCE_MS   100
#define RETRY_MS      1000 /* when the view cannot be read */
#define TAKEN_MS      1000 /* between calls for nothing but what was taken away */
#define RECEIVE_ROOM  (1024 * 1024)
#define NOTICE_OCTETS 8192 /* longer notifications are not read, but believed */
#define DUMP_OCTETS \
	32768 /* the most that the kernel puts into one (af_netlink.c, netlink_dump()) */
#define DUMP_TRIES   8
#define DRAIN_ROUNDS 64 /* datagrams of one iteration of the loop */
#define ANSWER_S     5  /* for each datagram of a dump */

struct ph_rtnetlink {
	struct nl_sock *socket;
	uv_poll_t poll;
	uv_timer_t timer;
	unsigned closing; /* handles still to close */
	void (*fn)(void *data);
	void *data;
	struct ph_links view;
	unsigned stale; /* RTNL_...: parts that must be read again */
	bool loaded;    /* the view has been read at all */
	bool changed;   /* and is not as it was when fn was last called */
	bool overrun;   /* messages are being lost until the queue is empty */
	bool taken;     /* something of our own was taken away since fn was last called */
	uint64_t told;  /* when fn was last called after that, ms of the loop */
};

static int from_nl(int error)
{
	switch (-error) {
	case NLE_SUCCESS:
		return 0;
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

/* One datagram of the kernel's. Its length, which may be more than size; -errno; 0: somebody
 * else's. */
static ssize_t receive(struct nl_sock *socket, void *buf, size_t size)
{
	struct sockaddr_nl from = { 0 };
	socklen_t len = sizeof(from);
	ssize_t n = recvfrom(nl_socket_get_fd(socket), buf, size, MSG_TRUNC,
			     (struct sockaddr *)&from, &len);

	if (n < 0)
		return -errno;
	return from.nl_pid == 0 ? n : 0;
}

/* ---- reading ---- */

static int ask(struct nl_sock *socket, struct rtnl_dump *dump)
{
	struct ifinfomsg link = { .ifi_family = AF_UNSPEC };
	struct ifaddrmsg address = { .ifa_family = AF_UNSPEC };
	struct rtmsg route = { .rtm_table = RT_TABLE_MAIN };
	struct nl_msg *msg;
	int r;

	route.rtm_family = dump->family == PH_IPV6 ? AF_INET6 : AF_INET;
	msg = nlmsg_alloc_simple(dump->part == RTNL_LINKS       ? RTM_GETLINK
				 : dump->part == RTNL_ADDRESSES ? RTM_GETADDR
								: RTM_GETROUTE,
				 NLM_F_DUMP);
	if (!msg)
		return -ENOMEM;
	if (dump->part == RTNL_ADDRESSES)
		r = nlmsg_append(msg, &address, sizeof(address), NLMSG_ALIGNTO);
	else if (dump->part == RTNL_ROUTES)
		r = nlmsg_append(msg, &route, sizeof(route), NLMSG_ALIGNTO);
	else if ((r = nlmsg_append(msg, &link, sizeof(link), NLMSG_ALIGNTO)) == 0)
		r = nla_put_u32(msg, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	if (r == 0)
		r = nl_send_auto(socket, msg);
	dump->sequence = nlmsg_hdr(msg)->nlmsg_seq;
	nlmsg_free(msg);
	return r < 0 ? from_nl(r) : 0;
}

static int answer(struct nl_sock *socket, struct rtnl_dump *dump, struct nlmsghdr *buf)
{
	while (!dump->done) {
		ssize_t n = receive(socket, buf, DUMP_OCTETS);
		int r;

		if (n == -EINTR)
			continue;
		if (n < 0)
			return n == -EAGAIN ? -ETIMEDOUT : (int)n;
		if (n > DUMP_OCTETS)
			return -EMSGSIZE;
		r = rtnl_dump_feed(dump, buf, (size_t)n);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Adds a part to the view. An answer during which something changed may lack something else, too,
 * and is asked for again. */
static int read_part(struct nl_sock *socket, unsigned part, enum ph_family family,
		     struct nlmsghdr *buf, struct ph_links *view)
{
	const struct ph_links before = *view;

	for (unsigned try = 0; try < DUMP_TRIES; try++) {
		struct rtnl_dump dump = { .part = part, .family = family, .view = view };
		int r = ask(socket, &dump);

		if (r == 0)
			r = answer(socket, &dump, buf);
		/* A table without a single route need not exist (fib_frontend.c,
		 * inet_dump_fib()). */
		if (r == -ENOENT && part == RTNL_ROUTES)
			return 0;
		if (r < 0 || !dump.interrupted)
			return r;
		view->n_links = before.n_links;
		view->n_addresses = before.n_addresses;
		view->n_routes = before.n_routes;
		view->n_broad = before.n_broad;
	}
	return -EAGAIN;
}

static int on_rule(void *data, struct nlmsghdr *h)
{
	rtnl_add_rule(h, data);
	return 0;
}

static int read_rules(struct nl_sock *socket, enum ph_family family, struct ph_links *view)
{
	bool *rules = family == PH_IPV6 ? &view->rules6 : &view->rules4;
	int r = -EAGAIN;

	for (unsigned try = 0; r == -EAGAIN && try < DUMP_TRIES; try++) {
		*rules = false;
		r = rtnl_request_rules(socket, family, on_rule, view);
	}
	return r;
}

static int read_parts(struct nl_sock *socket, unsigned parts, struct ph_links *view)
{
	struct nlmsghdr *buf = malloc(DUMP_OCTETS);
	int r = 0;

	if (!buf)
		return -ENOMEM;
	if (parts & RTNL_LINKS)
		r = read_part(socket, RTNL_LINKS, PH_IPV4, buf, view);
	if (r == 0 && (parts & RTNL_ADDRESSES))
		r = read_part(socket, RTNL_ADDRESSES, PH_IPV4, buf, view);
	if (r == 0 && (parts & RTNL_ROUTES))
		r = read_part(socket, RTNL_ROUTES, PH_IPV4, buf, view);
	if (r == 0 && (parts & RTNL_ROUTES))
		r = read_part(socket, RTNL_ROUTES, PH_IPV6, buf, view);
	if (r == 0 && (parts & RTNL_RULES))
		r = read_rules(socket, PH_IPV4, view);
	if (r == 0 && (parts & RTNL_RULES))
		r = read_rules(socket, PH_IPV6, view);
	free(buf);
	return r;
}

/* A view of which only the parts are filled. */
static int load(unsigned parts, struct ph_links *ret_view)
{
	const struct timeval patience = { .tv_sec = ANSWER_S };
	struct nl_sock *socket = nl_socket_alloc();
	struct ph_links view = { 0 };
	const int on = 1;
	int r;

	if (!socket)
		return -ENOMEM;
	r = from_nl(nl_connect(socket, NETLINK_ROUTE)); /* close-on-exec */
	if (r == 0 && setsockopt(nl_socket_get_fd(socket), SOL_SOCKET, SO_RCVTIMEO, &patience,
				 sizeof(patience)) < 0)
		r = -errno;
	if (r == 0) {
		/* The kernel looks at what is asked for and leaves out other tables (4.20); older
		 * ones send everything. */
		setsockopt(nl_socket_get_fd(socket), SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on,
			   sizeof(on));
		r = read_parts(socket, parts, &view);
	}
	nl_socket_free(socket);
	if (r < 0) {
		ph_links_done(&view);
		return r;
	}
	*ret_view = view;
	return 0;
}

int ph_rtnetlink_read(struct ph_links *ret_view)
{
	return load(RTNL_ALL, ret_view);
}

/* ---- the watch ---- */

/* Reads what has come, and marks what it makes stale. */
static void drain(struct ph_rtnetlink *w)
{
	struct nlmsghdr buf[NOTICE_OCTETS / sizeof(struct nlmsghdr)]; /* aligned as it must be */
	unsigned changes = 0;

	for (unsigned round = 0; round < DRAIN_ROUNDS; round++) {
		ssize_t n = receive(w->socket, buf, sizeof(buf));

		if (n == -EAGAIN) {
			if (w->overrun)
				changes |= RTNL_ALL | RTNL_TAKEN;
			w->overrun = false;
			break;
		}
		/* From now on everything is lost until the queue is empty (af_netlink.c,
		 * NETLINK_S_CONGESTED): what is read before that may be too early. */
		if (n == -ENOBUFS) {
			ph_debug("rtnetlink: messages were lost");
			w->overrun = true;
			changes |= RTNL_ALL | RTNL_TAKEN;
		} else if (n > (ssize_t)sizeof(buf)) {
			changes |= RTNL_ALL | RTNL_TAKEN;
		} else if (n > 0) {
			changes |= rtnl_changes(&w->view, buf, (size_t)n);
		}
	}
	w->stale |= changes & RTNL_ALL;
	if (changes & RTNL_TAKEN)
		w->taken = true;
}

static void on_timer(uv_timer_t *timer);

static void set_timer(struct ph_rtnetlink *w, uint64_t ms)
{
	if (!uv_is_active((uv_handle_t *)&w->timer))
		uv_timer_start(&w->timer, on_timer, ms, 0);
}

/* Reads what is stale. An error leaves the view as it was, and the timer running. */
static int refresh(struct ph_rtnetlink *w)
{
	struct ph_links view, old = w->view;
	int r;

	drain(w);
	if (w->stale == 0)
		return 0;
	r = load(w->stale, &view);
	if (r < 0) {
		ph_debug("rtnetlink: the links cannot be read: %s", strerror(-r));
		set_timer(w, RETRY_MS);
		return r;
	}
	if (!(w->stale & RTNL_LINKS)) {
		view.links = old.links;
		view.n_links = old.n_links;
		old.links = NULL;
	}
	if (!(w->stale & RTNL_ADDRESSES)) {
		view.addresses = old.addresses;
		view.n_addresses = old.n_addresses;
		old.addresses = NULL;
	}
	if (!(w->stale & RTNL_ROUTES)) {
		view.routes = old.routes;
		view.n_routes = old.n_routes;
		view.broad = old.broad;
		view.n_broad = old.n_broad;
		old.routes = old.broad = NULL;
	}
	if (!(w->stale & RTNL_RULES)) {
		view.rules4 = old.rules4;
		view.rules6 = old.rules6;
	}
	if (!rtnl_view_equal(&view, &w->view))
		w->changed = true;
	ph_links_done(&old);
	w->view = view;
	w->stale = 0;
	w->loaded = true;
	return 0;
}

static void on_timer(uv_timer_t *timer)
{
	struct ph_rtnetlink *w = timer->data;
	uint64_t now = uv_now(timer->loop);

	if (refresh(w) < 0)
		return;
	if (!w->changed && w->taken && now - w->told < TAKEN_MS) {
		/* Not for as long as it takes: what else changes does not wait for it. */
		set_timer(w, DEBOUNCE_MS);
		return;
	}
	if (!w->changed && !w->taken)
		return;
	if (w->taken)
		w->told = now;
	w->changed = w->taken = false;
	w->fn(w->data);
}

int ph_rtnetlink_view(struct ph_rtnetlink *w, const struct ph_links **ret_view)
{
	bool first = !w->loaded;
	int r = refresh(w);

	/* Who asked in vain hears of it, whether anything has changed meanwhile or not. */
	if (r < 0) {
		w->changed = true;
		return r;
	}
	/* What is learnt in this way fn is told all the same; but the first time there was nothing
	 * before. */
	if (first)
		w->changed = w->taken = false;
	if (w->changed || w->taken)
		set_timer(w, DEBOUNCE_MS);
	*ret_view = &w->view;
	return 0;
}

static void on_readable(uv_poll_t *poll, int status, int ready)
{
	struct ph_rtnetlink *w = poll->data;

	(void)ready;
	drain(w);
	/* After an error on the socket (ENOBUFS is one) libuv has stopped to look. */
	if (status < 0)
		uv_poll_start(poll, UV_READABLE, on_readable);
	if (w->stale || w->taken)
		set_timer(w, DEBOUNCE_MS);
}

/*
 * Routes to anywhere but the default and broad destinations do not even reach the socket: a router
 * that speaks BGP changes hundreds of them a second. Nor do those of other tables (one that the
 * octet has no room for reads RT_TABLE_COMPAT), but for the end of those with our own protocol.
 * Each notification is a datagram of its own (rtnl_notify() is called with one message). Where the
 * filter is refused rtnl_changes() passes over them.
 */
static void filter_routes(int fd)
{
	const unsigned type = offsetof(struct nlmsghdr, nlmsg_type);
	const unsigned protocol = NLMSG_HDRLEN + offsetof(struct rtmsg, rtm_protocol);
	const unsigned dst_len = NLMSG_HDRLEN + offsetof(struct rtmsg, rtm_dst_len);
	const unsigned table = NLMSG_HDRLEN + offsetof(struct rtmsg, rtm_table);
	struct sock_filter code[] = {
		/* Loads are in network order, the message is in the machine's. */
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, type),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_NEWROUTE), 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_DELROUTE), 0, 6),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, protocol),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, RT_PROTOCOL, 4, 0),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, dst_len),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, PH_BROAD_BITS, 3, 0),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, table),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, RT_TABLE_MAIN, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog program = { .len = sizeof(code) / sizeof(code[0]), .filter = code };

	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0)
		ph_debug("rtnetlink: no filter: %s", strerror(errno));
}

static int connect_watch(struct nl_sock *socket)
{
	const int room = RECEIVE_ROOM;
	int fd, r;

	r = nl_connect(socket, NETLINK_ROUTE); /* close-on-exec */
	if (r < 0)
		return from_nl(r);
	fd = nl_socket_get_fd(socket);
	filter_routes(fd);
	r = nl_socket_add_memberships(socket, RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR,
				      RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE,
				      RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_RULE, RTNLGRP_NONE);
	/* Beyond rmem_max only CAP_NET_ADMIN gets it. */
	if (r == 0 && setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) < 0)
		r = nl_socket_set_buffer_size(socket, RECEIVE_ROOM, 0);
	if (r == 0)
		r = nl_socket_set_nonblocking(socket);
	return from_nl(r);
}

int ph_rtnetlink_watch(uv_loop_t *loop, void (*fn)(void *data), void *data,
		       struct ph_rtnetlink **ret_watch)
{
	struct ph_rtnetlink *w = calloc(1, sizeof(*w));
	int r = -ENOMEM;

	if (!w)
		return r;
	w->fn = fn;
	w->data = data;
	w->stale = RTNL_ALL;
	w->socket = nl_socket_alloc();
	if (w->socket)
		r = connect_watch(w->socket);
	if (r == 0)
		r = uv_poll_init(loop, &w->poll, nl_socket_get_fd(w->socket));
	if (r < 0) {
		nl_socket_free(w->socket);
		free(w);
		return r;
	}
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
	ph_links_done(&w->view);
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
