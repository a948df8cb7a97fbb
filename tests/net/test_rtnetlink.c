/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What the kernel tells of links, addresses and routes, and what becomes of it. */

#include "net.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include <pinhold/links.h>

#include "../../src/sys/rtnetlink_parse.h"

struct world {
	uv_loop_t loop;
	uv_timer_t limit;
	uv_check_t wakeups;
	struct ph_rtnetlink *watch;
	unsigned calls;  /* of the watch's function */
	unsigned turns;  /* of the loop */
	uint64_t called; /* when it was, ms */
	bool stop_at_call;
};

static uint64_t now_ms(void)
{
	return uv_hrtime() / 1000000;
}

static void on_change(void *data)
{
	struct world *w = data;

	w->calls++;
	w->called = now_ms();
	if (w->stop_at_call)
		uv_stop(&w->loop);
}

static void on_limit(uv_timer_t *timer)
{
	uv_stop(timer->loop);
}

static void on_turn(uv_check_t *check)
{
	struct world *w = check->data;

	w->turns++;
}

/* Whether an interface is up follows a little later than what makes it so
 * (net/core/link_watch.c). */
static void until_up(struct world *w, size_t wanted)
{
	const struct ph_links *view;
	size_t up;

	for (;;) {
		assert_int_equal(ph_rtnetlink_view(w->watch, &view), 0);
		up = 0;
		for (size_t i = 0; i < view->n_links; i++)
			up += view->links[i].up;
		if (up == wanted)
			break;
		uv_run(&w->loop, UV_RUN_ONCE);
	}
	/* What has been seen in this way is still to be told. */
	uv_update_time(&w->loop);
	uv_timer_start(&w->limit, on_limit, 150, 0);
	uv_run(&w->loop, UV_RUN_DEFAULT);
	w->calls = w->turns = 0;
}

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	ip("link add wan type veth peer isp\n"
	   "link add lte type veth peer isp2\n"
	   "link set isp up\n"
	   "link set isp2 up\n"
	   "link set wan up\n"
	   "link set lte up\n"
	   "addr add 100.64.0.2/24 dev wan\n"
	   "addr add 10.0.0.2/24 dev lte\n"
	   "addr add 2001:db8::2/64 dev wan nodad\n"
	   "route add default via 100.64.0.1 dev wan metric 10\n"
	   "route add default via 10.0.0.1 dev lte metric 20\n");
	assert_int_equal(uv_loop_init(&w->loop), 0);
	uv_timer_init(&w->loop, &w->limit);
	uv_check_init(&w->loop, &w->wakeups);
	w->wakeups.data = w;
	uv_check_start(&w->wakeups, on_turn);
	assert_int_equal(ph_rtnetlink_watch(&w->loop, on_change, w, &w->watch), 0);
	until_up(w, 4);
	*state = w;
	return 0;
}

static void on_walk(uv_handle_t *handle, void *data)
{
	(void)data;
	if (!uv_is_closing(handle))
		uv_close(handle, NULL);
}

static int tear_down(void **state)
{
	struct world *w = *state;

	ph_rtnetlink_close(w->watch);
	uv_walk(&w->loop, on_walk, NULL);
	uv_run(&w->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&w->loop), 0);
	free(w);
	/* A test may have replaced or removed them. */
	shell("ip link del wan 2>&- ; ip link del lte 2>&- ; ip route flush table all ; ip -6 route flush table all");
	return 0;
}

/* Runs until the watch has called once, for 2 s at most. */
static void until_called(struct world *w)
{
	unsigned before = w->calls;

	w->stop_at_call = true;
	uv_update_time(&w->loop);
	uv_timer_start(&w->limit, on_limit, 2000, 0);
	uv_run(&w->loop, UV_RUN_DEFAULT);
	uv_timer_stop(&w->limit);
	w->stop_at_call = false;
	assert_int_equal(w->calls, before + 1);
}

/* Runs for a while; the number of calls in it. */
static unsigned during(struct world *w, uint64_t ms)
{
	unsigned before = w->calls;

	uv_update_time(&w->loop);
	uv_timer_start(&w->limit, on_limit, ms, 0);
	uv_run(&w->loop, UV_RUN_DEFAULT);
	return w->calls - before;
}

