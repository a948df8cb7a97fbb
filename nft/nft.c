// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The table in the kernel: one socket, one transaction at a time.
 *
 * nfnetlink works through a batch within sendmsg() and has put every answer on our socket when that
 * returns (kernel: nfnetlink.c, nfnetlink_rcv_batch()): an acknowledgement for each message that
 * failed and for each that asked for one. So only the last message asks, and what there is to read
 * is read until there is nothing left.
 */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <libnftnl/common.h>
#include <libnftnl/table.h>

#include <pinhold/nft.h>

#include "batch.h"
#include "lock.h"
#include "netlink.h"

#define ANSWER_OCTETS 8192 /* an acknowledgement without the message it is about takes 36 */

struct ph_nft {
	struct mnl_socket *socket;
	uint32_t seq;               /* of the next message */
	int send_room;              /* what SO_SNDBUF was set to; 0: not yet */
	struct ph_table *installed; /* NULL: none, or not known what */
	bool present;               /* there may be a table of ours in the kernel */
	bool plain;                 /* the kernel knows no owner flag */
	int lock;                   /* on a plain table; -1: none */
	pid_t holder;               /* who has it instead; 0: not known, or nobody */
	int error;                  /* of the last transaction, -errno */
	char object[64];            /* what it was about */
};

int ph_nft_open(struct ph_nft **ret_nft)
{
	struct ph_nft *nft = calloc(1, sizeof(*nft));
	int one = 1, r;

	if (!nft)
		return -ENOMEM;
	nft->seq = 1;
	nft->lock = -1;
	r = ph_netlink_open(&nft->socket);
	/* Answers without a copy of the question, so that many of them fit. */
	if (r == 0 && mnl_socket_setsockopt(nft->socket, NETLINK_CAP_ACK, &one, sizeof(one)) < 0)
		r = -errno;
	if (r < 0) {
		ph_nft_close(nft);
		return r;
	}
	*ret_nft = nft;
	return 0;
}

static void unlock(struct ph_nft *nft)
{
	if (nft->lock >= 0)
		close(nft->lock);
	nft->lock = -1;
}

void ph_nft_close(struct ph_nft *nft)
{
	if (!nft)
		return;
	if (nft->socket)
		mnl_socket_close(nft->socket);
	unlock(nft);
	ph_table_free(nft->installed);
	free(nft);
}

bool ph_nft_is_owner(const struct ph_nft *nft)
{
	return nft->present && !nft->plain;
}

pid_t ph_nft_holder(const struct ph_nft *nft)
{
	return nft->holder;
}

uint32_t ph_nft_port_id(const struct ph_nft *nft)
{
	return mnl_socket_get_portid(nft->socket);
}

int ph_nft_last_error(const struct ph_nft *nft, const char **ret_object)
{
	*ret_object = nft->object;
	return nft->error;
}

/* Sends all of it at once. 0 or -errno; -EMSGSIZE: more than we are allowed to send in one piece.
 */
static int send_all(struct ph_nft *nft, const void *data, size_t len)
{
	int fd = mnl_socket_get_fd(nft->socket);
	ssize_t n;

	if (len > INT32_MAX / 4)
		return -EMSGSIZE;
	/* The kernel keeps 32 octets of the buffer to itself (af_netlink.c, netlink_sendmsg()). */
	if ((int)len + 64 > nft->send_room) {
		int room = (int)len + 4096;

		/* Forcing takes CAP_NET_ADMIN in the first user namespace; if both fail, sending
		 * says so. */
		if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room)) < 0)
			(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
		nft->send_room = room;
	}
	do
		n = mnl_socket_sendto(nft->socket, data, len);
	while (n < 0 && errno == EINTR);
	if (n >= 0)
		return 0;
	/* Here ENOBUFS means that there was no memory for it, and nothing was sent. */
	return errno == ENOBUFS ? -ENOMEM : -errno;
}

