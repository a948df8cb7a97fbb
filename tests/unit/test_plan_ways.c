/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The ways of packets that are not simply forwarded: bind ports that are borrowed, replies that
 * leave by another uplink, targets that would lead back to where they came from. */

#include "plan_text.h"

/* ---- borrowed bind ports ---- */

/* The service has UDP port 51821; our own sockets have another. */
static struct ph_plan_mapping vpn(void)
{
	struct ph_plan_mapping m = mapping("vpn", "100.64.0.2:51821", "203.0.113.7:50999");

	m.proto = PH_UDP;
	m.target.port = 51821;
	m.own_port = 40001;
	return m;
}

static void test_borrowed(void **state)
{
	struct ph_plan_mapping m[] = { vpn(), web() };
	struct ph_table *t = table_of(m, 2);

	(void)state;
	assert_elements(t, "borrowed4", "100.64.0.2 udp 51821 # vpn: 203.0.113.7:50999\n");
	assert_elements(t, "borrow4", "100.64.0.2 udp 40001 -> 100.64.0.2 51821\n");
	assert_elements(t, "answer4", "100.64.0.2 udp 51821 -> 100.64.0.2 40001\n");
	/* Who comes from our servers to a bind port is led to either the one or the other. */
	assert_elements(t, "bound4", "100.64.0.2 tcp 8443 # web: 203.0.113.7:32451\n");
	/* The service's own packets keep the port. */
	assert_elements(t, "source4",
			"100.64.0.2 tcp 8443 -> 100.64.0.2 8443\n"
			"100.64.0.2 udp 51821 -> 100.64.0.2 51821\n");
	assert_elements(t, "inbound4",
			"wan 100.64.0.2 tcp 8443 -> in-web\n"
			"wan 100.64.0.2 udp 51821 -> in-vpn\n");
	assert_null(find_set_or_null(t, "borrowed6"));
	assert_null(find_set_or_null(t, "borrow6"));
	assert_null(find_set_or_null(t, "answer6"));
	assert_int_equal(t->n_sets, 13 + 3);
	ph_table_free(t);
}

/* The borrowed one's rules come first, in their family alone, and only to our own servers. */
static void test_borrowed_rules(void **state)
{
	struct ph_plan_mapping m = vpn();
	struct ph_table *t = table_of(&m, 1);

	(void)state;
	assert_rules(t, "prerouting",
		     "iif@uplinks, saddr.proto.sport@peers4, daddr.proto.dport@borrowed4, "
		     "mark 08000000/0f000000, dnat daddr.proto.dport@answer4\n"
		     "iif@uplinks, saddr.proto.sport@peers4, daddr.proto.dport@bound4, "
		     "mark 08000000/0f000000, return\n"
		     "vmap iif.daddr.proto.dport@inbound4\n"
		     "iif@uplinks, saddr.proto.sport@peers6, daddr.proto.dport@bound6, "
		     "mark 08000000/0f000000, return\n"
		     "vmap iif.daddr.proto.dport@inbound6\n"
		     "iif@uplinks, return\n"
		     "daddr.proto.dport@published4, mark 0c000000/0f000000, "
		     "dnat daddr.proto.dport@loopback4\n"
		     "daddr.proto.dport@published6, mark 0c000000/0f000000, "
		     "dnat daddr.proto.dport@loopback6\n");
	assert_rules(t, "postrouting",
		     "oif@uplinks, daddr.proto.dport@peers4, snat saddr.proto.sport@borrow4\n"
		     "oif@uplinks, daddr.proto.dport@peers4, saddr.proto.sport@borrowed4, return\n"
		     "oif@uplinks, snat saddr.proto.sport@source4\n"
		     "oif@uplinks, snat saddr.proto.sport@source6\n"
		     "marked 0c000000/0c000000, oif-not-lo, masquerade\n");
	ph_table_free(t);
}

static void test_borrowed_ipv6(void **state)
{
	struct ph_plan_mapping m = mapping("six", "[2001:db8::2]:53", "[2001:db8::2]:53");
	struct ph_table *t;

	(void)state;
	m.n_peers = 0;
	m.own_port = 40001;
	t = table_of(&m, 1);
	assert_elements(t, "borrowed6", "2001:db8::2 tcp 53 # six: [2001:db8::2]:53\n");
	assert_elements(t, "borrow6", "2001:db8::2 tcp 40001 -> 2001:db8::2 53\n");
	assert_elements(t, "answer6", "2001:db8::2 tcp 53 -> 2001:db8::2 40001\n");
	assert_elements(t, "bound6", "");
	assert_null(find_set_or_null(t, "borrowed4"));
	assert_int_equal(find_chain(t, "prerouting")->n_rules, 8);
	assert_int_equal(find_chain(t, "postrouting")->n_rules, 5);
	ph_table_free(t);
}

