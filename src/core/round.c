/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Rounds: one question to several servers, each on a flow of its own from the bind port. An answer
 * is a vote for an endpoint; two servers of different address make a majority, and what two have
 * told before counts as one more.
 *
 *	begins	nothing is learned
 *		`verify` has passed
 *		a holder has died: suspicion
 *		an answer that nobody waited for tells something new
 *	asks	two servers at once; one if it is but `verify`'s turn
 *		one more for each that has not answered in HEDGE_MS
 *	ends	two agree: learned or verified
 *		one vote, and nobody left to ask or ACCEPT_MS since: learned, independence unknown
 *		they disagree: once more after RECHECK_MS, then dependent, and tried again slowly
 *		no vote, and nobody left to ask: again when somebody is; lost if nothing holds
 *
 * The servers used longest ago are asked first. A flow to one that was in use within PH_FRESH_MS
 * may meet the NAT's old state and hear what was true then. So it verifies nothing, and its
 * agreement does not outweigh a fresh flow's dissent.
 */

#include "mapping_internal.h"

#define CONNECT_MS 3000u
#define HEDGE_MS   500u
#define ACCEPT_MS  3000u
#define ROUND_MS   6000u /* after this nobody else is asked in one round */

/* How often a holder's death may start a round: four times at once, in the long run every 5 s. The
 * bucket is kept as the time at which it is full again (the generic cell rate algorithm). */
#define STORM_EVERY_MS 5000u
#define STORM_BURST_MS (UINT64_C(3) * STORM_EVERY_MS)

void round_end(struct ph_mapping *m)
{
	m->round = (struct round){ .hedge_ms = UINT64_MAX, .accept_ms = UINT64_MAX };
}

bool round_same_host(const struct ph_endpoint *a, const struct ph_endpoint *b)
{
	return ph_address_equal(&a->address, &b->address);
}

bool round_learned(const struct ph_mapping *m, const struct ph_endpoint *e)
{
	return m->learned.port && ph_endpoint_equal(e, &m->learned);
}

void round_reset(struct ph_mapping *m, uint64_t now_ms)
{
	round_end(m);
	m->probe_due_ms = now_ms;
	m->suspect_ms = UINT64_MAX;
	m->storm_ms = 0;
	m->probe_failures = 0;
	m->disputes = 0;
	m->dependent_tries = 0;
	m->independence = PH_INDEPENDENCE_UNKNOWN;
	m->learned = m->former = (struct ph_endpoint){ 0 };
	m->learned_ms = 0;
	m->verified_ms = 0;
}

void round_forget(struct ph_mapping *m, uint64_t now_ms)
{
	round_end(m);
	m->learned = m->former = (struct ph_endpoint){ 0 };
	m->independence = PH_INDEPENDENCE_UNKNOWN;
	want_no_public(m);
	m->suspect_ms = UINT64_MAX;
	m->probe_due_ms = now_ms;
}

static void add_vote(struct ph_mapping *m, const struct vote *vote, uint64_t now_ms)
{
	struct round *r = &m->round;
	unsigned i = 0;

	while (i < r->n && !round_same_host(&r->votes[i].by, &vote->by))
		i++;
	if (i == VOTES_MAX)
		return;
	r->votes[i] = *vote;
	if (i < r->n)
		return;
	if (r->n++ == 0)
		r->accept_ms = now_ms + ACCEPT_MS;
}

static void round_begin(struct ph_mapping *m, uint64_t now_ms)
{
	bool wide = m->suspect_ms <= now_ms || m->learned.port == 0 || m->disputes > 0 ||
		    m->independence != PH_INDEPENDENT;

	round_end(m);
	m->round.active = true;
	m->round.wide = wide;
	m->round.started_ms = now_ms;
	m->probe_due_ms = UINT64_MAX;
	if (m->suspect_ms <= now_ms)
		m->suspect_ms = UINT64_MAX;
	/* Nobody asks the UDP holder's own server: what it said last is its vote, as long as it is
	 * not known that all servers say the same. */
	if (m->config.proto == PH_UDP && m->flows[0].answers > 0 &&
	    m->independence != PH_INDEPENDENT)
		add_vote(m, &(struct vote){ .said = m->holder_said, .by = m->flows[0].server },
			 now_ms);
}

