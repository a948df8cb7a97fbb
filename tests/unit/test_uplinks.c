/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pinhold/uplink.h>

/* Everything that the tests route over: the index is the place in the list. */
static const struct ph_link all_links[] = {
	{ "dsl", 1, true }, { "lte", 2, true }, { "sat", 3, true },
	{ "fib", 4, true }, { "cab", 5, true }, { "cut", 6, false },
};

struct world {
	struct ph_link links[6];
	struct ph_link_address addresses[8];
	struct ph_link_route routes[8];
	struct ph_link_route broad[2];
	struct ph_links view;
	struct ph_uplinks uplinks;
	struct ph_reply_routes replies;
	bool needed[8]; /* of the last answers */
};

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	memcpy(w->links, all_links, sizeof(all_links));
	w->view = (struct ph_links){ .links = w->links,
				     .n_links = 6,
				     .addresses = w->addresses,
				     .routes = w->routes,
				     .broad = w->broad };
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	ph_reply_routes_done(&w->replies);
	free(w);
	return 0;
}

static int index_of(const char *interface)
{
	for (unsigned i = 0; i < 6; i++)
		if (strcmp(all_links[i].name, interface) == 0)
			return (int)i + 1;
	fail();
	return 0;
}

static struct ph_address address(const char *text)
{
	struct ph_address a = { 0 };

	if (*text)
		assert_int_equal(ph_address_parse(text, &a), 0);
	return a;
}

/* gateway "": none. */
static void route(struct world *w, const char *interface, enum ph_family family, uint32_t metric,
		  const char *gateway)
{
	w->routes[w->view.n_routes++] = (struct ph_link_route){
		.index = index_of(interface),
		.family = family,
		.metric = metric,
		.gateway = address(gateway),
	};
}

static void has(struct world *w, const char *interface, const char *text, uint8_t bits)
{
	w->addresses[w->view.n_addresses++] = (struct ph_link_address){
		.index = index_of(interface),
		.address = address(text),
		.usable = true,
		.bits = bits,
	};
}

/* A half, or an eighth, of everything, as a VPN has it. */
static void broad(struct world *w, const char *interface, enum ph_family family, uint8_t bits)
{
	w->broad[w->view.n_broad++] = (struct ph_link_route){
		.index = index_of(interface),
		.family = family,
		.metric = 4096,
		.to = { .address = { .family = family }, .bits = bits },
	};
}

/* Words "INTERFACE" or "INTERFACE/6"; the answers as words: "-" default, a number, "?" no route,
 * "!" too many. */
static void decide(struct world *w, const char *users, const char *wanted)
{
	struct ph_uplink_user list[8];
	struct ph_uplink answers[8];
	char words[128], got[32] = "", *save = NULL;
	size_t n = 0;

	snprintf(words, sizeof(words), "%s", users);
	for (char *p = strtok_r(words, " ", &save); p; p = strtok_r(NULL, " ", &save)) {
		char *slash = strchr(p, '/');

		list[n++] = (struct ph_uplink_user){ p, slash ? PH_IPV6 : PH_IPV4 };
		if (slash)
			*slash = '\0';
	}
	ph_reply_routes_done(&w->replies);
	assert_int_equal(ph_uplinks_decide(&w->uplinks, &w->view, list, n, answers, &w->replies),
			 0);
	for (size_t i = 0; i < n; i++) {
		static const char letters[] = { [PH_UPLINK_DEFAULT] = '-',
						[PH_UPLINK_NO_ROUTE] = '?',
						[PH_UPLINK_TOO_MANY] = '!' };
		bool numbered = answers[i].answer == PH_UPLINK_NUMBERED;

		assert_true(numbered ? answers[i].number >= 1 && answers[i].number <= 3
				     : answers[i].number == 0);
		assert_true(numbered || !answers[i].needed);
		w->needed[i] = answers[i].needed;
		got[i] = numbered ? (char)('0' + answers[i].number) : letters[answers[i].answer];
	}
	assert_string_equal(got, wanted);
}

/* "NUMBER FAMILY INTERFACE INDEX GATEWAY PREFIX..." of each route, one a line. */
static void assert_replies(const struct world *w, const char *wanted)
{
	char got[1024] = "", text[PH_ADDRESS_STRLEN];
	size_t at = 0;

	for (size_t i = 0; i < w->replies.n; i++) {
		const struct ph_reply_route *r = &w->replies.routes[i];

		at += (size_t)snprintf(got + at, sizeof(got) - at, "%u %d %s %d %s", r->number,
				       (int)r->family, r->interface, r->index,
				       r->gateway.family ? ph_address_format(&r->gateway, text)
							 : "-");
		for (size_t k = 0; k < r->n_locals; k++)
			at += (size_t)snprintf(got + at, sizeof(got) - at, " %s/%u",
					       ph_address_format(&r->locals[k].address, text),
					       r->locals[k].bits);
		at += (size_t)snprintf(got + at, sizeof(got) - at, "\n");
	}
	assert_string_equal(got, wanted);
}

