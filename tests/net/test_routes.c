/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Reply routing's rules and tables in the kernel, and nothing else there. */

#include "net.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/msg.h>
#include <netlink/socket.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include <pinhold/routes.h>

#define DUMP_OCTETS 16384

static const struct ph_marks marks = {
	.mask = 0x0f000000,
	.accept = 0x08000000,
	.masquerade = 0x04000000,
	.uplinks = 0x03000000,
	.uplink = { 0, 0x01000000, 0x02000000, 0x03000000 },
};

struct world {
	struct ph_routes *routes;
	struct nl_sock *news;     /* of rules and routes */
	char before[DUMP_OCTETS]; /* everything, without pinhold */
};

/* A command's output. */
static void output_of(const char *command, char buf[static DUMP_OCTETS])
{
	FILE *f = popen(command, "re"); /* NOLINT(cert-env33-c): this is a test, in its sandbox */
	size_t n;

	assert_non_null(f);
	n = fread(buf, 1, DUMP_OCTETS - 1, f);
	buf[n] = '\0';
	assert_true(n < DUMP_OCTETS - 1);
	pclose(f);
}

static void dump(char buf[static DUMP_OCTETS])
{
	output_of("for f in -4 -6; do ip $f rule; ip $f route show table all; done", buf);
}

static void assert_untouched(const struct world *w)
{
	char now[DUMP_OCTETS];

	dump(now);
	assert_string_equal(now, w->before);
}

/* What is pinhold's, in ip(8)'s words: the rules, then the tables' routes. */
static void assert_ours(const char *wanted)
{
	char got[DUMP_OCTETS];

	output_of(
		"for f in -4 -6; do\n"
		"	ip -N $f rule | sed -n '/lookup 13/s/ *proto 112$//p' | sort\n"
		"	for n in 1 2 3; do\n"
		"		ip -N $f route show table $((0x50490000 + n)) proto 112 2>&- |\n"
		"			sed \"s/ *$//; s/^/$n /; s/ metric 1024//; s/ pref medium//\"\n"
		"	done\n"
		"done | tr '\\t' ' '",
		got);
	assert_string_equal(got, wanted);
}

static void do_nothing(void *data)
{
	(void)data;
}

static void close_handle(uv_handle_t *handle, void *data)
{
	(void)data;
	if (!uv_is_closing(handle))
		uv_close(handle, NULL);
}

/* Until so many links are up, which follows a little later than what makes them so. */
static void until_up(size_t wanted)
{
	const struct ph_links *view;
	struct ph_rtnetlink *watch;
	uv_loop_t loop;
	size_t up;

	assert_int_equal(uv_loop_init(&loop), 0);
	assert_int_equal(ph_rtnetlink_watch(&loop, do_nothing, NULL, &watch), 0);
	for (;;) {
		assert_int_equal(ph_rtnetlink_view(watch, &view), 0);
		up = 0;
		for (size_t i = 0; i < view->n_links; i++)
			up += view->links[i].up;
		if (up == wanted)
			break;
		uv_run(&loop, UV_RUN_ONCE);
	}
	ph_rtnetlink_close(watch);
	uv_walk(&loop, close_handle, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
}

static void listen_to_news(struct world *w)
{
	w->news = nl_socket_alloc();
	assert_non_null(w->news);
	assert_int_equal(nl_connect(w->news, NETLINK_ROUTE), 0);
	assert_int_equal(nl_socket_add_memberships(w->news, RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_RULE,
						   RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE,
						   RTNLGRP_NONE),
			 0);
}

/*
 * What the kernel has been told since the last time, in order: + added, = replaced, - deleted, and
 * a route or a Rule. It tells while it does it, so all is there.
 */
static void assert_news(struct world *w, const char *wanted)
{
	struct nlmsghdr buf[512];
	char got[256] = "";
	size_t at = 0;

	while (recv(nl_socket_get_fd(w->news), buf, sizeof(buf), MSG_DONTWAIT) > 0) {
		unsigned type = buf[0].nlmsg_type;
		bool deleted = type == RTM_DELRULE || type == RTM_DELROUTE;

		assert_true(at + 2 < sizeof(got));
		got[at++] = deleted ? '-' : (buf[0].nlmsg_flags & NLM_F_REPLACE) ? '=' : '+';
		got[at++] = type == RTM_NEWRULE || type == RTM_DELRULE ? 'R' : 'r';
	}
	assert_string_equal(got, wanted);
}

/* Foreign rules and routes of every kind that is a little like ours. */
static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	/* No addresses that nobody asked for, which would come later. */
	assert_int_equal(shell("sysctl -qw net.ipv6.conf.default.addr_gen_mode=1"), 0);
	ip("link add wan type veth peer isp\n"
	   "link add lte type veth peer isp2\n"
	   "link set isp up\n"
	   "link set isp2 up\n"
	   "link set wan up\n"
	   "link set lte up\n"
	   "addr add 100.64.0.2/24 dev wan\n"
	   "addr add 10.0.0.2/24 dev lte\n"
	   "addr add 2001:db8:2::2/64 dev lte nodad\n"
	   "route add default via 100.64.0.1 dev wan metric 10\n"
	   "rule add fwmark 0x100/0xff00 table 100 priority 990\n"
	   "rule add fwmark 0x1000000/0x3000000 table 1346961409 priority 991 protocol 4\n"
	   "rule add from 10.0.0.2 table 200 protocol 112\n"
	   "route add default dev wan table 200 protocol 112\n"
	   "route add 198.18.0.0/15 dev wan protocol 112\n"
	   "route add 198.18.0.0/15 dev wan table 1346961409 protocol 4\n"
	   "route add 2001:db8:ff::/48 dev wan table 1346961409\n"
	   "route add 2001:db8:fe::/48 dev wan protocol 112\n");
	until_up(4);
	dump(w->before);
	assert_int_equal(ph_routes_open(&w->routes), 0);
	assert_untouched(w);
	listen_to_news(w);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	ph_routes_close(w->routes);
	nl_socket_free(w->news);
	free(w);
	shell("ip link del wan 2>&- ; ip link del lte 2>&- ; ip route flush table all ; "
	      "ip -6 route flush table all ; for f in -4 -6; do ip $f rule flush ; "
	      "ip $f rule add table main priority 32766 ; done");
	return 0;
}

