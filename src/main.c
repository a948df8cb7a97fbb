/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Arguments: which command, and what it is told. */

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "background.h"
#include "cli/client.h"
#include "cli/get.h"
#include "cli/reload.h"
#include "cli/ruleset.h"
#include "cli/status.h"
#include "cli/test.h"
#include "cli/watch.h"
#include "daemon.h"
#include "options.h"
#include "usage.h"

#define CONFIG_PATH "/etc/pinhold.conf"

/* The writing end of the pipe on which the parent of -d waits, or -1. */
static int ready_fd = -1;

static void tell_ready(void)
{
	if (ready_fd >= 0)
		background_ready(ready_fd);
	ready_fd = -1;
}

static int print(const char *text)
{
	fputs(text, stdout);
	return cli_flush();
}

/* ---- a command's words: its own options, and at most so many others ---- */

enum takes { TAKES_NOTHING, TAKES_JSON, TAKES_FILE };

struct words {
	bool json;
	const char *file;
	int n;       /* of what is no option */
	char **rest; /* those */
};

static int read_words(int argc, char **argv, enum takes takes, int max, struct words *ret_words)
{
	static const struct option known[] = { { "json", no_argument, NULL, 'j' }, { 0 } };
	const struct option *options = takes == TAKES_JSON ? known : known + 1;
	struct words words = { .file = CONFIG_PATH };
	int option;

	opterr = 0;
	optind = 2;
	while ((option = getopt_long(argc, argv, takes == TAKES_FILE ? ":c:" : ":", options,
				     NULL)) != -1) {
		if (option == ':')
			return cli_say(CLI_USAGE, "%s: -c needs a file", argv[1]);
		if (option == '?')
			return cli_say(CLI_USAGE,
				       "%s: the option %s is not known; `pinhold %s --help`",
				       argv[1], argv[optind - 1], argv[1]);
		if (option == 'c')
			words.file = optarg;
		else
			words.json = true;
	}
	words.n = argc - optind;
	words.rest = argv + optind;
	if (words.n > max && takes == TAKES_FILE)
		return cli_say(
			CLI_USAGE,
			"%s: \"%s\" is too much; a file is named with -c: `pinhold %s -c FILE`",
			argv[1], words.rest[max], argv[1]);
	if (words.n > max)
		return cli_say(CLI_USAGE, "%s: \"%s\" is too much; `pinhold %s --help`", argv[1],
			       words.rest[max], argv[1]);
	*ret_words = words;
	return 0;
}

static int command_status(int argc, char **argv)
{
	struct words words;
	int r = read_words(argc, argv, TAKES_JSON, 1, &words);

	return r ? r : ph_cli_status(words.n ? words.rest[0] : NULL, words.json);
}

static int command_get(int argc, char **argv)
{
	struct words words;
	int r = read_words(argc, argv, TAKES_NOTHING, 2, &words);

	if (r)
		return r;
	if (words.n < 2)
		return cli_say(CLI_USAGE, "get: which %s? `pinhold get NAME FIELD`",
			       words.n ? "field" : "mapping and field");
	return ph_cli_get(words.rest[0], words.rest[1]);
}

static int command_watch(int argc, char **argv)
{
	struct words words;
	int r = read_words(argc, argv, TAKES_NOTHING, 0, &words);

	return r ? r : ph_cli_watch();
}

static int command_reload(int argc, char **argv)
{
	struct words words;
	int r = read_words(argc, argv, TAKES_NOTHING, 0, &words);

	return r ? r : ph_cli_reload();
}

/* ---- the file, or one mapping by options ---- */

static void report(void *data, bool mistake, unsigned line, const char *text)
{
	const char *path = data;

	(void)mistake;
	if (line)
		cli_line("%s:%u: %s", path, line, text);
	else
		cli_line("%s: %s", path, text);
}

/* 0, or an exit status after at least one line. */
static int read_file(const char *path, struct ph_config *ret_config)
{
	/* The callback's data wants no const; it only reads. */
	int r = ph_config_read(path, report, (void *)(uintptr_t)path, ret_config);

	if (r == 0 || r == -EINVAL)
		return r ? CLI_USAGE : 0;
	if (r == -ENOENT)
		return cli_say(
			CLI_USAGE,
			"%s: there is no such file; name another with -c, or see pinhold.conf(5)",
			path);
	if (r == -EISDIR)
		return cli_say(CLI_USAGE, "%s: is a directory; name a file with -c", path);
	return cli_say(r == -ENOMEM ? CLI_FAILED : CLI_USAGE, "%s: %s", path, strerror(-r));
}

