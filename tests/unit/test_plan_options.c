/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What single options of a mapping bring to the table, and what of them is refused. */

#include "plan_text.h"

static struct ph_plan_mapping admin(void)
{
	struct ph_plan_mapping m = lan();

	m.target.address = endpoint("127.0.0.1:1").address;
	return m;
}

/* ---- marks ---- */

static void assert_marks(uint32_t mask, uint32_t mark, uint32_t masquerade, uint32_t high,
			 uint32_t low)
{
	const struct ph_plan_options o = { .mark = mark, .mask = mask };
	struct ph_marks m;

	assert_int_equal(ph_marks_of(&o, &m), 0);
	assert_int_equal(m.mask, mask);
	assert_int_equal(m.accept, mark);
	assert_int_equal(m.masquerade, masquerade);
	assert_int_equal(m.uplinks, high | low);
	assert_int_equal(m.uplink[0], 0);
	assert_int_equal(m.uplink[1], low);
	assert_int_equal(m.uplink[2], high);
	assert_int_equal(m.uplink[3], high | low);
}

static void test_marks(void **state)
{
	(void)state;
	assert_marks(0x0f000000, 0x08000000, 0x04000000, 0x02000000, 0x01000000);
	/* The accept bit may be any of them. */
	assert_marks(0x0f000000, 0x01000000, 0x08000000, 0x04000000, 0x02000000);
	assert_marks(0x0f000000, 0x04000000, 0x08000000, 0x02000000, 0x01000000);
	/* Scattered, at the ends, and more than are needed. */
	assert_marks(0x80010101, 0x00010000, 0x80000000, 0x00000100, 0x00000001);
	assert_marks(0x80000007, 0x80000000, 0x00000004, 0x00000002, 0x00000001);
	assert_marks(0x000000ff, 0x00000002, 0x00000080, 0x00000040, 0x00000020);
	assert_marks(0xffffffff, 0x00000001, 0x80000000, 0x40000000, 0x20000000);
}

static void test_bad_marks(void **state)
{
	static const struct ph_plan_options cases[] = {
		{ .mark = 0, .mask = 0 },
		{ .mark = 0, .mask = 0xf },
		{ .mark = 3, .mask = 0xf },
		{ .mark = 0x10, .mask = 0xf },
		{ .mark = 8, .mask = 0xe },
		{ .mark = 1, .mask = 0x80000101 },
		{ .mark = 0x18, .mask = 0x0f },
		{ .mark = 0x0f, .mask = 0x0f },
		{ .mark = 0xffffffff, .mask = ~0u },
		{ .mark = 1, .mask = 1 },
	};
	static const struct ph_marks untouched = { .mask = 7 };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ph_marks m = untouched;

		assert_int_equal(ph_marks_of(&cases[i], &m), -EINVAL);
		assert_memory_equal(&m, &untouched, sizeof(m));
		assert_refused(&cases[i], NULL, 0);
	}
}

static void test_scattered_marks_in_rules(void **state)
{
	static const struct ph_plan_options o = { .mark = 0x00010000, .mask = 0x80010101 };
	struct ph_plan_mapping m = lan();
	struct ph_table *t = NULL;

	(void)state;
	m.snat = true;
	m.uplink = 2;
	assert_int_equal(ph_table_new(&o, &m, 1, &t), 0);
	assert_rules(t, "in-web",
		     "mark 80010100/80010101, counter web, tcp, dnat 192.168.10.50:443\n");
	assert_rules(t, "output",
		     "daddr.proto.dport@published4, mark 80010000/80010101, "
		     "dnat daddr.proto.dport@loopback4\n"
		     "daddr.proto.dport@published6, mark 80010000/80010101, "
		     "dnat daddr.proto.dport@loopback6\n");
	assert_rules(t, "replies", "reply, marked 00010100/00010101, fwmark 00000100/00000101\n");
	ph_table_free(t);
}

/* The masquerade bit, and the uplink's number, beside the accept bit. */
static void test_mark_bits_of_a_mapping(void **state)
{
	static const char *const marks[2][PH_UPLINKS_MAX + 1] = {
		{ "08000000", "09000000", "0a000000", "0b000000" },
		{ "0c000000", "0d000000", "0e000000", "0f000000" },
	};

	(void)state;
	for (unsigned snat = 0; snat < 2; snat++)
		for (unsigned uplink = 0; uplink <= PH_UPLINKS_MAX; uplink++) {
			struct ph_plan_mapping m = web();
			struct ph_table *t;
			char rule[100];

			m.snat = snat;
			m.uplink = uplink;
			t = table_of(&m, 1);
			snprintf(rule, sizeof(rule),
				 "mark %s/0f000000, counter web, tcp, dnat 100.64.0.2:443\n",
				 marks[snat][uplink]);
			assert_rules(t, "in-web", rule);
			ph_table_free(t);
		}
}

