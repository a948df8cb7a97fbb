// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Endpoint changes as fast as the daemon's own code makes them, without the daemon, for
 * test_changes.py: `mover COUNT PAUSE`.
 *
 * Three mappings on the lab's wan, to a host in the LAN (nas), to this machine (gw) and to another
 * host (pc), all to port 9000. Their bind ports are 8443 to 8445 and their public ports three of
 * 40000 to 40005, and both move: mostly a mapping to a free public port; or two exchange their
 * public ports; or two exchange their bind ports. One change every PAUSE us; 0: without a pause.
 *
 * It says "ready" with a first table, waits for a line, makes its changes, and only then tells of
 * them, one line each: the time before and after (CLOCK_MONOTONIC, ns), the bind and public port of
 * nas, gw and pc, and 1 if one element for another was enough. After "done" the table stays until
 * the standard input ends.
 */

#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <pinhold/nft.h>

#define MAPPINGS     3u
#define PUBLIC_PORTS 6u
#define FIRST_PUBLIC 40000u
#define FIRST_BIND   8443u
#define SERVICE_PORT 9000u

static const struct ph_plan_options options = { .mark = 0x08000000, .mask = 0x0f000000 };
static const struct ph_address wan = { PH_IPV4, { 100, 64, 0, 2 } };
static const struct ph_address public = { PH_IPV4, { 203, 0, 113, 7 } };
static const struct ph_endpoint peers[] = { { { PH_IPV4, { 192, 0, 2, 11 } }, 3478 },
					    { { PH_IPV4, { 192, 0, 2, 12 } }, 80 } };

struct change {
	uint64_t begin, end; /* ns */
	uint16_t bind[MAPPINGS], public[MAPPINGS];
	bool is_short;
};

static const char *const names[MAPPINGS] = { "nas", "gw", "pc" };
static const struct ph_target targets[MAPPINGS] = {
	{ PH_TARGET_ADDRESS, { PH_IPV4, { 192, 168, 10, 50 } }, SERVICE_PORT },
	{ PH_TARGET_LOCAL, {}, SERVICE_PORT },
	{ PH_TARGET_ADDRESS, { PH_IPV4, { 192, 168, 10, 60 } }, SERVICE_PORT },
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

/* The same numbers in each run (POSIX's example of rand()). */
static unsigned next(uint32_t *seed, unsigned below)
{
	*seed = *seed * 1103515245u + 12345u;
	return (*seed >> 16) % below;
}

static struct ph_plan_mapping mapping(const struct change *c, unsigned i)
{
	struct ph_plan_mapping m = {
		.proto = PH_TCP,
		.interface = "wan",
		.private_endpoint = { wan, c->bind[i] },
		.public_endpoint = { public, c->public[i] },
		.open = true,
		.target = targets[i],
		.loopback = true,
		.peers = peers,
		.n_peers = sizeof(peers) / sizeof(peers[0]),
	};

	snprintf(m.name, sizeof(m.name), "%s", names[i]);
	return m;
}

static struct ph_table *table(const struct change *c, unsigned first, unsigned n)
{
	struct ph_plan_mapping mappings[MAPPINGS];
	struct ph_table *t;

	for (unsigned i = 0; i < n; i++)
		mappings[i] = mapping(c, first + i);
	if (ph_table_new(&options, mappings, n, &t) < 0)
		errx(1, "no such table");
	return t;
}

static void exchange(uint16_t ports[static MAPPINGS], uint32_t *seed)
{
	unsigned i = next(seed, MAPPINGS), k = (i + 1 + next(seed, MAPPINGS - 1)) % MAPPINGS;
	uint16_t port = ports[i];

	ports[i] = ports[k];
	ports[k] = port;
}

static uint16_t free_port(const struct change *c, uint32_t *seed)
{
	for (;;) {
		uint16_t port = (uint16_t)(FIRST_PUBLIC + next(seed, PUBLIC_PORTS));
		bool taken = false;

		for (unsigned i = 0; i < MAPPINGS; i++)
			taken |= c->public[i] == port;
		if (!taken)
			return port;
	}
}

/* The whole way; 0 or the error. */
static int apply(struct ph_nft *nft, const struct change *c)
{
	struct ph_table *t = table(c, 0, MAPPINGS);
	int r = ph_nft_apply(nft, t);

	if (r < 0)
		ph_table_free(t);
	return r;
}

/* The short one, if it is enough, for mapping i alone: as the daemon goes. */
static int apply_one(struct ph_nft *nft, const struct change *before, struct change *c, unsigned i)
{
	struct ph_table *from = table(before, i, 1), *to = table(c, i, 1);
	int r = ph_nft_apply_change(nft, from, to);

	ph_table_free(from);
	ph_table_free(to);
	c->is_short = r == 0;
	return r == 1 ? apply(nft, c) : r;
}

static void make_change(struct ph_nft *nft, const struct change *before, struct change *c,
			uint32_t *seed)
{
	unsigned kind = next(seed, 8), i = next(seed, MAPPINGS);
	int r;

	*c = *before;
	c->is_short = false;
	if (kind == 0)
		exchange(c->bind, seed);
	else if (kind == 1)
		exchange(c->public, seed);
	else
		c->public[i] = free_port(before, seed);
	c->begin = now_ns();
	r = kind < 2 ? apply(nft, c) : apply_one(nft, before, c, i);
	c->end = now_ns();
	if (r < 0)
		errx(1, "change: %s", strerror(-r));
}

static void tell(const struct change *c)
{
	printf("%" PRIu64 " %" PRIu64, c->begin, c->end);
	for (unsigned i = 0; i < MAPPINGS; i++)
		printf(" %u %u", c->bind[i], c->public[i]);
	printf(" %d\n", c->is_short);
}

int main(int argc, char **argv)
{
	size_t count = argc == 3 ? strtoul(argv[1], NULL, 10) : 0;
	unsigned long pause = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
	const struct timespec rest = { .tv_nsec = (long)pause * 1000 };
	struct change *changes = calloc(count + 1, sizeof(*changes));
	uint32_t seed = 1;
	struct ph_nft *nft;

	if (count == 0 || pause > 999999 || !changes)
		errx(2, "usage: mover COUNT PAUSE");
	for (unsigned i = 0; i < MAPPINGS; i++) {
		changes[0].bind[i] = (uint16_t)(FIRST_BIND + i);
		changes[0].public[i] = (uint16_t)(FIRST_PUBLIC + i);
	}
	if (ph_nft_open(&nft) < 0 || apply(nft, &changes[0]) < 0)
		errx(1, "no table");
	puts("ready");
	fflush(stdout);
	if (getchar() == EOF)
		errx(1, "nobody is there");
	for (size_t i = 1; i <= count; i++) {
		make_change(nft, &changes[i - 1], &changes[i], &seed);
		if (pause)
			nanosleep(&rest, NULL);
	}
	for (size_t i = 0; i <= count; i++)
		tell(&changes[i]);
	puts("done");
	fflush(stdout);
	while (getchar() != EOF)
		;
	ph_nft_close(nft);
	free(changes);
	return 0;
}
