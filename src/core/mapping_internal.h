/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The inside of a mapping, shared by its files: mapping.c (life), want.c (table and announcements),
 * reconfigure.c, view.c, holder.c, probe.c (transactions), round.c (whom to ask), verdict.c (what
 * the answers mean).
 */

#include <pinhold/http.h>
#include <pinhold/mapping.h>
#include <pinhold/pool.h>
#include <pinhold/stun.h>

enum flow_state { FLOW_CLOSED, FLOW_CONNECTING, FLOW_OPEN };

struct flow {
	enum flow_state state;
	struct ph_endpoint server;
	uint64_t opened_ms;
	uint64_t asked_ms;    /* when the last request began; before that as opened_ms */
	uint64_t deadline_ms; /* CONNECTING: give up; OPEN: next request, or give up waiting */
	uint32_t rtt_ms;      /* of the last request that was answered; UINT32_MAX: none was */
	unsigned answers;
	bool fresh;            /* the server was fresh when the flow was opened */
	bool awaiting;         /* a request is unanswered */
	struct ph_stun_tx *tx; /* while a transaction is under way */
};

struct lookup {
	uint64_t due_ms; /* UINT64_MAX: not before a server fails */
	uint32_t done_s; /* when it was answered last */
	uint8_t failures;
	bool busy;
};

/* One server's answer. */
struct vote {
	struct ph_endpoint said;
	struct ph_endpoint by;
	bool fresh;
};

#define VOTES_MAX 3u

/* A question to several servers: see round.c. */
struct round {
	bool active;
	bool wide;  /* two servers are asked at once, else one */
	bool again; /* something happened meanwhile that asks for another round */
	unsigned n; /* votes */
	uint64_t started_ms;
	uint64_t hedge_ms;  /* when another server is asked beside those that have not answered */
	uint64_t accept_ms; /* when a single answer is taken for true */
	struct vote votes[VOTES_MAX];
};

struct ph_mapping {
	struct ph_mapping_config config;
	enum ph_mapping_state state;
	enum ph_mapping_state state_seen;
	uint64_t state_since_ms;
	uint32_t seed; /* for choices that need no secrecy */

	char interface[PH_INTERFACE_MAX + 1];
	int index;
	struct ph_endpoint private_endpoint; /* port 0: no address */
	uint16_t bind_port;
	unsigned bind_tries;
	uint64_t bind_retry_ms;

	struct lookup lookups[2][PH_SERVERS_MAX]; /* by ph_server_kind */
	struct ph_pool pools[2];

	struct flow flows[PH_FLOWS];
	struct ph_http_reader http[PH_FLOW_HOLDERS];
	uint64_t holder_due_ms[PH_FLOW_HOLDERS];

	struct round round;
	uint64_t probe_due_ms; /* when the next round begins */
	uint64_t suspect_ms;   /* when one begins because of suspicion; UINT64_MAX: there is none */
	uint64_t storm_ms;     /* the bucket of such rounds: see round.c */
	uint64_t held_ms;      /* when a holder was open last */
	unsigned probe_failures; /* in a row, all servers */
	unsigned disputes;       /* rounds in a row whose answers did not agree */
	unsigned dependent_tries;

	enum ph_independence independence;
	struct ph_endpoint learned;    /* what the servers say; port 0: nothing yet */
	struct ph_endpoint learned_by; /* whose word alone it is while independence is UNKNOWN */
	struct ph_endpoint former;     /* what was learned before, since learned_ms */
	uint64_t learned_ms;
	uint64_t verified_ms;
	struct ph_endpoint holder_said; /* UDP: the holder's last answer */

	uint64_t generation; /* of the want */
	uint64_t installed;
	uint64_t public_generation; /* the first want with public_endpoint */
	struct ph_endpoint public_endpoint;
	struct ph_endpoint announced; /* port 0: the hooks know of none */
	struct ph_endpoint announced_private;
	struct ph_endpoint announced_last; /* the last one that was */
	uint64_t endpoint_since_ms;
	unsigned changes;
	size_t n_peers, room_peers;
	uint64_t peers_generation; /* the first want with these */
	struct ph_endpoint *peers; /* owned */

	bool said_one_holder;
	bool said_dependent;
	bool said_cannot_verify;
	bool said_loop; /* of this one */
};

/* The server index of the candidate that came by ALTERNATE-SERVER: no server of the list. */
#define ALTERNATE_INDEX PH_SERVERS_MAX

/* mapping.c */

struct ph_action *mapping_emit(struct ph_actions *actions, enum ph_action_type type);
struct ph_action *mapping_note(struct ph_actions *actions, enum ph_note note);
bool mapping_is_holder(unsigned flow);
unsigned mapping_open_holders(const struct ph_mapping *m);
uint32_t mapping_random(struct ph_mapping *m);
const struct ph_server_list *mapping_servers(const struct ph_mapping *m, enum ph_server_kind kind);
/* Whether the mapping uses servers of this kind at all: UDP needs no keep-alive servers. */
bool mapping_needs(const struct ph_mapping *m, enum ph_server_kind kind);
bool mapping_looking_up(const struct ph_mapping *m, enum ph_server_kind kind);
/* The candidate that the flow goes to; NULL: it is one no more. */
struct ph_candidate *mapping_candidate(const struct ph_mapping *m, unsigned flow);
/* Opens a flow to a candidate; the event CONNECTED or CLOSED follows. */
void mapping_open(struct ph_mapping *m, unsigned flow, struct ph_candidate *c, uint32_t patience_ms,
		  uint64_t now_ms, struct ph_actions *actions);
/* Forgets a flow, and aborts it unless it is gone already. */
void mapping_close(struct ph_mapping *m, unsigned flow, bool gone, uint64_t now_ms,
		   struct ph_actions *actions);
