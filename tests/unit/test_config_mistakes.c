/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is wrong with a configuration file, or without effect, and in which line. */

#include "config_text.h"

/* Four lines */
#define LOOP(interface, bind, target) \
	"[mapping m]\ninterface = " interface "\nbind = " bind "\ntarget = " target "\n"

/* Four mappings on four uplinks, in 16 lines, and no section of the name m. */
#define UPLINK(n, port) "[mapping " n "]\nbind = " port "\ntarget = none\ninterface = " n "\n"
#define UPLINKS         UPLINK("w1", "11") UPLINK("w2", "12") UPLINK("w3", "13") UPLINK("w4", "14")

static const struct mistake {
	const char *text;
	unsigned line;
	const char *piece;
} mistakes[] = {
	/* The file */
	{ "", 0, "no section [mapping NAME]" },
	{ "# nothing\n", 0, "no section [mapping NAME]" },
	{ "[global]\ninterval = 3\n", 0, "nothing to hold" },

	/* Lines */
	{ M "nonsense\n", 4, "neither [SECTION] nor KEY = VALUE" },
	{ M "=\n", 4, "key before the = is missing" },
	{ M "= x\n", 4, "key before the = is missing" },
	{ M "family: ipv4\n", 4, "write KEY = VALUE" },
	{ M "stun: a = b\n", 4, "write KEY = VALUE" },
	{ M "snat\x01 = no\n", 4, "control character" },
	{ M "fwmark = \x7f\n", 4, "control character" },
	{ M "fwmark = 1\r0\n", 4, "control character" },
	{ M "snat =\n", 4, "snat has no value" },
	{ M "snat = # no\n", 4, "snat has no value" },
	{ M "snat = \"\"\n", 4, "snat has no value" },
	{ M "snat = \"no\n", 4, "quote that is not closed" },
	{ M "snat = \"no\" x\n", 4, "behind the closing quote" },
	{ M "snat = \"n\\o\"\n", 4, "backslash" },
	{ M "family = ipv4\n  ipv6\n", 5, "continues family, which has one value" },
	{ M "family = ipv4\n  snat = no\n", 5, "begins with white space" },
	{ "[mapping m]\n bind = 1\ntarget = none\n nonsense\n", 4, "continues target" },
	{ "[mapping m]\n nonsense\nbind = 1\ntarget = none\n", 2, "neither [SECTION]" },
	{ "[mapping m]\n family: ipv4\nbind = 1\ntarget = none\n", 2, "neither [SECTION]" },

	/* Sections */
	{ "bind = 1\n" M, 1, "before the first section" },
	{ M "[globl]\ninterval = 3\n", 4, "did you mean [global]?" },
	{ M "[Mapping x]\n", 4, "did you mean [mapping NAME]?" },
	{ M "[natmap x]\n", 4, "unknown section [natmap x]" },
	{ M "[]\n", 4, "unknown section []; there are [global]" },
	{ M "[global\n", 4, "[ without ]" },
	{ M "[global] x\nbind = 5\n", 4, "behind the ]" },
	{ M "[global x]\n", 4, "[global] has no name" },
	{ M "[global]\n[global]\n", 5, "line 4 already" },
	{ M "[mapping]\nbind = 2\ntarget = none\n", 4, "[mapping] needs a name" },
	{ M "[mapping 8443]\nbind = 2\ntarget = none\n", 4, "\"8443\" does not begin" },
	{ M "[mapping a b]\nbind = 2\ntarget = none\n", 4, "a character other than letters" },
	{ M "[mapping a12345678901234567890123456789012]\nbind = 2\ntarget = none\n", 4,
	  "longer than 32" },
	{ M "[mapping m]\nbind = 2\ntarget = none\n", 4, "line 1 already" },
	{ M "[mapping x1234567890123456789012345678901234567890123456789012345678901234567890"
	    "1234567890123456789012345678901234567890123456789012345678901234567890123]\n",
	  4, "unknown section" },
	{ "[mapping m]\ntarget = none\n", 1, "write bind = PORT" },
	{ "[mapping m]\nbind = 1\n", 1, "target = none" },

	/* Keys */
	{ M "intervall = 3\n", 4, "did you mean \"interval\"?" },
	{ M "bnd = 3\n", 4, "did you mean \"bind\"?" },
	{ M "colour = red\n", 4, "unknown key \"colour\" in [mapping NAME]; pinhold.conf(5)" },
	{ M "snat = no\ncolour = red\n green\n", 5, "unknown key" },
	{ M "\xff = red\n", 4, "unknown key \"?\"" },
	{ M "k23456789012345678901234567890123456789012345678901 = 1\n", 4, "too long to be one" },
	{ M "mark = 0x1/0xf\n", 4, "does not belong into [mapping NAME], but into [global]" },
	{ M "[global]\nbind = 2\n", 5, "does not belong into [global], but into [mapping NAME]" },
	{ M "bind = 1\n", 4, "given in line 2 already" },
	{ M "snat = no\nsnat = no\n", 5, "given in line 4 already" },
	{ M "[global]\ninterval = 3\n[mapping x]\nbind = 2\ntarget = none\ninterval = 4\n"
	    "interval = 4\n",
	  10, "line 9 already" },

	/* Their values */
	{ M "interface = a b\n", 4, "neither auto, an interface's name" },
	{ M "interface = 2001:db8::1\n", 4, "IPv6 address, the mapping is IPv4" },
	{ M "[global]\ninterface = 2001:db8::1\n", 1, "interface in [global] is an IPv6" },
	{ M "stun = a b\n", 4, "\"a b\" is not HOST" },
	{ M "stun = a:0\n", 4, "is not HOST" },
	{ M "stun = a:0x50\n", 4, "is not HOST" },
	{ M "stun = a,,b\n", 4, "missing beside a comma" },
	{ M "stun = a,\n", 4, "missing beside a comma" },
	{ M "stun = a, A:3478\n", 4, "listed twice" },
	{ M "stun = a\nstun = b\n  a\n", 6, "listed twice" },
	{ M "stun = 300.1.1.1\n", 4, "is not HOST" },
	{ M "stun = a\nstun = 2001:db8::1\n", 5, "stun: 2001:db8::1 is an IPv6 address" },
	{ M "keepalive = [2001:db8::1]:80\n", 4, "keepalive: 2001:db8::1 is an IPv6 address" },
	{ M "[global]\nstun = 2001:db8::1\n", 1, "stun in [global] names only IPv6" },
	{ M "stun = a1,a2,a3,a4,a5,a6,a7,a8,a9,b1,b2,b3,b4,b5,b6,b7\nstun = b8\n", 5,
	  "16 servers are the most" },
	{ M "interval = 0\n", 4, "\"0\" is not in the range from 1s to 1h" },
	{ M "interval = 3601\n", 4, "from 1s to 1h" },
	{ M "interval = 99999999999999999999d\n", 4, "from 1s to 1h" },
	{ M "interval = -1\n", 4, "is not a duration from 1s to 1h (30 or 30s, 5m, 6h, 1d)" },
	{ M "interval = 5 s\n", 4, "is not a duration" },
	{ M "detect = 0s\n", 4, "from 1s to 10m" },
	{ M "detect = 11m\n", 4, "from 1s to 10m" },
	{ M "verify = 4\n", 4, "from 5s to 1d" },
	{ M "verify = 2d\n", 4, "from 5s to 1d" },
	{ M "fwmark = 0x100000000\n", 4, "from 0 to 4294967295" },
	{ M "fwmark = red\n", 4, "from 0x0 to 0xffffffff" },
	{ M "fwmark = 0x01000000\n", 4,
	  "fwmark: 0x01000000 has bits of mark's mask 0x0f000000, which pinhold needs itself: choose others" },
	{ M "[global]\nfwmark = 0x66\nmark = 0x40/0xf0\n", 5, "fwmark: 0x00000066 has bits" },
	{ M "[global]\nmark = 0x3/0xf\n", 5, "exactly one bit" },
	{ M "[global]\nmark = 0x10/0xf\n", 5, "its mask does not contain" },
	{ M "[global]\nmark = 0x1/0x7\n", 5,
	  "fewer than four bits; pinhold needs the one before the slash and three more, as in 0x08000000/0x0f000000" },
	{ M "[global]\nmark = 0x1\n", 5, "is not BIT/MASK" },
	{ M "protocol = TCP\n", 4, "neither tcp nor udp" },
	{ M "family = 4\n", 4, "neither ipv4 nor ipv6" },
	{ M "enabled = true\n", 4, "neither yes nor no" },
	{ M "reply-route = yes\n", 4, "neither auto nor no" },
	{ "[mapping m]\nbind = 65536\ntarget = none\n", 2, "is no port: give 1 to 65535" },
	{ "[mapping m]\nbind = 0x10\ntarget = none\n", 2, "is no port" },
	{ "[mapping m]\nbind = -1\ntarget = none\n", 2, "is no port" },
	{ "[mapping m]\nbind = 1x\ntarget = none\n", 2, "is no port" },
	{ "[mapping m]\nbind = 00\ntarget = none\n", 2, "is no port" },
	{ "[mapping m]\nbind = 9-8\ntarget = none\n", 2, "first port above its last" },
	{ "[mapping m]\nbind =\ntarget = none\n", 2, "bind has no value" },
	{ "[mapping m]\nbind = 1\ntarget = nas:443\n", 3, "is not ADDR:PORT" },
	{ "[mapping m]\nbind = 1\ntarget = 192.0.2.1\n", 3, "has no port" },
	{ "[mapping m]\nbind = 1\ntarget = [::1]:1\nfamily = ipv6\n", 3, "no route_localnet" },
	{ LOOP("192.0.2.1", "8443", "192.0.2.1:8443"), 4,
	  "192.0.2.1:8443 is where this mapping's connections arrive, a loop: for a service on this machine write target = :8443" },
	{ LOOP("192.0.2.1", "8000-9000", "192.0.2.1:8443"), 4, "a loop" },
	{ LOOP("192.0.2.1", "0", "192.0.2.1:40000"), 4, "a loop" },
	{ "[global]\ninterface = 2001:db8::1\n[mapping m]\nbind = 1\ntarget = [2001:db8:0::1]:1\n"
	  "family = ipv6\n",
	  5, "[2001:db8::1]:1 is where" },
	{ UPLINKS M "interface = w5\n[mapping n]\nbind = 9\ntarget = none\ninterface = w6\n", 20,
	  "interface: w5 is one uplink too many" },
	{ "[global]\ninterface = w5\n" UPLINKS M, 19, "reply-route = no here" },
	{ "[mapping m]\nbind = 1\ntarget = [2001:db8::1]:1\n", 3,
	  "IPv6 address, the mapping is IPv4" },
	{ "[mapping m]\nbind = 1\ntarget = 192.0.2.1:1\nfamily = ipv6\n", 3,
	  "IPv4 address, the mapping is IPv6" },
	{ M "rotate = 6h\n", 4, "rotate needs several ports" },
	{ "[mapping m]\nbind = 1-2\ntarget = none\nrotate = 59\n", 4, "from 1m to 30d" },
	{ "[mapping m]\nbind = 1-2\ntarget = none\nrotate = 31d\n", 4, "from 1m to 30d" },
	{ M "hook = bin/x\n", 4, "is not an absolute path" },
	{ M "hook = /a, b\nhook = /no/hook\n", 5, "\"/no/hook\" does not exist" },
	{ M "hook = /a\nhook = /a\n", 5, "listed twice" },
	{ M "hook=/1\n /2\n /3\n /4\n /5\n /6\n /7\n /8\n /9\n", 12, "8 hooks are the most" },
	{ M "hook-events = up\n", 4, "needs a hook" },
	{ M "hook = /a\nhook-events = up, sideways\n", 5, "up, change and down" },
	{ M "hook = /a\nhook-events = up, up\n", 5, "each at most once" },
	{ M "hook = /a\nhook-events = up,\n", 5, "up, change and down" },
	{ M "hook = /a\nhook-events = up change\n", 5, "up, change and down" },
	{ M "loopback = auto\n", 4, "neither yes nor no" },
	{ M "allow = 10.0.0.1/8\n", 4, "write 10.0.0.0/8" },
	{ M "allow = 10.0.0.0/33\n", 4, "has more bits than an IPv4 address (32)" },
	{ M "family = ipv6\nallow = 2001:db8::/129\n", 5,
	  "has more bits than an IPv6 address (128)" },
	{ M "allow = 10.0.0.0/255.0.0.0\n", 4, "has a netmask: write the number of bits" },
	{ M "allow = 10.0.0.1-10.0.0.9\n", 4, "is a range: write prefixes" },
	{ M "allow = cn.txt\n", 4,
	  "\"cn.txt\" is not ADDR/BITS or ADDR (names are not looked up; a file is written @/PATH)" },
	{ M "allow = my-host/24\n", 4, "is not ADDR/BITS or ADDR (names" },
	{ M "allow = ::/0\n", 4, "IPv6 address, the mapping is IPv4" },
	{ M "allow = 10.0.0.0/8\n  ::1\n", 5, "allow: ::1 is an IPv6 address" },
	{ M "allow = @list\n", 4, "not an absolute path" },
	{ M "allow = @/no/list\n", 4, "allow: /no/list does not exist: create it" },
	{ M "limit = 5\n", 4,
	  "\"5\" is not RATE/UNIT [burst N], as in 50/second burst 100 (UNIT: second, minute, hour or day; numbers: 1 to 1000000)" },
	{ M "limit = no\n", 4, "leave limit out for no limit" },
	{ M "limit = none\n", 4, "leave limit out for no limit" },
	{ M "publish = p\n", 4, "no section [publish p]" },
	{ M "publish = a b\n", 4, "a character other than letters" },
	{ P "qbittorrent\nurl = http://h\n[mapping x]\nbind = 2\ntarget = none\npublish = p\n"
	    "publish = p\n",
	  11, "listed twice" },
	{ M "[mapping x]\nbind = 1\ntarget = none\n", 5,
	  "tcp port 1 on the same interface belongs to [mapping m] in line 1 already" },
	{ M "[global]\ninterface = w\n[mapping x]\nbind = 1\ntarget = none\ninterface = w\n", 7,
	  "belongs to [mapping m]" },

	/* Publishers */
	{ M "[publish p]\nurl = http://h\n", 4, "no type; there are webhook, cloudflare-dns" },
	{ P "webhok\n", 5, "\"webhok\" is none of webhook" },
	{ P "webhook\n", 4, "no url, which the type webhook needs" },
	{ P "webhook\nurl = https://h\n[publish p]\ntype = webhook\nurl = https://h\n", 7,
	  "line 4 already" },
	{ M "[publish 1]\ntype = webhook\nurl = http://h\n", 4, "does not begin with a letter" },
	{ M "[publish]\ntype = webhook\nurl = http://h\n", 4, "[publish] needs a name" },
	{ P "webhook\nurl = ftp://h\n", 6, "is not an http:// or https:// URL" },
	{ P "webhook\nurl = https:///x\n", 6, "is not an http:// or https:// URL" },
	{ P "webhook\nurl = https://h/a b\n", 6, "as %XX" },
	{ P "webhook\nurl = https://h/${public_prt}\n", 6, "did you mean ${public_port}?" },
	{ P "webhook\nurl = https://h\nurl = https://i\n", 7, "url was given in line 6 already" },
	{ P "webhook\nurl = https://h\nbodyy = x\n", 7,
	  "unknown key \"bodyy\" for a publisher of type webhook; did you mean \"body\"?" },
	{ P "webhook\nurl = https://h\ntoken-file = /x\n", 7, "unknown key \"token-file\"" },
	{ P "webhook\nurl = https://h\nbody = ${nonsense_at_all}\n", 7,
	  "there are public_address" },
	{ P "webhook\nurl = https://h\nbody = ${public_port\n", 7, "${ without }" },
	{ P "webhook\nurl = https://h\nbody = ${file:x}\n", 7, "does not begin with a slash" },
	{ P "webhook\nurl = https://h\nbody = a\n b\n", 8, "continues body" },
	{ P "webhook\nurl = https://h\nmethod = post\n", 7, "none of GET, POST" },
	{ P "webhook\nurl = https://h\nheader = A b: c\n", 7, "is not NAME: VALUE" },
	{ P "webhook\nurl = https://h\nheader = : c\n", 7, "is not NAME: VALUE" },
	{ P "webhook\nurl = https://h\nheader = A: ${x}\n", 7, "variable ${x} is not known" },
	{ P "webhook\nurl = https://h\nbody = a\xff\n", 7, "is not UTF-8" },
	{ P "webhook\nurl = https://h\nevents = up, gone\n", 7,
	  "is not a list of up, change and down" },
	{ P "webhook\nurl = https://h\nevents = up, up\n", 7,
	  "is not a list of up, change and down" },
	{ P "webhook\nurl = https://h\nca-file = ca.pem\n", 7, "is not an absolute path" },
	{ P "cloudflare-dns\ntoken-file = /t\nrecord = A h.example\napi = https://h/${mapping}\n",
	  8, "does not know" },
	{ P "qbittorrent\nurl = http://h:8080\napi = https://h\n", 7, "unknown key \"api\"" },
	{ P "cloudflare-dns\nrecord = A h.example\n", 4, "no token-file" },
	{ P "cloudflare-dns\ntoken-file = /t\n", 4, "no record" },
	{ P "cloudflare-dns\ntoken-file = t\nrecord = A h.example\n", 6, "absolute path" },
	{ P "cloudflare-dns\ntoken-file = /t\nrecord = MX h.example\n", 7, "is not TYPE NAME" },
	{ P "cloudflare-dns\ntoken-file = /t\nrecord = A\n", 7, "is not TYPE NAME" },
	{ P "cloudflare-dns\ntoken-file = /t\nrecord = A h.example x\n", 7, "behind the record" },
	{ P "cloudflare-dns\ntoken-file = /t\nrecord = SRV _a._tcp.example\n", 7, "SRV NAME HOST" },
	{ P "cloudflare-dns\ntoken-file = /t\nrecord = A 192.0.2.1\n", 7, "is not TYPE NAME" },
	{ P "cloudflare-dns\ntoken-file = /t\nrecord = A h.example\nttl = 3s\n", 8,
	  "from 1m to 1d" },
	{ P "cloudflare-dns\ntoken-file = /t\nrecord = A h.example\nzone = a b\n", 8,
	  "is not a domain name" },
	{ P "cloudflare-kv\ntoken-file = /t\naccount = 1\n"
	    "namespace = 0123456789abcdef0123456789abcdef\nkey = k\n",
	  7, "32 hexadecimal digits" },
	{ P "qbittorrent\nurl = http://h:8080\nusername = x\n", 4, "go together" },
	{ P "transmission\nurl = http://h:9091/${mapping}\n", 6, "does not know" },
};

