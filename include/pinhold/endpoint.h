/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Transport addresses as values: no pointers, no byte-order traps, comparable. RFC 8489 calls the
 * pair of an IP address and a port a transport address; pinhold says endpoint.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The numbers are the IP versions, which is also how people write them. */
enum ph_family { PH_IPV4 = 4, PH_IPV6 = 6 };

/* The numbers are IANA's protocol numbers, as they stand in the IP header and in nftables'
 * inet_proto. */
enum ph_proto { PH_TCP = 6, PH_UDP = 17 };

struct ph_address {
	enum ph_family family;
	uint8_t octets[16]; /* network order; of IPv4 the first four, the rest zero */
};

struct ph_endpoint {
	struct ph_address address;
	uint16_t port; /* host order; 0: no endpoint at all */
};

#define PH_ADDRESS_STRLEN  48 /* longest textual address, with NUL */
#define PH_ENDPOINT_STRLEN 56 /* "[ADDRESS]:65535", with NUL */

size_t ph_family_octets(enum ph_family family); /* 4 or 16 */
const char *ph_proto_name(enum ph_proto proto); /* "tcp" or "udp" */

bool ph_address_equal(const struct ph_address *a, const struct ph_address *b);
bool ph_endpoint_equal(const struct ph_endpoint *a, const struct ph_endpoint *b);
/* A total order (family, octets, port), so that lists of endpoints have one canonical form. */
int ph_endpoint_compare(const struct ph_endpoint *a, const struct ph_endpoint *b);

/* Text of an address; returns buf. */
const char *ph_address_format(const struct ph_address *a, char buf[static PH_ADDRESS_STRLEN]);
/* "203.0.113.7:32451" or "[2001:db8::7]:32451"; returns buf. */
const char *ph_endpoint_format(const struct ph_endpoint *e, char buf[static PH_ENDPOINT_STRLEN]);

/* A numeric address of either family, nothing around it. 0, or -EINVAL. */
int ph_address_parse(const char *text, struct ph_address *ret_address);
/* A decimal port 1..65535, digits only. 0, or -EINVAL (no number), or -ERANGE. */
int ph_port_parse(const char *text, uint16_t *ret_port);

/* IP4P: "2001::PORT:HI16:LO16" of an IPv4 endpoint, "" of an IPv6 one (natmap's notation). Returns
 * buf. */
const char *ph_ip4p_format(const struct ph_endpoint *e, char buf[static PH_ADDRESS_STRLEN]);
