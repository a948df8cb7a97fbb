/* SPDX-License-Identifier: GPL-2.0-or-later */
/* `allow`: prefixes in the configuration and in files, with a reader of this test's own. */

#include "config_text.h"

#define MAPPING "[mapping m]\nbind = 1\ntarget = none\n"

static struct {
	const char *path, *text;
	size_t len; /* 0: up to the NUL */
	int error;
} files[4];
static bool any_path; /* every other file is there, and empty */
static unsigned n_read;

static int read_file(const char *path, size_t max, char **ret_text, size_t *ret_len)
{
	n_read++;
	assert_int_equal(max, PH_ALLOW_FILE_MAX);
	for (size_t i = 0; i < N(files) && files[i].path; i++) {
		size_t len = files[i].len;

		if (strcmp(files[i].path, path) != 0)
			continue;
		if (files[i].error)
			return files[i].error;
		len = len ? len : strlen(files[i].text);
		*ret_text = malloc(len ? len : 1);
		assert_non_null(*ret_text);
		memcpy(*ret_text, files[i].text, len);
		*ret_len = len;
		return 0;
	}
	return any_path ? 0 : -ENOENT;
}

/* The file that is read as @/f. */
static void file(const char *text)
{
	memset(files, 0, sizeof(files));
	files[0].path = "/f";
	files[0].text = text;
}

static int read_config(const char *text, struct said *said, struct ph_config *config)
{
	struct ph_config_source source = {
		.ephemeral_first = 32768,
		.ephemeral_last = 60999,
		.report = report,
		.data = said,
		.read_file = read_file,
	};

	*said = (struct said){ 0 };
	n_read = 0;
	return ph_config_parse(text, strlen(text), &source, config);
}

/* A mapping that allows this, and what it is then. The caller owns the set. */
static const struct ph_prefixes *allowed(const char *line, size_t notices)
{
	static struct said said;
	const struct ph_prefixes *set;
	struct ph_config config;
	char text[400];
	int r;

	snprintf(text, sizeof(text), MAPPING "%s\n", line);
	r = read_config(text, &said, &config);
	for (size_t i = 0; i < said.n; i++)
		if (said.items[i].mistake)
			fail_msg("%s", said.items[i].text);
	assert_int_equal(r, 0);
	assert_int_equal(said.n, notices);
	set = ph_prefixes_ref(config.mappings[0]->allowed);
	assert_non_null(set);
	ph_config_done(&config);
	assert_int_equal(set->references, 1);
	return set;
}

static void assert_same(const char *line, const char *other)
{
	const struct ph_prefixes *a = allowed(line, 0), *b = allowed(other, 0);

	assert_true(ph_prefixes_equal(a, b));
	ph_prefixes_unref(a);
	ph_prefixes_unref(b);
}

static void test_file(void **state)
{
	(void)state;
	file("10.0.0.0/8\n192.0.2.1\n");
	assert_same("allow = @/f", "allow = 10.0.0.0/8, 192.0.2.1");
	/* Beside prefixes, which it overlaps, and beside itself */
	assert_same("allow = 10.0.0.0/9, @/f\nallow = 192.0.2.0/31",
		    "allow = 10.0.0.0/8, 192.0.2.0/31");
	assert_same("allow = @/f, @/f", "allow = @/f");
	file("\xef\xbb\xbf"
	     "# comment\r\n\r\n; comment\n \t10.0.0.0/8\t # and more\r\n10.0.0.0/8;\n\t\n"
	     "192.0.2.1#");
	assert_same("allow = @/f", "allow = 10.0.0.0/8, 192.0.2.1");
	/* One file for both families */
	file("10.0.0.0/8\n2001:db8::/32\n::1\n");
	assert_same("allow = @/f", "allow = 10.0.0.0/8");
	assert_same("family = ipv6\nallow = @/f", "family = ipv6\nallow = 2001:db8::/32, ::1");
}