static void test_need(void **state)
{
	struct world *w = *state;

	decide(w, "", "");
	decide(w, "dsl lte dsl/6", "???");
	route(w, "dsl", PH_IPV4, 100, "10.1.0.1");
	decide(w, "dsl lte dsl/6", "-??");
	assert_replies(w, "");
	/* The interface's own default route is worse, whatever the order. */
	route(w, "lte", PH_IPV4, 200, "10.2.0.1");
	decide(w, "dsl lte lte/6 nil", "-1??");
	assert_replies(w, "1 4 lte 2 10.2.0.1\n");
	/* It becomes the best, and keeps what it has: nobody notices. */
	w->routes[1].metric = 50;
	decide(w, "lte", "1");
	assert_replies(w, "1 4 lte 2 10.2.0.1\n");
	w->uplinks = (struct ph_uplinks){ 0 };
	decide(w, "lte", "-");
	assert_replies(w, "");
	/* Equally good: by turns. */
	w->routes[1].metric = 100;
	decide(w, "lte dsl", "12");
	/* Families are apart in what they need, and have one number. */
	route(w, "lte", PH_IPV6, 10, "fe80::1");
	decide(w, "lte dsl lte/6 dsl/6", "121?");
	w->uplinks = (struct ph_uplinks){ 0 };
	decide(w, "lte/6 dsl/6", "-?");
	/* IPv6's preference decides among equals. */
	route(w, "dsl", PH_IPV6, 10, "fe80::2");
	decide(w, "lte/6 dsl/6", "12");
	w->routes[3].preference = 1;
	w->uplinks = (struct ph_uplinks){ 0 };
	decide(w, "lte/6 dsl/6", "1-");
	assert_replies(w, "1 6 lte 2 fe80::1\n");
}

static void test_same_interface(void **state)
{
	struct world *w = *state;

	/* Two best ones, and both go by it. */
	route(w, "dsl", PH_IPV4, 1, "10.1.0.1");
	route(w, "dsl", PH_IPV4, 1, "10.1.0.2");
	route(w, "lte", PH_IPV4, 7, "10.2.0.9");
	route(w, "lte", PH_IPV4, 5, "10.2.0.1");
	decide(w, "dsl lte", "-1");
	/* The gateway is the better one's. */
	assert_replies(w, "1 4 lte 2 10.2.0.1\n");
	/* Nor does the other family's route share in it; but its interface has a number. */
	route(w, "lte", PH_IPV6, 1, "fe80::1");
	decide(w, "dsl lte lte/6", "-11");
}

/* What is not up does not count. */
static void test_down(void **state)
{
	struct world *w = *state;

	route(w, "cut", PH_IPV4, 1, "10.6.0.1");
	decide(w, "cut", "?");
	route(w, "dsl", PH_IPV4, 100, "10.1.0.1");
	decide(w, "dsl cut", "-?");
	route(w, "lte", PH_IPV4, 200, "10.2.0.1");
	decide(w, "dsl lte cut", "-1?");
	w->links[5].up = true;
	decide(w, "dsl lte cut", "21-");
	w->links[0].up = false;
	decide(w, "dsl lte cut", "?1-");
	/* An equally good one that is down takes nothing away. */
	w->routes[1].metric = 1;
	decide(w, "cut", "-");
	/* A route over an interface that is not there any more. */
	w->routes[1].index = 77;
	decide(w, "cut", "-");
}

static void test_numbers(void **state)
{
	struct world *w = *state;

	route(w, "dsl", PH_IPV4, 1, "");
	route(w, "lte", PH_IPV4, 2, "");
	route(w, "sat", PH_IPV4, 3, "");
	route(w, "fib", PH_IPV4, 4, "");
	route(w, "cab", PH_IPV4, 5, "");
	decide(w, "lte sat lte fib sat", "12132");
	assert_replies(w, "1 4 lte 2 -\n2 4 sat 3 -\n3 4 fib 4 -\n");
	/* The order of users does not move numbers, and a fourth gets none. */
	decide(w, "cab fib sat lte cab", "!321!");
	/* A short absence, of the users or of their link, gives nothing away. */
	decide(w, "lte fib", "13");
	decide(w, "fib sat lte", "321");
	w->links[2].up = false;
	decide(w, "lte sat fib", "1?3");
	w->links[2].up = true;
	decide(w, "lte sat fib", "123");
	/* The numbers of those without users are given first, then of those that need none. */
	w->routes[1].metric = 0;
	decide(w, "lte fib cab", "132");
	decide(w, "sat lte fib cab", "1-32");
	decide(w, "lte dsl sat fib cab", "-!132");
	decide(w, "", "");
	assert_replies(w, "");
}

