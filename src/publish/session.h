/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * HTTP and HTTPS by libcurl: one receiver, one call after the other, cookies in between.
 * Certificates are verified, redirects are not followed, a proxy or netrc of the environment is not
 * used, an answer has at most ANSWER_MAX octets, and everything together ends when the job's time
 * is over.
 */

#include "buffer.h"
#include "job.h"
#include "result.h"
#include "secret.h"

#define ANSWER_MAX 262144 /* octets; of the header fields a quarter of it */

struct session;

struct call {
	const char *method, *url;
	const char *const *headers; /* "Name: value"; NULL at the end; or NULL */
	const char *body;           /* NULL: none */
	const char *user, *password;
	const char *wanted; /* name of a header field of the answer, or NULL */
};

struct answer {
	long status;
	long retry_after; /* s; 0: not said */
	struct buffer body;
	struct buffer header;   /* value of the wanted field; empty: not there */
	struct buffer location; /* of a redirect: where to, without user and query */
	char where[300];        /* host:port, for people */
};

/* Once, before all others. 0, or -EIO. */
int session_start(void);

/* The job's `ca-file` and time-outs. 0 and a session for session_free(), or -1. */
int session_new(const struct job *job, struct secrets *secrets, struct session **ret_session,
		struct result *r);
void session_free(struct session *s);

/* 0: there is an answer, whatever its status, for answer_done(). -1: there is none. */
int session_call(struct session *s, const struct call *call, struct answer *ret_answer,
		 struct result *r);
void answer_done(struct answer *a);

/* 0: the status is 2xx. Else -1, with `detail`, unless NULL or empty, as the receiver's words. */
int answer_check(const struct answer *a, const char *detail, struct result *r);

/* The beginning of the body, if it is for people: without secrets, one line, or empty. */
#define EXCERPT_MAX 160
void answer_excerpt(const struct session *s, const struct answer *a, char buf[static EXCERPT_MAX]);
