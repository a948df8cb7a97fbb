// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * From a file's lines to a configuration. A section is read into a draft; when it is complete its
 * own settings are compared with each other, and when the file is complete, mappings with [global]
 * and with one another. Whatever is wrong is noted with its line, and reading goes on.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config_build.h"

void *ph_builder_grow(struct ph_config_builder *b, void *items, size_t n, size_t size)
{
	/* It is full whenever n is a power of two, or nothing. */
	if (n & (n - 1))
		return items;
	items = reallocarray(items, n ? 2 * n : 1, size);
	if (!items)
		b->reports.no_memory = true;
	return items;
}

char *ph_builder_copy(struct ph_config_builder *b, const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		b->reports.no_memory = true;
	return copy;
}

int ph_config_builder_new(const struct ph_config_source *source,
			  struct ph_config_builder **ret_builder)
{
	struct ph_config_builder *b = calloc(1, sizeof(*b));

	if (!b)
		return -ENOMEM;
	b->source = *source;
	b->config.plan =
		(struct ph_plan_options){ .mark = PH_MARK_DEFAULT, .mask = PH_MASK_DEFAULT };
	/* The defaults are those that TCP and UDP have in common; the interval is not. */
	b->global.m = ph_config_mapping_new(PH_TCP, PH_IPV4);
	b->config.path = source->path ? strdup(source->path) : NULL;
	if (!b->global.m || (source->path && !b->config.path)) {
		ph_config_builder_free(b);
		return -ENOMEM;
	}
	*ret_builder = b;
	return 0;
}

void ph_config_builder_free(struct ph_config_builder *b)
{
	if (!b)
		return;
	for (size_t i = 0; i < b->n_drafts; i++)
		ph_config_mapping_free(b->drafts[i].m);
	free(b->drafts);
	ph_config_mapping_free(b->global.m);
	ph_allow_done(b);
	for (size_t i = 0; i < b->n_interned; i++)
		ph_server_list_unref(b->interned[i].list);
	free(b->interned);
	for (size_t i = 0; i < 2; i++)
		for (size_t k = 0; k < 2; k++)
			ph_server_list_unref(b->builtin[i][k]);
	ph_reports_done(&b->reports);
	ph_config_done(&b->config);
	free(b);
}

static void take_servers(struct ph_config_builder *b, enum ph_server_kind kind,
			 const struct ph_server_list **list)
{
	const struct ph_draft_servers *servers = &b->servers[kind];

	if (servers->n)
		*list = ph_intern_servers(b, servers->items, servers->n);
}

static void end_section(struct ph_config_builder *b)
{
	switch (b->section) {
	case PH_SECTION_MAPPING:
		ph_check_mapping(b, b->draft);
		ph_allow_finish(b, b->draft);
		take_servers(b, PH_SERVER_STUN, &b->draft->m->core.stun);
		take_servers(b, PH_SERVER_KEEPALIVE, &b->draft->m->core.keepalive);
		break;
	case PH_SECTION_GLOBAL:
		take_servers(b, PH_SERVER_STUN, &b->draft->m->core.stun);
		take_servers(b, PH_SERVER_KEEPALIVE, &b->draft->m->core.keepalive);
		break;
	case PH_SECTION_PUBLISH:
		ph_publish_check(&b->config.publishers[b->config.n_publishers - 1], &b->reports);
		break;
	case PH_SECTION_NONE:
	case PH_SECTION_WRONG:
		break;
	}
	b->section = PH_SECTION_WRONG;
	b->draft = NULL;
	b->key = NULL;
	b->publish_key[0] = '\0';
	b->servers[PH_SERVER_STUN].n = 0;
	b->servers[PH_SERVER_KEEPALIVE].n = 0;
	b->allow.n = 0;
	b->allow.n_files = 0;
	b->hook_events = 0;
}

static void begin_global(struct ph_config_builder *b, unsigned line, const char *name)
{
	if (*name) {
		ph_reports_mistake(&b->reports, line, "[global] has no name behind it");
		return;
	}
	if (b->global_line) {
		ph_reports_mistake(&b->reports, line, "[global] stands in line %u already",
				   b->global_line);
		return;
	}
	b->global_line = line;
	b->draft = &b->global;
	b->section = PH_SECTION_GLOBAL;
}

/* True: a mistake was noted. */
static bool bad_name(struct ph_config_builder *b, unsigned line, const char *kind, const char *name,
		     const char *why)
{
	char shown[PH_SHOWN_STRLEN];

	if (*name == '\0')
		ph_reports_mistake(&b->reports, line, "[%s] needs a name: [%s NAME]", kind, kind);
	else if (why)
		ph_reports_mistake(&b->reports, line, "[%s NAME]: \"%s\" %s", kind,
				   ph_text_show(name, shown), why);
	return *name == '\0' || why;
}