/* A VPN over the default route: by routes that are nearer, or by rules. */

static void test_broad(void **state)
{
	struct world *w = *state;

	route(w, "dsl", PH_IPV4, 100, "10.1.0.1");
	route(w, "dsl", PH_IPV6, 100, "fe80::1");
	broad(w, "dsl", PH_IPV4, 1); /* its own */
	decide(w, "dsl dsl/6", "--");
	broad(w, "lte", PH_IPV6, 3);
	decide(w, "dsl dsl/6", "11");
	assert_true(w->needed[1] && !w->needed[0]);
	decide(w, "dsl/6", "1");
	assert_replies(w, "1 6 dsl 1 fe80::1\n");
	/* By an interface that is down, or gone, nothing goes. */
	w->uplinks = (struct ph_uplinks){ 0 };
	w->links[1].up = false;
	decide(w, "dsl dsl/6", "--");
	w->broad[1].index = 77;
	decide(w, "dsl dsl/6", "--");
	/* It is no way of the interface's own. */
	w->broad[1].index = 3;
	decide(w, "sat/6 dsl/6", "?1");
	/* Who had a number keeps it. */
	w->view.n_broad = 0;
	decide(w, "dsl/6", "1");
	assert_false(w->needed[0]);
}

static void test_rules(void **state)
{
	struct world *w = *state;

	route(w, "dsl", PH_IPV4, 1, "10.1.0.1");
	route(w, "dsl", PH_IPV6, 1, "fe80::1");
	route(w, "lte", PH_IPV4, 2, "");
	route(w, "sat", PH_IPV4, 3, "");
	route(w, "fib", PH_IPV4, 4, "");
	w->view.rules6 = true;
	decide(w, "dsl nil", "-?");
	decide(w, "dsl/6 dsl", "11");
	assert_replies(w, "1 4 dsl 1 10.1.0.1\n1 6 dsl 1 fe80::1\n");
	w->uplinks = (struct ph_uplinks){ 0 };
	w->view.rules6 = false;
	w->view.rules4 = true;
	decide(w, "dsl/6", "-");
	decide(w, "dsl lte", "21");
	assert_true(w->needed[1] && !w->needed[0]);
	assert_replies(w, "1 4 lte 2 -\n2 4 dsl 1 10.1.0.1\n");
	/* Who surely needs a number takes the last from who only may. */
	decide(w, "dsl lte sat", "213");
	decide(w, "dsl lte sat fib", "!132");
	w->uplinks = (struct ph_uplinks){ 0 };
	decide(w, "dsl lte sat fib", "!123");
	decide(w, "dsl sat fib", "123");
}

static void test_both_families(void **state)
{
	struct world *w = *state;

	route(w, "dsl", PH_IPV4, 1, "10.1.0.1");
	route(w, "dsl", PH_IPV6, 1, "fe80::1");
	route(w, "lte", PH_IPV6, 2, "fe80::2");
	route(w, "sat", PH_IPV4, 3, "");
	route(w, "sat", PH_IPV6, 3, "");
	decide(w, "sat/6 lte/6 sat", "121");
	assert_replies(w, "1 4 sat 3 -\n1 6 sat 3 -\n2 6 lte 2 fe80::2\n");
}

