/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "notes.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

#include <pinhold/log.h>
#include <pinhold/socket_owner.h>

#include "mapping_run.h"

static const char *reason_of(const struct ph_action *a)
{
	if (a->reason)
		return a->reason;
	return a->error ? strerror(a->error) : "no reason known";
}

static const char *server_name(const struct mapping_run *run, const struct ph_action *a)
{
	const struct ph_server_list *list =
		a->kind == PH_SERVER_STUN ? run->config->core.stun : run->config->core.keepalive;

	return list->items[a->server_index].host;
}

/* Another mapping of ours may have the port: our sockets share ports, and /proc would name us. */
static const char *mapping_on(const struct mapping_run *run, const struct ph_endpoint *local)
{
	const struct hold *owner =
		ph_ports_owner(ph_daemon_ports(run->daemon), run->config->core.proto, local);

	return owner && owner->run != run ? owner->run->config->core.name : NULL;
}

static const char *holder_text(const struct ph_endpoint *local, enum ph_proto proto, char *buf,
			       size_t size)
{
	struct ph_socket_owner owner;
	const struct passwd *pw;

	if (ph_owner_of_port(proto, local->port, &owner) < 0) {
		snprintf(buf, size, "a socket that /proc does not show");
	} else if (owner.pid) {
		snprintf(buf, size, "%s (pid %d)", owner.comm, (int)owner.pid);
	} else {
		pw = getpwuid(owner.uid);
		snprintf(buf, size, "a process of the user %.64s (%u)",
			 pw ? pw->pw_name : "unknown", (unsigned)owner.uid);
	}
	return buf;
}

/* Some notes are about no endpoint at all. */
static const char *endpoint_text(const struct ph_endpoint *e, char buf[static PH_ENDPOINT_STRLEN])
{
	return e->port ? ph_endpoint_format(e, buf) : strcpy(buf, "none");
}

static void note_bind_taken(const struct mapping_run *run, const struct ph_action *a)
{
	const char *mapping = mapping_on(run, &a->local);
	char holder[128];

	if (mapping)
		snprintf(holder, sizeof(holder), "mapping %s", mapping);
	else
		holder_text(&a->local, run->config->core.proto, holder, sizeof(holder));
	ph_warning("bind port taken mapping=%s port=%u holder=\"%s\": %s; trying again",
		   run->config->core.name, a->local.port, holder, strerror(a->error));
}

void note_log(const struct hold *hold, const struct ph_action *a)
{
	const struct mapping_run *run = hold->run;
	const char *name = run->config->core.name;
	/* Once is news; the same again every minute of an outage would drive everything else out of
	 * the log. */
	enum ph_log_level level = a->repeated ? PH_LOG_DEBUG : PH_LOG_WARNING;
	char server[PH_ENDPOINT_STRLEN], other[PH_ENDPOINT_STRLEN];

	endpoint_text(&a->server, server);
	switch (a->note) {
	case PH_NOTE_HOLDER_OPEN:
		ph_info("holder open mapping=%s server=%s", name, server);
		break;
	case PH_NOTE_HOLDER_FAILED:
		ph_log(level, "holder failed mapping=%s server=%s: %s", name, server, reason_of(a));
		break;
	case PH_NOTE_HOLDER_LOST:
		ph_info("holder lost mapping=%s server=%s: %s", name, server, reason_of(a));
		break;
	case PH_NOTE_PROBE_FAILED:
		ph_log(level, "probe failed mapping=%s server=%s: %s", name, server, reason_of(a));
		break;
	case PH_NOTE_RESOLVE_FAILED:
		ph_log(level, "look-up failed mapping=%s server=%s: %s", name, server_name(run, a),
		       uv_strerror(a->error));
		break;
	case PH_NOTE_ONE_HOLDER:
		ph_warning(
			"one holder only mapping=%s server=%s: there is no keep-alive server at another address; give one more",
			name, server);
		break;
	case PH_NOTE_UNCONFIRMED:
		ph_info("endpoint in doubt mapping=%s server=%s says=%s: asking another server",
			name, server, endpoint_text(&a->public_endpoint, other));
		break;
	case PH_NOTE_DEPENDENT:
		ph_warning(
			"servers disagree mapping=%s server=%s says=%s: this NAT's mapping is not endpoint-independent (symmetric NAT), so nobody outside can use the port",
			name, server, endpoint_text(&a->public_endpoint, other));
		break;
	case PH_NOTE_INDEPENDENT:
		ph_info("servers agree mapping=%s public=%s: the NAT's mapping is endpoint-independent now",
			name, endpoint_text(&a->public_endpoint, other));
		break;
	case PH_NOTE_CANNOT_VERIFY:
		ph_warning(
			"few servers mapping=%s: not enough STUN servers to ask a fresh one every `verify`, so a NAT that moves the mapping may go unnoticed; give more",
			name);
		break;
	case PH_NOTE_BIND_NEXT:
		ph_log(level, "bind port taken mapping=%s next=%u: %s", name, a->local.port,
		       strerror(a->error));
		break;
	case PH_NOTE_BIND_TAKEN:
		if (!a->repeated)
			note_bind_taken(run, a);
		break;
	case PH_NOTE_LOOP:
		ph_warning(
			"loop mapping=%s target=%s: that is the mapping's own endpoint; for a service on this machine write target = :%u",
			name, endpoint_text(&a->local, other), a->local.port);
		break;
	case PH_NOTE_LOST:
		ph_warning("lost mapping=%s: no holder, and no STUN server answers; trying on",
			   name);
		break;
	}
}

