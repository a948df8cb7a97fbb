/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STUN_PORT     3478
#define HTTP_PORT     80
#define VERIFY_MAX_MS 86400000u /* a day */

struct servers {
	size_t n;
	struct ph_server items[PH_SERVERS_MAX];
};

/* What the words said, before it is known whether they go together. */
struct words {
	enum ph_proto proto;
	enum ph_family family;
	bool background;
	const char *interface, *hook, *target, *port, *bind;
	unsigned long interval_s, count, fwmark;
	struct servers stun, keepalive;
};

__attribute__((format(printf, 1, 2))) static int wrong(const char *format, ...)
{
	char line[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	/* One line, whatever the words on the command line hold. */
	for (char *p = line; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	fprintf(stderr, "pinhold: %s\n", line);
	return 2;
}

/* 0 to max; base 0: also 0x... */
static int number(char option, const char *text, int base, unsigned long max, unsigned long *ret)
{
	unsigned long value;
	char *end;

	errno = 0;
	value = strtoul(text, &end, base);
	if (*text < '0' || *text > '9' || *end || errno || value > max)
		return wrong("-%c: \"%s\" is not a number from 0 to %lu", option, text, max);
	*ret = value;
	return 0;
}

static int server(char option, const char *text, uint16_t port, struct servers *list)
{
	if (list->n == PH_SERVERS_MAX)
		return wrong("-%c: %d servers are the most", option, PH_SERVERS_MAX);
	if (ph_server_parse(text, port, &list->items[list->n]) < 0)
		return wrong(
			"-%c: \"%s\" is not HOST or HOST:PORT (an IPv6 address with a port: [ADDR]:PORT)",
			option, text);
	list->n++;
	return 0;
}

static int take(int option, const char *text, struct words *w)
{
	switch (option) {
	case '4':
		w->family = PH_IPV4;
		return 0;
	case '6':
		w->family = PH_IPV6;
		return 0;
	case 'u':
		w->proto = PH_UDP;
		return 0;
	case 'd':
		w->background = true;
		return 0;
	case 'i':
		w->interface = text;
		return 0;
	case 'k':
		return number('k', text, 10, 3600, &w->interval_s);
	case 'c':
		return number('c', text, 10, 10000, &w->count);
	case 's':
		return server('s', text, STUN_PORT, &w->stun);
	case 'h':
		return server('h', text, HTTP_PORT, &w->keepalive);
	case 'e':
		w->hook = text;
		return 0;
	case 'f':
		return number('f', text, 0, UINT32_MAX, &w->fwmark);
	case 'b':
		w->bind = text;
		return 0;
	case 't':
		w->target = text;
		return 0;
	case 'p':
		w->port = text;
		return 0;
	case 'C':
	case 'T':
	case 'w':
		fprintf(stderr,
			"pinhold: -%c: only for forwarding in userspace; the kernel forwards here, so it has no effect\n",
			option);
		return 0;
	default:
		return wrong("the option -%c is not known; `pinhold --help` lists all", option);
	}
}

static int scan(int argc, char **argv, int skip, struct words *w)
{
	static const char known[] = "+:46udi:k:c:s:h:e:f:b:t:p:C:T:w:";
	static const struct option none[] = { { 0 } };
	int option, r;

	opterr = 0;
	optind = skip;
	while ((option = getopt_long(argc, argv, known, none, NULL)) != -1) {
		if (option == '?' && optopt == 0)
			return wrong("the option %s is not known; `pinhold --help` lists all",
				     argv[optind - 1]);
		if (option == '?')
			return wrong("the option -%c is not known; `pinhold --help` lists all",
				     optopt);
		if (option == ':')
			return wrong("-%c needs a value; `pinhold --help` says which", optopt);
		r = take(option, optarg, w);
		if (r)
			return r;
	}
	if (optind < argc)
		return wrong("\"%s\" is not an option; `pinhold --help` lists all", argv[optind]);
	return 0;
}

static int set_bind(const char *text, struct ph_mapping_config *core)
{
	if (!text || strcmp(text, "0") == 0) {
		ph_ephemeral_range(&core->bind_first, &core->bind_last);
		core->bind_random = true;
		return 0;
	}
	switch (ph_bind_parse(text, core)) {
	case 0:
		return 0;
	case -ERANGE:
		return wrong("-b: \"%s\": the first port is above the last", text);
	default:
		return wrong("-b: \"%s\" is no port: give 1 to 65535, LO-HI, LO~HI, or 0 for any",
			     text);
	}
}

static int set_target(const struct words *w, struct ph_target *target)
{
	const char *why;

	if (w->port && strcmp(w->port, "0") != 0 && ph_port_parse(w->port, &target->port) < 0)
		return wrong("-p: \"%s\" is no port: give 1 to 65535, or 0 for the public port",
			     w->port);
	if (!w->target) {
		target->kind = w->port ? PH_TARGET_LOCAL : PH_TARGET_NONE;
		return 0;
	}
	target->kind = PH_TARGET_ADDRESS;
	if (ph_address_parse(w->target, &target->address) < 0)
		return wrong("-t: \"%s\" is not a numeric address (the port goes with -p)",
			     w->target);
	if (!w->port)
		return wrong("-t: say the service's port too, with -p (0: the public port)");
	if (target->address.family != w->family)
		return wrong("-t: %s is an IPv%d address, the mapping is IPv%d: give %s", w->target,
			     (int)target->address.family, (int)w->family,
			     w->family == PH_IPV4 ? "-6" : "-4");
	if (target->address.family == PH_IPV6 &&
	    memcmp(target->address.octets, &in6addr_loopback, sizeof(in6addr_loopback)) == 0)
		return wrong(
			"-t: ::1 is the loopback address, and IPv6 cannot forward to it: leave -t out and give the port with -p (the service must listen on all addresses)");
	why = ph_target_refusal(&target->address);
	return why ? wrong("-t: %s %s", w->target, why) : 0;
}

static int set_hook(const char *path, struct ph_config_mapping *m)
{
	struct stat st;
	char *absolute;

	if (!path)
		return 0;
	absolute = realpath(path, NULL);
	if (!absolute)
		return wrong("-e: %s: %s", path, strerror(errno));
	if (stat(absolute, &st) < 0 || !S_ISREG(st.st_mode)) {
		free(absolute);
		return wrong("-e: %s: not a file", path);
	}
	if (access(absolute, X_OK) < 0) {
		free(absolute);
		return wrong("-e: %s: not executable; try chmod +x", path);
	}
	m->hooks = calloc(1, sizeof(*m->hooks));
	if (!m->hooks) {
		free(absolute);
		return wrong("out of memory");
	}
	m->hooks[m->n_hooks++] = (struct ph_hook){
		.path = absolute,
		.events = 1u << PH_ANNOUNCE_UP | 1u << PH_ANNOUNCE_CHANGE,
	};
	return 0;
}

static int set_interface(const char *text, struct ph_config_mapping *m)
{
	struct ph_address address;

	if (!text)
		return 0;
	if (ph_address_parse(text, &address) == 0) {
		if (address.family != m->core.family)
			return wrong("-i: %s is an IPv%d address, the mapping is IPv%d: give %s",
				     text, (int)address.family, (int)m->core.family,
				     m->core.family == PH_IPV4 ? "-6" : "-4");
	} else if (!ph_interface_name_valid(text)) {
		return wrong("-i: \"%s\" is neither an interface's name nor an address", text);
	}
	strncpy(m->interface, text, sizeof(m->interface) - 1);
	return 0;
}

static uint32_t verify_ms(unsigned long count, uint32_t interval_ms)
{
	uint64_t ms = (uint64_t)count * interval_ms;

	return ms < VERIFY_MAX_MS ? (uint32_t)ms : VERIFY_MAX_MS;
}

/* A server that is named by an address must be of the mapping's family: no look-up can mend it. */
static int check_servers(char option, const struct servers *list, enum ph_family family)
{
	struct ph_address address;

	for (size_t i = 0; i < list->n; i++)
		if (ph_address_parse(list->items[i].host, &address) == 0 &&
		    address.family != family)
			return wrong("-%c: %s is an IPv%d address, the mapping is IPv%d: give %s",
				     option, list->items[i].host, (int)address.family, (int)family,
				     family == PH_IPV4 ? "-6" : "-4");
	return 0;
}

static int build(const struct words *w, struct ph_config_mapping *m)
{
	struct ph_mapping_config *core = &m->core;
	const char *protocol = ph_proto_name(w->proto);
	int r;

	if ((r = check_servers('s', &w->stun, w->family)) ||
	    (r = check_servers('h', &w->keepalive, w->family)) || (r = set_bind(w->bind, core)) ||
	    (r = set_target(w, &core->target)) || (r = set_interface(w->interface, m)))
		return r;
	if (ph_target_loops(core, m->interface))
		return wrong(
			"-t: %s is where this mapping's connections arrive, a loop: for a service on this machine leave -t out and give its port alone, with -p",
			w->target);
	if (w->fwmark & PH_MASK_DEFAULT)
		return wrong(
			"-f: 0x%08lx has bits of 0x%08x, which pinhold needs itself: choose others",
			w->fwmark, PH_MASK_DEFAULT);
	if (w->interval_s)
		core->interval_ms = (uint32_t)w->interval_s * 1000;
	if (w->count)
		core->verify_ms = verify_ms(w->count, core->interval_ms);
	m->fwmark = (uint32_t)w->fwmark;
	core->stun = w->stun.n ? ph_server_list_new(w->stun.items, w->stun.n)
			       : ph_default_stun(w->proto);
	core->keepalive = w->keepalive.n ? ph_server_list_new(w->keepalive.items, w->keepalive.n)
					 : ph_default_keepalive();
	if (!core->stun || !core->keepalive)
		return wrong("out of memory");
	if (core->bind_first == core->bind_last)
		snprintf(core->name, sizeof(core->name), "%s-%u", protocol, core->bind_first);
	else if (w->bind && strcmp(w->bind, "0") != 0)
		snprintf(core->name, sizeof(core->name), "%s-%u-%u", protocol, core->bind_first,
			 core->bind_last);
	else
		snprintf(core->name, sizeof(core->name), "%s-any", protocol);
	return set_hook(w->hook, m);
}

int ph_options_parse(int argc, char **argv, int skip, struct ph_config *ret_config)
{
	struct words w = { .proto = PH_TCP, .family = PH_IPV4 };
	struct ph_config config = {
		.plan = { .mark = PH_MARK_DEFAULT, .mask = PH_MASK_DEFAULT },
		.n_mappings = 1,
	};
	int r = scan(argc, argv, skip, &w);

	if (r)
		return r;
	config.mappings = calloc(1, sizeof(*config.mappings));
	if (config.mappings)
		config.mappings[0] = ph_config_mapping_new(w.proto, w.family);
	if (!config.mappings || !config.mappings[0]) {
		free(config.mappings);
		return wrong("out of memory");
	}
	config.background = w.background;
	r = build(&w, config.mappings[0]);
	if (r) {
		ph_config_done(&config);
		return r;
	}
	*ret_config = config;
	return 0;
}
