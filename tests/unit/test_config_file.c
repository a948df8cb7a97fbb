/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From a file's octets to keys and values, and what `pinhold test` says of it. */

#include "config_text.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../src/cli/test.h"

#define WEBHOOK                                  \
	"[mapping m]\nbind = 1\ntarget = none\n" \
	"[publish w]\ntype = webhook\nurl = https://h\n"

/* What stands where a value begins and ends. */
static void test_values(void **state)
{
	static const struct {
		const char *line, *value;
	} cases[] = {
		{ "body=x", "x" },
		{ "body   =\t x  \t", "x" },
		{ "body = x # y", "x" },
		{ "body = x ; y", "x" },
		{ "body = x\t#y", "x" },
		{ "body = x#y;z", "x#y;z" },
		{ "body = a=b:c", "a=b:c" },
		{ "body = {\"a\": \"b\"}", "{\"a\": \"b\"}" },
		{ "body = \"x # y ; z\"", "x # y ; z" },
		{ "body = \" x \" # \"y\"", " x " },
		{ "body = \"a\\\"b\\\\c\" ; d", "a\"b\\c" },
		{ "body = x\\y", "x\\y" },
		{ "body = gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f" },
		{ "body = x\r", "x" },
	};
	char text[400];

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		struct ph_config c;

		snprintf(text, sizeof(text), WEBHOOK "%s\n", cases[i].line);
		c = good(text, 0);
		assert_int_equal(c.publishers[0].n_settings, 2);
		assert_string_equal(c.publishers[0].settings[1].value, cases[i].value);
		assert_int_equal(c.publishers[0].settings[1].line, 7);
		ph_config_done(&c);
	}
}

/* Longer than inih's buffer, with all that it would stumble over, wherever it might cut. */
static void test_long_values(void **state)
{
	char value[PH_VALUE_MAX], text[sizeof(value) + 400];

	(void)state;
	for (size_t len = 150; len < sizeof(value); len += len < 450 ? 1 : 1823) {
		struct ph_config c;

		for (size_t i = 0; i < len; i++)
			value[i] = "a   ; [b]=# :c"[i % 14];
		value[len] = '\0';
		snprintf(text, sizeof(text), WEBHOOK "body = \"%s\" # c\nmethod = PUT\n", value);
		c = good(text, 0);
		assert_int_equal(c.publishers[0].n_settings, 3);
		assert_string_equal(c.publishers[0].settings[1].value, value);
		assert_int_equal(c.publishers[0].settings[2].line, 8);
		ph_config_done(&c);
	}
}

static void test_too_long_value(void **state)
{
	char text[PH_VALUE_MAX + 400] = WEBHOOK "body = ";
	size_t len = strlen(text);
	static struct said said;
	struct ph_config config;

	(void)state;
	memset(text + len, 'x', PH_VALUE_MAX);
	assert_int_equal(parse(text, len + PH_VALUE_MAX - 1, &said, &config), 0);
	ph_config_done(&config);
	assert_int_equal(parse(text, len + PH_VALUE_MAX, &said, &config), -EINVAL);
	assert_int_equal(said.mistakes, 1);
	assert_non_null(strstr(said.items[said.n - 1].text, "4096 octets: 4095 are the most"));
}

/* A line below a section's header continues nothing, whatever stands above the header. */
static void test_after_header(void **state)
{
	struct ph_config c = good("[mapping m]\nbind = 1\ntarget = none\n[publish w]\n"
				  "  body = \"a # b\"\ntype = webhook\nurl = http://h\n",
				  0);

	(void)state;
	assert_string_equal(c.publishers[0].settings[0].value, "a # b");
	ph_config_done(&c);
}

