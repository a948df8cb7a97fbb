/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "../unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "publish/template.h"

static const struct event event = {
	.event = "change",
	.mapping = "web",
	.protocol = "tcp",
	.family = "ipv4",
	.interface = "wan",
	.target = "192.168.10.50:443",
	.public_address = "203.0.113.7",
	.public_endpoint = "203.0.113.7:32451",
	.ip4p = "2001::7ec3:cb00:7107",
	.previous_address = "",
	.private_address = "100.64.0.2",
	.public_port = 32451,
	.private_port = 8443,
};

struct fixture {
	char dir[32], path[48];
};

static void write_secret(const struct fixture *f, const char *text, size_t len, mode_t mode)
{
	FILE *file;

	unlink(f->path);
	file = fopen(f->path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, len, file), len);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(f->path, mode), 0);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	strcpy(f->dir, "/tmp/pinhold-test-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/secret", f->dir);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	unlink(f->path);
	rmdir(f->dir);
	free(f);
	return 0;
}

static void assert_expands(const char *text, enum escape escape, const char *to)
{
	struct secrets secrets = { 0 };
	struct buffer b = { 0 };
	struct result r = { 0 };

	assert_int_equal(template_expand(text, escape, &event, &secrets, &b, &r), 0);
	assert_string_equal(buffer_text(&b), to);
	buffer_done(&b);
	secrets_done(&secrets);
}

static void test_variables(void **state)
{
	static const char all[] =
		"${public_address} ${public_port} ${public_endpoint} ${ip4p} ${mapping} ${protocol} ${event} ${private_port}";

	(void)state;
	assert_expands(
		all, ESCAPE_NONE,
		"203.0.113.7 32451 203.0.113.7:32451 2001::7ec3:cb00:7107 web tcp change 8443");
	assert_expands("", ESCAPE_JSON, "");
	assert_expands("$ $$ { } ${public_port}${public_port}}", ESCAPE_NONE,
		       "$ $$ { } 3245132451}");
	/* Only what is put in is escaped. */
	assert_expands("a b/\"${public_endpoint}\"", ESCAPE_URL, "a b/\"203.0.113.7%3A32451\"");
}

static void test_escaping(void **state)
{
	struct buffer b = { 0 };

	(void)state;
	escape_add(&b, ESCAPE_JSON, "a\"b\\c\n\t\x01/\xc3\xa4\x7f");
	assert_string_equal(buffer_text(&b), "a\\\"b\\\\c\\u000a\\u0009\\u0001/\xc3\xa4\x7f");
	buffer_done(&b);
	escape_add(&b, ESCAPE_URL, "aZ09-._~ /?&=+%#:@\xc3\xa4");
	assert_string_equal(buffer_text(&b), "aZ09-._~%20%2F%3F%26%3D%2B%25%23%3A%40%C3%A4");
	buffer_done(&b);
}

static void refused(const char *text, const char *why)
{
	struct secrets secrets = { 0 };
	struct buffer b = { 0 };
	struct result r = { 0 };

	assert_int_equal(template_expand(text, ESCAPE_NONE, &event, &secrets, &b, &r), -1);
	assert_int_equal(r.outcome, OUTCOME_FAILED);
	assert_false(r.retry);
	assert_non_null(strstr(r.text, why));
	buffer_done(&b);
	secrets_done(&secrets);
}

static void test_refused(void **state)
{
	struct fixture *f = *state;
	char text[64];
	char *big = malloc(SECRET_MAX + 1);

	refused("${public_prt}", "unknown variable");
	refused("${}", "unknown variable");
	refused("a ${public_port", "${ without }");
	refused("${file:/nonexistent/secret}", "/nonexistent/secret: No such file");
	snprintf(text, sizeof(text), "${file:%s}", f->dir);
	refused(text, "not a regular file");
	snprintf(text, sizeof(text), "${file:%s}", f->path);
	assert_int_equal(mkfifo(f->path, 0600), 0);
	refused(text, "not a regular file");
	write_secret(f, "", 0, 0600);
	refused(text, "empty");
	write_secret(f, "\n", 1, 0600);
	refused(text, "empty");
	write_secret(f, "a\0b", 3, 0600);
	refused(text, "NUL");
	assert_non_null(big);
	memset(big, 'x', SECRET_MAX + 1);
	write_secret(f, big, SECRET_MAX + 1, 0600);
	refused(text, "longer than 65536");
	free(big);
}

