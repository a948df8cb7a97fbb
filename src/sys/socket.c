/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <pinhold/socket.h>

#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <pinhold/config.h>
#include <pinhold/sockaddr.h>

#define READ_SIZE 4096

/* How long a holder's data or probes may stay unacknowledged beyond `detect` (findings.md: this
 * overrides TCP_KEEPCNT, and one lost probe must not kill a holder). */
#define USER_TIMEOUT_EXTRA_MS 3000u

struct ph_socket {
	uv_poll_t poll; /* first: the handle is the object */
	int fd;
	bool connected;
	enum ph_proto proto;
	struct ph_endpoint remote;
	const struct ph_socket_events *events;
	void *data;
};

static int set_int(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

/* The kernel watches an idle connection, or with 0 it does not. */
static int watch(int fd, uint32_t detect_ms)
{
	int seconds = (int)((detect_ms + 999) / 1000);
	int limit = detect_ms ? (int)(detect_ms + USER_TIMEOUT_EXTRA_MS) : 0;
	int r = 0;

	if (detect_ms) {
		r = set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, seconds);
		if (r == 0)
			r = set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, 1);
	}
	if (r == 0)
		r = set_int(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, limit);
	return r < 0 ? r : set_int(fd, SOL_SOCKET, SO_KEEPALIVE, detect_ms > 0);
}

/* Unprivileged, one may not even set the mark that there is. */
static int mark(int fd, uint32_t fwmark)
{
	uint32_t now = 0;
	socklen_t len = sizeof(now);

	if (getsockopt(fd, SOL_SOCKET, SO_MARK, &now, &len) < 0)
		return -errno;
	return now == fwmark ? 0 : set_int(fd, SOL_SOCKET, SO_MARK, (int)fwmark);
}

/*
 * A socket bound to interface and local address. shared: with the reuse that lets several share the
 * bind port; otherwise nobody else is there, of TCP but connections on their way out. Over UDP
 * SO_REUSEADDR would let in any user's socket that sets it, too (net/ipv4/udp.c,
 * udp_lib_lport_inuse(): the user counts for SO_REUSEPORT only).
 */
static int bound(enum ph_proto proto, const char *interface, const struct ph_endpoint *local,
		 bool shared, int *ret_fd)
{
	struct sockaddr_storage ss;
	socklen_t len = ph_endpoint_to_sockaddr(local, &ss);
	int type = proto == PH_TCP ? SOCK_STREAM : SOCK_DGRAM;
	int fd = socket(ss.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int r;

	if (fd < 0)
		return -errno;
	if ((r = set_int(fd, SOL_SOCKET, SO_REUSEADDR, proto == PH_TCP)) < 0 ||
	    (r = set_int(fd, SOL_SOCKET, SO_REUSEPORT, shared)) < 0)
		goto fail;
	if (interface && *interface &&
	    setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, interface, (socklen_t)strlen(interface)) <
		    0) {
		r = -errno;
		goto fail;
	}
	if (bind(fd, (const struct sockaddr *)&ss, len) < 0) {
		r = -errno;
		goto fail;
	}
	*ret_fd = fd;
	return 0;
fail:
	close(fd);
	return r;
}

int ph_socket_try_bind(enum ph_proto proto, const char *interface, const struct ph_endpoint *local)
{
	int fd = -1;
	int r = bound(proto, interface, local, true, &fd);

	if (r == 0)
		close(fd);
	return r;
}

/* The port that a bind port's flows start from if nobody else has it; 0: it is had, or is that very
 * one. */
static uint16_t usual_port(enum ph_proto proto, const char *interface,
			   const struct ph_endpoint *bind)
{
	struct ph_endpoint usual = *bind;
	uint16_t first, last;
	int fd = -1;

	ph_ephemeral_range(&first, &last);
	/* Neighbouring ports far apart: a prime that does not divide the range as a rule. */
	usual.port = (uint16_t)(first + bind->port * 7919u % (last - first + 1u));
	if (usual.port == bind->port || bound(proto, interface, &usual, false, &fd) < 0)
		return 0;
	close(fd);
	return usual.port;
}

int ph_socket_reserve(enum ph_proto proto, const char *interface, unsigned nth,
		      struct ph_endpoint *local, int *ret_fd)
{
	struct ph_endpoint want = { local->address, 0 }, got = { 0 };
	struct sockaddr_storage ss = { 0 };
	socklen_t len = sizeof(ss);
	int fd = -1;
	int r;

	if (nth == 0)
		want.port = usual_port(proto, interface, local);
	r = bound(proto, interface, &want, true, &fd);
	if (r < 0)
		return r;
	if (getsockname(fd, (struct sockaddr *)&ss, &len) < 0)
		r = -errno;
	else
		r = ph_endpoint_from_sockaddr((const struct sockaddr *)&ss, &got);
	if (r < 0) {
		close(fd);
		return r;
	}
	local->port = got.port;
	*ret_fd = fd;
	return 0;
}

