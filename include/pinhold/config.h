/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What the user asked for, wherever it was written. */

#include <pinhold/mapping.h>

#define PH_HOOKS_MAX 8

#define PH_MARK_DEFAULT 0x08000000u
#define PH_MASK_DEFAULT 0x0f000000u

struct ph_hook {
	char *path;      /* absolute; owned */
	unsigned events; /* 1u << enum ph_announce */
};

struct ph_config_mapping {
	struct ph_mapping_config core; /* its lists are stun and keepalive below */
	struct ph_server_list stun;
	struct ph_server_list keepalive;
	char interface[PH_ADDRESS_STRLEN]; /* "auto", a name, or an address */
	uint32_t detect_ms;
	uint32_t fwmark;
	struct ph_hook hooks[PH_HOOKS_MAX];
	size_t n_hooks;
};

struct ph_config {
	struct ph_plan_options plan;
	struct ph_config_mapping *mappings; /* owned */
	size_t n_mappings;
	bool background; /* -d */
};

void ph_config_done(struct ph_config *config);

/* The built-in servers, in the order in which they are tried. */
void ph_default_stun(enum ph_proto proto, struct ph_server_list *ret_list);
void ph_default_keepalive(struct ph_server_list *ret_list);

/* "host", "host:port", "[v6]", "[v6]:port" or a bare IPv6 address. 0 or -EINVAL. */
int ph_server_parse(const char *text, uint16_t default_port, struct ph_server *ret_server);

/* A mapping with the defaults of design.md for its protocol; no target, no hook, no server. */
void ph_config_mapping_init(struct ph_config_mapping *m, enum ph_proto proto,
			    enum ph_family family);