static void test_mistakes(void **state)
{
	static struct said said;

	(void)state;
	for (size_t i = 0; i < N(mistakes); i++) {
		const struct mistake *m = &mistakes[i];
		struct ph_config config = { .n_mappings = 77 };
		size_t k = 0;

		assert_int_equal(parse(m->text, strlen(m->text), &said, &config), -EINVAL);
		assert_int_equal(config.n_mappings, 77);
		while (k < said.n && !said.items[k].mistake)
			k++;
		if (said.mistakes != 1 || said.items[k].line != m->line ||
		    !strstr(said.items[k].text, m->piece)) {
			for (k = 0; k < said.n; k++)
				print_message("%u: %s\n", said.items[k].line, said.items[k].text);
			fail_msg("expected %u: %s, of\n%s", m->line, m->piece, m->text);
		}
	}
}

/* All in one go, in the file's order, and not without end. */
static void test_many_mistakes(void **state)
{
	static char text[20000];
	static struct said said;
	struct ph_config config;
	size_t len = 0;

	(void)state;
	for (unsigned i = 0; i < 120; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "stray%u\n", i);
	assert_int_equal(parse(text, len, &said, &config), -EINVAL);
	assert_int_equal(said.n, 51);
	for (unsigned i = 0; i < 50; i++)
		assert_int_equal(said.items[i].line, i + 1);
	/* 120, and that there is no mapping */
	assert_string_equal(said.items[50].text, "... and 71 more mistakes");
	assert_int_equal(said.items[50].line, 0);
	assert_true(said.items[50].mistake);
}

