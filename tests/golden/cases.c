// SPDX-License-Identifier: GPL-2.0-or-later

#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cases.h"
#include "faults.h"

#define ROWS_MAX  8
#define PEERS_MAX 4
#define ALLOW_MAX 6
#define MANY      1500 /* more than one message can carry the elements of */

#define MARK .mark = 0x08000000, .mask = 0x0f000000

/* One that is a mapping's uplink in some cases, and one that is not. */
static const char outside[][PH_INTERFACE_MAX + 1] = { "wan3", "wan" };
#define OUTSIDE .outside = outside, .n_outside = 2

/* A mapping as a person writes it; what is left out is not known, or TCP on wan, closed, to
 * nowhere. */
struct row {
	const char *name;
	enum ph_proto proto;
	const char *interface;
	const char *private, *public;
	const char *target; /* an endpoint; ":PORT": this machine; port 0: the public port; NULL:
			       none */
	const char *peers[PEERS_MAX];
	bool closed;
	bool retiring;
	bool inside; /* loopback */
	bool snat;
	const char *allow[ALLOW_MAX]; /* the first "": nobody */
	struct ph_limit limit;
	unsigned uplink;
	uint16_t own_port;
};

static const struct test_case {
	const char *name;
	struct ph_plan_options options;
	size_t many; /* mappings made by counting */
	bool many_changed;
	struct row rows[ROWS_MAX];
} cases[] = {
	{ "empty", { MARK }, 0, false, { { 0 } } },
	/* The configuration that nft/pinhold.nft describes. */
	{ "reference",
	  { MARK, OUTSIDE },
	  .rows = { { "web", PH_TCP, "wan", "100.64.0.2:8443", "203.0.113.7:32451",
		      "192.168.10.50:443", .peers = { "198.51.100.10:3478", "198.51.100.20:80" },
		      .inside = true, .allow = { "198.51.100.0/24", "203.0.113.64/26" },
		      .limit = { 50, 1, 100 } },
		    { "own", PH_TCP, "wan", "100.64.0.2:8444", "203.0.113.7:40112", ":443",
		      .peers = { "198.51.100.10:3478", "198.51.100.20:80" }, .inside = true },
		    { "own", PH_TCP, "wan", "100.64.0.2:8445", "203.0.113.7:1025", ":443",
		      .peers = { "198.51.100.10:3478", "198.51.100.20:80" }, .retiring = true,
		      .inside = true },
		    { "wg", PH_UDP, "wan", "[2001:db8:1::2]:51820", "[2001:db8:1::2]:51820",
		      "[fd00:10::50]:51820", .peers = { "[2001:db8:ffff::10]:3478" },
		      .inside = true },
		    { "vpn", PH_UDP, "wan", "100.64.0.2:51821", "203.0.113.7:50999", ":51821",
		      .peers = { "198.51.100.10:3478" }, .inside = true, .limit = { 10, 60, 5 },
		      .own_port = 40001 },
		    { "admin", PH_TCP, "wan", "100.64.0.2:8446", "203.0.113.7:33001",
		      "127.0.0.1:8080", .peers = { "198.51.100.10:3478" }, .inside = true },
		    { "cam", PH_TCP, "lte", "100.65.0.2:8447", "203.0.113.207:1935",
		      "192.168.20.7:554", .peers = { "198.51.100.10:3478" }, .snat = true,
		      .uplink = 1 } } },
	{ "tcp4",
	  { MARK },
	  .rows = { { "web", PH_TCP, "wan", "100.64.0.2:8443", "203.0.113.7:32451",
		      "192.168.10.50:443", .peers = { "198.51.100.10:3478" } } } },
	{ "tcp4-remapped",
	  { MARK },
	  .rows = { { "web", PH_TCP, "wan", "100.64.0.2:8443", "203.0.113.9:1025",
		      "192.168.10.50:443", .peers = { "198.51.100.10:3478" } } } },
	{ "tcp4-readdressed",
	  { MARK },
	  .rows = { { "web", PH_TCP, "wan", "100.64.7.7:8443", "203.0.113.9:1025",
		      "192.168.10.50:443", .peers = { "198.51.100.10:3478" } } } },
	{ "udp4",
	  { MARK },
	  .rows = { { "web", PH_UDP, "wan", "100.64.0.2:8443", "203.0.113.7:32451",
		      "192.168.10.50:443", .peers = { "198.51.100.10:3478" } } } },
	{ "tcp6",
	  { MARK },
	  .rows = { { "web", PH_TCP, "wan", "[2001:db8::2]:8443", "[2001:db8::2]:8443",
		      "[fd00::50]:443", .peers = { "[2001:db8:ffff::1]:3478" } } } },
	{ "local",
	  { MARK },
	  .rows = { { "web", PH_TCP, "wan", "100.64.0.2:8443", "203.0.113.7:32451", ":443",
		      .peers = { "198.51.100.10:3478" } },
		    { "six", PH_UDP, "wan", "[2001:db8::2]:53", "[2001:db8::2]:53", ":5353",
		      .peers = { "[2001:db8:ffff::1]:3478" } } } },
	{ "none",
	  { MARK },
	  .rows = { { "web", PH_TCP, "wan", "100.64.0.2:8443", "203.0.113.7:32451", NULL,
		      .peers = { "198.51.100.10:3478" } } } },
	{ "follow",
	  { MARK },
	  .rows = { { "torrent", PH_TCP, "wan", "100.64.0.2:8443", "203.0.113.7:32451",
		      "192.168.10.50:0", .peers = { 0 } },
		    { "here", PH_UDP, "wan", "100.64.0.2:8443", "203.0.113.7:40000", ":0",
		      .peers = { 0 } } } },
	{ "closed",
	  { MARK },
	  .rows = { { "web", PH_TCP, "wan", "100.64.0.2:8443", NULL, "192.168.10.50:443",
		      .peers = { "198.51.100.10:3478" }, true } } },
	/* From one bind port to the next: moments one to three, and where the target follows. */
	{ "moving-1",
	  { MARK },
	  .rows = { { "web", PH_UDP, "wan", "100.64.0.2:8443", "203.0.113.7:32451",
		      "192.168.10.50:443", .peers = { "198.51.100.10:3478" } },
		    { "web", PH_UDP, "wan", "100.64.0.2:8444", NULL, "192.168.10.50:443",
		      .peers = { "198.51.100.10:3478" }, .closed = true } } },
	{ "moving-2",
	  { MARK },
	  .rows = { { "web", PH_UDP, "wan", "100.64.0.2:8443", "203.0.113.7:32451",
		      "192.168.10.50:443", .peers = { "198.51.100.10:3478" }, .retiring = true },
		    { "web", PH_UDP, "wan", "100.64.0.2:8444", "203.0.113.7:1025",
		      "192.168.10.50:443", .peers = { "198.51.100.10:3478" } } } },
	{ "moving-3",
	  { MARK },
	  .rows = { { "web", PH_UDP, "wan", "100.64.0.2:8444", "203.0.113.7:1025",
		      "192.168.10.50:443", .peers = { "198.51.100.10:3478" } } } },
	{ "moving-follow",
	  { MARK },
	  .rows = { { "web", PH_TCP, "wan", "100.64.0.2:8443", "203.0.113.7:32451", ":0",
		      .peers = { 0 }, .retiring = true },
		    { "web", PH_TCP, "wan", "100.64.0.2:8444", "203.0.113.7:1025", ":0",
		      .peers = { 0 } },
		    { "abcdefghijklmnopqrstuvwxyz_-0129", PH_TCP, "wan",
		      "[2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff]:1",
		      "[2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff]:65535", NULL, .peers = { 0 },
		      .retiring = true } } },
	{ "open-unknown",
	  { MARK },
	  .rows = { { "web", PH_TCP, "wan", "100.64.0.2:8443", NULL, "192.168.10.50:443",
		      .peers = { "198.51.100.10:3478" } },
		    { "follows", PH_TCP, "wan", "100.64.0.2:8444", NULL, ":0", .peers = { 0 } } } },
	{ "counter-only",
	  { MARK },
	  .rows = { { "web", PH_TCP, "", NULL, NULL, ":443", .peers = { 0 } } } },
	{ "both-protocols",
	  { MARK },
	  .rows = { { "t", PH_TCP, "wan", "100.64.0.2:53", "203.0.113.7:53", ":53",
		      .peers = { "198.51.100.10:3478" } },
		    { "u", PH_UDP, "wan", "100.64.0.2:53", "203.0.113.7:54", ":53",
		      .peers = { "198.51.100.10:3478" } } } },
	/* Who has which endpoint is the other way round than in "both-protocols". */
	{ "swapped",
	  { MARK },
	  .rows = { { "t", PH_UDP, "wan", "100.64.0.2:53", "203.0.113.7:54", ":53",
		      .peers = { "198.51.100.10:3478" } },
		    { "u", PH_TCP, "wan", "100.64.0.2:53", "203.0.113.7:53", ":53",
		      .peers = { "198.51.100.10:3478" } } } },
	/* Interfaces of one and of fifteen characters; one address on both; rows in no order. */
	{ "interfaces",
	  { MARK },
	  .rows = { { "z", PH_TCP, "ppp-fibre0.1234", "10.0.0.1:9", "192.0.2.1:9", ":9",
		      .peers = { "198.51.100.10:65535" } },
		    { "y", PH_TCP, "x", "10.0.0.1:9", "192.0.2.2:9", ":10",
		      .peers = { "198.51.100.10:1" } },
		    { "x", PH_TCP, "wan@lan", "10.0.0.1:8", "192.0.2.3:9", ":11", .peers = { 0 } },
		    { "w", PH_UDP, "x", "[::ffff:10.0.0.1]:9", "[fe80::1]:1", ":12",
		      .peers = { 0 } } } },
	{ "names",
	  { MARK },
	  .rows = { { "A", PH_TCP, "wan", "10.0.0.1:1", "192.0.2.1:1", ":1", .peers = { 0 } },
		    { "abcdefghijklmnopqrstuvwxyz_-0129", PH_TCP, "wan", "10.0.0.1:2",
		      "192.0.2.1:2", ":2", .peers = { 0 } },
		    { "tcp-8443", PH_TCP, "wan", "10.0.0.1:3", "192.0.2.1:3", ":3",
		      .peers = { 0 } },
		    { "a-", PH_TCP, "wan", "10.0.0.1:4", "192.0.2.1:4", ":4", .peers = { 0 } },
		    { "B__", PH_UDP, "wan", "[::1]:65535",
		      "[2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff]:65535", ":65535",
		      .peers = { 0 } } } },
	/* The same server many times, and one of a family that cannot be reached from here. */
	{ "peers",
	  { MARK },
	  .rows = { { "a", PH_TCP, "wan", "10.0.0.1:1", "192.0.2.1:1", ":1",
		      .peers = { "198.51.100.10:80", "198.51.100.10:80", "198.51.100.9:80",
				 "[2001:db8::1]:80" } },
		    { "b", PH_UDP, "wan", "10.0.0.1:1", "192.0.2.1:1", ":1",
		      .peers = { "198.51.100.10:80", "198.51.100.9:80" } },
		    { "c", PH_TCP, "wan", "10.0.0.1:2", "192.0.2.1:2", ":1",
		      .peers = { "198.51.100.9:80", "198.51.100.10:80", "198.51.100.9:81" } } } },
	{ "mark-alone",
	  { .mark = 0x00000001, .mask = 0x0000000f },
	  .rows = { { "web", PH_TCP, "wan", "100.64.0.2:8443", "203.0.113.7:32451", ":443",
		      .peers = { "198.51.100.10:3478" } } } },
	{ "mark-all",
	  { .mark = 0x80000000, .mask = 0xffffffff },
	  .rows = { { "web", PH_TCP, "wan", "100.64.0.2:8443", "203.0.113.7:32451", ":443",
		      .peers = { "198.51.100.10:3478" } } } },
	/* Each option alone, in both families. */
	{ "inside",
	  { MARK },
	  .rows = { { "web", PH_TCP, "wan", "100.64.0.2:8443", "203.0.113.7:32451",
		      "192.168.10.50:443", .peers = { 0 }, .inside = true },
		    { "own", PH_UDP, "wan", "100.64.0.2:53", "203.0.113.7:53", ":5353",
		      .peers = { 0 }, .inside = true },
		    { "six", PH_TCP, "wan", "[2001:db8::2]:8443", "[2001:db8::2]:8443",
		      "[fd00::50]:443", .peers = { 0 }, .inside = true },
		    { "none", PH_TCP, "wan", "100.64.0.2:1", "203.0.113.7:1", NULL, .peers = { 0 },
		      .inside = true },
		    { "shut", PH_TCP, "wan", "100.64.0.2:2", NULL, ":2", .peers = { 0 },
		      .closed = true, .inside = true } } },
	{ "inside-remapped",
	  { MARK },
	  .rows = { { "web", PH_TCP, "wan", "100.64.0.2:8443", "203.0.113.9:1025",
		      "192.168.10.50:443", .peers = { 0 }, .inside = true },
		    { "own", PH_UDP, "wan", "100.64.0.2:53", "203.0.113.7:54", ":5353",
		      .peers = { 0 }, .inside = true } } },
	{ "inside-follows",
	  { MARK },
	  .rows = { { "torrent", PH_TCP, "wan", "100.64.0.2:8443", "203.0.113.7:32451",
		      "192.168.10.50:0", .peers = { 0 }, .inside = true } } },
	{ "borrowed",
	  { MARK },
	  .rows = { { "wg", PH_UDP, "wan", "100.64.0.2:51820", "203.0.113.7:32451", ":51820",
		      .peers = { "198.51.100.10:3478" }, .own_port = 40000 },
		    { "web", PH_TCP, "wan", "100.64.0.2:8443", "203.0.113.7:32451", NULL,
		      .peers = { "198.51.100.10:3478" }, .own_port = 40000 },
		    { "six", PH_UDP, "wan", "[2001:db8::2]:53", "[2001:db8::2]:53", ":53",
		      .peers = { "[2001:db8:ffff::1]:3478" }, .own_port = 65535 } } },
	{ "localnet",
	  { MARK },
	  .rows = { { "a", PH_TCP, "wan", "100.64.0.2:1", "203.0.113.7:1", "127.0.0.1:8080",
		      .peers = { 0 } },
		    { "b", PH_TCP, "wan2", "100.65.0.2:1", "203.0.113.8:1", "127.255.0.9:1",
		      .peers = { 0 } } } },
	{ "localnet-inside",
	  { MARK },
	  .rows = { { "a", PH_TCP, "wan", "100.64.0.2:1", "203.0.113.7:1", "127.0.0.1:8080",
		      .peers = { 0 }, .inside = true },
		    { "b", PH_TCP, "wan", "100.64.0.2:2", "203.0.113.7:2", ":8080", .peers = { 0 },
		      .inside = true } } },
	{ "allow",
	  { MARK },
	  .rows = { { "a", PH_TCP, "wan", "100.64.0.2:1", "203.0.113.7:1", ":8080", .peers = { 0 },
		      .allow = { "10.0.0.0/8", "192.0.2.1", "192.168.0.0/24", "192.168.1.0/24",
				 "192.168.2.0/24" } },
		    { "six", PH_UDP, "wan", "[2001:db8::2]:53", "[2001:db8::2]:53", ":5353",
		      .peers = { 0 }, .allow = { "2001:db8::/32", "::1", "fc00::/7" } },
		    { "none", PH_TCP, "wan", "100.64.0.2:2", "203.0.113.7:2", NULL, .peers = { 0 },
		      .allow = { "0.0.0.0/0" } },
		    { "nobody", PH_TCP, "wan", "100.64.0.2:3", "203.0.113.7:3", ":80",
		      .peers = { 0 }, .allow = { "" } } } },
	{ "allow-others",
	  { MARK },
	  .rows = { { "a", PH_TCP, "wan", "100.64.0.2:1", "203.0.113.7:1", ":8080", .peers = { 0 },
		      .allow = { "10.0.0.0/9", "192.0.2.0/31", "192.168.1.0/24",
				 "255.255.255.0/24" } },
		    { "six", PH_UDP, "wan", "[2001:db8::2]:53", "[2001:db8::2]:53", ":5353",
		      .peers = { 0 }, .allow = { "::/0" } },
		    { "none", PH_TCP, "wan", "100.64.0.2:2", "203.0.113.7:2", NULL, .peers = { 0 },
		      .allow = { "0.0.0.0/1", "224.0.0.0/3" } } } },
	/* By the same name, of the other family. */
	{ "allow-other-family",
	  { MARK },
	  .rows = { { "a", PH_TCP, "wan", "[2001:db8::2]:1", "[2001:db8::2]:1", ":8080",
		      .peers = { 0 }, .allow = { "2001:db8::/32" } },
		    { "six", PH_UDP, "wan", "100.64.0.2:53", "203.0.113.7:53", ":5353",
		      .peers = { 0 }, .allow = { "10.0.0.0/8" } } } },
	{ "allow-moving",
	  { MARK },
	  .rows = { { "web", PH_UDP, "wan", "100.64.0.2:8443", "203.0.113.7:32451",
		      "192.168.10.50:443", .peers = { 0 }, .retiring = true,
		      .allow = { "10.0.0.0/8" } },
		    { "web", PH_UDP, "wan", "100.64.0.2:8444", "203.0.113.7:1025",
		      "192.168.10.50:443", .peers = { 0 }, .allow = { "10.0.0.0/8" } } } },
	{ "limit",
	  { MARK },
	  .rows = { { "a", PH_TCP, "wan", "100.64.0.2:1", "203.0.113.7:1", ":8080", .peers = { 0 },
		      .limit = { 50, 1, 100 } },
		    { "b", PH_TCP, "wan", "100.64.0.2:2", "203.0.113.7:2", ":2", .peers = { 0 },
		      .limit = { 1000000, 60, 1000000 } },
		    { "c", PH_TCP, "wan", "100.64.0.2:3", "203.0.113.7:3", NULL, .peers = { 0 },
		      .limit = { 1, 3600, 1 } },
		    { "d", PH_TCP, "wan", "100.64.0.2:4", "203.0.113.7:4", ":80", .peers = { 0 },
		      .limit = { 7, 86400, 5 } } } },
	{ "snat",
	  { MARK },
	  .rows = { { "a", PH_TCP, "wan", "100.64.0.2:1", "203.0.113.7:1", "192.168.10.50:443",
		      .peers = { 0 }, .snat = true },
		    { "six", PH_UDP, "wan", "[2001:db8::2]:53", "[2001:db8::2]:53", "[fd00::5]:53",
		      .peers = { 0 }, .snat = true } } },
	{ "uplinks",
	  { .mark = 0x00000100, .mask = 0x80401104 },
	  .rows = { { "a", PH_TCP, "wan", "100.64.0.2:1", "203.0.113.7:1", ":80", .peers = { 0 } },
		    { "b", PH_TCP, "wan1", "100.65.0.2:1", "203.0.113.8:1", ":80", .peers = { 0 },
		      .uplink = 1 },
		    { "c", PH_UDP, "wan2", "100.66.0.2:1", "203.0.113.9:1", "192.168.10.50:1",
		      .peers = { 0 }, .snat = true, .uplink = 2 },
		    { "d", PH_TCP, "wan3", "[2001:db8::2]:1", "[2001:db8::2]:1", NULL,
		      .peers = { 0 }, .uplink = 3 } } },
	{ "uplink-gone",
	  { .mark = 0x00000100, .mask = 0x80401104 },
	  .rows = { { "c", PH_UDP, "wan2", "100.66.0.2:1", "203.0.113.9:1", "192.168.10.50:1",
		      .peers = { 0 }, .uplink = 2 } } },
	{ "loop",
	  { MARK },
	  .rows = { { "a", PH_TCP, "wan", "100.64.0.2:1", "203.0.113.7:1", "100.64.0.2:1",
		      .peers = { 0 }, .inside = true },
		    { "b", PH_TCP, "wan", "100.64.0.2:2", "203.0.113.7:2", "203.0.113.7:2",
		      .peers = { 0 }, .inside = true } } },
	{ "many", { MARK }, .many = MANY },
	{ "many-changed", { MARK }, .many = MANY, .many_changed = true },
};

