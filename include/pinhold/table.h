/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The table as values: what src/core/plan.c makes, src/core/diff.c compares, nft/batch.c encodes
 * and nft/text.c prints. Nobody else includes this. A statement is one thing that a rule says; it
 * is made in one place, encoded in one place and printed in one place, so that the two ways into
 * the kernel cannot drift apart.
 *
 * All lists stand in one canonical order, so that two tables are compared by one walk over both:
 * sets, chains and counters by (rank, name), elements by the octets of their key.
 */

#include <pinhold/plan.h>

/* Types of keys and data. Their numbers on the wire are nft's own business: nft/batch.c. */
enum ph_type {
	PH_TYPE_IFNAME,
	PH_TYPE_IPV4_ADDR,
	PH_TYPE_IPV6_ADDR,
	PH_TYPE_INET_PROTO,
	PH_TYPE_INET_SERVICE,
};

/* What of a packet a key is made of. */
enum ph_selector {
	PH_SEL_IIFNAME,
	PH_SEL_OIFNAME,
	PH_SEL_SADDR,
	PH_SEL_DADDR,
	PH_SEL_L4PROTO,
	PH_SEL_SPORT,
	PH_SEL_DPORT,
	PH_SEL_UDP_DPORT, /* and go on only if it is UDP */
};

#define PH_PARTS_MAX 4  /* of a concatenation */
#define PH_KEY_MAX   40 /* octets: ifname . ipv6_addr . inet_proto . inet_service */
#define PH_DATA_MAX  20 /* octets: ipv6_addr . inet_service */

/* A concatenation of selectors. The family is that of its addresses; without addresses it is 0. */
struct ph_key {
	uint8_t family; /* enum ph_family, or 0 */
	uint8_t n;
	enum ph_selector parts[PH_PARTS_MAX];
};

enum ph_set_kind {
	PH_SET_PLAIN,   /* set */
	PH_SET_RANGES,  /* set of addresses, flags interval */
	PH_SET_VERDICT, /* map to "goto CHAIN" */
	PH_SET_DATA,    /* map to data */
};

/* What a set is, apart from its elements. One name has one definition, in every table. */
struct ph_set_def {
	const char *name;
	uint8_t rank;
	enum ph_set_kind kind;
	uint8_t n_key;
	enum ph_type key[PH_PARTS_MAX];
	uint8_t n_data; /* of PH_SET_DATA */
	enum ph_type data[PH_PARTS_MAX];
};

/*
 * Keys and data as they lie in nf_tables' registers: each part in network order, padded with zeros
 * to a multiple of four octets; an interface name takes 16.
 */
struct ph_element {
	uint8_t key[PH_KEY_MAX];
	/* No part of what the element is: */
	bool shared;  /* several mappings have this key */
	uint32_t nth; /* of the set as it was made, before it was sorted */
	union {
		uint8_t data[PH_DATA_MAX]; /* of PH_SET_DATA */
		const char *chain;         /* of PH_SET_VERDICT */
		/* Of PH_SET_PLAIN: the comment, "ABOUT: ENDPOINT", "ABOUT" where that has no port,
		 * none where about is NULL. */
		struct {
			const char *about;
			struct ph_endpoint endpoint;
		};
	};
};

struct ph_set {
	const struct ph_set_def *def;
	struct ph_element *elements; /* but of PH_SET_RANGES */
	size_t n_elements;
	const struct ph_prefixes *ranges; /* of PH_SET_RANGES; a reference */
};

enum ph_statement_kind {
	PH_STMT_MATCH,         /* KEY @SET: go on only if it is there */
	PH_STMT_VMAP,          /* KEY vmap @SET */
	PH_STMT_SNAT_MAP,      /* snat to KEY map @SET */
	PH_STMT_DNAT_MAP,      /* dnat to KEY map @SET */
	PH_STMT_REDIRECT_MAP,  /* redirect to :KEY map @SET */
	PH_STMT_MARK,          /* ct mark set ct mark and not MASK or MARK */
	PH_STMT_MARKED,        /* ct mark and MASK == MARK: go on only then */
	PH_STMT_FWMARK,        /* meta mark set meta mark and not MASK or MARK */
	PH_STMT_REPLY,         /* ct direction reply: go on only in that direction */
	PH_STMT_LIMIT,         /* limit rate ...: go on only below it */
	PH_STMT_COUNTER,       /* counter name NAME */
	PH_STMT_L4PROTO,       /* meta l4proto PROTO: go on only if it is that */
	PH_STMT_TO_LOCALNET,   /* ip daddr 127.0.0.0/8: go on only then */
	PH_STMT_FROM_LOCALNET, /* ip saddr 127.0.0.0/8: go on only then */
	PH_STMT_OIF_NOT_LO,    /* oifname != "lo": go on only then */
	PH_STMT_DNAT,          /* dnat to ENDPOINT */
	PH_STMT_REDIRECT,      /* redirect to :PORT */
	PH_STMT_MASQUERADE,    /* masquerade */
	PH_STMT_RETURN,        /* return */
	PH_STMT_DROP,          /* drop */
};