void round_suspect(struct ph_mapping *m, uint64_t now_ms)
{
	if (m->learned.port == 0 || m->suspect_ms != UINT64_MAX)
		return; /* it is being asked anyhow */
	if (m->round.active && m->round.wide) {
		m->round.again = true;
		return;
	}
	m->suspect_ms = now_ms;
	if (m->storm_ms > now_ms + STORM_BURST_MS)
		m->suspect_ms = m->storm_ms - STORM_BURST_MS;
	m->storm_ms = (m->storm_ms > now_ms ? m->storm_ms : now_ms) + STORM_EVERY_MS;
}

/* ---- whom to ask ---- */

static bool asking(const struct ph_mapping *m, unsigned flow)
{
	const struct flow *f = &m->flows[flow];

	if (f->state == FLOW_CLOSED)
		return false;
	if (!mapping_is_holder(flow))
		return true;
	/* Over UDP the holder's first transaction is one of those that ask. */
	return m->config.proto == PH_UDP && f->answers == 0;
}

/*
 * The next server to be asked: none that has voted or is being asked. Over UDP not the holder's
 * own: there the flow is the holder's, and its answer tells what the NAT made of that one, long
 * ago.
 */
static struct ph_candidate *pick(const struct ph_mapping *m, uint64_t now_ms)
{
	struct ph_endpoint avoid[VOTES_MAX + PH_FLOWS];
	size_t n = 0;

	for (unsigned i = 0; i < m->round.n; i++)
		avoid[n++] = m->round.votes[i].by;
	for (unsigned i = 0; i < PH_FLOWS; i++)
		if (asking(m, i) || (m->config.proto == PH_UDP && m->flows[i].state != FLOW_CLOSED))
			avoid[n++] = m->flows[i].server;
	return ph_pool_pick(&m->pools[PH_SERVER_STUN], now_ms, m->installed, avoid, n);
}

static unsigned free_flow(const struct ph_mapping *m)
{
	for (unsigned i = PH_FLOW_HOLDERS; i < PH_FLOWS; i++)
		if (m->flows[i].state == FLOW_CLOSED)
			return i;
	return PH_FLOWS;
}

/* Those that were asked in this round and may be expected to answer; when the first is late. */
static unsigned expected(const struct ph_mapping *m, uint64_t now_ms, uint64_t *ret_hedge_ms)
{
	unsigned n = 0;

	*ret_hedge_ms = UINT64_MAX;
	for (unsigned i = 0; i < PH_FLOWS; i++) {
		uint64_t late_ms = m->flows[i].opened_ms + HEDGE_MS;

		if (!asking(m, i) || m->flows[i].opened_ms < m->round.started_ms ||
		    late_ms <= now_ms)
			continue;
		if (late_ms < *ret_hedge_ms)
			*ret_hedge_ms = late_ms;
		n++;
	}
	return n;
}

/* Asks as many as are needed. Returns true if any answer is to be expected. */
static bool ask(struct ph_mapping *m, uint64_t now_ms, struct ph_actions *actions)
{
	unsigned need = m->round.n == 0 && m->round.wide ? 2 : 1;

	while (expected(m, now_ms, &m->round.hedge_ms) < need &&
	       now_ms - m->round.started_ms < ROUND_MS) {
		struct ph_candidate *c = pick(m, now_ms);
		unsigned flow = free_flow(m);

		if (!c || flow == PH_FLOWS)
			break;
		mapping_open(m, flow, c, CONNECT_MS, now_ms, actions);
	}
	/* Over UDP the holder goes from server to server on its own: with many of them one is
	 * always being asked, and the round would never end. */
	for (unsigned i = 0; i < PH_FLOWS; i++)
		if (asking(m, i) && m->flows[i].opened_ms < m->round.started_ms + ROUND_MS)
			return true;
	return false;
}

/* Servers that could not be asked yet: their names are being looked up, or the table lacks them. */
static bool more_to_come(const struct ph_mapping *m)
{
	const struct ph_pool *pool = &m->pools[PH_SERVER_STUN];

	for (size_t i = 0; i < pool->n; i++)
		if (pool->items[i].generation > m->installed)
			return true;
	return mapping_looking_up(m, PH_SERVER_STUN);
}

bool round_can_verify(const struct ph_mapping *m)
{
	const struct ph_pool *pool = &m->pools[PH_SERVER_STUN];
	size_t need = (PH_FRESH_MS + m->config.verify_ms - 1) / m->config.verify_ms;
	size_t n = 0;

	for (size_t i = 0; i < pool->n; i++)
		if (pool->items[i].failures < 3)
			n++;
	/* Over UDP one of them is the holder's. */
	return n >= need + (m->config.proto == PH_UDP);
}