/* Our own flows come before anybody is let in, here as well; without an address there are none. */
static void test_borrowed_while_closed(void **state)
{
	struct ph_plan_mapping m = vpn();
	struct ph_table *t;

	(void)state;
	m.open = false;
	t = table_of(&m, 1);
	assert_int_equal(find_set(t, "borrowed4")->n_elements, 1);
	assert_int_equal(find_set(t, "borrow4")->n_elements, 1);
	assert_int_equal(find_set(t, "answer4")->n_elements, 1);
	ph_table_free(t);

	m.private_endpoint.port = 0;
	t = table_of(&m, 1);
	assert_null(find_set_or_null(t, "borrowed4"));
	assert_int_equal(find_chain(t, "prerouting")->n_rules, 7);
	ph_table_free(t);
}

/* ---- replies ---- */

static struct ph_plan_mapping by_uplink(const char *name, uint16_t port, unsigned uplink)
{
	struct ph_plan_mapping m = web();

	snprintf(m.name, sizeof(m.name), "%s", name);
	m.private_endpoint.port = m.public_endpoint.port = port;
	m.uplink = uplink;
	return m;
}

static void test_replies(void **state)
{
	static const char one_and_three[] =
		"reply, marked 09000000/0b000000, fwmark 01000000/03000000\n"
		"reply, marked 0b000000/0b000000, fwmark 03000000/03000000\n";
	struct ph_plan_mapping m[] = { by_uplink("a", 1, 3), by_uplink("b", 2, 0),
				       by_uplink("c", 3, 1), by_uplink("d", 4, 3) };
	const struct ph_chain *chain;
	struct ph_table *t = table_of(m, 4);

	(void)state;
	assert_rules(t, "replies", one_and_three);
	assert_rules(t, "replies-output", one_and_three);
	chain = find_chain(t, "replies");
	assert_int_equal(chain->hook, PH_HOOK_PREROUTING);
	assert_int_equal(chain->type, PH_CHAIN_FILTER);
	assert_int_equal(chain->priority, -150);
	chain = find_chain(t, "replies-output");
	assert_int_equal(chain->hook, PH_HOOK_OUTPUT);
	assert_int_equal(chain->type, PH_CHAIN_ROUTE); /* the packet is routed anew */
	assert_int_equal(chain->priority, -150);
	ph_table_free(t);

	m[0].uplink = m[3].uplink = 2;
	m[2].uplink = 0;
	t = table_of(m, 4);
	assert_rules(t, "replies", "reply, marked 0a000000/0b000000, fwmark 02000000/03000000\n");
	ph_table_free(t);
}

static void test_no_replies(void **state)
{
	struct ph_plan_mapping m = by_uplink("a", 1, 0);
	struct ph_table *t = table_of(&m, 1);

	(void)state;
	assert_null(find_chain_or_null(t, "replies"));
	assert_null(find_chain_or_null(t, "replies-output"));
	ph_table_free(t);

	/* There is nobody to reply to. */
	m.uplink = 2;
	m.open = false;
	t = table_of(&m, 1);
	assert_null(find_chain_or_null(t, "replies"));
	ph_table_free(t);
}

/* Base chains stand in one order, whichever of them are there. */
static void test_every_base_chain(void **state)
{
	static const char *const names[] = { "prerouting", "output",         "postrouting", "guard",
					     "replies",    "replies-output", "in-web" };
	struct ph_plan_mapping m = web();
	struct ph_table *t;

	(void)state;
	m.target = (struct ph_target){ PH_TARGET_ADDRESS, endpoint("127.0.0.1:1").address, 80 };
	m.uplink = 1;
	t = table_of(&m, 1);
	assert_int_equal(t->n_chains, 7);
	for (size_t i = 0; i < 7; i++)
		assert_string_equal(t->chains[i].name, names[i]);
	ph_table_free(t);
}

/* As much of everything as one table can have: what was measured is what is written (ASan). */
static void test_everything_at_once(void **state)
{
	struct ph_plan_mapping m[] = { by_uplink("a", 1, 1), by_uplink("b", 2, 2),
				       by_uplink("c", 3, 3), vpn(),
				       mapping("six", "[2001:db8::2]:53", "[2001:db8::3]:53") };
	const struct ph_prefixes *allow[2] = { NULL, NULL };
	const struct ph_prefix all[] = { { .address.family = PH_IPV4 },
					 { .address.family = PH_IPV6 } };
	struct ph_table *t;

	(void)state;
	assert_int_equal(ph_prefixes_new(PH_IPV4, &all[0], 1, &allow[0]), 0);
	assert_int_equal(ph_prefixes_new(PH_IPV6, &all[1], 1, &allow[1]), 0);
	m[4].n_peers = 0;
	m[4].target.port = 53;
	for (size_t i = 0; i < 5; i++) {
		m[i].allow = allow[i == 4];
		m[i].limit = (struct ph_limit){ 1, 60, 1 };
		m[i].loopback = m[i].snat = true;
		m[i].own_port = (uint16_t)(40000 + i);
	}
	m[0].target = (struct ph_target){ PH_TARGET_ADDRESS, endpoint("127.0.0.1:1").address, 80 };
	t = table_of(m, 5);
	assert_int_equal(t->n_sets, 26 - 3 + 5);
	assert_int_equal(t->n_chains, 6 + 5);
	assert_int_equal(find_chain(t, "prerouting")->n_rules, 10);
	assert_int_equal(find_chain(t, "output")->n_rules, 3);
	assert_int_equal(find_chain(t, "postrouting")->n_rules, 7);
	assert_int_equal(find_chain(t, "replies")->n_rules, 3);
	ph_table_free(t);
	ph_prefixes_unref(allow[0]);
	ph_prefixes_unref(allow[1]);
}

