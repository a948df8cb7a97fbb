/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What becomes of a configuration file that is right. */

#include "config_text.h"

#include <malloc.h>

static void assert_address(const struct ph_address *a, const char *text)
{
	char buf[PH_ADDRESS_STRLEN];

	assert_string_equal(ph_address_format(a, buf), text);
}

static void test_everything(void **state)
{
	struct ph_config c =
		good("[global]\ninterface = eth0\nstun = a, b:99\nstun=[2001:db8::1]:5\n"
		     "keepalive = k\ninterval = 1h\ndetect = 10m\nverify = 1d\n"
		     "mark = 0x10000000/0xf0000000\nfwmark = 0x66\n"
		     "[mapping web]\nprotocol = udp\ninterface = wan\nfamily = ipv6\n"
		     "stun = s1\nkeepalive = k1:8080, k2\ninterval = 1s\ndetect = 1\nverify = 5s\n"
		     "fwmark = 7\nbind = 8000~8010\nrotate = 30d\n"
		     "target = [2001:db8::50]:public\nenabled = no\n"
		     "hook = /a b/c\nhook = /d\nhook-events = change , up\nloopback = no\n"
		     "snat = yes\nallow = 2001:db8::/32, ::1\nallow = @/etc/allow\n"
		     "limit = 50/minute burst 9\nreply-route = no\npublish = w\n"
		     "[mapping plain]\nbind = 0\ntarget = none\n"
		     "[publish w]\ntype = webhook\nurl = https://h/\n",
		     2);
	const struct ph_config_mapping *m = mapping(&c, "web");

	(void)state;
	assert_string_equal(c.path, "/etc/pinhold.conf");
	assert_int_equal(c.plan.mark, 0x10000000);
	assert_int_equal(c.plan.mask, 0xf0000000);
	assert_int_equal(c.n_mappings, 2);
	assert_int_equal(m->core.proto, PH_UDP);
	assert_string_equal(m->interface, "wan");
	assert_int_equal(m->core.family, PH_IPV6);
	assert_int_equal(m->core.stun->n, 1);
	assert_string_equal(m->core.stun->items[0].host, "s1");
	assert_int_equal(m->core.stun->items[0].port, 3478);
	assert_int_equal(m->core.keepalive->n, 2);
	assert_int_equal(m->core.keepalive->items[0].port, 8080);
	assert_int_equal(m->core.keepalive->items[1].port, 80);
	assert_int_equal(m->core.interval_ms, 1000);
	assert_int_equal(m->detect_ms, 1000);
	assert_int_equal(m->core.verify_ms, 5000);
	assert_int_equal(m->fwmark, 7);
	assert_int_equal(m->core.bind_first, 8000);
	assert_int_equal(m->core.bind_last, 8010);
	assert_true(m->core.bind_random);
	assert_int_equal(m->rotate_ms, 2592000000);
	assert_int_equal(m->core.target.kind, PH_TARGET_ADDRESS);
	assert_int_equal(m->core.target.port, 0);
	assert_address(&m->core.target.address, "2001:db8::50");
	assert_false(m->enabled);
	assert_int_equal(m->n_hooks, 2);
	assert_string_equal(m->hooks[0].path, "/a b/c");
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(m->hooks[i].events,
				 1u << PH_ANNOUNCE_UP | 1u << PH_ANNOUNCE_CHANGE);
	assert_false(m->loopback);
	assert_true(m->snat);
	assert_false(m->reply_route);
	/* ::1, and a prefix that contains the file's */
	assert_int_equal(m->allowed->n, 2);
	assert_int_equal(m->allowed->family, PH_IPV6);
	assert_true(ph_prefixes_contain(m->allowed, &m->core.target.address));
	assert_int_equal(m->limit.rate, 50);
	assert_int_equal(m->limit.seconds, 60);
	assert_int_equal(m->limit.burst, 9);
	assert_int_equal(m->n_publish, 1);
	assert_string_equal(m->publish[0], "w");
	assert_int_equal(m->line, 11);

	m = mapping(&c, "plain");
	assert_string_equal(m->interface, "eth0");
	/* Of [global]'s servers, those that an IPv4 mapping can use. */
	assert_int_equal(m->core.stun->n, 2);
	assert_int_equal(m->core.stun->items[1].port, 99);
	assert_int_equal(m->core.interval_ms, 3600000);
	assert_int_equal(m->detect_ms, 600000);
	assert_int_equal(m->core.verify_ms, 86400000);
	assert_int_equal(m->fwmark, 0x66);
	assert_int_equal(m->core.bind_first, 32768);
	assert_int_equal(m->core.bind_last, 60999);
	assert_true(m->core.bind_random);
	assert_int_equal(m->core.target.kind, PH_TARGET_NONE);
	assert_null(m->allowed);
	assert_int_equal(m->limit.rate, 0);

	assert_int_equal(c.n_publishers, 1);
	assert_string_equal(c.publishers[0].name, "w");
	assert_int_equal(c.publishers[0].type, PH_PUBLISH_WEBHOOK);
	assert_int_equal(c.publishers[0].n_settings, 1);
	assert_string_equal(c.publishers[0].settings[0].key, "url");
	ph_config_done(&c);
}

