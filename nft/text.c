// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The table in nft's syntax, laid out as `nft list table inet pinhold` lays it out. Everything in
 * it is checked where the table is made: a name that is here needs no quoting that it does not get.
 */

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <pinhold/nft.h>
#include <pinhold/table.h>

#include "batch.h"

static const char *type_name(enum ph_type type)
{
	switch (type) {
	case PH_TYPE_IFNAME:
		return "ifname";
	case PH_TYPE_IPV4_ADDR:
		return "ipv4_addr";
	case PH_TYPE_IPV6_ADDR:
		return "ipv6_addr";
	case PH_TYPE_INET_PROTO:
		return "inet_proto";
	case PH_TYPE_INET_SERVICE:
		return "inet_service";
	}
	assert(false && "a type is one of those above");
	return "";
}

static const char *family_word(unsigned family)
{
	return family == PH_IPV4 ? "ip" : "ip6";
}

static void print_selector(const struct ph_key *key, enum ph_selector selector, FILE *out)
{
	switch (selector) {
	case PH_SEL_IIFNAME:
		fputs("iifname", out);
		return;
	case PH_SEL_OIFNAME:
		fputs("oifname", out);
		return;
	case PH_SEL_SADDR:
		fprintf(out, "%s saddr", family_word(key->family));
		return;
	case PH_SEL_DADDR:
		fprintf(out, "%s daddr", family_word(key->family));
		return;
	case PH_SEL_L4PROTO:
		fputs("meta l4proto", out);
		return;
	case PH_SEL_SPORT:
		fputs("th sport", out);
		return;
	case PH_SEL_DPORT:
		fputs("th dport", out);
		return;
	case PH_SEL_UDP_DPORT:
		fputs("udp dport", out);
		return;
	}
	assert(false && "a selector is one of those above");
}

static void print_key(const struct ph_key *key, FILE *out)
{
	for (size_t i = 0; i < key->n; i++) {
		fputs(i ? " . " : "", out);
		print_selector(key, key->parts[i], out);
	}
}

static void print_octets(enum ph_type type, const uint8_t *octets, FILE *out)
{
	struct ph_address address = {
		.family = type == PH_TYPE_IPV6_ADDR ? PH_IPV6 : PH_IPV4,
	};
	char text[PH_ADDRESS_STRLEN];

	switch (type) {
	case PH_TYPE_IFNAME:
		fprintf(out, "\"%s\"", (const char *)octets);
		return;
	case PH_TYPE_IPV4_ADDR:
	case PH_TYPE_IPV6_ADDR:
		memcpy(address.octets, octets, ph_type_octets(type));
		fputs(ph_address_format(&address, text), out);
		return;
	case PH_TYPE_INET_PROTO:
		fputs(ph_proto_name(octets[0] == PH_TCP ? PH_TCP : PH_UDP), out);
		return;
	case PH_TYPE_INET_SERVICE:
		fprintf(out, "%u", (unsigned)octets[0] << 8 | octets[1]);
		return;
	}
	assert(false && "a type is one of those above");
}

static void print_concatenation(const enum ph_type *types, size_t n, const uint8_t *octets,
				FILE *out)
{
	for (size_t i = 0; i < n; i++) {
		fputs(i ? " . " : "", out);
		print_octets(types[i], octets, out);
		octets += ph_type_octets(types[i]);
	}
}

static void print_types(const enum ph_type *types, size_t n, FILE *out)
{
	for (size_t i = 0; i < n; i++)
		fprintf(out, "%s%s", i ? " . " : "", type_name(types[i]));
}

static void print_element(const struct ph_set_def *def, const struct ph_element *e, FILE *out)
{
	char comment[PH_COMMENT_STRLEN];

	print_concatenation(def->key, def->n_key, e->key, out);
	switch (def->kind) {
	case PH_SET_PLAIN:
		if (ph_element_comment(e, comment))
			fprintf(out, " comment \"%s\"", comment);
		return;
	case PH_SET_VERDICT:
		fprintf(out, " : goto %s", e->chain);
		return;
	case PH_SET_DATA:
		fputs(" : ", out);
		print_concatenation(def->data, def->n_data, e->data, out);
		return;
	case PH_SET_RANGES:
		break;
	}
	assert(false && "a set of elements is one of those above");
}

/* The length of the prefix that is this range, or -1: it is none. */
static int prefix_bits(const struct ph_range *range, size_t octets)
{
	int bits = 0, most = (int)octets * 8;

	while (bits < most &&
	       !((range->first[bits / 8] ^ range->last[bits / 8]) & 0x80 >> bits % 8))
		bits++;
	for (int i = bits; i < most; i++)
		if (range->first[i / 8] & 0x80 >> i % 8 || !(range->last[i / 8] & 0x80 >> i % 8))
			return -1;
	return bits;
}

