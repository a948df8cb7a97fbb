/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The plan: from what the mappings want to the table that ought to exist, and from two tables to
 * the difference between them. The table is described once, as values (struct ph_table);
 * nft/batch.c turns it into netlink messages, nft/text.c into nft's own syntax. Pure computation.
 */

#include <pinhold/admission.h>
#include <pinhold/endpoint.h>

#define PH_NAME_MAX      32 /* octets of a mapping's name, without NUL */
#define PH_INTERFACE_MAX 15 /* IFNAMSIZ without NUL */
#define PH_UPLINKS_MAX   3  /* beside the default one: two bits number them */

enum ph_target_kind {
	PH_TARGET_NONE,    /* translate nothing, only mark and count; clients inside are led to
			      the bind port */
	PH_TARGET_LOCAL,   /* a port of this machine */
	PH_TARGET_ADDRESS, /* dnat */
};

struct ph_target {
	enum ph_target_kind kind;
	struct ph_address address; /* of PH_TARGET_ADDRESS */
	uint16_t port;             /* 0: follows the public port */
};

struct ph_plan_options {
	uint32_t mark; /* the accept bit in the conntrack mark */
	uint32_t mask; /* the bits that are pinhold's, at least four; mark is inside it */
	/* Interfaces that are ways to the Internet though no mapping's private endpoint is there
	 * now: who comes by them is not inside. Any order, duplicates allowed. Borrowed. */
	const char (*outside)[PH_INTERFACE_MAX + 1];
	size_t n_outside;
};

/* What the bits of the mask mean. */
struct ph_marks {
	uint32_t mask;
	uint32_t accept;
	uint32_t masquerade;                 /* loopback, and mappings with snat */
	uint32_t uplinks;                    /* the two bits that number uplinks */
	uint32_t uplink[PH_UPLINKS_MAX + 1]; /* of each number; that of 0 is 0 */
};

/* Of the mask's bits but the accept bit the highest is masquerade, the next two are uplinks. 0 or
 * -EINVAL: fewer than four bits, or mark is not one bit of the mask. */
int ph_marks_of(const struct ph_plan_options *options, struct ph_marks *ret_marks);

/*
 * What one mapping wants of the table at this moment. The family is that of private_endpoint.
 *
 * While a mapping moves to another bind port (rotate), it has two private endpoints at once and
 * wants twice, under one name. It goes through three moments, each one transaction from the last:
 *
 *	  the old port                  the new port
 *	1 open: in-NAME                 not open: only our own flows are looked after
 *	2 open, retiring: old-NAME      open: in-NAME
 *	3                               open: in-NAME
 *
 * The counter has the mapping's name throughout and keeps its value.
 */
struct ph_plan_mapping {
	char name[PH_NAME_MAX + 1];
	char interface[PH_INTERFACE_MAX + 1];
	/* With a target in 127.0.0.0/8, the interface by which its replies would leave before the
	 * uplink's routing turns them; "": the same. */
	char turned_from[PH_INTERFACE_MAX + 1];
	/* Let connections from outside in: in-NAME, inbound. Not done while the target's port is
	 * not known. */
	bool open;
	bool retiring; /* the old port of two: its chain is old-NAME */
	bool loopback; /* clients inside reach the private and the public endpoint, too */
	bool snat;     /* masquerade towards the target */
	/* The public address is said to be one inside: nobody is led by it. */
	bool public_is_inside;
	/* The local port of our own sockets where a service of this machine has the bind port; 0:
	 * they are on the bind port itself. */
	uint16_t own_port;
	enum ph_proto proto;
	struct ph_endpoint private_endpoint; /* port 0: only the counter exists */
	struct ph_endpoint public_endpoint;  /* port 0: not known */
	struct ph_target target;
	struct ph_limit limit;
	unsigned uplink; /* replies leave by the interface: 1..PH_UPLINKS_MAX; 0: they do anyway */
	/* Who is let in; NULL: everybody. Borrowed; the table takes a reference. */
	const struct ph_prefixes *allow;
	/* Our own servers, any order, duplicates allowed; of another family: ignored. Borrowed. */
	const struct ph_endpoint *peers;
	size_t n_peers;
	uint64_t peers_generation; /* the list's: another number, maybe another list */
};

/* Whether nothing is translated: there is no target, or it is the bind port of this machine. */
bool ph_plan_is_identity(const struct ph_plan_mapping *p);

/* Whether a service of this machine may be at the bind port, now or when the public port is that
 * one: our own sockets had better be elsewhere. */
bool ph_plan_shares_port(const struct ph_target *target, uint16_t bind_port);

/* The target's port; 0: it follows a public port that is not known. */
uint16_t ph_plan_target_port(const struct ph_plan_mapping *p);

/* Whether connections are led to 127.0.0.0/8, and the table guards its interfaces. */
bool ph_plan_is_localnet(const struct ph_plan_mapping *p);

/* Whether the target is the mapping's own endpoint: whoever was led there would come back. */
bool ph_plan_is_loop(const struct ph_plan_mapping *p);

struct ph_table; /* immutable once made; holds no reference to what it was made from but allow */

/*
 * 0, -ENOMEM, or -EINVAL (a value out of its range: the caller's error, nothing is made). A name is
 * there once, or twice where at most one of the two is retiring and at most one of those that are
 * not is open; interface, protocol and private endpoint together are there once. The order of
 * mappings does not matter.
 */
int ph_table_new(const struct ph_plan_options *options, const struct ph_plan_mapping *mappings,
		 size_t n, struct ph_table **ret_table);
void ph_table_free(struct ph_table *t);
bool ph_table_equal(const struct ph_table *a, const struct ph_table *b);
