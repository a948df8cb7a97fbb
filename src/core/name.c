// SPDX-License-Identifier: GPL-2.0-or-later
/* What a mapping may be called. */

#include <stdlib.h>
#include <string.h>

#include <pinhold/config.h>

/*
 * Words of nft's language that its grammar does not take for a counter's name, and a mapping's
 * counter has the mapping's name: the kernel would have it, but nobody could load what `nft list`
 * or `pinhold ruleset` prints. Found by trying words with nft 1.0.6 (a test does that again), and
 * those that later versions added: destroy, geneve, gre, gretap, last, tunnel, vni, vxlan, and
 * fullcone of a patch that many routers carry. Upper case is no word of nft's. In the order of
 * strcmp().
 */
static const char *const nft_words[] = {
	"accept",     "add",         "ah",       "all",       "and",      "arp",      "auto-merge",
	"bridge",     "bytes",       "cgroup",   "chain",     "comment",  "comp",     "constant",
	"continue",   "counter",     "cpu",      "create",    "ct",       "day",      "dccp",
	"define",     "delete",      "describe", "destroy",   "device",   "devices",  "dnat",
	"drop",       "dst",         "dup",      "dynamic",   "ecn",      "element",  "elements",
	"eq",         "esp",         "ether",    "exists",    "expires",  "export",   "exthdr",
	"fib",        "flags",       "flow",     "flowtable", "flush",    "frag",     "fullcone",
	"fwd",        "gc-interval", "ge",       "geneve",    "get",      "goto",     "gre",
	"gretap",     "gt",          "handle",   "hbh",       "hook",     "hour",     "ibriport",
	"ibrname",    "icmp",        "icmpv6",   "igmp",      "iif",      "iifgroup", "iifname",
	"iiftype",    "import",      "include",  "index",     "inet",     "insert",   "interval",
	"ip",         "ip6",         "ipsec",    "jhash",     "jump",     "last",     "le",
	"limit",      "list",        "log",      "lshift",    "lt",       "map",      "mark",
	"masquerade", "meta",        "meter",    "mh",        "missing",  "monitor",  "name",
	"ne",         "netdev",      "nftrace",  "not",       "notrack",  "numgen",   "obriport",
	"obrname",    "offload",     "oif",      "oifgroup",  "oifname",  "oiftype",  "or",
	"osf",        "packets",     "pkttype",  "policy",    "position", "priority", "queue",
	"quota",      "random",      "redefine", "redirect",  "reject",   "rename",   "replace",
	"reset",      "return",      "rshift",   "rt",        "rt0",      "rt2",      "rtclassid",
	"rule",       "ruleset",     "sctp",     "secmark",   "set",      "size",     "skgid",
	"skuid",      "snat",        "socket",   "srh",       "symhash",  "synproxy", "table",
	"tcp",        "th",          "time",     "timeout",   "tproxy",   "tunnel",   "type",
	"typeof",     "udp",         "udplite",  "undefine",  "update",   "vlan",     "vmap",
	"vni",        "vxlan",       "xor",      "xt",
};

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* The plan asks about every name for every transaction, and most differ in the first letter. */
static int compare_word(const void *key, const void *member)
{
	const char *name = key, *word = *(const char *const *)member;

	return name[0] != word[0] ? name[0] - word[0] : strcmp(name, word);
}

const char *ph_name_refusal(const char *name)
{
	size_t n = strnlen(name, PH_NAME_MAX + 1);

	if (n == 0)
		return "is empty";
	if (!is_letter(name[0]))
		return "does not begin with a letter (a-z, A-Z)";
	for (size_t i = 1; i < n; i++)
		if (!is_letter(name[i]) && !(name[i] >= '0' && name[i] <= '9') && name[i] != '_' &&
		    name[i] != '-')
			return "has a character other than letters (a-z, A-Z), digits, - and _";
	if (n > PH_NAME_MAX)
		return "is longer than 32 characters";
	if (bsearch(name, nft_words, sizeof(nft_words) / sizeof(nft_words[0]), sizeof(nft_words[0]),
		    compare_word))
		return "is a word of nft's own language; add something to it, as in \"web-tcp\"";
	return NULL;
}