#define N_CASES (sizeof(cases) / sizeof(cases[0]))

const char *case_name(size_t n)
{
	return n < N_CASES ? cases[n].name : NULL;
}

/* "ADDR:PORT" or "[ADDR]:PORT"; NULL: no endpoint. Port 0 is let through. */
static struct ph_endpoint endpoint(const char *text)
{
	struct ph_endpoint e = {};
	char address[PH_ADDRESS_STRLEN];
	const char *colon;
	int n;

	if (!text)
		return e;
	colon = strrchr(text, ':');
	n = (int)(colon - text);
	if (text[0] == '[')
		snprintf(address, sizeof(address), "%.*s", n - 2, text + 1);
	else
		snprintf(address, sizeof(address), "%.*s", n, text);
	if (ph_address_parse(address, &e.address) < 0)
		errx(1, "%s: no endpoint", text);
	e.port = (uint16_t)strtoul(colon + 1, NULL, 10);
	return e;
}

static struct ph_target target(const char *text)
{
	struct ph_target t = { .kind = PH_TARGET_NONE };

	if (!text)
		return t;
	if (text[0] == ':') {
		t.kind = PH_TARGET_LOCAL;
		t.port = (uint16_t)strtoul(text + 1, NULL, 10);
	} else {
		t.kind = PH_TARGET_ADDRESS;
		t.address = endpoint(text).address;
		t.port = endpoint(text).port;
	}
	return t;
}

