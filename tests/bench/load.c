/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The two ends of a measurement, one thread each, so that two cores suffice and no scheduler
 * decides the result.
 *
 *   load serve PORT                          on every address; forever
 *   load connect ADDRESS PORT SECONDS N      N connections at a time, one request of one octet on
 * each load echo ADDRESS PORT SECONDS N         N octets there and back, one after another on one
 * connection load send ADDRESS PORT SECONDS N         N streams to the server load receive ADDRESS
 * PORT SECONDS N      N streams from it
 *
 * A client prints one number: connections a second, round trips a second, or megabits a second (of
 * what the receiving end got). A connection's first octet tells the server what the client wants.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <linux/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum wish { WISH_NONE = 0, WISH_ECHO = 'E', WISH_SINK = 'S', WISH_SOURCE = 'G' };

struct peer {
	int fd;
	enum wish wish;
};

static const int max_fd = 4096;
static const uint64_t give_up_ns = UINT64_C(3000000000); /* beyond the end of a measurement */

static char buffer[1 << 18];

static void die(const char *what)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

static void stay_on(bool last)
{
	cpu_set_t all;
	cpu_set_t one;
	int chosen = -1;

	if (sched_getaffinity(0, sizeof(all), &all) < 0)
		die("sched_getaffinity");
	for (int i = 0; i < CPU_SETSIZE && (last || chosen < 0); i++)
		if (CPU_ISSET((size_t)i, &all))
			chosen = i;
	CPU_ZERO(&one);
	CPU_SET((size_t)chosen, &one);
	if (sched_setaffinity(0, sizeof(one), &one) < 0)
		die("sched_setaffinity");
}

static void no_delay(int fd)
{
	int on = 1;

	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0)
		die("TCP_NODELAY");
}

static void watch(int epoll, int operation, struct peer *p, uint32_t events)
{
	struct epoll_event e = { .events = events, .data = { .ptr = p } };

	if (epoll_ctl(epoll, operation, p->fd, &e) < 0)
		die("epoll_ctl");
}

static int listen_on(uint16_t port)
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int on = 1;
	int off = 0;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) < 0 ||
	    bind(fd, (const struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 4096) < 0)
		die("listen");
	return fd;
}

/* What one readiness brings; false: the connection is over. */
static bool serve_peer(int epoll, struct peer *p)
{
	ssize_t n;

	if (p->wish == WISH_SOURCE) {
		n = send(p->fd, buffer, sizeof(buffer), MSG_NOSIGNAL);
		return n >= 0 || errno == EAGAIN;
	}
	n = recv(p->fd, buffer, sizeof(buffer), 0);
	if (n <= 0)
		return n < 0 && errno == EAGAIN;
	if (p->wish == WISH_NONE) {
		p->wish = (enum wish)buffer[0];
		if (p->wish == WISH_SOURCE)
			watch(epoll, EPOLL_CTL_MOD, p, EPOLLOUT);
	}
	return p->wish != WISH_ECHO || send(p->fd, buffer, (size_t)n, MSG_NOSIGNAL) == n;
}

static void accept_all(int epoll, int listener, struct peer *peers)
{
	int fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		if (fd >= max_fd) {
			close(fd);
			continue;
		}
		no_delay(fd);
		peers[fd] = (struct peer){ .fd = fd, .wish = WISH_NONE };
		watch(epoll, EPOLL_CTL_ADD, &peers[fd], EPOLLIN);
	}
	if (errno != EAGAIN && errno != ECONNABORTED)
		die("accept");
}

static void serve(uint16_t port)
{
	struct epoll_event events[64];
	struct peer *peers = calloc((size_t)max_fd, sizeof(*peers)); /* indexed by descriptor */
	struct peer listener = { .fd = listen_on(port) };
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	if (epoll < 0 || peers == NULL)
		die("epoll");
	stay_on(true);
	watch(epoll, EPOLL_CTL_ADD, &listener, EPOLLIN);
	puts("ready");
	fflush(stdout);
	for (;;) {
		int n = epoll_wait(epoll, events, 64, -1);

		for (int i = 0; i < n; i++) {
			struct peer *p = events[i].data.ptr;

			if (p == &listener)
				accept_all(epoll, p->fd, peers);
			else if (!serve_peer(epoll, p))
				close(p->fd);
		}
	}
}

static struct sockaddr_in target;

static int connect_start(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("socket");
	no_delay(fd);
	if (connect(fd, (const struct sockaddr *)&target, sizeof(target)) < 0 &&
	    errno != EINPROGRESS)
		die("connect");
	return fd;
}

static int connect_now(enum wish wish)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char first = (char)wish;

	if (fd < 0 || connect(fd, (const struct sockaddr *)&target, sizeof(target)) < 0)
		die("connect");
	no_delay(fd);
	if (send(fd, &first, 1, MSG_NOSIGNAL) != 1)
		die("send");
	return fd;
}

/* Closed by RST: no TIME_WAIT, which would run out of ports before the measurement is over. */
static void abort_connection(int fd)
{
	struct linger now = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(fd);
}

static void connect_again(int epoll, struct peer *p)
{
	p->fd = connect_start();
	p->wish = WISH_NONE;
	watch(epoll, EPOLL_CTL_ADD, p, EPOLLOUT);
}

/* One step of a connection: connected → asked → answered. True: it is answered and closed. */
static bool connect_step(int epoll, struct peer *p)
{
	char octet = WISH_ECHO;

	if (p->wish == WISH_NONE) {
		if (send(p->fd, &octet, 1, MSG_NOSIGNAL) != 1)
			die("a connection");
		p->wish = WISH_ECHO;
		watch(epoll, EPOLL_CTL_MOD, p, EPOLLIN);
		return false;
	}
	if (recv(p->fd, &octet, 1, 0) != 1)
		die("an answer");
	abort_connection(p->fd);
	return true;
}

