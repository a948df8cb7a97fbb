// SPDX-License-Identifier: GPL-2.0-or-later
/* Transport addresses: comparison, text, and the numbers people type. */

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <pinhold/endpoint.h>

static_assert(INET6_ADDRSTRLEN <= PH_ADDRESS_STRLEN, "an address does not fit its buffer");
static_assert(PH_ENDPOINT_STRLEN >= INET6_ADDRSTRLEN + sizeof("[]:65535") - 1,
	      "an endpoint does not fit its buffer");

size_t ph_family_octets(enum ph_family family)
{
	switch (family) {
	case PH_IPV4:
		return 4;
	case PH_IPV6:
		return 16;
	}
	assert(false && "a family is IPv4 or IPv6");
	return 0;
}

const char *ph_proto_name(enum ph_proto proto)
{
	switch (proto) {
	case PH_TCP:
		return "tcp";
	case PH_UDP:
		return "udp";
	}
	assert(false && "a protocol is TCP or UDP");
	return "";
}

static int address_compare(const struct ph_address *a, const struct ph_address *b)
{
	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	/* All sixteen: the rest of an IPv4 address is zero. */
	return memcmp(a->octets, b->octets, sizeof(a->octets));
}

int ph_endpoint_compare(const struct ph_endpoint *a, const struct ph_endpoint *b)
{
	int order = address_compare(&a->address, &b->address);

	if (order)
		return order;
	return (a->port > b->port) - (a->port < b->port);
}

bool ph_address_equal(const struct ph_address *a, const struct ph_address *b)
{
	return address_compare(a, b) == 0;
}

bool ph_endpoint_equal(const struct ph_endpoint *a, const struct ph_endpoint *b)
{
	return ph_endpoint_compare(a, b) == 0;
}

const char *ph_address_format(const struct ph_address *a, char buf[static PH_ADDRESS_STRLEN])
{
	int af = ph_family_octets(a->family) == 4 ? AF_INET : AF_INET6;
	const char *text = inet_ntop(af, a->octets, buf, PH_ADDRESS_STRLEN);

	/* Family and room are right, so there is nothing that could fail. */
	assert(text);
	return text;
}

const char *ph_endpoint_format(const struct ph_endpoint *e, char buf[static PH_ENDPOINT_STRLEN])
{
	char address[PH_ADDRESS_STRLEN];
	bool brackets = e->address.family == PH_IPV6;

	ph_address_format(&e->address, address);
	snprintf(buf, PH_ENDPOINT_STRLEN, "%s%s%s:%u", brackets ? "[" : "", address,
		 brackets ? "]" : "", e->port);
	return buf;
}

int ph_address_parse(const char *text, struct ph_address *ret_address)
{
	struct ph_address a = { .family = PH_IPV4 };

	if (inet_pton(AF_INET, text, a.octets) != 1) {
		/* Writes all sixteen, whatever the attempt before has left. */
		a.family = PH_IPV6;
		if (inet_pton(AF_INET6, text, a.octets) != 1)
			return -EINVAL;
	}
	*ret_address = a;
	return 0;
}

int ph_port_parse(const char *text, uint16_t *ret_port)
{
	uint32_t port = 0;

	if (!*text)
		return -EINVAL;
	/* To the end even when it is too big already: "99999x" is no number. */
	for (const char *c = text; *c; c++) {
		if (*c < '0' || *c > '9')
			return -EINVAL;
		if (port <= UINT16_MAX)
			port = port * 10 + (uint32_t)(*c - '0');
	}
	if (port > UINT16_MAX || port == 0)
		return -ERANGE;
	*ret_port = (uint16_t)port;
	return 0;
}

const char *ph_ip4p_format(const struct ph_endpoint *e, char buf[static PH_ADDRESS_STRLEN])
{
	const uint8_t *o = e->address.octets;

	/* Always four digits a group, not RFC 5952's shortest form: scripts cut it at fixed
	 * columns. */
	if (e->address.family == PH_IPV4)
		snprintf(buf, PH_ADDRESS_STRLEN, "2001::%04x:%02x%02x:%02x%02x", e->port, o[0],
			 o[1], o[2], o[3]);
	else
		buf[0] = '\0';
	return buf;
}
