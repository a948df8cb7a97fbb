/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <pinhold/sockaddr.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

socklen_t ph_endpoint_to_sockaddr(const struct ph_endpoint *e, struct sockaddr_storage *ret_ss)
{
	memset(ret_ss, 0, sizeof(*ret_ss));
	if (e->address.family == PH_IPV6) {
		struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(e->port) };

		memcpy(&in6.sin6_addr, e->address.octets, 16);
		memcpy(ret_ss, &in6, sizeof(in6));
		return sizeof(in6);
	}
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(e->port) };

	memcpy(&in.sin_addr, e->address.octets, 4);
	memcpy(ret_ss, &in, sizeof(in));
	return sizeof(in);
}

int ph_endpoint_from_sockaddr(const struct sockaddr *sa, struct ph_endpoint *ret_endpoint)
{
	struct ph_endpoint e = { 0 };

	if (sa->sa_family == AF_INET) {
		struct sockaddr_in in;

		memcpy(&in, sa, sizeof(in));
		e.address.family = PH_IPV4;
		memcpy(e.address.octets, &in.sin_addr, 4);
		e.port = ntohs(in.sin_port);
	} else if (sa->sa_family == AF_INET6) {
		struct sockaddr_in6 in6;

		memcpy(&in6, sa, sizeof(in6));
		e.address.family = PH_IPV6;
		memcpy(e.address.octets, &in6.sin6_addr, 16);
		e.port = ntohs(in6.sin6_port);
	} else {
		return -EAFNOSUPPORT;
	}
	*ret_endpoint = e;
	return 0;
}