/* Until somebody listens to it SIGHUP would be the end, and whoever writes the file and sends the
 * signal cannot know how far we are. The daemon lets it through when it has its handler. */
static void hold_back_sighup(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

static int command_run(int argc, char **argv)
{
	struct ph_config config;
	struct words words;
	int r = read_words(argc, argv, TAKES_FILE, 0, &words);

	hold_back_sighup();
	if (r == 0)
		r = read_file(words.file, &config);
	if (r)
		return r;
	r = ph_daemon_run(&config, tell_ready);
	ph_config_done(&config);
	return r;
}

static int command_test(int argc, char **argv)
{
	struct words words;
	int r = read_words(argc, argv, TAKES_FILE, 0, &words);

	return r ? r : ph_test_file(words.file);
}

/* natmap has a -c of its own, so that it means the file only where it stands alone. */
static bool ruleset_of_file(int argc, char **argv)
{
	return argc == 2 || (argc == 3 && strncmp(argv[2], "-c", 2) == 0) ||
	       (argc == 4 && strcmp(argv[2], "-c") == 0);
}

static int command_ruleset(int argc, char **argv)
{
	struct ph_config config;
	struct words words;
	int r;

	if (ruleset_of_file(argc, argv)) {
		r = read_words(argc, argv, TAKES_FILE, 0, &words);
		if (r == 0)
			r = read_file(words.file, &config);
	} else {
		r = ph_options_parse(argc, argv, 2, &config);
	}
	if (r)
		return r;
	r = ph_ruleset_print(&config);
	ph_config_done(&config);
	return r;
}

static int run_options(int argc, char **argv)
{
	struct ph_config config;
	int r = ph_options_parse(argc, argv, 1, &config);

	if (r)
		return r;
	if (config.background)
		ready_fd = background_enter();
	r = ph_daemon_run(&config, tell_ready);
	ph_config_done(&config);
	return r;
}

/* ---- which command ---- */

static const struct command {
	const char *name;
	const char *usage;
	int (*run)(int argc, char **argv);
} commands[] = {
	{ "run", usage_run, command_run },
	{ "status", usage_status, command_status },
	{ "get", usage_get, command_get },
	{ "watch", usage_watch, command_watch },
	{ "reload", usage_reload, command_reload },
	{ "test", usage_test, command_test },
	{ "ruleset", usage_ruleset, command_ruleset },
};

#define N_COMMANDS (sizeof(commands) / sizeof(*commands))

static int say_unknown(const char *word)
{
	const char *names[N_COMMANDS], *nearest;

	for (size_t i = 0; i < N_COMMANDS; i++)
		names[i] = commands[i].name;
	nearest = usage_nearest(word, names, N_COMMANDS);
	if (nearest)
		return cli_say(CLI_USAGE, "there is no command %s; did you mean %s?", word,
			       nearest);
	return cli_say(CLI_USAGE, "there is no command %s; `pinhold --help` lists all", word);
}

static bool wants(int argc, char **argv, const char *option)
{
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], option) == 0)
			return true;
	return false;
}

int main(int argc, char **argv)
{
	const struct command *command = NULL;

	background_fill_descriptors();
	/* Output that nobody reads is an error to be told, like any other. */
	signal(SIGPIPE, SIG_IGN);
	if (argc < 2)
		return cli_say(CLI_USAGE,
			       "nothing to do; try `pinhold -b 8443 -p 443`, or `pinhold --help`");
	for (size_t i = 0; i < N_COMMANDS && !command; i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			command = &commands[i];
	if (!command && *argv[1] != '-')
		return say_unknown(argv[1]);
	if (wants(argc, argv, "--help"))
		return print(command ? command->usage : usage_program);
	if (wants(argc, argv, "--version"))
		return print("pinhold " PINHOLD_VERSION "\n");
	return command ? command->run(argc, argv) : run_options(argc, argv);
}