struct answers {
	const struct ph_batch *batch;
	uint32_t last_seq;
	bool acknowledged; /* the last message has been answered */
	bool lost;         /* the kernel had no room for an answer */
	int error;         /* the first, -errno */
	uint32_t error_seq;
};

static int on_answer(const struct nlmsghdr *nlh, void *data)
{
	struct answers *a = data;
	const struct nlmsgerr *e = mnl_nlmsg_get_payload(nlh);

	/* Whatever is left over from a transaction that was given up. */
	if (nlh->nlmsg_seq - a->batch->first_seq >= a->batch->next_seq - a->batch->first_seq)
		return MNL_CB_OK;
	if (nlh->nlmsg_type != NLMSG_ERROR || mnl_nlmsg_get_payload_len(nlh) < sizeof(*e))
		return MNL_CB_OK;
	if (e->error && !a->error) {
		a->error = e->error;
		a->error_seq = nlh->nlmsg_seq;
	}
	if (nlh->nlmsg_seq == a->last_seq)
		a->acknowledged = true;
	return MNL_CB_OK;
}

/* As mnl_cb_run(), but goes on behind an error. */
static void each_message(const void *buf, size_t len, struct answers *a)
{
	const struct nlmsghdr *nlh = buf;
	int left = (int)len;

	while (ph_netlink_ok(nlh, left)) {
		on_answer(nlh, a);
		nlh = mnl_nlmsg_next(nlh, &left);
	}
}

/* Reads everything that has come. 0: the kernel said something about this batch; -errno. */
static int read_answers(struct ph_nft *nft, struct answers *a)
{
	int64_t deadline = ph_netlink_now() + PH_ANSWER_TIMEOUT_MS;
	char buf[ANSWER_OCTETS] __attribute__((aligned(MNL_ALIGNTO)));

	for (;;) {
		ssize_t n = mnl_socket_recvfrom(nft->socket, buf, sizeof(buf));

		if (n >= 0) {
			each_message(buf, (size_t)n, a);
		} else if (errno == ENOBUFS) {
			a->lost = true;
		} else if (errno == EAGAIN) {
			int r;

			if (a->acknowledged || a->error || a->lost)
				return 0;
			r = ph_netlink_wait(nft->socket, deadline);
			if (r < 0)
				return r;
		} else if (errno != EINTR) {
			return -errno;
		}
	}
}

static void blame(struct ph_nft *nft, int error, const struct ph_batch *b, uint32_t seq)
{
	nft->error = error;
	ph_batch_describe(b, seq, nft->object, sizeof(nft->object));
}

/*
 * Ends the batch, sends it, reads what comes back. 0, or -errno and nft->error and ->object say
 * what. After -ENOBUFS, -ETIMEDOUT and failures to read it is not known what is installed.
 */
static int transact(struct ph_nft *nft, struct ph_batch *b, uint32_t *ret_error_seq,
		    bool *ret_unknown)
{
	struct answers a = { .batch = b };
	int r;

	*ret_error_seq = 0;
	*ret_unknown = false;
	r = ph_batch_end(b, &a.last_seq);
	if (r == 0)
		r = send_all(nft, b->data, b->len);
	nft->seq = b->next_seq;
	if (r == 0) {
		r = read_answers(nft, &a);
		/* Answers come in order: an error that was read means that all of it was refused.
		 */
		if (a.error)
			r = a.error;
		else if (r == 0 && a.lost)
			r = -ENOBUFS;
		*ret_unknown = r < 0 && !a.error;
	}
	if (r < 0) {
		*ret_error_seq = a.error ? a.error_seq : 0;
		blame(nft, r, b, a.error ? a.error_seq : b->first_seq);
	}
	return r;
}

static void forget(struct ph_nft *nft)
{
	ph_table_free(nft->installed);
	nft->installed = NULL;
}

/* Adds the steps between two tables. */
static int put_difference(struct ph_batch *b, const struct ph_table *from,
			  const struct ph_table *to, size_t *ret_n)
{
	struct ph_op *ops = NULL;
	size_t n = 0;
	int r = ph_table_diff(from, to, &ops, &n);

	if (r == 0)
		r = ph_batch_steps(b, ops, n);
	free(ops);
	if (r == 0)
		*ret_n = n;
	return r;
}