static struct ph_reply_route reply(unsigned number, enum ph_family family, const char *interface,
				   const char *gateway)
{
	struct ph_reply_route r = { .number = number, .family = family };

	strcpy(r.interface, interface);
	r.index = (int)if_nametoindex(interface);
	if (gateway)
		assert_int_equal(ph_address_parse(gateway, &r.gateway), 0);
	return r;
}

static struct ph_prefix prefix(const char *text, uint8_t bits)
{
	struct ph_prefix p = { .bits = bits };

	assert_int_equal(ph_address_parse(text, &p.address), 0);
	return p;
}

static void apply(struct world *w, struct ph_reply_route *list, size_t n)
{
	const struct ph_reply_routes wanted = { list, n };

	assert_int_equal(ph_routes_apply(w->routes, &wanted, &marks), 0);
}

#define RULE1 "990: from all fwmark 0x1000000/0x3000000 lookup 1346961409\n"
#define RULE2 "990: from all fwmark 0x2000000/0x3000000 lookup 1346961410\n"
#define RULE3 "990: from all fwmark 0x3000000/0x3000000 lookup 1346961411\n"

static void test_apply(void **state)
{
	struct world *w = *state;
	struct ph_prefix locals4[] = { prefix("10.0.0.0", 24), prefix("10.9.0.0", 16) };
	struct ph_prefix locals6 = prefix("2001:db8:2::", 64);
	struct ph_reply_route list[] = {
		reply(1, PH_IPV4, "lte", "10.0.0.1"),
		reply(1, PH_IPV6, "lte", "fe80::1"),
		reply(3, PH_IPV4, "wan", NULL),
		reply(3, PH_IPV6, "wan", NULL),
	};

	list[0].locals = locals4;
	list[0].n_locals = 2;
	list[1].locals = &locals6;
	list[1].n_locals = 1;
	apply(w, list, 4);
	assert_ours(RULE1 RULE3 "1 default via 10.0.0.1 dev lte onlink\n"
				"1 10.0.0.0/24 dev lte scope 253\n"
				"1 10.9.0.0/16 dev lte scope 253\n"
				"3 default dev wan scope 253\n" RULE1 RULE3
				"1 2001:db8:2::/64 dev lte\n"
				"1 default via fe80::1 dev lte onlink\n"
				"3 default dev wan\n");
	/* A prefix goes, another comes; an uplink goes and another comes. */
	list[0].locals[1] = prefix("10.8.0.0", 16);
	list[1].n_locals = 0;
	list[2].number = 2;
	apply(w, list, 3);
	assert_ours(RULE1 RULE2 "1 default via 10.0.0.1 dev lte onlink\n"
				"1 10.0.0.0/24 dev lte scope 253\n"
				"1 10.8.0.0/16 dev lte scope 253\n"
				"2 default dev wan scope 253\n" RULE1
				"1 default via fe80::1 dev lte onlink\n");
	ph_routes_remove(w->routes);
	assert_ours("");
	assert_untouched(w);
	apply(w, list, 1);
	apply(w, NULL, 0);
	assert_untouched(w);
}

