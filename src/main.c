/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <pinhold/log.h>

#include "cli/ruleset.h"
#include "daemon.h"
#include "options.h"

static const char usage[] =
	"pinhold holds a public port open through carrier-grade NAT and lets the kernel forward it.\n"
	"\n"
	"  pinhold [OPTIONS]           hold one mapping, in the foreground\n"
	"  pinhold ruleset [OPTIONS]   print the nftables table for it; needs no root, changes nothing\n"
	"  pinhold --version | --help\n"
	"\n"
	"  -p PORT        port of the service; without -t on this machine; 0: the public port\n"
	"  -t ADDR        address of the service, if it is on another machine\n"
	"  -b PORT        bind port: PORT, LO-HI (in order), LO~HI (random), 0 (any; the default)\n"
	"  -i IFACE|ADDR  interface or local address (default: the default route's)\n"
	"  -4, -6         IPv4 (default) or IPv6\n"
	"  -u             UDP instead of TCP\n"
	"  -s HOST[:PORT] STUN server, repeatable (default: a built-in list)\n"
	"  -h HOST[:PORT] HTTP server for keep-alive (TCP), repeatable (default: a built-in list)\n"
	"  -k SECONDS     between keep-alive requests, up to 3600 (0, the default: 30, UDP 10)\n"
	"  -c COUNT       ask a fresh STUN server every COUNT keep-alives (default: every 60 s)\n"
	"  -e HOOK        program to call when the public endpoint is known or changes, with\n"
	"                 public address, public port, IP4P, private port, protocol, private address\n"
	"  -f FWMARK      mark on pinhold's own packets (policy routing, transparent proxies)\n"
	"  -d             run in the background, log to syslog\n"
	"  -C, -T, -w     accepted for natmap's sake, without effect\n"
	"\n"
	"Example: pinhold -b 8443 -p 443\n"
	"Exit status: 0 done, 1 failed while running, 2 usage, or it could not start.\n";

/* The writing end of the pipe on which the parent of -d waits, or -1. */
static int ready_fd = -1;

static void tell_ready(void)
{
	int null;

	if (ready_fd < 0)
		return;
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	ph_log_to_syslog();
	if (null >= 0) {
		for (int fd = 0; fd <= 2; fd++)
			dup2(null, fd);
		if (null > 2)
			close(null);
	}
	if (write(ready_fd, "", 1) < 0)
		ph_warning("the starting process is gone: %s", strerror(errno));
	close(ready_fd);
	ready_fd = -1;
}

/*
 * Whoever starts us may have closed standard descriptors; then the next files opened would take
 * their places and be written to. Opened for reading only, so that writing still fails.
 */
static void fill_standard_descriptors(void)
{
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", O_RDONLY) != fd)
			_exit(1);
}

/*
 * -d: the parent stays until the child has installed its table, so that its exit status tells
 * whether the start went well. Returns in the child; the parent exits.
 */
static void to_background(void)
{
	char octet;
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0 || (pid = fork()) < 0) {
		fprintf(stderr, "pinhold: -d: %s\n", strerror(errno));
		exit(1);
	}
	if (pid > 0) {
		int status = 0;

		close(fds[1]);
		if (read(fds[0], &octet, 1) == 1)
			_exit(0);
		/* End of file: the child has ended, and said why. */
		if (waitpid(pid, &status, 0) < 0 || !WIFEXITED(status))
			_exit(1);
		_exit(WEXITSTATUS(status));
	}
	close(fds[0]);
	ready_fd = fds[1];
	setsid();
	if (chdir("/") < 0)
		fprintf(stderr, "pinhold: -d: /: %s\n", strerror(errno));
}

static int print(const char *text)
{
	if (fputs(text, stdout) < 0 || fflush(stdout) < 0) {
		fprintf(stderr, "pinhold: standard output: %s\n", strerror(errno));
		return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	bool ruleset = argc > 1 && strcmp(argv[1], "ruleset") == 0;
	struct ph_config config;
	int r;

	fill_standard_descriptors();
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0)
			return print(usage);
		if (strcmp(argv[i], "--version") == 0)
			return print("pinhold " PINHOLD_VERSION "\n");
	}
	if (argc == 1) {
		fputs("pinhold: nothing to do; try `pinhold -b 8443 -p 443`, or `pinhold --help`\n",
		      stderr);
		return 2;
	}
	r = ph_options_parse(argc, argv, ruleset ? 2 : 1, &config);
	if (r)
		return r;
	if (ruleset) {
		r = ph_ruleset_print(&config);
	} else {
		if (config.background)
			to_background();
		r = ph_daemon_run(&config, tell_ready);
	}
	ph_config_done(&config);
	return r;
}
