/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "rtnl_request.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <netlink/socket.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define ANSWER_OCTETS \
	32768 /* the most that the kernel puts into one (af_netlink.c, netlink_dump()) */
#define ANSWER_S 5

struct answer {
	uint32_t sequence;
	int (*fn)(void *data, struct nlmsghdr *h);
	void *data;
	bool interrupted;
	bool done;
};

int rtnl_request_open(struct nl_sock **ret_socket)
{
	const struct timeval patience = { .tv_sec = ANSWER_S };
	struct nl_sock *socket = nl_socket_alloc();
	const int on = 1;
	int fd, r;

	if (!socket)
		return -ENOMEM;
	r = nl_connect(socket, NETLINK_ROUTE); /* close-on-exec */
	if (r < 0) {
		nl_socket_free(socket);
		return r == -NLE_NOMEM ? -ENOMEM : -EIO;
	}
	fd = nl_socket_get_fd(socket);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0) {
		r = -errno;
		nl_socket_free(socket);
		return r;
	}
	/* The kernel looks at what is asked for and leaves out other tables (4.20). */
	setsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof(on));
	*ret_socket = socket;
	return 0;
}

/* Of the last message of an answer. */
static int error_of(struct nlmsghdr *h)
{
	int error;

	if (!nlmsg_valid_hdr(h, sizeof(error)))
		return -EBADMSG;
	memcpy(&error, nlmsg_data(h), sizeof(error));
	return error <= 0 ? error : -EBADMSG;
}

static int feed(struct answer *answer, struct nlmsghdr *first, size_t len)
{
	int left = (int)len, r = 0;

	for (struct nlmsghdr *h = first; r == 0 && nlmsg_ok(h, left); h = nlmsg_next(h, &left)) {
		if (h->nlmsg_seq != answer->sequence || answer->done)
			continue;
		if (h->nlmsg_flags & NLM_F_DUMP_INTR)
			answer->interrupted = true;
		if (h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR) {
			answer->done = true;
			r = error_of(h);
		} else if (h->nlmsg_type >= NLMSG_MIN_TYPE && answer->fn) {
			r = answer->fn(answer->data, h);
		}
	}
	return r;
}

static int read_answer(int fd, struct answer *answer, struct nlmsghdr *buf)
{
	int r = 0;

	while (r == 0 && !answer->done) {
		struct sockaddr_nl from = { 0 };
		socklen_t len = sizeof(from);
		ssize_t n =
			recvfrom(fd, buf, ANSWER_OCTETS, MSG_TRUNC, (struct sockaddr *)&from, &len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		if (n > ANSWER_OCTETS)
			return -EMSGSIZE;
		if (from.nl_pid == 0)
			r = feed(answer, buf, (size_t)n);
	}
	return r == 0 && answer->interrupted ? -EAGAIN : r;
}

int rtnl_request(struct nl_sock *socket, struct nl_msg *msg,
		 int (*fn)(void *data, struct nlmsghdr *h), void *data)
{
	struct answer answer = { .fn = fn, .data = data };
	struct nlmsghdr *buf = malloc(ANSWER_OCTETS);
	int r;

	if (!buf)
		return -ENOMEM;
	r = nl_send_auto(socket, msg); /* with a number, and asking for an answer */
	answer.sequence = nlmsg_hdr(msg)->nlmsg_seq;
	if (r < 0)
		r = r == -NLE_NOMEM ? -ENOMEM : -EIO;
	else
		r = read_answer(nl_socket_get_fd(socket), &answer, buf);
	free(buf);
	return r;
}

int rtnl_request_rules(struct nl_sock *socket, enum ph_family family,
		       int (*fn)(void *data, struct nlmsghdr *h), void *data)
{
	struct fib_rule_hdr head = { .family = family == PH_IPV6 ? AF_INET6 : AF_INET };
	struct nl_msg *msg = nlmsg_alloc_simple(RTM_GETRULE, NLM_F_DUMP);
	int r = -ENOMEM;

	if (!msg)
		return r;
	if (nlmsg_append(msg, &head, sizeof(head), NLMSG_ALIGNTO) == 0)
		r = rtnl_request(socket, msg, fn, data);
	nlmsg_free(msg);
	return r == -EAFNOSUPPORT || r == -EOPNOTSUPP ? 0 : r;
}