static void print_range(enum ph_type type, const struct ph_range *range, FILE *out)
{
	size_t octets = ph_type_octets(type);
	int bits = prefix_bits(range, octets);

	print_octets(type, range->first, out);
	if (bits < 0) {
		fputc('-', out);
		print_octets(type, range->last, out);
	} else if (bits < (int)octets * 8) {
		fprintf(out, "/%d", bits);
	}
}

static size_t set_size(const struct ph_set *set)
{
	return set->def->kind == PH_SET_RANGES ? set->ranges->n : set->n_elements;
}

static void print_set(const struct ph_set *set, FILE *out)
{
	const struct ph_set_def *def = set->def;

	bool map = def->kind == PH_SET_VERDICT || def->kind == PH_SET_DATA;

	fprintf(out, "\t%s %s {\n\t\ttype ", map ? "map" : "set", def->name);
	print_types(def->key, def->n_key, out);
	if (map)
		fputs(" : ", out);
	if (def->kind == PH_SET_VERDICT)
		fputs("verdict", out);
	print_types(def->data, def->n_data, out);
	fputc('\n', out);
	if (def->kind == PH_SET_RANGES)
		fputs("\t\tflags interval\n", out);
	for (size_t i = 0; i < set_size(set); i++) {
		fputs(i ? ",\n\t\t\t     " : "\t\telements = { ", out);
		if (def->kind == PH_SET_RANGES)
			print_range(def->key[0], &set->ranges->ranges[i], out);
		else
			print_element(def, &set->elements[i], out);
	}
	fputs(set_size(set) ? " }\n\t}\n" : "\t}\n", out);
}

/*
 * nft says which bits stay, and counts among them those that are set afterwards; where it is all of
 * them, it says nothing.
 */
static void print_mark(const char *what, uint32_t mark, uint32_t mask, FILE *out)
{
	uint32_t stay = ~mask | mark;

	fprintf(out, "%s set %s ", what, what);
	if (stay != UINT32_MAX)
		fprintf(out, "& 0x%08" PRIx32 " ", stay);
	fprintf(out, "| 0x%08" PRIx32, mark);
}

/* A mask of the highest bits looks like a prefix to nft. */
static void print_marked(uint32_t mark, uint32_t mask, FILE *out)
{
	if ((~mask & (~mask + 1)) == 0)
		fprintf(out, "ct mark 0x%08" PRIx32 "/%d", mark, __builtin_popcount(mask));
	else
		fprintf(out, "ct mark & 0x%08" PRIx32 " == 0x%08" PRIx32, mask, mark);
}

static const char *unit_name(uint32_t seconds)
{
	switch (seconds) {
	case 1:
		return "second";
	case 60:
		return "minute";
	case 3600:
		return "hour";
	default:
		return "day";
	}
}

static void print_limit(const struct ph_limit *limit, FILE *out)
{
	fprintf(out, "limit rate %" PRIu32 "/%s", limit->rate, unit_name(limit->seconds));
	/* What nft takes if nothing is said; it says nothing then either. */
	if (limit->burst != 5)
		fprintf(out, " burst %" PRIu32 " packets", limit->burst);
}

static void print_statement(const struct ph_statement *s, FILE *out)
{
	char text[PH_ENDPOINT_STRLEN];

	switch (s->kind) {
	case PH_STMT_MATCH:
		print_key(s->lookup.key, out);
		fprintf(out, " @%s", s->lookup.set->name);
		return;
	case PH_STMT_VMAP:
		print_key(s->lookup.key, out);
		fprintf(out, " vmap @%s", s->lookup.set->name);
		return;
	case PH_STMT_SNAT_MAP:
	case PH_STMT_DNAT_MAP:
		fprintf(out, "%s %s to ", s->kind == PH_STMT_SNAT_MAP ? "snat" : "dnat",
			family_word(s->lookup.key->family));
		print_key(s->lookup.key, out);
		fprintf(out, " map @%s", s->lookup.set->name);
		return;
	case PH_STMT_MARK:
		print_mark("ct mark", s->mark.mark, s->mark.mask, out);
		return;
	case PH_STMT_MARKED:
		print_marked(s->mark.mark, s->mark.mask, out);
		return;
	case PH_STMT_FWMARK:
		print_mark("meta mark", s->mark.mark, s->mark.mask, out);
		return;
	case PH_STMT_REPLY:
		fputs("ct direction reply", out);
		return;
	case PH_STMT_LIMIT:
		print_limit(&s->limit, out);
		return;
	case PH_STMT_COUNTER:
		fprintf(out, "counter name \"%s\"", s->counter);
		return;
	case PH_STMT_L4PROTO:
		fprintf(out, "meta l4proto %s", ph_proto_name(s->proto));
		return;
	case PH_STMT_DNAT:
		fprintf(out, "dnat %s to %s", family_word(s->endpoint.address.family),
			ph_endpoint_format(&s->endpoint, text));
		return;
	case PH_STMT_REDIRECT:
		fprintf(out, "redirect to :%u", s->port);
		return;
	case PH_STMT_REDIRECT_MAP:
		fputs("redirect to :", out);
		print_key(s->lookup.key, out);
		fprintf(out, " map @%s", s->lookup.set->name);
		return;
	case PH_STMT_TO_LOCALNET:
		fputs("ip daddr 127.0.0.0/8", out);
		return;
	case PH_STMT_FROM_LOCALNET:
		fputs("ip saddr 127.0.0.0/8", out);
		return;
	case PH_STMT_OIF_NOT_LO:
		fputs("oifname != \"lo\"", out);
		return;
	case PH_STMT_MASQUERADE:
		fputs("masquerade", out);
		return;
	case PH_STMT_RETURN:
		fputs("return", out);
		return;
	case PH_STMT_DROP:
		fputs("drop", out);
		return;
	}
	assert(false && "a statement is one of those above");
}

