// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A value of Workers KV: PUT accounts/ACCOUNT/storage/kv/namespaces/NAMESPACE/values/KEY,
 * whose body is the value itself.
 */

#include <string.h>

#include "cloudflare.h"
#include "template.h"

struct entry {
	struct buffer key, value, path;
};

static int make_key(struct entry *e, const struct publication *p, struct result *r)
{
	const char *key = job_setting(p->job, "key");

	if (!key)
		return result_give_up(r, "there is no key");
	if (template_expand(key, ESCAPE_NONE, &p->job->event, p->secrets, &e->key, r))
		return -1;
	key = buffer_text(&e->key);
	if (e->key.len == 0 || e->key.len > 512 || strcmp(key, ".") == 0 || strcmp(key, "..") == 0)
		return result_give_up(r, "key: Workers KV does not take it");
	return 0;
}

static int make(struct entry *e, const struct publication *p, struct result *r)
{
	const char *account = job_setting(p->job, "account");
	const char *space = job_setting(p->job, "namespace"), *value = job_setting(p->job, "value");

	if (!account || !space)
		return result_give_up(r, "account and namespace are not both there");
	if (make_key(e, p, r) || template_expand(value ? value : "${public_port}", ESCAPE_NONE,
						 &p->job->event, p->secrets, &e->value, r))
		return -1;
	buffer_puts(&e->path, "/accounts/");
	escape_add(&e->path, ESCAPE_URL, account);
	buffer_puts(&e->path, "/storage/kv/namespaces/");
	escape_add(&e->path, ESCAPE_URL, space);
	buffer_puts(&e->path, "/values/");
	escape_add(&e->path, ESCAPE_URL, buffer_text(&e->key));
	return buffer_text(&e->path) ? 0 : result_no_memory(r);
}

static int store(const struct cloudflare *cf, const struct entry *e, struct result *r)
{
	struct answer a;
	json_t *object;
	int failed;

	if (cloudflare_call(cf, "PUT", buffer_text(&e->path),
			    "Content-Type: application/octet-stream", buffer_text(&e->value), &a,
			    r))
		return -1;
	failed = cloudflare_check(cf, &a, &object, r);
	answer_done(&a);
	if (failed)
		return -1;
	json_decref(object);
	return 0;
}

/*
 * Always written, and not looked up before: what KV says may be a minute old, and then the value
 * before one that is on its way. Who has heard is not told again; the daemon sees to that.
 */
static void publish(const struct cloudflare *cf, struct entry *e, struct result *r)
{
	if (make(e, cf->p, r) == 0 && store(cf, e, r) == 0)
		result_ok(r, "stored in Workers KV");
}

void cloudflare_kv_publish(const struct publication *p, struct result *r)
{
	struct entry e = { 0 };
	struct cloudflare cf;

	if (cloudflare_init(&cf, p, r) == 0)
		publish(&cf, &e, r);
	buffer_done(&e.key);
	buffer_done(&e.value);
	buffer_done(&e.path);
	cloudflare_done(&cf);
}
