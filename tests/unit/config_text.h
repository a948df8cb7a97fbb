/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Configuration files as strings, for the tests of what reads them. */

#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pinhold/config.h>

#define N(array)  (sizeof(array) / sizeof(*(array)))
#define SAID_MAX  64
#define SAID_TEXT 600

/* Lines 1 to 3 of the cases below; what is wrong stands behind them. */
#define M "[mapping m]\nbind = 1\ntarget = none\n"
/* The same for publishers: lines 1 to 5. */
#define P M "[publish p]\ntype = "

/* What was reported. */
struct said {
	size_t n, mistakes;
	struct {
		bool mistake;
		unsigned line;
		char text[SAID_TEXT];
	} items[SAID_MAX];
};

static inline void report(void *data, bool mistake, unsigned line, const char *text)
{
	struct said *said = data;
	size_t len = strlen(text);

	assert_true(said->n < SAID_MAX);
	assert_in_range(len, 1, SAID_TEXT - 1);
	assert_true(text[len - 1] != '.');
	for (size_t i = 0; i < len; i++)
		assert_true((unsigned char)text[i] >= ' ' && text[i] != 0x7f);
	/* In the order of the lines, but for the count of those that are not told. */
	if (said->n && line)
		assert_true(line >= said->items[said->n - 1].line);
	said->items[said->n].mistake = mistake;
	said->items[said->n].line = line;
	memcpy(said->items[said->n++].text, text, len + 1);
	said->mistakes += mistake;
}

static inline const char *refusal(const char *path)
{
	return strcmp(path, "/no/hook") ? NULL : "does not exist";
}

/* The one file with prefixes that there is. */
static inline int prefix_file(const char *path, size_t max, char **ret_text, size_t *ret_len)
{
	static const char text[] = "10.0.0.0/8\n2001:db8:1::/48\n";

	assert_true(max > sizeof(text));
	if (strcmp(path, "/etc/allow") != 0)
		return -ENOENT;
	*ret_text = strdup(text);
	*ret_len = strlen(text);
	return *ret_text ? 0 : -ENOMEM;
}

static inline int parse(const char *text, size_t len, struct said *said, struct ph_config *config)
{
	struct ph_config_source source = {
		.path = "/etc/pinhold.conf",
		.ephemeral_first = 32768,
		.ephemeral_last = 60999,
		.report = report,
		.data = said,
		.program_refusal = refusal,
		.read_file = prefix_file,
	};
	char *exact = malloc(len ? len : 1);
	int r;

	assert_non_null(exact);
	memcpy(exact, text, len);
	*said = (struct said){ 0 };
	r = ph_config_parse(exact, len, &source, config);
	free(exact);
	return r;
}

/* Parsed without a mistake, and without a notice where none is expected. */
static inline struct ph_config good(const char *text, size_t notices)
{
	static struct said said;
	struct ph_config config = { 0 };
	int r = parse(text, strlen(text), &said, &config);

	for (size_t i = 0; i < said.n; i++)
		if (said.items[i].mistake)
			print_message("%u: %s\n", said.items[i].line, said.items[i].text);
	assert_int_equal(r, 0);
	assert_int_equal(said.n, notices);
	return config;
}

static inline const struct ph_config_mapping *mapping(const struct ph_config *config,
						      const char *name)
{
	for (size_t i = 0; i < config->n_mappings; i++)
		if (!strcmp(config->mappings[i]->core.name, name))
			return config->mappings[i];
	fail_msg("no mapping %s", name);
	abort(); /* fail_msg() does not return, but does not say so */
}