static void free_socket(uv_handle_t *handle)
{
	struct ph_socket *s = handle->data;

	free(s);
}

void ph_socket_close(struct ph_socket *s)
{
	struct linger abort = { .l_onoff = 1, .l_linger = 0 };

	if (!s)
		return;
	if (s->proto == PH_TCP)
		setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &abort, sizeof(abort));
	uv_close((uv_handle_t *)&s->poll, free_socket);
	close(s->fd);
	s->fd = -1;
}

static void fail(struct ph_socket *s, int error)
{
	const struct ph_socket_events *events = s->events;
	void *data = s->data;

	ph_socket_close(s);
	events->closed(data, error);
}

static void on_ready(uv_poll_t *poll, int status, int ready);

static void on_connected(struct ph_socket *s)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		error = errno;
	if (error == 0)
		error = -uv_poll_start(&s->poll, UV_READABLE, on_ready);
	if (error) {
		fail(s, error);
		return;
	}
	s->connected = true;
	s->events->connected(s->data);
}

static void on_readable(struct ph_socket *s)
{
	uint8_t buf[READ_SIZE];
	struct sockaddr_storage ss = { 0 };
	socklen_t len = sizeof(ss);
	struct ph_endpoint from = s->remote;
	ssize_t n = recvfrom(s->fd, buf, sizeof(buf), MSG_DONTWAIT, (struct sockaddr *)&ss, &len);

	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR)
			fail(s, errno);
		return;
	}
	if (s->proto == PH_TCP && n == 0) {
		fail(s, 0);
		return;
	}
	/* Datagrams that came before connect(2) narrowed the socket are in the queue: the source
	 * counts. */
	if (s->proto == PH_UDP &&
	    ph_endpoint_from_sockaddr((const struct sockaddr *)&ss, &from) < 0)
		return;
	s->events->bytes(s->data, &from, buf, (size_t)n);
}

static void on_ready(uv_poll_t *poll, int status, int ready)
{
	struct ph_socket *s = poll->data;

	(void)ready;
	/* EPOLLERR comes as an error here; the socket itself knows which. */
	if (status < 0 && s->connected) {
		int error = 0;
		socklen_t len = sizeof(error);

		getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len);
		fail(s, error ? error : -status);
	} else if (!s->connected) {
		on_connected(s);
	} else {
		on_readable(s);
	}
}

int ph_socket_open(uv_loop_t *loop, const struct ph_socket_options *options,
		   const struct ph_socket_events *events, void *data, struct ph_socket **ret_socket,
		   bool *ret_at_bind)
{
	struct sockaddr_storage ss;
	socklen_t len = ph_endpoint_to_sockaddr(&options->remote, &ss);
	struct ph_socket *s;
	int fd = -1, r;

	*ret_at_bind = false;
	r = bound(options->proto, options->interface, &options->local, true, &fd);
	if (r < 0) {
		*ret_at_bind = r == -EADDRINUSE || r == -EACCES;
		return r;
	}
	if (options->fwmark && (r = mark(fd, options->fwmark)) < 0)
		goto fail;
	if (options->proto == PH_TCP && options->detect_ms &&
	    (r = watch(fd, options->detect_ms)) < 0)
		goto fail;
	if (connect(fd, (const struct sockaddr *)&ss, len) < 0 && errno != EINPROGRESS) {
		r = -errno;
		goto fail;
	}
	s = calloc(1, sizeof(*s));
	if (!s) {
		r = -ENOMEM;
		goto fail;
	}
	*s = (struct ph_socket){
		.fd = fd,
		.proto = options->proto,
		.remote = options->remote,
		.events = events,
		.data = data,
	};
	r = uv_poll_init(loop, &s->poll, fd);
	if (r < 0) {
		free(s);
		goto fail;
	}
	s->poll.data = s;
	r = uv_poll_start(&s->poll, UV_WRITABLE, on_ready);
	if (r < 0) {
		ph_socket_close(s);
		return r;
	}
	*ret_socket = s;
	return 0;
fail:
	close(fd);
	return r;
}

int ph_socket_adjust(struct ph_socket *s, const struct ph_socket_options *options)
{
	int r = s->proto == PH_TCP ? watch(s->fd, options->detect_ms) : 0;

	return r < 0 ? r : mark(s->fd, options->fwmark);
}

void ph_socket_send(struct ph_socket *s, const uint8_t *buf, size_t len)
{
	/* A short write can only happen on a peer that stopped reading; shutting down makes it
	 * visible. */
	ssize_t n = send(s->fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (s->proto == PH_TCP && n != (ssize_t)len)
		shutdown(s->fd, SHUT_RDWR);
}
