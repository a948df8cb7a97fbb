// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Who is let in: prefixes that stand in the configuration, and files of them. A file is read where
 * it is named first, for both families at once, so that a thousand mappings with one list cost one
 * reading and one set.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config_build.h"

#define BAD_LINES_MAX 10 /* of one file, told one by one */

/* A file while its lines are read. */
struct reading {
	struct ph_config_builder *b;
	char path[PH_SHOWN_STRLEN]; /* for messages */
	unsigned line;
	size_t n_bad;
	struct ph_prefix *lists[2]; /* owned; by family */
	size_t n[2];
};

/* Why text is no prefix, as people often write one; NULL: it is just none. */
static const char *prefix_slip(const char *text)
{
	size_t n = strcspn(text, "/-");
	struct ph_address address, mask;
	char copy[PH_ADDRESS_STRLEN];
	uint32_t bits;

	if (n >= sizeof(copy) || !text[n])
		return NULL;
	memcpy(copy, text, n);
	copy[n] = '\0';
	if (ph_address_parse(copy, &address) < 0)
		return NULL;
	if (text[n] == '-')
		return "is a range: write prefixes";
	if (ph_address_parse(text + n + 1, &mask) == 0)
		return "has a netmask: write the number of bits, as in /24";
	if (ph_number_parse(text + n + 1, &bits) < 0 || !strncmp(text + n + 1, "0x", 2))
		return NULL;
	return address.family == PH_IPV4 ? "has more bits than an IPv4 address (32)"
					 : "has more bits than an IPv6 address (128)";
}

/* error and prefix are ph_prefix_parse()'s of text. */
static void bad_prefix(struct reading *reading, const char *text, int error,
		       const struct ph_prefix *prefix)
{
	struct ph_reports *reports = &reading->b->reports;
	char shown[PH_SHOWN_STRLEN], right[PH_ADDRESS_STRLEN];
	const char *slip = prefix_slip(text);

	if (reading->n_bad++ >= BAD_LINES_MAX)
		return;
	ph_text_show(text, shown);
	if (error == -ERANGE)
		ph_reports_mistake(
			reports, reading->b->line,
			"allow: %s:%u: \"%s\" has bits set behind its prefix: write %s/%u",
			reading->path, reading->line, shown,
			ph_address_format(&prefix->address, right), prefix->bits);
	else
		ph_reports_mistake(reports, reading->b->line, "allow: %s:%u: \"%s\" %s",
				   reading->path, reading->line, shown,
				   slip ? slip
					: "is not ADDR/BITS or ADDR; a comment begins with #");
}

static bool blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static void read_line(struct reading *reading, const char *line, size_t len)
{
	char text[2 * PH_SHOWN_STRLEN]; /* what is longer is no prefix, and is not shown in full */
	struct ph_prefix prefix, *list;
	size_t n = 0;
	unsigned family;
	int r;

	while (len && blank(*line)) {
		line++;
		len--;
	}
	while (n < len && line[n] != '#' && line[n] != ';')
		n++;
	while (n && blank(line[n - 1]))
		n--;
	if (n == 0)
		return;
	if (n >= sizeof(text))
		n = sizeof(text) - 1;
	memcpy(text, line, n);
	text[n] = '\0';
	/* A NUL is as foreign to a prefix as any control character, and does not end it. */
	for (char *c = memchr(text, '\0', n); c; c = memchr(text, '\0', n))
		*c = '\x01';
	r = ph_prefix_parse(text, &prefix);
	if (r < 0) {
		bad_prefix(reading, text, r, &prefix);
		return;
	}
	family = ph_family_index(prefix.address.family);
	list = ph_builder_grow(reading->b, reading->lists[family], reading->n[family],
			       sizeof(*list));
	if (!list)
		return;
	reading->lists[family] = list;
	list[reading->n[family]++] = prefix;
}

static void read_lines(struct reading *reading, const char *text, size_t len)
{
	static const char bom[] = "\xef\xbb\xbf";
	const char *at = text, *end = text + len;

	if (len >= 3 && !memcmp(text, bom, 3))
		at += 3;
	while (at < end && !reading->b->reports.no_memory) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		const char *stop = newline ? newline : end;

		reading->line++;
		read_line(reading, at, (size_t)(stop - at));
		at = newline ? newline + 1 : end;
	}
	if (reading->n_bad > BAD_LINES_MAX)
		ph_reports_mistake(&reading->b->reports, reading->b->line,
				   "allow: %s: ... and %zu more lines that are wrong",
				   reading->path, reading->n_bad - BAD_LINES_MAX);
}

