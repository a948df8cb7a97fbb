/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What the user asked for, wherever it was written: src/options.c makes it of a command line,
 * core/config_build.c of a file's lines.
 */

#include <pinhold/admission.h>
#include <pinhold/mapping.h>
#include <pinhold/publish.h>

#define PH_HOOKS_MAX   8
#define PH_PUBLISH_MAX 8
#define PH_VALUE_MAX   4096 /* octets of one value in the file, with NUL */

#define PH_MAPPINGS_MAX   4096 /* in one file */
#define PH_PUBLISHERS_MAX 256
#define PH_SETTINGS_MAX   64  /* of one publisher */
#define PH_ALLOW_MAX      256 /* prefixes that stand in one mapping, and files */

#define PH_ALLOW_FILE_MAX     (4u << 20) /* octets of a file with prefixes */
#define PH_ALLOW_FILES_MAX    1024       /* different ones in one configuration */
#define PH_ALLOW_PREFIXES_MAX 200000     /* of one mapping, those in its files included */

#define PH_MARK_DEFAULT 0x08000000u
#define PH_MASK_DEFAULT 0x0f000000u

struct ph_hook {
	char *path;      /* absolute; owned */
	unsigned events; /* 1u << enum ph_announce */
};

/* One `key = value` of a [publish NAME] section, in the file's order. */
struct ph_setting {
	char *key, *value; /* owned */
	unsigned line;
};

struct ph_publish {
	char name[PH_NAME_MAX + 1];
	enum ph_publish_type type;
	struct ph_setting *settings; /* owned; without `type` */
	size_t n_settings;
	unsigned line;
};

/*
 * One mapping. On the heap by itself, so that a reload keeps the object of a mapping that did not
 * change.
 */
struct ph_config_mapping {
	struct ph_mapping_config core;     /* its lists are references of this object */
	bool enabled;                      /* no: in the file and in status, but not held */
	char interface[PH_ADDRESS_STRLEN]; /* "auto", a name, or an address */
	uint32_t detect_ms;
	uint32_t fwmark;
	uint32_t rotate_ms;    /* 0: never */
	struct ph_hook *hooks; /* owned */
	size_t n_hooks;        /* <= PH_HOOKS_MAX */
	unsigned line;         /* of its section; 0: from the command line */

	bool loopback, snat, reply_route;
	/* A reference, of the mapping's family: who may connect from outside. NULL: everybody.
	 * Mappings of one file that allow the same share it. */
	const struct ph_prefixes *allowed;
	struct ph_limit limit;

	char (*publish)[PH_NAME_MAX + 1]; /* owned: names of publishers */
	size_t n_publish;
};

struct ph_config {
	char *path; /* the file, or NULL: from the command line */
	struct ph_plan_options plan;
	struct ph_config_mapping **mappings; /* owned, in the file's order */
	size_t n_mappings;
	struct ph_publish *publishers; /* owned */
	size_t n_publishers;
	bool background; /* -d */
};

void ph_config_done(struct ph_config *config);
void ph_config_mapping_free(struct ph_config_mapping *m);

/* A mapping with the defaults of design.md for its protocol; no name, target, hook, server. NULL:
 * out of memory. */
struct ph_config_mapping *ph_config_mapping_new(enum ph_proto proto, enum ph_family family);

/* What it takes to get from one mapping's settings to another's of the same name. */
enum ph_config_step {
	PH_CONFIG_SAME,  /* nothing: every setting is equal (the line in the file does not count) */
	PH_CONFIG_ADAPT, /* it goes on, holders and public port stay */
	/* Protocol, family, bind ports or enabled: another mapping by this name. The target, where
	 * a service of this machine comes to a bind port or leaves it: our own sockets have to
	 * move. */
	PH_CONFIG_RESTART,
};

enum ph_config_step ph_config_mapping_compare(const struct ph_config_mapping *a,
					      const struct ph_config_mapping *b);

/* Lists of servers are shared by mappings and never change. NULL: out of memory. */
struct ph_server_list *ph_server_list_new(const struct ph_server *servers, size_t n);
const struct ph_server_list *ph_server_list_ref(const struct ph_server_list *list);
void ph_server_list_unref(const struct ph_server_list *list);

/* The built-in servers, in the order in which they are tried; a new reference, or NULL. */
const struct ph_server_list *ph_default_stun(enum ph_proto proto);
const struct ph_server_list *ph_default_keepalive(void);