/* pinhold-publish takes so much and no more. */
static void test_long_publisher(void **state)
{
	static char text[40000] = P "webhook\nurl = http://h\n";
	static struct said said;
	struct ph_config config;
	size_t len = strlen(text);

	(void)state;
	for (unsigned i = 0; i < 14; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "header = A: %02000d\n", 1);
	assert_int_equal(parse(text, len, &said, &config), 0);
	ph_config_done(&config);
	len += (size_t)snprintf(text + len, sizeof(text) - len, "header = A: %02000d\n", 1);
	assert_int_equal(parse(text, len, &said, &config), -EINVAL);
	assert_int_equal(said.mistakes, 1);
	len = said.items[0].mistake ? 0 : 1;
	assert_int_equal(said.items[len].line, 4);
	assert_non_null(strstr(said.items[len].text, "longer than 28672 octets together"));
}

/* Keys and names are foreign text too; report() looks at every octet. */
static void test_foreign_text(void **state)
{
	static const char *const texts[] = {
		P "webhook\nurl = http://h\nk\te = 1\nk\te = 2\n k\n",
		M "k\te = 1\n [x]\n[a\tb\t c]\n[mapping a\tb]\n[publish a\tb]\nk\te =\n",
		M "stun = a\tb\nallow = a\tb, @a\tb\nhook = a\tb\nhook-events = a\tb\n",
	};
	static struct said said;
	struct ph_config config;

	(void)state;
	for (size_t i = 0; i < N(texts); i++) {
		assert_int_equal(parse(texts[i], strlen(texts[i]), &said, &config), -EINVAL);
		assert_true(said.mistakes >= 3);
	}
}

