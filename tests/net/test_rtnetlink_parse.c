/* SPDX-License-Identifier: GPL-2.0-or-later */

/* rtnetlink's messages, one by one. */

#include "net.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <sys/socket.h>

#include "../../src/sys/rtnetlink_parse.h"

static struct nl_msg *route_message(int type, struct rtmsg head, uint32_t table, uint32_t interface)
{
	struct nl_msg *msg = nlmsg_alloc_simple(type, 0);

	assert_non_null(msg);
	assert_int_equal(nlmsg_append(msg, &head, sizeof(head), NLMSG_ALIGNTO), 0);
	assert_int_equal(nla_put_u32(msg, RTA_TABLE, table), 0);
	assert_int_equal(nla_put_u32(msg, RTA_OIF, interface), 0);
	return msg;
}

static unsigned changes_of(const struct ph_links *view, int type, struct rtmsg head, uint32_t table,
			   uint32_t interface)
{
	struct nl_msg *msg = route_message(type, head, table, interface);
	unsigned changes = rtnl_changes(view, nlmsg_hdr(msg), nlmsg_hdr(msg)->nlmsg_len);

	nlmsg_free(msg);
	return changes;
}

static void test_notifications(void **state)
{
	const struct rtmsg plain = { .rtm_family = AF_INET, .rtm_type = RTN_UNICAST };
	struct ph_link_route route = { .index = 3, .family = PH_IPV4 };
	const struct ph_links view = { .routes = &route, .n_routes = 1 };
	struct rtmsg head = plain;
	struct nl_msg *msg;

	(void)state;
	assert_int_equal(changes_of(&view, RTM_NEWROUTE, head, RT_TABLE_MAIN, 4), RTNL_ROUTES);
	assert_int_equal(changes_of(&view, RTM_NEWROUTE, head, RT_TABLE_MAIN, 3), 0);
	assert_int_equal(changes_of(&view, RTM_DELROUTE, head, RT_TABLE_MAIN, 3), RTNL_ROUTES);
	assert_int_equal(changes_of(&view, RTM_DELROUTE, head, RT_TABLE_MAIN, 4), 0);
	/* The attribute counts: the head has room for 255 tables. */
	head.rtm_table = RT_TABLE_MAIN;
	assert_int_equal(changes_of(&view, RTM_NEWROUTE, head, 100, 4), 0);
	head.rtm_dst_len = PH_BROAD_BITS + 1;
	assert_int_equal(changes_of(&view, RTM_NEWROUTE, head, RT_TABLE_MAIN, 4), 0);
	/* Without its destination a broad one cannot be understood. */
	head.rtm_dst_len = PH_BROAD_BITS;
	assert_int_equal(changes_of(&view, RTM_NEWROUTE, head, RT_TABLE_MAIN, 4), RTNL_ALL);
	/* Ours. */
	head = plain;
	head.rtm_protocol = 112;
	assert_int_equal(changes_of(&view, RTM_NEWROUTE, head, 0x50490001, 4), 0);
	assert_int_equal(changes_of(&view, RTM_DELROUTE, head, 0x50490001, 4), RTNL_TAKEN);
	assert_int_equal(changes_of(&view, RTM_DELROUTE, head, 0x50490003, 4), RTNL_TAKEN);
	assert_int_equal(changes_of(&view, RTM_DELROUTE, head, 0x50490004, 4), 0);
	head.rtm_protocol = 4;
	assert_int_equal(changes_of(&view, RTM_DELROUTE, head, 0x50490001, 4), 0);
	head = plain;
	head.rtm_flags = RTM_F_CLONED;
	assert_int_equal(changes_of(&view, RTM_NEWROUTE, head, RT_TABLE_MAIN, 4), 0);
	head = plain;
	head.rtm_tos = 0x10;
	assert_int_equal(changes_of(&view, RTM_NEWROUTE, head, RT_TABLE_MAIN, 4), 0);
	/* What cannot be understood may have changed anything. */
	msg = route_message(RTM_NEWROUTE, plain, RT_TABLE_MAIN, 3);
	assert_int_equal(rtnl_changes(&view, nlmsg_hdr(msg), nlmsg_hdr(msg)->nlmsg_len - 4),
			 RTNL_ALL);
	nlmsg_free(msg);
}

/* A rule with one condition more, or with none: whether it counts. */
static unsigned rule_changes(const struct ph_links *view, int type, struct fib_rule_hdr head,
			     uint32_t table, int attribute, uint32_t value)
{
	struct nl_msg *msg = nlmsg_alloc_simple(type, 0);
	unsigned changes;

	assert_non_null(msg);
	assert_int_equal(nlmsg_append(msg, &head, sizeof(head), NLMSG_ALIGNTO), 0);
	assert_int_equal(nla_put_u32(msg, FRA_TABLE, table), 0);
	assert_int_equal(nla_put_u32(msg, FRA_PRIORITY, 500), 0);
	assert_int_equal(nla_put_u32(msg, attribute, value), 0);
	changes = rtnl_changes(view, nlmsg_hdr(msg), nlmsg_hdr(msg)->nlmsg_len);
	nlmsg_free(msg);
	return changes;
}

