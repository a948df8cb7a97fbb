/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The publishers' types, of PH_PUBLISH_TYPES. */

#include <pinhold/publish.h>

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
#define DECLARED(ID, STEM, NAME, DOWN) \
	void STEM##_publish(const struct publication *p, struct result *r);
PH_PUBLISH_TYPES(DECLARED)
#undef DECLARED

struct publisher_type {
	const char *name;
	bool down; /* wants to hear that there is no endpoint any more */
	void (*publish)(const struct publication *p, struct result *r);
};

/* NULL: there is none by this name. */
const struct publisher_type *publisher_type_find(const char *name);
