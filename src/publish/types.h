/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The publishers' types. A new one is a file with one function, a line here and a row in types.c.
 */

#include "job.h"
#include "result.h"
#include "secret.h"
#include "session.h"

struct publication {
	const struct job *job;
	struct secrets *secrets;
	struct session *session;
};

/* Each tells the receiver, and says in *r how that went. */
void webhook_publish(const struct publication *p, struct result *r);
void cloudflare_dns_publish(const struct publication *p, struct result *r);
void cloudflare_kv_publish(const struct publication *p, struct result *r);
void qbittorrent_publish(const struct publication *p, struct result *r);
void transmission_publish(const struct publication *p, struct result *r);

struct publisher_type {
	const char *name;
	bool down; /* wants to hear that there is no endpoint any more */
	void (*publish)(const struct publication *p, struct result *r);
};

/* NULL: there is none by this name. */
const struct publisher_type *publisher_type_find(const char *name);
