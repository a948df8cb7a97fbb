// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pinhold with one rule missing, or with one statement of a rule. PINHOLD_MUTANT names it:
 * CHAIN/COMMENT/NUMBER is the NUMBERth rule of that chain with that comment, and with #STATEMENT
 * behind it, only its STATEMENTth statement. It is taken out of every table that is made, before
 * anybody has seen it, and said on standard error. A table that never had it is an error, or the
 * list of mutants would grow stale and nobody would notice.
 *
 * PINHOLD_ROTATE_MS is how often mappings rotate that do: a minute, the least that a file may ask
 * for, is long for a test.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <pinhold/config.h>
#include <pinhold/table.h>

#define NOT_FOUND 97 /* exit status */

int __real_ph_table_new(const struct ph_plan_options *options,
			const struct ph_plan_mapping *mappings, size_t n,
			struct ph_table **ret_table);
int __wrap_ph_table_new(const struct ph_plan_options *options,
			const struct ph_plan_mapping *mappings, size_t n,
			struct ph_table **ret_table);
int __real_ph_config_read(const char *path, ph_config_report_fn report, void *data,
			  struct ph_config *ret_config);
int __wrap_ph_config_read(const char *path, ph_config_report_fn report, void *data,
			  struct ph_config *ret_config);

/* Whether it has been there; only whoever stands at the process's end can say that it never was. */
static bool taken;

static void complain(void)
{
	if (taken)
		return;
	fprintf(stderr, "pinhold-mutant: no table had %s\n", getenv("PINHOLD_MUTANT"));
	_exit(NOT_FOUND);
}

/* What PINHOLD_MUTANT says. */
struct mutant {
	const char *chain, *comment; /* without NUL behind them */
	size_t chain_len, comment_len;
	unsigned long number, statement; /* 0: the whole rule */
};

/* Comments may have slashes, names of chains have none. */
static bool parse(const char *text, struct mutant *ret_mutant)
{
	const char *first = strchr(text, '/'), *last = strrchr(text, '/');
	char *end = NULL;

	if (!first || first == last)
		return false;
	ret_mutant->chain = text;
	ret_mutant->chain_len = (size_t)(first - text);
	ret_mutant->comment = first + 1;
	ret_mutant->comment_len = (size_t)(last - first - 1);
	ret_mutant->number = strtoul(last + 1, &end, 10);
	ret_mutant->statement = *end == '#' ? strtoul(end + 1, NULL, 10) : 0;
	return true;
}

static bool is_text(const char *text, const char *part, size_t len)
{
	return strncmp(text, part, len) == 0 && !text[len];
}

/*
 * Takes one of n things of some size out of an array, which lies in an allocation that the table
 * owns, and that nobody else has seen yet.
 */
static void take(const void *array, size_t n, size_t size, size_t which)
{
	char *at = (char *)(uintptr_t)array + which * size;

	memmove(at, at + size, (n - which - 1) * size);
}

/* False: it is not there. */
static bool mutate_chain(struct ph_chain *chain, const struct mutant *mutant)
{
	struct ph_rule *rules = (struct ph_rule *)(uintptr_t)chain->rules;
	unsigned long seen = 0;

	for (size_t i = 0; i < chain->n_rules; i++) {
		struct ph_rule *rule = &rules[i];

		if (!is_text(rule->comment, mutant->comment, mutant->comment_len) ||
		    ++seen != mutant->number)
			continue;
		if (!mutant->statement) {
			take(rules, chain->n_rules--, sizeof(*rules), i);
			return true;
		}
		if (mutant->statement > rule->n_statements)
			return false;
		take(rule->statements, rule->n_statements--, sizeof(*rule->statements),
		     mutant->statement - 1);
		return true;
	}
	return false;
}

static void mutate(struct ph_table *t, const char *text)
{
	struct mutant mutant = { 0 };

	for (size_t i = 0; parse(text, &mutant) && i < t->n_chains; i++) {
		struct ph_chain *chain = &t->chains[i];

		if (!is_text(chain->name, mutant.chain, mutant.chain_len) ||
		    !mutate_chain(chain, &mutant))
			continue;
		if (!taken)
			fprintf(stderr, "pinhold-mutant: without %s\n", text);
		taken = true;
	}
}

int __wrap_ph_table_new(const struct ph_plan_options *options,
			const struct ph_plan_mapping *mappings, size_t n,
			struct ph_table **ret_table)
{
	const char *mutant = getenv("PINHOLD_MUTANT");
	int r = __real_ph_table_new(options, mappings, n, ret_table);

	if (r == 0 && mutant)
		mutate(*ret_table, mutant);
	return r;
}

int __wrap_ph_config_read(const char *path, ph_config_report_fn report, void *data,
			  struct ph_config *ret_config)
{
	const char *rotate = getenv("PINHOLD_ROTATE_MS");
	int r = __real_ph_config_read(path, report, data, ret_config);

	for (size_t i = 0; r == 0 && rotate && i < ret_config->n_mappings; i++)
		if (ret_config->mappings[i]->rotate_ms)
			ret_config->mappings[i]->rotate_ms = (uint32_t)strtoul(rotate, NULL, 10);
	return r;
}

__attribute__((constructor)) static void prepare(void)
{
	if (getenv("PINHOLD_MUTANT"))
		atexit(complain);
}