/* A server of the pool has failed, as note says; asks DNS again where that may help. */
void mapping_server_failed(struct ph_mapping *m, enum ph_server_kind kind,
			   const struct ph_endpoint *server, uint64_t now_ms,
			   struct ph_action *note);
/* What failed before may work now. */
void mapping_forgive(struct ph_mapping *m, uint64_t now_ms);
/* The addresses of a server, as ph_pool_set(), and room for them among the peers. */
int mapping_set_addresses(struct ph_mapping *m, enum ph_server_kind kind, size_t index,
			  uint16_t port, const struct ph_address *addresses, size_t n);

/* want.c */

/* Room for n further candidates. 0 or -ENOMEM. */
int want_reserve(struct ph_mapping *m, size_t n);
/* The peers have changed: a new want. */
void want_peers_changed(struct ph_mapping *m);
/* The public endpoint is not known any more: a new want that lets nobody in. */
void want_no_public(struct ph_mapping *m);
void want_announce(struct ph_mapping *m, enum ph_announce what, uint64_t now_ms,
		   struct ph_actions *actions);
/* The target is the mapping's own endpoint: nobody is let in. */
bool want_is_loop(const struct ph_mapping *m);
/* The want's public endpoint follows what was learned; who is to hear of it is told. */
void want_settle(struct ph_mapping *m, uint64_t now_ms, struct ph_actions *actions);

/* reconfigure.c */
void mapping_reconfigure(struct ph_mapping *m, const struct ph_mapping_config *config,
			 uint64_t now_ms);

/* probe.c */

void probe_connected(struct ph_mapping *m, unsigned flow, const struct ph_event *event,
		     uint64_t now_ms, struct ph_actions *actions);
void probe_bytes(struct ph_mapping *m, unsigned flow, const struct ph_event *event, uint64_t now_ms,
		 struct ph_actions *actions);
void probe_tick(struct ph_mapping *m, unsigned flow, const struct ph_event *event, uint64_t now_ms,
		struct ph_actions *actions);
/* The flow's transaction has failed: reason or error. */
void probe_failed(struct ph_mapping *m, unsigned flow, int error, const char *reason, bool gone,
		  uint64_t now_ms, struct ph_actions *actions);

/* Ends the flow's transaction, if there is one. */
void probe_end(struct flow *f);

/* round.c */

/* An answer on `flow`, which asked at asked_ms. */
void round_answer(struct ph_mapping *m, unsigned flow, const struct vote *answer, bool first,
		  uint64_t asked_ms, uint64_t now_ms, struct ph_actions *actions);
/* A holder has died: the NAT may have moved the mapping. */
void round_suspect(struct ph_mapping *m, uint64_t now_ms);
void round_settle(struct ph_mapping *m, uint64_t now_ms, struct ph_actions *actions);
/* Says once that there are too few servers to verify. */
void round_report(struct ph_mapping *m, struct ph_actions *actions);
void round_end(struct ph_mapping *m);
bool round_same_host(const struct ph_endpoint *a, const struct ph_endpoint *b);
/* Whether e is what was learned. */
bool round_learned(const struct ph_mapping *m, const struct ph_endpoint *e);
/* When round_settle() has something to do by the passing of time. */
uint64_t round_deadline(const struct ph_mapping *m);
/* Everything begins anew. */
void round_reset(struct ph_mapping *m, uint64_t now_ms);
/* What was learned may not be true any more: it is asked anew, at once. */
void round_forget(struct ph_mapping *m, uint64_t now_ms);
bool round_can_verify(const struct ph_mapping *m);

/* verdict.c */

/* The endpoint that the votes agree on, or NULL. last: no further vote is to be had. */
const struct ph_endpoint *verdict_agreed(const struct ph_mapping *m, bool last);
/* The round ends with what they agree on; NULL: with what votes there are. */
void verdict_end(struct ph_mapping *m, const struct ph_endpoint *said, uint64_t now_ms,
		 struct ph_actions *actions);

/* holder.c */

void holder_connected(struct ph_mapping *m, unsigned flow, const struct ph_event *event,
		      uint64_t now_ms, struct ph_actions *actions);
void holder_bytes(struct ph_mapping *m, unsigned flow, const struct ph_event *event,
		  uint64_t now_ms, struct ph_actions *actions);
void holder_tick(struct ph_mapping *m, unsigned flow, const struct ph_event *event, uint64_t now_ms,
		 struct ph_actions *actions);
void holder_lost(struct ph_mapping *m, unsigned flow, int error, const char *reason, bool gone,
		 uint64_t now_ms, struct ph_actions *actions);
void holder_settle(struct ph_mapping *m, uint64_t now_ms, struct ph_actions *actions);
/* Says once that there is no server for a second holder. */
void holder_report(struct ph_mapping *m, struct ph_actions *actions);
/* Every holder that was opened before since_ms is opened anew: the binding that the old ones keep
 * alive is no longer the mapping's. */
void holder_renew(struct ph_mapping *m, uint64_t since_ms, uint64_t now_ms,
		  struct ph_actions *actions);
/* UDP: `c` answers while the holder's first request is still unanswered: the holder goes there. */
void holder_overtake(struct ph_mapping *m, struct ph_candidate *c, uint64_t now_ms,
		     struct ph_actions *actions);
/* UDP: a holder whose flow has another public endpoint holds nothing. It goes where the right one
 * was heard, because that flow is sure to keep it alive. */
void holder_move(struct ph_mapping *m, const struct ph_endpoint *to, uint64_t now_ms,
		 struct ph_actions *actions);
/* UDP: the holder is given up until then. */
void holder_pause(struct ph_mapping *m, uint64_t until_ms, uint64_t now_ms,
		  struct ph_actions *actions);