static void test_rules(void **state)
{
	const struct fib_rule_hdr plain = { .family = AF_INET, .action = FR_ACT_TO_TBL };
	const struct fib_rule_hdr inverted = { AF_INET, .action = FR_ACT_TO_TBL,
					       .flags = FIB_RULE_INVERT };
	const struct fib_rule_hdr prohibit = { AF_INET, .action = FR_ACT_PROHIBIT };
	const struct fib_rule_hdr six = { AF_INET6, .action = FR_ACT_TO_TBL };
	const struct ph_links none = { 0 }, four = { .rules4 = true };
	const int no = FRA_SUPPRESS_PREFIXLEN;

	(void)state;
	assert_int_equal(rule_changes(&none, RTM_NEWRULE, plain, RT_TABLE_MAIN, no, UINT32_MAX), 0);
	assert_int_equal(rule_changes(&none, RTM_NEWRULE, plain, RT_TABLE_LOCAL, no, UINT32_MAX),
			 0);
	assert_int_equal(rule_changes(&none, RTM_NEWRULE, plain, RT_TABLE_DEFAULT, no, UINT32_MAX),
			 0);
	assert_int_equal(rule_changes(&none, RTM_NEWRULE, plain, 100, no, UINT32_MAX), RTNL_RULES);
	assert_int_equal(rule_changes(&none, RTM_NEWRULE, plain, RT_TABLE_MAIN, no, 0), RTNL_RULES);
	assert_int_equal(rule_changes(&none, RTM_NEWRULE, plain, RT_TABLE_MAIN, FRA_FWMARK, 1),
			 RTNL_RULES);
	assert_int_equal(rule_changes(&none, RTM_NEWRULE, plain, RT_TABLE_MAIN, FRA_SRC, 1),
			 RTNL_RULES);
	assert_int_equal(rule_changes(&none, RTM_NEWRULE, inverted, RT_TABLE_MAIN, no, UINT32_MAX),
			 RTNL_RULES);
	assert_int_equal(rule_changes(&none, RTM_NEWRULE, prohibit, RT_TABLE_MAIN, no, UINT32_MAX),
			 RTNL_RULES);
	assert_int_equal(rule_changes(&none, RTM_DELRULE, plain, 100, no, UINT32_MAX), 0);
	/* Another one more, or less. */
	assert_int_equal(rule_changes(&four, RTM_NEWRULE, plain, 100, no, UINT32_MAX), 0);
	assert_int_equal(rule_changes(&four, RTM_DELRULE, plain, 100, no, UINT32_MAX), RTNL_RULES);
	assert_int_equal(rule_changes(&four, RTM_NEWRULE, six, 100, no, UINT32_MAX), RTNL_RULES);
	assert_int_equal(rule_changes(&four, RTM_DELRULE, six, 100, no, UINT32_MAX), 0);
}

static void test_dump(void **state)
{
	const struct rtmsg head = { .rtm_family = AF_INET, .rtm_type = RTN_UNICAST };
	struct nl_msg *msg = route_message(RTM_NEWROUTE, head, RT_TABLE_MAIN, 3);
	struct nl_msg *end = nlmsg_alloc_simple(NLMSG_DONE, 0);
	struct nlmsghdr *h = nlmsg_hdr(msg);
	struct ph_links view = { 0 };
	struct rtnl_dump dump = {
		.sequence = 7, .part = RTNL_ROUTES, .family = PH_IPV4, .view = &view
	};
	int error = -EBUSY;

	(void)state;
	/* Another's answer. */
	h->nlmsg_seq = 6;
	assert_int_equal(rtnl_dump_feed(&dump, h, h->nlmsg_len), 0);
	assert_int_equal(view.n_routes, 0);
	h->nlmsg_seq = 7;
	assert_int_equal(rtnl_dump_feed(&dump, h, h->nlmsg_len), 0);
	assert_int_equal(view.n_routes, 1);
	assert_false(dump.done || dump.interrupted);
	h->nlmsg_flags = NLM_F_MULTI | NLM_F_DUMP_INTR;
	assert_int_equal(rtnl_dump_feed(&dump, h, h->nlmsg_len), 0);
	assert_true(dump.interrupted && !dump.done);
	/* The end says whether it is all. */
	assert_int_equal(nlmsg_append(end, &error, sizeof(error), NLMSG_ALIGNTO), 0);
	nlmsg_hdr(end)->nlmsg_seq = 7;
	assert_int_equal(rtnl_dump_feed(&dump, nlmsg_hdr(end), nlmsg_hdr(end)->nlmsg_len), -EBUSY);
	assert_true(dump.done);
	nlmsg_free(end);
	nlmsg_free(msg);
	ph_links_done(&view);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_notifications),
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_dump),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
