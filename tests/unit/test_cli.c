/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The commands that ask the daemon. */

#include "program.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#include "cli/client.h"
#include "daemon_answers.h"

static const char *const one[] = { UP, NULL };
static const char *const down[] = { DOWN, NULL };
static const char *const three[] = { DAEMON("3"), UP, DOWN, UP6, NULL };

/* ---- status ---- */

static void test_status(void **state)
{
	struct fixture *f = *state;

	run(f, "status", three, 0);
	assert_string_equal(f->request, "{\"command\":\"status\"}");
	assert_string_equal(f->err.text, "");
	assert_non_null(strstr(f->out.text, "203.0.113.7:32451"));
	run(f, "status web", one, 0);
	assert_string_equal(f->request, "{\"command\":\"status\",\"mapping\":\"web\"}");
	assert_non_null(strstr(f->out.text, "2001::7ec3:cb00:7107"));
}

static void test_status_json(void **state)
{
	struct fixture *f = *state;
	json_t *document, *want = json_loads(UP6, 0, NULL);

	run(f, "status --json", three, 0);
	document = json_loads(f->out.text, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(document);
	assert_int_equal(json_array_size(json_object_get(document, "mappings")), 3);
	assert_true(json_equal(json_array_get(json_object_get(document, "mappings"), 2), want));
	assert_null(json_object_get(json_object_get(document, "daemon"), "mappings"));
	assert_int_equal(
		json_integer_value(json_object_get(json_object_get(document, "daemon"), "pid")),
		4711);
	json_decref(document);
	json_decref(want);
	run(f, "status web --json", one, 0);
	document = json_loads(f->out.text, 0, NULL);
	want = json_loads(UP, 0, NULL);
	assert_true(json_equal(document, want));
	json_decref(document);
	json_decref(want);
}

static void test_no_such_mapping(void **state)
{
	static const char *const answer[] = {
		"{\"error\":\"there is no mapping x\",\"mappings\":[\"web\",\"nas\"]}", NULL
	};
	static const char *const none[] = { "{\"error\":\"there is no mapping x\",\"mappings\":[]}",
					    NULL };
	static const char *const busy[] = { "{\"error\":\"too many\\nclients\"}", NULL };
	struct fixture *f = *state;

	run(f, "status x", answer, 2);
	assert_one_line(f, "there is no mapping x; there are web, nas");
	run(f, "get x state", answer, 2);
	assert_one_line(f, "there is no mapping x; there are web, nas");
	run(f, "get x state", none, 2);
	assert_one_line(f, "there is no mapping x; there are none");
	run(f, "status", busy, 1);
	assert_one_line(f, "too many?clients");
}

/* ---- get ---- */

static void test_get(void **state)
{
	static const char *const cases[][2] = {
		{ "state", "up" },
		{ "public-address", "203.0.113.7" },
		{ "public-port", "32451" },
		{ "public-endpoint", "203.0.113.7:32451" },
		{ "ip4p", "2001::7ec3:cb00:7107" },
		{ "private-address", "100.64.0.2" },
		{ "private-port", "8443" },
		{ "private-endpoint", "100.64.0.2:8443" },
		{ "protocol", "tcp" },
		{ "interface", "wan" },
		{ "target", "192.168.10.50:443" },
		{ "since", "2026-11-21T08:00:10Z" },
		{ "changes", "3" },
		{ "verified", "2026-11-21T10:00:00Z" },
		{ "connections", "12" },
	};
	static const char *const six[] = { UP6, NULL };
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char words[64], want[64];

		snprintf(words, sizeof(words), "get web %s", cases[i][0]);
		snprintf(want, sizeof(want), "%s\n", cases[i][1]);
		run(f, words, one, 0);
		assert_string_equal(f->out.text, want);
		assert_string_equal(f->err.text, "");
		assert_string_equal(f->request, "{\"command\":\"status\",\"mapping\":\"web\"}");
	}
	run(f, "get wg6 public-endpoint", six, 0);
	assert_string_equal(f->out.text, "[2001:db8:1234:5678:9abc:def0:1234:5678]:51820\n");
	run(f, "get wg6 connections", six, 0);
	assert_string_equal(f->out.text, "0\n");
	run(f, "get wg6 own-port", six, 0);
	assert_string_equal(f->out.text, "40001\n");
	run(f, "get wg6 uplink", six, 0);
	assert_string_equal(f->out.text, "2\n");
	run(f, "get wg6 why", six, 1);
	assert_one_line(f, "wg6 has no why now; its state is up");
	run(f, "get a why", down, 0);
	assert_non_null(strstr(f->out.text, "none of the STUN servers has answered so far"));
	run(f, "get wg6 ip4p", six, 1);
	assert_one_line(f, "wg6 has no ip4p now; its state is up");
	run(f, "get a public-endpoint", down, 1);
	assert_one_line(f, "has no public-endpoint now; its state is opening");
	run(f, "get a since", down, 1);
	f->request[0] = '\0';
	run(f, "get web colour", one, 2);
	assert_one_line(f, "\"colour\" is no field; there are state, why, public-address");
	assert_non_null(strstr(f->err.text, "connections"));
	assert_string_equal(f->request, "");
}

