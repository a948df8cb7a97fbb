/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plan_text.h"

static void test_mapping_chain(void **state)
{
	struct ph_plan_mapping m = web();
	const struct ph_chain *chain;
	struct ph_table *t;

	(void)state;
	m.target =
		(struct ph_target){ PH_TARGET_ADDRESS, endpoint("192.168.10.50:1").address, 443 };
	t = table_of(&m, 1);
	chain = find_chain(t, "in-web");
	assert_int_equal(chain->hook, PH_HOOK_NONE);
	assert_rules(t, "in-web",
		     "mark 08000000/0f000000, counter web, tcp, dnat 192.168.10.50:443\n");
	assert_string_equal(chain->rules->comment, "web");
	ph_table_free(t);
}

static void assert_hook(const struct ph_table *t, const char *name, enum ph_chain_hook hook,
			enum ph_chain_type type, int priority)
{
	const struct ph_chain *chain = find_chain(t, name);

	assert_int_equal(chain->hook, hook);
	assert_int_equal(chain->type, type);
	assert_int_equal(chain->priority, priority);
}

/* Our own servers are exempted before anything is dispatched, in each family, and who comes from
 * outside never meets the rules for clients inside. */
static void test_base_chains(void **state)
{
	struct ph_table *t = table_of(NULL, 0);

	(void)state;
	assert_int_equal(t->n_chains, 3);
	assert_int_equal(t->n_counters, 0);
	assert_int_equal(t->n_sets, 13);
	assert_hook(t, "prerouting", PH_HOOK_PREROUTING, PH_CHAIN_NAT, -105);
	assert_hook(t, "output", PH_HOOK_OUTPUT, PH_CHAIN_NAT, -105);
	assert_hook(t, "postrouting", PH_HOOK_POSTROUTING, PH_CHAIN_NAT, 95);
	assert_rules(t, "prerouting",
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
	assert_rules(t, "output",
		     "daddr.proto.dport@published4, mark 0c000000/0f000000, "
		     "dnat daddr.proto.dport@loopback4\n"
		     "daddr.proto.dport@published6, mark 0c000000/0f000000, "
		     "dnat daddr.proto.dport@loopback6\n");
	assert_rules(t, "postrouting",
		     "oif@uplinks, snat saddr.proto.sport@source4\n"
		     "oif@uplinks, snat saddr.proto.sport@source6\n"
		     "marked 0c000000/0c000000, oif-not-lo, masquerade\n");
	ph_table_free(t);
}

/* Sets of those names are there and empty, and no others are. */
static void assert_no_more(const struct ph_table *t, const char *names)
{
	struct text text = { .n = 0 };

	for (size_t i = 0; i < t->n_sets; i++)
		if (t->sets[i].n_elements == 0)
			put(&text, "%s%s", text.n ? " " : "", t->sets[i].def->name);
	assert_string_equal(text.buf, names);
}

/* Octet for octet: everything else here reads keys by their types. */
static void assert_element(const struct ph_set *set, size_t n, const void *key, size_t octets)
{
	assert_true(n < set->n_elements);
	assert_int_equal(ph_set_key_octets(set->def), octets);
	assert_memory_equal(set->elements[n].key, key, octets);
}

static void test_elements(void **state)
{
	static const uint8_t uplink[16] = "wan";
	static const uint8_t peer[] = { 198, 51, 100, 1, PH_TCP, 0, 0, 0, 0x0d, 0x96, 0, 0 };
	static const uint8_t bound[] = { 100, 64, 0, 2, PH_TCP, 0, 0, 0, 0x20, 0xfb, 0, 0 };
	static const uint8_t source[] = { 100, 64, 0, 2, 0x20, 0xfb, 0, 0 };
	static const uint8_t inbound[28] = { 'w',    'a', 'n', [16] = 100, 64,   0,   2,
					     PH_TCP, 0,   0,   0,          0x20, 0xfb };
	struct ph_plan_mapping m = web();
	struct ph_table *t = table_of(&m, 1);

	(void)state;
	assert_element(find_set(t, "uplinks"), 0, uplink, sizeof(uplink));
	assert_element(find_set(t, "peers4"), 0, peer, sizeof(peer));
	assert_element(find_set(t, "bound4"), 0, bound, sizeof(bound));
	assert_element(find_set(t, "source4"), 0, bound, sizeof(bound));
	assert_memory_equal(find_set(t, "source4")->elements[0].data, source, sizeof(source));
	assert_element(find_set(t, "inbound4"), 0, inbound, sizeof(inbound));
	assert_elements(t, "uplinks", "wan\n");
	assert_elements(t, "peers4", "198.51.100.1 tcp 3478\n");
	assert_elements(t, "bound4", "100.64.0.2 tcp 8443 # web: 203.0.113.7:32451\n");
	assert_elements(t, "source4", "100.64.0.2 tcp 8443 -> 100.64.0.2 8443\n");
	assert_elements(t, "inbound4", "wan 100.64.0.2 tcp 8443 -> in-web\n");
	assert_no_more(t, "published4 loopback4 peers6 bound6 inbound6 published6 loopback6 "
			  "source6");
	ph_table_free(t);
}

/* The public endpoint is told where a change costs least: an element. */
static void test_public_endpoint_in_comment(void **state)
{
	struct ph_plan_mapping m = web();
	struct ph_table *t;

	(void)state;
	m.public_endpoint.port = 0;
	t = table_of(&m, 1);
	assert_elements(t, "bound4", "100.64.0.2 tcp 8443 # web\n");
	assert_string_equal(find_chain(t, "in-web")->rules->comment, "web");
	ph_table_free(t);
}

static void test_ipv6_mirrors(void **state)
{
	struct ph_plan_mapping m = mapping("six", "[2001:db8::2]:53", "[2001:db8::2]:53");
	struct ph_endpoint peer = endpoint("[2001:db8::9]:3478");
	struct ph_table *t;

	(void)state;
	m.peers = &peer;
	m.loopback = true;
	m.target = (struct ph_target){ PH_TARGET_ADDRESS, endpoint("[fd00::50]:1").address, 80 };
	t = table_of(&m, 1);
	assert_elements(t, "uplinks", "wan\n");
	assert_elements(t, "peers6", "2001:db8::9 tcp 3478\n");
	assert_elements(t, "bound6", "2001:db8::2 tcp 53 # six: [2001:db8::2]:53\n");
	assert_elements(t, "inbound6", "wan 2001:db8::2 tcp 53 -> in-six\n");
	assert_elements(t, "published6", "2001:db8::2 tcp 53 # six\n");
	assert_elements(t, "loopback6", "2001:db8::2 tcp 53 -> fd00::50 80\n");
	assert_elements(t, "source6", "2001:db8::2 tcp 53 -> 2001:db8::2 53\n");
	assert_no_more(t, "peers4 bound4 inbound4 published4 loopback4 source4");
	assert_memory_equal(find_set(t, "inbound6")->elements[0].key + 16,
			    m.private_endpoint.address.octets, 16);
	ph_table_free(t);
}

/* Two mappings of one proto and port on two uplinks with the same address share bound and source.
 */
static void test_same_address_on_two_uplinks(void **state)
{
	struct ph_plan_mapping m[] = { web(), web() };
	struct ph_table *t;

	(void)state;
	snprintf(m[1].name, sizeof(m[1].name), "web2");
	snprintf(m[1].interface, sizeof(m[1].interface), "lte");
	t = table_of(m, 2);
	assert_int_equal(find_set(t, "uplinks")->n_elements, 2);
	assert_int_equal(find_set(t, "inbound4")->n_elements, 2);
	assert_int_equal(find_set(t, "bound4")->n_elements, 1);
	assert_int_equal(find_set(t, "source4")->n_elements, 1);
	ph_table_free(t);
}

static void test_peers(void **state)
{
	struct ph_endpoint peers[] = { endpoint("198.51.100.9:80"), endpoint("198.51.100.1:3478"),
				       endpoint("198.51.100.9:80"), endpoint("[2001:db8::1]:80") };
	struct ph_plan_mapping m[] = { web(), web() };
	struct ph_table *t;

	(void)state;
	m[0].peers = m[1].peers = peers;
	m[0].n_peers = m[1].n_peers = 4;
	snprintf(m[1].name, sizeof(m[1].name), "over-udp");
	m[1].proto = PH_UDP;
	t = table_of(m, 2);
	assert_int_equal(find_set(t, "peers4")->n_elements, 4); /* two servers, two protocols */
	assert_int_equal(find_set(t, "peers6")->n_elements, 0);
	ph_table_free(t);
}

static void test_target_port_follows(void **state)
{
	struct ph_plan_mapping m = web();
	struct ph_table *t;

	(void)state;
	m.target.port = 0;
	t = table_of(&m, 1);
	assert_rules(t, "in-web",
		     "mark 08000000/0f000000, counter web, tcp, dnat 100.64.0.2:32451\n");
	ph_table_free(t);

	/* Nobody knows where to. */
	m.public_endpoint = (struct ph_endpoint){ 0 };
	t = table_of(&m, 1);
	assert_null(find_chain_or_null(t, "in-web"));
	assert_int_equal(find_set(t, "inbound4")->n_elements, 0);
	ph_table_free(t);
}

/* Own flows are protected before anybody is let in. */
static void test_closed(void **state)
{
	struct ph_plan_mapping m = web();
	struct ph_table *t;

	(void)state;
	m.open = false;
	t = table_of(&m, 1);
	assert_null(find_chain_or_null(t, "in-web"));
	assert_int_equal(find_set(t, "inbound4")->n_elements, 0);
	assert_int_equal(find_set(t, "uplinks")->n_elements, 1);
	assert_int_equal(find_set(t, "peers4")->n_elements, 1);
	assert_int_equal(find_set(t, "bound4")->n_elements, 1);
	assert_int_equal(find_set(t, "source4")->n_elements, 1);
	assert_int_equal(t->n_counters, 1);
	ph_table_free(t);
}

static void test_without_private_endpoint(void **state)
{
	struct ph_plan_mapping m = web();
	struct ph_table *t;

	(void)state;
	m.private_endpoint = (struct ph_endpoint){ 0 };
	t = table_of(&m, 1);
	assert_int_equal(t->n_counters, 1);
	assert_string_equal(t->counters[0], "web");
	assert_int_equal(t->n_chains, 3);
	for (size_t i = 0; i < t->n_sets; i++)
		assert_int_equal(t->sets[i].n_elements, 0);
	ph_table_free(t);
}

/* The next bind port is looked after before anybody is let in by it. */
static void test_moving_begins(void **state)
{
	struct ph_plan_mapping m[2];
	struct ph_table *t = table_of(m, moving(1, m));

	(void)state;
	assert_int_equal(t->n_counters, 1);
	assert_int_equal(t->n_chains, 4);
	assert_elements(t, "inbound4", "wan 100.64.0.2 tcp 8443 -> in-web\n");
	assert_elements(t, "bound4",
			"100.64.0.2 tcp 8443 # web: 203.0.113.7:32451\n"
			"100.64.0.2 tcp 8444 # web\n");
	assert_int_equal(find_set(t, "source4")->n_elements, 2);
	ph_table_free(t);
}

/* Both bind ports let connections in, and one counter counts them. */
static void test_moving_overlaps(void **state)
{
	static const char rule[] =
		"mark 08000000/0f000000, counter web, tcp, dnat 100.64.0.2:443\n";
	struct ph_plan_mapping m[2];
	struct ph_table *t = table_of(m, moving(2, m));

	(void)state;
	assert_int_equal(t->n_counters, 1);
	assert_int_equal(t->n_chains, 5);
	assert_rules(t, "in-web", rule);
	assert_rules(t, "old-web", rule);
	assert_string_equal(find_chain(t, "in-web")->rules->comment, "web");
	assert_string_equal(find_chain(t, "old-web")->rules->comment, "web (old port)");
	assert_elements(t, "inbound4",
			"wan 100.64.0.2 tcp 8443 -> old-web\n"
			"wan 100.64.0.2 tcp 8444 -> in-web\n");
	assert_elements(t, "bound4",
			"100.64.0.2 tcp 8443 # web (old port): 203.0.113.7:32451\n"
			"100.64.0.2 tcp 8444 # web: 203.0.113.7:1025\n");
	assert_int_equal(find_set(t, "source4")->n_elements, 2);
	ph_table_free(t);
}

static void test_moving_ends(void **state)
{
	struct ph_plan_mapping m[2];
	struct ph_table *t = table_of(m, moving(3, m));

	(void)state;
	assert_null(find_chain_or_null(t, "old-web"));
	assert_elements(t, "inbound4", "wan 100.64.0.2 tcp 8444 -> in-web\n");
	assert_elements(t, "bound4", "100.64.0.2 tcp 8444 # web: 203.0.113.7:1025\n");
	ph_table_free(t);
}

/* Chains of old ports stand behind all others, so that a walk over two tables meets the same ones.
 */
static void test_moving_among_others(void **state)
{
	static const char *const names[] = { "prerouting", "output", "postrouting", "in-a",
					     "in-web",     "in-z",   "old-web" };
	struct ph_plan_mapping m[4];
	struct ph_table *x, *y;

	(void)state;
	moving(2, m);
	m[2] = mapping("z", "100.64.0.2:1", "203.0.113.7:1");
	m[3] = mapping("a", "100.64.0.2:2", "203.0.113.7:2");
	x = table_of(m, 4);
	assert_int_equal(x->n_chains, 7);
	for (size_t i = 0; i < 7; i++)
		assert_string_equal(x->chains[i].name, names[i]);
	for (size_t i = 0; i < 2; i++) {
		struct ph_plan_mapping swap = m[i];

		m[i] = m[3 - i];
		m[3 - i] = swap;
	}
	y = table_of(m, 4);
	assert_true(ph_table_equal(x, y));
	ph_table_free(x);
	ph_table_free(y);
}

static void test_order_does_not_matter(void **state)
{
	struct ph_plan_mapping m[] = { web(), mapping("b", "100.64.0.2:1", "203.0.113.7:1"),
				       mapping("a", "100.64.0.1:7", "203.0.113.7:2") };
	struct ph_plan_mapping back[] = { m[2], m[1], m[0] };
	struct ph_table *x = table_of(m, 3), *y = table_of(back, 3);
	struct ph_op *ops = (struct ph_op *)1;
	size_t n = 1;

	(void)state;
	assert_true(ph_table_equal(x, y));
	assert_int_equal(ph_table_diff(x, y, &ops, &n), 0);
	assert_null(ops);
	assert_int_equal(n, 0);
	ph_table_free(x);
	ph_table_free(y);
}

/* ---- what is refused ---- */

static void test_bad_names(void **state)
{
	static const char *const names[] = {
		"", "1", "-", "_a", "a b", "a\"", "a;", "a.b", "\xc3\xa9", "a\n",
	};
	struct ph_plan_mapping m = web();

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		memset(m.name, 0, sizeof(m.name));
		memcpy(m.name, names[i], strlen(names[i]));
		assert_refused(&plan_options, &m, 1);
	}
	snprintf(m.name, sizeof(m.name), "tcp"); /* a word of nft's */
	assert_refused(&plan_options, &m, 1);
	memset(m.name, 'a', sizeof(m.name)); /* no end */
	assert_refused(&plan_options, &m, 1);
}