static void assert_found(const struct ph_links *view, const char *setting, enum ph_family family,
			 const char *wanted)
{
	char name[PH_INTERFACE_MAX + 1] = "", text[PH_ADDRESS_STRLEN], found[80];
	enum ph_links_answer answer;
	struct ph_address a;
	int index = 0;

	answer = ph_links_find(view, setting, family, name, &index, &a);
	snprintf(found, sizeof(found), "%s %s", name,
		 answer == PH_LINKS_FOUND  ? ph_address_format(&a, text)
		 : answer == PH_LINKS_DOWN ? "down"
					   : "nothing");
	assert_string_equal(found, wanted);
}

/* The watch's view agrees, and one that is read anew. */
static void assert_is(struct world *w, const char *setting, enum ph_family family,
		      const char *wanted)
{
	const struct ph_links *view;
	struct ph_links other;

	assert_int_equal(ph_rtnetlink_view(w->watch, &view), 0);
	assert_found(view, setting, family, wanted);
	assert_int_equal(ph_rtnetlink_read(&other), 0);
	assert_found(&other, setting, family, wanted);
	assert_true(rtnl_view_equal(view, &other));
	ph_links_done(&other);
}

static int index_of(struct world *w, const char *name)
{
	const struct ph_links *view;

	assert_int_equal(ph_rtnetlink_view(w->watch, &view), 0);
	for (size_t i = 0; i < view->n_links; i++)
		if (strcmp(view->links[i].name, name) == 0)
			return view->links[i].index;
	return 0;
}

static void test_routes(void **state)
{
	struct world *w = *state;
	struct ph_links view;

	assert_is(w, "auto", PH_IPV4, "wan 100.64.0.2");
	assert_is(w, "auto", PH_IPV6, " nothing");
	/* Neither of these is a way out. */
	ip("route add blackhole default metric 1\n"
	   "route add unreachable default metric 2\n"
	   "route add default dev lte table 100\n"
	   "route add 0.0.0.0/1 dev lte\n"
	   "route add blackhole ::/0 metric 3\n"
	   "route add ::/0 from 2001:db8::/64 dev wan metric 512\n");
	assert_int_equal(ph_rtnetlink_read(&view), 0);
	assert_int_equal(view.n_routes, 3);
	assert_found(&view, "auto", PH_IPV4, "wan 100.64.0.2");
	assert_found(&view, "auto", PH_IPV6, "wan 2001:db8::2");
	ph_links_done(&view);
	ip("route del blackhole default metric 1\n"
	   "route del unreachable default metric 2\n"
	   "route del blackhole ::/0 metric 3\n"
	   /* Several ways of one route: the first that is up. */
	   "addr add 2001:db8:1::2/64 dev lte nodad\n"
	   "route add ::/0 dev lte metric 512 pref high\n"
	   "route add default metric 5 nexthop via 10.0.0.1 dev lte nexthop via 100.64.0.1 dev wan\n");
	assert_int_equal(ph_rtnetlink_read(&view), 0);
	assert_int_equal(view.n_routes, 6);
	assert_found(&view, "auto", PH_IPV4, "lte 10.0.0.2");
	assert_found(&view, "auto", PH_IPV6, "lte 2001:db8:1::2");
	ph_links_done(&view);
	ip("link set isp2 down\n");
	until_up(w, 2);
	assert_int_equal(ph_rtnetlink_read(&view), 0);
	assert_found(&view, "lte", PH_IPV4, "lte down");
	assert_found(&view, "auto", PH_IPV4, "wan 100.64.0.2");
	ph_links_done(&view);
}

static void test_addresses(void **state)
{
	struct world *w = *state;

	ip("addr add 100.64.0.3 peer 100.64.0.9 dev wan\n"
	   "addr flush dev lte\n"
	   "addr add 10.0.0.4 peer 10.0.0.9 dev lte\n"
	   "addr add 2001:db8::3/64 dev lte nodad preferred_lft 0\n"
	   "addr add 169.254.7.7/32 dev lte scope link\n");
	assert_is(w, "100.64.0.3", PH_IPV4, "wan 100.64.0.3");
	assert_is(w, "100.64.0.9", PH_IPV4, " nothing");
	assert_is(w, "lte", PH_IPV4, "lte 10.0.0.4");
	assert_is(w, "lte", PH_IPV6, "lte nothing"); /* deprecated */
	assert_is(w, "169.254.7.7", PH_IPV4, "lte nothing");
}

