/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * One mapping as a state machine: holders that keep the NAT's binding alive, probes that ask which
 * public endpoint it has, and what the table ought to say. It does no I/O: the caller feeds it
 * events with the time, and carries out the actions it returns, in order. Its state table stands at
 * the head of core/mapping.c.
 */

#include <pinhold/plan.h>

#define PH_HOST_MAX    253 /* octets of a host name (RFC 1035 section 2.3.4), without NUL */
#define PH_SERVERS_MAX 16  /* servers of one kind in one mapping */

struct ph_server {
	char host[PH_HOST_MAX + 1]; /* a name, or a numeric address without brackets */
	uint16_t port;
};

/* Shared by mappings, hence counted; core/config.c makes them. */
struct ph_server_list {
	unsigned references;
	size_t n;
	struct ph_server items[PH_SERVERS_MAX];
};

enum ph_server_kind { PH_SERVER_STUN, PH_SERVER_KEEPALIVE };

struct ph_mapping_config {
	char name[PH_NAME_MAX + 1];
	enum ph_proto proto;
	enum ph_family family;
	uint16_t bind_first; /* 1..65535 */
	uint16_t bind_last;  /* >= bind_first; the candidates when a port is taken */
	bool bind_random;    /* try them in random order, else ascending */
	uint16_t bind_start; /* the candidate to begin with; 0: by the rule above */
	struct ph_target target;
	uint32_t interval_ms;              /* between a holder's requests */
	uint32_t verify_ms;                /* at the latest, a fresh probe on a fresh flow */
	const struct ph_server_list *stun; /* borrowed; must outlive the mapping */
	const struct ph_server_list *keepalive;
};

enum ph_mapping_state {
	PH_MAPPING_WAITING,   /* the interface has no address of the family */
	PH_MAPPING_RESOLVING, /* no server's address is known yet */
	PH_MAPPING_PREPARING, /* the table that protects our own flows is being installed */
	PH_MAPPING_OPENING,   /* holders and probes are under way */
	PH_MAPPING_UP,        /* the public endpoint is known and installed */
	PH_MAPPING_LOST,      /* was up; nothing holds it and no probe is answered */
	PH_MAPPING_STOPPED,
};

/* Flows: the connections of one mapping. Holders first, then probes. */
#define PH_FLOW_HOLDERS 2u
#define PH_FLOW_PROBES  4u /* two that are asked, and two more when those do not answer */
#define PH_FLOWS        (PH_FLOW_HOLDERS + PH_FLOW_PROBES)

enum ph_event_type {
	PH_EVENT_START,    /* once, first: random */
	PH_EVENT_ADDRESS,  /* interface, index, address: the interface's address now;
			      address.family 0: it has none. All as before: nothing happens */
	PH_EVENT_RESOLVED, /* kind, server, addresses, n_addresses; n_addresses 0: failed, reason */
	PH_EVENT_CONNECTED, /* flow, random: TCP's handshake is done, or the UDP socket exists */
	PH_EVENT_BYTES,     /* flow, bytes, len, from */
	/* flow, error (errno, 0: closed in order by the peer): the flow exists no more. at_bind:
	 * the bind port could not be had, so nothing was sent. */
	PH_EVENT_CLOSED,
	PH_EVENT_INSTALLED, /* generation: the kernel has acknowledged a table with this want or a
			       later one */
	PH_EVENT_TIMER,     /* random: ph_mapping_deadline() has come */
	PH_EVENT_CONFIG,    /* config: ph_mapping_reconfigure() */
	PH_EVENT_STOP,      /* the last one */
};

struct ph_event {
	enum ph_event_type type;
	unsigned flow;
	int error;
	bool at_bind;
	const uint8_t *bytes;
	size_t len;
	struct ph_endpoint from;
	enum ph_server_kind kind;
	size_t server;
	const struct ph_address *addresses;
	size_t n_addresses;
	const char *interface;
	int index; /* of the interface: one that was made anew has another */
	struct ph_address address;
	uint64_t generation;
	const struct ph_mapping_config *config;
	uint8_t random[16]; /* from the kernel's random source */
};

enum ph_action_type {
	PH_ACTION_RESOLVE, /* kind, server: look up the host's addresses of the mapping's family */
	PH_ACTION_OPEN,  /* flow, local, server; holder: let the kernel watch it (TCP keep-alive) */
	PH_ACTION_SEND,  /* flow, bytes, len: short enough for any socket buffer */
	PH_ACTION_CLOSE, /* flow: abort (RST), so that the address pair is free at once */
	PH_ACTION_ANNOUNCE, /* announce, public_endpoint, previous, local: tell hooks and publishers
			     */
	PH_ACTION_NOTE,     /* note, server, reason, public_endpoint: for the log */
};

enum ph_announce { PH_ANNOUNCE_UP, PH_ANNOUNCE_CHANGE, PH_ANNOUNCE_DOWN };

const char *ph_announce_name(enum ph_announce event); /* "up", "change" or "down" */

