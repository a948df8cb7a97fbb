// SPDX-License-Identifier: GPL-2.0-or-later
/* The chains and their rules. The order of the rules in a base chain is part of what they mean. */

#include "plan_internal.h"

/* Before Docker's and fw4's translation (dstnat, srcnat) and firewalld's (ten later). In the
 * output hook dstnat has no name. */
#define PRIORITY_DSTNAT (-100 - 5)
#define PRIORITY_SRCNAT (100 - 5)
#define PRIORITY_RAW    (-300)
#define PRIORITY_MANGLE (-150)

enum {
	RANK_PREROUTING,
	RANK_OUTPUT,
	RANK_POSTROUTING,
	RANK_GUARD,
	RANK_REPLIES,
	RANK_REPLIES_OUTPUT,
	RANK_MAPPING
};

static const struct ph_key key_iif = { .n = 1, .parts = { PH_SEL_IIFNAME } };
static const struct ph_key key_oif = { .n = 1, .parts = { PH_SEL_OIFNAME } };

static struct ph_statement *put_statement(struct ph_plan_maker *m, enum ph_statement_kind kind)
{
	struct ph_statement *s = m->statements++;

	s->kind = kind;
	return s;
}

static void put_lookup(struct ph_plan_maker *m, enum ph_statement_kind kind,
		       const struct ph_key *key, const struct ph_set_def *set)
{
	struct ph_statement *s = put_statement(m, kind);

	s->lookup.key = key;
	s->lookup.set = set;
}

static void put_mark(struct ph_plan_maker *m, enum ph_statement_kind kind, uint32_t mark,
		     uint32_t mask)
{
	struct ph_statement *s = put_statement(m, kind);

	s->mark.mark = mark;
	s->mark.mask = mask;
}

/* Makes a rule, the chain's next, of the statements put since first. */
static void put_rule(struct ph_plan_maker *m, struct ph_chain *chain, struct ph_statement *first,
		     const char *comment)
{
	struct ph_rule *rule = m->rules++;

	rule->statements = first;
	rule->n_statements = (size_t)(m->statements - first);
	rule->comment = comment;
	if (!chain->n_rules)
		chain->rules = rule;
	chain->n_rules++;
}

static struct ph_chain *put_chain(struct ph_plan_maker *m, const char *name, uint8_t rank)
{
	struct ph_chain *chain = &m->table->chains[m->table->n_chains++];

	chain->name = name;
	chain->rank = rank;
	return chain;
}

static struct ph_chain *put_base(struct ph_plan_maker *m, const char *name, uint8_t rank,
				 enum ph_chain_type type, enum ph_chain_hook hook, int32_t priority)
{
	struct ph_chain *chain = put_chain(m, name, rank);

	chain->type = type;
	chain->hook = hook;
	chain->priority = priority;
	return chain;
}

static bool borrows(const struct ph_plan_maker *m, const struct ph_plan_twin *t)
{
	return t->family == PH_IPV4 ? m->sorted->borrows4 : m->sorted->borrows6;
}

static void put_from_peers(struct ph_plan_maker *m, const struct ph_plan_twin *t,
			   const struct ph_set_def *to)
{
	put_lookup(m, PH_STMT_MATCH, &key_iif, &ph_plan_uplinks);
	put_lookup(m, PH_STMT_MATCH, &t->from, t->peers);
	put_lookup(m, PH_STMT_MATCH, &t->to, to);
	put_mark(m, PH_STMT_MARK, m->sorted->marks.accept, m->sorted->marks.mask);
}

