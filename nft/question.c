// SPDX-License-Identifier: GPL-2.0-or-later

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "netlink.h"
#include "question.h"

/* The kernel fills its answers up to what the reader has room for, at most 32 kB (af_netlink.c,
 * netlink_recvmsg()). */
#define ANSWER_OCTETS 32768

struct question {
	const struct mnl_socket *socket;
	uint32_t seq;
	uint16_t flags; /* NLM_F_… */
	ph_take_fn take;
	void *data;
	bool interrupted; /* the kernel says that what it listed may be no single state */
};

static bool is_dump(const struct question *q)
{
	return (q->flags & NLM_F_DUMP) == NLM_F_DUMP;
}

/* The end of an answer: an error, an acknowledgement, or NLMSG_DONE. 1 or -errno. */
static int take_end(const struct question *q, const struct nlmsghdr *nlh)
{
	int error;

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(error))
		return nlh->nlmsg_type == NLMSG_DONE ? 1 : -EPROTO;
	/* Both begin with an error number; in a message of errors 0 is an acknowledgement. */
	memcpy(&error, mnl_nlmsg_get_payload(nlh), sizeof(error));
	if (error)
		return error < 0 ? error : -EPROTO;
	if (nlh->nlmsg_type == NLMSG_DONE)
		return 1;
	return (q->flags & NLM_F_ACK) && !is_dump(q) ? 1 : -EPROTO;
}

/* 1: the answer is complete. 0: more is to come. -errno. */
static int take_message(struct question *q, const struct nlmsghdr *nlh)
{
	int r;

	if (nlh->nlmsg_seq != q->seq)
		return 0;
	if (nlh->nlmsg_flags & NLM_F_DUMP_INTR)
		q->interrupted = true;
	if (nlh->nlmsg_type == NLMSG_ERROR || nlh->nlmsg_type == NLMSG_DONE)
		return take_end(q, nlh);
	r = q->take ? q->take(nlh, q->data) : 0;
	if (r < 0)
		return r;
	return !is_dump(q) && !(q->flags & NLM_F_ACK);
}

/* Reads the whole answer. 0, -EAGAIN (the dump was interrupted), -errno. */
static int read_answer(struct question *q)
{
	int64_t deadline = ph_netlink_now() + PH_ANSWER_TIMEOUT_MS;
	char buf[ANSWER_OCTETS] __attribute__((aligned(MNL_ALIGNTO)));

	for (;;) {
		ssize_t n = ph_netlink_read(q->socket, buf, sizeof(buf), deadline);
		const struct nlmsghdr *nlh = (const struct nlmsghdr *)(const void *)buf;
		int left = (int)n;

		if (n < 0)
			return (int)n;
		for (; ph_netlink_ok(nlh, left); nlh = mnl_nlmsg_next(nlh, &left)) {
			int r = take_message(q, nlh);

			if (r < 0)
				return r;
			if (r > 0)
				return q->interrupted ? -EAGAIN : 0;
		}
		/* A message that is not all there: what else is missing cannot be known. */
		if (left > 0)
			return -EPROTO;
	}
}

int ph_ask_on(const struct mnl_socket *socket, uint32_t seq, struct nlmsghdr *question,
	      ph_take_fn take, void *data)
{
	struct question q = {
		.socket = socket,
		.seq = seq,
		.flags = question->nlmsg_flags,
		.take = take,
		.data = data,
	};
	ssize_t n;

	question->nlmsg_seq = seq;
	do
		n = mnl_socket_sendto(socket, question, question->nlmsg_len);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : read_answer(&q);
}

int ph_ask(struct nlmsghdr *question, ph_take_fn take, void *data)
{
	struct mnl_socket *socket = NULL;
	int r = ph_netlink_open(&socket);

	if (r < 0)
		return r;
	r = ph_ask_on(socket, 1, question, take, data);
	mnl_socket_close(socket);
	return r;
}
