// SPDX-License-Identifier: GPL-2.0-or-later

#include <stdint.h>

#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "refuse_owner.h"

#define UNKNOWN_FLAG 0x80 /* no flag of a table has this value: EOPNOTSUPP, or EINVAL */

void refuse_owner(struct nlmsghdr *nlh)
{
	struct nlattr *attr = mnl_nlmsg_get_payload_offset(nlh, sizeof(struct nfgenmsg));
	const char *end = mnl_nlmsg_get_payload_tail(nlh);

	if (nlh->nlmsg_type != (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWTABLE))
		return;
	for (; mnl_attr_ok(attr, (int)(end - (char *)attr)); attr = mnl_attr_next(attr))
		if (mnl_attr_get_type(attr) == NFTA_TABLE_FLAGS)
			((uint8_t *)mnl_attr_get_payload(attr))[3] |= UNKNOWN_FLAG;
}