/* A route's gateway, and which prefixes are reached without one. */

static void assert_gateway(const struct ph_link_route *route, const char *wanted)
{
	char text[PH_ADDRESS_STRLEN] = "";

	if (route->gateway.family)
		ph_address_format(&route->gateway, text);
	assert_string_equal(text, wanted);
}

static void assert_bits(const struct ph_links *view, const char *address, unsigned wanted)
{
	struct ph_address a;

	assert_int_equal(ph_address_parse(address, &a), 0);
	for (size_t i = 0; i < view->n_addresses; i++)
		if (ph_address_equal(&view->addresses[i].address, &a)) {
			assert_int_equal(view->addresses[i].bits, wanted);
			return;
		}
	fail_msg("%s is not there", address);
}

static void test_gateways(void **state)
{
	struct world *w = *state;
	const struct ph_links *view;

	ip("route replace default via 100.64.0.9 dev wan metric 10\n");
	until_called(w);
	assert_int_equal(ph_rtnetlink_view(w->watch, &view), 0);
	assert_int_equal(view->n_routes, 2);
	assert_gateway(&view->routes[0], "100.64.0.9");
	assert_gateway(&view->routes[1], "10.0.0.1");
	/* None; another family's; several ways, each with its own. */
	ip("route flush exact default\n"
	   "route add default dev wan metric 1\n"
	   "route add 0.0.0.0/0 via inet6 fe80::7 dev wan metric 2\n"
	   "route add default metric 3 nexthop via 100.64.0.1 dev wan nexthop dev lte "
	   "nexthop via inet6 fe80::8 dev lte\n"
	   "route add default via fe80::9 dev lte\n");
	until_called(w);
	assert_int_equal(ph_rtnetlink_view(w->watch, &view), 0);
	assert_int_equal(view->n_routes, 6);
	assert_gateway(&view->routes[0], "");
	assert_gateway(&view->routes[1], "fe80::7");
	assert_gateway(&view->routes[2], "100.64.0.1");
	assert_gateway(&view->routes[3], "");
	assert_gateway(&view->routes[4], "fe80::8");
	assert_gateway(&view->routes[5], "fe80::9");
}

/* Another length alone is a change, too. */
static void test_prefixes(void **state)
{
	struct world *w = *state;
	const struct ph_links *view;

	ip("addr add 100.64.1.3 peer 100.64.1.9/24 dev wan\n"
	   "addr add 172.17.0.1/16 dev lte noprefixroute\n"
	   "addr add 172.16.0.1/20 dev lte\n"
	   "addr add 2001:db8:1::2/56 dev lte nodad\n"
	   "addr add 2001:db8:2::2/64 dev lte nodad noprefixroute\n");
	until_called(w);
	assert_int_equal(ph_rtnetlink_view(w->watch, &view), 0);
	assert_bits(view, "100.64.0.2", 24);
	assert_bits(view, "100.64.1.3", 32);
	assert_bits(view, "172.16.0.1", 20);
	assert_bits(view, "172.17.0.1", 32);
	assert_bits(view, "2001:db8:1::2", 56);
	assert_bits(view, "2001:db8:2::2", 128);
	ip("addr del 172.16.0.1/20 dev lte\naddr add 172.16.0.1/24 dev lte\n");
	until_called(w);
	assert_int_equal(ph_rtnetlink_view(w->watch, &view), 0);
	assert_bits(view, "172.16.0.1", 24);
}

