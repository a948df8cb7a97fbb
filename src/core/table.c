// SPDX-License-Identifier: GPL-2.0-or-later
/* The table's values: their sizes, their text, and whether two are the same. */

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include <pinhold/table.h>

size_t ph_type_octets(enum ph_type type)
{
	switch (type) {
	case PH_TYPE_IFNAME:
	case PH_TYPE_IPV6_ADDR:
		return 16;
	case PH_TYPE_IPV4_ADDR:
	case PH_TYPE_INET_PROTO:
	case PH_TYPE_INET_SERVICE:
		return 4;
	}
	assert(false && "a type is one of those above");
	return 0;
}

static size_t octets_of(const enum ph_type *types, size_t n)
{
	size_t sum = 0;

	/* Only the parts of a concatenation are padded. */
	if (n == 1 && types[0] == PH_TYPE_INET_SERVICE)
		return 2;
	for (size_t i = 0; i < n; i++)
		sum += ph_type_octets(types[i]);
	return sum;
}

const char *ph_chain_type_name(enum ph_chain_type type)
{
	switch (type) {
	case PH_CHAIN_NAT:
		return "nat";
	case PH_CHAIN_FILTER:
		return "filter";
	case PH_CHAIN_ROUTE:
		return "route";
	}
	assert(false && "a type is one of those above");
	return "";
}

size_t ph_set_key_octets(const struct ph_set_def *def)
{
	return octets_of(def->key, def->n_key);
}

size_t ph_set_data_octets(const struct ph_set_def *def)
{
	return octets_of(def->data, def->n_data);
}

static bool marks_equal(const struct ph_statement *a, const struct ph_statement *b)
{
	return a->mark.mark == b->mark.mark && a->mark.mask == b->mark.mask;
}

static bool statement_equal(const struct ph_statement *a, const struct ph_statement *b)
{
	if (a->kind != b->kind)
		return false;
	switch (a->kind) {
	case PH_STMT_MATCH:
	case PH_STMT_VMAP:
	case PH_STMT_SNAT_MAP:
	case PH_STMT_DNAT_MAP:
	case PH_STMT_REDIRECT_MAP:
		/* Keys are constants; there are no two of the same content. */
		return a->lookup.key == b->lookup.key &&
		       (a->lookup.set == b->lookup.set ||
			!strcmp(a->lookup.set->name, b->lookup.set->name));
	case PH_STMT_MARK:
	case PH_STMT_MARKED:
	case PH_STMT_FWMARK:
		return marks_equal(a, b);
	case PH_STMT_LIMIT:
		return a->limit.rate == b->limit.rate && a->limit.seconds == b->limit.seconds &&
		       a->limit.burst == b->limit.burst;
	case PH_STMT_COUNTER:
		return !strcmp(a->counter, b->counter);
	case PH_STMT_L4PROTO:
		return a->proto == b->proto;
	case PH_STMT_DNAT:
		return ph_endpoint_equal(&a->endpoint, &b->endpoint);
	case PH_STMT_REDIRECT:
		return a->port == b->port;
	case PH_STMT_REPLY:
	case PH_STMT_TO_LOCALNET:
	case PH_STMT_FROM_LOCALNET:
	case PH_STMT_OIF_NOT_LO:
	case PH_STMT_MASQUERADE:
	case PH_STMT_RETURN:
	case PH_STMT_DROP:
		return true;
	}
	assert(false && "a statement is one of those above");
	return false;
}

const char *ph_element_comment(const struct ph_element *e, char buf[static PH_COMMENT_STRLEN])
{
	char endpoint[PH_ENDPOINT_STRLEN];

	if (!e->about)
		return NULL;
	if (e->endpoint.port)
		snprintf(buf, PH_COMMENT_STRLEN, "%s: %s", e->about,
			 ph_endpoint_format(&e->endpoint, endpoint));
	else
		snprintf(buf, PH_COMMENT_STRLEN, "%s", e->about);
	return buf;
}

static bool rule_equal(const struct ph_rule *a, const struct ph_rule *b)
{
	if (a->n_statements != b->n_statements || strcmp(a->comment, b->comment) != 0)
		return false;
	for (size_t i = 0; i < a->n_statements; i++)
		if (!statement_equal(&a->statements[i], &b->statements[i]))
			return false;
	return true;
}

bool ph_chain_equal(const struct ph_chain *a, const struct ph_chain *b)
{
	if (a->n_rules != b->n_rules)
		return false;
	for (size_t i = 0; i < a->n_rules; i++)
		if (!rule_equal(&a->rules[i], &b->rules[i]))
			return false;
	return true;
}

static bool comments_equal(const struct ph_element *a, const struct ph_element *b)
{
	if (!a->about || !b->about)
		return a->about == b->about;
	return ph_endpoint_equal(&a->endpoint, &b->endpoint) && !strcmp(a->about, b->about);
}

bool ph_element_equal(const struct ph_set_def *def, const struct ph_element *a,
		      const struct ph_element *b)
{
	if (memcmp(a->key, b->key, sizeof(a->key)))
		return false;
	switch (def->kind) {
	case PH_SET_PLAIN:
		return comments_equal(a, b);
	case PH_SET_VERDICT:
		return !strcmp(a->chain, b->chain);
	case PH_SET_DATA:
		return !memcmp(a->data, b->data, sizeof(a->data));
	case PH_SET_RANGES:
		break;
	}
	assert(false && "a set of elements is one of those above");
	return false;
}

bool ph_table_equal(const struct ph_table *a, const struct ph_table *b)
{
	if (a->n_counters != b->n_counters || a->n_sets != b->n_sets || a->n_chains != b->n_chains)
		return false;
	for (size_t i = 0; i < a->n_counters; i++)
		if (strcmp(a->counters[i], b->counters[i]))
			return false;
	for (size_t i = 0; i < a->n_sets; i++) {
		const struct ph_set *x = &a->sets[i], *y = &b->sets[i];

		if (strcmp(x->def->name, y->def->name) != 0 || x->n_elements != y->n_elements ||
		    !ph_prefixes_equal(x->ranges, y->ranges))
			return false;
		for (size_t j = 0; j < x->n_elements; j++)
			if (!ph_element_equal(x->def, &x->elements[j], &y->elements[j]))
				return false;
	}
	for (size_t i = 0; i < a->n_chains; i++)
		if (strcmp(a->chains[i].name, b->chains[i].name) ||
		    !ph_chain_equal(&a->chains[i], &b->chains[i]))
			return false;
	return true;
}
