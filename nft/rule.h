/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <libnftnl/rule.h>

#include <pinhold/table.h>

/* Appends the expressions and the comment of a rule, exactly as nft makes them. 0 or -ENOMEM. */
int ph_rule_encode(const struct ph_rule *rule, struct nftnl_rule *ret_nlr);
