/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The builder's inside: core/config_build.c reads sections, core/config_keys.c their entries, and
 * core/config_check.c looks at the whole when it is there. */

#include "config_internal.h"

enum ph_key {
	PH_KEY_INTERFACE,
	PH_KEY_STUN,
	PH_KEY_KEEPALIVE,
	PH_KEY_INTERVAL,
	PH_KEY_DETECT,
	PH_KEY_VERIFY,
	PH_KEY_FWMARK,
	PH_KEY_MARK,
	PH_KEY_PROTOCOL,
	PH_KEY_FAMILY,
	PH_KEY_BIND,
	PH_KEY_TARGET,
	PH_KEY_ENABLED,
	PH_KEY_ROTATE,
	PH_KEY_HOOK,
	PH_KEY_HOOK_EVENTS,
	PH_KEY_LOOPBACK,
	PH_KEY_SNAT,
	PH_KEY_ALLOW,
	PH_KEY_LIMIT,
	PH_KEY_REPLY_ROUTE,
	PH_KEY_PUBLISH,
	PH_KEYS
};

/* Notices that are told once a file. */
enum {
	PH_NOTICE_UDP_DETECT,
	PH_NOTICE_UDP_KEEPALIVE,
	PH_NOTICES,
};
_Static_assert(PH_NOTICES <= PH_NOTICE_EACH, "a bit for each");

/* [global], or a mapping, while not everything is known. */
struct ph_draft {
	struct ph_config_mapping *m; /* owned */
	unsigned lines[PH_KEYS];     /* where a key was given first; 0: it was not */
	uint32_t wrong;              /* 1u << key: its value was no good */
	unsigned publish_lines[PH_PUBLISH_MAX];
};

/* The servers of one kind in the section that is being read. */
struct ph_draft_servers {
	size_t n;
	struct ph_server items[PH_SERVERS_MAX];
	unsigned lines[PH_SERVERS_MAX];
};

/* A file with prefixes, read once, whoever names it; its prefixes by family. */
struct ph_allow_file {
	char *path;                        /* owned */
	bool wrong;                        /* it cannot be used, which was said */
	bool empty_said[2];                /* that it has none */
	size_t n[2];                       /* as they are listed */
	const struct ph_prefixes *sets[2]; /* references; NULL: wrong */
};

/* `allow` of the section that is being read. */
struct ph_draft_allow {
	size_t n, n_files;
	struct ph_prefix items[PH_ALLOW_MAX];
	unsigned lines[PH_ALLOW_MAX];
	size_t files[PH_ALLOW_MAX]; /* indices of the builder's */
	unsigned file_lines[PH_ALLOW_MAX];
};

enum ph_section {
	PH_SECTION_NONE,
	PH_SECTION_GLOBAL,
	PH_SECTION_MAPPING,
	PH_SECTION_PUBLISH,
	PH_SECTION_WRONG, /* its entries are passed over: they cannot be judged */
};

struct ph_interned {
	uint32_t hash;
	const struct ph_server_list *list; /* a reference */
};

struct ph_config_builder {
	struct ph_config_source source;
	struct ph_reports reports;
	struct ph_config config; /* owned; its mappings come last */
	struct ph_draft global;
	unsigned global_line;
	struct ph_draft *drafts; /* owned */
	size_t n_drafts;

	const char *program; /* a hook's path that was found good; borrowed */

	/* The section that is being read. */
	enum ph_section section;
	struct ph_draft *draft;             /* of GLOBAL and MAPPING; otherwise NULL */
	struct ph_draft_servers servers[2]; /* by enum ph_server_kind */
	struct ph_draft_allow allow;
	unsigned hook_events; /* 0: not given */

	/* The entry. */
	unsigned line;
	const struct ph_key_info *key; /* NULL: there is none that could be continued */
	bool publish_repeats;          /* the same of a publisher's entry */
	char publish_key[64];

	/* What mappings share: files and equal sets of prefixes, */
	struct ph_allow_file *allow_files; /* owned */
	size_t n_allow_files;
	const struct ph_prefixes **allowed; /* owned; references */
	size_t n_allowed;
	/* equal lists, those that [global] gives to a family, the built-in. */
	struct ph_interned *interned; /* owned */
	size_t n_interned;
	const struct ph_server_list *inherited[2][2]; /* by kind and family; borrowed */
	const struct ph_server_list *builtin[2][2];   /* by kind and protocol; owned */
};

enum ph_key_count {
	PH_KEY_ONCE,
	PH_KEY_LIST,  /* repeatable, and several by commas */
	PH_KEY_LINES, /* repeatable */
};

struct ph_key_info {
	const char *name;
	enum ph_key_count count;
	bool global, mapping; /* sections that have it */
	void (*take)(struct ph_config_builder *b, const char *value);
	uint32_t min_ms, max_ms;
};

static inline unsigned ph_family_index(enum ph_family family)
{
	return family == PH_IPV6;
}

/* config_build.c. NULL: out of memory, which is noted. */

/* Room for one item more behind n of them; doubles the array when it is full. */
void *ph_builder_grow(struct ph_config_builder *b, void *items, size_t n, size_t size);
char *ph_builder_copy(struct ph_config_builder *b, const char *text);

/* config_keys.c */

/* NULL: there is no such key. */
const struct ph_key_info *ph_key_find(const char *name);
const char *ph_key_name(enum ph_key key);
/* The key of that kind of section whose name is nearest, or NULL. */
const char *ph_key_nearest(const char *name, bool global);
/* One `key = value` of [global] or a mapping, or a continuation of it. */
void ph_key_take(struct ph_config_builder *b, const struct ph_key_info *key, const char *value);
/* The key is there, but nothing can be made of its value. */
void ph_key_spoil(struct ph_config_builder *b, const struct ph_key_info *key);

/* The entry's value is no good. KEY: "VALUE" WHY */
void ph_key_wrong(struct ph_config_builder *b, const char *value, const char *why);

/* config_allow.c */

/* One value of `allow`: a prefix, or @ and a file's path. */
void ph_allow_take(struct ph_config_builder *b, const char *value);
/* The section is complete and its prefixes are of the right family: what all of it allows. */
void ph_allow_finish(struct ph_config_builder *b, struct ph_draft *d);
void ph_allow_done(struct ph_config_builder *b);

/* config_check.c */

/* A mapping's section is complete: what its own keys say of each other. */
void ph_check_mapping(struct ph_config_builder *b, struct ph_draft *d);
/* The file is complete: what mappings inherit, and what they must not have in common. */
void ph_check_file(struct ph_config_builder *b);
/* The list with these servers, of which there is one. A new reference, or NULL. */
const struct ph_server_list *ph_intern_servers(struct ph_config_builder *b,
					       const struct ph_server *servers, size_t n);