static void test_shapes(void **state)
{
	static const char *const texts[] = {
		"\xef\xbb\xbf[mapping m]\nbind = 1\ntarget = none\n",
		"[mapping m]\r\nbind = 1\r\ntarget = none\r\n",
		"[mapping m]\nbind = 1\ntarget = none",
		"\n\n# c\n; c\n  # c\n[ mapping   m ] # c\n\nbind = 1\n \t\n\ntarget = none\n\n",
		"[global]\n[mapping m]\n bind = 1\ntarget = none\n",
		"[mapping m]\nbind = 1\ntarget = none\n[global]\n",
	};

	(void)state;
	for (size_t i = 0; i < N(texts); i++) {
		struct ph_config c = good(texts[i], 0);

		assert_int_equal(c.n_mappings, 1);
		assert_string_equal(c.mappings[0]->core.name, "m");
		assert_int_equal(c.mappings[0]->core.bind_first, 1);
		ph_config_done(&c);
	}
}

static void test_continuation(void **state)
{
	struct ph_config c = good("[mapping m]\nbind = 1\ntarget = none\nfamily = ipv6\n"
				  "stun = a # one\n# between\n\n\tb, c # two\n  [2001:db8::1]:80\n"
				  "hook = /a\n /b=c\n \"/d # e\"\n"
				  "[publish w]\ntype = webhook\nurl = https://h\n"
				  "header = A: b\n  C: d\n",
				  0);
	const struct ph_config_mapping *m = mapping(&c, "m");

	(void)state;
	assert_int_equal(m->core.stun->n, 4);
	assert_string_equal(m->core.stun->items[2].host, "c");
	assert_string_equal(m->core.stun->items[3].host, "2001:db8::1");
	assert_int_equal(m->core.stun->items[3].port, 80);
	assert_int_equal(m->n_hooks, 3);
	assert_string_equal(m->hooks[1].path, "/b=c");
	assert_string_equal(m->hooks[2].path, "/d # e");
	assert_int_equal(c.publishers[0].n_settings, 3);
	assert_string_equal(c.publishers[0].settings[2].key, "header");
	assert_string_equal(c.publishers[0].settings[2].value, "C: d");
	assert_int_equal(c.publishers[0].settings[2].line, 17);
	ph_config_done(&c);
}

static void test_nul(void **state)
{
	static const char text[] = M "fwmark = 1\0 2\n";
	static struct said said;
	struct ph_config config;

	(void)state;
	assert_int_equal(parse(text, sizeof(text) - 1, &said, &config), -EINVAL);
	assert_int_equal(said.n, 1);
	assert_int_equal(said.items[0].line, 4);
	assert_non_null(strstr(said.items[0].text, "NUL"));
}

/* A file of that name in a directory of our own. */
static const char *write_file(const char *directory, const char *text, size_t len, mode_t mode)
{
	static char path[200];
	FILE *f;

	snprintf(path, sizeof(path), "%s/conf", directory);
	unlink(path);
	f = fopen(path, "we");
	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, mode), 0);
	return path;
}

static void test_read(void **state)
{
	char directory[] = "/tmp/pinhold-config-XXXXXX", fifo[200], text[400];
	static char big[(1 << 20) + 1];
	static struct said said;
	struct ph_config config;
	const char *path;

	(void)state;
	assert_non_null(mkdtemp(directory));
	path = write_file(directory, M, strlen(M), 0600);
	said = (struct said){ 0 };
	assert_int_equal(ph_config_read(path, report, &said, &config), 0);
	assert_string_equal(config.path, path);
	assert_int_equal(said.n, 0);
	ph_config_done(&config);

	assert_int_equal(ph_config_read(directory, report, &said, &config), -EISDIR);
	assert_int_equal(ph_config_read("/nonexistent/conf", report, &said, &config), -ENOENT);
	memset(big, '\n', sizeof(big));
	memcpy(big, M, strlen(M));
	path = write_file(directory, big, sizeof(big), 0600);
	assert_int_equal(ph_config_read(path, report, &said, &config), -EFBIG);
	assert_int_equal(said.n, 0);
	path = write_file(directory, big, sizeof(big) - 1, 0600);
	assert_int_equal(ph_config_read(path, report, &said, &config), 0);
	ph_config_done(&config);

	/* Nobody writes to it, and nobody waits for that. */
	snprintf(fifo, sizeof(fifo), "%s/fifo", directory);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(ph_config_read(fifo, report, &said, &config), -EINVAL);
	assert_int_equal(said.n, 1);
	assert_non_null(strstr(said.items[0].text, "not a regular file"));
	unlink(fifo);

	/* Hooks are looked at where they are. */
	snprintf(text, sizeof(text), M "hook = /bin/sh\nhook = %s/none\nhook = %s\nhook = %s\n",
		 directory, directory, path);
	path = write_file(directory, text, strlen(text), 0600);
	said = (struct said){ 0 };
	assert_int_equal(ph_config_read(path, report, &said, &config), -EINVAL);
	assert_int_equal(said.n, 3);
	assert_int_equal(said.items[0].line, 5);
	assert_non_null(strstr(said.items[0].text, "does not exist"));
	assert_non_null(strstr(said.items[1].text, "is not a file"));
	assert_int_equal(said.items[2].line, 7);
	assert_non_null(strstr(said.items[2].text, "is not executable"));
	unlink(path);
	assert_int_equal(rmdir(directory), 0);
}

