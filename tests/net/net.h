/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * For tests of src/sys that need a network: meson runs each in a sandbox (tests/lab/sandbox), that
 * is as root of a network namespace of its own, in which nothing is up yet.
 */

#include "../unit/test.h"

#include <stdio.h>
#include <stdlib.h>

/* These tests take links and routes away: never of the machine that they run on. */
__attribute__((constructor)) static inline void only_in_a_sandbox(void)
{
	if (getenv("PINHOLD_SANDBOX"))
		return;
	fputs("this test runs only in its sandbox: tests/lab/sandbox PROGRAM\n", stderr);
	exit(2);
}

/* Lines for ip(8), carried out in one process; until the end they are only written. */
static inline FILE *ip_begin(void)
{
	FILE *f = popen("exec ip -batch -", "we"); /* NOLINT(cert-env33-c): a constant */

	assert_non_null(f);
	return f;
}

/* One that failed fails the test. */
static inline void ip_end(FILE *f)
{
	assert_int_equal(pclose(f), 0);
}

static inline void ip(const char *lines)
{
	FILE *f = ip_begin();

	assert_true(fputs(lines, f) >= 0);
	ip_end(f);
}

/* A command of the test's own; its exit status. */
static inline int shell(const char *command)
{
	return system(command); /* NOLINT(cert-env33-c): this is a test, in its sandbox */
}