static void begin_mapping(struct ph_config_builder *b, unsigned line, const char *name)
{
	bool bad = bad_name(b, line, "mapping", name, ph_name_refusal(name));
	struct ph_draft *drafts;
	struct ph_config_mapping *m;

	if (b->n_drafts == PH_MAPPINGS_MAX) {
		ph_reports_mistake(&b->reports, line, "one mapping too many: %d are the most",
				   PH_MAPPINGS_MAX);
		return;
	}
	drafts = ph_builder_grow(b, b->drafts, b->n_drafts, sizeof(*drafts));
	if (!drafts)
		return;
	b->drafts = drafts;
	m = ph_config_mapping_new(PH_TCP, PH_IPV4);
	if (!m) {
		b->reports.no_memory = true;
		return;
	}
	m->line = line;
	/* One with a bad name is read all the same, for the mistakes in it. */
	if (!bad)
		memcpy(m->core.name, name, strlen(name) + 1);
	b->draft = &drafts[b->n_drafts++];
	*b->draft = (struct ph_draft){ .m = m };
	b->section = PH_SECTION_MAPPING;
}

static void begin_publisher(struct ph_config_builder *b, unsigned line, const char *name)
{
	bool bad = bad_name(b, line, "publish", name, ph_publish_name_refusal(name));
	struct ph_config *config = &b->config;
	struct ph_publish *publishers;

	if (config->n_publishers == PH_PUBLISHERS_MAX) {
		ph_reports_mistake(&b->reports, line, "one publisher too many: %d are the most",
				   PH_PUBLISHERS_MAX);
		return;
	}
	publishers =
		ph_builder_grow(b, config->publishers, config->n_publishers, sizeof(*publishers));
	if (!publishers)
		return;
	config->publishers = publishers;
	publishers[config->n_publishers] = (struct ph_publish){ .line = line };
	if (!bad)
		memcpy(publishers[config->n_publishers].name, name, strlen(name) + 1);
	config->n_publishers++;
	b->section = PH_SECTION_PUBLISH;
}

static void unknown_section(struct ph_config_builder *b, unsigned line, const char *header,
			    const char *kind)
{
	static const char *const kinds[] = { "global", "mapping NAME", "publish NAME" };
	static const char *const words[] = { "global", "mapping", "publish" };
	char shown[PH_SHOWN_STRLEN];
	const char *best = NULL;
	size_t distance = 4;

	for (size_t i = 0; i < 3; i++) {
		size_t d = ph_text_distance(kind, words[i]);

		if (d < distance) {
			distance = d;
			best = kinds[i];
		}
	}
	if (best)
		ph_reports_mistake(&b->reports, line, "unknown section [%s]; did you mean [%s]?",
				   ph_text_show(header, shown), best);
	else
		ph_reports_mistake(
			&b->reports, line,
			"unknown section [%s]; there are [global], [mapping NAME] and [publish NAME]",
			ph_text_show(header, shown));
}

void ph_config_builder_section(struct ph_config_builder *b, unsigned line, const char *header)
{
	char copy[PH_SHOWN_STRLEN], *name;
	size_t len;

	end_section(b);
	if (!header)
		return;
	header += strspn(header, " \t");
	len = strlen(header);
	if (len >= sizeof(copy)) {
		unknown_section(b, line, header, "");
		return;
	}
	memcpy(copy, header, len + 1);
	while (len && (copy[len - 1] == ' ' || copy[len - 1] == '\t'))
		copy[--len] = '\0';
	name = copy + strcspn(copy, " \t");
	if (*name) {
		*name++ = '\0';
		name += strspn(name, " \t");
	}
	if (!strcmp(copy, "global"))
		begin_global(b, line, name);
	else if (!strcmp(copy, "mapping"))
		begin_mapping(b, line, name);
	else if (!strcmp(copy, "publish"))
		begin_publisher(b, line, name);
	else
		unknown_section(b, line, header, copy);
}

static void unknown_key(struct ph_config_builder *b, const char *name,
			const struct ph_key_info *elsewhere)
{
	bool global = b->section == PH_SECTION_GLOBAL;
	/* Not looked for where it would not be told. */
	const char *nearest =
		b->reports.n_mistakes < PH_MISTAKES_MAX ? ph_key_nearest(name, global) : NULL;
	const char *where = global ? "[global]" : "[mapping NAME]";
	char shown[PH_SHOWN_STRLEN];

	ph_text_show(name, shown);
	if (elsewhere)
		ph_reports_mistake(&b->reports, b->line, "%s does not belong into %s, but into %s",
				   name, where, global ? "[mapping NAME]" : "[global]");
	else if (nearest)
		ph_reports_mistake(&b->reports, b->line,
				   "unknown key \"%s\" in %s; did you mean \"%s\"?", shown, where,
				   nearest);
	else
		ph_reports_mistake(&b->reports, b->line,
				   "unknown key \"%s\" in %s; pinhold.conf(5) lists all", shown,
				   where);
}

