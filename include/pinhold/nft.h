/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The table `inet pinhold` in the kernel: one netlink socket that owns it, one transaction at a
 * time. */

#include <stdio.h>
#include <sys/types.h>

#include <pinhold/plan.h>

struct ph_nft;

/*
 * Opens the socket; touches no table. 0, -errno (-EPROTONOSUPPORT: a kernel without nfnetlink).
 * Close-on-exec: a child must not keep the table alive.
 */
int ph_nft_open(struct ph_nft **ret_nft);

/* Closes; an owned table goes with the socket (kernel: nf_tables_api.c, nft_rcv_nl_event). */
void ph_nft_close(struct ph_nft *nft);

/*
 * Makes the kernel's table equal to desired: computes the difference to what was installed last,
 * sends it as one batch, reads every answer. The first call makes the table (flags owner; a plain
 * one where the kernel refuses the flag, after purging what a killed process left). On success
 * desired becomes the installed table and belongs to nft. On failure nothing has changed in the
 * kernel and desired stays the caller's.
 *
 * Errors: -EPERM: no CAP_NET_ADMIN, or another process owns the table (ph_nft_owner() tells which);
 * -EALREADY: the table would be a plain one, and another process has that (ph_nft_holder());
 * -EOPNOTSUPP or -ENOENT: the kernel lacks an expression or chain type; -ETIMEDOUT; -ENOMEM;
 * -ENOBUFS: the kernel's answers were lost, and what is installed is not known; -EMSGSIZE: the
 * batch is more than this process may send in one piece (in a user namespace net.core.wmem_max
 * decides).
 */
int ph_nft_apply(struct ph_nft *nft, struct ph_table *desired);

/*
 * The short way for a change of one mapping: from and to are tables of that mapping alone, with its
 * old and its new settings, and both stay the caller's. If the difference is no more than one
 * element for another, the kernel and the installed table are changed by it.
 *
 * 0; 1: nothing was done, because it takes more than that; or -errno as of ph_nft_apply(), with
 * nothing changed. Whoever does not get 0 applies the whole table.
 */
int ph_nft_apply_change(struct ph_nft *nft, const struct ph_table *from, const struct ph_table *to);

/* Somebody else has changed the kernel's table: the next ph_nft_apply() makes all of it anew. */
void ph_nft_distrust(struct ph_nft *nft);
/* Whether the kernel has the table that was installed last, as far as is known. */
bool ph_nft_is_installed(const struct ph_nft *nft);

/* Deletes the table, if this process installed one. 0 or -errno. */
int ph_nft_remove(struct ph_nft *nft);

bool ph_nft_is_owner(const struct ph_nft *nft);    /* false: a plain table */
pid_t ph_nft_holder(const struct ph_nft *nft);     /* after -EALREADY; 0: not known */
uint32_t ph_nft_port_id(const struct ph_nft *nft); /* the socket's netlink port */
int ph_nft_last_error(const struct ph_nft *nft,
		      const char **ret_object); /* what the kernel complained of */

/*
 * The netlink port ID of the socket that owns the kernel's table `inet pinhold`;
 * ph_owner_of_netlink() tells whose that is. 0, -ENOENT (no such table, or one without an owner),
 * -errno.
 */
int ph_nft_owner(struct ph_nft *nft, uint32_t *ret_port_id);

/* A counter as the kernel has it. NAT chains see a connection's first packet only, so packets are
 * connections. */
struct ph_counter {
	char name[PH_NAME_MAX + 1];
	uint64_t packets;
};

/*
 * Every counter of the kernel's table `inet pinhold`, whoever made it, in the order of names; all
 * from one moment. *ret_counters is for the caller to free, NULL if there is none. Asks on a socket
 * of its own: needs no struct ph_nft. 0, -ENOENT (no such table), -EPERM (no CAP_NET_ADMIN),
 * -EAGAIN (the tables of this namespace change without end), -ETIMEDOUT, -EPROTO, -ENOMEM, -errno.
 */
int ph_nft_counters(struct ph_counter **ret_counters, size_t *ret_n);

/* The one of that name in such a list, or NULL. */
const struct ph_counter *ph_counter_find(const struct ph_counter *counters, size_t n,
					 const char *name);

/* A single counter. As above; -ENOENT: no such table or no such counter. */
int ph_nft_counter(const char *name, uint64_t *ret_packets);

/* The same table in nft's syntax, loadable by `nft -f`, without the owner flag. 0 or -errno of the
 * stream. */
int ph_nft_print(const struct ph_table *table, FILE *out);

/* What others have done to the kernel's table `inet pinhold`: a plain table is anybody's. */
struct ph_nft_foreign {
	bool changed; /* somebody else has changed it */
	bool gone;    /* somebody else has deleted it (so changed) */
	bool unsure;  /* notifications were lost: nobody knows */
	/* The last one who did, or 0 and "": nobody did, or the kernel has not said who. The kernel
	 * counts as its first PID namespace does. */
	uint32_t pid;
	char comm[16]; /* what must not stand in a log is '?' */
};

struct ph_nft_watch;

/*
 * Listens to the changes of this namespace's tables. own_port_id: the netlink port of the socket
 * whose transactions are ours; a socket filter leaves these in the kernel. Close-on-exec. 0, -EPERM
 * (no CAP_NET_ADMIN), -EPROTONOSUPPORT (a kernel without nfnetlink), -ENOMEM, -errno.
 */
int ph_nft_watch_open(uint32_t own_port_id, struct ph_nft_watch **ret_watch);

/* To be polled for POLLIN; the watch's own. */
int ph_nft_watch_fd(const struct ph_nft_watch *watch);

/*
 * Reads everything that has come, and does not wait. *ret_foreign sums up what is new since the
 * last call: if changed, gone or unsure, install the table anew, once more if that was done after
 * it and before the call. A transaction counts once it has
 * been read to its end. 0 or -errno (the socket is of no use any more).
 */
int ph_nft_watch_read(struct ph_nft_watch *watch, struct ph_nft_foreign *ret_foreign);

void ph_nft_watch_close(struct ph_nft_watch *watch);
