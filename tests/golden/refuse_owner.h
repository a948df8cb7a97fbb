/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <linux/netlink.h>

/* Makes a message that asks for a table with the owner flag ask for one more, which no kernel
 * knows, so that the kernel itself refuses it as one before Linux 5.12 would. Leaves all other
 * messages alone. */
void refuse_owner(struct nlmsghdr *nlh);