/* Nothing fits: nobody, and not everybody. */
static void test_nobody(void **state)
{
	static const char *const texts[] = { "", "\n", "# 10.0.0.0/8\n", "2001:db8::/32\n" };
	static struct said said;
	struct ph_config config;

	(void)state;
	for (size_t i = 0; i < N(texts); i++) {
		const struct ph_prefixes *set;

		file(texts[i]);
		set = allowed("allow = @/f", 1);
		assert_int_equal(set->n, 0);
		ph_prefixes_unref(set);
	}
	/* Told once a file and family, at the line where it is named */
	assert_int_equal(read_config(MAPPING "allow = 192.0.2.1\n  @/f\n[mapping n]\nbind = 2\n"
					     "target = none\nallow = @/f\n",
				     &said, &config),
			 0);
	assert_int_equal(said.n, 1);
	assert_false(said.items[0].mistake);
	assert_int_equal(said.items[0].line, 5);
	assert_string_equal(said.items[0].text, "allow: /f has no IPv4 prefix: it lets nobody in");
	assert_int_equal(config.mappings[0]->allowed->n, 1);
	assert_int_equal(config.mappings[1]->allowed->n, 0);
	ph_config_done(&config);
}

/* Files are not read where there is no reader, and then let nobody in. */
static void test_no_reader(void **state)
{
	static const char text[] = MAPPING "allow = @/f\n";
	static struct said said;
	struct ph_config_source source = { .report = report, .data = &said };
	struct ph_config config;

	(void)state;
	assert_int_equal(ph_config_parse(text, strlen(text), &source, &config), 0);
	assert_int_equal(said.n, 0);
	assert_non_null(config.mappings[0]->allowed);
	assert_int_equal(config.mappings[0]->allowed->n, 0);
	ph_config_done(&config);
}

static void wrong(const char *line, const char *const *expected, size_t n)
{
	static struct said said;
	struct ph_config config;
	char text[400];

	snprintf(text, sizeof(text), MAPPING "%s\n", line);
	assert_int_equal(read_config(text, &said, &config), -EINVAL);
	for (size_t i = 0; i < n && i < said.n; i++) {
		assert_int_equal(said.items[i].line, 4);
		assert_true(said.items[i].mistake);
		assert_string_equal(said.items[i].text, expected[i]);
	}
	assert_int_equal(said.n, n);
}

#define WRONG(line, ...) \
	wrong(line, (const char *const[]){ __VA_ARGS__ }, N(((const char *const[]){ __VA_ARGS__ })))

static void test_bad_lines(void **state)
{
	static const char nul[] = "10.0.0.0/8\0/9\n";
	char many[600] = "";

	(void)state;
	file("10.0.0.0/8\n\n# c\njunk # c\n10.0.0.1/8\n2001:db8::1/32\n10.0.0.0/8 10.0.0.0/8\n"
	     "10.0.0.0/33\n\x1b[1m\n");
	WRONG("allow = @/f",
	      "allow: /f:4: \"junk\" is not ADDR/BITS or ADDR; a comment begins with #",
	      "allow: /f:5: \"10.0.0.1/8\" has bits set behind its prefix: write 10.0.0.0/8",
	      "allow: /f:6: \"2001:db8::1/32\" has bits set behind its prefix: write 2001:db8::/32",
	      "allow: /f:7: \"10.0.0.0/8 10.0.0.0/8\" is not ADDR/BITS or ADDR; a comment begins with #",
	      "allow: /f:8: \"10.0.0.0/33\" has more bits than an IPv4 address (32)",
	      "allow: /f:9: \"?[1m\" is not ADDR/BITS or ADDR; a comment begins with #");
	file(nul);
	files[0].len = sizeof(nul) - 1;
	WRONG("allow = @/f",
	      "allow: /f:1: \"10.0.0.0/8?/9\" is not ADDR/BITS or ADDR; a comment begins with #");
	file("10.0.0.0/8 \\\n");
	WRONG("allow = 192.0.2.1, @/f",
	      "allow: /f:1: \"10.0.0.0/8 \\\" is not ADDR/BITS or ADDR; a comment begins with #");
	/* A mapping that names a wrong file again adds nothing. */
	WRONG("allow = @/f\n[mapping n]\nbind = 2\ntarget = none\nallow = @/f",
	      "allow: /f:1: \"10.0.0.0/8 \\\" is not ADDR/BITS or ADDR; a comment begins with #");

	for (unsigned i = 0; i < 37; i++)
		strcat(many, "x\n10.0.0.0/8");
	file(many); /* x, 10.0.0.0/8x 36 times, and one that is right */
	WRONG("allow = @/f", "allow: /f:1: \"x\" is not ADDR/BITS or ADDR; a comment begins with #",
	      "allow: /f:2: \"10.0.0.0/8x\" is not ADDR/BITS or ADDR; a comment begins with #",
	      "allow: /f:3: \"10.0.0.0/8x\" is not ADDR/BITS or ADDR; a comment begins with #",
	      "allow: /f:4: \"10.0.0.0/8x\" is not ADDR/BITS or ADDR; a comment begins with #",
	      "allow: /f:5: \"10.0.0.0/8x\" is not ADDR/BITS or ADDR; a comment begins with #",
	      "allow: /f:6: \"10.0.0.0/8x\" is not ADDR/BITS or ADDR; a comment begins with #",
	      "allow: /f:7: \"10.0.0.0/8x\" is not ADDR/BITS or ADDR; a comment begins with #",
	      "allow: /f:8: \"10.0.0.0/8x\" is not ADDR/BITS or ADDR; a comment begins with #",
	      "allow: /f:9: \"10.0.0.0/8x\" is not ADDR/BITS or ADDR; a comment begins with #",
	      "allow: /f:10: \"10.0.0.0/8x\" is not ADDR/BITS or ADDR; a comment begins with #",
	      "allow: /f: ... and 27 more lines that are wrong");
}

