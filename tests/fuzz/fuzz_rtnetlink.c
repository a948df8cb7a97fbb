// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * rtnetlink's messages: the same octets as a dump's answer and as notifications. Their senders are
 * kernels that do not exist yet.
 */

#include "fuzz.h"

#include <linux/rtnetlink.h>

#include <pinhold/uplink.h>

#include "../../src/sys/rtnetlink_parse.h"

static const unsigned parts[] = { RTNL_LINKS, RTNL_ADDRESSES, RTNL_ROUTES };
static const enum ph_family families[] = { PH_IPV4, PH_IPV6 };

static void check_address(const struct ph_address *a)
{
	CHECK(a->family == PH_IPV4 || a->family == PH_IPV6);
	for (size_t i = ph_family_octets(a->family); i < sizeof(a->octets); i++)
		CHECK(a->octets[i] == 0);
}

static void check_view(const struct ph_links *view)
{
	static const char *const settings[] = { "auto", "wan", "lo", "100.64.0.2" };

	for (size_t i = 0; i < view->n_links; i++)
		CHECK(memchr(view->links[i].name, 0, sizeof(view->links[i].name)));
	for (size_t i = 0; i < view->n_addresses; i++) {
		const struct ph_link_address *a = &view->addresses[i];

		check_address(&a->address);
		CHECK(a->bits <= 8 * ph_family_octets(a->address.family));
	}
	for (size_t i = 0; i < view->n_routes; i++) {
		CHECK(view->routes[i].family == PH_IPV4 || view->routes[i].family == PH_IPV6);
		CHECK(view->routes[i].preference >= -1 && view->routes[i].preference <= 1);
		if (view->routes[i].gateway.family)
			check_address(&view->routes[i].gateway);
		CHECK(view->routes[i].to.bits == 0);
	}
	for (size_t i = 0; i < view->n_broad; i++) {
		CHECK(view->broad[i].to.bits >= 1 && view->broad[i].to.bits <= PH_BROAD_BITS);
		check_address(&view->broad[i].to.address);
	}
	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
		for (unsigned f = 0; f < 2; f++) {
			char name[PH_INTERFACE_MAX + 1];
			struct ph_address address;
			int index;

			if (ph_links_find(view, settings[i], families[f], name, &index, &address) ==
			    PH_LINKS_FOUND)
				check_address(&address);
		}
}

/* What is decided about any view can be told to the kernel. */
static void check_uplinks(const struct ph_links *view)
{
	static const struct ph_uplink_user users[] = {
		{ "wan", PH_IPV4 },
		{ "wan", PH_IPV6 },
		{ "lte", PH_IPV4 },
		{ "lo", PH_IPV6 },
	};
	struct ph_uplink answers[sizeof(users) / sizeof(users[0])];
	struct ph_reply_routes routes = { 0 };
	struct ph_uplinks uplinks = { 0 };
	size_t numbered = 0;

	CHECK(ph_uplinks_decide(&uplinks, view, users, sizeof(users) / sizeof(users[0]), answers,
				&routes) == 0);
	for (size_t i = 0; i < sizeof(users) / sizeof(users[0]); i++)
		numbered += answers[i].answer == PH_UPLINK_NUMBERED;
	CHECK(routes.n == numbered);
	for (size_t i = 0; i < routes.n; i++) {
		const struct ph_reply_route *r = &routes.routes[i];

		CHECK(r->number >= 1 && r->number <= PH_UPLINKS_MAX);
		for (size_t k = 0; k < r->n_locals; k++) {
			check_address(&r->locals[k].address);
			CHECK(r->locals[k].address.family == r->family);
			CHECK(r->locals[k].bits < 8 * ph_family_octets(r->family));
		}
	}
	CHECK(ph_reply_routes_equal(&routes, &routes));
	ph_reply_routes_done(&routes);
}