/* The way that the kernel itself finds. */
static void assert_way(const char *command, const char *wanted)
{
	char got[DUMP_OCTETS];

	output_of(command, got);
	got[strlen(wanted)] = '\0';
	assert_string_equal(got, wanted);
}

static void test_way(void **state)
{
	struct world *w = *state;
	struct ph_prefix local = prefix("10.0.0.0", 24);
	struct ph_reply_route list[] = {
		reply(2, PH_IPV4, "lte", "10.0.0.1"),
		reply(2, PH_IPV6, "lte", "fe80::1"),
	};

	list[0].locals = &local;
	list[0].n_locals = 1;
	apply(w, list, 2);
	assert_way("ip route get 8.8.8.8", "8.8.8.8 via 100.64.0.1 dev wan");
	assert_way("ip route get 8.8.8.8 mark 0x0a000000", "8.8.8.8 via 10.0.0.1 dev lte");
	assert_way("ip route get 8.8.8.8 mark 0x0b000000", "8.8.8.8 via 100.64.0.1 dev wan");
	assert_way("ip route get 10.0.0.77 mark 0x02000000", "10.0.0.77 dev lte");
	/* What is for this machine stays. */
	assert_way("ip route get 100.64.0.2 mark 0x02000000", "local 100.64.0.2 dev lo");
	assert_way("ip route get 2001:db8:9::9 mark 0x02000000",
		   "2001:db8:9::9 from :: via fe80::1 dev lte");
	/* A gateway of the other family. */
	assert_int_equal(ph_address_parse("fe80::7", &list[0].gateway), 0);
	apply(w, list, 1);
	assert_way("ip route get 8.8.8.8 mark 0x02000000", "8.8.8.8 via inet6 fe80::7 dev lte");
}

/* Nothing but differences; routes before the rule, and the rule before the routes' end. */
static void test_differences(void **state)
{
	struct world *w = *state;
	struct ph_prefix locals[] = { prefix("10.0.0.0", 24), prefix("10.9.0.0", 16) };
	struct ph_reply_route list[] = {
		reply(1, PH_IPV4, "lte", "10.0.0.1"),
		reply(1, PH_IPV6, "lte", "fe80::1"),
	};
	struct ph_marks other = marks;
	const struct ph_reply_routes wanted = { list, 2 };

	list[0].locals = locals;
	list[0].n_locals = 2;
	apply(w, list, 2);
	assert_news(w, "+r+r+r+r+R+R");
	apply(w, list, 2);
	assert_news(w, "");
	/* There is never no route. */
	assert_int_equal(ph_address_parse("10.0.0.9", &list[0].gateway), 0);
	assert_int_equal(ph_address_parse("fe80::9", &list[1].gateway), 0);
	apply(w, list, 2);
	assert_news(w, "=r=r");
	list[0].gateway = list[1].gateway = (struct ph_address){ 0 };
	apply(w, list, 2);
	assert_news(w, "=r=r");
	assert_ours(RULE1 "1 default dev lte scope 253\n1 10.0.0.0/24 dev lte scope 253\n"
			  "1 10.9.0.0/16 dev lte scope 253\n" RULE1 "1 default dev lte\n");
	/* Another interface has the number. */
	list[1].index = (int)if_nametoindex("wan");
	apply(w, list, 2);
	assert_news(w, "=r");
	list[0].n_locals = 1;
	apply(w, list, 2);
	assert_news(w, "-r");
	/* Other bits. */
	other.uplinks = 0x00300000;
	other.uplink[1] = 0x00100000;
	assert_int_equal(ph_routes_apply(w->routes, &wanted, &other), 0);
	assert_news(w, "+R+R-R-R");
	apply(w, NULL, 0);
	assert_news(w, "-R-R-r-r-r");
	apply(w, NULL, 0);
	ph_routes_remove(w->routes);
	assert_news(w, "");
	assert_untouched(w);
}