static void test_bad_interfaces(void **state)
{
	static const char *const names[] = {
		"", ".", "..", "a b", "a/b", "a:b", "wan\"", "wan*", "w\\n", "w\x7f", "w\xc3\xa9",
	};
	struct ph_plan_mapping m = web();

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		memset(m.interface, 0, sizeof(m.interface));
		memcpy(m.interface, names[i], strlen(names[i]));
		assert_refused(&plan_options, &m, 1);
	}
	memset(m.interface, 'a', sizeof(m.interface));
	assert_refused(&plan_options, &m, 1);
}

static void test_bad_values(void **state)
{
	struct ph_endpoint no_port = endpoint("198.51.100.1:1");

	(void)state;
	no_port.port = 0;
	ASSERT_REFUSED_WITH(m.proto = (enum ph_proto)1);
	ASSERT_REFUSED_WITH(m.private_endpoint.address.family = (enum ph_family)5);
	ASSERT_REFUSED_WITH(m.public_endpoint = endpoint("[2001:db8::1]:1"));
	ASSERT_REFUSED_WITH(m.target.kind = (enum ph_target_kind)9);
	ASSERT_REFUSED_WITH(m.target.kind = PH_TARGET_ADDRESS;
			    m.target.address = endpoint("[2001:db8::1]:1").address);
	ASSERT_REFUSED_WITH(m.peers = NULL);
	ASSERT_REFUSED_WITH(m.peers = &no_port);
}