/* One call for a burst, 100 ms after its beginning, and another for what comes later. */
static void test_debounce(void **state)
{
	struct world *w = *state;
	uint64_t start = now_ms();

	ip("addr add 100.64.0.10/32 dev wan\n"
	   "addr add 100.64.0.11/32 dev wan\n"
	   "addr del 100.64.0.10/32 dev wan\n"
	   "addr del 100.64.0.2/24 dev wan\n"
	   "link set lte down\n");
	until_called(w);
	assert_in_range(w->called - start, 99, 1000);
	assert_is(w, "wan", PH_IPV4, "wan 100.64.0.11");
	assert_is(w, "lte", PH_IPV4, "lte down");
	assert_int_equal(during(w, 250), 0);
	start = now_ms();
	ip("link set lte up\n");
	until_called(w);
	assert_in_range(w->called - start, 99, 1000);
	until_up(w, 4);
	assert_is(w, "lte", PH_IPV4, "lte 10.0.0.2");
}

/* More changes do not put it off. */
static void on_more(uv_timer_t *timer)
{
	static unsigned n;
	char line[64];

	snprintf(line, sizeof(line), "addr add 100.64.1.%u/32 dev wan\n", ++n);
	ip(line);
	uv_update_time(timer->loop);
}

static void test_steady_changes(void **state)
{
	struct world *w = *state;
	uv_timer_t more;

	uv_timer_init(&w->loop, &more);
	uv_timer_start(&more, on_more, 0, 30);
	assert_in_range(during(w, 1000), 2, 10);
	uv_close((uv_handle_t *)&more, NULL);
	uv_run(&w->loop, UV_RUN_NOWAIT);
	during(w, 150);
}

/* Nobody is told of what changes nothing, and other people's routes do not even wake the loop. */
static void test_noise(void **state)
{
	struct world *w = *state;
	FILE *f = ip_begin();

	for (unsigned i = 0; i < 4000; i++)
		fprintf(f, "route add 198.18.%u.%u dev wan\n", i / 256, i % 256);
	fprintf(f, "route add 2001:db8:2::/48 dev wan\n");
	fprintf(f, "route add 16.0.0.0/4 dev lte\nroute del 16.0.0.0/4 dev lte\n");
	for (unsigned i = 0; i < 4; i++)
		fprintf(f,
			"route replace default dev lte table %u\n"
			"route del default dev lte table %u\n",
			100 + 1000 * i, 100 + 1000 * i);
	ip_end(f);
	w->turns = 0;
	assert_int_equal(during(w, 200), 0);
	assert_in_range(w->turns, 1, 2);
	ip("link set wan alias nothing\n"
	   "route add default dev lte table 100\n"
	   "route add blackhole default metric 1\n"
	   "addr change 2001:db8::2/64 dev wan valid_lft 1000 preferred_lft 900\n"
	   "addr add 100.64.0.12/24 dev wan\n"
	   "addr del 100.64.0.12/24 dev wan\n");
	assert_int_equal(during(w, 300), 0);
}

static void test_route_moves(void **state)
{
	struct world *w = *state;

	ip("route replace default via 10.0.0.1 dev lte metric 10\n");
	until_called(w);
	assert_is(w, "auto", PH_IPV4, "lte 10.0.0.2");
	ip("route replace default via 100.64.0.1 dev wan metric 10\n");
	until_called(w);
	assert_is(w, "auto", PH_IPV4, "wan 100.64.0.2");
	ip("route del default metric 10\n");
	until_called(w);
	assert_is(w, "auto", PH_IPV4, "lte 10.0.0.2");
	/* What takes a route's place need not be one that is looked at. */
	ip("route replace blackhole default metric 20\n");
	until_called(w);
	assert_is(w, "auto", PH_IPV4, " nothing");
}

/* Wide routes are in the view, but are no default routes. */
static void test_broad_routes(void **state)
{
	struct world *w = *state;
	const struct ph_links *view;

	ip("route add 0.0.0.0/1 dev lte\nroute add 128.0.0.0/1 dev lte\n"
	   "route add 2000::/3 dev lte\nroute add 4000::/4 dev lte\n"
	   "route add 160.0.0.0/3 dev lte table 100\n");
	until_called(w);
	assert_is(w, "auto", PH_IPV4, "wan 100.64.0.2");
	assert_is(w, "auto", PH_IPV6, " nothing");
	assert_int_equal(ph_rtnetlink_view(w->watch, &view), 0);
	assert_int_equal(view->n_routes, 2);
	assert_int_equal(view->n_broad, 3);
	assert_int_equal(view->broad[1].to.address.octets[0], 128);
	ip("route del 2000::/3 dev lte\n");
	until_called(w);
	/* With their interface they go without a message. */
	ip("route del default via 10.0.0.1 dev lte metric 20\n");
	until_called(w);
	ip("link set lte down\nlink set lte up\n");
	until_called(w);
	assert_int_equal(ph_rtnetlink_view(w->watch, &view), 0);
	assert_int_equal(view->n_broad, 0);
}

