/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Parts of a table as text, a line for each rule or element, so that a test says in one place what
 * ought to be there. It is written anew here: nft/text.c is another reader of the same values.
 */

#include "plan_mappings.h"

struct text {
	char buf[8000];
	size_t n;
};

__attribute__((format(printf, 2, 3))) static inline void put(struct text *t, const char *format,
							     ...)
{
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(t->buf + t->n, sizeof(t->buf) - t->n, format, ap);
	va_end(ap);
	assert_true(n >= 0 && (size_t)n < sizeof(t->buf) - t->n);
	t->n += (size_t)n;
}

/* ---- what is found in a table ---- */

static inline const struct ph_set *find_set_or_null(const struct ph_table *t, const char *name)
{
	for (size_t i = 0; i < t->n_sets; i++)
		if (!strcmp(t->sets[i].def->name, name))
			return &t->sets[i];
	return NULL;
}

static inline const struct ph_set *find_set(const struct ph_table *t, const char *name)
{
	const struct ph_set *set = find_set_or_null(t, name);

	if (!set) {
		fail_msg("no set %s", name);
		abort(); /* not reached; the analysers do not know */
	}
	return set;
}

static inline const struct ph_chain *find_chain_or_null(const struct ph_table *t, const char *name)
{
	for (size_t i = 0; i < t->n_chains; i++)
		if (!strcmp(t->chains[i].name, name))
			return &t->chains[i];
	return NULL;
}

static inline const struct ph_chain *find_chain(const struct ph_table *t, const char *name)
{
	const struct ph_chain *chain = find_chain_or_null(t, name);

	if (!chain) {
		fail_msg("no chain %s", name);
		abort(); /* not reached; the analysers do not know */
	}
	return chain;
}

/* ---- elements ---- */

static inline void put_type(struct text *t, enum ph_type type, const uint8_t *octets)
{
	struct ph_address a = { .family = type == PH_TYPE_IPV4_ADDR ? PH_IPV4 : PH_IPV6 };
	char buf[PH_ADDRESS_STRLEN];

	switch (type) {
	case PH_TYPE_IFNAME:
		put(t, "%.16s", (const char *)octets);
		return;
	case PH_TYPE_IPV4_ADDR:
	case PH_TYPE_IPV6_ADDR:
		memcpy(a.octets, octets, ph_type_octets(type));
		put(t, "%s", ph_address_format(&a, buf));
		return;
	case PH_TYPE_INET_PROTO:
		put(t, "%s", octets[0] == PH_TCP ? "tcp" : octets[0] == PH_UDP ? "udp" : "?");
		return;
	case PH_TYPE_INET_SERVICE:
		put(t, "%u", (unsigned)octets[0] << 8 | octets[1]);
		return;
	}
	fail_msg("type %d", (int)type);
}

static inline void put_parts(struct text *t, const enum ph_type *types, size_t n,
			     const uint8_t *octets)
{
	for (size_t i = 0; i < n; i++) {
		put(t, "%s", i ? " " : "");
		put_type(t, types[i], octets);
		octets += ph_type_octets(types[i]);
	}
}

static inline void put_element(struct text *t, const struct ph_set_def *def,
			       const struct ph_element *e)
{
	char comment[PH_COMMENT_STRLEN];

	put_parts(t, def->key, def->n_key, e->key);
	if (def->kind == PH_SET_VERDICT) {
		put(t, " -> %s", e->chain);
	} else if (def->kind == PH_SET_DATA) {
		put(t, " -> ");
		put_parts(t, def->data, def->n_data, e->data);
	} else if (ph_element_comment(e, comment)) {
		put(t, " # %s", comment);
	}
	put(t, "\n");
}

static inline void assert_elements(const struct ph_table *t, const char *name, const char *expected)
{
	const struct ph_set *set = find_set(t, name);
	struct text text = { .n = 0 };

	for (size_t i = 0; i < set->n_elements; i++)
		put_element(&text, set->def, &set->elements[i]);
	assert_string_equal(text.buf, expected);
}

/* ---- rules ---- */