void note_announce(const struct mapping_run *run, const struct ph_action *a)
{
	const struct ph_mapping_config *core = &run->config->core;
	char public[PH_ENDPOINT_STRLEN], private[PH_ENDPOINT_STRLEN], target[PH_ENDPOINT_STRLEN];

	ph_info("%s mapping=%s protocol=%s public=%s private=%s target=%s",
		ph_announce_name(a->announce), core->name, ph_proto_name(core->proto),
		ph_endpoint_format(&a->public_endpoint, public),
		ph_endpoint_format(&a->local, private),
		target_format(&core->target, a->public_endpoint.port, target));
}

void note_links(const struct mapping_run *run)
{
	const struct ph_config_mapping *config = run->config;
	const char *name = config->core.name;
	char text[PH_ADDRESS_STRLEN];

	switch (run->links.answer) {
	case PH_LINKS_FOUND:
		ph_info("address mapping=%s interface=%s address=%s", name, run->links.name,
			ph_address_format(&run->links.address, text));
		break;
	case PH_LINKS_NO_INTERFACE:
		ph_warning("no interface mapping=%s interface=%s: %s; waiting for it", name,
			   config->interface,
			   strcmp(config->interface, "auto") ? "not there"
							     : "there is no default route");
		break;
	case PH_LINKS_DOWN:
		ph_warning("interface down mapping=%s interface=%s: waiting for it", name,
			   run->links.name);
		break;
	case PH_LINKS_NO_ADDRESS:
		ph_warning(
			"no address mapping=%s interface=%s: it has no usable IPv%d address; waiting for one",
			name, run->links.name, (int)config->core.family);
		break;
	case PH_LINKS_BAD_NAME:
		ph_warning(
			"interface's name mapping=%s interface=%s: it has characters that cannot stand in the table: rename it (ip link set OLD name NEW); waiting for that",
			name, config->interface);
		break;
	}
}

bool note_interface_missing(const struct mapping_run *run)
{
	const char *interface = run->config->interface;
	struct ph_address address;

	if (run->links.answer != PH_LINKS_NO_INTERFACE || strcmp(interface, "auto") == 0)
		return false;
	if (ph_address_parse(interface, &address) == 0)
		ph_error("-i: no interface has the address %s; `ip address` lists them", interface);
	else
		ph_error("-i: there is no interface %s; `ip link` lists them", interface);
	return true;
}

void note_bind_refused(const struct ph_mapping_config *core, int error)
{
	struct ph_endpoint local = { .port = core->bind_first };
	char holder[128];

	if (error == -EACCES)
		ph_error(
			"-b: port %u: ports below 1024 need CAP_NET_BIND_SERVICE; run as root, or choose a higher one",
			local.port);
	else if (error != -EADDRINUSE)
		ph_error("-b: port %u: %s", local.port, strerror(-error));
	else if (core->bind_first != core->bind_last)
		ph_error("-b: every port from %u to %u is taken; the first by %s", core->bind_first,
			 core->bind_last, holder_text(&local, core->proto, holder, sizeof(holder)));
	else
		ph_error("-b: port %u (%s) is held by %s; stop it, or choose another bind port",
			 local.port, ph_proto_name(core->proto),
			 holder_text(&local, core->proto, holder, sizeof(holder)));
}

