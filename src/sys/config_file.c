// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The configuration file, from octets to the builder's sections and entries, by inih.
 *
 * inih decides what a line is: an entry, the continuation of one, or nothing that it knows. It is
 * shown only as much of a line as this takes, because its buffer may be as short as 200 octets and
 * it cuts longer lines in two; because it gives its handler no line numbers and no section headers;
 * and because its rule for comments behind a value knows neither # nor quotes. The value is then
 * taken from the file's own text. So a value has any length, and no line goes unnoticed.
 *
 *	[section]        told to the builder here; inih sees some header
 *	KEY = VALUE      inih sees "KEY =" and calls the handler with that key and no value
 *	  VALUE          inih sees " x" or " KEY =", and behind an entry it takes that for another
 *	                 value of the entry's key
 *	anything else    inih sees "x" and calls nobody: a mistake
 */

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <pinhold/config.h>

#define FILE_MAX (1u << 20)
#define KEY_MAX  49 /* inih keeps no more of it (ini.c, MAX_NAME) */

struct reader {
	struct ph_config_builder *builder;
	const char *at, *end; /* what is left of the file */
	unsigned line;
	char *text;     /* the line without its comment; room for the file's longest line */
	char *value;    /* within text, behind the separator; of a continuation: all of it */
	bool continued; /* white space at a line's beginning would continue an entry */
	bool unhandled; /* inih has been shown something, and called nobody yet */
};

static bool blank(char c)
{
	return c == ' ' || c == '\t';
}

static char *skip_blanks(char *text)
{
	return text + strspn(text, " \t");
}

static void strip_end(char *text)
{
	size_t len = strlen(text);

	while (len && blank(text[len - 1]))
		text[--len] = '\0';
}

static void wrong(struct reader *r, const char *text)
{
	ph_config_builder_wrong(r->builder, r->line, text);
}

/* The next line into r->text, without its end. False: there is none. */
static bool take_line(struct reader *r)
{
	const char *end;
	size_t len;

	if (r->at == r->end)
		return false;
	end = memchr(r->at, '\n', (size_t)(r->end - r->at));
	len = (size_t)((end ? end : r->end) - r->at);
	memcpy(r->text, r->at, len);
	r->at += len + (end != NULL);
	if (len && r->text[len - 1] == '\r')
		len--;
	r->text[len] = '\0';
	r->line++;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)r->text[i];

		if ((c < ' ' && c != '\t') || c == 0x7f) {
			wrong(r, c ? "has a control character" : "has a NUL octet: is this text?");
			r->text[0] = '\0';
			break;
		}
	}
	return true;
}

/* Behind the quoted string that begins at text, or NULL: it does not end. */
static char *quoted_end(char *text)
{
	for (text++; *text && *text != '"'; text++)
		if (*text == '\\' && text[1] != '\0')
			text++;
	return *text ? text + 1 : NULL;
}

/*
 * Cuts a comment off: # or ; at the beginning of the line or behind white space, but not within the
 * quotes of a value.
 */
static void cut_comment(char *text, char *value)
{
	char *quoted = value ? skip_blanks(value) : NULL;

	for (char *c = text; *c; c++) {
		if (c == quoted && *c == '"') {
			c = quoted_end(c);
			if (!c) /* the whole rest; unquote() complains */
				return;
		}
		if ((*c == '#' || *c == ';') && (c == text || blank(c[-1]))) {
			*c = '\0';
			return;
		}
		if (*c == '\0')
			return;
	}
}

/* Takes the quotes off a value in place. False: they are wrong, which was said. */
static bool unquote(struct reader *r, char *value)
{
	char *from = value + 1, *to = value;

	if (*value != '"')
		return true;
	for (; *from && *from != '"'; from++) {
		if (*from == '\\') {
			from++;
			if (*from != '"' && *from != '\\') {
				wrong(r,
				      "has a backslash in quotes before something else than \" or \\");
				return false;
			}
		}
		*to++ = *from;
	}
	if (*from == '\0' || from[1] != '\0') {
		wrong(r,
		      *from ? "has something behind the closing quote (write \\\" for a quote within)"
			    : "has a quote that is not closed");
		return false;
	}
	*to = '\0';
	return true;
}

static void section(struct reader *r)
{
	char *end = strchr(r->text, ']'), *header = NULL;

	if (!end) {
		wrong(r, "has [ without ]");
	} else if (*skip_blanks(end + 1) != '\0') {
		wrong(r, "has something behind the ]");
	} else {
		*end = '\0';
		header = r->text + 1;
	}
	ph_config_builder_section(r->builder, r->line, header);
}

/*
 * What inih is to see of the line in r->text, which is neither empty nor a section's. False: the
 * line is wrong, which was said.
 */
static bool show(struct reader *r, char *into, int size)
{
	size_t indent = strspn(r->text, " \t");
	const char *start = r->text + indent;
	size_t key = strcspn(start, "=:");

	if (indent == 0 && start[key] == ':') {
		wrong(r, "has a : where an = must be: write KEY = VALUE");
		return false;
	}
	if (indent == 0 && key > KEY_MAX && start[key] == '=') {
		wrong(r, "has a key that is too long to be one");
		return false;
	}
	if (key <= KEY_MAX && start[key] == '=')
		snprintf(into, (size_t)size, "%s%.*s=\n", indent ? " " : "", (int)key, start);
	else
		snprintf(into, (size_t)size, "%sx\n", indent ? " " : "");
	return true;
}