/* What the kernel takes away with the interface is put again. */
static void test_interface_returns(void **state)
{
	struct world *w = *state;
	struct ph_reply_route list[] = {
		reply(1, PH_IPV4, "lte", "10.0.0.1"),
		reply(1, PH_IPV6, "lte", "fe80::1"),
		reply(2, PH_IPV4, "wan", "100.64.0.1"),
	};
	static const char all[] = RULE1 RULE2 "1 default via 10.0.0.1 dev lte onlink\n"
					      "2 default via 100.64.0.1 dev wan onlink\n" RULE1
					      "1 default via fe80::1 dev lte onlink\n";

	apply(w, list, 3);
	assert_ours(all);
	ip("link set lte down\n");
	assert_ours(RULE1 RULE2 "2 default via 100.64.0.1 dev wan onlink\n" RULE1);
	apply(w, list, 3); /* too early, and no error */
	assert_ours(RULE1 RULE2 "2 default via 100.64.0.1 dev wan onlink\n" RULE1);
	ip("link set lte up\n");
	apply(w, list, 3);
	assert_ours(all);
	ip("link del lte\n");
	apply(w, list, 3);
	apply(w, list + 2, 1);
	assert_ours(RULE2 "2 default via 100.64.0.1 dev wan onlink\n");
	/* Without its routes an uplink gets no rule. */
	apply(w, list, 3);
	assert_ours(RULE2 "2 default via 100.64.0.1 dev wan onlink\n");
	ip("link add lte type veth peer isp2\n"
	   "link set isp2 up\n"
	   "link set lte up\n");
	list[0].index = list[1].index = (int)if_nametoindex("lte");
	apply(w, list, 3);
	assert_ours(all);
	/* Or somebody else does. */
	ip("route add default dev wan table 1346961410 protocol 112 metric 7\n");
	apply(w, list, 3);
	assert_ours(all);
	ip("route flush table 1346961409\nrule del priority 990 fwmark 0x2000000/0x3000000\n");
	apply(w, list, 3);
	assert_ours(all);
}

static void test_left_over(void **state)
{
	struct world *w = *state;
	struct ph_reply_route list[] = {
		reply(1, PH_IPV4, "lte", "10.0.0.1"),
		reply(3, PH_IPV6, "lte", "fe80::1"),
	};

	apply(w, list, 2);
	/* With an older version's priority and mask. */
	ip("rule add fwmark 0x10/0xf0 table 1346961410 priority 77 protocol 112\n"
	   "route add default dev wan table 1346961410 protocol 112 metric 7\n"
	   "route add ::/0 dev wan table 1346961410 protocol 112 metric 7\n");
	ph_routes_close(w->routes);
	w->routes = NULL;
	assert_int_equal(ph_routes_open(&w->routes), 0);
	assert_untouched(w);
}

/* One uplink that cannot be leaves the others alone. */
static void test_refused(void **state)
{
	struct world *w = *state;
	struct ph_reply_route list[] = {
		reply(1, PH_IPV4, "wan", "100.64.0.2"), /* which is our own */
		reply(2, PH_IPV4, "lte", "10.0.0.1"),
	};
	const struct ph_reply_routes wanted = { list, 2 };

	assert_int_equal(ph_routes_apply(w->routes, &wanted, &marks), -EINVAL);
	assert_string_equal(ph_routes_failed(w->routes), "IPv4 route of uplink 1");
	assert_ours(RULE2 "2 default via 10.0.0.1 dev lte onlink\n");
	ph_routes_remove(w->routes);
	assert_untouched(w);
}

/* A foreign route in the place of ours is not replaced. */
static void test_place_taken(void **state)
{
	struct world *w = *state;
	struct ph_reply_route list[] = {
		reply(1, PH_IPV4, "lte", "10.0.0.1"),
		reply(1, PH_IPV6, "lte", "fe80::1"),
	};
	const struct ph_reply_routes wanted = { list, 2 };

	ip("route add default dev wan table 1346961409\n"
	   "route add ::/0 dev wan table 1346961409\n");
	dump(w->before);
	assert_int_equal(ph_routes_apply(w->routes, &wanted, &marks), -EEXIST);
	assert_ours("");
	assert_untouched(w);
}

