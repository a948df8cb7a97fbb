// SPDX-License-Identifier: GPL-2.0-or-later
#include "session.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "wiped.h"

#define KEEPALIVE_S     2L    /* of silence, and between probes */
#define RETRY_AFTER_MAX 86400 /* s */

struct session {
	CURL *easy;
	struct secrets *secrets;
	const char *ca_file; /* the job's */
	unsigned connect_ms;
	int64_t deadline; /* ms */
	char error[CURL_ERROR_SIZE];
};

/* One transfer under way. */
struct transfer {
	struct session *session;
	const struct call *call;
	struct answer *answer;
	size_t header_octets;
	bool headers_end; /* the empty line behind them has come */
	bool too_long;
};

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int session_start(void)
{
	CURLcode code = curl_global_init_mem(CURL_GLOBAL_DEFAULT, wiped_malloc, wiped_free,
					     wiped_realloc, wiped_strdup, wiped_calloc);

	return code == CURLE_OK ? 0 : -EIO;
}

static void set_protocols(CURL *easy)
{
#if LIBCURL_VERSION_NUM >= 0x075500
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
#else
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
}

/* How it speaks, the same for every call. */
static void set_manners(const struct session *s)
{
	CURL *easy = s->easy;

	set_protocols(easy);
	/* Cookies are kept from one call to the next, and in no file. */
	curl_easy_setopt(easy, CURLOPT_COOKIEFILE, "");
	curl_easy_setopt(easy, CURLOPT_USERAGENT, "pinhold/" PINHOLD_VERSION);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, s->error);
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	/* A name like .. stays what it is. */
	curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
	/* Instead of the system's: whoever names the file means it. */
	if (s->ca_file) {
		curl_easy_setopt(easy, CURLOPT_CAINFO, s->ca_file);
		curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
	}
	/* A NAT that moves a mapping, which is when there is something to tell, often forgets all
	 * flows: this one shows within seconds that it is dead, and is tried anew. */
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, KEEPALIVE_S);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, KEEPALIVE_S);
	/* CURLOPT_NOSIGNAL stays off: it ends look-ups where libcurl has no resolver thread. */
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)s->connect_ms);
}

int session_new(const struct job *job, struct secrets *secrets, struct session **ret_session,
		struct result *r)
{
	struct session *s = wiped_calloc(1, sizeof(*s));

	if (!s)
		return result_no_memory(r);
	*s = (struct session){
		.easy = curl_easy_init(),
		.secrets = secrets,
		.ca_file = job_setting(job, "ca-file"),
		.connect_ms = job->connect_ms,
		.deadline = now_ms() + job->total_ms,
	};
	if (!s->easy) {
		session_free(s);
		return result_no_memory(r);
	}
	set_manners(s);
	*ret_session = s;
	return 0;
}

void session_free(struct session *s)
{
	if (!s)
		return;
	curl_easy_cleanup(s->easy);
	wiped_free(s);
}

/* ---- what comes in ---- */

static size_t take_body(char *data, size_t size, size_t n, void *user)
{
	struct transfer *t = user;

	(void)size; /* 1, says libcurl */
	if (t->answer->body.len + n > ANSWER_MAX) {
		t->too_long = true;
		return 0;
	}
	buffer_add(&t->answer->body, data, n);
	return t->answer->body.failed ? 0 : n;
}

/* A field that comes twice counts as it came last. */
static void take_wanted(const struct transfer *t, const char *line, size_t len)
{
	size_t name = strlen(t->call->wanted);

	if (len <= name || line[name] != ':' || strncasecmp(line, t->call->wanted, name) != 0)
		return;
	line += name + 1;
	len -= name + 1;
	while (len && strchr(" \t", *line)) {
		line++;
		len--;
	}
	while (len && strchr(" \t\r\n", line[len - 1]))
		len--;
	buffer_done(&t->answer->header);
	buffer_add(&t->answer->header, line, len);
}

static size_t take_header(char *line, size_t size, size_t n, void *user)
{
	struct transfer *t = user;

	(void)size;
	t->header_octets += n;
	if (t->header_octets > ANSWER_MAX / 4) {
		t->too_long = true;
		return 0;
	}
	/* There may be an interim answer before. */
	if (n >= 5 && memcmp(line, "HTTP/", 5) == 0)
		t->headers_end = false;
	else if (n <= 2 && strspn(line, "\r\n") >= n)
		t->headers_end = true;
	/* What comes after the end is a trailer (RFC 9112, section 7.1.2). */
	else if (t->call->wanted && !t->headers_end)
		take_wanted(t, line, n);
	return n;
}