enum ph_note {
	PH_NOTE_HOLDER_OPEN,    /* server */
	PH_NOTE_HOLDER_FAILED,  /* server, reason or error: it never opened */
	PH_NOTE_HOLDER_LOST,    /* server, reason or error */
	PH_NOTE_PROBE_FAILED,   /* server, reason or error */
	PH_NOTE_RESOLVE_FAILED, /* reason; index in server_index */
	PH_NOTE_ONE_HOLDER,     /* there is only one keep-alive server address: said once */
	PH_NOTE_UNCONFIRMED,    /* server says public_endpoint; a second server is being asked */
	PH_NOTE_DEPENDENT,     /* servers disagree: the NAT's mapping is not endpoint-independent */
	PH_NOTE_INDEPENDENT,   /* after DEPENDENT: two servers tell the same again */
	PH_NOTE_CANNOT_VERIFY, /* too few STUN servers for a fresh one each `verify`: said once */
	PH_NOTE_BIND_NEXT,     /* local: the bind port was taken, this one is tried now */
	PH_NOTE_BIND_TAKEN, /* local: the bind port is taken, and there is no other; tried again */
	PH_NOTE_LOOP,       /* local, the mapping's own endpoint, is its target: said once a loop */
	PH_NOTE_LOST,       /* nothing holds the mapping any more */
};

struct ph_action {
	enum ph_action_type type;
	unsigned flow;
	bool holder;
	enum ph_server_kind kind;
	size_t server_index;
	struct ph_endpoint local;
	struct ph_endpoint server;
	enum ph_announce announce;
	struct ph_endpoint public_endpoint;
	struct ph_endpoint previous; /* port 0: none was announced before */
	enum ph_note note;
	bool repeated; /* the same server has failed before without an answer in between; BIND_...:
			* so much was said of taken ports that it is no news */
	int error;     /* errno, or 0 */
	const char *reason; /* constant string, or NULL */
	size_t len;
	uint8_t bytes[512];
};

/* One event answers with at most this many actions; the machine asserts it. */
#define PH_ACTIONS_MAX 64

struct ph_actions {
	size_t n;
	struct ph_action items[PH_ACTIONS_MAX];
};

struct ph_mapping;

/* Copies config but for the lists. 0 or -ENOMEM. */
int ph_mapping_new(const struct ph_mapping_config *config, struct ph_mapping **ret_mapping);
void ph_mapping_free(struct ph_mapping *m);

/*
 * Feeds one event. now_ms is monotonic and never runs backwards. actions is emptied first. Events
 * about a flow that the machine has closed must not come (the caller drops them with the flow).
 */
void ph_mapping_event(struct ph_mapping *m, const struct ph_event *event, uint64_t now_ms,
		      struct ph_actions *actions);

/* When PH_EVENT_TIMER is due, ms; UINT64_MAX: not before something happens. */
uint64_t ph_mapping_deadline(const struct ph_mapping *m);

/*
 * What the table ought to say about this mapping. Returns the want's generation, which grows with
 * every change; peers point into the mapping and are valid until the next event.
 */
uint64_t ph_mapping_want(const struct ph_mapping *m, struct ph_plan_mapping *ret_want);

/*
 * Other settings for the same mapping: name, protocol, family and bind ports must be equal; what
 * bind_start was at first stays. Holders, public port and what is announced stay as they are;
 * servers that are no longer listed are left as their flows end, and are peers until then. The new
 * lists are used from now on, and the old ones no more. All look-ups under way are void, for the
 * servers' numbers may be others now: the caller forgets them before this, and the machine asks
 * again. Actions as of an event; PH_EVENT_CONFIG does the same.
 */
void ph_mapping_reconfigure(struct ph_mapping *m, const struct ph_mapping_config *config,
			    uint64_t now_ms, struct ph_actions *actions);

/* Whether two servers have told the same endpoint, which is what makes a port usable from outside
 * (RFC 4787 section 4.1). */
enum ph_independence {
	PH_INDEPENDENCE_UNKNOWN, /* fewer than two have answered yet */
	PH_INDEPENDENT,
	PH_DEPENDENT, /* a symmetric NAT: nothing is announced */
};

struct ph_holder_view {
	struct ph_endpoint server;
	bool open;
	uint64_t since_ms; /* when it was opened */
	uint32_t rtt_ms;   /* of the last request; UINT32_MAX: none was answered yet */
};

/* What status tells of a mapping. Times are those of the events, 0: never. */
struct ph_mapping_view {
	enum ph_mapping_state state;
	const char *why; /* what keeps it from being up or from being sure; constant; NULL: nothing
			  */
	struct ph_endpoint private_endpoint; /* port 0: none */
	struct ph_endpoint public_endpoint;  /* installed; port 0: none */
	uint64_t state_since_ms;
	uint64_t endpoint_since_ms; /* since when the public endpoint is what it is */
	uint64_t verified_ms;       /* when a fresh flow's answer last agreed */
	unsigned changes;           /* of the public endpoint, after the first */
	bool can_verify; /* there are enough servers that one is fresh whenever one is asked */
	enum ph_independence independence;
	struct ph_holder_view holders[PH_FLOW_HOLDERS];
	size_t n_holders; /* that exist, open or on their way */
};

void ph_mapping_view(const struct ph_mapping *m, uint64_t now_ms, struct ph_mapping_view *ret_view);

enum ph_mapping_state ph_mapping_state(const struct ph_mapping *m);
const struct ph_mapping_config *ph_mapping_config(const struct ph_mapping *m);
struct ph_endpoint ph_mapping_private(const struct ph_mapping *m); /* port 0: none */
