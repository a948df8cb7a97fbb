/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What the kernel knows about the way to an address, each kind of it in both families. */

#include "net.h"

#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/socket.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <pinhold/reach.h>
#include <pinhold/sockaddr.h>

#define NEWS_S 30

static struct ph_address address(const char *text)
{
	struct ph_address a;

	assert_int_equal(ph_address_parse(text, &a), 0);
	return a;
}

static enum ph_reach_answer reach(const char *text)
{
	struct ph_address a = address(text);

	return ph_reach(&a);
}

static void assert_routed(const char *text)
{
	assert_int_equal(reach(text), PH_REACH_ROUTED);
}

static void assert_unroutable(const char *text)
{
	assert_int_equal(reach(text), PH_REACH_UNROUTABLE);
}

static void assert_silent(const char *text)
{
	assert_int_equal(reach(text), PH_REACH_SILENT);
}

/* ---- the network ---- */

/* In tries the interface's questions go unanswered, each for so long. */
static void set_patience(const char *interface, unsigned tries, unsigned ms)
{
	for (unsigned version = 4; version <= 6; version += 2) {
		char command[256];

		snprintf(command, sizeof(command),
			 "cd /proc/sys/net/ipv%u/neigh/%s && echo %u >mcast_solicit && "
			 "echo %u >retrans_time_ms",
			 version, interface, tries, ms);
		assert_int_equal(shell(command), 0);
	}
}

/* Nobody answers on lan, which is known after 20 ms, nor on slow, which is not known before the
 * tests are over. */
static int set_up(void **state)
{
	(void)state;
	assert_int_equal(shell("ip netns add far"), 0);
	ip("link add lan type veth peer lan netns far\n"
	   "link add slow type veth peer slow netns far\n"
	   "link set lan up\n"
	   "link set slow up\n"
	   "addr add 10.0.0.1/24 dev lan\n"
	   "addr add 10.0.1.1/24 dev slow\n"
	   "addr add 2001:db8::1/64 dev lan nodad\n"
	   "addr add 2001:db8:1::1/64 dev slow nodad\n");
	assert_int_equal(shell("ip -n far link set lan up && ip -n far link set slow up"), 0);
	set_patience("lan", 1, 20);
	set_patience("slow", 3, 600000);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	return shell("ip link del lan && ip link del slow && ip netns del far && "
		     "ip route flush table all && ip -6 route flush table all");
}

/* ---- neighbours ---- */

static struct nl_sock *listen_to_neighbours(void)
{
	const struct timeval patience = { .tv_sec = NEWS_S };
	struct nl_sock *news = nl_socket_alloc();

	assert_non_null(news);
	assert_int_equal(nl_connect(news, NETLINK_ROUTE), 0);
	assert_int_equal(nl_socket_add_membership(news, RTNLGRP_NEIGH), 0);
	assert_int_equal(setsockopt(nl_socket_get_fd(news), SOL_SOCKET, SO_RCVTIMEO, &patience,
				    sizeof(patience)),
			 0);
	return news;
}

/* Reads news until the address has that state. */
static void await_state(struct nl_sock *news, const char *text, unsigned state)
{
	const struct ph_address wanted = address(text);
	struct nlmsghdr buf[512];
	struct ndmsg head;

	do {
		struct nlattr *dst;

		assert_true(recv(nl_socket_get_fd(news), buf, sizeof(buf), 0) > 0);
		memset(&head, 0, sizeof(head));
		dst = nlmsg_find_attr(buf, sizeof(head), NDA_DST);
		if (buf[0].nlmsg_type == RTM_NEWNEIGH && dst &&
		    (size_t)nla_len(dst) == ph_family_octets(wanted.family) &&
		    memcmp(nla_data(dst), wanted.octets, (size_t)nla_len(dst)) == 0)
			memcpy(&head, nlmsg_data(buf), sizeof(head));
	} while (!(head.ndm_state & state));
}