/* ---- loopback ---- */

static void test_loopback(void **state)
{
	struct ph_plan_mapping m = lan();
	struct ph_table *t = table_of(&m, 1);

	(void)state;
	assert_elements(t, "published4",
			"100.64.0.2 tcp 8443 # web\n"
			"203.0.113.7 tcp 32451 # web\n");
	assert_elements(t, "loopback4",
			"100.64.0.2 tcp 8443 -> 192.168.10.50 443\n"
			"203.0.113.7 tcp 32451 -> 192.168.10.50 443\n");
	assert_null(find_set_or_null(t, "localhost4"));
	assert_null(find_set_or_null(t, "localnet"));
	ph_table_free(t);
}

/* Without a NAT both endpoints are one. */
static void test_loopback_where_both_are_equal(void **state)
{
	struct ph_plan_mapping m = lan();
	struct ph_table *t;

	(void)state;
	m.public_endpoint = m.private_endpoint;
	t = table_of(&m, 1);
	assert_elements(t, "published4", "100.64.0.2 tcp 8443 # web\n");
	assert_elements(t, "loopback4", "100.64.0.2 tcp 8443 -> 192.168.10.50 443\n");
	ph_table_free(t);

	/* One address, two ports. */
	m.public_endpoint.port++;
	t = table_of(&m, 1);
	assert_int_equal(find_set(t, "published4")->n_elements, 2);
	assert_int_equal(find_set(t, "loopback4")->n_elements, 2);
	ph_table_free(t);

	m.public_endpoint.port = 0;
	t = table_of(&m, 1);
	assert_elements(t, "published4", "100.64.0.2 tcp 8443 # web\n");
	ph_table_free(t);
}

/* A service of this machine is reached at the private address, as it is from outside. */
static void test_loopback_to_this_machine(void **state)
{
	struct ph_plan_mapping m = web();
	struct ph_table *t;

	(void)state;
	m.loopback = true;
	t = table_of(&m, 1);
	assert_elements(t, "loopback4",
			"100.64.0.2 tcp 8443 -> 100.64.0.2 443\n"
			"203.0.113.7 tcp 32451 -> 100.64.0.2 443\n");
	ph_table_free(t);

	m.target.port = 0; /* follows */
	t = table_of(&m, 1);
	assert_elements(t, "loopback4",
			"100.64.0.2 tcp 8443 -> 100.64.0.2 32451\n"
			"203.0.113.7 tcp 32451 -> 100.64.0.2 32451\n");
	ph_table_free(t);
}

/* Over UDP it answers from the address by which it was asked: this machine's own flows apart. */
static void test_loopback_to_this_machine_udp(void **state)
{
	static const char keys[] = "100.64.0.2 udp 8443 # web\n203.0.113.7 udp 32451 # web\n";
	struct ph_plan_mapping m = web();
	struct ph_table *t;

	(void)state;
	m.loopback = true;
	m.proto = PH_UDP;
	t = table_of(&m, 1);
	assert_elements(t, "here4", keys);
	assert_elements(t, "port4", "100.64.0.2 udp 8443 -> 443\n203.0.113.7 udp 32451 -> 443\n");
	assert_elements(t, "localhost4", keys);
	assert_elements(t, "loopback4",
			"100.64.0.2 udp 8443 -> 100.64.0.2 443\n"
			"203.0.113.7 udp 32451 -> 100.64.0.2 443\n");
	assert_elements(t, "published4", "");
	assert_null(find_set_or_null(t, "here6"));
	assert_null(find_set_or_null(t, "localhost6"));
	ph_table_free(t);

	/* Where nothing is translated it is the bind port. */
	m.target.kind = PH_TARGET_NONE;
	t = table_of(&m, 1);
	assert_elements(t, "port4", "100.64.0.2 udp 8443 -> 8443\n203.0.113.7 udp 32451 -> 8443\n");
	ph_table_free(t);

	/* Nobody inside, or another machine. */
	m.loopback = false;
	t = table_of(&m, 1);
	assert_null(find_set_or_null(t, "here4"));
	ph_table_free(t);
	m = lan();
	m.loopback = true;
	m.proto = PH_UDP;
	t = table_of(&m, 1);
	assert_null(find_set_or_null(t, "here4"));
	assert_int_equal(find_set(t, "published4")->n_elements, 2);
	ph_table_free(t);
}

