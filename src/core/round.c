/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Rounds: one question to several servers, each on a flow of its own from the bind port, and what
 * their answers mean together. An answer is a vote for an endpoint; two servers of different
 *address make a majority, and what was learned from two earlier counts as one.
 *
 *	begins   nothing is learned; `verify` has passed; a holder has died (suspicion); an answer
 *	         that nobody waited for says something new
 *	asks     two servers at once, one if it is but `verify`'s turn; one more for each that has
 *not answered in HEDGE_MS, as long as there are free flows and servers ends     two agree learned,
 *or verified one vote, nobody left to ask or ACCEPT_MS since it        learned from one server;
 *independence is unknown they disagree                once more after RECHECK_MS, then dependent:
 *nothing is announced, tried again slowly no vote, nobody left         again when a server may be
 *asked; lost if nothing holds
 *
 * The servers used longest ago are asked first. A flow to one that was in use within PH_FRESH_MS
 *may meet the NAT's old state and hear what was true then, so it verifies nothing, and its
 *agreement does not outweigh a fresh flow's dissent.
 */

#include <errno.h>

#include "mapping_internal.h"

#define CONNECT_MS 3000u
#define HEDGE_MS   500u
#define ACCEPT_MS  3000u
#define RECHECK_MS 1000u
#define ROUND_MS   6000u /* after this nobody else is asked in one round */
#define LOST_MS    2000u /* without a holder, before silence means that the mapping is lost */
#define LOST_AFTER 3u    /* failed probes in a row */

/* How often a holder's death may start a round: four times at once, in the long run every 5 s. The
 * bucket is kept as the time at which it is full again (the generic cell rate algorithm). */
#define STORM_EVERY_MS 5000u
#define STORM_BURST_MS (3 * STORM_EVERY_MS)

/* A single server's word is checked again this soon. */
#define SINGLE_MS 10000u

#define DEPENDENT_FIRST_MS 10000u
#define DEPENDENT_MAX_MS   300000u

#define DISPUTES_MAX 2u
#define DISPUTES_UP_MAX                                                          \
	3u /* two servers have agreed before: it takes more to believe otherwise \
	    */