/* So the kernel asks for the next hop. */
static void send_something_to(const char *text)
{
	const struct ph_endpoint e = { .address = address(text), .port = 9 };
	struct sockaddr_storage to;
	const socklen_t len = ph_endpoint_to_sockaddr(&e, &to);
	const int fd = socket(to.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(sendto(fd, "", 1, 0, (struct sockaddr *)&to, len), 1);
	close(fd);
}

/* Something is sent to the address, and the next hop does not answer. */
static void find_nobody(const char *text, const char *next_hop)
{
	struct nl_sock *news = listen_to_neighbours();

	send_something_to(text);
	await_state(news, next_hop, NUD_FAILED);
	nl_socket_free(news);
}

/* ---- routes ---- */

static void test_on_link(void **state)
{
	(void)state;
	assert_routed("10.0.0.2");
	assert_routed("2001:db8::2");
}

static void test_gateway(void **state)
{
	(void)state;
	ip("route add default via 10.0.0.9\n"
	   "route add default via 2001:db8::9\n");
	assert_routed("192.0.2.7");
	assert_routed("2001:db8:ff::7");
}

static void test_no_route(void **state)
{
	(void)state;
	assert_unroutable("192.0.2.7");
	assert_unroutable("2001:db8:ff::7");
}

static void test_routes_that_lead_nowhere(void **state)
{
	(void)state;
	ip("route add default via 10.0.0.9\n"
	   "route add default via 2001:db8::9\n"
	   "route add unreachable 192.0.2.0/28\n"
	   "route add prohibit 192.0.2.16/28\n"
	   "route add blackhole 192.0.2.32/28\n"
	   "route add throw 192.0.2.48/28\n"
	   "route add unreachable 2001:db8:f1::/48\n"
	   "route add prohibit 2001:db8:f2::/48\n"
	   "route add blackhole 2001:db8:f3::/48\n"
	   "route add throw 2001:db8:f4::/48\n");
	assert_unroutable("192.0.2.1");
	assert_unroutable("192.0.2.17");
	assert_unroutable("192.0.2.33");
	assert_unroutable("192.0.2.49");
	assert_routed("192.0.2.65");
	assert_unroutable("2001:db8:f1::1");
	assert_unroutable("2001:db8:f2::1");
	assert_unroutable("2001:db8:f3::1");
	assert_unroutable("2001:db8:f4::1");
	assert_routed("2001:db8:f5::1");
}

static void test_rules_that_lead_nowhere(void **state)
{
	static const char *const actions[] = { "unreachable", "prohibit", "blackhole" };

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		char command[256];

		snprintf(command, sizeof(command),
			 "ip rule add to 10.0.0.16/28 priority 9 %s && "
			 "ip -6 rule add to 2001:db8::f0/124 priority 9 %s",
			 actions[i], actions[i]);
		assert_int_equal(shell(command), 0);
		assert_unroutable("10.0.0.17");
		assert_unroutable("2001:db8::f1");
		assert_routed("10.0.0.33");
		assert_routed("2001:db8::e1");
		assert_int_equal(shell("ip rule del priority 9 && ip -6 rule del priority 9"), 0);
	}
}

static void test_interface_that_is_down(void **state)
{
	(void)state;
	ip("link set lan down\n");
	assert_unroutable("10.0.0.2");
	assert_unroutable("2001:db8::2");
}

static void test_own_address(void **state)
{
	(void)state;
	assert_routed("10.0.0.1");
	assert_routed("2001:db8::1");
	/* Whatever there is in the table. */
	ip("neigh replace 10.0.0.1 dev lo nud failed\n"
	   "neigh replace 10.0.0.1 dev lan nud failed\n"
	   "neigh replace 2001:db8::1 dev lo nud failed\n"
	   "neigh replace 2001:db8::1 dev lan nud failed\n");
	assert_routed("10.0.0.1");
	assert_routed("2001:db8::1");
}

/* lo is down, here: the kernel has no such route. */
static void test_loopback(void **state)
{
	(void)state;
	assert_int_equal(shell("ip route get 127.0.0.1 >&- 2>&-") == 0, 0);
	assert_routed("127.0.0.1");
	assert_routed("127.255.255.254");
	assert_unroutable("126.0.0.1");
	assert_unroutable("128.0.0.1");
	/* No IPv4 address. */
	assert_unroutable("7f00::1");
}