static void test_defaults(void **state)
{
	struct ph_config c = good("[mapping t]\nbind = 1\ntarget = :2\nhook = /h\n"
				  "[mapping u]\nbind = 1\ntarget = :2\nprotocol = udp\n",
				  0);
	const struct ph_config_mapping *t = mapping(&c, "t"), *u = mapping(&c, "u");

	(void)state;
	assert_int_equal(c.plan.mark, PH_MARK_DEFAULT);
	assert_int_equal(c.plan.mask, PH_MASK_DEFAULT);
	assert_int_equal(t->core.proto, PH_TCP);
	assert_int_equal(t->core.family, PH_IPV4);
	assert_string_equal(t->interface, "auto");
	assert_int_equal(t->core.interval_ms, 30000);
	assert_int_equal(u->core.interval_ms, 10000);
	assert_int_equal(t->core.verify_ms, 60000);
	assert_int_equal(t->detect_ms, 5000);
	assert_int_equal(t->hooks[0].events, 7);
	assert_true(t->enabled && t->loopback && t->reply_route && !t->snat);
	assert_int_equal(t->rotate_ms, 0);
	assert_in_range(t->core.stun->n, 5, PH_SERVERS_MAX);
	assert_true(t->core.stun != u->core.stun);
	assert_ptr_equal(t->core.keepalive, u->core.keepalive);
	ph_config_done(&c);
}

static void test_publishers(void **state)
{
	struct ph_config c = good(
		P "webhook\nurl = https://h/${public_port}?t=${file:/etc/my token}\n"
		  "header = A: ${ip4p}\nheader = B: c\nmethod = PUT\n"
		  "body = {\"e\":\"${public_endpoint}\",\"a\":\"${public_address}\"}$\n"
		  "events = up, down\nca-file = /ca.pem\n"
		  "[publish dns]\nrecord = A h.example.com\ntype = cloudflare-dns\n"
		  "token-file = /t\nrecord = SRV _minecraft._tcp.example.com mc.example.com\n"
		  "record = TXT e.example.com port=${public_port}\nrecord = A *.example.com\n"
		  "zone = example.com\nttl = 1m\napi = http://[::1]:8787/client/v4\n"
		  "[publish kv]\ntype = cloudflare-kv\ntoken-file = /t\nkey = ${mapping}\n"
		  "account = 0123456789abcdef0123456789abcdef\n"
		  "namespace = 0123456789abcdef0123456789abcdef\nvalue = ${public_port}\n"
		  "[publish q]\ntype = qbittorrent\nurl = http://127.0.0.1:8080\n"
		  "[publish t]\ntype = transmission\nurl = http://[::1]:9091/transmission/rpc\n"
		  "username = u\npassword-file = /p\n",
		0);

	(void)state;
	assert_int_equal(c.n_publishers, 5);
	assert_int_equal(c.publishers[0].n_settings, 7);
	assert_string_equal(c.publishers[0].settings[2].value, "B: c");
	assert_int_equal(c.publishers[1].type, PH_PUBLISH_CLOUDFLARE_DNS);
	/* `type` is taken out; the others keep their order. */
	assert_int_equal(c.publishers[1].n_settings, 8);
	assert_string_equal(c.publishers[1].settings[0].key, "record");
	assert_string_equal(c.publishers[1].settings[1].key, "token-file");
	assert_int_equal(c.publishers[2].type, PH_PUBLISH_CLOUDFLARE_KV);
	assert_int_equal(c.publishers[3].type, PH_PUBLISH_QBITTORRENT);
	assert_int_equal(c.publishers[4].type, PH_PUBLISH_TRANSMISSION);
	ph_config_done(&c);
}