static int put_whole(struct ph_batch *b, const struct ph_table *to, bool owner)
{
	size_t n;
	/* Whatever is there goes in the same transaction; to be deleted it must exist. */
	int r = ph_batch_add_table(b, false);

	if (r == 0)
		r = ph_batch_delete_table(b);
	if (r == 0)
		r = ph_batch_add_table(b, owner);
	return r == 0 ? put_difference(b, NULL, to, &n) : r;
}

static int no_memory(struct ph_nft *nft)
{
	nft->error = -ENOMEM;
	nft->object[0] = '\0';
	return -ENOMEM;
}

/* Puts the whole table in place of whatever there is. *ret_refused: the kernel does not know the
 * owner flag. */
static int try_whole(struct ph_nft *nft, const struct ph_table *to, bool *ret_refused)
{
	struct ph_batch b;
	uint32_t error_seq;
	bool unknown;
	int r = ph_batch_init(&b, nft->seq);

	*ret_refused = false;
	if (r == 0)
		r = put_whole(&b, to, !nft->plain);
	if (r < 0) {
		ph_batch_done(&b);
		return no_memory(nft);
	}
	r = transact(nft, &b, &error_seq, &unknown);
	if (r == 0 || unknown)
		nft->present = true;
	if (r < 0 && unknown)
		forget(nft);
	/* Before Linux 5.12 EINVAL. */
	*ret_refused =
		b.owner_seq && error_seq == b.owner_seq && (r == -EINVAL || r == -EOPNOTSUPP);
	ph_batch_done(&b);
	return r;
}

/* Whether another process has the plain table. Where there is no lock to be had, one goes without.
 */
static int lock(struct ph_nft *nft)
{
	if (nft->lock >= 0 || ph_lock_take(&nft->lock, &nft->holder) != -EALREADY)
		return 0;
	nft->error = -EALREADY;
	nft->object[0] = '\0';
	return -EALREADY;
}

static int install_whole(struct ph_nft *nft, const struct ph_table *to)
{
	bool refused = nft->plain;
	int r = 0;

	if (!refused)
		r = try_whole(nft, to, &refused);
	if (!refused)
		return r;
	nft->plain = true;
	r = lock(nft);
	return r < 0 ? r : try_whole(nft, to, &refused);
}

static int install_difference(struct ph_nft *nft, const struct ph_table *to)
{
	struct ph_batch b;
	uint32_t error_seq;
	bool unknown;
	size_t n = 0;
	int r = ph_batch_init(&b, nft->seq);

	if (r == 0)
		r = put_difference(&b, nft->installed, to, &n);
	if (r < 0 || n == 0) {
		ph_batch_done(&b);
		return r < 0 ? no_memory(nft) : 0;
	}
	r = transact(nft, &b, &error_seq, &unknown);
	ph_batch_done(&b);
	if (unknown)
		forget(nft);
	return r;
}

int ph_nft_apply(struct ph_nft *nft, struct ph_table *desired)
{
	int r = -ENOENT;

	assert(desired && desired != nft->installed);
	nft->error = 0;
	nft->object[0] = '\0';
	if (nft->installed)
		r = install_difference(nft, desired);
	/* A plain table can be taken away under our feet; so can our knowledge of it. And whatever
	 * else the kernel does not like in the difference, the whole does not depend on it. */
	if (r < 0 && r != -EPERM && r != -EMSGSIZE && r != -ENOMEM && r != -ENOBUFS)
		r = install_whole(nft, desired);
	if (r < 0)
		return r;
	nft->error = 0;
	nft->object[0] = '\0';
	ph_table_free(nft->installed);
	nft->installed = desired;
	return 0;
}

