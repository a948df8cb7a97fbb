/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * What the answers of a round mean together, and what follows from that; the table is at the head
 * of round.c.
 */

#include "mapping_internal.h"

#define RECHECK_MS 1000u
#define LOST_MS    2000u /* without a holder, before silence means that the mapping is lost */
#define LOST_AFTER 3u    /* failed probes in a row */

/* A single server's word is checked again this soon. */
#define SINGLE_MS 10000u

#define DEPENDENT_FIRST_MS 10000u
#define DEPENDENT_MAX_MS   300000u

#define DISPUTES_MAX 2u
#define DISPUTES_UP_MAX                                                          \
	3u /* two servers have agreed before: it takes more to believe otherwise \
	    */

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
			counted = counted || round_same_host(&r->votes[i].by, &m->learned_by);
	}
	for (unsigned i = 0; i < r->n; i++)
		if (ph_endpoint_equal(&r->votes[i].said, said))
			n++;
	return n + (round_learned(m, said) && !counted);
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
		if (m->round.votes[i].fresh && !round_learned(m, &m->round.votes[i].said))
			return true;
	return false;
}

const struct ph_endpoint *verdict_agreed(const struct ph_mapping *m, bool last)
{
	for (unsigned i = 0; i < m->round.n; i++) {
		const struct ph_endpoint *said = &m->round.votes[i].said;

		if (support(m, said) < 2)
			continue;
		/* It may be the NAT's old state that agrees. */
		if (!last && round_learned(m, said) && !said_fresh(m, said) && fresh_dissent(m))
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

static void learn(struct ph_mapping *m, const struct vote *vote, uint64_t now_ms,
		  struct ph_actions *actions)
{
	m->former = m->learned;
	m->learned = vote->said;
	m->learned_by = vote->by;
	m->learned_ms = now_ms;
	/* Holders that are older than the question may hold another binding, even at the first. */
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
	bool again = r.again && round_learned(m, said);
	bool unanimous = true;

	if (!round_learned(m, said))
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
	holder_move(m, &vote.by, now_ms, actions);
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
		if (!round_same_host(&pool->items[i].endpoint, by))
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
	if (!round_learned(m, &vote.said)) {
		learn(m, &vote, now_ms, actions);
		m->independence = PH_INDEPENDENCE_UNKNOWN;
	}
	holder_move(m, &vote.by, now_ms, actions);
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

void verdict_end(struct ph_mapping *m, const struct ph_endpoint *said, uint64_t now_ms,
		 struct ph_actions *actions)
{
	if (said)
		end_agreed(m, said, now_ms, actions);
	else if (m->round.n > 1)
		end_disputed(m, now_ms, actions);
	else if (m->round.n == 1)
		end_single(m, now_ms, actions);
	else
		end_silent(m, now_ms, actions);
}