static void make_inbound(struct ph_plan_maker *m, struct ph_chain *chain,
			 const struct ph_plan_twin *t)
{
	struct ph_statement *first = m->statements;

	/* First, because conntrack may have forgotten our own flows. */
	if (borrows(m, t)) {
		put_from_peers(m, t, t->borrowed);
		put_lookup(m, PH_STMT_DNAT_MAP, &t->to, t->answer);
		put_rule(m, chain, first,
			 "our own servers, where a service has the bind port: to our own port");
	}
	first = m->statements;
	put_from_peers(m, t, t->bound);
	put_statement(m, PH_STMT_RETURN);
	put_rule(m, chain, first, "our own servers: accepted, never translated");

	first = m->statements;
	put_lookup(m, PH_STMT_VMAP, &t->arrival, t->inbound);
	put_rule(m, chain, first, "from outside: to the mapping's chain");
}

/* A map cannot be asked whether it has a key, and the mark must be there before the translation:
 * hence a set beside it. */
static void make_loopback(struct ph_plan_maker *m, struct ph_chain *chain,
			  const struct ph_plan_twin *t, const struct ph_set_def *to,
			  const char *comment)
{
	const struct ph_marks *marks = &m->sorted->marks;
	struct ph_statement *first = m->statements;

	put_lookup(m, PH_STMT_MATCH, &t->to, to);
	put_mark(m, PH_STMT_MARK, marks->accept | marks->masquerade, marks->mask);
	put_lookup(m, PH_STMT_DNAT_MAP, &t->to, t->loopback);
	put_rule(m, chain, first, comment);
}

static void make_here(struct ph_plan_maker *m, struct ph_chain *chain, const struct ph_plan_twin *t)
{
	struct ph_statement *first = m->statements;

	put_lookup(m, PH_STMT_MATCH, &t->to_udp, t->here);
	put_mark(m, PH_STMT_MARK, m->sorted->marks.accept, m->sorted->marks.mask);
	put_lookup(m, PH_STMT_REDIRECT_MAP, &t->to_udp, t->port);
	put_rule(m, chain, first,
		 "from inside, UDP: to this machine, at the address the client's interface has");
}

static void make_prerouting(struct ph_plan_maker *m)
{
	struct ph_chain *chain = put_base(m, "prerouting", RANK_PREROUTING, PH_CHAIN_NAT,
					  PH_HOOK_PREROUTING, PRIORITY_DSTNAT);
	struct ph_statement *first;

	for (size_t i = 0; i < PH_PLAN_TWINS; i++)
		make_inbound(m, chain, &ph_plan_twins[i]);
	first = m->statements;
	put_lookup(m, PH_STMT_MATCH, &key_iif, &ph_plan_uplinks);
	put_statement(m, PH_STMT_RETURN);
	put_rule(m, chain, first, "from outside to anything else: not our business");
	if (m->sorted->outside.n) {
		first = m->statements;
		put_lookup(m, PH_STMT_MATCH, &key_iif, &ph_plan_outside);
		put_statement(m, PH_STMT_RETURN);
		put_rule(m, chain, first, "from outside by another way: not our business");
	}
	for (size_t i = 0; i < PH_PLAN_TWINS; i++) {
		const struct ph_plan_twin *t = &ph_plan_twins[i];

		if (t->family == PH_IPV4 ? m->sorted->here4 : m->sorted->here6)
			make_here(m, chain, t);
		make_loopback(m, chain, t, t->published, "from inside: to the target");
	}
}

static void make_output(struct ph_plan_maker *m)
{
	struct ph_chain *chain =
		put_base(m, "output", RANK_OUTPUT, PH_CHAIN_NAT, PH_HOOK_OUTPUT, PRIORITY_DSTNAT);

	for (size_t i = 0; i < PH_PLAN_TWINS; i++) {
		const struct ph_plan_twin *t = &ph_plan_twins[i];

		make_loopback(m, chain, t, t->published, "from this machine: to the target");
		if (t->family == PH_IPV4 ? m->sorted->localhost4 : m->sorted->localhost6)
			make_loopback(m, chain, t, t->localhost,
				      "from this machine alone: to the target");
	}
}

