// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Transmission's RPC: POST of {"method", "arguments"}. The first call is answered by 409 with the
 * header field that all others must carry. (docs/rpc-spec.md, sections 2.3 and 4.1)
 */

#include <jansson.h>
#include <string.h>

#include "types.h"
#include "wiped.h"

#define SESSION_ID "X-Transmission-Session-Id"
#define RPC_PATH   "/transmission/rpc"

struct rpc {
	const struct publication *p;
	struct buffer url, id; /* id: the header field, or empty */
	const char *user, *password;
};

/* An URL without a path gets the usual one. */
static int rpc_init(struct rpc *rpc, const struct publication *p, struct result *r)
{
	const char *url = job_setting(p->job, "url"), *file = job_setting(p->job, "password-file");
	const char *host = url ? strstr(url, "://") : NULL, *path;

	*rpc = (struct rpc){ .p = p, .user = job_setting(p->job, "username") };
	if (!host)
		return result_give_up(r, "there is no url");
	buffer_puts(&rpc->url, url);
	path = strchr(host + 3, '/');
	if (!path)
		buffer_puts(&rpc->url, RPC_PATH);
	else if (path[1] == '\0')
		buffer_puts(&rpc->url, &RPC_PATH[1]);
	if (rpc->user && file && secret_read(p->secrets, file, &rpc->password, r))
		return -1;
	return buffer_text(&rpc->url) ? 0 : result_no_memory(r);
}

static void rpc_done(struct rpc *rpc)
{
	buffer_done(&rpc->url);
	buffer_done(&rpc->id);
}

static int post(const struct rpc *rpc, const char *body, struct answer *ret_answer,
		struct result *r)
{
	const char *headers[] = { "Content-Type: application/json",
				  rpc->id.len ? buffer_text(&rpc->id) : NULL, NULL };
	struct call call = {
		.method = "POST",
		.url = buffer_text(&rpc->url),
		.headers = headers,
		.body = body,
		.user = rpc->password ? rpc->user : NULL,
		.password = rpc->password,
		.wanted = SESSION_ID,
	};

	return session_call(rpc->p->session, &call, ret_answer, r);
}

/* The shaking of hands: once more with the ID that the answer has. */
static int post_with_id(struct rpc *rpc, const char *body, struct answer *ret_answer,
			struct result *r)
{
	if (post(rpc, body, ret_answer, r))
		return -1;
	if (ret_answer->status != 409 || ret_answer->header.len == 0)
		return 0;
	buffer_done(&rpc->id);
	buffer_printf(&rpc->id, "%s: %s", SESSION_ID, buffer_text(&ret_answer->header));
	answer_done(ret_answer);
	return buffer_text(&rpc->id) ? post(rpc, body, ret_answer, r) : result_no_memory(r);
}

static int check(const struct rpc *rpc, const struct answer *a, struct result *r)
{
	if (a->status == 401)
		return result_give_up(r, "%s: %s", a->where,
				      rpc->password ? "username or password is wrong"
						    : "wants username and password-file");
	if (a->status == 403)
		return result_give_up(r, "%s: does not let this address in (its rpc-whitelist)",
				      a->where);
	if (a->status == 421)
		return result_give_up(
			r, "%s: does not know this host name (its rpc-host-whitelist)", a->where);
	return answer_check(a, NULL, r);
}

/* 0 and the answer's arguments (a new reference), or -1. */
static int take_arguments(const struct answer *a, json_t **ret_arguments, struct result *r)
{
	json_error_t why;
	json_t *object = json_loadb(a->body.data ? a->body.data : "", a->body.len, 0, &why);
	const char *result = json_string_value(json_object_get(object, "result"));
	int failed = 0;

	if (!result)
		failed = result_retry(r, 0, "%s: does not answer as Transmission does", a->where);
	else if (strcmp(result, "success") != 0)
		failed = result_retry(r, 0, "%s: %.100s", a->where, result);
	else
		*ret_arguments = json_incref(json_object_get(object, "arguments"));
	json_decref(object);
	return failed;
}

/* Takes the request over. */
static int ask(struct rpc *rpc, json_t *request, json_t **ret_arguments, struct result *r)
{
	char *body = json_dumps(request, JSON_COMPACT);
	struct answer a;
	int failed;

	json_decref(request);
	if (!body)
		return result_no_memory(r);
	failed = post_with_id(rpc, body, &a, r);
	wiped_free(body);
	if (failed)
		return -1;
	failed = check(rpc, &a, r) || take_arguments(&a, ret_arguments, r);
	answer_done(&a);
	return failed ? -1 : 0;
}

static int get_port(struct rpc *rpc, json_int_t *ret_port, struct result *r)
{
	json_t *arguments;
	const json_t *port;
	int failed = 0;

	/* Those before 3.0 do not know `fields` and answer with everything. */
	if (ask(rpc,
		json_pack("{s:s, s:{s:[s]}}", "method", "session-get", "arguments", "fields",
			  "peer-port"),
		&arguments, r))
		return -1;
	port = json_object_get(arguments, "peer-port");
	if (json_is_integer(port))
		*ret_port = json_integer_value(port);
	else
		failed = result_retry(r, 0, "Transmission does not say its port");
	json_decref(arguments);
	return failed;
}

static int set_port(struct rpc *rpc, uint16_t port, struct result *r)
{
	json_t *arguments;

	if (ask(rpc,
		json_pack("{s:s, s:{s:i}}", "method", "session-set", "arguments", "peer-port",
			  (int)port),
		&arguments, r))
		return -1;
	json_decref(arguments);
	return 0;
}

static void publish(struct rpc *rpc, struct result *r)
{
	uint16_t wanted = rpc->p->job->event.public_port;
	json_int_t port;

	if (get_port(rpc, &port, r))
		return;
	if (port == wanted) {
		result_unchanged(r, "Transmission listens on port %u already", wanted);
		return;
	}
	if (set_port(rpc, wanted, r) || get_port(rpc, &port, r))
		return;
	if (port == wanted)
		result_ok(r, "Transmission listens on port %u", wanted);
	else
		result_retry(r, 0, "Transmission has kept port %lld", (long long)port);
}

void transmission_publish(const struct publication *p, struct result *r)
{
	struct rpc rpc;

	if (rpc_init(&rpc, p, r) == 0)
		publish(&rpc, r);
	rpc_done(&rpc);
}