static void assert_rules(struct world *w, bool rules4, bool rules6)
{
	const struct ph_links *view;

	assert_is(w, "auto", PH_IPV4, "wan 100.64.0.2");
	assert_int_equal(ph_rtnetlink_view(w->watch, &view), 0);
	assert_int_equal(view->rules4, rules4);
	assert_int_equal(view->rules6, rules6);
}

/* Neither the kernel's own rules count nor pinhold's. */
static void test_rules(void **state)
{
	struct world *w = *state;

	assert_rules(w, false, false);
	/* As wg-quick makes them. */
	ip("rule add not fwmark 0xca6c table 51820\n");
	until_called(w);
	assert_rules(w, true, false);
	assert_int_equal(shell("ip -6 rule add table main suppress_prefixlength 0"), 0);
	until_called(w);
	assert_rules(w, true, true);
	/* Which and how many there are is nobody's business. */
	ip("rule add from 10.0.0.2 table 7\nrule del not fwmark 0xca6c table 51820\n");
	assert_int_equal(during(w, 250), 0);
	ip("rule del from 10.0.0.2 table 7\n");
	assert_int_equal(shell("ip -6 rule del table main suppress_prefixlength 0"), 0);
	until_called(w);
	assert_rules(w, false, false);
	ip("rule add table main priority 40\nrule del table main priority 40\n"
	   "rule add table local priority 41\nrule del table local priority 41\n"
	   "rule add fwmark 1 table 1346961409 protocol 112\n");
	assert_int_equal(during(w, 250), 0);
	assert_rules(w, false, false);
	ip("rule del fwmark 1 table 1346961409 protocol 112\n");
	until_called(w);
}

/* What is pinhold's own is missed, but not oftener than once a second; other changes are told
 * meanwhile. */
static void test_taken(void **state)
{
	struct world *w = *state;
	uint64_t start;

	ip("route add default dev lte table 1346961410 protocol 112\n"
	   "route add 198.18.0.0/15 dev lte table 1346961410 protocol 112\n"
	   "route add default dev lte table 1346961410 protocol 4 metric 9\n"
	   "route add 198.18.0.0/15 dev lte protocol 112\n"
	   "rule add fwmark 1 table 1346961410 protocol 112\n");
	assert_int_equal(during(w, 250), 0);
	/* Another's, or of another table. */
	ip("route del default dev lte table 1346961410 protocol 4 metric 9\n"
	   "route del 198.18.0.0/15 dev lte protocol 112\n");
	assert_int_equal(during(w, 250), 0);
	start = now_ms();
	ip("route del 198.18.0.0/15 dev lte table 1346961410 protocol 112\n");
	until_called(w);
	assert_in_range(w->called - start, 99, 900);
	start = w->called;
	ip("route del default dev lte table 1346961410 protocol 112\n");
	until_called(w);
	assert_in_range(w->called - start, 1000, 1900);
	start = w->called;
	ip("rule del fwmark 1 table 1346961410 protocol 112\n"
	   "addr add 100.64.0.10/32 dev wan\n");
	until_called(w);
	assert_in_range(w->called - start, 99, 900);
	assert_int_equal(during(w, 1200), 0);
}

