// SPDX-License-Identifier: GPL-2.0-or-later

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>

#include "faults.h"
#include "refuse_owner.h"

struct faults faults;

#define UNKNOWN_MESSAGE 0xff /* no message of nf_tables has this number: EINVAL */

ssize_t __real_mnl_socket_sendto(const struct mnl_socket *nl, const void *buf, size_t len);
ssize_t __wrap_mnl_socket_sendto(const struct mnl_socket *nl, const void *buf, size_t len);
ssize_t __real_mnl_socket_recvfrom(const struct mnl_socket *nl, void *buf, size_t len);
ssize_t __wrap_mnl_socket_recvfrom(const struct mnl_socket *nl, void *buf, size_t len);
void *__real_malloc(size_t n);
void *__wrap_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_realloc(void *p, size_t n);
void *__real_reallocarray(void *p, size_t n, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
char *__real_strdup(const char *s);
char *__wrap_strdup(const char *s);

static void change_conntrack_id(struct nlmsghdr *nlh)
{
	struct nlattr *attr = mnl_nlmsg_get_payload_offset(nlh, sizeof(struct nfgenmsg));
	const char *end = mnl_nlmsg_get_payload_tail(nlh);

	for (; mnl_attr_ok(attr, (int)(end - (char *)attr)); attr = mnl_attr_next(attr))
		if (mnl_attr_get_type(attr) == CTA_ID)
			((uint8_t *)mnl_attr_get_payload(attr))[3] ^= 1;
}

static void tamper(struct nlmsghdr *nlh)
{
	faults.messages++;
	if (faults.messages == faults.corrupt_message)
		nlh->nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | UNKNOWN_MESSAGE;
	if (faults.refuse_owner)
		refuse_owner(nlh);
	if (faults.change_ids &&
	    nlh->nlmsg_type == (NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE))
		change_conntrack_id(nlh);
}

ssize_t __wrap_mnl_socket_sendto(const struct mnl_socket *nl, const void *buf, size_t len)
{
	uint8_t *copy;
	struct nlmsghdr *nlh;
	int left = (int)len;
	ssize_t n;

	if (faults.interrupt_send) {
		faults.interrupt_send = false;
		errno = EINTR;
		return -1;
	}
	copy = __real_malloc(len);
	if (!copy)
		abort();
	memcpy(copy, buf, len);
	faults.sends++;
	faults.messages = 0;
	for (nlh = (struct nlmsghdr *)(void *)copy; mnl_nlmsg_ok(nlh, left);
	     nlh = mnl_nlmsg_next(nlh, &left))
		if (nlh->nlmsg_type != NFNL_MSG_BATCH_BEGIN &&
		    nlh->nlmsg_type != NFNL_MSG_BATCH_END)
			tamper(nlh);
	n = __real_mnl_socket_sendto(nl, copy, len);
	free(copy);
	faults.corrupt_message = 0;
	return n;
}

static ssize_t spoil(void *buf, ssize_t n)
{
	struct nlmsghdr *nlh = buf;

	if (n < (ssize_t)sizeof(*nlh))
		return n;
	faults.octets_read += (size_t)n;
	if (faults.interrupt_dumps) {
		faults.interrupt_dumps--;
		nlh->nlmsg_flags |= NLM_F_DUMP_INTR;
	}
	if (faults.spoil_answer && faults.spoil_octet < (size_t)n)
		((uint8_t *)buf)[faults.spoil_octet] = faults.spoil_value;
	faults.spoil_answer = false;
	if (faults.cut_answer && --faults.cut_answer == 0)
		n -= 4;
	return n;
}

ssize_t __wrap_mnl_socket_recvfrom(const struct mnl_socket *nl, void *buf, size_t len)
{
	if (faults.lose_answers) {
		faults.lose_answers = false;
		while (__real_mnl_socket_recvfrom(nl, buf, len) >= 0)
			;
		errno = ENOBUFS;
		return -1;
	}
	if (faults.interrupt_read) {
		faults.interrupt_read = false;
		errno = EINTR;
		return -1;
	}
	return spoil(buf, __real_mnl_socket_recvfrom(nl, buf, len));
}

static bool fails(void)
{
	if (!faults.fail_allocation || --faults.fail_allocation)
		return false;
	faults.failed = true;
	errno = ENOMEM;
	return true;
}

void *__wrap_malloc(size_t n)
{
	return fails() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
	return fails() ? NULL : __real_realloc(p, n);
}

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
	return fails() ? NULL : __real_reallocarray(p, n, size);
}

char *__wrap_strdup(const char *s)
{
	return fails() ? NULL : __real_strdup(s);
}