/* A line of any length, and a path of any length: both are cut in the message. */
static void test_long(void **state)
{
	static char line[100000];
	static struct said said;
	struct ph_config config;
	char text[600];

	(void)state;
	memset(line, '0', sizeof(line) - 1);
	memcpy(line, "10.0.0.0/8", 10);
	file(line);
	assert_int_equal(read_config(MAPPING "allow = @/f\n", &said, &config), -EINVAL);
	assert_int_equal(said.n, 1);
	assert_non_null(strstr(said.items[0].text,
			       "000...\" is not ADDR/BITS or ADDR; a comment begins with #"));

	snprintf(text, sizeof(text), MAPPING "allow = @/%0400d\n", 7);
	assert_int_equal(read_config(text, &said, &config), -EINVAL);
	assert_non_null(strstr(said.items[0].text, "000... does not exist"));
}

static void test_unreadable(void **state)
{
	static const struct {
		int error;
		const char *text;
	} cases[] = {
		{ -ENOENT, "allow: /f does not exist: create it, or take it out of allow" },
		{ -ENOTDIR, "allow: /f does not exist: create it, or take it out of allow" },
		{ -EACCES,
		  "allow: /f may not be read: give pinhold's user the right to read it and to pass the directories above" },
		{ -EISDIR, "allow: /f is a directory: name the files in it one by one" },
		{ -EINVAL, "allow: /f is not a regular file: copy its contents into one" },
		{ -EFBIG, "allow: /f has more than 4 MiB: divide it into several files" },
		{ -EIO,
		  "allow: /f cannot be read (Input/output error): mend that, or take it out of allow" },
	};
	static struct said said;
	struct ph_config config;

	(void)state;
	file("");
	for (size_t i = 0; i < N(cases); i++) {
		files[0].error = cases[i].error;
		WRONG("allow = @/f", cases[i].text);
	}
	files[0].error = -ENOMEM;
	assert_int_equal(read_config(MAPPING "allow = @/f\n", &said, &config), -ENOMEM);
	assert_int_equal(said.n, 0);
}

/* 10.0.0.0 and so on, n of them, none adjacent to another. */
static char *list(size_t n)
{
	size_t size = n * sizeof("10.255.255.255\n") + 1, len = 0;
	char *text = malloc(size);

	assert_non_null(text);
	text[0] = '\0';
	for (size_t i = 0; i < n; i++)
		len += (size_t)snprintf(text + len, size - len, "10.%zu.%zu.%zu\n", i >> 15 & 0xff,
					i >> 7 & 0xff, (i & 0x7f) << 1);
	return text;
}