/* "ADDR" or "ADDR/BITS" */
static struct ph_prefix prefix(const char *text)
{
	struct ph_prefix p = {};
	char address[PH_ADDRESS_STRLEN];
	const char *slash = strchrnul(text, '/');

	snprintf(address, sizeof(address), "%.*s", (int)(slash - text), text);
	if (ph_address_parse(address, &p.address) < 0)
		errx(1, "%s: no prefix", text);
	p.bits = *slash ? (uint8_t)strtoul(slash + 1, NULL, 10)
			: (uint8_t)(8 * ph_family_octets(p.address.family));
	return p;
}

/* *ret_set is a reference; NULL: everybody. 0 or -ENOMEM. */
static int allow(const struct row *row, enum ph_family family, const struct ph_prefixes **ret_set)
{
	struct ph_prefix list[ALLOW_MAX];
	size_t n = 0, failing = faults.fail_allocation;
	int r;

	if (!row->allow[0])
		return 0;
	while (n < ALLOW_MAX && row->allow[n] && *row->allow[n]) {
		list[n] = prefix(row->allow[n]);
		n++;
	}
	/* Part of the case: sorting gets along without memory, which would hide what is looked for.
	 */
	faults.fail_allocation = 0;
	r = ph_prefixes_new(family, list, n, ret_set);
	faults.fail_allocation = failing;
	return r;
}