/* What is wrong with a file that cannot be read, and what to do. */
static const char *unreadable(int error)
{
	switch (-error) {
	case ENOENT:
	case ENOTDIR:
		return "does not exist: create it, or take it out of allow";
	case EACCES:
	case EPERM:
		return "may not be read: give pinhold's user the right to read it and to pass the directories above";
	case EISDIR:
		return "is a directory: name the files in it one by one";
	case EINVAL:
		return "is not a regular file: copy its contents into one";
	case EFBIG:
		return "has more than 4 MiB: divide it into several files";
	default:
		return NULL;
	}
}

static void cannot_read(struct ph_config_builder *b, const char *path, int error)
{
	const char *why = unreadable(error);
	char shown[PH_SHOWN_STRLEN];

	if (why)
		ph_reports_mistake(&b->reports, b->line, "allow: %s %s", ph_text_show(path, shown),
				   why);
	else
		ph_reports_mistake(
			&b->reports, b->line,
			"allow: %s cannot be read (%s): mend that, or take it out of allow",
			ph_text_show(path, shown), strerror(-error));
}

/* Makes the file's sets, unless its text is wrong, which is said. */
static void parse_file(struct ph_config_builder *b, struct ph_allow_file *file, const char *text,
		       size_t len)
{
	static const enum ph_family families[2] = { PH_IPV4, PH_IPV6 };
	struct reading reading = { .b = b };

	ph_text_show(file->path, reading.path);
	read_lines(&reading, text, len);
	file->wrong = reading.n_bad > 0;
	for (unsigned i = 0; i < 2 && !file->wrong; i++) {
		file->n[i] = reading.n[i];
		if (ph_prefixes_new(families[i], reading.lists[i], reading.n[i], &file->sets[i]) <
		    0)
			b->reports.no_memory = true;
	}
	free(reading.lists[0]);
	free(reading.lists[1]);
}

static void read_file(struct ph_config_builder *b, struct ph_allow_file *file)
{
	char *text = NULL;
	size_t len = 0;
	int r = 0;

	if (b->source.read_file)
		r = b->source.read_file(file->path, PH_ALLOW_FILE_MAX, &text, &len);
	if (r == -ENOMEM) {
		b->reports.no_memory = true;
	} else if (r < 0) {
		cannot_read(b, file->path, r);
		file->wrong = true;
	} else {
		parse_file(b, file, text ? text : "", len);
	}
	free(text);
}

/* The index of the file with that path, which is read if it is new; < 0: it cannot be had, which is
 * noted. */
static int find_file(struct ph_config_builder *b, const char *path)
{
	struct ph_allow_file *files;
	size_t i = 0;

	while (i < b->n_allow_files && strcmp(b->allow_files[i].path, path) != 0)
		i++;
	if (i < b->n_allow_files)
		return (int)i;
	if (i == PH_ALLOW_FILES_MAX) {
		ph_key_wrong(b, path, "is one too many: 1024 different files are the most");
		return -1;
	}
	files = ph_builder_grow(b, b->allow_files, i, sizeof(*files));
	if (!files)
		return -1;
	b->allow_files = files;
	files[i] = (struct ph_allow_file){ .path = ph_builder_copy(b, path) };
	if (!files[i].path)
		return -1;
	b->n_allow_files++;
	read_file(b, &files[i]);
	return (int)i;
}

static void take_file(struct ph_config_builder *b, const char *path)
{
	struct ph_draft_allow *allow = &b->allow;
	int file;

	if (*path != '/') {
		ph_key_wrong(b, path, "is not an absolute path (it stands behind an @)");
		return;
	}
	if (allow->n_files == PH_ALLOW_MAX) {
		ph_key_wrong(b, path, "is one too many: 256 files are the most");
		return;
	}
	file = find_file(b, path);
	if (file < 0)
		return;
	if (b->allow_files[file].wrong)
		b->draft->wrong |= 1u << PH_KEY_ALLOW;
	allow->file_lines[allow->n_files] = b->line;
	allow->files[allow->n_files++] = (size_t)file;
}

