/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "usage.h"

#include <string.h>

const char usage_program[] =
	"pinhold holds public ports open through carrier-grade NAT and lets the kernel forward them.\n"
	"\n"
	"  pinhold run [-c FILE]            hold the mappings of FILE (/etc/pinhold.conf), in the foreground\n"
	"  pinhold OPTIONS                  hold one mapping, without a file\n"
	"  pinhold status [--json] [NAME]   how the mappings are\n"
	"  pinhold get NAME FIELD           one value of a mapping, for scripts\n"
	"  pinhold watch                    events as JSON lines, as they happen\n"
	"  pinhold reload                   let the daemon read its file again\n"
	"  pinhold test [-c FILE]           say whether the file is right\n"
	"  pinhold ruleset [-c FILE | OPTIONS]   print the nftables table; needs no root, changes nothing\n"
	"  pinhold [COMMAND] --help\n"
	"  pinhold --version\n"
	"\n"
	"Options for one mapping:\n"
	"  -p PORT        port of the service; 0: the public port; not given: it listens on the bind port\n"
	"  -t ADDR        address of the service (127.x.x.x too; default: this machine)\n"
	"  -b PORT        bind port: PORT, LO-HI (in order), LO~HI (random), 0 (any; the default)\n"
	"  -i IFACE|ADDR  interface or local address (default: the default route's)\n"
	"  -4, -6         IPv4 (default) or IPv6\n"
	"  -u             UDP instead of TCP\n"
	"  -s HOST[:PORT] STUN server, repeatable (default: a built-in list)\n"
	"  -h HOST[:PORT] HTTP server for keep-alive (TCP), repeatable (default: a built-in list)\n"
	"  -k SECONDS     between keep-alive requests, up to 3600 (0, the default: 30, UDP 10)\n"
	"  -c COUNT       ask a fresh STUN server every COUNT keep-alives (default: every 60 s)\n"
	"  -e HOOK        program to call when the public endpoint is known or changes, with\n"
	"                 public address, public port, IP4P, private port, protocol, private address\n"
	"  -f FWMARK      mark on pinhold's own packets (policy routing, transparent proxies)\n"
	"  -d             run in the background, log to syslog\n"
	"  -C, -T, -w     accepted for natmap's sake, without effect\n"
	"\n"
	"Example: pinhold -b 8443 -p 443\n"
	"Exit status: 0 done, 1 failed while running, 2 usage or configuration, or it could not start,\n"
	"3 no daemon answers.\n";

const char usage_run[] =
	"pinhold run [-c FILE]\n"
	"\n"
	"Holds the mappings of FILE (default /etc/pinhold.conf) in the foreground until SIGTERM or\n"
	"SIGINT; SIGHUP or `pinhold reload` makes it read FILE again.\n";

const char usage_test[] =
	"pinhold test [-c FILE]\n"
	"\n"
	"Says whether FILE (default /etc/pinhold.conf) is right, and what is wrong in it:\n"
	"all mistakes at once, exit status 2. Changes nothing.\n";

const char usage_reload[] =
	"pinhold reload\n"
	"\n"
	"Makes the running daemon read its file again, and prints what has changed. With a mistake in the\n"
	"file everything stays as it was, the mistakes are printed, and the exit status is 2.\n";

const char usage_status[] =
	"pinhold status [--json] [NAME]\n"
	"\n"
	"Prints how the running daemon's mappings are: a table, or with NAME everything about that one.\n"
	"--json: one JSON document instead; pinhold(8) describes it.\n";

const char usage_get[] =
	"pinhold get NAME FIELD\n"
	"\n"
	"Prints one value of the mapping NAME: state, why, public-address, public-port, public-endpoint,\n"
	"ip4p, private-address, private-port, private-endpoint, own-port, protocol, interface, uplink,\n"
	"target, since, changes, verified or connections. Exit status 1: it has no value now.\n";

const char usage_watch[] = "pinhold watch\n"
			   "\n"
			   "Prints the daemon's events as they happen, one JSON object a line.\n";

const char usage_ruleset[] =
	"pinhold ruleset [-c FILE]\n"
	"pinhold ruleset OPTIONS\n"
	"\n"
	"Prints the nftables table for the mappings of FILE (default /etc/pinhold.conf), or for the one\n"
	"mapping that OPTIONS describe (`pinhold --help` lists them). Needs no root and changes nothing;\n"
	"public endpoints are not in it, because only a running daemon learns them.\n";

#define WORD_MAX 16

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* How many letters to insert, remove, replace or swap with their neighbour make b of a; both are
 * shorter than WORD_MAX. */
static size_t distance(const char *a, const char *b)
{
	size_t n = strlen(a), m = strlen(b), d[WORD_MAX][WORD_MAX];

	for (size_t i = 0; i <= n; i++)
		for (size_t j = 0; j <= m; j++) {
			if (i == 0 || j == 0) {
				d[i][j] = i + j;
				continue;
			}
			d[i][j] = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
			d[i][j] = least(d[i][j], least(d[i - 1][j], d[i][j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				d[i][j] = least(d[i][j], d[i - 2][j - 2] + 1);
		}
	return d[n][m];
}

const char *usage_nearest(const char *word, const char *const candidates[], size_t n)
{
	const char *nearest = NULL;
	size_t least_so_far = 3;

	if (strlen(word) >= WORD_MAX)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		size_t far = distance(word, candidates[i]);

		/* Half of another word is no slip of this one. */
		if (far < least_so_far && far * 2 < strlen(candidates[i])) {
			least_so_far = far;
			nearest = candidates[i];
		}
	}
	return nearest;
}