static void test_ephemeral(void **state)
{
	uint16_t first, last;

	(void)state;
	ph_ephemeral_range(&first, &last);
	assert_true(first > 0 && first <= last);
}

/* Runs `pinhold test` on a file with these contents; what it prints goes to out, both streams. */
static int cli(const char *text, char *out, size_t size)
{
	char directory[] = "/tmp/pinhold-config-XXXXXX", log[200];
	int fds[2], status, fd;
	const char *path;
	ssize_t n;

	assert_non_null(mkdtemp(directory));
	path = write_file(directory, text, strlen(text), 0600);
	snprintf(log, sizeof(log), "%s/log", directory);
	fd = open(log, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	fflush(NULL);
	for (int i = 0; i < 2; i++) {
		fds[i] = dup(i + 1);
		assert_true(fds[i] >= 0 && dup2(fd, i + 1) == i + 1);
	}
	status = ph_test_file(path);
	fflush(NULL);
	for (int i = 0; i < 2; i++) {
		dup2(fds[i], i + 1);
		close(fds[i]);
	}
	n = pread(fd, out, size - 1, 0);
	assert_true(n >= 0);
	out[n] = '\0';
	close(fd);
	unlink(log);
	unlink(path);
	rmdir(directory);
	return status;
}

static void test_cli(void **state)
{
	char out[4096];

	(void)state;
	assert_int_equal(cli(M, out, sizeof(out)), 0);
	assert_non_null(strstr(out, "/conf: 1 mapping, all right\n"));
	assert_int_equal(cli(M "[mapping n]\nbind = 2\ntarget = :5\nprotocol = udp\ndetect = 5\n",
			     out, sizeof(out)),
			 0);
	assert_non_null(strstr(out, "/conf:8: detect concerns TCP alone"));
	assert_non_null(strstr(out, "/conf: 2 mappings, all right\n"));
	assert_int_equal(cli(M "bnd = 1\nsnat = 7\n", out, sizeof(out)), 2);
	assert_int_equal(strncmp(out, "pinhold: /", 10), 0);
	assert_non_null(strstr(out, "/conf:4: unknown key \"bnd\""));
	assert_non_null(strstr(out, "/conf:5: snat: \"7\""));
	assert_null(strstr(out, "all right"));
	assert_int_equal(cli("", out, sizeof(out)), 2);
	assert_non_null(strstr(out, "/conf: no section [mapping NAME]"));
	assert_int_equal(ph_test_file("/nonexistent/pinhold.conf"), 2);
}

/* Files with prefixes, as they are found on a disk. */
static void test_prefix_files(void **state)
{
	char directory[] = "/tmp/pinhold-config-XXXXXX", list[200], text[600];
	const char *const wrong[] = { "does not exist", "is a directory", "not a regular file",
				      "has more than 4 MiB" };
	static char big[PH_ALLOW_FILE_MAX + 1];
	static struct said said;
	struct ph_config config;
	const char *path;
	FILE *f;

	(void)state;
	assert_non_null(mkdtemp(directory));
	snprintf(list, sizeof(list), "%s/list", directory);
	snprintf(text, sizeof(text), M "allow = @%s\n", list);
	path = write_file(directory, text, strlen(text), 0600);
	for (size_t i = 0; i < N(wrong); i++) {
		if (i == 1)
			assert_int_equal(mkdir(list, 0700), 0);
		if (i == 2)
			assert_true(rmdir(list) == 0 && mkfifo(list, 0600) == 0);
		if (i == 3) {
			memset(big, '\n', sizeof(big));
			unlink(list);
			f = fopen(list, "we");
			assert_non_null(f);
			assert_int_equal(fwrite(big, 1, sizeof(big), f), sizeof(big));
			assert_int_equal(fclose(f), 0);
		}
		said = (struct said){ 0 };
		assert_int_equal(ph_config_read(path, report, &said, &config), -EINVAL);
		assert_int_equal(said.n, 1);
		assert_int_equal(said.items[0].line, 4);
		assert_non_null(strstr(said.items[0].text, wrong[i]));
	}
	assert_int_equal(truncate(list, PH_ALLOW_FILE_MAX), 0);
	f = fopen(list, "r+e");
	assert_non_null(f);
	assert_true(fputs("192.0.2.0/24\n192.0.3.0/24\n", f) >= 0 && fclose(f) == 0);
	said = (struct said){ 0 };
	assert_int_equal(ph_config_read(path, report, &said, &config), 0);
	assert_int_equal(said.n, 0);
	assert_int_equal(config.mappings[0]->allowed->n, 1);
	ph_config_done(&config);
	unlink(list);
	unlink(path);
	assert_int_equal(rmdir(directory), 0);
}

/* The second example is what `allow = @FILE` reads. */
static void check_prefix_file(const char *prefixes)
{
	char directory[] = "/tmp/pinhold-config-XXXXXX", list[200], text[400];
	static struct said said;
	struct ph_config config;
	const char *path;

	assert_non_null(mkdtemp(directory));
	path = write_file(directory, prefixes, strlen(prefixes), 0600);
	snprintf(list, sizeof(list), "%s/list", directory);
	assert_int_equal(rename(path, list), 0);
	snprintf(text, sizeof(text), M "allow = @%s\n", list);
	path = write_file(directory, text, strlen(text), 0600);
	said = (struct said){ 0 };
	assert_int_equal(ph_config_read(path, report, &said, &config), 0);
	assert_int_equal(said.n, 0);
	assert_int_equal(config.mappings[0]->allowed->n, 2);
	ph_config_done(&config);
	unlink(list);
	unlink(path);
	assert_int_equal(rmdir(directory), 0);
}

/* The manual page's examples, between .Bd and .Ed: a configuration and a file of prefixes that are
 * right. */
static void test_manual(void **state)
{
	static char texts[2][20000];
	static struct said said;
	struct ph_config config = { 0 };
	bool inside = false, example = false;
	size_t n = 0, len = 0;
	char line[400];
	FILE *f;

	(void)state;
	f = fopen(PINHOLD_CONF_MANUAL, "re");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		if (!strncmp(line, ".Sh ", 4))
			example = !strcmp(line, ".Sh EXAMPLES\n");
		if (inside && !strncmp(line, ".Ed", 3)) {
			inside = false;
			n++;
			len = 0;
		}
		if (inside)
			len += (size_t)snprintf(texts[n] + len, sizeof(texts[n]) - len, "%s", line);
		if (example && !strncmp(line, ".Bd ", 4)) {
			assert_true(n < N(texts));
			inside = true;
		}
	}
	fclose(f);
	assert_int_equal(n, 2);
	check_prefix_file(texts[1]);
	assert_int_equal(parse(texts[0], strlen(texts[0]), &said, &config), 0);
	assert_int_equal(said.mistakes, 0);
	assert_in_range(config.n_mappings, 2, 9);
	assert_in_range(config.n_publishers, 1, 9);
	ph_config_done(&config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_long_values),
		cmocka_unit_test(test_too_long_value),
		cmocka_unit_test(test_after_header),
		cmocka_unit_test(test_shapes),
		cmocka_unit_test(test_continuation),
		cmocka_unit_test(test_nul),
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_prefix_files),
		cmocka_unit_test(test_ephemeral),
		cmocka_unit_test(test_cli),
		cmocka_unit_test(test_manual),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