/* Equal lists are one, wherever they come from. */
static void test_shared_lists(void **state)
{
	struct ph_config c = good("[mapping a]\nbind = 1\ntarget = none\nstun = x, y\n"
				  "[mapping b]\nbind = 2\ntarget = none\nstun = x\nstun = y\n"
				  "[mapping c]\nbind = 3\ntarget = none\n"
				  "[mapping d]\nbind = 4\ntarget = none\nfamily = ipv6\n"
				  "[mapping e]\nbind = 5\ntarget = none\nstun = y, x\n"
				  "[global]\nstun = x, 192.0.2.1, y\n",
				  0);

	(void)state;
	assert_ptr_equal(mapping(&c, "a")->core.stun, mapping(&c, "b")->core.stun);
	/* What is left of [global]'s for IPv6 */
	assert_ptr_equal(mapping(&c, "a")->core.stun, mapping(&c, "d")->core.stun);
	assert_int_equal(mapping(&c, "a")->core.stun->references, 3);
	assert_int_equal(mapping(&c, "c")->core.stun->n, 3);
	assert_true(mapping(&c, "a")->core.stun != mapping(&c, "e")->core.stun);
	ph_config_done(&c);
}

/* A thousand mappings that inherit all they can. */
static void test_thousand(void **state)
{
	static char text[200000];
	size_t len = (size_t)snprintf(text, sizeof(text), "[global]\nstun = a, b, c\n");
	struct ph_config c;

	(void)state;
	for (unsigned i = 0; i < 1000; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len,
					"[mapping m%u]\nbind = %u\ntarget = 192.168.1.9:%u\n"
					"hook = /etc/pinhold/on-change\n",
					i, 10000 + i, 10000 + i);
	c = good(text, 0);
	assert_int_equal(c.n_mappings, 1000);
	assert_int_equal(c.mappings[0]->core.stun->references, 1000);
	assert_int_equal(c.mappings[999]->core.bind_first, 10999);
	/* The mapping, its hook and the hook's path; the lists are shared. */
	assert_true(malloc_usable_size(c.mappings[0]) + malloc_usable_size(c.mappings[0]->hooks) +
			    malloc_usable_size(c.mappings[0]->hooks[0].path) + sizeof(void *) <
		    600);
	ph_config_done(&c);
}

static void test_too_many(void **state)
{
	static char text[400000];
	static struct said said;
	struct ph_config config;
	size_t len = 0;

	(void)state;
	for (unsigned i = 0; i <= PH_MAPPINGS_MAX; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len,
					"[mapping m%u]\nbind = 0\ntarget = none\n", i);
	assert_int_equal(parse(text, len, &said, &config), -EINVAL);
	assert_int_equal(said.n, 1);
	assert_int_equal(said.items[0].line, 3 * PH_MAPPINGS_MAX + 1);
	assert_non_null(strstr(said.items[0].text, "4096 are the most"));
}

