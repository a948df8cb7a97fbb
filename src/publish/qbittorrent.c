// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * qBittorrent's web API (4.1 and later): auth/login gives a cookie, app/preferences has the
 * listening port, app/setPreferences sets it. A client that needs no login from here is asked
 * without.
 */

#include <jansson.h>
#include <string.h>

#include "template.h"
#include "types.h"
#include "wiped.h"

#define BAN_SECONDS 3600 /* its default */

static const char form[] = "Content-Type: application/x-www-form-urlencoded";

/* path: behind the setting `url`. */
static int ask(const struct publication *p, const char *method, const char *path, const char *body,
	       struct answer *ret_answer, struct result *r)
{
	const char *base = job_setting(p->job, "url"), *headers[] = { body ? form : NULL, NULL };
	struct call call = { .method = method, .headers = headers, .body = body };
	struct buffer url = { 0 };
	int failed;

	if (!base)
		return result_give_up(r, "there is no url");
	buffer_puts(&url, base);
	while (url.len && url.data[url.len - 1] == '/')
		url.data[--url.len] = '\0';
	buffer_puts(&url, path);
	call.url = buffer_text(&url);
	failed = call.url ? session_call(p->session, &call, ret_answer, r) : result_no_memory(r);
	buffer_done(&url);
	return failed;
}

/* 4.x answers a wrong password by 200 and "Fails.", 5.x by 401; both one password too many by 403.
 */
static int check_login(const struct answer *a, struct result *r)
{
	if (a->status == 403)
		return result_retry(r, BAN_SECONDS,
				    "%s: has banned this address after too many wrong passwords",
				    a->where);
	if (a->status == 401 ||
	    (a->status == 200 && a->body.len && strncmp(a->body.data, "Fails", 5) == 0))
		return result_give_up(r, "%s: username or password is wrong", a->where);
	return answer_check(a, NULL, r);
}

static int log_in(const struct publication *p, struct result *r)
{
	const char *user = job_setting(p->job, "username"), *password;
	const char *file = job_setting(p->job, "password-file");
	struct buffer body = { 0 };
	struct answer a = { 0 };
	int failed;

	if (!user || !file)
		return 0;
	if (secret_read(p->secrets, file, &password, r))
		return -1;
	buffer_puts(&body, "username=");
	escape_add(&body, ESCAPE_URL, user);
	buffer_puts(&body, "&password=");
	escape_add(&body, ESCAPE_URL, password);
	failed = buffer_text(&body)
			 ? ask(p, "POST", "/api/v2/auth/login", buffer_text(&body), &a, r)
			 : result_no_memory(r);
	buffer_done(&body);
	if (failed)
		return -1;
	failed = check_login(&a, r);
	answer_done(&a);
	return failed;
}

static int check(const struct publication *p, const struct answer *a, struct result *r)
{
	if (a->status == 401 || a->status == 403)
		return result_give_up(r, "%s: %s", a->where,
				      job_setting(p->job, "username")
					      ? "the login does not count (status 403)"
					      : "wants username and password-file");
	return answer_check(a, NULL, r);
}

static int get_port(const struct publication *p, json_int_t *ret_port, struct result *r)
{
	struct answer a = { 0 };
	json_error_t why;
	json_t *object = NULL;
	const json_t *port;
	int failed;

	if (ask(p, "GET", "/api/v2/app/preferences", NULL, &a, r))
		return -1;
	failed = check(p, &a, r);
	if (!failed) {
		object = json_loadb(a.body.data ? a.body.data : "", a.body.len, 0, &why);
		port = json_object_get(object, "listen_port");
		if (json_is_integer(port))
			*ret_port = json_integer_value(port);
		else
			failed = result_retry(r, 0, "%s: does not answer as qBittorrent does",
					      a.where);
	}
	json_decref(object);
	answer_done(&a);
	return failed;
}

static int set_port(const struct publication *p, struct result *r)
{
	struct buffer body = { 0 };
	struct answer a = { 0 };
	int failed;

	/* {"listen_port":N} in a form */
	buffer_printf(&body, "json=%%7B%%22listen_port%%22%%3A%u%%7D", p->job->event.public_port);
	failed = buffer_text(&body)
			 ? ask(p, "POST", "/api/v2/app/setPreferences", buffer_text(&body), &a, r)
			 : result_no_memory(r);
	buffer_done(&body);
	if (failed)
		return -1;
	failed = check(p, &a, r);
	answer_done(&a);
	return failed;
}

void qbittorrent_publish(const struct publication *p, struct result *r)
{
	uint16_t wanted = p->job->event.public_port;
	json_int_t port;

	if (log_in(p, r) || get_port(p, &port, r))
		return;
	if (port == wanted) {
		result_unchanged(r, "qBittorrent listens on port %u already", wanted);
		return;
	}
	if (set_port(p, r) || get_port(p, &port, r))
		return;
	if (port == wanted)
		result_ok(r, "qBittorrent listens on port %u", wanted);
	else
		result_retry(r, 0, "qBittorrent has kept port %lld", (long long)port);
}