static void note_not_permitted(struct ph_nft *nft, const char *again)
{
	struct ph_socket_owner owner = { 0 };
	uint32_t port_id;

	if (ph_nft_owner(nft, &port_id) < 0)
		ph_error("table inet pinhold: not permitted; run as root, or with CAP_NET_ADMIN%s",
			 again);
	else if (ph_owner_of_netlink(port_id, &owner) < 0 || owner.pid == 0)
		ph_error("table inet pinhold belongs to another process: stop that one first%s",
			 again);
	else
		ph_error("table inet pinhold belongs to %s (pid %d): stop that one first%s",
			 owner.comm, (int)owner.pid, again);
}

static void note_held(struct ph_nft *nft, const char *again)
{
	int pid = (int)ph_nft_holder(nft);
	char text[32] = "";

	if (pid)
		snprintf(text, sizeof(text), " (pid %d)", pid);
	ph_error("table inet pinhold belongs to another pinhold%s: stop that one first%s", text,
		 again);
}

void note_table_failed(struct ph_nft *nft, int error, bool retried)
{
	const char *object = "", *again = retried ? "; trying again" : "", *hint = "";

	ph_nft_last_error(nft, &object);
	if (error == -EPERM) {
		note_not_permitted(nft, again);
		return;
	}
	if (error == -EALREADY) {
		note_held(nft, again);
		return;
	}
	if (error == -EOPNOTSUPP || error == -ENOENT)
		hint = "; the kernel needs nf_tables with NAT (module nft_nat, OpenWrt: kmod-nft-nat)";
	ph_error("table inet pinhold: %s: %s%s%s", *object ? object : "table", strerror(-error),
		 hint, again);
}

void note_localnet(const struct mapping_run *run, const struct ph_localnet_interface *failed,
		   const char *directory)
{
	const char *name = run->config->core.name;

	if (failed->by_file)
		ph_error(
			"target in 127.0.0.0/8 mapping=%s: %s/" PH_LOCALNET_FILE
			" cannot be written: %s; without it pinhold does not set net.ipv4.conf.%s.route_localnet; make the directory writable (STATE_DIRECTORY names it)",
			name, directory, strerror(-failed->error), failed->name);
	else
		ph_error(
			"target in 127.0.0.0/8 mapping=%s: net.ipv4.conf.%s.route_localnet cannot be set: %s; give pinhold write access to /proc/sys (systemd: ProtectKernelTunables=no), or set it to 1 yourself (sysctl) and drop 127.0.0.0/8 from outside in your own firewall",
			name, failed->name, strerror(-failed->error));
}

void note_foreign(const struct ph_nft_foreign *foreign, uint64_t delay_ms)
{
	char who[64] = "somebody", when[32] = "now";

	if (foreign->comm[0])
		snprintf(who, sizeof(who), "%s (pid %u)", foreign->comm, foreign->pid);
	if (delay_ms)
		snprintf(when, sizeof(when), "in %u ms", (unsigned)delay_ms);
	if (foreign->gone)
		ph_warning("table inet pinhold was deleted by %s: put back %s", who, when);
	else if (foreign->changed)
		ph_warning("table inet pinhold was changed by %s: put back %s", who, when);
	else
		ph_warning("table inet pinhold: notifications were lost: installed anew %s", when);
}

void note_uplink(const struct mapping_run *run)
{
	const char *name = run->config->core.name;

	switch (run->uplink.answer) {
	case PH_UPLINK_DEFAULT:
		ph_info("replies mapping=%s interface=%s: they leave by it of themselves", name,
			run->links.name);
		break;
	case PH_UPLINK_NUMBERED:
		ph_info("replies mapping=%s interface=%s uplink=%u: routed back by it", name,
			run->links.name, run->uplink.number);
		break;
	case PH_UPLINK_NO_ROUTE:
	case PH_UPLINK_TOO_MANY:
		break; /* an obstacle, and told as such */
	}
}

void note_obstacle(const struct mapping_run *run)
{
	ph_warning("obstacle mapping=%s interface=%s: %s", run->config->core.name, run->links.name,
		   run->obstacle);
}

void note_no_obstacle(const struct mapping_run *run)
{
	ph_info("no obstacle any more mapping=%s interface=%s", run->config->core.name,
		run->links.name);
}

void note_mark_in_use(uint32_t mask, const struct ph_rule_mark *rule)
{
	ph_warning(
		"mark: the routing rule %u (IPv%d, fwmark 0x%x/0x%x) looks at bits of pinhold's mask 0x%08x: if they mean something else there, give pinhold other bits (`mark` in [global])",
		rule->priority, (int)rule->family, rule->mark, rule->mask, mask);
}
