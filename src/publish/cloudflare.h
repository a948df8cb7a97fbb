/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What the types that speak Cloudflare's API (v4) have in common. */

#include <jansson.h>

#include "buffer.h"
#include "types.h"

#define CLOUDFLARE_API "https://api.cloudflare.com/client/v4"

struct cloudflare {
	const struct publication *p;
	const char *api;             /* without a slash at its end */
	struct buffer authorization; /* the header field */
	struct buffer base;
};

/* Settings token-file and api. 0, or -1; cloudflare_done() in both cases. */
int cloudflare_init(struct cloudflare *cf, const struct publication *p, struct result *r);
void cloudflare_done(struct cloudflare *cf);

/* path: behind the API's base, with a slash. 0 and an answer for answer_done(), or -1. */
int cloudflare_call(const struct cloudflare *cf, const char *method, const char *path,
		    const char *type, const char *body, struct answer *ret_answer,
		    struct result *r);

/* 0 and the answer's object (a new reference), or -1, with the API's own words. */
int cloudflare_check(const struct cloudflare *cf, const struct answer *a, json_t **ret_object,
		     struct result *r);

/* With a JSON body (or NULL); both in one. */
int cloudflare_ask(const struct cloudflare *cf, const char *method, const char *path,
		   const json_t *body, json_t **ret_object, struct result *r);

/* All pages of a list; path has a query already. 0 and a new array, or -1. */
int cloudflare_list(const struct cloudflare *cf, const char *path, json_t **ret_array,
		    struct result *r);