static inline void put_key(struct text *t, const struct ph_key *key)
{
	static const char *const names[] = {
		[PH_SEL_IIFNAME] = "iif",   [PH_SEL_OIFNAME] = "oif",
		[PH_SEL_SADDR] = "saddr",   [PH_SEL_DADDR] = "daddr",
		[PH_SEL_L4PROTO] = "proto", [PH_SEL_SPORT] = "sport",
		[PH_SEL_DPORT] = "dport",   [PH_SEL_UDP_DPORT] = "udp-dport",
	};

	for (unsigned i = 0; i < key->n; i++)
		put(t, "%s%s", i ? "." : "", names[key->parts[i]]);
}

static inline void put_lookup(struct text *t, const char *word, const struct ph_statement *s)
{
	put(t, "%s", word);
	put_key(t, s->lookup.key);
	put(t, "@%s", s->lookup.set->name);
}

static inline void put_mark(struct text *t, const char *word, const struct ph_statement *s)
{
	put(t, "%s %08x/%08x", word, s->mark.mark, s->mark.mask);
}

static inline void put_statement(struct text *t, const struct ph_statement *s)
{
	char buf[PH_ENDPOINT_STRLEN];

	switch (s->kind) {
	case PH_STMT_MATCH:
		put_lookup(t, "", s);
		return;
	case PH_STMT_VMAP:
		put_lookup(t, "vmap ", s);
		return;
	case PH_STMT_SNAT_MAP:
		put_lookup(t, "snat ", s);
		return;
	case PH_STMT_DNAT_MAP:
		put_lookup(t, "dnat ", s);
		return;
	case PH_STMT_MARK:
		put_mark(t, "mark", s);
		return;
	case PH_STMT_MARKED:
		put_mark(t, "marked", s);
		return;
	case PH_STMT_FWMARK:
		put_mark(t, "fwmark", s);
		return;
	case PH_STMT_REPLY:
		put(t, "reply");
		return;
	case PH_STMT_LIMIT:
		put(t, "limit %u/%us %u", s->limit.rate, s->limit.seconds, s->limit.burst);
		return;
	case PH_STMT_COUNTER:
		put(t, "counter %s", s->counter);
		return;
	case PH_STMT_L4PROTO:
		put(t, "%s", s->proto == PH_TCP ? "tcp" : "udp");
		return;
	case PH_STMT_TO_LOCALNET:
		put(t, "to-localnet");
		return;
	case PH_STMT_FROM_LOCALNET:
		put(t, "from-localnet");
		return;
	case PH_STMT_OIF_NOT_LO:
		put(t, "oif-not-lo");
		return;
	case PH_STMT_DNAT:
		put(t, "dnat %s", ph_endpoint_format(&s->endpoint, buf));
		return;
	case PH_STMT_REDIRECT:
		put(t, "redirect %u", s->port);
		return;
	case PH_STMT_REDIRECT_MAP:
		put_lookup(t, "redirect ", s);
		return;
	case PH_STMT_MASQUERADE:
		put(t, "masquerade");
		return;
	case PH_STMT_RETURN:
		put(t, "return");
		return;
	case PH_STMT_DROP:
		put(t, "drop");
		return;
	}
	fail_msg("statement %d", (int)s->kind);
}

static inline void assert_rules(const struct ph_table *t, const char *name, const char *expected)
{
	const struct ph_chain *chain = find_chain(t, name);
	struct text text = { .n = 0 };

	for (size_t i = 0; i < chain->n_rules; i++) {
		for (size_t k = 0; k < chain->rules[i].n_statements; k++) {
			put(&text, "%s", k ? ", " : "");
			put_statement(&text, &chain->rules[i].statements[k]);
		}
		put(&text, "\n");
	}
	assert_string_equal(text.buf, expected);
}

/* ---- refusals ---- */

static inline void assert_refused(const struct ph_plan_options *o, const struct ph_plan_mapping *m,
				  size_t n)
{
	struct ph_table *t = NULL;

	assert_int_equal(ph_table_new(o, m, n, &t), -EINVAL);
	assert_null(t);
}

#define ASSERT_REFUSED_WITH(...)                      \
	do {                                          \
		struct ph_plan_mapping m = web();     \
		__VA_ARGS__;                          \
		assert_refused(&plan_options, &m, 1); \
	} while (0)