static void test_duplicates(void **state)
{
	struct ph_plan_mapping m[] = { web(), mapping("x", "100.64.0.2:1", "203.0.113.7:1"),
				       web() };

	(void)state;
	assert_refused(&plan_options, m, 3); /* name, and endpoint */
	m[2].private_endpoint.port++;
	assert_refused(&plan_options, m, 3); /* name */
	snprintf(m[2].name, sizeof(m[2].name), "other");
	m[2].private_endpoint.port--;
	assert_refused(&plan_options, m, 3); /* endpoint, protocol, interface */
	m[2].proto = PH_UDP;
	ph_table_free(table_of(m, 3));
}

/* A name may be there twice only while the mapping moves. */
static void test_bad_moves(void **state)
{
	struct ph_plan_mapping m[3];

	(void)state;
	moving(2, m);
	m[0].retiring = false;
	assert_refused(&plan_options, m, 2); /* which of them is in-web? */
	m[0].retiring = m[1].retiring = true;
	assert_refused(&plan_options, m, 2);
	m[0].open = m[1].open = false;
	assert_refused(&plan_options, m, 2);

	moving(2, m);
	m[2] = m[1];
	m[2].private_endpoint.port++;
	m[2].open = false;
	assert_refused(&plan_options, m, 3);
	m[0].open = m[1].open = false;
	m[0].retiring = false;
	assert_refused(&plan_options, m, 3);

	moving(1, m);
	m[1].private_endpoint = m[0].private_endpoint;
	assert_refused(&plan_options, m, 2);
	m[1].private_endpoint = (struct ph_endpoint){ 0 }; /* has no address yet */
	ph_table_free(table_of(m, 2));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mapping_chain),
		cmocka_unit_test(test_base_chains),
		cmocka_unit_test(test_elements),
		cmocka_unit_test(test_public_endpoint_in_comment),
		cmocka_unit_test(test_ipv6_mirrors),
		cmocka_unit_test(test_same_address_on_two_uplinks),
		cmocka_unit_test(test_peers),
		cmocka_unit_test(test_target_port_follows),
		cmocka_unit_test(test_closed),
		cmocka_unit_test(test_without_private_endpoint),
		cmocka_unit_test(test_moving_begins),
		cmocka_unit_test(test_moving_overlaps),
		cmocka_unit_test(test_moving_ends),
		cmocka_unit_test(test_moving_among_others),
		cmocka_unit_test(test_order_does_not_matter),
		cmocka_unit_test(test_bad_names),
		cmocka_unit_test(test_bad_interfaces),
		cmocka_unit_test(test_bad_values),
		cmocka_unit_test(test_duplicates),
		cmocka_unit_test(test_bad_moves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