struct ph_statement {
	enum ph_statement_kind kind;
	union {
		struct {
			const struct ph_key *key;
			const struct ph_set_def *set;
		} lookup; /* MATCH, VMAP, SNAT_MAP, DNAT_MAP, REDIRECT_MAP */
		struct {
			uint32_t mark, mask;
		} mark; /* MARK, MARKED, FWMARK */
		struct ph_limit limit;
		const char *counter;
		enum ph_proto proto;
		struct ph_endpoint endpoint; /* DNAT */
		uint16_t port;               /* REDIRECT */
	};
};

struct ph_rule {
	const struct ph_statement *statements;
	size_t n_statements;
	const char *comment;
};

#define PH_COMMENT_STRLEN 128 /* with NUL; nft: NFTNL_UDATA_COMMENT_MAXLEN */

enum ph_chain_hook { PH_HOOK_NONE, PH_HOOK_PREROUTING, PH_HOOK_OUTPUT, PH_HOOK_POSTROUTING };

enum ph_chain_type { PH_CHAIN_NAT, PH_CHAIN_FILTER, PH_CHAIN_ROUTE };

struct ph_chain {
	const char *name;
	uint8_t rank;
	/* NONE: a chain that is only gone to. Otherwise of the type, with policy accept. */
	enum ph_chain_hook hook;
	enum ph_chain_type type;
	int32_t priority; /* of a hook, as the kernel counts */
	const struct ph_rule *rules;
	size_t n_rules;
};

/* One allocation: everything that it points to lies behind it. */
struct ph_table {
	const char **counters; /* names */
	size_t n_counters;
	struct ph_set *sets;
	size_t n_sets;
	struct ph_chain *chains;
	size_t n_chains;
};

/* As the kernel and nft say it. */
const char *ph_chain_type_name(enum ph_chain_type type);

/* Octets that a type takes in the registers: a multiple of four. */
size_t ph_type_octets(enum ph_type type);
size_t ph_set_key_octets(const struct ph_set_def *def);
size_t ph_set_data_octets(const struct ph_set_def *def);

/* A plain element's whole comment; returns buf, or NULL: it has none. */
const char *ph_element_comment(const struct ph_element *e, char buf[static PH_COMMENT_STRLEN]);

bool ph_chain_equal(const struct ph_chain *a, const struct ph_chain *b);
bool ph_element_equal(const struct ph_set_def *def, const struct ph_element *a,
		      const struct ph_element *b);

/*
 * One step from a table to another. The kinds stand in the order in which they are done: what
 * refers to a thing goes before the thing goes and comes after the thing has come. An element or a
 * rule that changes is removed and added; the kernel shows packets either all of a transaction or
 * nothing of it.
 */
enum ph_op_kind {
	PH_OP_DEL_ELEMENT,
	PH_OP_FLUSH_CHAIN, /* delete its rules */
	PH_OP_DEL_CHAIN,
	PH_OP_DEL_SET,
	PH_OP_DEL_COUNTER,
	PH_OP_ADD_COUNTER,
	PH_OP_ADD_SET,
	PH_OP_ADD_CHAIN,
	PH_OP_ADD_RULE, /* at the chain's end */
	PH_OP_ADD_ELEMENT,
	PH_OP_KINDS
};

struct ph_op {
	enum ph_op_kind kind;
	union {
		const struct ph_set_def *set; /* SET, ELEMENT */
		const struct ph_chain *chain; /* CHAIN, RULE */
		const char *counter;          /* COUNTER */
	};
	union {
		const struct ph_element *element; /* ELEMENT */
		const struct ph_range *range;     /* ELEMENT of PH_SET_RANGES */
		const struct ph_rule *rule;       /* RULE */
	};
};

/*
 * The steps from one table to another; from may be NULL, a table with nothing in it. *ret_ops is
 * for the caller to free and refers to both tables; it is NULL where there is nothing to do. Steps
 * for elements of the same set are neighbours. 0 or -ENOMEM.
 */
int ph_table_diff(const struct ph_table *from, const struct ph_table *to, struct ph_op **ret_ops,
		  size_t *ret_n);

/*
 * Carries the steps out on a table itself, as the kernel has on its own. Only for steps that leave
 * every set as large as it was and no more than change elements: whether they are, is what
 * ph_table_can_patch() says. What the elements point to is taken from the table, by name.
 */
bool ph_table_can_patch(const struct ph_table *t, const struct ph_op *ops, size_t n);
void ph_table_patch(struct ph_table *t, const struct ph_op *ops, size_t n);