static void make_postrouting(struct ph_plan_maker *m)
{
	struct ph_chain *chain = put_base(m, "postrouting", RANK_POSTROUTING, PH_CHAIN_NAT,
					  PH_HOOK_POSTROUTING, PRIORITY_SRCNAT);
	const struct ph_marks *marks = &m->sorted->marks;
	struct ph_statement *first;

	for (size_t i = 0; i < PH_PLAN_TWINS; i++) {
		const struct ph_plan_twin *t = &ph_plan_twins[i];

		if (borrows(m, t)) {
			first = m->statements;
			put_lookup(m, PH_STMT_MATCH, &key_oif, &ph_plan_uplinks);
			put_lookup(m, PH_STMT_MATCH, &t->to, t->peers);
			put_lookup(m, PH_STMT_SNAT_MAP, &t->from, t->borrow);
			put_rule(m, chain, first,
				 "our own flows leave from the borrowed bind port");
			/* Both from the bind port to one server would be one flow to conntrack,
			 * and whoever came second could not send. */
			first = m->statements;
			put_lookup(m, PH_STMT_MATCH, &key_oif, &ph_plan_uplinks);
			put_lookup(m, PH_STMT_MATCH, &t->to, t->peers);
			put_lookup(m, PH_STMT_MATCH, &t->from, t->borrowed);
			put_statement(m, PH_STMT_RETURN);
			put_rule(m, chain, first,
				 "the service's flows to our servers: from any free port");
		}
		first = m->statements;
		put_lookup(m, PH_STMT_MATCH, &key_oif, &ph_plan_uplinks);
		put_lookup(m, PH_STMT_SNAT_MAP, &t->from, t->source);
		put_rule(m, chain, first, "what leaves from a bind port keeps it");
	}
	first = m->statements;
	put_mark(m, PH_STMT_MARKED, marks->accept | marks->masquerade,
		 marks->accept | marks->masquerade);
	put_statement(m, PH_STMT_OIF_NOT_LO);
	put_statement(m, PH_STMT_MASQUERADE);
	put_rule(m, chain, first, "loopback and snat: replies come back this way");
}

static void make_guard(struct ph_plan_maker *m)
{
	struct ph_chain *chain =
		put_base(m, "guard", RANK_GUARD, PH_CHAIN_FILTER, PH_HOOK_PREROUTING, PRIORITY_RAW);
	struct ph_statement *first = m->statements;

	put_lookup(m, PH_STMT_MATCH, &key_iif, &ph_plan_localnet);
	put_statement(m, PH_STMT_TO_LOCALNET);
	put_statement(m, PH_STMT_DROP);
	put_rule(m, chain, first, "route_localnet lets nobody in but who is translated");
	first = m->statements;
	put_lookup(m, PH_STMT_MATCH, &key_iif, &ph_plan_localnet);
	put_statement(m, PH_STMT_FROM_LOCALNET);
	put_statement(m, PH_STMT_DROP);
	put_rule(m, chain, first, "nor anybody who says that he is this machine");
}

/* In the direction of the reply alone: towards the target the main table is right. */
static void make_replies(struct ph_plan_maker *m, struct ph_chain *chain)
{
	const struct ph_marks *marks = &m->sorted->marks;

	for (unsigned i = 1; i <= PH_UPLINKS_MAX; i++) {
		struct ph_statement *first = m->statements;

		if (!m->sorted->uplink[i])
			continue;
		put_statement(m, PH_STMT_REPLY);
		put_mark(m, PH_STMT_MARKED, marks->accept | marks->uplink[i],
			 marks->accept | marks->uplinks);
		put_mark(m, PH_STMT_FWMARK, marks->uplink[i], marks->uplinks);
		put_rule(m, chain, first, "replies leave by the uplink they came by");
	}
}

