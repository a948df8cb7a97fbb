/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * As much of JSON Schema (draft 2020-12) as status.schema.json uses; a keyword that is not here
 * fails the test, so that none is taken for checked that is not.
 */

#include <jansson.h>
#include <regex.h>
#include <stdio.h>
#include <string.h>

struct schema {
	json_t *root;
	char where[512]; /* of the mistake that was found first */
	const char *what;
};

static inline bool schema_check(struct schema *s, const json_t *schema, const json_t *value,
				const char *path);

static inline bool schema_fail(struct schema *s, const char *path, const char *what)
{
	snprintf(s->where, sizeof(s->where), "%s", path);
	s->what = what;
	return false;
}

static inline const char *schema_type_name(const json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return "object";
	case JSON_ARRAY:
		return "array";
	case JSON_STRING:
		return "string";
	case JSON_INTEGER:
		return "integer";
	case JSON_REAL:
		return "number";
	case JSON_TRUE:
	case JSON_FALSE:
		return "boolean";
	case JSON_NULL:
		return "null";
	}
	return "";
}

/* Whether one of the array's items, or the single value, is the same. */
static inline bool schema_one_of(const json_t *allowed, const json_t *value)
{
	const json_t *item;
	size_t i;

	if (!json_is_array(allowed))
		return json_equal(allowed, value);
	json_array_foreach(allowed, i, item) if (json_equal(item, value)) return true;
	return false;
}

static inline bool schema_type(const json_t *allowed, const json_t *value)
{
	json_t *name = json_string(schema_type_name(value));
	bool found = schema_one_of(allowed, name);

	json_decref(name);
	return found;
}

static inline bool schema_matches(const json_t *pattern, const json_t *value)
{
	regex_t regex;
	bool matches;

	if (!json_is_string(value))
		return true;
	if (regcomp(&regex, json_string_value(pattern), REG_EXTENDED | REG_NOSUB) != 0)
		return false;
	matches = regexec(&regex, json_string_value(value), 0, NULL, 0) == 0;
	regfree(&regex);
	return matches;
}

static inline bool schema_properties(struct schema *s, const json_t *schema, const json_t *value,
				     const char *path)
{
	const json_t *known = json_object_get(schema, "properties"), *required, *name;
	bool closed = json_is_false(json_object_get(schema, "additionalProperties"));
	json_t *member;
	const char *key;
	char below[512];
	size_t i;

	if (!json_is_object(value))
		return true;
	required = json_object_get(schema, "required");
	json_array_foreach(required, i, name)
	{
		snprintf(below, sizeof(below), "%s.%s", path, json_string_value(name));
		if (!json_object_get(value, json_string_value(name)))
			return schema_fail(s, below, "is missing");
	}
	/* The iterator's interface wants no const; it only reads. */
	json_object_foreach((json_t *)(uintptr_t)value, key, member)
	{
		const json_t *of = json_object_get(known, key);

		snprintf(below, sizeof(below), "%s.%s", path, key);
		if (!of && closed)
			return schema_fail(s, below, "is not in the schema");
		if (of && !schema_check(s, of, member, below))
			return false;
	}
	return true;
}

static inline bool schema_items(struct schema *s, const json_t *items, const json_t *value,
				const char *path)
{
	const json_t *item;
	char below[512];
	size_t i;

	if (!json_is_array(value))
		return true;
	json_array_foreach(value, i, item)
	{
		snprintf(below, sizeof(below), "%s[%zu]", path, i);
		if (!schema_check(s, items, item, below))
			return false;
	}
	return true;
}

static inline const json_t *schema_resolve(const struct schema *s, const json_t *reference)
{
	static const char prefix[] = "#/$defs/";
	const char *text = json_string_value(reference);

	if (!text || strncmp(text, prefix, sizeof(prefix) - 1) != 0)
		return NULL;
	return json_object_get(json_object_get(s->root, "$defs"), text + sizeof(prefix) - 1);
}

static inline bool schema_keyword(struct schema *s, const json_t *schema, const char *keyword,
				  const json_t *rule, const json_t *value, const char *path)
{
	if (strcmp(keyword, "type") == 0)
		return schema_type(rule, value) || schema_fail(s, path, "has another type");
	if (strcmp(keyword, "enum") == 0)
		return schema_one_of(rule, value) || schema_fail(s, path, "is none of the values");
	if (strcmp(keyword, "pattern") == 0)
		return schema_matches(rule, value) || schema_fail(s, path, "looks otherwise");
	if (strcmp(keyword, "minimum") == 0)
		return !json_is_number(value) ||
		       json_number_value(value) >= json_number_value(rule) ||
		       schema_fail(s, path, "is too small");
	if (strcmp(keyword, "maximum") == 0)
		return !json_is_number(value) ||
		       json_number_value(value) <= json_number_value(rule) ||
		       schema_fail(s, path, "is too big");
	if (strcmp(keyword, "items") == 0)
		return schema_items(s, rule, value, path);
	if (strcmp(keyword, "properties") == 0)
		return schema_properties(s, schema, value, path);
	if (strcmp(keyword, "$ref") == 0) {
		const json_t *target = schema_resolve(s, rule);

		return target ? schema_check(s, target, value, path)
			      : schema_fail(s, path, "has a reference to nothing");
	}
	/* Dealt with beside properties, or no rule at all. */
	if (strcmp(keyword, "required") == 0 || strcmp(keyword, "additionalProperties") == 0)
		return json_object_get(schema, "properties") ||
		       schema_fail(s, path, "has rules for members, but no properties");
	return *keyword == '$' || strcmp(keyword, "title") == 0 ||
	       strcmp(keyword, "description") == 0 ||
	       schema_fail(s, path, "has a schema with a keyword that is not known");
}

/* Whether value is as schema says; otherwise s->where and s->what tell the first thing that is not.
 */
static inline bool schema_check(struct schema *s, const json_t *schema, const json_t *value,
				const char *path)
{
	const char *keyword;
	json_t *rule;

	json_object_foreach(
		(json_t *)(uintptr_t)schema, keyword,
		rule) if (!schema_keyword(s, schema, keyword, rule, value, path)) return false;
	return true;
}