static void round_end(struct ph_mapping *m)
{
	m->round = (struct round){ .hedge_ms = UINT64_MAX, .accept_ms = UINT64_MAX };
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

static bool same_host(const struct ph_endpoint *a, const struct ph_endpoint *b)
{
	return ph_address_equal(&a->address, &b->address);
}

static bool is_learned(const struct ph_mapping *m, const struct ph_endpoint *e)
{
	return m->learned.port && ph_endpoint_equal(e, &m->learned);
}

static void add_vote(struct ph_mapping *m, const struct vote *vote, uint64_t now_ms)
{
	struct round *r = &m->round;
	unsigned i = 0;

	while (i < r->n && !same_host(&r->votes[i].by, &vote->by))
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
	for (unsigned i = 0; i < PH_FLOWS; i++)
		if (asking(m, i))
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

/* ---- what the answers mean ---- */

/* How many say so. What was learned speaks for itself, unless it is the word of a server that has a
 * vote already. */
static unsigned support(const struct ph_mapping *m, const struct ph_endpoint *said)
{
	const struct round *r = &m->round;
	bool counted = m->independence != PH_INDEPENDENT;
	unsigned n = 0;

	if (counted && m->learned.port) {
		counted = false;
		for (unsigned i = 0; i < r->n; i++)
			counted = counted || same_host(&r->votes[i].by, &m->learned_by);
	}
	for (unsigned i = 0; i < r->n; i++)
		if (ph_endpoint_equal(&r->votes[i].said, said))
			n++;
	return n + (is_learned(m, said) && !counted);
}

static bool said_fresh(const struct ph_mapping *m, const struct ph_endpoint *said)
{
	for (unsigned i = 0; i < m->round.n; i++)
		if (m->round.votes[i].fresh && ph_endpoint_equal(&m->round.votes[i].said, said))
			return true;
	return false;
}

static bool fresh_dissent(const struct ph_mapping *m)
{
	for (unsigned i = 0; i < m->round.n; i++)
		if (m->round.votes[i].fresh && !is_learned(m, &m->round.votes[i].said))
			return true;
	return false;
}

/* The endpoint that the votes agree on, or NULL. last: no further vote is to be had. */
static const struct ph_endpoint *agreed(const struct ph_mapping *m, bool last)
{
	for (unsigned i = 0; i < m->round.n; i++) {
		const struct ph_endpoint *said = &m->round.votes[i].said;

		if (support(m, said) < 2)
			continue;
		/* It may be the NAT's old state that agrees. */
		if (!last && is_learned(m, said) && !said_fresh(m, said) && fresh_dissent(m))
			continue;
		return said;
	}
	return NULL;
}

static void blame(struct ph_mapping *m, const struct vote *vote, uint64_t now_ms,
		  struct ph_actions *actions)
{
	static const char why[] = "its answer agrees with no other server's";
	struct ph_action *note;

	if (m->config.proto == PH_UDP && m->flows[0].state != FLOW_CLOSED &&
	    ph_endpoint_equal(&m->flows[0].server, &vote->by)) {
		holder_lost(m, 0, 0, why, false, now_ms, actions);
		return;
	}
	note = mapping_note(actions, PH_NOTE_PROBE_FAILED);
	note->server = vote->by;
	note->reason = why;
	mapping_server_failed(m, PH_SERVER_STUN, &vote->by, now_ms, note);
}

/* Over UDP a holder whose flow has another public endpoint holds nothing: it goes where the right
 * one was heard, because that flow is sure to keep it alive. */
static void move_holder(struct ph_mapping *m, const struct ph_endpoint *to, uint64_t now_ms,
			struct ph_actions *actions)
{
	struct ph_candidate *c = ph_pool_find(&m->pools[PH_SERVER_STUN], to);

	if (m->config.proto != PH_UDP || !c)
		return;
	if (m->flows[0].answers > 0 && !is_learned(m, &m->holder_said))
		mapping_close(m, 0, false, now_ms, actions);
	if (m->flows[0].state != FLOW_CLOSED)
		return;
	mapping_open(m, 0, c, CONNECT_MS, now_ms, actions);
	m->holder_said = m->learned;
}

static void learn(struct ph_mapping *m, const struct vote *vote, uint64_t now_ms,
		  struct ph_actions *actions)
{
	/* At the very first the holders are as young as what is learned. */
	bool first = m->learned_ms == 0;

	m->former = m->learned;
	m->learned = vote->said;
	m->learned_by = vote->by;
	m->learned_ms = now_ms;
	if (!first)
		holder_renew(m, m->round.started_ms, now_ms, actions);
}

static void found(struct ph_mapping *m)
{
	m->disputes = 0;
	m->dependent_tries = 0;
	if (m->state == PH_MAPPING_LOST)
		m->state = PH_MAPPING_OPENING;
}

/* The vote that counts for said: a fresh one if there is any, else one that is not the UDP holder's
 * own old flow's. */
static struct vote vote_for(const struct ph_mapping *m, const struct ph_endpoint *said)
{
	const struct vote *best = NULL;

	for (unsigned i = 0; i < m->round.n; i++) {
		const struct vote *v = &m->round.votes[i];

		if (ph_endpoint_equal(&v->said, said) && (!best || (v->fresh && !best->fresh)))
			best = v;
	}
	return best ? *best : (struct vote){ 0 };
}

static void say_independent(struct ph_mapping *m, struct ph_actions *actions)
{
	if (!m->said_dependent)
		return;
	m->said_dependent = false;
	mapping_note(actions, PH_NOTE_INDEPENDENT)->public_endpoint = m->learned;
}

static void end_agreed(struct ph_mapping *m, const struct ph_endpoint *said, uint64_t now_ms,
		       struct ph_actions *actions)
{
	const struct round r = m->round;
	const struct vote vote = vote_for(m, said);
	bool again = r.again && is_learned(m, said);
	bool unanimous = true;

	if (!is_learned(m, said))
		learn(m, &vote, now_ms, actions);
	found(m);
	m->independence = PH_INDEPENDENT;
	say_independent(m, actions);
	if (vote.fresh)
		m->verified_ms = now_ms;
	round_end(m);
	for (unsigned i = 0; i < r.n; i++) {
		if (ph_endpoint_equal(&r.votes[i].said, &vote.said))
			continue;
		unanimous = false;
		if (vote.fresh)
			blame(m, &r.votes[i], now_ms, actions);
	}
	m->probe_due_ms = now_ms + m->config.verify_ms;
	/* Old flows that contradict each other: asking keeps them alive, and only fresh ones can
	 * tell.
	 */
	if (!unanimous && !vote.fresh && m->config.proto == PH_UDP &&
	    m->config.verify_ms < PH_FRESH_MS)
		m->probe_due_ms = now_ms + PH_FRESH_MS;
	move_holder(m, &vote.by, now_ms, actions);
	if (again)
		round_suspect(m, now_ms);
}

static uint64_t dependent_wait_ms(const struct ph_mapping *m)
{
	uint64_t ms = (uint64_t)DEPENDENT_FIRST_MS
		      << (m->dependent_tries < 5 ? m->dependent_tries : 5);

	return ms < DEPENDENT_MAX_MS ? ms : DEPENDENT_MAX_MS;
}

/* The servers disagree again and again: nobody outside can use the mapping. */
static void be_dependent(struct ph_mapping *m, uint64_t now_ms, struct ph_actions *actions)
{
	const struct vote vote = m->round.votes[m->round.n ? m->round.n - 1 : 0];
	uint64_t due_ms = now_ms + dependent_wait_ms(m);

	m->independence = PH_DEPENDENT;
	m->dependent_tries++;
	m->learned = m->former = (struct ph_endpoint){ 0 };
	want_no_public(m);
	m->state = PH_MAPPING_OPENING;
	if (!m->said_dependent) {
		struct ph_action *note = mapping_note(actions, PH_NOTE_DEPENDENT);

		m->said_dependent = true;
		note->server = vote.by;
		note->public_endpoint = vote.said;
	}
	if (m->announced.port)
		want_announce(m, PH_ANNOUNCE_DOWN, now_ms, actions);
	round_end(m);
	m->suspect_ms = UINT64_MAX;
	m->probe_due_ms = due_ms;
	/* Left alone, the NAT forgets the flow, and the next round finds it as it is then. */
	if (m->config.proto == PH_UDP)
		holder_pause(m, due_ms, now_ms, actions);
}

static void end_disputed(struct ph_mapping *m, uint64_t now_ms, struct ph_actions *actions)
{
	bool sure = m->learned.port && m->independence == PH_INDEPENDENT;

	m->disputes++;
	if (m->independence == PH_DEPENDENT ||
	    m->disputes >= (sure ? DISPUTES_UP_MAX : DISPUTES_MAX)) {
		be_dependent(m, now_ms, actions);
		return;
	}
	/* The NAT may have moved between two answers. */
	round_end(m);
	m->probe_due_ms = now_ms + RECHECK_MS;
}

/* There is a server at another address than `by`, whether it answers or not. */
static bool have_other(const struct ph_mapping *m, const struct ph_endpoint *by)
{
	const struct ph_pool *pool = &m->pools[PH_SERVER_STUN];

	for (size_t i = 0; i < pool->n; i++)
		if (!same_host(&pool->items[i].endpoint, by))
			return true;
	return false;
}

/* Nobody else answers: its word is taken. */
static void end_single(struct ph_mapping *m, uint64_t now_ms, struct ph_actions *actions)
{
	const struct vote vote = m->round.votes[0];
	uint64_t wait_ms = m->config.verify_ms < SINGLE_MS ? m->config.verify_ms : SINGLE_MS;

	if (m->independence == PH_DEPENDENT && have_other(m, &vote.by)) {
		/* One alone does not refute what two have shown. */
		be_dependent(m, now_ms, actions);
		return;
	}
	if (!is_learned(m, &vote.said)) {
		learn(m, &vote, now_ms, actions);
		m->independence = PH_INDEPENDENCE_UNKNOWN;
	}
	move_holder(m, &vote.by, now_ms, actions);
	found(m);
	if (vote.fresh)
		m->verified_ms = now_ms;
	round_end(m);
	m->probe_due_ms = now_ms + (have_other(m, &vote.by) ? wait_ms : m->config.verify_ms);
}

static void end_silent(struct ph_mapping *m, uint64_t now_ms, struct ph_actions *actions)
{
	bool udp = m->config.proto == PH_UDP && m->flows[0].state != FLOW_CLOSED;
	uint64_t due_ms =
		ph_pool_wait(&m->pools[PH_SERVER_STUN], m->installed, &m->flows[0].server, udp);
	bool held = mapping_open_holders(m) > 0;

	round_end(m);
	if (due_ms <= now_ms)
		due_ms = now_ms + RECHECK_MS; /* this round has lasted long enough */
	m->probe_due_ms = due_ms;
	if (held || m->probe_failures < LOST_AFTER || !m->announced.port)
		return;
	if (now_ms - m->held_ms < LOST_MS) {
		if (m->held_ms + LOST_MS < due_ms)
			m->probe_due_ms = m->held_ms + LOST_MS;
		return;
	}
	if (m->state != PH_MAPPING_LOST) {
		m->state = PH_MAPPING_LOST;
		mapping_note(actions, PH_NOTE_LOST);
	}
}

static void go_on(struct ph_mapping *m, uint64_t now_ms, struct ph_actions *actions)
{
	const struct round *r = &m->round;
	const struct ph_endpoint *said = agreed(m, r->n == VOTES_MAX);

	if (!said && r->n < VOTES_MAX) {
		bool waiting = ask(m, now_ms, actions);

		if (r->n == 1)
			waiting = (waiting || more_to_come(m)) && now_ms < r->accept_ms;
		if (waiting)
			return;
		said = agreed(m, true);
	}
	if (said)
		end_agreed(m, said, now_ms, actions);
	else if (r->n > 1)
		end_disputed(m, now_ms, actions);
	else if (r->n == 1)
		end_single(m, now_ms, actions);
	else
		end_silent(m, now_ms, actions);
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
	if (!is_learned(m, &vote->said) || m->state == PH_MAPPING_LOST)
		return true;
	if (m->independence != PH_INDEPENDENT && !same_host(&vote->by, &m->learned_by))
		return true;
	if (vote->fresh)
		m->verified_ms = now_ms;
	return false;
}

void round_answer(struct ph_mapping *m, unsigned flow, const struct vote *answer, bool first,
		  uint64_t asked_ms, uint64_t now_ms, struct ph_actions *actions)
{
	struct ph_candidate *c = ph_pool_find(&m->pools[PH_SERVER_STUN], &answer->by);
	bool known = is_learned(m, &answer->said);

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
