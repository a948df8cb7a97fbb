/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Flows to a server in another network namespace. */

#include "net.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include <pinhold/sockaddr.h>
#include <pinhold/socket.h>

static pid_t server;

/* Answers each octet with one, one connection after the other. */
_Noreturn static void serve(int ready)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(80) };
	int fd, on = 1;
	char octet;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	assert_int_equal(write(ready, "", 1), 1);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	assert_int_equal(bind(fd, (const struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(listen(fd, 16), 0);
	for (;;) {
		int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

		while (client >= 0 && read(client, &octet, 1) == 1)
			(void)!write(client, &octet, 1);
		if (client >= 0)
			close(client);
	}
}

static void in_server(const char *command)
{
	char line[256];

	snprintf(line, sizeof(line), "nsenter -t %d -n %s", (int)server, command);
	assert_int_equal(shell(line), 0);
}

static void connect_server(void)
{
	char line[128];

	snprintf(line, sizeof(line),
		 "link add wan type veth peer isp netns %d\n"
		 "addr add 100.64.0.2/24 dev wan\n"
		 "link set wan up\n",
		 (int)server);
	ip(line);
	in_server("ip addr add 100.64.0.1/24 dev isp");
	in_server("ip link set isp up");
}

static int set_up_server(void **state)
{
	int ready[2];
	char octet;

	(void)state;
	assert_int_equal(pipe(ready), 0);
	server = fork();
	assert_true(server >= 0);
	if (server == 0)
		serve(ready[1]);
	close(ready[1]);
	assert_int_equal(read(ready[0], &octet, 1), 1);
	close(ready[0]);
	connect_server();
	return 0;
}

static int tear_down_server(void **state)
{
	(void)state;
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	return 0;
}

struct client {
	uv_loop_t loop;
	struct ph_socket *socket;
	struct ph_socket_options options;
	unsigned left; /* connections still to make */
	int failed;    /* errno */
};

static void connect_client(struct client *c);

static void on_connected(void *data)
{
	struct client *c = data;

	ph_socket_send(c->socket, (const uint8_t *)"x", 1);
}

static void on_bytes(void *data, const struct ph_endpoint *from, const uint8_t *buf, size_t len)
{
	struct client *c = data;

	assert_endpoint(from, "100.64.0.1:80");
	assert_int_equal(len, 1);
	assert_int_equal(buf[0], 'x');
	if (--c->left == 0) {
		uv_stop(&c->loop);
		return;
	}
	/* From the same port to the same address, at once. Every other time there is something that
	 * the peer has not acknowledged. */
	if (c->left % 2)
		ph_socket_send(c->socket, (const uint8_t *)"y", 1);
	ph_socket_close(c->socket);
	connect_client(c);
}

static void on_closed(void *data, int error)
{
	struct client *c = data;

	c->socket = NULL;
	c->failed = error;
	uv_stop(&c->loop);
}

static void connect_client(struct client *c)
{
	static const struct ph_socket_events events = {
		.connected = on_connected,
		.bytes = on_bytes,
		.closed = on_closed,
	};
	bool at_bind;

	c->socket = NULL;
	c->failed = -ph_socket_open(&c->loop, &c->options, &events, c, &c->socket, &at_bind);
	if (c->failed)
		uv_stop(&c->loop);
}

static int set_up(void **state)
{
	static struct client c;

	c = (struct client){
		.options = { .proto = PH_TCP, .interface = "wan", .detect_ms = 5000 },
		.left = 1,
	};
	c.options.local = endpoint("100.64.0.2:8443");
	c.options.remote = endpoint("100.64.0.1:80");
	assert_int_equal(uv_loop_init(&c.loop), 0);
	*state = &c;
	return 0;
}

static void on_walk(uv_handle_t *handle, void *data)
{
	(void)data;
	if (!uv_is_closing(handle))
		uv_close(handle, NULL);
}

static int tear_down(void **state)
{
	struct client *c = *state;

	ph_socket_close(c->socket);
	uv_walk(&c->loop, on_walk, NULL);
	/* A stop that found the loop at rest ends the first run. */
	while (uv_run(&c->loop, UV_RUN_DEFAULT))
		;
	assert_int_equal(uv_loop_close(&c->loop), 0);
	return 0;
}

static void on_limit(uv_timer_t *timer)
{
	uv_stop(timer->loop);
}

/* Makes all connections, for 20 s at most. */
static void run(struct client *c)
{
	uv_timer_t limit;

	uv_timer_init(&c->loop, &limit);
	uv_timer_start(&limit, on_limit, 20000, 0);
	connect_client(c);
	if (!c->failed)
		uv_run(&c->loop, UV_RUN_DEFAULT);
	uv_close((uv_handle_t *)&limit, NULL);
	uv_run(&c->loop, UV_RUN_NOWAIT);
	assert_int_equal(c->failed, 0);
	assert_int_equal(c->left, 0);
}

/*
 * With timestamps the kernel may use a pair of addresses in TIME_WAIT again, without it may not; in
 * FIN-WAIT it never does. Neither is left by an abort.
 */
static void connect_often(struct client *c, const char *timestamps)
{
	char command[64];

	snprintf(command, sizeof(command), "sysctl -qw net.ipv4.tcp_timestamps=%s", timestamps);
	in_server(command);
	c->left = 200;
	run(c);
}

static void test_again_with_timestamps(void **state)
{
	connect_often(*state, "1");
}

static void test_again_without_timestamps(void **state)
{
	connect_often(*state, "0");
}

/* The descriptor of the client's flow. */
static int flow(void)
{
	const struct ph_endpoint wanted = endpoint("100.64.0.2:8443");

	for (int fd = 3; fd < 256; fd++) {
		struct sockaddr_storage ss;
		socklen_t len = sizeof(ss);
		struct ph_endpoint local;

		if (getsockname(fd, (struct sockaddr *)&ss, &len) == 0 &&
		    ph_endpoint_from_sockaddr((const struct sockaddr *)&ss, &local) == 0 &&
		    ph_endpoint_equal(&local, &wanted))
			return fd;
	}
	fail_msg("the flow has no socket");
	return -1;
}

static int option(int level, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);

	assert_int_equal(getsockopt(flow(), level, name, &value, &len), 0);
	return value;
}

static void assert_settings(int keepalive, int idle, int limit, int mark)
{
	assert_int_equal(option(SOL_SOCKET, SO_KEEPALIVE), keepalive);
	if (keepalive) {
		assert_int_equal(option(IPPROTO_TCP, TCP_KEEPIDLE), idle);
		assert_int_equal(option(IPPROTO_TCP, TCP_KEEPINTVL), 1);
	}
	assert_int_equal(option(IPPROTO_TCP, TCP_USER_TIMEOUT), limit);
	assert_int_equal(option(SOL_SOCKET, SO_MARK), mark);
}

static void test_adjust(void **state)
{
	struct client *c = *state;

	run(c);
	assert_settings(1, 5, 8000, 0);
	c->options.detect_ms = 9000;
	c->options.fwmark = 0x80000001;
	assert_int_equal(ph_socket_adjust(c->socket, &c->options), 0);
	assert_settings(1, 9, 12000, (int)0x80000001);
	c->options.detect_ms = 0;
	c->options.fwmark = 0;
	assert_int_equal(ph_socket_adjust(c->socket, &c->options), 0);
	assert_settings(0, 0, 0, 0);
	/* It goes on. */
	c->left = 1;
	ph_socket_send(c->socket, (const uint8_t *)"x", 1);
	uv_run(&c->loop, UV_RUN_DEFAULT);
	assert_int_equal(c->left, 0);
}

/* Bound to the device means: to the interface that has the name when the socket is made. */
static void test_interface_made_anew(void **state)
{
	struct client *c = *state;
	int before;

	run(c);
	before = option(SOL_SOCKET, SO_BINDTOIFINDEX);
	ph_socket_close(c->socket);
	ip("link del wan\n");
	connect_server();
	c->left = 1;
	run(c);
	assert_true(option(SOL_SOCKET, SO_BINDTOIFINDEX) > before);
	ph_socket_close(c->socket);
	ip("link del wan\n");
	connect_client(c);
	assert_int_equal(c->failed, ENODEV);
	connect_server();
}

/* Another user's socket, with all the reuse that there is. Returns its errno. */
static int bind_as_nobody(const struct ph_endpoint *local)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		struct sockaddr_storage ss;
		socklen_t len = ph_endpoint_to_sockaddr(local, &ss);
		int fd, on = 1;

		if (setresuid(65534, 65534, 65534) < 0)
			_exit(255);
		fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0); /* now: it is its maker's */
		if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
		    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0)
			_exit(255);
		_exit(bind(fd, (const struct sockaddr *)&ss, len) < 0 ? errno : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* A UDP port is our own sockets' alone: who shares it could take what servers answer. */
static void test_nobody_shares(void **state)
{
	struct client *c = *state;
	struct ph_endpoint own = endpoint("100.64.0.2:8443");
	struct ph_socket *first;
	int fd;

	c->options.proto = PH_UDP;
	connect_client(c);
	assert_int_equal(c->failed, 0);
	assert_int_equal(bind_as_nobody(&c->options.local), EADDRINUSE);
	first = c->socket;
	connect_client(c);
	assert_int_equal(c->failed, 0);
	ph_socket_close(first);
	/* Nor a borrowed one. */
	assert_int_equal(ph_socket_reserve(PH_UDP, "wan", 0, &own, &fd), 0);
	assert_int_equal(bind_as_nobody(&own), EADDRINUSE);
	assert_int_equal(ph_socket_try_bind(PH_UDP, "wan", &own), 0);
	close(fd);
	assert_int_equal(bind_as_nobody(&own), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_again_with_timestamps),
		TEST(test_again_without_timestamps),
		TEST(test_adjust),
		TEST(test_interface_made_anew),
		TEST(test_nobody_shares),
	};

	return cmocka_run_group_tests(tests, set_up_server, tear_down_server);
}
