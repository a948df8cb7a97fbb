/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What the command line says of words and files that are wrong; the daemon is not asked. */

#include "program.h"

static void test_words(void **state)
{
	static const struct {
		const char *words, *part;
	} cases[] = {
		{ "stauts", "did you mean status?" },
		{ "relaod", "did you mean reload?" },
		{ "statu", "did you mean status?" },
		{ "wtach", "did you mean watch?" },
		{ "rule-set", "did you mean ruleset?" },
		{ "xyzzy", "`pinhold --help`" },
		{ "check", "there is no command check" },
		{ "a-very-long-word-that-is-no-command", "`pinhold --help`" },
		{ "status --xml", "the option --xml is not known" },
		{ "status -x", "the option -x is not known" },
		{ "status web nas", "\"nas\" is too much" },
		{ "get", "which mapping and field?" },
		{ "get web", "which field?" },
		{ "get web state now", "\"now\" is too much" },
		{ "get --json web state", "--json is not known" },
		{ "watch web", "\"web\" is too much" },
		{ "reload now", "\"now\" is too much" },
		{ "run -c", "-c needs a file" },
		{ "run -x", "the option -x is not known" },
		{ "run /etc/pinhold.conf",
		  "\"/etc/pinhold.conf\" is too much; a file is named with -c" },
		{ "run -c /no/such/file", "/no/such/file: there is no such file" },
		{ "run -c /tmp", "/tmp: is a directory; name a file with -c" },
		{ "test -c /tmp", "/tmp: is a directory; name a file with -c" },
		{ "test -c", "-c needs a file" },
		{ "test file", "\"file\" is too much" },
		{ "test -c /no/such/file", "/no/such/file: there is no such file" },
		{ "ruleset -c", "-c needs a file" },
		{ "ruleset -c /no/such/file", "/no/such/file: there is no such file" },
		{ "ruleset -c/no/such/file", "/no/such/file: there is no such file" },
		{ "ruleset -c 5 -k", "-k needs a value" }, /* natmap's -c */
		{ "-6 -b 8443 -t ::1 -p 443",
		  "-t: ::1 is the loopback address, and IPv6 cannot forward to it: leave -t out" },
		{ "-b 8443 -f 0x01000000",
		  "-f: 0x01000000 has bits of 0x0f000000, which pinhold needs itself" },
	};
	static const char *const helped[] = { "run",   "test",   "status", "get",
					      "watch", "reload", "ruleset" };
	struct fixture *f = *state;
	char words[64];

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		run(f, cases[i].words, NULL, 2);
		assert_one_line(f, cases[i].part);
	}
	for (size_t i = 0; i < sizeof(helped) / sizeof(*helped); i++) {
		snprintf(words, sizeof(words), "%s --help", helped[i]);
		run(f, words, NULL, 0);
		snprintf(words, sizeof(words), "pinhold %s", helped[i]);
		assert_memory_equal(f->out.text, words, strlen(words));
	}
	assert_string_equal(f->request, "");
}

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void test_file(void **state)
{
	static const char *const commands[] = { "run", "test", "ruleset" };
	struct fixture *f = *state;
	char path[128], words[192], line[160];

	snprintf(path, sizeof(path), "%s/p.conf", f->directory);
	write_file(path, "[global]\nintervall = 5s\n\n[mapping web]\nprotocol = sctp\n"
			 "bind = 8443\ntarget = :443\n");
	/* Both mistakes, each with its line. */
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
		snprintf(words, sizeof(words), "%s -c %s", commands[i], path);
		run(f, words, NULL, 2);
		assert_string_equal(f->out.text, "");
		snprintf(line, sizeof(line), "pinhold: %s:2: ", path);
		assert_memory_equal(f->err.text, line, strlen(line));
		snprintf(line, sizeof(line), "\npinhold: %s:5: ", path);
		assert_non_null(strstr(f->err.text, line));
	}
	/* An interface that is there, and one that is not. */
	write_file(path, "[mapping web]\nprotocol = tcp\nbind = 8443\ntarget = :443\n"
			 "interface = 127.0.0.1\nstun = 192.0.2.1\nkeepalive = 192.0.2.2\n"
			 "[mapping nas]\nprotocol = udp\nbind = 8443\ntarget = :443\n"
			 "interface = no-such-if\nstun = 192.0.2.1\n"
			 "[mapping off]\nprotocol = udp\nbind = 8444\ntarget = :443\n"
			 "enabled = no\nstun = 192.0.2.1\n");
	run(f, words, NULL, 0);
	assert_non_null(strstr(f->out.text, "counter nas"));
	assert_null(strstr(f->out.text, "counter off"));
	assert_null(strstr(f->out.text, "chain in-nas"));
	assert_non_null(strstr(f->err.text, "nas: there is no interface or address no-such-if"));
	assert_int_equal(unlink(path), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_SERVER(test_words),
		WITH_SERVER(test_file),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