static int from_row(const struct row *row, struct ph_plan_mapping *m,
		    struct ph_endpoint peers[static PEERS_MAX])
{
	snprintf(m->name, sizeof(m->name), "%s", row->name);
	snprintf(m->interface, sizeof(m->interface), "%s", row->interface);
	m->proto = row->proto;
	m->private_endpoint = endpoint(row->private);
	m->public_endpoint = endpoint(row->public);
	m->open = !row->closed;
	m->retiring = row->retiring;
	m->target = target(row->target);
	m->loopback = row->inside;
	m->snat = row->snat;
	m->limit = row->limit;
	m->uplink = row->uplink;
	m->own_port = row->own_port;
	for (m->n_peers = 0; m->n_peers < PEERS_MAX && row->peers[m->n_peers]; m->n_peers++)
		peers[m->n_peers] = endpoint(row->peers[m->n_peers]);
	m->peers = peers;
	return allow(row, m->private_endpoint.address.family, &m->allow);
}

/* Both families and protocols, all kinds of targets; backwards, so that nothing is in order. */
static int from_count(size_t n, size_t of, bool changed, struct ph_plan_mapping *m,
		      struct ph_endpoint peers[static PEERS_MAX])
{
	struct row row = { .proto = n % 3 ? PH_TCP : PH_UDP };
	char name[16], interface[16], private[64], public[64], to[64], peer[64];
	bool six = n % 5 == 4;
	size_t up = of - n;