static void publisher_entry(struct ph_config_builder *b, const char *key, const char *value)
{
	struct ph_publish *p = &b->config.publishers[b->config.n_publishers - 1];
	char shown[PH_SHOWN_STRLEN];

	if (p->n_settings == PH_SETTINGS_MAX) {
		ph_reports_mistake(&b->reports, b->line, "one setting too many: %d are the most",
				   PH_SETTINGS_MAX);
		return;
	}
	if (!ph_publish_key_repeats(key)) {
		for (size_t i = 0; i < p->n_settings; i++) {
			if (strcmp(p->settings[i].key, key) != 0)
				continue;
			/* A key that is unknown is said to be so at the section's end. */
			ph_reports_mistake(&b->reports, b->line, "%s was given in line %u already",
					   ph_text_show(key, shown), p->settings[i].line);
			return;
		}
	}
	if (ph_publish_add(p, b->line, key, value) < 0)
		b->reports.no_memory = true;
}

/* False: it is said what is wrong with it. */
static bool value_fits(struct ph_config_builder *b, const char *key, const char *value)
{
	char shown[PH_SHOWN_STRLEN];

	if (*value == '\0')
		ph_reports_mistake(&b->reports, b->line, "%s has no value",
				   ph_text_show(key, shown));
	else if (strlen(value) >= PH_VALUE_MAX)
		ph_reports_mistake(&b->reports, b->line,
				   "%s has a value of %zu octets: %d are the most",
				   ph_text_show(key, shown), strlen(value), PH_VALUE_MAX - 1);
	else
		return true;
	return false;
}

static void mapping_entry(struct ph_config_builder *b, const char *name, const char *value)
{
	const struct ph_key_info *key = ph_key_find(name);

	if (!key || !(b->section == PH_SECTION_GLOBAL ? key->global : key->mapping)) {
		unknown_key(b, name, key);
		return;
	}
	b->key = key;
	if (value_fits(b, name, value))
		ph_key_take(b, key, value);
	else
		ph_key_spoil(b, key);
}

void ph_config_builder_entry(struct ph_config_builder *b, unsigned line, const char *key,
			     const char *value)
{
	b->line = line;
	b->key = NULL;
	b->publish_key[0] = '\0';
	if (*key == '\0') {
		ph_reports_mistake(&b->reports, line, "the key before the = is missing");
		return;
	}
	switch (b->section) {
	case PH_SECTION_NONE:
		ph_reports_mistake(
			&b->reports, line,
			"stands before the first section: write [global] or [mapping NAME] above it");
		break;
	case PH_SECTION_WRONG:
		break;
	case PH_SECTION_GLOBAL:
	case PH_SECTION_MAPPING:
		mapping_entry(b, key, value);
		break;
	case PH_SECTION_PUBLISH:
		if (strlen(key) < sizeof(b->publish_key))
			memcpy(b->publish_key, key, strlen(key) + 1);
		if (value_fits(b, key, value))
			publisher_entry(b, key, value);
		break;
	}
}

void ph_config_builder_more(struct ph_config_builder *b, unsigned line, const char *value)
{
	const char *key = b->key ? b->key->name : b->publish_key;
	char shown[PH_SHOWN_STRLEN];

	b->line = line;
	/* Nothing is there to be continued: the line before it was wrong, which was said. */
	if (*key == '\0' || b->section == PH_SECTION_WRONG)
		return;
	if (b->key ? b->key->count == PH_KEY_ONCE : !ph_publish_key_repeats(key)) {
		ph_reports_mistake(
			&b->reports, line,
			"begins with white space and so continues %s, which has one value: begin a line with its key",
			ph_text_show(key, shown));
		return;
	}
	if (!value_fits(b, key, value))
		return;
	if (b->key)
		ph_key_take(b, b->key, value);
	else
		publisher_entry(b, key, value);
}

void ph_config_builder_wrong(struct ph_config_builder *b, unsigned line, const char *text)
{
	b->key = NULL;
	b->publish_key[0] = '\0';
	ph_reports_mistake(&b->reports, line, "%s", text);
}

/* The mappings, out of their drafts, into the configuration. */
static int hand_over(struct ph_config_builder *b)
{
	struct ph_config *config = &b->config;

	config->mappings = reallocarray(NULL, b->n_drafts, sizeof(*config->mappings));
	if (!config->mappings)
		return -ENOMEM;
	for (size_t i = 0; i < b->n_drafts; i++) {
		config->mappings[config->n_mappings++] = b->drafts[i].m;
		b->drafts[i].m = NULL;
	}
	return 0;
}

int ph_config_builder_finish(struct ph_config_builder *b, struct ph_config *ret_config)
{
	end_section(b);
	ph_check_file(b);
	if (b->reports.no_memory)
		return -ENOMEM;
	if (b->reports.n_mistakes == 0 && hand_over(b) < 0)
		return -ENOMEM;
	ph_reports_tell(&b->reports, b->source.report, b->source.data);
	if (b->reports.n_mistakes)
		return -EINVAL;
	*ret_config = b->config;
	b->config = (struct ph_config){ 0 };
	return 0;
}
