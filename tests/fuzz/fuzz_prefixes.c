// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A file of prefixes: any octets at all, read for an IPv4 and an IPv6 mapping. What is wrong is
 * told with its line, printable and not without end; a file that is accepted gives sets whose
 * ranges are in order, which contain every prefix of the file that its text has at a line's
 * beginning.
 */

#include "fuzz.h"

#include <errno.h>

#include <pinhold/config.h>

struct octets {
	const uint8_t *data;
	size_t size;
};

static const char config_text[] = "[mapping four]\nbind = 1\ntarget = none\nallow = @/f\n"
				  "[mapping six]\nbind = 1\ntarget = none\nfamily = ipv6\n"
				  "allow = @/f\n"
				  "[mapping more]\nbind = 2\ntarget = none\n"
				  "allow = 10.0.0.0/8, @/f\n";

struct told {
	size_t n, mistakes;
};

static void report(void *data, bool mistake, unsigned line, const char *text)
{
	struct told *told = data;

	/* Mistakes where the file is named first; notices in each mapping of a family. */
	CHECK(mistake ? line == 4 : line == 4 || line == 9);
	CHECK(!strncmp(text, "allow: /f", 9));
	for (const char *c = text; *c; c++)
		CHECK((unsigned char)*c >= ' ' && *c != 0x7f);
	told->n++;
	told->mistakes += mistake;
	CHECK(told->mistakes <= 11);
}

/* No other thread, and libFuzzer's function has no argument for the reader. */
static struct octets input;

static int read_input(const char *path, size_t max, char **ret_text, size_t *ret_len)
{
	CHECK(!strcmp(path, "/f"));
	CHECK(input.size <= max);
	*ret_text = (char *)exact_copy(input.data, input.size);
	*ret_len = input.size;
	return 0;
}

static void check_set(const struct ph_prefixes *set, enum ph_family family)
{
	size_t octets = ph_family_octets(family);

	CHECK(set && set->family == family);
	for (size_t i = 0; i < set->n; i++) {
		const struct ph_range *range = &set->ranges[i];
		uint8_t next[16];
		size_t k = octets;

		CHECK(memcmp(range->first, range->last, 16) <= 0);
		for (size_t z = octets; z < 16; z++)
			CHECK(range->first[z] == 0 && range->last[z] == 0);
		if (i == 0)
			continue;
		/* Neither overlapping nor adjacent */
		memcpy(next, set->ranges[i - 1].last, 16);
		while (k > 0 && ++next[k - 1] == 0)
			k--;
		CHECK(k > 0 && memcmp(next, range->first, 16) < 0);
	}
}

/* The address that a line begins with, in a file without a mistake, is let in. */
static void check_lines(const struct octets *in, const struct ph_prefixes *four,
			const struct ph_prefixes *six)
{
	for (size_t at = 0; at < in->size; at++) {
		char text[PH_ADDRESS_STRLEN];
		struct ph_address address;
		size_t n = 0;

		if (at > 0 && in->data[at - 1] != '\n')
			continue;
		while (at + n < in->size && n + 1 < sizeof(text) &&
		       strchr("0123456789abcdefABCDEF.:", in->data[at + n]) && in->data[at + n]) {
			text[n] = (char)in->data[at + n];
			n++;
		}
		text[n] = '\0';
		if (ph_address_parse(text, &address) == 0)
			CHECK(ph_prefixes_contain(address.family == PH_IPV4 ? four : six,
						  &address));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct told told = { 0 };
	struct ph_config_source source = {
		.report = report,
		.data = &told,
		.read_file = read_input,
	};
	struct ph_config config;
	int r;

	input = (struct octets){ data, size };
	r = ph_config_parse(config_text, strlen(config_text), &source, &config);
	CHECK(r == 0 || r == -EINVAL);
	CHECK((r == 0) == (told.mistakes == 0));
	if (r == 0) {
		check_set(config.mappings[0]->allowed, PH_IPV4);
		check_set(config.mappings[1]->allowed, PH_IPV6);
		check_set(config.mappings[2]->allowed, PH_IPV4);
		CHECK(config.mappings[2]->allowed->n > 0);
		check_lines(&input, config.mappings[0]->allowed, config.mappings[1]->allowed);
		check_lines(&input, config.mappings[2]->allowed, config.mappings[1]->allowed);
		ph_config_done(&config);
	}
	return 0;
}