/* Where nothing is translated the bind port is the service's. */
static void test_loopback_to_the_bind_port(void **state)
{
	static const char to_bind_port[] = "100.64.0.2 tcp 8443 -> 100.64.0.2 8443\n"
					   "203.0.113.7 tcp 32451 -> 100.64.0.2 8443\n";
	struct ph_plan_mapping m = identity();
	struct ph_table *t;

	(void)state;
	m.loopback = true;
	t = table_of(&m, 1);
	assert_elements(t, "loopback4", to_bind_port);
	ph_table_free(t);

	m.target = (struct ph_target){ .kind = PH_TARGET_NONE, .port = 5 };
	t = table_of(&m, 1);
	assert_elements(t, "loopback4", to_bind_port);
	ph_table_free(t);
}

/* Only who lets connections in lets clients inside in, and only if it says so. */
static void test_no_loopback(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		struct ph_plan_mapping m = lan();
		struct ph_table *t;

		m.loopback = i != 0;
		m.open = i != 1;
		if (i == 2)
			m.private_endpoint.port = 0;
		if (i == 3) {
			m.target.port = 0;
			m.public_endpoint.port = 0;
		}
		t = table_of(&m, 1);
		assert_int_equal(find_set(t, "published4")->n_elements, 0);
		assert_int_equal(find_set(t, "loopback4")->n_elements, 0);
		ph_table_free(t);
	}
}

static void test_loopback_while_moving(void **state)
{
	struct ph_plan_mapping m[2];
	struct ph_table *t;

	(void)state;
	moving(2, m);
	m[0].loopback = m[1].loopback = true;
	t = table_of(m, 2);
	assert_elements(t, "published4",
			"100.64.0.2 tcp 8443 # web (old port)\n"
			"100.64.0.2 tcp 8444 # web\n"
			"203.0.113.7 tcp 1025 # web\n"
			"203.0.113.7 tcp 32451 # web (old port)\n");
	assert_elements(t, "loopback4",
			"100.64.0.2 tcp 8443 -> 100.64.0.2 443\n"
			"100.64.0.2 tcp 8444 -> 100.64.0.2 443\n"
			"203.0.113.7 tcp 1025 -> 100.64.0.2 443\n"
			"203.0.113.7 tcp 32451 -> 100.64.0.2 443\n");
	ph_table_free(t);
}

/* ---- 127.0.0.0/8 ---- */

static void test_localnet(void **state)
{
	struct ph_plan_mapping m[] = { admin(), lan() };
	const struct ph_chain *guard;
	struct ph_table *t;

	(void)state;
	snprintf(m[1].name, sizeof(m[1].name), "lan");
	snprintf(m[1].interface, sizeof(m[1].interface), "lte");
	m[1].private_endpoint = endpoint("100.65.0.2:1");
	m[1].public_endpoint = endpoint("203.0.113.9:1");
	t = table_of(m, 2);
	assert_true(ph_plan_is_localnet(&m[0]));
	assert_false(ph_plan_is_localnet(&m[1]));
	/* Reached from this machine alone. */
	assert_elements(t, "localhost4",
			"100.64.0.2 tcp 8443 # web\n"
			"203.0.113.7 tcp 32451 # web\n");
	assert_elements(t, "published4",
			"100.65.0.2 tcp 1 # lan\n"
			"203.0.113.9 tcp 1 # lan\n");
	assert_elements(t, "loopback4",
			"100.64.0.2 tcp 8443 -> 127.0.0.1 443\n"
			"100.65.0.2 tcp 1 -> 192.168.10.50 443\n"
			"203.0.113.7 tcp 32451 -> 127.0.0.1 443\n"
			"203.0.113.9 tcp 1 -> 192.168.10.50 443\n");
	assert_rules(t, "output",
		     "daddr.proto.dport@published4, mark 0c000000/0f000000, "
		     "dnat daddr.proto.dport@loopback4\n"
		     "daddr.proto.dport@localhost4, mark 0c000000/0f000000, "
		     "dnat daddr.proto.dport@loopback4\n"
		     "daddr.proto.dport@published6, mark 0c000000/0f000000, "
		     "dnat daddr.proto.dport@loopback6\n");
	/* Before conntrack and all translation; only the interface that needs it. */
	assert_elements(t, "localnet", "wan\n");
	guard = find_chain(t, "guard");
	assert_int_equal(guard->hook, PH_HOOK_PREROUTING);
	assert_int_equal(guard->type, PH_CHAIN_FILTER);
	assert_int_equal(guard->priority, -300);
	assert_rules(t, "guard",
		     "iif@localnet, to-localnet, drop\niif@localnet, from-localnet, drop\n");
	ph_table_free(t);
}