/* Each setting for itself: the same file with one more line in the mapping. */
static void test_compare(void **state)
{
	static const struct {
		const char *line;
		enum ph_config_step step;
	} cases[] = {
		{ "\n# another line number\n", PH_CONFIG_SAME },
		{ "protocol = tcp\nfamily = ipv4\nenabled = yes\nloopback = yes\n",
		  PH_CONFIG_SAME },
		{ "interface = auto\ninterval = 30s\ndetect = 5s\nverify = 60s\n", PH_CONFIG_SAME },
		{ "protocol = udp\ninterval = 30\n", PH_CONFIG_RESTART },
		{ "family = ipv6\n", PH_CONFIG_RESTART },
		{ "enabled = no\n", PH_CONFIG_RESTART },
		{ "interface = wan\n", PH_CONFIG_ADAPT },
		{ "stun = a\n", PH_CONFIG_ADAPT },
		{ "keepalive = a\n", PH_CONFIG_ADAPT },
		{ "interval = 31\n", PH_CONFIG_ADAPT },
		{ "detect = 6\n", PH_CONFIG_ADAPT },
		{ "verify = 61\n", PH_CONFIG_ADAPT },
		{ "fwmark = 1\n", PH_CONFIG_ADAPT },
		{ "rotate = 1h\n", PH_CONFIG_ADAPT },
		{ "hook = /a\n", PH_CONFIG_ADAPT },
		{ "loopback = no\n", PH_CONFIG_ADAPT },
		{ "snat = yes\n", PH_CONFIG_ADAPT },
		{ "allow = 10.0.0.0/8\n", PH_CONFIG_ADAPT },
		{ "allow = @/etc/allow\n", PH_CONFIG_ADAPT },
		{ "limit = 1/day\n", PH_CONFIG_ADAPT },
		{ "reply-route = no\n", PH_CONFIG_ADAPT },
		{ "publish = w\n", PH_CONFIG_ADAPT },
	};
	static const char head[] = "[publish w]\ntype = webhook\nurl = http://h\n[mapping m]\n"
				   "bind = 8000-8010\ntarget = :443\n";
	static struct said said;
	struct ph_config a, b;
	char text[400];

	(void)state;
	assert_int_equal(parse(head, strlen(head), &said, &a), 0);
	for (size_t i = 0; i < N(cases); i++) {
		snprintf(text, sizeof(text), "%s%s", head, cases[i].line);
		assert_int_equal(parse(text, strlen(text), &said, &b), 0);
		if (ph_config_mapping_compare(a.mappings[0], b.mappings[0]) != cases[i].step ||
		    ph_config_mapping_compare(b.mappings[0], a.mappings[0]) != cases[i].step)
			fail_msg("%s", cases[i].line);
		assert_int_equal(ph_config_mapping_compare(b.mappings[0], b.mappings[0]),
				 PH_CONFIG_SAME);
		ph_config_done(&b);
	}
	ph_config_done(&a);
}

static void compare(const char *x, const char *y, enum ph_config_step step)
{
	static struct said said;
	struct ph_config a, b;
	char text[200];

	snprintf(text, sizeof(text), "[mapping m]\n%s", x);
	assert_int_equal(parse(text, strlen(text), &said, &a), 0);
	snprintf(text, sizeof(text), "[mapping m]\n%s", y);
	assert_int_equal(parse(text, strlen(text), &said, &b), 0);
	assert_int_equal(ph_config_mapping_compare(a.mappings[0], b.mappings[0]), step);
	ph_config_done(&a);
	ph_config_done(&b);
}