/* Without a permission: what the errors are, as an exit status. */
static int unprivileged(struct ph_reply_route *list, size_t n)
{
	const struct ph_reply_routes wanted = { list, n };
	struct ph_routes *routes;
	int r;

	if (setresuid(65534, 65534, 65534) < 0)
		return 1;
	r = ph_routes_open(&routes);
	if (r < 0)
		return r == -EPERM ? 2 : 3;
	r = ph_routes_apply(routes, &wanted, &marks);
	if (strcmp(ph_routes_failed(routes), "IPv4 route of uplink 1") != 0)
		return 4;
	ph_routes_close(routes);
	return r == -EPERM ? 5 : 6;
}

static int status_of_unprivileged(struct ph_reply_route *list, size_t n)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(unprivileged(list, n));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void test_no_permission(void **state)
{
	struct world *w = *state;
	struct ph_reply_route list[] = {
		reply(1, PH_IPV4, "lte", "10.0.0.1"),
		reply(2, PH_IPV6, "lte", "fe80::1"),
	};

	assert_int_equal(status_of_unprivileged(list, 2), 5);
	assert_untouched(w);
	/* Something is left that it cannot remove. */
	apply(w, list, 1);
	assert_int_equal(status_of_unprivileged(list, 2), 2);
	assert_ours(RULE1 "1 default via 10.0.0.1 dev lte onlink\n");
}

static void test_mark_in_use(void **state)
{
	struct world *w = *state;
	struct ph_reply_route one = reply(1, PH_IPV4, "lte", "10.0.0.1");
	struct ph_rule_mark found = { 0 };

	/* The foreign ones of this test: the first of them that overlaps. */
	assert_int_equal(ph_routes_mark_in_use(0x0f000000, &found), 1);
	assert_int_equal(found.family, PH_IPV4);
	assert_int_equal(found.priority, 991);
	assert_int_equal(found.mark, 0x01000000);
	assert_int_equal(found.mask, 0x03000000);
	ip("rule del priority 991\n");
	/* Our own are none, nor are rules without a mark or with other bits. */
	apply(w, &one, 1);
	assert_int_equal(ph_routes_mark_in_use(0x0f000000, &found), 0);
	assert_int_equal(ph_routes_mark_in_use(0x00000300, &found), 1);
	assert_int_equal(found.priority, 990);
	shell("ip -6 rule add not fwmark 0x40000000/0x44000000 table 7 priority 8");
	assert_int_equal(ph_routes_mark_in_use(0x0f000000, &found), 1);
	assert_int_equal(found.family, PH_IPV6);
	assert_int_equal(found.priority, 8);
	assert_int_equal(found.mark, 0x40000000);
	assert_int_equal(found.mask, 0x44000000);
	/* Of no value but 0. */
	shell("ip rule add fwmark 0/0x02000000 table 7 priority 9");
	assert_int_equal(ph_routes_mark_in_use(0x0f000000, &found), 1);
	assert_int_equal(found.family, PH_IPV4);
	assert_int_equal(found.mark, 0);
	assert_int_equal(found.mask, 0x02000000);
}

/* Strict where the higher of both values is 1. */
static void test_rp_filter(void **state)
{
	static const int strict[3][3] = { { 0, 1, 0 }, { 1, 1, 0 }, { 0, 0, 0 } };
	char command[128];

	(void)state;
	for (unsigned all = 0; all < 3; all++)
		for (unsigned own = 0; own < 3; own++) {
			snprintf(command, sizeof(command),
				 "sysctl -qw net.ipv4.conf.all.rp_filter=%u "
				 "net.ipv4.conf.lte.rp_filter=%u",
				 all, own);
			assert_int_equal(shell(command), 0);
			assert_int_equal(ph_rp_filter_strict("lte"), strict[all][own]);
		}
	assert_int_equal(ph_rp_filter_strict("gone"), -ENOENT);
	assert_int_equal(ph_rp_filter_strict("../lte"), -EINVAL);
	assert_int_equal(ph_rp_filter_strict("all"), -EINVAL);
	assert_int_equal(shell("sysctl -qw net.ipv4.conf.all.rp_filter=0"), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_apply),       TEST(test_way),
		TEST(test_differences), TEST(test_interface_returns),
		TEST(test_left_over),   TEST(test_refused),
		TEST(test_place_taken), TEST(test_no_permission),
		TEST(test_mark_in_use), TEST(test_rp_filter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
