/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <sys/socket.h>

#include <pinhold/endpoint.h>

/* Returns the length of the socket address. */
socklen_t ph_endpoint_to_sockaddr(const struct ph_endpoint *e, struct sockaddr_storage *ret_ss);
/* 0, or -EAFNOSUPPORT. IPv4-mapped IPv6 addresses stay as they are. */
int ph_endpoint_from_sockaddr(const struct sockaddr *sa, struct ph_endpoint *ret_endpoint);