	snprintf(name, sizeof(name), "m%zu", n);
	snprintf(interface, sizeof(interface), "wan%zu", n % 2);
	snprintf(private, sizeof(private), six ? "[2001:db8::2]:%zu" : "100.64.0.2:%zu", 1024 + up);
	snprintf(public, sizeof(public), six ? "[2001:db8::2]:%zu" : "203.0.113.7:%zu",
		 (changed && n == of / 2 ? 30000 : 20000) + up);
	snprintf(to, sizeof(to), six ? "[fd00::50]:%zu" : "192.168.10.50:%zu", 1 + up);
	snprintf(peer, sizeof(peer), six ? "[2001:db8::9]:%zu" : "198.51.100.9:%zu", 3478 + n % 7);
	row.name = name;
	row.interface = interface;
	row.private = private;
	row.public = public;
	row.target = to;
	row.peers[0] = peer;
	row.inside = true;
	return from_row(&row, m, peers);
}

static size_t count_rows(const struct test_case *c)
{
	size_t n = 0;

	while (n < ROWS_MAX && c->rows[n].name)
		n++;
	return n;
}

static int make_table(const struct test_case *c, struct ph_table **ret_table)
{
	size_t n = c->many ? c->many : count_rows(c);
	struct ph_plan_mapping *m = calloc(n + 1, sizeof(*m));
	struct ph_endpoint(*peers)[PEERS_MAX] = calloc(n + 1, sizeof(*peers));
	int r = m && peers ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < n; i++)
		r = c->many ? from_count(i, c->many, c->many_changed, &m[i], peers[i])
			    : from_row(&c->rows[i], &m[i], peers[i]);
	if (r == 0)
		r = ph_table_new(&c->options, m, n, ret_table);
	for (size_t i = 0; m && i < n; i++)
		ph_prefixes_unref(m[i].allow);
	free(m);
	free(peers);
	return r;
}

int case_try_table(const char *name, struct ph_table **ret_table)
{
	for (size_t i = 0; i < N_CASES; i++)
		if (!strcmp(cases[i].name, name))
			return make_table(&cases[i], ret_table);
	errx(1, "%s: no such case", name);
}

struct ph_table *case_table(const char *name)
{
	struct ph_table *t = NULL;
	int r = case_try_table(name, &t);

	if (r < 0)
		errx(1, "%s: %s", name, strerror(-r));
	return t;
}
