// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * [publish NAME]: which keys a publisher of each type has and what their values look like. The
 * values themselves are kept as text: the process that publishes makes something of them.
 */

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pinhold/publish.h>
#include <pinhold/receiver.h>

#include "config_internal.h"

#define N(array) (sizeof(array) / sizeof(*(array)))

/* What is being checked. */
struct check {
	const struct ph_setting *setting;
	struct ph_reports *reports;
};

struct publish_key {
	const char *name;
	bool required, repeats;
	void (*check)(const struct check *c);
};

static const char *const variables[] = {
	"public_address", "public_port", "public_endpoint", "ip4p",
	"mapping",        "protocol",    "event",           "private_port",
};

static void wrong(const struct check *c, const char *why)
{
	char shown[PH_SHOWN_STRLEN];

	ph_reports_mistake(c->reports, c->setting->line, "%s: \"%s\" %s", c->setting->key,
			   ph_text_show(c->setting->value, shown), why);
}

static void unknown_variable(const struct check *c, const char *name)
{
	char shown[PH_SHOWN_STRLEN];
	const char *best = NULL;
	size_t distance = 4;

	for (size_t i = 0; i < N(variables); i++) {
		size_t d = ph_text_distance(name, variables[i]);

		if (d < distance) {
			distance = d;
			best = variables[i];
		}
	}
	ph_text_show(name, shown);
	if (best)
		ph_reports_mistake(c->reports, c->setting->line,
				   "%s: the variable ${%s} is not known; did you mean ${%s}?",
				   c->setting->key, shown, best);
	else
		ph_reports_mistake(
			c->reports, c->setting->line,
			"%s: the variable ${%s} is not known; there are public_address, public_port, public_endpoint, ip4p, mapping, protocol, event, private_port and file:/PATH",
			c->setting->key, shown);
}

static void check_variable(const struct check *c, const char *name)
{
	if (!strncmp(name, "file:", 5)) {
		if (name[5] != '/')
			wrong(c, "has a ${file:PATH} whose path does not begin with a slash");
		return;
	}
	for (size_t i = 0; i < N(variables); i++)
		if (!strcmp(name, variables[i]))
			return;
	unknown_variable(c, name);
}

static void check_template(const struct check *c)
{
	const char *at = c->setting->value, *end;
	char name[PH_VALUE_MAX];

	while ((at = strstr(at, "${"))) {
		at += 2;
		end = strchr(at, '}');
		if (!end || (size_t)(end - at) >= sizeof(name)) {
			wrong(c, "has ${ without }");
			return;
		}
		memcpy(name, at, (size_t)(end - at));
		name[end - at] = '\0';
		check_variable(c, name);
		at = end;
	}
}

/* An absolute URL; what stands in variables is not looked at. */
static void check_url(const struct check *c)
{
	const char *url = c->setting->value, *host;
	bool variable = false;

	if (!strncmp(url, "https://", 8))
		host = url + 8;
	else if (!strncmp(url, "http://", 7))
		host = url + 7;
	else
		host = "";
	if (*host == '\0' || strchr("/?#:", *host)) {
		wrong(c, "is not an http:// or https:// URL");
		return;
	}
	for (const char *at = host; *at; at++) {
		if (!strncmp(at, "${", 2))
			variable = true;
		else if (*at == '}')
			variable = false;
		else if (!variable && ((unsigned char)*at <= ' ' || (unsigned char)*at >= 0x7f)) {
			wrong(c, "has a character that a URL must write as %XX");
			return;
		}
	}
}

static void check_url_template(const struct check *c)
{
	check_url(c);
	check_template(c);
}

static void check_plain_url(const struct check *c)
{
	check_url(c);
	if (strstr(c->setting->value, "${"))
		wrong(c, "has a variable, which this key does not know");
}

static void check_method(const struct check *c)
{
	static const char *const methods[] = { "GET", "POST", "PUT", "PATCH", "DELETE" };

	for (size_t i = 0; i < N(methods); i++)
		if (!strcmp(c->setting->value, methods[i]))
			return;
	wrong(c, "is none of GET, POST, PUT, PATCH and DELETE");
}

/* RFC 9110 section 5.1: a field name is a token (section 5.6.2). */
static void check_header(const struct check *c)
{
	const char *value = c->setting->value, *colon = strchr(value, ':');

	for (const char *at = value; colon && at < colon; at++)
		if (!isalnum((unsigned char)*at) && !strchr("!#$%&'*+-.^_`|~", *at))
			colon = NULL;
	if (!colon || colon == value) {
		wrong(c, "is not NAME: VALUE");
		return;
	}
	check_template(c);
}

static void check_path(const struct check *c)
{
	if (c->setting->value[0] != '/')
		wrong(c, "is not an absolute path");
}

static void check_events(const struct check *c)
{
	unsigned events;

	if (ph_announce_list_parse(c->setting->value, &events) < 0)
		wrong(c, "is not a list of up, change and down, each at most once");
}