/* 1: it takes more. */
static int try_change(struct ph_nft *nft, const struct ph_op *ops, size_t n)
{
	struct ph_batch b;
	uint32_t error_seq;
	bool unknown;
	int r;

	if (!ph_table_can_patch(nft->installed, ops, n))
		return 1;
	r = ph_batch_init(&b, nft->seq);
	if (r == 0)
		r = ph_batch_steps(&b, ops, n);
	if (r < 0) {
		ph_batch_done(&b);
		return no_memory(nft);
	}
	r = transact(nft, &b, &error_seq, &unknown);
	ph_batch_done(&b);
	if (unknown)
		forget(nft);
	if (r == 0)
		ph_table_patch(nft->installed, ops, n);
	return r;
}

int ph_nft_apply_change(struct ph_nft *nft, const struct ph_table *from, const struct ph_table *to)
{
	struct ph_op *ops = NULL;
	size_t n = 0;
	int r;

	if (!nft->installed)
		return 1;
	r = ph_table_diff(from, to, &ops, &n);
	if (r < 0)
		return no_memory(nft);
	if (n)
		r = try_change(nft, ops, n);
	free(ops);
	return r;
}

void ph_nft_distrust(struct ph_nft *nft)
{
	forget(nft);
}

bool ph_nft_is_installed(const struct ph_nft *nft)
{
	return nft->installed;
}

int ph_nft_remove(struct ph_nft *nft)
{
	struct ph_batch b;
	uint32_t error_seq;
	bool unknown;
	int r;

	if (!nft->present)
		return 0;
	r = ph_batch_init(&b, nft->seq);
	if (r == 0)
		r = ph_batch_delete_table(&b);
	if (r < 0) {
		ph_batch_done(&b);
		return no_memory(nft);
	}
	r = transact(nft, &b, &error_seq, &unknown);
	ph_batch_done(&b);
	if (r < 0 && r != -ENOENT)
		return r;
	forget(nft);
	nft->present = false;
	unlock(nft);
	return 0;
}

/* The netlink port that owns the table `inet pinhold`. 0, -ENOENT (no table, or nobody's), -errno.
 */
int ph_nft_owner(struct ph_nft *nft, uint32_t *ret_port_id)
{
	char buf[ANSWER_OCTETS] __attribute__((aligned(MNL_ALIGNTO)));
	int64_t deadline = ph_netlink_now() + PH_ANSWER_TIMEOUT_MS;
	uint32_t seq = nft->seq++;
	struct nftnl_table *t = nftnl_table_alloc();
	struct nlmsghdr *nlh;
	int r = -ENOMEM;

	if (!t || nftnl_table_set_str(t, NFTNL_TABLE_NAME, PH_TABLE_NAME) < 0)
		goto out;
	nlh = nftnl_nlmsg_build_hdr(buf, NFT_MSG_GETTABLE, NFPROTO_INET, 0, seq);
	nftnl_table_nlmsg_build_payload(nlh, t);
	r = send_all(nft, nlh, nlh->nlmsg_len);
	while (r == 0) {
		ssize_t n = mnl_socket_recvfrom(nft->socket, buf, sizeof(buf));
		const struct nlmsghdr *answer = (const struct nlmsghdr *)(const void *)buf;

		if (n < 0) {
			if (errno == EAGAIN)
				r = ph_netlink_wait(nft->socket, deadline);
			else if (errno != EINTR)
				r = -errno;
			continue;
		}
		if (!ph_netlink_ok(answer, (int)n) || answer->nlmsg_seq != seq)
			continue;
		if (answer->nlmsg_type == NLMSG_ERROR) {
			const struct nlmsgerr *e = mnl_nlmsg_get_payload(answer);

			r = e->error ? e->error : -EPROTO;
		} else if (nftnl_table_nlmsg_parse(answer, t) < 0) {
			r = -EPROTO;
		} else if (!nftnl_table_is_set(t, NFTNL_TABLE_OWNER)) {
			r = -ENOENT;
		} else {
			*ret_port_id = nftnl_table_get_u32(t, NFTNL_TABLE_OWNER);
			break;
		}
	}
out:
	if (t)
		nftnl_table_free(t);
	return r;
}