/* ---- what goes out ---- */

static int add_header(struct curl_slist **list, const char *line)
{
	struct curl_slist *longer = curl_slist_append(*list, line);

	if (!longer)
		return -1;
	*list = longer;
	return 0;
}

/* A field that libcurl would add by itself is left out by "Name:". */
static int make_headers(const struct call *call, struct curl_slist **ret_list)
{
	struct curl_slist *list = NULL;
	int failed = add_header(&list, "Expect:");
	bool typed = false;

	for (size_t i = 0; !failed && call->headers && call->headers[i]; i++) {
		failed = add_header(&list, call->headers[i]);
		typed = typed || strncasecmp(call->headers[i], "Content-Type", 12) == 0;
	}
	if (!failed && !typed)
		failed = add_header(&list, "Content-Type:");
	if (failed) {
		curl_slist_free_all(list);
		return -1;
	}
	*ret_list = list;
	return 0;
}

static void set_call(const struct session *s, const struct call *call, struct curl_slist *headers)
{
	CURL *easy = s->easy;
	const char *body = call->body;

	/* Undoes what the call before has set: a body. */
	curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
	curl_easy_setopt(easy, CURLOPT_URL, call->url);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
	/* These have a body, were it of no octets. */
	if (!body && call->method[0] == 'P')
		body = "";
	if (body) {
		curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(body));
		curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body);
	}
	curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, call->method);
	if (call->user) {
		curl_easy_setopt(easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
		curl_easy_setopt(easy, CURLOPT_USERNAME, call->user);
		curl_easy_setopt(easy, CURLOPT_PASSWORD, call->password);
	}
}

static void set_callbacks(struct transfer *t)
{
	CURL *easy = t->session->easy;

	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, t);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, t);
}

/* ---- words ---- */