/* ---- reload ---- */

static void test_reload(void **state)
{
	static const char *const changed[] = {
		"{\"reload\":{\"unchanged\":997,\"changed\":[\"web\",\"nas\"],\"added\":[\"dns\"],"
		"\"removed\":[],\"path\":\"/etc/pinhold.conf\",\"notices\":[{\"line\":7,\"text\":"
		"\"loopback has no effect yet\"}]}}",
		NULL
	};
	static const char *const same[] = {
		"{\"reload\":{\"unchanged\":2,\"changed\":[],\"added\":[],\"removed\":[],"
		"\"path\":\"/etc/pinhold.conf\",\"notices\":[]}}",
		NULL
	};
	static const char *const mistakes[] = {
		"{\"error\":\"2 mistakes\",\"path\":\"/etc/pinhold.conf\",\"mistakes\":["
		"{\"line\":0,\"text\":\"no mapping\"},{\"line\":9,\"text\":\"no port\"}]}",
		NULL
	};
	static const char *const vanished[] = {
		"{\"error\":\"/etc/pinhold.conf: No such file\",\"path\":\"/etc/pinhold.conf\"}",
		NULL
	};
	static const char *const refused[] = { "{\"error\":\"there is no file\"}", NULL };
	struct fixture *f = *state;

	run(f, "reload", changed, 0);
	assert_string_equal(f->request, "{\"command\":\"reload\"}");
	assert_string_equal(f->out.text, "2 changed: web, nas; 1 added: dns; 997 unchanged\n");
	assert_string_equal(f->err.text,
			    "pinhold: /etc/pinhold.conf:7: loopback has no effect yet\n");
	run(f, "reload", same, 0);
	assert_string_equal(f->out.text, "2 unchanged\n");
	run(f, "reload", mistakes, 2);
	assert_string_equal(f->out.text, "");
	assert_string_equal(f->err.text, "pinhold: /etc/pinhold.conf: no mapping\n"
					 "pinhold: /etc/pinhold.conf:9: no port\n"
					 "pinhold: /etc/pinhold.conf: not loaded; everything stays "
					 "as it was\n");
	run(f, "reload", vanished, 2);
	assert_one_line(f, "/etc/pinhold.conf: No such file; everything stays as it was");
	run(f, "reload", refused, 1);
	assert_one_line(f, "there is no file");
}

/* ---- watch ---- */

static void test_watch(void **state)
{
	static const char *const two[] = { "{\"event\":\"up\"}", "{\"event\":\"down\"}", NULL };
	static const char *const refused[] = { "{\"error\":\"no\"}", NULL };
	struct fixture *f = *state;

	f->watched = true;
	f->answers = two;
	start(f, "watch");
	/* They are there while it still runs. */
	while (f->out.len < strlen("{\"event\":\"up\"}\n{\"event\":\"down\"}\n"))
		turn(f);
	assert_false(f->exited);
	assert_string_equal(f->out.text, "{\"event\":\"up\"}\n{\"event\":\"down\"}\n");
	uv_process_kill(&f->process, SIGINT);
	await_end(f);
	assert_int_equal(f->signal, SIGINT);
	assert_string_equal(f->err.text, "");
	/* The reader of its output goes away, and no event comes. */
	f->out_closed = true;
	run(f, "watch", NULL, 1);
	assert_non_null(strstr(f->err.text, "standard output: Broken pipe"));
	f->out_closed = false;
	run(f, "watch", refused, 1);
	assert_one_line(f, "no");
	/* The daemon ends. */
	f->hang_up = true;
	run(f, "watch", NULL, 3);
	assert_one_line(f, "has ended");
}

