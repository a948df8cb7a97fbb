// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Installs and prints the tables of cases.c, on command: golden.py speaks to it over a pipe, one
 * line there and one line back, because an owned table lives only as long as this process.
 */

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <pinhold/config.h>
#include <pinhold/conntrack.h>
#include <pinhold/nft.h>
#include <pinhold/socket_owner.h>

#include "cases.h"
#include "faults.h"

static struct ph_nft *nft;
static struct ph_nft_watch *watch;

/* "ok", or the error's name and what it was about. */
static void answer(int r, const char *about)
{
	if (r == 0)
		printf("ok\n");
	else
		printf("%s %s\n", strerrorname_np(-r), about);
	fflush(stdout);
}

static void cmd_apply(const char *argument)
{
	struct ph_table *t = case_table(argument);
	const char *object = "";
	int r = ph_nft_apply(nft, t);

	if (r < 0) {
		ph_nft_last_error(nft, &object);
		ph_table_free(t);
	}
	answer(r, object);
}

/* "apply-failing N CASE": as apply, but the nth allocation fails; "ok untouched" if there were
 * fewer. */
static void cmd_apply_failing(const char *argument)
{
	struct ph_table *t = NULL;
	char *name;
	size_t nth = strtoul(argument, &name, 10);
	const char *object = "";
	int r;

	faults.failed = false;
	faults.fail_allocation = nth;
	r = case_try_table(name + 1, &t);
	if (r == 0) {
		r = ph_nft_apply(nft, t);
		ph_nft_last_error(nft, &object);
	}
	faults.fail_allocation = 0;
	if (r < 0)
		ph_table_free(t);
	if (r == 0 && !faults.failed)
		puts("ok untouched");
	else
		answer(r, object);
	fflush(stdout);
}

static void cmd_remove(const char *argument)
{
	const char *object;
	int r = ph_nft_remove(nft);

	(void)argument;
	ph_nft_last_error(nft, &object);
	answer(r, object);
}

static void cmd_owner(const char *argument)
{
	struct ph_socket_owner owner = {};
	uint32_t port_id;
	int r = ph_nft_owner(nft, &port_id);

	(void)argument;
	if (r == 0)
		r = ph_owner_of_netlink(port_id, &owner);
	if (r < 0)
		answer(r, "");
	else
		printf("%d %s\n", (int)owner.pid, owner.comm);
	fflush(stdout);
}

/* "ok NAME=PACKETS ...", in order. */
static void cmd_counters(const char *argument)
{
	struct ph_counter *counters = NULL;
	size_t n = 0;
	int r = ph_nft_counters(&counters, &n);

	(void)argument;
	if (r < 0) {
		answer(r, "");
		return;
	}
	fputs("ok", stdout);
	for (size_t i = 0; i < n; i++) {
		if (ph_counter_find(counters, n, counters[i].name) != &counters[i])
			errx(1, "%s: not found in its own list", counters[i].name);
		printf(" %s=%" PRIu64, counters[i].name, counters[i].packets);
	}
	puts("");
	fflush(stdout);
	free(counters);
}

/* "ok PACKETS" */
static void cmd_counter(const char *argument)
{
	uint64_t packets;
	int r = ph_nft_counter(argument, &packets);

	if (r < 0)
		answer(r, "");
	else
		printf("ok %" PRIu64 "\n", packets);
	fflush(stdout);
}

/* "counters-failing N": as counters, but the nth allocation fails; only how it ended. */
static void cmd_counters_failing(const char *argument)
{
	struct ph_counter *counters = NULL;
	size_t n;
	int r;

	faults.failed = false;
	faults.fail_allocation = strtoul(argument, NULL, 10);
	r = ph_nft_counters(&counters, &n);
	faults.fail_allocation = 0;
	free(counters);
	if (r == 0 && !faults.failed)
		puts("ok untouched");
	else
		answer(r, "");
	fflush(stdout);
}

