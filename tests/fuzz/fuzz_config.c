// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The configuration file: any octets at all. Mistakes are told in order, printable and within the
 * file; a configuration that is accepted keeps what its header promises, and the same file read
 * again, or with a comment before it, is the same configuration.
 */

#include "fuzz.h"

#include <errno.h>

#include <pinhold/config.h>

struct told {
	size_t n, mistakes;
	unsigned lines, last;
};

static void report(void *data, bool mistake, unsigned line, const char *text)
{
	struct told *told = data;
	size_t len = strlen(text);

	CHECK(len > 0 && text[len - 1] != '.');
	CHECK(line <= told->lines);
	CHECK(line >= told->last || line == 0);
	for (size_t i = 0; i < len; i++)
		CHECK((unsigned char)text[i] >= ' ' && text[i] != 0x7f);
	told->last = line;
	told->n++;
	told->mistakes += mistake;
	/* 50 mistakes, how many more, each notice once, and of those about files 50 and how many
	 * more */
	CHECK(told->n <= 51 + 32 + 51 && told->mistakes <= 51);
}

static const char *refusal(const char *path)
{
	CHECK(path[0] == '/');
	return strstr(path, "none") ? "does not exist" : NULL;
}

/* What is in a file is fuzz_prefixes.c's. */
static int prefix_file(const char *path, size_t max, char **ret_text, size_t *ret_len)
{
	static const char text[] = "192.0.2.0/24\n2001:db8::/32\n";
	size_t len = strstr(path, "four") ? strlen("192.0.2.0/24") : strlen(text);

	CHECK(path[0] == '/' && max > sizeof(text));
	if (strstr(path, "none"))
		return -ENOENT;
	*ret_text = (char *)exact_copy((const uint8_t *)text, len);
	*ret_len = len;
	return 0;
}

static int parse(const uint8_t *data, size_t size, struct told *told, struct ph_config *config)
{
	struct ph_config_source source = {
		.ephemeral_first = 32768,
		.ephemeral_last = 60999,
		.report = report,
		.data = told,
		.program_refusal = refusal,
		.read_file = prefix_file,
	};
	char *copy = (char *)exact_copy(data, size);
	int r;

	*told = (struct told){ .lines = 1 };
	for (size_t i = 0; i < size; i++)
		told->lines += data[i] == '\n';
	r = ph_config_parse(copy, size, &source, config);
	free(copy);
	CHECK(r == 0 || r == -EINVAL);
	CHECK((r == 0) == (told->mistakes == 0));
	return r;
}

static void check_servers(const struct ph_server_list *list, enum ph_family family)
{
	struct ph_address address;

	CHECK(list && list->n > 0 && list->n <= PH_SERVERS_MAX && list->references > 0);
	for (size_t i = 0; i < list->n; i++) {
		CHECK(list->items[i].port > 0 && list->items[i].host[0]);
		CHECK(memchr(list->items[i].host, '\0', sizeof(list->items[i].host)));
		CHECK(ph_address_parse(list->items[i].host, &address) < 0 ||
		      address.family == family);
	}
}

static void check_target(const struct ph_mapping_config *core)
{
	const struct ph_target *t = &core->target;

	CHECK(t->kind == PH_TARGET_NONE || t->kind == PH_TARGET_LOCAL ||
	      t->kind == PH_TARGET_ADDRESS);
	if (t->kind == PH_TARGET_ADDRESS)
		CHECK(t->address.family == core->family && !ph_target_refusal(&t->address));
}

