/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What the daemon asks for: see include/pinhold/publish.h. */

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "result.h"

struct setting {
	const char *key, *value;
};

/* Texts are never NULL, but may be empty. */
struct event {
	const char *event, *mapping, *protocol, *family, *interface, *target;
	const char *public_address, *public_endpoint, *ip4p, *previous_address, *private_address;
	uint16_t public_port, previous_port, private_port;
};

struct job {
	json_t *root; /* owned; all texts are its */
	const char *name, *type;
	struct setting *settings; /* owned */
	size_t n_settings;
	struct event event;
	unsigned connect_ms, total_ms;
	int parent; /* 0: not said */
};

/* 0 and a job for job_done(), or -1. */
int job_parse(const char *text, size_t len, struct job *ret_job, struct result *r);
void job_done(struct job *job);

/* The first of this key, or NULL. */
const char *job_setting(const struct job *job, const char *key);