static void test_localnet_once_an_interface(void **state)
{
	struct ph_plan_mapping m[] = { admin(), admin() };
	struct ph_table *t;

	(void)state;
	snprintf(m[1].name, sizeof(m[1].name), "b");
	m[1].private_endpoint.port++;
	m[1].target.address = endpoint("127.255.0.9:1").address;
	t = table_of(m, 2);
	assert_elements(t, "localnet", "wan\n");
	ph_table_free(t);
}

/* Replies that the uplink's routing turns to another interface are seen on both. */
static void test_localnet_turned(void **state)
{
	struct ph_plan_mapping m[] = { admin(), admin() };
	struct ph_table *t;

	(void)state;
	snprintf(m[1].name, sizeof(m[1].name), "b");
	m[1].private_endpoint.port++;
	strcpy(m[0].turned_from, "lte");
	strcpy(m[1].turned_from, "lte");
	t = table_of(m, 2);
	assert_elements(t, "localnet", "lte\nwan\n");
	assert_elements(t, "uplinks", "wan\n");
	ph_table_free(t);

	strcpy(m[0].turned_from, "wan");
	t = table_of(m, 1);
	assert_elements(t, "localnet", "wan\n");
	ph_table_free(t);

	strcpy(m[0].turned_from, "w/n");
	assert_refused(&plan_options, m, 1);

	/* Of another target it means nothing. */
	m[0] = lan();
	strcpy(m[0].turned_from, "lte");
	t = table_of(m, 1);
	assert_null(find_set_or_null(t, "localnet"));
	ph_table_free(t);
}

static void test_localnet_without_loopback(void **state)
{
	struct ph_plan_mapping m = admin();
	struct ph_table *t;

	(void)state;
	m.loopback = false;
	t = table_of(&m, 1);
	assert_null(find_set_or_null(t, "localhost4"));
	assert_int_equal(find_chain(t, "output")->n_rules, 2);
	find_chain(t, "guard");
	assert_elements(t, "localnet", "wan\n");
	ph_table_free(t);
}

/* route_localnet is not wanted before somebody is led there. */
static void test_no_localnet(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		struct ph_plan_mapping m = admin();
		struct ph_table *t;

		if (i == 0)
			m.open = false;
		else if (i == 1)
			m.target.port = m.public_endpoint.port = 0;
		else if (i == 2)
			m.target.address = endpoint("128.0.0.1:1").address;
		else if (i == 3)
			m.target.kind = PH_TARGET_LOCAL; /* what stands in address is nothing */
		else
			m.target.kind = PH_TARGET_NONE;
		t = table_of(&m, 1);
		assert_false(ph_plan_is_localnet(&m));
		assert_null(find_chain_or_null(t, "guard"));
		assert_null(find_set_or_null(t, "localnet"));
		assert_null(find_set_or_null(t, "localhost4"));
		assert_int_equal(find_chain(t, "output")->n_rules, 2);
		ph_table_free(t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_marks),
		cmocka_unit_test(test_bad_marks),
		cmocka_unit_test(test_scattered_marks_in_rules),
		cmocka_unit_test(test_mark_bits_of_a_mapping),
		cmocka_unit_test(test_loopback),
		cmocka_unit_test(test_loopback_where_both_are_equal),
		cmocka_unit_test(test_loopback_to_this_machine),
		cmocka_unit_test(test_loopback_to_this_machine_udp),
		cmocka_unit_test(test_loopback_to_the_bind_port),
		cmocka_unit_test(test_no_loopback),
		cmocka_unit_test(test_loopback_while_moving),
		cmocka_unit_test(test_localnet),
		cmocka_unit_test(test_localnet_once_an_interface),
		cmocka_unit_test(test_localnet_turned),
		cmocka_unit_test(test_localnet_without_loopback),
		cmocka_unit_test(test_no_localnet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