/* The one notice of a case and where it stands. */
static void test_notices(void **state)
{
	static const struct {
		const char *text;
		unsigned line;
		const char *piece;
	} cases[] = {
		{ M "protocol = udp\ndetect = 5s\n", 5, "detect concerns TCP alone" },
		{ M "protocol = udp\nkeepalive = a\n", 5, "keepalive concerns TCP alone" },
		{ "[mapping m]\nbind = 1\nsnat = yes\ntarget = :2\n", 3,
		  "snat has no effect: the target is this machine" },
		{ "[mapping m]\nbind = 1\ntarget = 127.0.0.2:2\nsnat = yes\n", 4,
		  "snat has no effect" },
	};
	static struct said said;

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		struct ph_config config;

		assert_int_equal(parse(cases[i].text, strlen(cases[i].text), &said, &config), 0);
		assert_int_equal(said.n, 1);
		assert_false(said.items[0].mistake);
		assert_int_equal(said.items[0].line, cases[i].line);
		assert_non_null(strstr(said.items[0].text, cases[i].piece));
		ph_config_done(&config);
	}
}

/* Things that look like a clash and are none. */
/* What has its effect is taken without a word. */
static void test_no_notice(void **state)
{
	struct ph_config c = good(M "loopback = yes\nsnat = yes\nallow = 10.0.0.0/8, @/etc/allow\n"
				    "limit = 1/day\nreply-route = auto\npublish = w\n"
				    "[publish w]\ntype = webhook\nurl = http://h\n",
				  0);

	(void)state;
	ph_config_done(&c);
}