void ph_allow_take(struct ph_config_builder *b, const char *value)
{
	struct ph_draft_allow *allow = &b->allow;
	char shown[PH_SHOWN_STRLEN], right[PH_ADDRESS_STRLEN];
	struct ph_prefix prefix;
	const char *slip;
	int r;

	if (*value == '@') {
		take_file(b, value + 1);
		return;
	}
	r = ph_prefix_parse(value, &prefix);
	if (r == -ERANGE) {
		b->draft->wrong |= 1u << PH_KEY_ALLOW;
		ph_reports_mistake(&b->reports, b->line,
				   "allow: \"%s\" has bits set behind its prefix: write %s/%u",
				   ph_text_show(value, shown),
				   ph_address_format(&prefix.address, right), prefix.bits);
	} else if (r < 0) {
		slip = prefix_slip(value);
		ph_key_wrong(
			b, value,
			slip ? slip
			     : "is not ADDR/BITS or ADDR (names are not looked up; a file is written @/PATH)");
	} else if (allow->n == PH_ALLOW_MAX) {
		ph_key_wrong(b, value,
			     "is one too many: 256 are the most; put them into a file (@/PATH)");
	} else {
		allow->lines[allow->n] = b->line;
		allow->items[allow->n++] = prefix;
	}
}

/* The one object of equal sets; takes the reference and returns one. NULL: out of memory. */
static const struct ph_prefixes *intern(struct ph_config_builder *b, const struct ph_prefixes *set)
{
	const struct ph_prefixes **allowed;

	for (size_t i = 0; i < b->n_allowed; i++) {
		if (!ph_prefixes_equal(b->allowed[i], set))
			continue;
		ph_prefixes_unref(set);
		return ph_prefixes_ref(b->allowed[i]);
	}
	allowed = ph_builder_grow(b, b->allowed, b->n_allowed, sizeof(*allowed));
	if (!allowed) {
		ph_prefixes_unref(set);
		return NULL;
	}
	b->allowed = allowed;
	allowed[b->n_allowed++] = set;
	return ph_prefixes_ref(set);
}

/* Everything in b->allow. A new reference; NULL: out of memory. */
static const struct ph_prefixes *all_of(struct ph_config_builder *b, enum ph_family family)
{
	const struct ph_draft_allow *allow = &b->allow;
	const struct ph_prefixes *sets[1 + PH_ALLOW_MAX], *own = NULL, *set = NULL;
	size_t n = 0;
	int r = 0;

	for (size_t i = 0; i < allow->n_files; i++)
		sets[n++] = b->allow_files[allow->files[i]].sets[ph_family_index(family)];
	if (allow->n) {
		r = ph_prefixes_new(family, allow->items, allow->n, &own);
		sets[n++] = own;
	}
	if (r == 0 && n == 1)
		set = ph_prefixes_ref(sets[0]);
	else if (r == 0)
		r = ph_prefixes_union(family, sets, n, &set);
	ph_prefixes_unref(own);
	if (r < 0)
		b->reports.no_memory = true;
	return set ? intern(b, set) : NULL;
}

void ph_allow_finish(struct ph_config_builder *b, struct ph_draft *d)
{
	const struct ph_draft_allow *allow = &b->allow;
	enum ph_family family = d->m->core.family;
	unsigned index = ph_family_index(family);
	size_t total = allow->n;

	if (!d->lines[PH_KEY_ALLOW] || b->reports.no_memory ||
	    d->wrong & (1u << PH_KEY_ALLOW | 1u << PH_KEY_FAMILY))
		return;
	for (size_t i = 0; i < allow->n_files; i++) {
		struct ph_allow_file *file = &b->allow_files[allow->files[i]];
		char shown[PH_SHOWN_STRLEN];

		total += file->n[index];
		if (file->n[index] || file->empty_said[index] || !b->source.read_file)
			continue;
		file->empty_said[index] = true;
		ph_reports_notice(&b->reports, PH_NOTICE_EACH, allow->file_lines[i],
				  "allow: %s has no IPv%d prefix: it lets nobody in",
				  ph_text_show(file->path, shown), (int)family);
	}
	if (total > PH_ALLOW_PREFIXES_MAX)
		ph_reports_mistake(&b->reports, d->lines[PH_KEY_ALLOW],
				   "allow: %zu prefixes with those in files: %d are the most",
				   total, PH_ALLOW_PREFIXES_MAX);
	else
		d->m->allowed = all_of(b, family);
}

void ph_allow_done(struct ph_config_builder *b)
{
	for (size_t i = 0; i < b->n_allow_files; i++) {
		free(b->allow_files[i].path);
		ph_prefixes_unref(b->allow_files[i].sets[0]);
		ph_prefixes_unref(b->allow_files[i].sets[1]);
	}
	free(b->allow_files);
	for (size_t i = 0; i < b->n_allowed; i++)
		ph_prefixes_unref(b->allowed[i]);
	free(b->allowed);
}
