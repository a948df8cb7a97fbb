/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The inside of a mapping, shared by mapping.c (life, table, announcements), holder.c and probe.c.
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
	uint64_t deadline_ms; /* CONNECTING: give up; OPEN: next request, or give up waiting */
	bool awaiting;        /* a request is unanswered */
	unsigned answers;
	struct ph_http_reader http;
	struct ph_stun_tx *tx; /* while a transaction is under way */
};

struct lookup {
	bool busy;
	uint8_t failures;
	uint64_t due_ms; /* UINT64_MAX: not before a server fails */
	uint64_t done_ms;
};

struct ph_mapping {
	struct ph_mapping_config config;
	enum ph_mapping_state state;
	uint32_t seed; /* for choices that need no secrecy */

	char interface[PH_INTERFACE_MAX + 1];
	struct ph_endpoint private_endpoint; /* port 0: no address */
	uint16_t bind_port;
	unsigned bind_tries;
	uint64_t bind_retry_ms;

	struct lookup lookups[2][PH_SERVERS_MAX]; /* by ph_server_kind */
	struct ph_pool pools[2];

	struct flow flows[PH_FLOWS];
	uint64_t holder_due_ms[PH_FLOW_HOLDERS];
	uint64_t probe_due_ms;
	uint64_t probe_started_ms;
	unsigned probe_failures; /* in a row, all servers */

	struct ph_endpoint learned;     /* what the servers say; port 0: nothing yet */
	struct ph_endpoint unconfirmed; /* what one server says instead; port 0: nothing */
	struct ph_endpoint unconfirmed_by;

	uint64_t generation; /* of the want */
	uint64_t installed;
	uint64_t public_generation; /* the first want with public_endpoint */
	struct ph_endpoint public_endpoint;
	struct ph_endpoint announced; /* port 0: the hooks know of none */
	struct ph_endpoint announced_private;
	size_t n_peers;
	struct ph_endpoint peers[2 * PH_CANDIDATES_MAX];

	unsigned refuted; /* one server's other answers that the next server did not confirm, in a
			     row */

	bool said_one_holder;
	bool said_dependent;
};

/* The server index of the candidate that came by ALTERNATE-SERVER: no server of the list. */
#define ALTERNATE_INDEX PH_SERVERS_MAX

struct ph_action *mapping_emit(struct ph_actions *actions, enum ph_action_type type);
struct ph_action *mapping_note(struct ph_actions *actions, enum ph_note note);
bool mapping_is_holder(unsigned flow);
unsigned mapping_open_holders(const struct ph_mapping *m);
uint32_t mapping_random(struct ph_mapping *m);

/* Opens a flow to server; the event CONNECTED or CLOSED follows. */
void mapping_open(struct ph_mapping *m, unsigned flow, const struct ph_endpoint *server,
		  uint32_t patience_ms, uint64_t now_ms, struct ph_actions *actions);
/* Forgets a flow, and aborts it unless it is gone already. */
void mapping_close(struct ph_mapping *m, unsigned flow, bool gone, struct ph_actions *actions);
/* The peers have changed: a new want. */
void mapping_peers_changed(struct ph_mapping *m);
/* A server of the pool has failed, as note says; asks DNS again where that may help. */
void mapping_server_failed(struct ph_mapping *m, enum ph_server_kind kind,
			   const struct ph_endpoint *server, uint64_t now_ms,
			   struct ph_action *note);

void probe_connected(struct ph_mapping *m, unsigned flow, const struct ph_event *event,
		     uint64_t now_ms, struct ph_actions *actions);
void probe_bytes(struct ph_mapping *m, unsigned flow, const struct ph_event *event, uint64_t now_ms,
		 struct ph_actions *actions);
void probe_tick(struct ph_mapping *m, unsigned flow, const struct ph_event *event, uint64_t now_ms,
		struct ph_actions *actions);
/* The flow's probe has failed: reason or error. */
void probe_failed(struct ph_mapping *m, unsigned flow, int error, const char *reason, bool gone,
		  uint64_t now_ms, struct ph_actions *actions);
/* Starts what is due. */
void probe_settle(struct ph_mapping *m, uint64_t now_ms, struct ph_actions *actions);
/* A probe as soon as the last one is old enough not to make a storm. */
void probe_soon(struct ph_mapping *m, uint64_t now_ms);

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
/* Every holder is opened anew: the binding that the old ones keep alive is no longer the mapping's.
 */
void holder_renew(struct ph_mapping *m, uint64_t now_ms, struct ph_actions *actions);