static void test_file(void **state)
{
	struct fixture *f = *state;
	struct secrets secrets = { 0 };
	struct buffer b = { 0 };
	struct result r = { 0 };
	char text[128], said[] = "it said canary\"x\n, canary\\\"x\\u000a and canary%22x%0A";

	/* One newline is cut, and no more. */
	write_secret(f, "canary\"x\n\n", 10, 0600);
	snprintf(text, sizeof(text), "<${file:%s}>", f->path);
	assert_int_equal(template_expand(text, ESCAPE_NONE, &event, &secrets, &b, &r), 0);
	assert_string_equal(buffer_text(&b), "<canary\"x\n>");
	assert_string_equal(buffer_text(&secrets.warning), "");
	buffer_done(&b);
	assert_int_equal(template_expand(text, ESCAPE_JSON, &event, &secrets, &b, &r), 0);
	assert_string_equal(buffer_text(&b), "<canary\\\"x\\u000a>");
	buffer_done(&b);
	assert_int_equal(template_expand(text, ESCAPE_URL, &event, &secrets, &b, &r), 0);
	assert_string_equal(buffer_text(&b), "<canary%22x%0A>");
	buffer_done(&b);
	/* Known in each form in which it went out. */
	secrets_redact(&secrets, said);
	assert_string_equal(said, "it said ***, *** and ***");
	secrets_done(&secrets);
}

static void test_warning(void **state)
{
	struct fixture *f = *state;
	struct secrets secrets = { 0 };
	struct result r = { 0 };
	const char *text;

	write_secret(f, "abc", 3, 0644);
	assert_int_equal(secret_read(&secrets, f->path, &text, &r), 0);
	assert_string_equal(text, "abc");
	assert_int_equal(secret_read(&secrets, f->path, &text, &r), 0);
	assert_non_null(strstr(buffer_text(&secrets.warning), "is readable by everybody"));
	/* Once is enough. */
	assert_null(strchr(buffer_text(&secrets.warning), ';'));
	secrets_done(&secrets);
}

static void test_url(void **state)
{
	static const char *const cases[][2] = {
		{ "https://h.example/${public_endpoint}?m=${mapping}",
		  "https://h.example/203.0.113.7%3A32451?m=web" },
		{ "http://${public_endpoint}/${ip4p}",
		  "http://203.0.113.7:32451/2001%3A%3A7ec3%3Acb00%3A7107" },
		{ "http://${mapping}.example:${public_port}", "http://web.example:32451" },
		{ "http://h?${public_endpoint}", "http://h?203.0.113.7%3A32451" },
		{ "http://h#${public_endpoint}", "http://h#203.0.113.7%3A32451" },
		{ "http://${public_endpoint}:x@h/", "http://203.0.113.7%3A32451:x@h/" },
		{ "http://u@${public_endpoint}/", "http://u@203.0.113.7:32451/" },
	};
	struct fixture *f = *state;
	struct secrets secrets = { 0 };
	struct buffer b = { 0 };
	struct result r = { 0 };
	char text[128];

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_int_equal(template_expand_url(cases[i][0], &event, &secrets, &b, &r), 0);
		assert_string_equal(buffer_text(&b), cases[i][1]);
		buffer_done(&b);
	}
	/* A secret does not become another host. */
	write_secret(f, "evil.example/", 13, 0600);
	snprintf(text, sizeof(text), "https://${file:%s}.example.com/", f->path);
	assert_int_equal(template_expand_url(text, &event, &secrets, &b, &r), -1);
	assert_non_null(strstr(r.text, "no host name"));
	buffer_done(&b);
	snprintf(text, sizeof(text), "https://u:${file:%s}@h/", f->path);
	assert_int_equal(template_expand_url(text, &event, &secrets, &b, &r), 0);
	assert_string_equal(buffer_text(&b), "https://u:evil.example%2F@h/");
	buffer_done(&b);
	secrets_done(&secrets);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_variables),
		cmocka_unit_test(test_escaping),
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_warning, setup, teardown),
		cmocka_unit_test_setup_teardown(test_url, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