/* "host", "host:port", "[v6]", "[v6]:port" or a bare IPv6 address. 0 or -EINVAL. */
int ph_server_parse(const char *text, uint16_t default_port, struct ph_server *ret_server);

/*
 * A file, line by line, to a configuration. Whoever reads the file calls section(), entry() and
 * more() in order; after a mistake the rest is checked all the same, and finish() reports them all,
 * by line, each with what would be allowed.
 */
struct ph_config_builder;

/*
 * mistake: false for a notice, which stops nothing. line 0: the file as a whole. text: one line,
 * without a final full stop; what it quotes of the file is made printable.
 */
typedef void (*ph_config_report_fn)(void *data, bool mistake, unsigned line, const char *text);

struct ph_config_source {
	const char *path;                         /* for ph_config.path; NULL: none */
	uint16_t ephemeral_first, ephemeral_last; /* what `bind = 0` means here */
	ph_config_report_fn report;
	void *data;
	/* Why that file cannot be run as a hook ("is ..."), or NULL; NULL: it is not asked. */
	const char *(*program_refusal)(const char *path);
	/*
	 * The whole of a file with prefixes, into *ret_text for free(), without a NUL behind it. 0,
	 * or -errno; -EFBIG: it has more than max octets, -EINVAL: it is no regular file. NULL: no
	 * such file is read, and none lets anybody in.
	 */
	int (*read_file)(const char *path, size_t max, char **ret_text, size_t *ret_len);
};

/* 0 or -ENOMEM. */
int ph_config_builder_new(const struct ph_config_source *source,
			  struct ph_config_builder **ret_builder);
void ph_config_builder_free(struct ph_config_builder *b);
/* header: between the brackets, "global" or "mapping web"; NULL: it cannot be read, which was said,
 * and the entries below it are passed over. */
void ph_config_builder_section(struct ph_config_builder *b, unsigned line, const char *header);
void ph_config_builder_entry(struct ph_config_builder *b, unsigned line, const char *key,
			     const char *value);
/* A line that continues the entry before it: another value of the same key. */
void ph_config_builder_more(struct ph_config_builder *b, unsigned line, const char *value);
/* A line that is neither, in the reader's words. */
void ph_config_builder_wrong(struct ph_config_builder *b, unsigned line, const char *text);
/* The end of the file. 0, -EINVAL (at least one mistake was reported), -ENOMEM. */
int ph_config_builder_finish(struct ph_config_builder *b, struct ph_config *ret_config);

/* Parts of values, as the file and the command line have them in common. */

/* "30", "30s", "5m", "6h", "1d". 0, -EINVAL (no duration), -ERANGE (more than fits). */
int ph_duration_parse(const char *text, uint32_t *ret_ms);
/* PORT, LO-HI, LO~HI; not 0, which depends on the machine. 0, -EINVAL, or -ERANGE: LO is above HI.
 */
int ph_bind_parse(const char *text, struct ph_mapping_config *ret_core);
/* Why no connection can be forwarded to that address ("is ..."), or NULL. */
const char *ph_target_refusal(const struct ph_address *address);
/*
 * Whether the mapping's target is, or can become, its own private endpoint, as far as the settings
 * tell: interface is the address that connections are sent to, and their port one of bind.
 */
bool ph_target_loops(const struct ph_mapping_config *core, const char *interface);
/* Whether text may be an interface's name (kernel: net/core/dev.c, dev_valid_name()). */
bool ph_interface_name_valid(const char *text);
/* NULL: a mapping may be called so; otherwise why not ("is ...", "has ..."). */
const char *ph_name_refusal(const char *name);

/*
 * sys/config_file.c: reads path by inih and feeds the builder. Mistakes go to report. 0, -EINVAL
 * (mistakes were reported), -errno of opening and reading (nothing was reported), -EFBIG (more than
 * a megabyte), -EISDIR, -ENOMEM.
 */
int ph_config_read(const char *path, ph_config_report_fn report, void *data,
		   struct ph_config *ret_config);
/*
 * The same of a file's octets, [text, text + len), which need no NUL behind them. 0, -EINVAL,
 * -ENOMEM.
 */
int ph_config_parse(const char *text, size_t len, const struct ph_config_source *source,
		    struct ph_config *ret_config);
/* The kernel's own choice of ports for outgoing connections (ip_local_port_range). */
void ph_ephemeral_range(uint16_t *ret_first, uint16_t *ret_last);
