// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pinhold that says what each change of its table took: linked in front of libmnl and of what
 * src/install.c calls and is called by. A line on standard error for each transaction: "timed", the
 * way ("change": the short one for one mapping, "whole"), the ns from the moment that the daemon
 * looks whether something is to be done until the kernel has acknowledged it, of these the ns in
 * sendto(), and the octets.
 */

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include <libmnl/libmnl.h>

#include <pinhold/nft.h>

struct ph_daemon;

ssize_t __real_mnl_socket_sendto(const struct mnl_socket *nl, const void *buf, size_t len);
ssize_t __wrap_mnl_socket_sendto(const struct mnl_socket *nl, const void *buf, size_t len);
int __real_ph_nft_apply(struct ph_nft *nft, struct ph_table *desired);
int __wrap_ph_nft_apply(struct ph_nft *nft, struct ph_table *desired);
int __real_ph_nft_apply_change(struct ph_nft *nft, const struct ph_table *from,
			       const struct ph_table *to);
int __wrap_ph_nft_apply_change(struct ph_nft *nft, const struct ph_table *from,
			       const struct ph_table *to);
void __real_daemon_update_table(struct ph_daemon *d);
void __wrap_daemon_update_table(struct ph_daemon *d);

static uint64_t begin; /* of what is under way */
static struct {
	uint64_t ns;
	size_t octets;
} sent;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

ssize_t __wrap_mnl_socket_sendto(const struct mnl_socket *nl, const void *buf, size_t len)
{
	uint64_t before = now_ns();
	ssize_t n = __real_mnl_socket_sendto(nl, buf, len);

	sent.ns += now_ns() - before;
	sent.octets += len;
	return n;
}

static void begin_anew(void)
{
	sent.ns = sent.octets = 0;
	begin = now_ns();
}

static void say(const char *way)
{
	uint64_t all = now_ns() - begin;

	if (sent.octets)
		fprintf(stderr, "timed %s %" PRIu64 " %" PRIu64 " %zu\n", way, all, sent.ns,
			sent.octets);
	begin_anew();
}

int __wrap_ph_nft_apply(struct ph_nft *nft, struct ph_table *desired)
{
	int r = __real_ph_nft_apply(nft, desired);

	if (r == 0)
		say("whole");
	return r;
}

int __wrap_ph_nft_apply_change(struct ph_nft *nft, const struct ph_table *from,
			       const struct ph_table *to)
{
	int r = __real_ph_nft_apply_change(nft, from, to);

	if (r == 0)
		say("change");
	return r;
}

void __wrap_daemon_update_table(struct ph_daemon *d)
{
	begin_anew();
	__real_daemon_update_table(d);
}