static bool domain_name(const char *text)
{
	struct ph_address address;

	if (!strncmp(text, "*.", 2))
		text += 2;
	return ph_host_valid(text) && ph_address_parse(text, &address) < 0;
}

static void check_domain(const struct check *c)
{
	if (!domain_name(c->setting->value))
		wrong(c, "is not a domain name");
}

/* TYPE NAME, of SRV the service's host behind it, of TXT perhaps the text. */
static void check_record(const struct check *c)
{
	static const char *const record_types[] = { "A", "AAAA", "IP4P", "HTTPS", "SRV", "TXT" };
	char copy[PH_VALUE_MAX], *save, *type, *name, *rest;
	bool known = false;

	if (strlen(c->setting->value) >= sizeof(copy)) {
		wrong(c, "is too long");
		return;
	}
	strcpy(copy, c->setting->value);
	type = strtok_r(copy, " \t", &save);
	name = strtok_r(NULL, " \t", &save);
	rest = strtok_r(NULL, "", &save);
	for (size_t i = 0; type && i < N(record_types); i++)
		known = known || !strcmp(type, record_types[i]);
	if (!known || !name || !domain_name(name)) {
		wrong(c,
		      "is not TYPE NAME with a type of A, AAAA, IP4P, HTTPS, SRV, TXT and a domain name");
		return;
	}
	if (!strcmp(type, "SRV")) {
		if (!rest || !domain_name(rest))
			wrong(c,
			      "needs the service's host name behind the record's: SRV NAME HOST");
	} else if (!strcmp(type, "TXT")) {
		check_template(c);
	} else if (rest) {
		wrong(c, "has something behind the record's name");
	}
}

static void check_ttl(const struct check *c)
{
	uint32_t ms;

	if (ph_duration_parse(c->setting->value, &ms) < 0 || ms < 60000 || ms > 86400000)
		wrong(c, "is not a duration from 1m to 1d");
}

/* How Cloudflare writes the identifiers of accounts and namespaces. */
static void check_identifier(const struct check *c)
{
	const char *value = c->setting->value;

	if (strlen(value) != 32 || value[strspn(value, "0123456789abcdef")] != '\0')
		wrong(c, "is not 32 hexadecimal digits");
}

/* Cloudflare KV: names have at most 512 octets. */
static void check_kv_key(const struct check *c)
{
	if (strlen(c->setting->value) > 512)
		wrong(c, "has more than 512 octets");
	check_template(c);
}

static void check_username(const struct check *c)
{
	if (strlen(c->setting->value) > 255)
		wrong(c, "has more than 255 octets");
}

/* It would make columns of these. */
/* clang-format off */
static const struct publish_key webhook_keys[] = {
	{ "url", true, false, check_url_template },
	{ "method", false, false, check_method },
	{ "header", false, true, check_header },
	{ "body", false, false, check_template },
	{ "events", false, false, check_events },
	{ "ca-file", false, false, check_path },
};

static const struct publish_key cloudflare_dns_keys[] = {
	{ "token-file", true, false, check_path },
	{ "zone", false, false, check_domain },
	{ "record", true, true, check_record },
	{ "ttl", false, false, check_ttl },
	{ "api", false, false, check_plain_url },
	{ "ca-file", false, false, check_path },
};
/* clang-format on */

static const struct publish_key cloudflare_kv_keys[] = {
	{ "token-file", true, false, check_path },
	{ "account", true, false, check_identifier },
	{ "namespace", true, false, check_identifier },
	{ "key", true, false, check_kv_key },
	{ "value", false, false, check_template },
	{ "api", false, false, check_plain_url },
	{ "ca-file", false, false, check_path },
};

/* clang-format off */
/* Both BitTorrent clients have a web interface with a login. */
#define CLIENT_KEYS { \
	{ "url", true, false, check_plain_url }, \
	{ "username", false, false, check_username }, \
	{ "password-file", false, false, check_path }, \
	{ "ca-file", false, false, check_path }, \
}
/* clang-format on */

static const struct publish_key qbittorrent_keys[] = CLIENT_KEYS;
static const struct publish_key transmission_keys[] = CLIENT_KEYS;

static const struct publish_type {
	const char *name;
	const struct publish_key *keys;
	size_t n_keys;
} types[] = {
#define ROW(ID, STEM, NAME, DOWN) [PH_PUBLISH_##ID] = { NAME, STEM##_keys, N(STEM##_keys) },
	PH_PUBLISH_TYPES(ROW)
#undef ROW
};

const char *ph_publish_type_name(enum ph_publish_type type)
{
	return types[type].name;
}

static const struct publish_key *find_key(const struct publish_type *type, const char *name)
{
	for (size_t i = 0; i < type->n_keys; i++)
		if (!strcmp(type->keys[i].name, name))
			return &type->keys[i];
	return NULL;
}

bool ph_publish_key_repeats(const char *key)
{
	for (size_t i = 0; i < N(types); i++) {
		const struct publish_key *found = find_key(&types[i], key);

		if (found)
			return found->repeats;
	}
	return false;
}