static void test_locals(void **state)
{
	struct world *w = *state;
	struct ph_reply_routes before;

	route(w, "dsl", PH_IPV4, 1, "10.1.0.1");
	route(w, "lte", PH_IPV4, 2, "10.2.0.1");
	route(w, "lte", PH_IPV6, 2, "fe80::2");
	route(w, "sat", PH_IPV6, 1, "fe80::3");
	has(w, "lte", "172.31.7.5", 12);
	has(w, "lte", "10.2.0.5", 23);
	has(w, "lte", "10.2.1.6", 23); /* the same prefix again */
	has(w, "lte", "10.2.0.7", 32); /* itself alone */
	has(w, "lte", "2001:db8:0:1f::5", 60);
	has(w, "lte", "fe80::5", 64);
	has(w, "dsl", "10.1.0.5", 24);
	decide(w, "lte/6 lte", "11");
	assert_replies(w, "1 4 lte 2 10.2.0.1 10.2.0.0/23 172.16.0.0/12\n"
			  "1 6 lte 2 fe80::2 2001:db8:0:10::/60\n");
	/* The order in which the kernel lists them changes nothing; anything else does. */
	before = w->replies;
	w->replies = (struct ph_reply_routes){ 0 };
	w->addresses[7] = w->addresses[0];
	w->addresses[0] = w->addresses[2];
	w->addresses[2] = w->addresses[7];
	decide(w, "lte/6 lte", "11");
	assert_true(ph_reply_routes_equal(&before, &w->replies));
	w->addresses[1].bits = w->addresses[0].bits = 24;
	decide(w, "lte/6 lte", "11");
	assert_false(ph_reply_routes_equal(&before, &w->replies));
	w->addresses[1].bits = w->addresses[0].bits = 23;
	w->routes[1].gateway.octets[3]++;
	decide(w, "lte/6 lte", "11");
	assert_false(ph_reply_routes_equal(&before, &w->replies));
	w->routes[1].gateway.octets[3]--;
	decide(w, "lte/6", "1");
	assert_false(ph_reply_routes_equal(&before, &w->replies));
	/* Made anew: another index. */
	w->links[1].index = w->routes[1].index = w->routes[2].index = 12;
	for (unsigned i = 0; i < 6; i++)
		w->addresses[i].index = 12;
	decide(w, "lte/6 lte", "11");
	assert_replies(w, "1 4 lte 12 10.2.0.1 10.2.0.0/23 172.16.0.0/12\n"
			  "1 6 lte 12 fe80::2 2001:db8:0:10::/60\n");
	assert_false(ph_reply_routes_equal(&before, &w->replies));
	ph_reply_routes_done(&before);
}

/* ---- who is outside ---- */

static void test_outside(void **state)
{
	static const char *const settings[] = { "auto",  "dsl",         "100.64.0.2",
						"vlan7", "2001:db8::2", "dsl" };
	struct world *w = *state;
	char(*outside)[PH_INTERFACE_MAX + 1];
	size_t n;

	route(w, "lte", PH_IPV4, 0, "100.65.0.1");
	route(w, "lte", PH_IPV6, 0, "");
	route(w, "cut", PH_IPV4, 2000, "100.66.0.1");
	broad(w, "sat", PH_IPV4, 1);
	assert_int_equal(ph_links_outside(&w->view, settings, 6, &outside, &n), 0);
	assert_int_equal(n, 5);
	assert_string_equal(outside[0], "lte");
	assert_string_equal(outside[1], "cut");
	assert_string_equal(outside[2], "sat");
	assert_string_equal(outside[3], "dsl");
	assert_string_equal(outside[4], "vlan7");
	free(outside);
}

static bool is_inside(struct world *w, const char *own, const char *text)
{
	static const char outside[][PH_INTERFACE_MAX + 1] = { "dsl" };
	const struct ph_address a = address(own), b = address(text);

	return ph_links_is_inside(&w->view, outside, 1, &a, &b);
}

static void test_public_address_inside(void **state)
{
	struct world *w = *state;

	has(w, "dsl", "203.0.113.2", 24);
	has(w, "fib", "192.168.10.1", 24);
	has(w, "cab", "10.0.0.1", 32);
	has(w, "fib", "fd00:10::1", 64);
	assert_true(is_inside(w, "203.0.113.2", "192.168.10.1"));
	assert_true(is_inside(w, "203.0.113.2", "192.168.10.77"));
	assert_true(is_inside(w, "203.0.113.2", "10.0.0.1"));
	assert_true(is_inside(w, "2001:db8::2", "fd00:10::50"));
	/* No NAT, and neighbours at the ISP. */
	assert_false(is_inside(w, "203.0.113.2", "203.0.113.2"));
	assert_false(is_inside(w, "203.0.113.2", "203.0.113.7"));
	assert_false(is_inside(w, "203.0.113.2", "192.168.11.1"));
	assert_false(is_inside(w, "203.0.113.2", "10.0.0.2"));
	assert_false(is_inside(w, "2001:db8::2", "2001:db8::3"));
	/* Another address of the machine's. */
	assert_true(is_inside(w, "100.64.0.2", "203.0.113.2"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_need),    TEST(test_same_interface),        TEST(test_down),
		TEST(test_numbers), TEST(test_both_families),         TEST(test_locals),
		TEST(test_outside), TEST(test_public_address_inside), TEST(test_broad),
		TEST(test_rules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