/* Things that look like a loop, or like too many uplinks, and are none. */
static void test_no_loop(void **state)
{
	static const char *const texts[] = {
		LOOP("192.0.2.1", "8443", ":8443"),
		LOOP("192.0.2.1", "8443", "192.0.2.1:8442"),
		LOOP("192.0.2.1", "8443", "192.0.2.2:8443"),
		LOOP("192.0.2.1", "8443", "192.0.2.1:public"),
		LOOP("192.0.2.1", "8443-8445", "192.0.2.1:8446"),
		LOOP("wan", "8443", "192.0.2.1:8443"),
		LOOP("192.0.2.1", "8443", "127.0.0.1:8443"),
		UPLINKS M,
		UPLINKS M "interface = w4\n",
		UPLINKS M "interface = 192.0.2.1\n",
		UPLINKS M "interface = w5\nreply-route = no\n",
		UPLINKS M "interface = w5\nenabled = no\n",
	};

	(void)state;
	for (size_t i = 0; i < N(texts); i++) {
		struct ph_config c = good(texts[i], 0);

		ph_config_done(&c);
	}
}

static void test_no_clash(void **state)
{
	static const char *const others[] = {
		"bind = 1\nprotocol = udp\n",
		"bind = 1\nfamily = ipv6\n",
		"bind = 1\ninterface = wan2\n",
		"bind = 1\nenabled = no\n",
		"bind = 1-2\n",
		"bind = 0\n",
		"bind = 2\n",
	};
	char text[200];

	(void)state;
	for (size_t i = 0; i < N(others); i++) {
		struct ph_config c;

		snprintf(text, sizeof(text), M "[mapping n]\ntarget = none\n%s", others[i]);
		c = good(text, 0);
		assert_int_equal(c.n_mappings, 2);
		ph_config_done(&c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mistakes),     cmocka_unit_test(test_many_mistakes),
		cmocka_unit_test(test_foreign_text), cmocka_unit_test(test_notices),
		cmocka_unit_test(test_no_clash),     cmocka_unit_test(test_no_notice),
		cmocka_unit_test(test_no_loop),      cmocka_unit_test(test_long_publisher),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