/* host:port of a URL, "" of what is none. */
static void find_where(const struct session *s, const char *text, char *where, size_t size)
{
	CURLU *url = curl_url();
	char *host = NULL, *port = NULL;

	where[0] = '\0';
	if (url && curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK &&
	    curl_url_get(url, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
	    curl_url_get(url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK)
		snprintf(where, size, "%s:%s", host, port);
	curl_free(host);
	curl_free(port);
	curl_url_cleanup(url);
	secrets_redact(s->secrets, where);
}

static void find_location(const struct session *s, struct buffer *ret_location)
{
	CURLU *url = curl_url();
	char *target = NULL, *plain = NULL;

	curl_easy_getinfo(s->easy, CURLINFO_REDIRECT_URL, &target);
	if (url && target && curl_url_set(url, CURLUPART_URL, target, 0) == CURLUE_OK) {
		curl_url_set(url, CURLUPART_USER, NULL, 0);
		curl_url_set(url, CURLUPART_PASSWORD, NULL, 0);
		curl_url_set(url, CURLUPART_QUERY, NULL, 0);
		curl_url_set(url, CURLUPART_FRAGMENT, NULL, 0);
		if (curl_url_get(url, CURLUPART_URL, &plain, 0) == CURLUE_OK)
			secrets_redact(s->secrets, plain);
	}
	if (plain)
		buffer_puts(ret_location, plain);
	curl_free(plain);
	curl_url_cleanup(url);
}

/* libcurl's own details, where they say more than its sentence for the code. */
static const char *details(const struct session *s, CURLcode code)
{
	if (*s->error &&
	    (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CONNECT_ERROR))
		return s->error;
	return curl_easy_strerror(code);
}

static bool hopeless(CURLcode code)
{
	return code == CURLE_URL_MALFORMAT || code == CURLE_SSL_CACERT_BADFILE ||
	       code == CURLE_BAD_FUNCTION_ARGUMENT;
}

static int say_failed(const struct transfer *t, CURLcode code, struct result *r)
{
	struct session *s = t->session;
	const char *where = t->answer->where;

	if (t->too_long)
		return result_give_up(r, "%s: the answer is too long", where);
	if (t->answer->body.failed || code == CURLE_OUT_OF_MEMORY)
		return result_no_memory(r);
	secrets_redact(s->secrets, s->error);
	if (code == CURLE_SSL_CACERT_BADFILE && s->ca_file)
		return result_give_up(r, "ca-file %s: cannot be used", s->ca_file);
	/* The URL's scheme is one that it knows; this is about what came back. */
	if (code == CURLE_UNSUPPORTED_PROTOCOL)
		return result_retry(r, 0, "%s: the answer is not HTTP", where);
	if (hopeless(code))
		return result_give_up(r, "%s: %s", *where ? where : "url",
				      curl_easy_strerror(code));
	return result_retry(r, 0, "%s: %s", where, details(s, code));
}

/* ---- a call ---- */

static void take_info(const struct session *s, struct answer *a)
{
	curl_off_t seconds = 0;

	curl_easy_getinfo(s->easy, CURLINFO_RESPONSE_CODE, &a->status);
	curl_easy_getinfo(s->easy, CURLINFO_RETRY_AFTER, &seconds);
	if (seconds > 0)
		a->retry_after = seconds < RETRY_AFTER_MAX ? (long)seconds : RETRY_AFTER_MAX;
	if (a->status >= 300 && a->status < 400)
		find_location(s, &a->location);
}

static int perform(struct session *s, struct transfer *t, long left_ms, struct result *r)
{
	struct curl_slist *headers;
	CURLcode code;

	if (make_headers(t->call, &headers) < 0)
		return result_no_memory(r);
	s->error[0] = '\0';
	curl_easy_setopt(s->easy, CURLOPT_TIMEOUT_MS, left_ms);
	set_call(s, t->call, headers);
	set_callbacks(t);
	code = curl_easy_perform(s->easy);
	/* It must not keep pointers to what is gone. */
	curl_easy_setopt(s->easy, CURLOPT_HTTPHEADER, NULL);
	curl_easy_setopt(s->easy, CURLOPT_POSTFIELDS, NULL);
	curl_slist_free_all(headers);
	if (code != CURLE_OK)
		return say_failed(t, code, r);
	/* libcurl takes the end of the connection for theirs. */
	if (!t->headers_end)
		return result_retry(r, 0, "%s: the answer is cut off", t->answer->where);
	return 0;
}

int session_call(struct session *s, const struct call *call, struct answer *ret_answer,
		 struct result *r)
{
	struct answer answer = { 0 };
	struct transfer t = { .session = s, .call = call, .answer = &answer };
	int64_t left = s->deadline - now_ms();

	find_where(s, call->url, answer.where, sizeof(answer.where));
	if (answer.where[0] == '\0' || (strncasecmp(call->url, "http://", 7) != 0 &&
					strncasecmp(call->url, "https://", 8) != 0))
		return result_give_up(r, "url: not an http:// or https:// URL");
	if (left <= 0)
		return result_retry(r, 0, "%s: takes too long", answer.where);
	if (perform(s, &t, (long)left, r)) {
		answer_done(&answer);
		return -1;
	}
	take_info(s, &answer);
	*ret_answer = answer;
	return 0;
}

void answer_done(struct answer *a)
{
	buffer_done(&a->body);
	buffer_done(&a->header);
	buffer_done(&a->location);
}

int answer_check(const struct answer *a, const char *detail, struct result *r)
{
	const char *colon = detail && *detail ? ": " : "", *text = detail ? detail : "";

	if (a->status >= 200 && a->status < 300)
		return 0;
	if (a->location.len)
		return result_give_up(r, "%s: redirects (status %ld) to %s, which is not followed",
				      a->where, a->status, buffer_text(&a->location));
	if (a->status == 429)
		return result_retry(r, a->retry_after, "%s: too many requests (status 429)%s%s",
				    a->where, colon, text);
	if (a->status == 408 || a->status >= 500)
		return result_retry(r, a->retry_after, "%s: status %ld%s%s", a->where, a->status,
				    colon, text);
	return result_give_up(r, "%s: status %ld%s%s", a->where, a->status, colon, text);
}

void answer_excerpt(const struct session *s, const struct answer *a, char buf[static EXCERPT_MAX])
{
	char *copy = wiped_strdup(a->body.failed || !a->body.data ? "" : a->body.data);
	char *begin = copy;

	buf[0] = '\0';
	if (!copy)
		return;
	secrets_redact(s->secrets, copy);
	begin += strspn(begin, " \t\r\n");
	begin[strcspn(begin, "\r\n")] = '\0';
	/* A page is not for a log. */
	if (*begin != '<')
		snprintf(buf, EXCERPT_MAX, "%s", begin);
	wiped_free(copy);
}
