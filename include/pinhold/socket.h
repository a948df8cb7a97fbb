/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Flows: connected sockets from the bind port, on the loop. A flow reports that it is connected,
 * what comes, and its end; it never reports after ph_socket_close(), nor from within
 * ph_socket_open().
 */

#include <uv.h>

#include <pinhold/endpoint.h>

struct ph_socket;

struct ph_socket_options {
	enum ph_proto proto;
	const char *interface;    /* SO_BINDTODEVICE, to what has that name now; NULL or "": none */
	struct ph_endpoint local; /* bind port and address */
	struct ph_endpoint remote;
	uint32_t fwmark;    /* SO_MARK; 0: none */
	uint32_t detect_ms; /* TCP: the kernel probes an idle connection after this long; 0: it does
			       not */
};

struct ph_socket_events {
	void (*connected)(void *data);
	void (*bytes)(void *data, const struct ph_endpoint *from, const uint8_t *buf, size_t len);
	void (*closed)(void *data,
		       int error); /* errno, 0: in order; the socket is closed and freed after it */
};

/*
 * Begins to connect. Events come from the loop. Errors, all with nothing opened: -EADDRINUSE (bind
 * port taken without reuse), -EACCES (port below 1024 without CAP_NET_BIND_SERVICE),
 * -EADDRNOTAVAIL, -ENODEV, -ENETUNREACH, -EMFILE, -ENOMEM. *ret_at_bind: it was the bind port that
 * could not be had; what connect(2) answers may come from the network, and says nothing of the
 * port.
 */
int ph_socket_open(uv_loop_t *loop, const struct ph_socket_options *options,
		   const struct ph_socket_events *events, void *data, struct ph_socket **ret_socket,
		   bool *ret_at_bind);

/* Sends all of buf, which is short; a full buffer or a broken connection shows as `closed`. */
void ph_socket_send(struct ph_socket *s, const uint8_t *buf, size_t len);

/*
 * Gives a live socket another fwmark and detect_ms; of options nothing else is looked at. What is
 * on its way keeps the old ones. 0 or -errno (-EPERM: a mark needs CAP_NET_ADMIN); the socket lives
 * on in any case.
 */
int ph_socket_adjust(struct ph_socket *s, const struct ph_socket_options *options);

/* Aborts: RST over TCP, so that neither TIME_WAIT nor FIN-WAIT holds the address pair. NULL is
 * fine. */
void ph_socket_close(struct ph_socket *s);

/* Whether local could be bound by a flow: 0, or what bind(2) says, negative. */
int ph_socket_try_bind(enum ph_proto proto, const char *interface, const struct ph_endpoint *local);

/*
 * Takes a local port, instead of the bind port local->port, that flows can share, and keeps it
 * until *ret_fd is closed; local->port is set. The first one (nth 0) is the same each time, while
 * it is free: conntrack has flows on its books for minutes after they have ended, and whoever is
 * translated to the bind port from another port than they were clashes with them. Further ones are
 * the kernel's choice. 0 or -errno, with nothing set.
 */
int ph_socket_reserve(enum ph_proto proto, const char *interface, unsigned nth,
		      struct ph_endpoint *local, int *ret_fd);
