// SPDX-License-Identifier: GPL-2.0-or-later
/* pinhold-publish: one event to one receiver. The contract: include/pinhold/publish.h. */

#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <pinhold/publish.h>

#include "confine.h"
#include "job.h"
#include "result.h"
#include "secret.h"
#include "session.h"
#include "types.h"
#include "wiped.h"

static const char usage[] =
	"usage: pinhold-publish [--version | --help]\n"
	"\n"
	"pinhold starts it to tell one receiver of one change: a JSON object on standard input,\n"
	"the result as a JSON object on standard output. See PUBLISHERS in pinhold.conf(5).\n";

static int read_input(char *data, size_t *ret_len, struct result *r)
{
	size_t len = 0;
	ssize_t n;

	/* One octet more than allowed shows that there are too many. */
	while (len <= PH_PUBLISH_INPUT_MAX) {
		n = read(STDIN_FILENO, data + len, PH_PUBLISH_INPUT_MAX + 1 - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return result_retry(r, 0, "input: %s", strerror(errno));
		if (n == 0)
			break;
		len += (size_t)n;
	}
	if (len > PH_PUBLISH_INPUT_MAX)
		return result_give_up(r, "input: more than %d octets", PH_PUBLISH_INPUT_MAX);
	*ret_len = len;
	return 0;
}

static int read_job(struct job *ret_job, struct result *r)
{
	char *data = wiped_malloc(PH_PUBLISH_INPUT_MAX + 1);
	size_t len = 0;
	int failed;

	if (!data) {
		result_no_memory(r);
		return -1;
	}
	failed = read_input(data, &len, r) || job_parse(data, len, ret_job, r);
	wiped_free(data);
	return failed ? -1 : 0;
}

static void publish(const struct job *job, struct secrets *secrets, struct result *r)
{
	const struct publisher_type *type = publisher_type_find(job->type);
	struct publication p = { .job = job, .secrets = secrets };

	if (!type) {
		result_give_up(r, "input: no such type");
		return;
	}
	if (!type->down && strcmp(job->event.event, "down") == 0) {
		result_unchanged(r, "the last endpoint stays");
		return;
	}
	if (session_new(job, secrets, &p.session, r))
		return;
	type->publish(&p, r);
	session_free(p.session);
}

/* The last look at what people will read. */
static void finish_text(const struct secrets *secrets, struct result *r)
{
	const char *warning = buffer_text(&secrets->warning);
	size_t len = strlen(r->text);

	if (warning && *warning)
		snprintf(r->text + len, sizeof(r->text) - len, "; warning: %s", warning);
	secrets_redact(secrets, r->text);
	result_printable(r->text);
}

/* Whoever asked ends us when it ends; the signal that says so does not come for what was before. */
static int follow(const struct job *job, struct result *r)
{
	if (!job->parent)
		return 0;
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		return result_retry(r, 0, "parent: %s", strerror(errno));
	if (getppid() != job->parent)
		return result_retry(r, 0, "parent: process %d is not there any more", job->parent);
	return 0;
}

static void deliver(struct result *r)
{
	struct secrets secrets = { 0 };
	struct job job = { 0 };

	if (read_job(&job, r))
		return;
	if (follow(&job, r) == 0)
		publish(&job, &secrets, r);
	finish_text(&secrets, r);
	secrets_done(&secrets);
	job_done(&job);
}

static int print(const struct result *r)
{
	static const char *const outcomes[] = {
		[OUTCOME_OK] = "ok",
		[OUTCOME_UNCHANGED] = "unchanged",
		[OUTCOME_FAILED] = "failed",
	};
	json_t *line = json_pack("{s:s, s:s, s:b, s:o}", "result", outcomes[r->outcome], "text",
				 r->text, "retry", r->retry, "retry_after",
				 r->retry_after ? json_integer(r->retry_after) : json_null());

	/* Nobody may be left to read it; the exit status says the same. */
	if (line && json_dumpf(line, stdout, JSON_COMPACT) == 0)
		putchar('\n');
	fflush(stdout);
	json_decref(line);
	if (r->outcome != OUTCOME_FAILED)
		return PH_PUBLISH_OK;
	return r->retry ? PH_PUBLISH_RETRY : PH_PUBLISH_GIVE_UP;
}

static int arguments(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		puts("pinhold-publish " PINHOLD_VERSION);
		return PH_PUBLISH_OK;
	}
	if (argc == 2 && strcmp(argv[1], "--help") == 0) {
		fputs(usage, stdout);
		return PH_PUBLISH_OK;
	}
	fputs(usage, stderr);
	return PH_PUBLISH_GIVE_UP;
}

int main(int argc, char **argv)
{
	const char *failed;
	struct result r = { 0 };
	int error = confine(&failed), status;

	signal(SIGPIPE, SIG_IGN);
	if (argc > 1)
		return arguments(argc, argv);
	wiped_jansson();
	if (error)
		result_give_up(&r, "cannot give up privileges: %s: %s", failed, strerror(-error));
	else if (session_start() < 0)
		result_retry(&r, 0, "libcurl does not start");
	else
		deliver(&r);
	status = print(&r);
	confine_end();
	return status;
}