/* What is shared: a thousand mappings and one file are one reading and one set. */
static void test_shared(void **state)
{
	static char text[100000];
	static struct said said;
	const struct ph_prefixes *first;
	char *prefixes = list(10000);
	struct ph_config config;
	size_t len = 0;

	(void)state;
	file(prefixes);
	for (unsigned i = 0; i < 1000; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len,
					"[mapping m%u]\nbind = %u\ntarget = none\nallow = @/f%s\n",
					i, i + 1, i < 998 ? "" : ", 192.0.2.1");
	assert_int_equal(read_config(text, &said, &config), 0);
	assert_int_equal(n_read, 1);
	first = config.mappings[0]->allowed;
	assert_int_equal(first->n, 10000);
	assert_int_equal(first->references, 998);
	for (size_t i = 0; i < 998; i++)
		assert_ptr_equal(config.mappings[i]->allowed, first);
	/* Equal sets are one, too. */
	assert_int_equal(config.mappings[999]->allowed->n, 10001);
	assert_ptr_equal(config.mappings[998]->allowed, config.mappings[999]->allowed);
	ph_config_done(&config);
	free(prefixes);
}

static void test_limits(void **state)
{
	char *most = list(PH_ALLOW_PREFIXES_MAX);
	const struct ph_prefixes *set;
	static char text[30000];
	static struct said said;
	struct ph_config config;
	size_t len = 0;

	(void)state;
	file(most);
	set = allowed("allow = @/f", 0);
	assert_int_equal(set->n, PH_ALLOW_PREFIXES_MAX);
	ph_prefixes_unref(set);
	WRONG("allow = 192.0.2.1, @/f",
	      "allow: 200001 prefixes with those in files: 200000 are the most");
	WRONG("allow = @/f, @/f",
	      "allow: 400000 prefixes with those in files: 200000 are the most");
	free(most);

	/* Different files */
	file("");
	for (unsigned i = 0; i <= PH_ALLOW_FILES_MAX; i++) {
		if (i % 200 == 0)
			len += (size_t)snprintf(text + len, sizeof(text) - len,
						"[mapping m%u]\nbind = 0\ntarget = none\n", i);
		len += (size_t)snprintf(text + len, sizeof(text) - len, "allow = @/n%u\n", i);
	}
	assert_int_equal(read_config(text, &said, &config), -EINVAL);
	assert_int_equal(n_read, PH_ALLOW_FILES_MAX);
	assert_non_null(strstr(said.items[said.n - 1].text, "... and 975 more mistakes"));
}

/* More empty files than anybody wants to hear of */
static void test_many_notices(void **state)
{
	static char text[10000];
	static struct said said;
	struct ph_config config;
	size_t len = (size_t)snprintf(text, sizeof(text), MAPPING);

	(void)state;
	file("");
	files[0].path = NULL;
	any_path = true;
	for (unsigned i = 0; i < 60; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "allow = @/%u\n", i);
	assert_int_equal(read_config(text, &said, &config), 0);
	any_path = false;
	assert_int_equal(said.n, 51);
	assert_int_equal(said.mistakes, 0);
	assert_string_equal(said.items[50].text, "... and 10 more notices");
	ph_config_done(&config);
}

/* A file that has changed makes another mapping of the same configuration. */
static void test_changed(void **state)
{
	static const char text[] = MAPPING "allow = @/f\n";
	static struct said said;
	struct ph_config a, b, c;

	(void)state;
	file("10.0.0.0/8\n192.0.2.0/24\n");
	assert_int_equal(read_config(text, &said, &a), 0);
	file("192.0.2.0/24 # again\n10.0.0.0/8\n");
	assert_int_equal(read_config(text, &said, &b), 0);
	file("10.0.0.0/8\n");
	assert_int_equal(read_config(text, &said, &c), 0);
	assert_int_equal(ph_config_mapping_compare(a.mappings[0], b.mappings[0]), PH_CONFIG_SAME);
	assert_int_equal(ph_config_mapping_compare(a.mappings[0], c.mappings[0]), PH_CONFIG_ADAPT);
	ph_config_done(&a);
	ph_config_done(&b);
	ph_config_done(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_file),         cmocka_unit_test(test_nobody),
		cmocka_unit_test(test_no_reader),    cmocka_unit_test(test_bad_lines),
		cmocka_unit_test(test_long),         cmocka_unit_test(test_unreadable),
		cmocka_unit_test(test_shared),       cmocka_unit_test(test_limits),
		cmocka_unit_test(test_many_notices), cmocka_unit_test(test_changed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