static double measure_connect(uint64_t duration, unsigned parallel)
{
	struct epoll_event events[64];
	struct peer connections[64];
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	uint64_t begin = now_ns();
	uint64_t done = 0;

	if (epoll < 0)
		die("epoll");
	for (unsigned i = 0; i < parallel; i++)
		connect_again(epoll, &connections[i]);
	while (now_ns() - begin < duration) {
		int n = epoll_wait(epoll, events, 64, 1000);

		for (int i = 0; i < n; i++) {
			if (connect_step(epoll, events[i].data.ptr)) {
				done++;
				connect_again(epoll, events[i].data.ptr);
			}
		}
		/* A lost SYN is sent again after a second: part of the result. A dead path is none.
		 */
		if (n == 0 && now_ns() - begin > duration + give_up_ns) {
			errno = ETIMEDOUT;
			die("connections");
		}
	}
	return (double)done * 1e9 / (double)(now_ns() - begin);
}

static double measure_echo(uint64_t duration, size_t size)
{
	int fd = connect_now(WISH_ECHO);
	uint64_t begin = 0;
	uint64_t done = 0;

	/* The first octet comes back too, and the first round trip is warm-up. */
	if (recv(fd, buffer, 1, MSG_WAITALL) != 1)
		die("echo");
	for (begin = now_ns(); now_ns() - begin < duration; done++)
		if (send(fd, buffer, size, MSG_NOSIGNAL) != (ssize_t)size ||
		    recv(fd, buffer, size, MSG_WAITALL) != (ssize_t)size)
			die("echo");
	return (double)done * 1e9 / (double)(now_ns() - begin);
}

/* Octets that the other end has acknowledged. */
static uint64_t acknowledged(int fd)
{
	struct tcp_info info = { 0 };
	socklen_t length = sizeof(info);

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) < 0)
		die("TCP_INFO");
	return info.tcpi_bytes_acked;
}

static uint64_t acknowledged_by_all(const struct peer *streams, unsigned n)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < n; i++)
		sum += acknowledged(streams[i].fd);
	return sum;
}

static uint64_t stream_step(int fd, bool sending)
{
	ssize_t n = sending ? send(fd, buffer, sizeof(buffer), MSG_NOSIGNAL | MSG_DONTWAIT)
			    : recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT);

	if (n == 0 || (n < 0 && errno != EAGAIN))
		die("a stream");
	return sending || n < 0 ? 0 : (uint64_t)n;
}

static double measure_streams(uint64_t duration, unsigned n, bool sending)
{
	struct peer streams[64];
	struct epoll_event events[64];
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	uint64_t warm_up = duration / 5;
	uint64_t begin;
	uint64_t octets = 0;
	uint64_t from = 0;
	bool warm = false;

	if (epoll < 0)
		die("epoll");
	for (unsigned i = 0; i < n; i++) {
		streams[i].fd = connect_now(sending ? WISH_SINK : WISH_SOURCE);
		watch(epoll, EPOLL_CTL_ADD, &streams[i], sending ? EPOLLOUT : EPOLLIN);
	}
	begin = now_ns();
	while (now_ns() - begin < duration) {
		int ready = epoll_wait(epoll, events, 64, 100);

		for (int i = 0; i < ready; i++)
			octets += stream_step(((struct peer *)events[i].data.ptr)->fd, sending);
		/* The windows have grown: now it counts. */
		if (!warm && now_ns() - begin >= warm_up) {
			warm = true;
			begin = now_ns();
			octets = 0;
			from = sending ? acknowledged_by_all(streams, n) : 0;
		}
	}
	if (sending)
		octets = acknowledged_by_all(streams, n) - from;
	return (double)octets * 8e3 / (double)(now_ns() - begin);
}

static unsigned long number(const char *text, unsigned long least, unsigned long most)
{
	char *end = NULL;
	unsigned long n = strtoul(text, &end, 10);

	if (*text == '\0' || *end != '\0' || n < least || n > most) {
		fprintf(stderr, "load: %s: a number from %lu to %lu\n", text, least, most);
		exit(2);
	}
	return n;
}

int main(int argc, char **argv)
{
	double result = 0;

	if (argc == 3 && strcmp(argv[1], "serve") == 0)
		serve((uint16_t)number(argv[2], 1, 65535));
	if (argc != 6) {
		fputs("usage: load serve PORT | load connect|echo|send|receive ADDRESS PORT SECONDS N\n",
		      stderr);
		return 2;
	}
	target.sin_family = AF_INET;
	target.sin_port = htons((uint16_t)number(argv[3], 1, 65535));
	double seconds = strtod(argv[4], NULL);
	if (inet_pton(AF_INET, argv[2], &target.sin_addr) != 1 ||
	    !(seconds > 0 && seconds < 3600)) {
		fputs("load: an IPv4 address and a time, please\n", stderr);
		return 2;
	}

	uint64_t duration = (uint64_t)(seconds * 1e9);
	stay_on(false);
	if (strcmp(argv[1], "connect") == 0)
		result = measure_connect(duration, (unsigned)number(argv[5], 1, 64));
	else if (strcmp(argv[1], "echo") == 0)
		result = measure_echo(duration, number(argv[5], 1, sizeof(buffer)));
	else if (strcmp(argv[1], "send") == 0 || strcmp(argv[1], "receive") == 0)
		result = measure_streams(duration, (unsigned)number(argv[5], 1, 64),
					 strcmp(argv[1], "send") == 0);
	else
		return 2;
	printf("%.2f\n", result);
	return 0;
}
