/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Tables of many mappings, and what it takes to change one of them: the daemon's own code without
 * the daemon, for tests/bench/table.py, which speaks to it over a pipe, one line there and one line
 * back, because an owned table lives only as long as this process.
 *
 *	install N PREFIXES     a new table of N mappings, of which `web` lets in so many prefixes
 *(0: everybody): the batch's octets print N FILE           the same in nft's syntax, into a file: 0
 *	remove                 0
 *	change COUNT PAUSE     so many new public endpoints of `web`, one every PAUSE us, the
 *daemon's short way: of each the ns of all and the ns in sendto() whole COUNT PAUSE      the same
 *by a new plan of the whole table and its difference load COUNT FILE FILE   runs `nft -f FILE` so
 *often, the files in turn: the ns of each, from fork to exit
 *
 * Addresses and ports are the lab's (tests/lab/pinlab); the other mappings are like `web`.
 */

#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <libmnl/libmnl.h>

#include <pinhold/nft.h>

#define MAPPINGS_MAX 10000u
#define WORDS_MAX    4

#define WEB_BIND     8443
#define WEB_PUBLIC   48443
#define SERVICE_PORT 9000
#define FIRST_BIND   10000u
#define FIRST_PUBLIC 20000u
#define FIRST_NEW    50000u /* of the public ports to which `web` changes */
#define NEW_PORTS    10000u

static const struct ph_plan_options options = { .mark = 0x08000000, .mask = 0x0f000000 };
static const struct ph_address wan = { PH_IPV4, { 100, 64, 0, 2 } };
static const struct ph_address public = { PH_IPV4, { 203, 0, 113, 7 } };
static const struct ph_address nas = { PH_IPV4, { 192, 168, 10, 50 } };

struct bench {
	struct ph_nft *nft;
	struct ph_endpoint peers[8];
	struct ph_plan_mapping *mappings; /* the first is `web` */
	size_t n;
	const struct ph_prefixes *allow;
	unsigned changes;
};

/* What went through sendto(), for the function in front of it. */
static struct {
	uint64_t ns;
	size_t octets;
} sent;

ssize_t __real_mnl_socket_sendto(const struct mnl_socket *nl, const void *buf, size_t len);
ssize_t __wrap_mnl_socket_sendto(const struct mnl_socket *nl, const void *buf, size_t len);

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

ssize_t __wrap_mnl_socket_sendto(const struct mnl_socket *nl, const void *buf, size_t len)
{
	uint64_t begin = now_ns();
	ssize_t n = __real_mnl_socket_sendto(nl, buf, len);

	sent.ns += now_ns() - begin;
	sent.octets += len;
	return n;
}

static void check(int r, const char *what)
{
	if (r != 0)
		errx(1, "%s: %s", what, r < 0 ? strerror(-r) : "not done");
}

static void sleep_until(uint64_t ns)
{
	const struct timespec t = { (time_t)(ns / 1000000000U), (long)(ns % 1000000000U) };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
		;
}

/* ---- the table ---- */

/* Every fourth /24, so that no two can be written as one, around that of the lab's client. */
static void make_allow(struct bench *b, size_t n)
{
	const uint32_t client = UINT32_C(198) << 24 | 51 << 16 | 100 << 8;
	struct ph_prefix *list = calloc(n + 1, sizeof(*list));

	ph_prefixes_unref(b->allow);
	b->allow = NULL;
	if (!list)
		err(1, "prefixes");
	for (size_t i = 0; i < n; i++) {
		uint32_t address = client + ((uint32_t)i - (uint32_t)n / 2) * 1024;

		list[i] = (struct ph_prefix){
			.address = { PH_IPV4,
				     { (uint8_t)(address >> 24), (uint8_t)(address >> 16),
				       (uint8_t)(address >> 8) } },
			.bits = 24,
		};
	}
	if (n)
		check(ph_prefixes_new(PH_IPV4, list, n, &b->allow), "prefixes");
	free(list);
}

static void make_mappings(struct bench *b, size_t n, size_t n_prefixes)
{
	make_allow(b, n_prefixes);
	free(b->mappings);
	b->mappings = calloc(n, sizeof(b->mappings[0]));
	b->n = n;
	if (!b->mappings)
		err(1, "mappings");
	for (size_t i = 0; i < n; i++) {
		struct ph_plan_mapping *p = &b->mappings[i];

		*p = (struct ph_plan_mapping){
			.proto = PH_TCP,
			.interface = "wan",
			.private_endpoint = { wan, (uint16_t)(FIRST_BIND + i) },
			.public_endpoint = { public, (uint16_t)(FIRST_PUBLIC + i) },
			.open = true,
			.target = { PH_TARGET_ADDRESS, nas, SERVICE_PORT },
			.loopback = true,
			.peers = b->peers,
			.n_peers = sizeof(b->peers) / sizeof(b->peers[0]),
		};
		snprintf(p->name, sizeof(p->name), "m%zu", i);
	}
	strcpy(b->mappings[0].name, "web");
	b->mappings[0].private_endpoint.port = WEB_BIND;
	b->mappings[0].public_endpoint.port = WEB_PUBLIC;
	b->mappings[0].allow = b->allow;
}

static struct ph_table *make_table(const struct bench *b)
{
	struct ph_table *t = NULL;