static void check_mapping(const struct ph_config_mapping *m)
{
	const struct ph_mapping_config *core = &m->core;
	struct ph_address address;

	CHECK(!ph_name_refusal(core->name));
	CHECK(core->bind_first > 0 && core->bind_first <= core->bind_last);
	CHECK(core->interval_ms >= 1000 && core->interval_ms <= 3600000);
	CHECK(core->verify_ms >= 5000 && core->verify_ms <= 86400000);
	CHECK(m->detect_ms >= 1000 && m->detect_ms <= 600000);
	CHECK(m->rotate_ms == 0 || (m->rotate_ms >= 60000 && core->bind_first < core->bind_last));
	check_target(core);
	check_servers(core->stun, core->family);
	check_servers(core->keepalive, core->family);
	if (ph_address_parse(m->interface, &address) == 0)
		CHECK(address.family == core->family);
	else
		CHECK(ph_interface_name_valid(m->interface));
	CHECK(m->n_hooks <= PH_HOOKS_MAX && m->n_publish <= PH_PUBLISH_MAX);
	for (size_t i = 0; i < m->n_hooks; i++)
		CHECK(m->hooks[i].path[0] == '/' && m->hooks[i].events - 1 < 7);
	CHECK(!m->allowed || (m->allowed->family == core->family && m->allowed->references > 0));
	CHECK(!ph_target_loops(core, m->interface));
	CHECK(m->limit.rate == 0 || (m->limit.seconds && m->limit.burst));
	CHECK(m->line > 0 && ph_config_mapping_compare(m, m) == PH_CONFIG_SAME);
}

static void check_pair(const struct ph_config_mapping *a, const struct ph_config_mapping *b)
{
	CHECK(strcmp(a->core.name, b->core.name) != 0);
	CHECK(!a->enabled || !b->enabled || a->core.bind_first != a->core.bind_last ||
	      b->core.bind_first != b->core.bind_last || a->core.proto != b->core.proto ||
	      a->core.family != b->core.family || a->core.bind_first != b->core.bind_first ||
	      strcmp(a->interface, b->interface) != 0);
}

static void check_config(const struct ph_config *config)
{
	CHECK(__builtin_popcount(config->plan.mark) == 1);
	CHECK((config->plan.mark & config->plan.mask) && config->n_mappings > 0);
	for (size_t i = 0; i < config->n_mappings; i++) {
		const struct ph_config_mapping *m = config->mappings[i];

		check_mapping(m);
		for (size_t k = 0; k < i; k++)
			check_pair(config->mappings[k], m);
		for (size_t k = 0; k < m->n_publish; k++) {
			size_t p = 0;

			while (p < config->n_publishers &&
			       strcmp(config->publishers[p].name, m->publish[k]) != 0)
				p++;
			CHECK(p < config->n_publishers);
		}
	}
}

static void check_same(const struct ph_config *a, const struct ph_config *b)
{
	CHECK(a->n_mappings == b->n_mappings && a->n_publishers == b->n_publishers);
	CHECK(a->plan.mark == b->plan.mark && a->plan.mask == b->plan.mask);
	for (size_t i = 0; i < a->n_mappings; i++)
		CHECK(ph_config_mapping_compare(a->mappings[i], b->mappings[i]) == PH_CONFIG_SAME);
	for (size_t i = 0; i < a->n_publishers; i++) {
		const struct ph_publish *p = &a->publishers[i], *q = &b->publishers[i];

		CHECK(!strcmp(p->name, q->name) && p->type == q->type &&
		      p->n_settings == q->n_settings);
		for (size_t k = 0; k < p->n_settings; k++)
			CHECK(!strcmp(p->settings[k].key, q->settings[k].key) &&
			      !strcmp(p->settings[k].value, q->settings[k].value));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char comment[] = "# [mapping x] \"\n\t; = y\n";
	struct ph_config config, again;
	struct told told, told_again;
	uint8_t *longer;
	int r = parse(data, size, &told, &config);

	/* A byte order mark is one at the file's beginning only. */
	if (size >= 3 && !memcmp(data, "\xef\xbb\xbf", 3)) {
		data += 3;
		size -= 3;
	}
	longer = malloc(sizeof(comment) - 1 + size);
	CHECK(longer);
	memcpy(longer, comment, sizeof(comment) - 1);
	if (size)
		memcpy(longer + sizeof(comment) - 1, data, size);
	CHECK(parse(longer, sizeof(comment) - 1 + size, &told_again, &again) == r);
	CHECK(told.n == told_again.n && told.mistakes == told_again.mistakes);
	free(longer);
	if (r == 0) {
		check_config(&config);
		check_same(&config, &again);
		ph_config_done(&config);
		ph_config_done(&again);
	}
	return 0;
}
