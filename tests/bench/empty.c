/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * What pinhold's memory is compared with: a program that links the same libraries, runs the same
 * loop, and does nothing.
 */

#include <libmnl/libmnl.h>
#include <libnftnl/table.h>
#include <netlink/netlink.h>
#include <netlink/route/link.h>
#include <stdio.h>
#include <time.h>
#include <uv.h>

static void tick(uv_timer_t *timer)
{
	(void)timer;
}

int main(void)
{
	/* One of each, so that the linker keeps the library and the loader does its relocations. */
	struct mnl_socket *mnl = mnl_socket_open(0);
	struct nftnl_table *table = nftnl_table_alloc();
	struct nl_sock *nl = nl_socket_alloc();
	struct rtnl_link *link = rtnl_link_alloc();
	struct timespec t;
	uv_timer_t timer;

	clock_gettime(CLOCK_MONOTONIC, &t);
	if (mnl == NULL || table == NULL || nl == NULL || link == NULL)
		return 1;
	uv_timer_init(uv_default_loop(), &timer);
	uv_timer_start(&timer, tick, 30000, 30000);
	/* The time of main's begin, as stamp.c writes it. */
	printf("%lld%09ld\n", (long long)t.tv_sec, t.tv_nsec);
	fflush(stdout);
	uv_run(uv_default_loop(), UV_RUN_DEFAULT);

	rtnl_link_put(link);
	nl_socket_free(nl);
	nftnl_table_free(table);
	mnl_socket_close(mnl);
	return 0;
}