static int parse_endpoint(char **words, struct ph_endpoint *ret_endpoint)
{
	const char *address = strsep(words, " "), *port = strsep(words, " ");

	if (!port || ph_address_parse(address, &ret_endpoint->address) < 0)
		return -EINVAL;
	ret_endpoint->port = (uint16_t)strtoul(port, NULL, 10);
	return 0;
}

/* "PROTO MARK ADDRESS PORT ADDRESS PORT [...]": how many matches; exits over a mistake. */
static size_t parse_matches(const char *argument, struct ph_conntrack_match *matches, size_t room)
{
	char *copy = strdup(argument), *words = copy;
	size_t n = 0;

	for (; words && n < room; n++) {
		struct ph_conntrack_match *m = &matches[n];
		const char *proto = strsep(&words, " "), *mark = strsep(&words, " ");

		m->proto = strcmp(proto, "udp") ? PH_TCP : PH_UDP;
		if (!mark || parse_endpoint(&words, &m->destination) < 0 ||
		    parse_endpoint(&words, &m->keep) < 0)
			errx(1, "%s: no match", argument);
		m->mark = (uint32_t)strtoul(mark, NULL, 16);
	}
	free(copy);
	return n;
}

/* "ok DELETED OCTETS": how many entries, and how much the kernel had to say for that. */
static void cmd_forget(const char *argument)
{
	struct ph_conntrack_match matches[4];
	size_t n = parse_matches(argument, matches, 4), before = faults.octets_read, deleted = 0;
	int r = ph_conntrack_forget(matches, n, &deleted);

	if (r < 0)
		answer(r, "");
	else
		printf("ok %zu %zu\n", deleted, faults.octets_read - before);
	fflush(stdout);
}

/* "N MATCH...": the same, but the nth allocation fails. */
static void cmd_forget_failing(const char *argument)
{
	struct ph_conntrack_match matches[4];
	char *rest;
	size_t nth = strtoul(argument, &rest, 10);
	size_t n = parse_matches(rest + 1, matches, 4);
	int r;

	faults.failed = false;
	faults.fail_allocation = nth;
	r = ph_conntrack_forget(matches, n, NULL);
	faults.fail_allocation = 0;
	if (r == 0 && !faults.failed)
		puts("ok untouched");
	else
		answer(r, "");
	fflush(stdout);
}

static void cmd_change_ids(const char *argument)
{
	faults.change_ids = !strcmp(argument, "yes");
	answer(0, "");
}

static void cmd_watch(const char *argument)
{
	(void)argument;
	ph_nft_watch_close(watch);
	watch = NULL;
	answer(ph_nft_watch_open(ph_nft_port_id(nft), &watch), "");
}

/* "ok [changed] [gone] [unsure] [PID COMM]" */
static void cmd_watched(const char *argument)
{
	struct ph_nft_foreign f;
	int r = ph_nft_watch_read(watch, &f);

	(void)argument;
	if (r < 0) {
		answer(r, "");
		return;
	}
	printf("ok%s%s%s", f.changed ? " changed" : "", f.gone ? " gone" : "",
	       f.unsure ? " unsure" : "");
	if (f.pid)
		printf(" %" PRIu32 " %s", f.pid, f.comm);
	puts("");
	fflush(stdout);
}

/* The watch's descriptor flags. */
static void cmd_watch_state(const char *argument)
{
	(void)argument;
	puts(fcntl(ph_nft_watch_fd(watch), F_GETFD) & FD_CLOEXEC ? "cloexec" : "inherited");
	fflush(stdout);
}

static void cmd_interrupt_dumps(const char *argument)
{
	faults.interrupt_dumps = strtoul(argument, NULL, 10);
	answer(0, "");
}

static void cmd_cut_answer(const char *argument)
{
	faults.cut_answer = strtoul(argument, NULL, 10);
	answer(0, "");
}

/* "OCTET VALUE" */
static void cmd_spoil_answer(const char *argument)
{
	char *value;

	faults.spoil_octet = strtoul(argument, &value, 10);
	faults.spoil_value = (uint8_t)strtoul(value, NULL, 10);
	faults.spoil_answer = true;
	answer(0, "");
}