static void print_rule(const struct ph_rule *rule, FILE *out)
{
	for (size_t i = 0; i < rule->n_statements; i++) {
		fputc(i ? ' ' : '\t', out);
		if (!i)
			fputc('\t', out);
		print_statement(&rule->statements[i], out);
	}
	fprintf(out, " comment \"%s\"\n", rule->comment);
}

static const char *hook_word(enum ph_chain_hook hook)
{
	switch (hook) {
	case PH_HOOK_PREROUTING:
		return "prerouting";
	case PH_HOOK_OUTPUT:
		return "output";
	case PH_HOOK_POSTROUTING:
		return "postrouting";
	case PH_HOOK_NONE:
		break;
	}
	assert(false && "a hook is one of those above");
	return "";
}

/* The priority as nft says it: by the name of a standard one that is at most ten away and has a
 * meaning in that hook (nft: rule.c, prio2str()). */
static void print_priority(const struct ph_chain *chain, FILE *out)
{
	static const struct {
		const char *name;
		int32_t value;
		enum ph_chain_hook hook; /* NONE: in each */
	} standard[] = {
		{ "raw", -300, PH_HOOK_NONE },          { "mangle", -150, PH_HOOK_NONE },
		{ "dstnat", -100, PH_HOOK_PREROUTING }, { "filter", 0, PH_HOOK_NONE },
		{ "srcnat", 100, PH_HOOK_POSTROUTING },
	};

	for (size_t i = 0; i < sizeof(standard) / sizeof(standard[0]); i++) {
		int32_t distance = chain->priority - standard[i].value;

		if (distance < -10 || distance > 10 ||
		    (standard[i].hook != PH_HOOK_NONE && standard[i].hook != chain->hook))
			continue;
		fputs(standard[i].name, out);
		if (distance)
			fprintf(out, " %c %" PRId32, distance < 0 ? '-' : '+',
				distance < 0 ? -distance : distance);
		return;
	}
	fprintf(out, "%" PRId32, chain->priority);
}

static void print_hook(const struct ph_chain *chain, FILE *out)
{
	fprintf(out, "\t\ttype %s hook %s priority ", ph_chain_type_name(chain->type),
		hook_word(chain->hook));
	print_priority(chain, out);
	fputs("; policy accept;\n", out);
}

static void print_chain(const struct ph_chain *chain, FILE *out)
{
	fprintf(out, "\tchain %s {\n", chain->name);
	if (chain->hook != PH_HOOK_NONE)
		print_hook(chain, out);
	for (size_t i = 0; i < chain->n_rules; i++)
		print_rule(&chain->rules[i], out);
	fputs("\t}\n", out);
}

/* Puts an empty line between the parts of the table. */
static void separate(bool *first, FILE *out)
{
	if (!*first)
		fputc('\n', out);
	*first = false;
}

int ph_nft_print(const struct ph_table *table, FILE *out)
{
	bool first = true;

	errno = 0;
	fputs("table inet " PH_TABLE_NAME " {\n", out);
	for (size_t i = 0; i < table->n_counters; i++) {
		separate(&first, out);
		fprintf(out, "\tcounter %s {\n\t\tpackets 0 bytes 0\n\t}\n", table->counters[i]);
	}
	for (size_t i = 0; i < table->n_sets; i++) {
		separate(&first, out);
		print_set(&table->sets[i], out);
	}
	for (size_t i = 0; i < table->n_chains; i++) {
		separate(&first, out);
		print_chain(&table->chains[i], out);
	}
	fputs("}\n", out);
	if (fflush(out) != 0 || ferror(out))
		return errno ? -errno : -EIO;
	return 0;
}