/* ---- who is not inside ---- */

static void test_outside(void **state)
{
	/* One that is an uplink anyway, one twice, one that no set can hold. */
	static const char outside[][PH_INTERFACE_MAX + 1] = { "wan", "wan2", "ppp0", "wan2", "w*" };
	const struct ph_plan_options options = {
		.mark = 0x08000000, .mask = 0x0f000000, .outside = outside, .n_outside = 5
	};
	const struct ph_plan_mapping m = web();
	struct ph_table *t;

	(void)state;
	assert_int_equal(ph_table_new(&options, &m, 1, &t), 0);
	assert_elements(t, "uplinks", "wan\n");
	assert_elements(t, "outside", "ppp0\nwan2\n");
	/* Before the rules for those inside. */
	assert_int_equal(find_chain(t, "prerouting")->n_rules, 8);
	assert_string_equal(find_chain(t, "prerouting")->rules[5].comment,
			    "from outside by another way: not our business");
	ph_table_free(t);
}

static void test_nobody_else_outside(void **state)
{
	static const char outside[][PH_INTERFACE_MAX + 1] = { "wan" };
	const struct ph_plan_options options = {
		.mark = 0x08000000, .mask = 0x0f000000, .outside = outside, .n_outside = 1
	};
	const struct ph_plan_mapping m = web();
	struct ph_table *t;

	(void)state;
	assert_int_equal(ph_table_new(&options, &m, 1, &t), 0);
	assert_null(find_set_or_null(t, "outside"));
	assert_int_equal(find_chain(t, "prerouting")->n_rules, 7);
	ph_table_free(t);
}

/* ---- loops ---- */

static bool loops(const char *target, bool follows)
{
	const struct ph_endpoint e = endpoint(target);
	struct ph_plan_mapping m = web();
	struct ph_table *t;
	bool loop;

	m.loopback = true;
	m.uplink = 1;
	m.target = (struct ph_target){ PH_TARGET_ADDRESS, e.address, follows ? 0 : e.port };
	loop = ph_plan_is_loop(&m);
	t = table_of(&m, 1);
	assert_true(!find_chain_or_null(t, "in-web") == loop);
	assert_true(!find_chain_or_null(t, "replies") == loop);
	assert_int_equal(find_set(t, "inbound4")->n_elements, !loop);
	assert_int_equal(find_set(t, "loopback4")->n_elements, loop ? 0 : 2);
	assert_int_equal(find_set(t, "published4")->n_elements, loop ? 0 : 2);
	/* Our own flows go on. */
	assert_int_equal(find_set(t, "bound4")->n_elements, 1);
	assert_int_equal(find_set(t, "source4")->n_elements, 1);
	ph_table_free(t);
	return loop;
}

static void test_loop(void **state)
{
	struct ph_plan_mapping m;

	(void)state;
	assert_true(loops("100.64.0.2:8443", false));
	assert_true(loops("203.0.113.7:32451", false));
	assert_true(loops("203.0.113.7:1", true));
	assert_false(loops("100.64.0.2:8444", false));
	assert_false(loops("100.64.0.2:1", true)); /* follows the public port, 32451 */
	assert_false(loops("203.0.113.7:8443", false));
	assert_false(loops("192.168.10.50:8443", false));
	assert_false(loops("192.168.10.50:1", true));

	m = web();
	m.public_endpoint.port = 8443;
	m.target = (struct ph_target){ PH_TARGET_ADDRESS, m.private_endpoint.address, 0 };
	assert_true(ph_plan_is_loop(&m));
	/* What stands in the address of another kind of target is nothing. */
	m.target.port = 8443;
	assert_true(ph_plan_is_loop(&m));
	m.target.kind = PH_TARGET_LOCAL;
	assert_false(ph_plan_is_loop(&m));
	m.target.kind = PH_TARGET_NONE;
	assert_false(ph_plan_is_loop(&m));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_borrowed),
		cmocka_unit_test(test_borrowed_rules),
		cmocka_unit_test(test_borrowed_ipv6),
		cmocka_unit_test(test_borrowed_while_closed),
		cmocka_unit_test(test_replies),
		cmocka_unit_test(test_no_replies),
		cmocka_unit_test(test_every_base_chain),
		cmocka_unit_test(test_everything_at_once),
		cmocka_unit_test(test_outside),
		cmocka_unit_test(test_nobody_else_outside),
		cmocka_unit_test(test_loop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
