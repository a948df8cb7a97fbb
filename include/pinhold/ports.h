/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Which local endpoints are in use by whom within this daemon. The kernel cannot tell: all our
 * sockets share their ports (SO_REUSEPORT), so two mappings could bind the same one, and the
 * table's map would have two values for one key.
 */

#include <pinhold/endpoint.h>

struct ph_ports;

/* NULL: out of memory. */
struct ph_ports *ph_ports_new(void);
void ph_ports_free(struct ph_ports *p); /* NULL is fine */

/*
 * One more use of local by owner, a pointer that is only compared. 0, -EADDRINUSE (another owner
 * has it), -ENOMEM.
 */
int ph_ports_take(struct ph_ports *p, enum ph_proto proto, const struct ph_endpoint *local,
		  const void *owner);
/* Ends one use. It must be owner's. */
void ph_ports_release(struct ph_ports *p, enum ph_proto proto, const struct ph_endpoint *local,
		      const void *owner);

/* NULL: nobody's. */
const void *ph_ports_owner(const struct ph_ports *p, enum ph_proto proto,
			   const struct ph_endpoint *local);