/* ---- daemons and outputs that do not behave ---- */

static void test_no_daemon(void **state)
{
	static const char *const commands[] = { "status",        "status web", "status --json",
						"get web state", "watch",      "reload" };
	struct fixture *f = *state;
	char want[200];

	ph_control_close(f->control);
	f->control = NULL;
	snprintf(want, sizeof(want),
		 "no daemon answers at %s/control.sock; is `pinhold run` running?", f->directory);
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
		run(f, commands[i], NULL, 3);
		assert_one_line(f, want);
	}
}

/* As nobody, where the socket is another group's. In this process, because nobody may not be able
 * to reach the program. */
static void test_forbidden(void **state)
{
	struct fixture *f = *state;
	char said[512] = "";
	struct client c;
	int out, saved, r;

	if (geteuid() != 0)
		return; /* whoever runs the tests may always open his own socket */
	assert_int_equal(chown(f->path, 0, 1), 0); /* group daemon */
	assert_int_equal(chmod(f->directory, 0755), 0);
	out = memfd_create("said", MFD_CLOEXEC);
	saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	assert_true(out >= 0 && saved >= 0);
	assert_int_equal(dup2(out, STDERR_FILENO), STDERR_FILENO);
	assert_int_equal(setegid(65534), 0);
	assert_int_equal(seteuid(65534), 0);
	r = client_open(&c, "status", NULL);
	client_close(&c);
	assert_int_equal(seteuid(0), 0);
	assert_int_equal(setegid(0), 0);
	assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
	close(saved);
	assert_true(pread(out, said, sizeof(said) - 1, 0) > 0);
	close(out);
	assert_non_null(strstr(said, "permission denied; it is for root and the group daemon\n"));
	assert_int_equal(r, CLI_NO_DAEMON);
}

static void test_daemon_that_hangs_or_dies(void **state)
{
	static const char *const part[] = { DAEMON("2"), UP, NULL };
	static const char *const no_json[] = { "HTTP/1.1 400 Bad Request", NULL };
	static const char *const array[] = { "[]", NULL };
	struct fixture *f = *state;
	uint64_t begun;

	run(f, "status", no_json, 3);
	assert_one_line(f, "is no pinhold");
	run(f, "reload", array, 3);
	assert_one_line(f, "is no pinhold");
	begun = uv_hrtime();
	run(f, "get web state", NULL, 3);
	assert_one_line(f, "does not answer");
	assert_in_range(uv_hrtime() - begun, 9000000000u, 20000000000u);
	f->hang_up = true;
	run(f, "status", part, 3);
	assert_one_line(f, "has ended");
}

static void test_endless_answer(void **state)
{
	static char endless[1400000];
	const char *answers[] = { endless, NULL };
	struct fixture *f = *state;

	memset(endless, 'x', sizeof(endless) - 1);
	run(f, "status", answers, 3);
	assert_one_line(f, "has no end");
}

static void test_full_output(void **state)
{
	static const char *const commands[] = { "status",        "status --json", "status web",
						"get web state", "--help",        "--version" };
	static const char *const event[] = { "{}", NULL };
	static const char *const same[] = { "{\"reload\":{\"unchanged\":2}}", NULL };
	struct fixture *f = *state;

	f->out_path = "/dev/full";
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
		run(f, commands[i], i < 2 ? three : one, 1);
		assert_one_line(f, "standard output: No space left on device");
	}
	run(f, "reload", same, 1);
	f->watched = true;
	run(f, "watch", event, 1);
	assert_one_line(f, "standard output: No space left on device");
	f->out_path = NULL;
	f->watched = false;
	f->out_closed = true;
	run(f, "status", three, 1);
	assert_non_null(strstr(f->err.text, "standard output: Broken pipe"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_SERVER(test_status),
		WITH_SERVER(test_status_json),
		WITH_SERVER(test_no_such_mapping),
		WITH_SERVER(test_get),
		WITH_SERVER(test_reload),
		WITH_SERVER(test_watch),
		WITH_SERVER(test_no_daemon),
		WITH_SERVER(test_forbidden),
		WITH_SERVER(test_daemon_that_hangs_or_dies),
		WITH_SERVER(test_endless_answer),
		WITH_SERVER(test_full_output),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
