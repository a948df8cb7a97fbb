/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Mappings at work. Part of the daemon, not of its interface.
 *
 * A run is one configured mapping: its settings, its receivers, what was told of it. What is held
 * is a hold: one bind port's state machine with its sockets and look-ups. A run has one hold, none
 * while it is disabled, and two for a while when it rotates to the next bind port: the current one
 * and the next, then the current one and the old.
 */

#include <uv.h>

#include <pinhold/child.h>
#include <pinhold/config.h>
#include <pinhold/links.h>
#include <pinhold/ports.h>
#include <pinhold/receiver.h>
#include <pinhold/resolve.h>
#include <pinhold/socket.h>
#include <pinhold/status.h>
#include <pinhold/uplink.h>

struct ph_daemon;
struct mapping_run;
struct receiver_run;
struct hold;

/* What a [publish NAME] section says. */
struct publisher_spec {
	char name[PH_NAME_MAX + 1];
	enum ph_publish_type type;
	unsigned events; /* 1u << enum ph_announce: those that it wants */
	char *json;      /* {"name", "type", "settings"}; owned, wiped */
};

struct flow_run {
	struct hold *hold;
	unsigned index;
	unsigned serial; /* of what was opened and closed here */
	struct ph_socket *socket;
};

struct lookup_run {
	struct hold *hold;
	struct lookup_run *next;
	enum ph_server_kind kind;
	size_t server;
	struct ph_resolve *request;
};

/* The three moments of pinhold/plan.h. */
enum hold_role { HOLD_CURRENT, HOLD_NEXT, HOLD_OLD };

struct hold {
	struct mapping_run *run;
	enum hold_role role;
	struct ph_mapping *machine;
	struct ph_endpoint claim; /* the private endpoint that no other hold has; port 0: none */
	/* Where a service of this machine has the bind port, or may come to have it: the port of
	 * our own sockets, and the socket that keeps it. Port 0: none. */
	struct ph_endpoint own;
	int own_fd;
	bool changed;        /* it wants another table than the installed one */
	uint64_t generation; /* of the want that is installed */
	/* That want, without its peers; what it borrows may be gone after a reload. */
	struct ph_plan_mapping installed;
	uv_timer_t timer;
	struct flow_run flows[PH_FLOWS];
	struct lookup_run *lookups; /* those under way */
};

/* The last look at the links, so that each change is logged once. */
struct links_seen {
	enum ph_links_answer answer;
	char name[PH_INTERFACE_MAX + 1];
	int index;
	struct ph_address address;
};

#define OBSTACLE_STRLEN 160

struct mapping_run {
	struct ph_daemon *daemon;
	struct ph_config_mapping *config; /* owned */
	struct hold *current;             /* NULL: disabled, or over */
	struct hold *other;               /* next or old; NULL: it does not rotate now */
	uv_timer_t *rotation;             /* NULL: it never does */
	/* No longer configured; only its receivers still run. Its state file stays as long, for the
	 * daemon that comes after one that is killed meanwhile. */
	bool leaving;
	struct links_seen links;
	struct ph_uplink uplink; /* how replies find their way */
	/* What keeps connections from arriving, as far as is known here; "": nothing. */
	char obstacle[OBSTACLE_STRLEN];
	bool cut_off;                   /* and servers' answers, too: why it may not even be up */
	int localnet_error;             /* -errno: route_localnet could not be set */
	struct receiver_run *receivers; /* a list: hooks and publishers */
	struct ph_told told;            /* what they are to be told: the latest */
	char *told_text; /* what the file says that they were told; NULL: not known */
	bool spoken;     /* it is theirs already; before, what an earlier daemon told holds */
	/* The successor's endpoint, to be told as soon as the table that lets it in is installed.
	 */
	bool promoted;
	struct ph_action promotion;
	unsigned changes; /* of the public endpoint, up to the last promotion */
	/* For those who look from outside. */
	bool touched;
	struct mapping_run *next_touched;
	bool outdated; /* what is shown, whatever the machine says: settings, a hook's end */
	const char *shown_state;
	uint64_t shown_since_ms; /* since when that is its state */
	struct ph_mapping_view shown;
};

/* What the daemon offers its mappings. */
uv_loop_t *ph_daemon_loop(struct ph_daemon *d);
struct ph_resolver *ph_daemon_resolver(struct ph_daemon *d);
struct ph_ports *ph_daemon_ports(struct ph_daemon *d);
/* Whether what is said to be a mapping's public address is one of this machine's or its networks'.
 * own: its private one. */
bool ph_daemon_is_inside(const struct ph_daemon *d, const struct ph_address *own,
			 const struct ph_address *address);