/* ---- silence ---- */

static void test_silent_host(void **state)
{
	(void)state;
	find_nobody("10.0.0.2", "10.0.0.2");
	assert_silent("10.0.0.2");
	assert_routed("10.0.0.3");
	find_nobody("2001:db8::2", "2001:db8::2");
	assert_silent("2001:db8::2");
	assert_routed("2001:db8::3");
}

static void test_silent_gateway(void **state)
{
	(void)state;
	ip("route add 192.0.2.0/24 via 10.0.0.9\n"
	   "route add 198.51.100.0/24 via inet6 2001:db8::9\n"
	   "route add 2001:db8:ff::/48 via 2001:db8::9\n");
	find_nobody("192.0.2.7", "10.0.0.9");
	assert_silent("192.0.2.8");
	assert_routed("198.51.100.8");
	assert_routed("2001:db8:ff::8");
	find_nobody("2001:db8:ff::7", "2001:db8::9");
	assert_silent("2001:db8:ff::8");
	assert_silent("198.51.100.8");
}

static void test_not_yet_silent(void **state)
{
	(void)state;
	send_something_to("10.0.1.2");
	send_something_to("2001:db8:1::2");
	assert_int_equal(shell("ip neigh show nud incomplete | grep -q '^10.0.1.2 ' && "
			       "ip neigh show nud incomplete | grep -q '^2001:db8:1::2 '"),
			 0);
	assert_routed("10.0.1.2");
	assert_routed("2001:db8:1::2");
}

static void test_silent_host_that_comes_back(void **state)
{
	struct nl_sock *news;

	(void)state;
	find_nobody("10.0.0.2", "10.0.0.2");
	find_nobody("2001:db8::2", "2001:db8::2");
	set_patience("lan", 20, 1000);
	assert_int_equal(shell("ip -n far addr add 10.0.0.2/24 dev lan && "
			       "ip -n far addr add 2001:db8::2/64 dev lan nodad"),
			 0);
	news = listen_to_neighbours();
	send_something_to("10.0.0.2");
	await_state(news, "10.0.0.2", NUD_REACHABLE);
	assert_routed("10.0.0.2");
	send_something_to("2001:db8::2");
	await_state(news, "2001:db8::2", NUD_REACHABLE);
	assert_routed("2001:db8::2");
	nl_socket_free(news);
}

/* The next hop counts, on its interface. */
static void test_other_neighbours(void **state)
{
	(void)state;
	ip("route add 192.0.2.0/24 via 10.0.0.9\n"
	   "route add 2001:db8:ff::/48 via 2001:db8::9\n"
	   "neigh add 192.0.2.7 dev lan nud failed\n"
	   "neigh add 2001:db8:ff::7 dev lan nud failed\n"
	   "neigh add 10.0.0.2 dev slow nud failed\n"
	   "neigh add 2001:db8::2 dev slow nud failed\n");
	assert_routed("192.0.2.7");
	assert_routed("2001:db8:ff::7");
	assert_routed("10.0.0.2");
	assert_routed("2001:db8::2");
	ip("neigh add 10.0.0.9 dev lan nud failed\n"
	   "neigh add 2001:db8::9 dev lan nud failed\n");
	assert_silent("192.0.2.7");
	assert_silent("2001:db8:ff::7");
}

/* ---- nothing known ---- */

static void test_no_socket(void **state)
{
	struct rlimit before, none;
	enum ph_reach_answer answer;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = (struct rlimit){ .rlim_cur = 0, .rlim_max = before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	answer = reach("10.0.0.2");
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(answer, PH_REACH_UNKNOWN);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_on_link),
		TEST(test_gateway),
		TEST(test_no_route),
		TEST(test_routes_that_lead_nowhere),
		TEST(test_rules_that_lead_nowhere),
		TEST(test_interface_that_is_down),
		TEST(test_own_address),
		TEST(test_loopback),
		TEST(test_silent_host),
		TEST(test_silent_gateway),
		TEST(test_not_yet_silent),
		TEST(test_silent_host_that_comes_back),
		TEST(test_other_neighbours),
		TEST(test_no_socket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