/* A dump's answer, added to what the view has. */
static void check_dump(struct nlmsghdr *first, size_t size, unsigned part, enum ph_family family,
		       struct ph_links *view)
{
	struct ph_links again = { 0 };
	struct rtnl_dump dump = {
		.sequence = size >= sizeof(*first) ? first->nlmsg_seq : 0,
		.part = part,
		.family = family,
		.view = view,
	};
	size_t links = view->n_links, addresses = view->n_addresses, routes = view->n_routes;
	size_t broad = view->n_broad;
	int r = rtnl_dump_feed(&dump, first, size);

	CHECK(r <= 0);
	CHECK(part == RTNL_LINKS || view->n_links == links);
	CHECK(part == RTNL_ADDRESSES || view->n_addresses == addresses);
	CHECK(part == RTNL_ROUTES || (view->n_routes == routes && view->n_broad == broad));
	check_view(view);

	/* Another request's answer adds nothing. */
	dump.sequence ^= 1;
	dump.done = dump.interrupted = false;
	dump.view = &again;
	if (size >= sizeof(*first) && first->nlmsg_len >= size) {
		rtnl_dump_feed(&dump, first, size);
		CHECK(!dump.done && !dump.interrupted);
		CHECK(again.n_links + again.n_addresses + again.n_routes + again.n_broad == 0);
	}
	ph_links_done(&again);
}

static bool adds(const struct nlmsghdr *h)
{
	return (h->nlmsg_type == RTM_NEWLINK || h->nlmsg_type == RTM_NEWADDR ||
		h->nlmsg_type == RTM_NEWROUTE) &&
	       !(h->nlmsg_flags & NLM_F_REPLACE);
}

/*
 * What a view was made of is no news to it, if nothing in it goes or takes another's place. A
 * dump's end or an error leaves out the rest, and what makes no sense may be anything.
 */
static void check_no_news(const struct ph_links *view, const uint8_t *data, size_t size)
{
	uint32_t sequence = 0;
	struct nlmsghdr h;

	for (size_t at = 0; at + sizeof(h) <= size; at += NLMSG_ALIGN(h.nlmsg_len)) {
		unsigned changes;
		uint8_t *one;

		memcpy(&h, data + at, sizeof(h));
		if (at == 0)
			sequence = h.nlmsg_seq;
		if (h.nlmsg_len < sizeof(h) || h.nlmsg_len > size - at)
			return;
		if (h.nlmsg_seq != sequence)
			continue;
		if (h.nlmsg_type < NLMSG_MIN_TYPE)
			return;
		/* Of its own length, so that what is read behind it shows. */
		one = exact_copy(data + at, h.nlmsg_len);
		changes = rtnl_changes(view, (struct nlmsghdr *)(void *)one, h.nlmsg_len);
		CHECK(!adds(&h) || changes == 0 || changes == RTNL_ALL);
		free(one);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct ph_links empty;
	uint8_t *copy = exact_copy(data, size);
	struct nlmsghdr *first = (struct nlmsghdr *)(void *)copy;
	struct ph_links view = { 0 };

	CHECK((rtnl_changes(&empty, first, size) & ~(RTNL_ALL | RTNL_TAKEN)) == 0);
	for (unsigned p = 0; p < 3; p++)
		for (unsigned f = 0; f < (parts[p] == RTNL_ROUTES ? 2u : 1u); f++) {
			struct ph_links some = { 0 };

			check_dump(first, size, parts[p], families[f], &some);
			ph_links_done(&some);
			check_dump(first, size, parts[p], families[f], &view);
		}
	CHECK((rtnl_changes(&view, first, size) & ~(RTNL_ALL | RTNL_TAKEN)) == 0);
	check_no_news(&view, data, size);
	check_uplinks(&view);
	CHECK(rtnl_view_equal(&view, &view));
	ph_links_done(&view);
	CHECK(memcmp(copy, data, size) == 0);
	free(copy);
	return 0;
}