/* Where IPv4's default route goes. */
const struct links_seen *ph_daemon_default_route(const struct ph_daemon *d);
uint64_t ph_daemon_now(const struct ph_daemon *d); /* ms, monotonic */
/* Feeds an event and carries out what the machine answers, and what follows from that at once. */
void ph_daemon_feed(struct hold *hold, const struct ph_event *event);
bool ph_daemon_stopping(const struct ph_daemon *d);
/* Whether there may be one socket more: the last descriptors are for clients and hooks. */
bool ph_daemon_take_socket(struct ph_daemon *d);
void ph_daemon_return_socket(struct ph_daemon *d);
/* The wants have changed otherwise than by an event. */
void ph_daemon_table_changed(struct ph_daemon *d);
/* An event has changed what the hold wants. */
void ph_daemon_want_changed(struct hold *hold);
void ph_daemon_want_gone(struct hold *hold); /* it is about to be freed */
/* Something that status shows has changed. */
void ph_daemon_touch(struct mapping_run *run);
void ph_daemon_untouch(struct mapping_run *run); /* it is about to be freed */
/* The same, at once: a hook that is about to be told may look. */
void ph_daemon_show(struct mapping_run *run);
/* A hook or a publisher has ended; kind: which of these, in a word. */
void ph_daemon_receiver_done(struct mapping_run *run, const char *kind);
/* NULL: there is no such section. */
const struct publisher_spec *ph_daemon_publisher(const struct ph_daemon *d, const char *name);
/* Where things are remembered over a restart; NULL: nowhere. */
const char *ph_daemon_state_directory(const struct ph_daemon *d);
/* What became of writing there, so that an error is said once. */
void ph_daemon_state_error(struct ph_daemon *d, int error);
/* Hooks have been told; now those who watch. */
void ph_daemon_announced(struct mapping_run *run, const struct ph_action *a);

/*
 * As ph_daemon_feed(), after what is being carried out now. address: for RESOLVED, copied. A CLOSED
 * whose flow has been given up meanwhile is dropped.
 */
void ph_daemon_queue(struct hold *hold, const struct ph_event *event,
		     const struct ph_address *address);
/* Fills event->random from the kernel's random source. */
void ph_daemon_random(struct ph_event *event);

/* run.c */

/* Takes over config. 0 or -ENOMEM (config stays the caller's). Nothing is held yet. */
int run_new(struct ph_daemon *d, struct ph_config_mapping *config, struct mapping_run **ret_run);
/* Begins to hold, unless the mapping is disabled. 0 or -ENOMEM. */
int run_start(struct mapping_run *run);
/* Whoever was told by an earlier daemon of an endpoint of a mapping that is not held now, and has
 * had no state, is told `down`. */
void run_say_unheld(struct mapping_run *run);
/* Ends what is held; hooks are told `down`. */
void run_stop(struct mapping_run *run);
/* Frees all; hooks that still run are killed. NULL is fine. */
void run_free(struct mapping_run *run);
/* Its publishers' sections may say something else now. Whether they do; -ENOMEM: nothing changed.
 */
int run_republish(struct mapping_run *run);
/* Other settings of the same mapping: takes over config. 0, or -ENOMEM with nothing changed. */
int run_reconfigure(struct mapping_run *run, struct ph_config_mapping *config);
/* The links may have changed. quiet: it is not logged. */
void run_look(struct mapping_run *run, const struct ph_links *view, bool quiet);
/* The machine of a hold has something to announce. */
void run_announce(struct hold *hold, const struct ph_action *a);
/* The table has been installed: what waited for that is told. */
void run_installed(struct mapping_run *run);
/* The next bind port now. */
void run_rotate(struct mapping_run *run);

/* hold.c */
int hold_new(struct mapping_run *run, enum hold_role role, uint16_t bind_start,
	     struct hold **ret_hold);
/* Without an event; the machine is gone with it. NULL is fine. */
void hold_free(struct hold *hold);
void hold_set_timer(struct hold *hold);
void hold_carry_out(struct hold *hold, const struct ph_action *a);
void hold_look(struct hold *hold, const struct links_seen *seen);
void hold_reconfigure(struct hold *hold);
/* Takes the machine's private endpoint for itself, if nobody has it. */
void hold_claim(struct hold *hold);
/* What it wants of the table; returns the want's generation. */
uint64_t hold_want(const struct hold *hold, struct ph_plan_mapping *ret_want);

/* receivers.c */
/* The run's receivers are those of its settings now; one that was there before keeps what it was
 * told. 0 or -ENOMEM. */
int receivers_set(struct mapping_run *run);
/* Whether a publisher's section says something else than when they were set. */
bool receivers_outdated(const struct mapping_run *run);
/* The mapping's state is run->told now: what is owed to each is known, and nobody is called yet.
 * Nothing while the mapping has not spoken. */
void receivers_news(struct mapping_run *run);
/* The admin has been at work: what was refused or has failed is due again. */
void receivers_again(struct mapping_run *run);
/* As receivers_news(), and starts what is owed. */
void receivers_offer(struct mapping_run *run);
bool receivers_running(const struct mapping_run *run);
void receivers_kill(struct mapping_run *run);
/* Fills in hooks and publishers. */
void receivers_status(const struct mapping_run *run, struct ph_status_mapping *ret);
/* Nothing of what they were told is remembered: the mapping is gone. */
void receivers_forget(struct mapping_run *run);
/* None runs any more. */
void receivers_free(struct mapping_run *run);

/* The target as people write it: "192.168.10.50:443", ":443", "none". */
const char *target_format(const struct ph_target *target, uint16_t public_port,
			  char buf[static PH_ENDPOINT_STRLEN]);