static void cmd_is_owner(const char *argument)
{
	(void)argument;
	puts(ph_nft_is_owner(nft) ? "yes" : "no");
	fflush(stdout);
}

static void cmd_corrupt(const char *argument)
{
	faults.corrupt_message = strtoul(argument, NULL, 10);
	answer(0, "");
}

static void cmd_refuse_owner(const char *argument)
{
	(void)argument;
	faults.refuse_owner = true;
	answer(0, "");
}

static void cmd_lose_answers(const char *argument)
{
	(void)argument;
	faults.lose_answers = true;
	answer(0, "");
}

static void cmd_interrupt(const char *argument)
{
	(void)argument;
	faults.interrupt_send = true;
	faults.interrupt_read = true;
	answer(0, "");
}

/* "BATCHES MESSAGES": batches sent so far, messages in the last one. */
static void cmd_sent(const char *argument)
{
	(void)argument;
	printf("%zu %zu\n", faults.sends, faults.messages);
	fflush(stdout);
}

static void cmd_drop_capabilities(const char *argument)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = {};

	(void)argument;
	answer(syscall(SYS_capset, &header, none) < 0 ? -errno : 0, "");
}

static const struct {
	const char *word;
	void (*run)(const char *argument);
} commands[] = {
	{ "apply", cmd_apply },
	{ "apply-failing", cmd_apply_failing },
	{ "remove", cmd_remove },
	{ "owner", cmd_owner },
	{ "counters", cmd_counters },
	{ "counter", cmd_counter },
	{ "counters-failing", cmd_counters_failing },
	{ "forget", cmd_forget },
	{ "forget-failing", cmd_forget_failing },
	{ "change-ids", cmd_change_ids },
	{ "watch", cmd_watch },
	{ "watched", cmd_watched },
	{ "watch-state", cmd_watch_state },
	{ "interrupt-dumps", cmd_interrupt_dumps },
	{ "cut-answer", cmd_cut_answer },
	{ "spoil-answer", cmd_spoil_answer },
	{ "is-owner", cmd_is_owner },
	{ "corrupt", cmd_corrupt },
	{ "refuse-owner", cmd_refuse_owner },
	{ "lose-answers", cmd_lose_answers },
	{ "interrupt", cmd_interrupt },
	{ "sent", cmd_sent },
	{ "drop-capabilities", cmd_drop_capabilities },
};

static void obey(char *line)
{
	char *argument;

	line[strcspn(line, "\n")] = '\0';
	argument = line + strcspn(line, " ");
	if (*argument)
		*argument++ = '\0';
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(commands[i].word, line)) {
			commands[i].run(argument);
			return;
		}
	errx(1, "%s: no such command", line);
}

static int serve(void)
{
	char line[256];
	int r = ph_nft_open(&nft);

	if (r < 0)
		errx(1, "ph_nft_open: %s", strerror(-r));
	while (fgets(line, sizeof(line), stdin))
		obey(line);
	ph_nft_watch_close(watch);
	ph_nft_close(nft);
	return 0;
}

static int print(const char *name)
{
	struct ph_table *t = case_table(name);
	int r = ph_nft_print(t, stdout);

	ph_table_free(t);
	if (r < 0)
		errx(1, "ph_nft_print: %s", strerror(-r));
	return 0;
}

/* Of the names on standard input, one a line, those that no mapping may have. */
static int refuse_names(void)
{
	char line[256];

	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = '\0';
		if (ph_name_refusal(line))
			puts(line);
	}
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "cases")) {
		for (size_t i = 0; case_name(i); i++)
			puts(case_name(i));
		return 0;
	}
	if (argc == 2 && !strcmp(argv[1], "serve"))
		return serve();
	if (argc == 3 && !strcmp(argv[1], "print"))
		return print(argv[2]);
	if (argc == 2 && !strcmp(argv[1], "names"))
		return refuse_names();
	errx(2, "usage: golden_tool cases | serve | names | print CASE");
}