static void test_compare_pairs(void **state)
{
	(void)state;
	compare("bind = 1\ntarget = none\n", "bind = 2\ntarget = none\n", PH_CONFIG_RESTART);
	compare("bind = 1-5\ntarget = none\n", "bind = 1-6\ntarget = none\n", PH_CONFIG_RESTART);
	compare("bind = 1-5\ntarget = none\n", "bind = 1~5\ntarget = none\n", PH_CONFIG_RESTART);
	compare("bind = 1\ntarget = :5\n", "bind = 1\ntarget = :6\n", PH_CONFIG_ADAPT);
	compare("bind = 1\ntarget = 192.0.2.1:5\n", "bind = 1\ntarget = 192.0.2.1:public\n",
		PH_CONFIG_ADAPT);
	compare("bind = 1\ntarget = 192.0.2.1:5\n", "bind = 1\ntarget = 192.0.2.2:5\n",
		PH_CONFIG_ADAPT);
	compare("bind = 1\ntarget = 192.0.2.1:5\n", "bind = 1\ntarget = 192.0.2.1:6\n",
		PH_CONFIG_ADAPT);
	compare("bind = 1\ntarget = none\nhook = /a\n",
		"bind = 1\ntarget = none\nhook = /a\nhook-events = up\n", PH_CONFIG_ADAPT);
	compare("bind = 1\ntarget = none\nstun = a\n", "bind = 1\ntarget = none\nstun = a:1\n",
		PH_CONFIG_ADAPT);
	compare("bind = 1\ntarget = none\nstun = a, b\n", "bind = 1\ntarget = none\nstun = b, a\n",
		PH_CONFIG_ADAPT);
	compare("bind = 1\ntarget = none\nallow = 10.0.0.0/8\n",
		"bind = 1\ntarget = none\nallow = 10.0.0.0/9\n", PH_CONFIG_ADAPT);
	/* What counts is who is let in, however it is written. */
	compare("bind = 1\ntarget = none\nallow = 10.0.0.0/8\n",
		"bind = 1\ntarget = none\nallow = 10.128.0.0/9, 10.0.0.0/9\n", PH_CONFIG_SAME);
	compare("bind = 1\ntarget = none\nallow = 10.0.0.0/8\n",
		"bind = 1\ntarget = none\nallow = @/etc/allow\n", PH_CONFIG_SAME);
}

/* A service of this machine comes to the bind port, or leaves it. */
static void test_compare_identity(void **state)
{
	(void)state;
	compare("bind = 5\ntarget = none\n", "bind = 5\ntarget = :6\n", PH_CONFIG_RESTART);
	compare("bind = 5\ntarget = :5\n", "bind = 5\ntarget = :6\n", PH_CONFIG_RESTART);
	compare("bind = 5\ntarget = :6\n", "bind = 5\ntarget = :5\n", PH_CONFIG_RESTART);
	/* One that follows may come to be the bind port. */
	compare("bind = 5\ntarget = :5\n", "bind = 5\ntarget = :public\n", PH_CONFIG_ADAPT);
	compare("bind = 5\ntarget = :6\n", "bind = 5\ntarget = :public\n", PH_CONFIG_RESTART);
	compare("bind = 5\ntarget = none\n", "bind = 5\ntarget = 192.0.2.1:5\n", PH_CONFIG_RESTART);
	compare("bind = 5\ntarget = :5\n", "bind = 5\ntarget = 192.0.2.1:5\n", PH_CONFIG_RESTART);
	compare("bind = 5\ntarget = none\n", "bind = 5\ntarget = :5\n", PH_CONFIG_ADAPT);
	compare("bind = 5\ntarget = :4\n", "bind = 5\ntarget = :6\n", PH_CONFIG_ADAPT);
	compare("bind = 5\ntarget = :4\n", "bind = 5\ntarget = 192.0.2.1:5\n", PH_CONFIG_ADAPT);
	/* Of a range, the ends too; which of them is bound is not known here. */
	compare("bind = 5-9\ntarget = :4\n", "bind = 5-9\ntarget = :5\n", PH_CONFIG_RESTART);
	compare("bind = 5-9\ntarget = :10\n", "bind = 5-9\ntarget = :9\n", PH_CONFIG_RESTART);
	compare("bind = 5-9\ntarget = :6\n", "bind = 5-9\ntarget = :7\n", PH_CONFIG_RESTART);
	compare("bind = 5-9\ntarget = :6\n", "bind = 5-9\ntarget = none\n", PH_CONFIG_RESTART);
	compare("bind = 5-9\ntarget = :4\n", "bind = 5-9\ntarget = :10\n", PH_CONFIG_ADAPT);
	compare("bind = 5-9\ntarget = none\n", "bind = 5-9\ntarget = none\nloopback = no\n",
		PH_CONFIG_ADAPT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_everything),       cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_publishers),       cmocka_unit_test(test_shared_lists),
		cmocka_unit_test(test_thousand),         cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_compare),          cmocka_unit_test(test_compare_pairs),
		cmocka_unit_test(test_compare_identity),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