/* A short interruption: all is as it was but for the routes, which went without a message. */
static void test_bounce(void **state)
{
	struct world *w = *state;

	/* Nothing of IPv6 tells of it. */
	assert_int_equal(shell("sysctl -qw net.ipv6.conf.lte.disable_ipv6=1"), 0);
	ip("link set lte down\nlink set lte up\n");
	until_called(w);
	until_up(w, 4);
	assert_is(w, "lte", PH_IPV4, "lte 10.0.0.2");
	/* So does a route that names an address which goes. */
	ip("route add default dev lte src 100.64.0.2 metric 1\n");
	until_called(w);
	assert_is(w, "auto", PH_IPV4, "lte 10.0.0.2");
	ip("addr del 100.64.0.2/24 dev wan\naddr add 100.64.0.2/24 dev wan\n");
	until_called(w);
	assert_is(w, "auto", PH_IPV4, " nothing");
}

/* A redial: the same name and address, another interface. */
static void test_made_anew(void **state)
{
	struct world *w = *state;
	int before = index_of(w, "wan");

	ip("link del wan\n"
	   "link add wan type veth peer isp\n"
	   "link set isp up\n"
	   "link set wan up\n"
	   "addr add 100.64.0.2/24 dev wan\n"
	   "route add default via 100.64.0.1 dev wan metric 10\n");
	until_called(w);
	until_up(w, 4);
	assert_is(w, "auto", PH_IPV4, "wan 100.64.0.2");
	assert_true(index_of(w, "wan") > before);
	ip("link del wan\n");
	until_called(w);
	assert_is(w, "wan", PH_IPV4, " nothing");
	assert_is(w, "auto", PH_IPV4, "lte 10.0.0.2");
}

/* Messages that the kernel could not deliver to this process. */
static unsigned long lost_messages(void)
{
	unsigned long sum = 0, drops;
	char line[256];
	FILE *f = fopen("/proc/net/netlink", "re");

	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%*s 0 %*u %*s %*u %*u %*s %*u %lu", &drops) == 1)
			sum += drops;
	fclose(f);
	return sum;
}

/*
 * Messages that say nothing fill the socket until those that do say something are lost: only the
 * overrun tells. Twice, because libuv stops to look at a socket with an error.
 */
static void test_overrun(void **state)
{
	struct world *w = *state;

	for (unsigned turn = 0; turn < 2; turn++) {
		unsigned long before = lost_messages();
		FILE *f = ip_begin();

		for (unsigned i = 0; i < 4000; i++)
			fprintf(f, "link set isp alias noise%u\n", i);
		fprintf(f, "addr %s 100.64.0.99/32 dev wan\n", turn ? "del" : "add");
		ip_end(f);
		assert_true(lost_messages() > before);
		until_called(w);
		assert_is(w, "100.64.0.99", PH_IPV4, turn ? " nothing" : "wan 100.64.0.99");
		/* What comes after it is noticed as ever. */
		ip(turn ? "link set lte up\n" : "link set lte down\n");
		until_called(w);
		until_up(w, turn ? 4 : 2);
		assert_is(w, "lte", PH_IPV4, turn ? "lte 10.0.0.2" : "lte down");
	}
}

/* A view that somebody has read meanwhile is told all the same. */
static void test_read_before_told(void **state)
{
	struct world *w = *state;

	ip("addr del 100.64.0.2/24 dev wan\n");
	while (w->turns == 0)
		uv_run(&w->loop, UV_RUN_ONCE);
	assert_is(w, "wan", PH_IPV4, "wan nothing");
	assert_int_equal(w->calls, 0);
	until_called(w);
}

/* Hooks inherit nothing. */
static void test_close_on_exec(void **state)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;
	unsigned sockets = 0;
	char link[64];

	(void)state;
	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		ssize_t n = readlinkat(dirfd(dir), entry->d_name, link, sizeof(link) - 1);
		int fd = atoi(entry->d_name);

		if (n <= 0 || fd <= 2 || strncmp(link, "socket:", 7) != 0)
			continue;
		sockets++;
		assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	}
	closedir(dir);
	assert_true(sockets > 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_routes),        TEST(test_addresses),   TEST(test_gateways),
		TEST(test_prefixes),      TEST(test_debounce),    TEST(test_steady_changes),
		TEST(test_noise),         TEST(test_route_moves), TEST(test_broad_routes),
		TEST(test_rules),         TEST(test_taken),       TEST(test_bounce),
		TEST(test_made_anew),     TEST(test_overrun),     TEST(test_read_before_told),
		TEST(test_close_on_exec),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