/* inih's reader, in fgets()'s manner. */
static char *next_line(char *into, int size, void *stream)
{
	struct reader *r = stream;
	char *separator;

	if (r->unhandled)
		wrong(r, "is neither [SECTION] nor KEY = VALUE nor a comment");
	r->unhandled = false;
	if (!take_line(r))
		return NULL;
	snprintf(into, (size_t)size, "\n");
	separator = strchr(r->text, '=');
	r->value = r->continued && blank(r->text[0]) ? r->text : separator ? separator + 1 : NULL;
	cut_comment(r->text, r->value);
	strip_end(r->text);
	if (r->text[0] == '[') {
		section(r);
		r->continued = false;
		snprintf(into, (size_t)size, "[x]\n");
	} else if (r->text[0] != '\0') {
		r->unhandled = show(r, into, size);
	}
	return into;
}

/* inih's handler. It gets a value only where it takes a line for a continuation: see show(). */
static int handle(void *user, const char *section_name, const char *key, const char *value)
{
	struct reader *r = user;
	bool more = *value != '\0';
	char *text;

	(void)section_name;
	r->unhandled = false;
	text = more ? r->text : strchr(r->text, '=') + 1;
	text = skip_blanks(text);
	r->continued = r->continued || *key != '\0';
	if (!unquote(r, text))
		return 1;
	if (more)
		ph_config_builder_more(r->builder, r->line, text);
	else
		ph_config_builder_entry(r->builder, r->line, key, text);
	return 1;
}

int ph_config_parse(const char *text, size_t len, const struct ph_config_source *source,
		    struct ph_config *ret_config)
{
	static const char bom[] = "\xef\xbb\xbf";
	struct reader r = { .at = text, .end = text + len };
	int status;

	if (len >= 3 && !memcmp(text, bom, 3))
		r.at += 3;
	status = ph_config_builder_new(source, &r.builder);
	if (status < 0)
		return status;
	r.text = malloc(len + 1);
	/* Its own list of broken lines is shorter than ours; below 0 it had no memory. */
	if (!r.text || ini_parse_stream(next_line, &r, handle, &r) < 0)
		status = -ENOMEM;
	else
		status = ph_config_builder_finish(r.builder, ret_config);
	ph_config_builder_free(r.builder);
	free(r.text);
	return status;
}

static const char *program_refusal(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0) {
		switch (errno) {
		case ENOENT:
		case ENOTDIR:
			return "does not exist";
		case EACCES:
			return "cannot be reached: permission denied on the way";
		default:
			return "cannot be looked at";
		}
	}
	if (!S_ISREG(st.st_mode))
		return "is not a file";
	return access(path, X_OK) < 0 ? "is not executable; try chmod +x" : NULL;
}

/* Of errno; -EINVAL says that mistakes were reported, and here they were not. */
static int failure(void)
{
	return errno == EINVAL ? -EIO : -errno;
}

/* The whole file; *ret_text is for the caller to free. */
static int read_all(int fd, size_t max, char **ret_text, size_t *ret_len)
{
	size_t size = 1 << 14, len = 0;
	char *text = NULL, *bigger;
	ssize_t n;

	for (;;) {
		if (!text || len == size) {
			size = text ? 2 * size : size;
			bigger = realloc(text, size);
			if (!bigger) {
				free(text);
				return -ENOMEM;
			}
			text = bigger;
		}
		n = read(fd, text + len, size - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		len += (size_t)n;
		/* Not by fstat(): files of some file systems do not know their size. */
		if (len > max) {
			n = -1;
			errno = EFBIG;
			break;
		}
	}
	if (n < 0) {
		int r = failure();

		free(text);
		return r;
	}
	*ret_text = text;
	*ret_len = len;
	return 0;
}

/* 0, -errno, or -EINVAL: it is no regular file. */
static int read_file(const char *path, size_t max, char **ret_text, size_t *ret_len)
{
	/* Without O_NONBLOCK a pipe would keep us until somebody writes. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), r;
	struct stat st;

	if (fd < 0)
		return failure();
	if (fstat(fd, &st) < 0)
		r = failure();
	else if (S_ISDIR(st.st_mode))
		r = -EISDIR;
	else if (!S_ISREG(st.st_mode))
		r = -EINVAL;
	else
		r = read_all(fd, max, ret_text, ret_len);
	close(fd);
	return r;
}

int ph_config_read(const char *path, ph_config_report_fn report, void *data,
		   struct ph_config *ret_config)
{
	struct ph_config_source source = {
		.path = path,
		.report = report,
		.data = data,
		.program_refusal = program_refusal,
		.read_file = read_file,
	};
	char *text = NULL;
	size_t len = 0;
	int r = read_file(path, FILE_MAX, &text, &len);

	if (r == -EINVAL)
		report(data, true, 0, "is not a regular file");
	if (r < 0)
		return r;
	ph_ephemeral_range(&source.ephemeral_first, &source.ephemeral_last);
	r = ph_config_parse(text, len, &source, ret_config);
	free(text);
	return r;
}

void ph_ephemeral_range(uint16_t *ret_first, uint16_t *ret_last)
{
	unsigned first = 0, last = 0;
	FILE *f = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");

	if (f) {
		if (fscanf(f, "%u %u", &first, &last) != 2)
			first = last = 0;
		fclose(f);
	}
	if (first == 0 || first > last || last > UINT16_MAX) {
		first = 32768;
		last = 60999;
	}
	*ret_first = (uint16_t)first;
	*ret_last = (uint16_t)last;
}