static void make_reply_routing(struct ph_plan_maker *m)
{
	bool any = false;

	for (unsigned i = 1; i <= PH_UPLINKS_MAX; i++)
		any = any || m->sorted->uplink[i];
	if (!any)
		return;
	make_replies(m, put_base(m, "replies", RANK_REPLIES, PH_CHAIN_FILTER, PH_HOOK_PREROUTING,
				 PRIORITY_MANGLE));
	make_replies(m, put_base(m, "replies-output", RANK_REPLIES_OUTPUT, PH_CHAIN_ROUTE,
				 PH_HOOK_OUTPUT, PRIORITY_MANGLE));
}

static void put_translation(struct ph_plan_maker *m, const struct ph_plan_mapping *p)
{
	uint16_t port = ph_plan_target_port(p);
	struct ph_statement *s;

	if (ph_plan_is_identity(p))
		return;
	/* The map's key has it already; nft's grammar wants it all the same before a port. */
	put_statement(m, PH_STMT_L4PROTO)->proto = p->proto;
	/* A UDP service answers from the interface's first address, which `redirect` chooses, too;
	 * a TCP one from the address it was asked at, which may be another. */
	if (p->target.kind == PH_TARGET_LOCAL && p->proto == PH_UDP) {
		put_statement(m, PH_STMT_REDIRECT)->port = port;
		return;
	}
	s = put_statement(m, PH_STMT_DNAT);
	s->endpoint.address =
		p->target.kind == PH_TARGET_LOCAL ? p->private_endpoint.address : p->target.address;
	s->endpoint.port = port;
}

static void make_mapping_chain(struct ph_plan_maker *m, struct ph_plan_entry *entry)
{
	const struct ph_plan_mapping *p = entry->mapping;
	const struct ph_plan_twin *t =
		&ph_plan_twins[p->private_endpoint.address.family == PH_IPV4 ? 0 : 1];
	const struct ph_marks *marks = &m->sorted->marks;
	struct ph_statement *first = m->statements;
	struct ph_chain *chain;

	entry->chain = ph_plan_text(m, p->retiring ? PH_CHAIN_RETIRING : PH_CHAIN_INBOUND, p->name);
	chain = put_chain(m, entry->chain, RANK_MAPPING);
	if (entry->allow)
		put_lookup(m, PH_STMT_MATCH, &t->sender, entry->allow);
	if (p->limit.rate)
		put_statement(m, PH_STMT_LIMIT)->limit = p->limit;
	put_mark(m, PH_STMT_MARK,
		 marks->accept | (p->snat ? marks->masquerade : 0) | marks->uplink[p->uplink],
		 marks->mask);
	put_statement(m, PH_STMT_COUNTER)->counter = entry->name;
	put_translation(m, p);
	if (ph_plan_drops(p))
		put_statement(m, PH_STMT_RETURN);
	put_rule(m, chain, first, entry->about);
	if (!ph_plan_drops(p))
		return;
	first = m->statements;
	put_statement(m, PH_STMT_DROP);
	put_rule(m, chain, first, "refused by allow or limit");
}

void ph_plan_chain_sizes(const struct ph_plan_mapping *p, struct ph_plan_sizes *sizes)
{
	sizes->chains++;
	sizes->rules += ph_plan_drops(p) ? 2 : 1;
	/* Mark and counter; protocol and translation, or return and drop; at most. */
	sizes->statements += 4u + (p->allow ? 1u : 0u) + (p->limit.rate ? 1u : 0u);
}

static void make_mapping_chains(struct ph_plan_maker *m, bool retiring)
{
	for (size_t i = 0; i < m->sorted->n_names; i++) {
		struct ph_plan_entry *entry = m->sorted->by_name[i];

		if (entry->mapping->retiring == retiring && ph_plan_is_open(entry->mapping))
			make_mapping_chain(m, entry);
	}
}

void ph_plan_make_chains(struct ph_plan_maker *m)
{
	make_prerouting(m);
	make_output(m);
	make_postrouting(m);
	if (m->sorted->localnet)
		make_guard(m);
	make_reply_routing(m);
	/* In the order of their names: in-NAME, then old-NAME. */
	make_mapping_chains(m, false);
	make_mapping_chains(m, true);
}