	check(ph_table_new(&options, b->mappings, b->n, &t), "the table");
	return t;
}

static void apply(struct bench *b)
{
	check(ph_nft_apply(b->nft, make_table(b)), "installing");
}

/* As install_change() of src/install.c does it. */
static void apply_change(struct bench *b, const struct ph_plan_mapping *before)
{
	struct ph_plan_mapping from = *before, to = b->mappings[0];
	struct ph_table *a = NULL, *z = NULL;

	from.peers = to.peers = NULL;
	from.n_peers = to.n_peers = 0;
	check(ph_table_new(&options, &from, 1, &a), "the table before");
	check(ph_table_new(&options, &to, 1, &z), "the table now");
	check(ph_nft_apply_change(b->nft, a, z), "a change");
	ph_table_free(a);
	ph_table_free(z);
}

/* ---- commands ---- */

static size_t number(const char *text, size_t least, size_t most)
{
	char *end = NULL;
	unsigned long n = strtoul(text, &end, 10);

	if (*text == '\0' || *end != '\0' || n < least || n > most)
		errx(2, "%s: a number from %zu to %zu", text, least, most);
	return n;
}

static void cmd_install(struct bench *b, char **words)
{
	make_mappings(b, number(words[0], 1, MAPPINGS_MAX), number(words[1], 0, 16384));
	check(ph_nft_remove(b->nft), "removing");
	sent.octets = 0;
	apply(b);
	printf("%zu\n", sent.octets);
}

static void cmd_print(struct bench *b, char **words)
{
	FILE *f = fopen(words[1], "we");
	struct ph_table *t;
	int r = -errno;

	make_mappings(b, number(words[0], 1, MAPPINGS_MAX), 0);
	t = make_table(b);
	if (f) {
		r = ph_nft_print(t, f);
		if (fclose(f) != 0 && r == 0)
			r = -errno;
	}
	check(r, words[1]);
	ph_table_free(t);
	puts("0");
}

static void cmd_remove(struct bench *b, char **words)
{
	(void)words;
	check(ph_nft_remove(b->nft), "removing");
	puts("0");
}

static void change_often(struct bench *b, char **words, bool whole)
{
	size_t count = number(words[0], 1, 100000);
	uint64_t pause = number(words[1], 0, 1000000) * UINT64_C(1000);

	for (size_t i = 0; i < count; i++) {
		struct ph_plan_mapping before = b->mappings[0];
		uint64_t begin;

		b->mappings[0].public_endpoint.port =
			(uint16_t)(FIRST_NEW + b->changes++ % NEW_PORTS);
		sent.ns = 0;
		begin = now_ns();
		if (whole)
			apply(b);
		else
			apply_change(b, &before);
		printf("%s%" PRIu64 " %" PRIu64, i ? " " : "", now_ns() - begin, sent.ns);
		if (pause)
			sleep_until(begin + pause);
	}
	puts("");
}

static void cmd_change(struct bench *b, char **words)
{
	change_often(b, words, false);
}

static void cmd_whole(struct bench *b, char **words)
{
	change_often(b, words, true);
}

static void cmd_load(struct bench *b, char **words)
{
	size_t count = number(words[0], 1, 100000);

	(void)b;
	for (size_t i = 0; i < count; i++) {
		char nft[] = "nft", option[] = "-f";
		char *const command[] = { nft, option, words[1 + i % 2], NULL };
		uint64_t begin = now_ns();
		int status;
		pid_t pid;

		if (posix_spawnp(&pid, nft, NULL, NULL, command, environ) != 0)
			errx(1, "nft cannot be started");
		if (waitpid(pid, &status, 0) != pid || status != 0)
			errx(1, "nft -f %s failed", words[1 + i % 2]);
		printf("%s%" PRIu64, i ? " " : "", now_ns() - begin);
	}
	puts("");
}

static const struct {
	const char *word;
	int n; /* words behind it */
	void (*run)(struct bench *b, char **words);
} commands[] = {
	{ "install", 2, cmd_install }, { "print", 2, cmd_print }, { "remove", 0, cmd_remove },
	{ "change", 2, cmd_change },   { "whole", 2, cmd_whole }, { "load", 3, cmd_load },
};

static void obey(struct bench *b, char *line)
{
	char *words[WORDS_MAX + 1], *rest = line;
	int n = 0;

	line[strcspn(line, "\n")] = '\0';
	while (rest && n < WORDS_MAX)
		words[n++] = strsep(&rest, " ");
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(commands[i].word, words[0]) && commands[i].n == n - 1) {
			commands[i].run(b, words + 1);
			fflush(stdout);
			return;
		}
	errx(2, "%s: no such command", words[0]);
}

int main(void)
{
	struct bench b = { 0 };
	char line[1024];

	for (size_t i = 0; i < sizeof(b.peers) / sizeof(b.peers[0]); i++)
		b.peers[i] = (struct ph_endpoint){
			.address = { PH_IPV4, { 192, 0, 2, (uint8_t)(11 + i / 2) } },
			.port = i % 2 ? 80 : 3478,
		};
	check(ph_nft_open(&b.nft), "nfnetlink");
	while (fgets(line, sizeof(line), stdin))
		obey(&b, line);
	ph_nft_close(b.nft);
	ph_prefixes_unref(b.allow);
	free(b.mappings);
	return 0;
}