const char *ph_publish_name_refusal(const char *name)
{
	if (!isalpha((unsigned char)*name))
		return "does not begin with a letter (a-z, A-Z)";
	if (strlen(name) > PH_NAME_MAX)
		return "is longer than 32 characters";
	for (const char *c = name; *c; c++)
		if (!isalnum((unsigned char)*c) && *c != '_' && *c != '-')
			return "has a character other than letters (a-z, A-Z), digits, - and _";
	return NULL;
}

int ph_publish_add(struct ph_publish *p, unsigned line, const char *key, const char *value)
{
	struct ph_setting *settings =
		reallocarray(p->settings, p->n_settings + 1, sizeof(*settings));
	struct ph_setting *s;

	if (!settings)
		return -ENOMEM;
	p->settings = settings;
	s = &settings[p->n_settings];
	*s = (struct ph_setting){ .key = strdup(key), .value = strdup(value), .line = line };
	if (!s->key || !s->value) {
		free(s->key);
		free(s->value);
		return -ENOMEM;
	}
	p->n_settings++;
	return 0;
}

static void unknown_key(const struct ph_setting *s, const struct publish_type *type,
			struct ph_reports *reports)
{
	char shown[PH_SHOWN_STRLEN];
	size_t distance = 3;
	const char *best = NULL;

	for (size_t i = 0; i < type->n_keys; i++) {
		size_t d = ph_text_distance(s->key, type->keys[i].name);

		if (d < distance) {
			distance = d;
			best = type->keys[i].name;
		}
	}
	ph_reports_mistake(reports, s->line, "unknown key \"%s\" for a publisher of type %s%s%s%s",
			   ph_text_show(s->key, shown), type->name, best ? "; did you mean \"" : "",
			   best ? best : "", best ? "\"?" : "");
}

static const struct ph_setting *find_setting(const struct ph_publish *p, const char *key)
{
	for (size_t i = 0; i < p->n_settings; i++)
		if (!strcmp(p->settings[i].key, key))
			return &p->settings[i];
	return NULL;
}

/* NULL: a mistake was reported. */
static const struct publish_type *take_type(struct ph_publish *p, struct ph_reports *reports)
{
#define NAMED(ID, STEM, NAME, DOWN) ", " NAME
	static const char list[] = PH_PUBLISH_TYPES(NAMED), *all = list + 2;
#undef NAMED
	const struct publish_type *type = NULL;
	char shown[PH_SHOWN_STRLEN];
	size_t kept = 0;

	for (size_t i = 0; i < p->n_settings; i++) {
		struct ph_setting *s = &p->settings[i];

		if (strcmp(s->key, "type") != 0) {
			p->settings[kept++] = *s;
			continue;
		}
		for (size_t k = 0; k < N(types) && !type; k++)
			if (!strcmp(s->value, types[k].name))
				type = &types[k];
		if (!type)
			ph_reports_mistake(reports, s->line, "type: \"%s\" is none of %s",
					   ph_text_show(s->value, shown), all);
		free(s->key);
		free(s->value);
	}
	if (kept == p->n_settings)
		ph_reports_mistake(reports, p->line, "this publisher has no type; there are %s",
				   all);
	p->n_settings = kept;
	if (type)
		p->type = (enum ph_publish_type)(type - types);
	return type;
}

/* All of them go to pinhold-publish as one JSON object, in which a character may become two. */
static void check_texts(const struct ph_publish *p, struct ph_reports *reports)
{
	const size_t max = PH_PUBLISH_INPUT_MAX / 2 - 4096;
	size_t total = 0;

	for (size_t i = 0; i < p->n_settings; i++) {
		const struct ph_setting *s = &p->settings[i];

		total += strlen(s->key) + strlen(s->value) + sizeof("[,],");
		if (!ph_text_printable(s->value))
			wrong(&(struct check){ s, reports }, "is not UTF-8");
	}
	if (total > max)
		ph_reports_mistake(reports, p->line,
				   "this publisher's settings are longer than %zu octets together",
				   max);
}

void ph_publish_check(struct ph_publish *p, struct ph_reports *reports)
{
	const struct publish_type *type;

	check_texts(p, reports);
	type = take_type(p, reports);
	if (!type)
		return;
	for (size_t i = 0; i < p->n_settings; i++) {
		const struct ph_setting *s = &p->settings[i];
		const struct publish_key *key = find_key(type, s->key);

		if (key)
			key->check(&(struct check){ s, reports });
		else
			unknown_key(s, type, reports);
	}
	for (size_t i = 0; i < type->n_keys; i++)
		if (type->keys[i].required && !find_setting(p, type->keys[i].name))
			ph_reports_mistake(reports, p->line,
					   "this publisher has no %s, which the type %s needs",
					   type->keys[i].name, type->name);
	if (find_key(type, "username") &&
	    !find_setting(p, "username") != !find_setting(p, "password-file"))
		ph_reports_mistake(reports, p->line, "username and password-file go together");
}