static void go_on(struct ph_mapping *m, uint64_t now_ms, struct ph_actions *actions)
{
	const struct round *r = &m->round;
	const struct ph_endpoint *said = verdict_agreed(m, r->n == VOTES_MAX);

	if (!said && r->n < VOTES_MAX) {
		bool waiting = ask(m, now_ms, actions);

		if (r->n == 1)
			waiting = (waiting || more_to_come(m)) && now_ms < r->accept_ms;
		if (waiting)
			return;
		said = verdict_agreed(m, true);
	}
	verdict_end(m, said, now_ms, actions);
}

void round_report(struct ph_mapping *m, struct ph_actions *actions)
{
	if (m->state != PH_MAPPING_UP || m->said_cannot_verify || more_to_come(m) ||
	    round_can_verify(m))
		return;
	m->said_cannot_verify = true;
	mapping_note(actions, PH_NOTE_CANNOT_VERIFY);
}

void round_settle(struct ph_mapping *m, uint64_t now_ms, struct ph_actions *actions)
{
	if (mapping_open_holders(m) > 0)
		m->held_ms = now_ms;
	/* A question that was asked before the suspicion arose does not allay it. */
	if (m->suspect_ms <= now_ms && !(m->round.active && m->round.wide))
		round_begin(m, now_ms);
	if (!m->round.active && m->probe_due_ms <= now_ms)
		round_begin(m, now_ms);
	if (m->round.active)
		go_on(m, now_ms, actions);
}

uint64_t round_deadline(const struct ph_mapping *m)
{
	uint64_t at = m->round.active ? UINT64_MAX : m->probe_due_ms;

	if (m->suspect_ms < at && !(m->round.active && m->round.wide))
		at = m->suspect_ms;
	if (!m->round.active)
		return at;
	if (m->round.hedge_ms < at)
		at = m->round.hedge_ms;
	return m->round.n == 1 && m->round.accept_ms < at ? m->round.accept_ms : at;
}

/* ---- answers ---- */

/*
 * Over UDP, and with too few servers: after a NAT has moved the mapping while old flows go on,
 * their servers tell the former endpoint for as long as they are used. The holder's own flow, which
 * is younger, knows better.
 */
static bool stale(const struct ph_mapping *m, const struct vote *vote, uint64_t now_ms)
{
	return m->config.proto == PH_UDP && m->former.port && !vote->fresh &&
	       ph_endpoint_equal(&vote->said, &m->former) &&
	       ph_endpoint_equal(&m->holder_said, &m->learned) &&
	       now_ms - m->learned_ms < PH_FRESH_MS;
}

/* An answer that no round waits for. Returns true if it calls for one. */
static bool news(struct ph_mapping *m, const struct vote *vote, uint64_t now_ms)
{
	if (m->learned.port == 0)
		return m->independence != PH_DEPENDENT;
	if (!round_learned(m, &vote->said) || m->state == PH_MAPPING_LOST)
		return true;
	if (m->independence != PH_INDEPENDENT && !round_same_host(&vote->by, &m->learned_by))
		return true;
	if (vote->fresh)
		m->verified_ms = now_ms;
	return false;
}

void round_answer(struct ph_mapping *m, unsigned flow, const struct vote *answer, bool first,
		  uint64_t asked_ms, uint64_t now_ms, struct ph_actions *actions)
{
	struct ph_candidate *c = ph_pool_find(&m->pools[PH_SERVER_STUN], &answer->by);
	bool known = round_learned(m, &answer->said);

	if (m->state == PH_MAPPING_LOST)
		mapping_forgive(m, now_ms);
	if (m->config.proto == PH_UDP && !mapping_is_holder(flow) && c)
		holder_overtake(m, c, now_ms, actions);
	if (mapping_is_holder(flow) && !first && known)
		return;
	if (stale(m, answer, now_ms)) {
		/* Left alone, the NAT forgets the flow, and the server is fresh again. */
		if (c)
			c->retry_ms = now_ms + PH_FRESH_MS;
		return;
	}
	if (!m->round.active) {
		if (!news(m, answer, now_ms))
			return;
		round_begin(m, now_ms);
		m->round.wide = true;
	} else if (known && m->round.wide && asked_ms < m->round.started_ms) {
		return; /* it tells of the time before */
	}
	if (m->learned.port && !known && m->round.n == 0) {
		struct ph_action *note = mapping_note(actions, PH_NOTE_UNCONFIRMED);

		note->server = answer->by;
		note->public_endpoint = answer->said;
	}
	add_vote(m, answer, now_ms);
}
