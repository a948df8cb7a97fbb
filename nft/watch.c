// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The table as others change it.
 *
 * When a transaction is done the kernel tells of each thing in it, one message each and several to
 * a datagram, in the order of the transactions, and ends with NEWGEN, which names the process
 * (nf_tables_api.c, nf_tables_commit(), nf_tables_fill_gen_info()). All of them carry in nlmsg_pid
 * the port of the socket from which the transaction came. `flush ruleset` and `delete table` tell
 * of every rule, set, chain and object, and at last of the table; `flush table` of the rules; a set
 * that is flushed of each element.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <libmnl/libmnl.h>
#include <linux/filter.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <pinhold/nft.h>

#include "batch.h"
#include "netlink.h"

/* Notifications are made in buffers of a page, at most 8 kB (NLMSG_GOODSIZE). */
#define DATAGRAM_OCTETS 32768
/* What the kernel may keep for us; it takes the memory only when there is something to keep. */
#define RECEIVE_OCTETS (1 << 20)

#define NEWGEN_TYPE (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWGEN)

struct ph_nft_watch {
	struct mnl_socket *socket;
	uint32_t own_port_id;
	struct ph_nft_foreign seen; /* in transactions that have ended */
	bool changed, gone;         /* by a foreign one that has not */
};

/*
 * What we did ourselves is left in the kernel, all but its NEWGEN: a big table that we install must
 * not fill the buffer, or it would be a reason to install it again. All messages of a datagram come
 * from one transaction, so its first one tells. Not more than a saving otherwise: whoever reads
 * looks again. The filter sees fields in network order that are in the host's.
 */
static void attach_filter(const struct mnl_socket *socket, uint32_t own_port_id)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_type)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(NEWGEN_TYPE), 2, 0),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_pid)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl(own_port_id), 1, 0),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog program = { .len = sizeof(code) / sizeof(code[0]), .filter = code };

	(void)setsockopt(mnl_socket_get_fd(socket), SOL_SOCKET, SO_ATTACH_FILTER, &program,
			 sizeof(program));
}

static int listen_to_tables(const struct mnl_socket *socket, uint32_t own_port_id)
{
	int fd = mnl_socket_get_fd(socket);
	int room = RECEIVE_OCTETS, group = NFNLGRP_NFTABLES;

	/* Forcing takes CAP_NET_ADMIN in the first user namespace. With less room notifications are
	 * lost sooner, and that is said. */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) < 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	attach_filter(socket, own_port_id);
	if (mnl_socket_setsockopt(socket, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0)
		return -errno;
	return 0;
}

int ph_nft_watch_open(uint32_t own_port_id, struct ph_nft_watch **ret_watch)
{
	struct ph_nft_watch *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return -ENOMEM;
	w->own_port_id = own_port_id;
	r = ph_netlink_open(&w->socket);
	if (r == 0)
		r = listen_to_tables(w->socket, own_port_id);
	if (r < 0) {
		ph_nft_watch_close(w);
		return r;
	}
	*ret_watch = w;
	return 0;
}

void ph_nft_watch_close(struct ph_nft_watch *watch)
{
	if (!watch)
		return;
	if (watch->socket)
		mnl_socket_close(watch->socket);
	free(watch);
}

int ph_nft_watch_fd(const struct ph_nft_watch *watch)
{
	return mnl_socket_get_fd(watch->socket);
}

static bool is_about_us(const struct nlmsghdr *nlh)
{
	/* In every kind of message the table has this number (nf_tables.h: NFTA_CHAIN_TABLE,
	 * NFTA_RULE_TABLE …). */
	const struct nlattr *attrs[NFTA_TABLE_NAME + 1] = {};
	struct nfgenmsg header;
	char name[sizeof(PH_TABLE_NAME)];

	if (nlh->nlmsg_type >> 8 != NFNL_SUBSYS_NFTABLES ||
	    !ph_attrs_parse(nlh, sizeof(header), attrs, NFTA_TABLE_NAME))
		return false;
	memcpy(&header, mnl_nlmsg_get_payload(nlh), sizeof(header));
	return header.nfgen_family == NFPROTO_INET &&
	       ph_attr_value(attrs[NFTA_TABLE_NAME], name, sizeof(name)) &&
	       !memcmp(name, PH_TABLE_NAME, sizeof(name));
}

/* The process of a transaction, as NEWGEN says it. */
static void note_process(struct ph_nft_foreign *f, const struct nlmsghdr *nlh)
{
	const struct nlattr *attrs[NFTA_GEN_MAX + 1] = {};
	const struct nlattr *comm;
	uint32_t pid = 0;
	size_t octets;

	(void)ph_attrs_parse(nlh, sizeof(struct nfgenmsg), attrs, NFTA_GEN_MAX);
	(void)ph_attr_value(attrs[NFTA_GEN_PROC_PID], &pid, sizeof(pid));
	f->pid = ntohl(pid);
	memset(f->comm, 0, sizeof(f->comm));
	comm = attrs[NFTA_GEN_PROC_NAME];
	if (!comm)
		return;
	octets = mnl_attr_get_payload_len(comm);
	if (octets > sizeof(f->comm) - 1)
		octets = sizeof(f->comm) - 1;
	memcpy(f->comm, mnl_attr_get_payload(comm), octets);
	/* A process names itself as it likes, and this goes into a log. */
	for (char *p = f->comm; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f || *p == '"' || *p == '\\')
			*p = '?';
}

static void end_transaction(struct ph_nft_watch *w, const struct nlmsghdr *nlh)
{
	if (!w->changed)
		return;
	w->seen.changed = true;
	w->seen.gone |= w->gone;
	w->changed = w->gone = false;
	note_process(&w->seen, nlh);
}

static void take_message(struct ph_nft_watch *w, const struct nlmsghdr *nlh)
{
	if (nlh->nlmsg_type == NEWGEN_TYPE) {
		end_transaction(w, nlh);
		return;
	}
	if (nlh->nlmsg_pid == w->own_port_id || !is_about_us(nlh))
		return;
	w->gone |= (nlh->nlmsg_type & 0xff) == NFT_MSG_DELTABLE;
	w->changed = true;
}

/* false: a part is missing. */
static bool take_datagram(struct ph_nft_watch *w, const void *buf, size_t octets)
{
	const struct nlmsghdr *nlh = buf;
	int left = (int)octets;

	for (; ph_netlink_ok(nlh, left); nlh = mnl_nlmsg_next(nlh, &left))
		take_message(w, nlh);
	return left <= 0;
}

int ph_nft_watch_read(struct ph_nft_watch *watch, struct ph_nft_foreign *ret_foreign)
{
	char buf[DATAGRAM_OCTETS] __attribute__((aligned(MNL_ALIGNTO)));

	for (;;) {
		ssize_t n = mnl_socket_recvfrom(watch->socket, buf, sizeof(buf));

		if (n >= 0) {
			if (!take_datagram(watch, buf, (size_t)n))
				watch->seen.unsure = true;
		} else if (errno == ENOBUFS || errno == ENOSPC) {
			/* There was no room, in the kernel's buffer or in ours. */
			watch->seen.unsure = true;
		} else if (errno == EAGAIN) {
			break;
		} else if (errno != EINTR) {
			return -errno;
		}
	}
	*ret_foreign = watch->seen;
	watch->seen = (struct ph_nft_foreign){};
	return 0;
}
