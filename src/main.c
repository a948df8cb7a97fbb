/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Arguments: which command, and what it is told. */

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
#include "cli/watch.h"
#include "daemon.h"
#include "options.h"
#include "usage.h"

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

struct words {
	bool json;
	int n;       /* of what is no option */
	char **rest; /* those */
};

/* options: of getopt's letters; --json belongs to those that take it. */
static int read_words(int argc, char **argv, bool takes_json, int max, struct words *ret_words)
{
	static const struct option known[] = { { "json", no_argument, NULL, 'j' }, { 0 } };
	const struct option *options = takes_json ? known : known + 1;
	struct words words = { 0 };
	int option;

	opterr = 0;
	optind = 2;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == '?')
			return cli_say(CLI_USAGE,
				       "%s: the option %s is not known; `pinhold %s --help`",
				       argv[1], argv[optind - 1], argv[1]);
		words.json = true;
	}
	words.n = argc - optind;
	words.rest = argv + optind;
	if (words.n > max)
		return cli_say(CLI_USAGE, "%s: \"%s\" is too much; `pinhold %s --help`", argv[1],
			       words.rest[max], argv[1]);
	*ret_words = words;
	return 0;
}

static int command_status(int argc, char **argv)
{
	struct words words;
	int r = read_words(argc, argv, true, 1, &words);

	return r ? r : ph_cli_status(words.n ? words.rest[0] : NULL, words.json);
}

static int command_get(int argc, char **argv)
{
	struct words words;
	int r = read_words(argc, argv, false, 2, &words);

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
	int r = read_words(argc, argv, false, 0, &words);

	return r ? r : ph_cli_watch();
}

static int command_reload(int argc, char **argv)
{
	struct words words;
	int r = read_words(argc, argv, false, 0, &words);

	return r ? r : ph_cli_reload();
}

/* ---- one mapping by options ---- */

static int command_ruleset(int argc, char **argv)
{
	struct ph_config config;
	int r = ph_options_parse(argc, argv, 2, &config);

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
	{ "status", usage_status, command_status },    { "get", usage_get, command_get },
	{ "watch", usage_watch, command_watch },       { "reload", usage_reload, command_reload },
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
