/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The commands that ask the daemon: the program itself as a child, and a control socket that
 * answers as the test says. The build says where the program is.
 */

#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <pinhold/control.h>

#include "cli/client.h"
#include "cli/status_text.h"

#define OUTPUT_MAX  1048576u
#define PATIENCE_MS 30000u

struct pipe_reader {
	uv_pipe_t pipe;
	size_t len;
	char *text;
};

struct fixture {
	char directory[64], path[96];
	uv_loop_t loop;
	uv_timer_t guard;
	uv_process_t process;
	struct ph_control *control;
	const char *const *answers; /* lines, up to a NULL; NULL: none, ever */
	bool hang_up;               /* and close afterwards */
	bool watched;
	char request[256];
	struct pipe_reader out, err;
	const char *out_path; /* standard output goes there instead */
	bool out_closed;      /* nobody reads standard output */
	bool exited;
	int64_t status;
	int signal;
};

static void on_line(void *data, struct ph_control_client *client, const char *line, size_t len)
{
	struct fixture *f = data;

	(void)len;
	snprintf(f->request, sizeof(f->request), "%s", line);
	if (f->watched)
		ph_control_keep(client);
	for (size_t i = 0; f->answers && f->answers[i]; i++)
		ph_control_send(client, f->answers[i]);
	if (f->hang_up) {
		ph_control_close(f->control);
		f->control = NULL;
	}
}

static void on_gone(void *data, struct ph_control_client *client)
{
	(void)data;
	(void)client;
}

static const struct ph_control_events events = { .line = on_line, .gone = on_gone };

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	strcpy(f->directory, "/tmp/pinhold-test.XXXXXX");
	assert_non_null(mkdtemp(f->directory));
	setenv("RUNTIME_DIRECTORY", f->directory, 1);
	snprintf(f->path, sizeof(f->path), "%s/control.sock", f->directory);
	uv_loop_init(&f->loop);
	uv_timer_init(&f->loop, &f->guard);
	f->out.text = calloc(1, OUTPUT_MAX);
	f->err.text = calloc(1, OUTPUT_MAX);
	assert_true(f->out.text && f->err.text);
	assert_int_equal(ph_control_listen(&f->loop, f->path, &events, f, &f->control), 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	ph_control_close(f->control);
	uv_close((uv_handle_t *)&f->guard, NULL);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	assert_int_equal(rmdir(f->directory), 0);
	free(f->out.text);
	free(f->err.text);
	free(f);
	return 0;
}

static void on_guard(uv_timer_t *timer)
{
	(void)timer;
	fail_msg("nothing has happened for %u ms", PATIENCE_MS);
}

static void on_allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct pipe_reader *r = handle->data;

	(void)suggested;
	*buf = uv_buf_init(r->text + r->len, (unsigned)(OUTPUT_MAX - 1 - r->len));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct pipe_reader *r = stream->data;

	(void)buf;
	if (n < 0) {
		uv_close((uv_handle_t *)stream, NULL);
		return;
	}
	r->len += (size_t)n;
	r->text[r->len] = '\0';
}

static void on_exit_of(uv_process_t *process, int64_t status, int signal)
{
	struct fixture *f = process->data;

	f->exited = true;
	f->status = status;
	f->signal = signal;
	uv_close((uv_handle_t *)process, NULL);
}

static void turn(struct fixture *f)
{
	uv_update_time(&f->loop);
	uv_timer_start(&f->guard, on_guard, PATIENCE_MS, 0);
	uv_run(&f->loop, UV_RUN_ONCE);
	uv_timer_stop(&f->guard);
}

static void read_from(struct fixture *f, struct pipe_reader *r, int fd)
{
	r->len = 0;
	r->text[0] = '\0';
	r->pipe.data = r;
	uv_pipe_init(&f->loop, &r->pipe, 0);
	assert_int_equal(uv_pipe_open(&r->pipe, fd), 0);
	uv_read_start((uv_stream_t *)&r->pipe, on_allocate, on_read);
}

/* words: at most seven, separated by blanks. */
static void start(struct fixture *f, const char *words)
{
	char copy[256], *args[9] = { (char *)(uintptr_t)PROGRAM }, *save = NULL;
	uv_process_options_t options = { .file = PROGRAM, .args = args, .exit_cb = on_exit_of };
	uv_stdio_container_t stdio[3] = { { .flags = UV_IGNORE } };
	int out[2], err[2];
	size_t n = 1;

	snprintf(copy, sizeof(copy), "%s", words);
	for (char *w = strtok_r(copy, " ", &save); w && n < 8; w = strtok_r(NULL, " ", &save))
		args[n++] = w;
	assert_int_equal(uv_pipe(out, 0, 0), 0);
	assert_int_equal(uv_pipe(err, 0, 0), 0);
	if (f->out_path) {
		close(out[1]);
		out[1] = open(f->out_path, O_WRONLY | O_CLOEXEC);
		assert_true(out[1] >= 0);
	}
	stdio[1].flags = stdio[2].flags = UV_INHERIT_FD;
	stdio[1].data.fd = out[1];
	stdio[2].data.fd = err[1];
	options.stdio = stdio;
	options.stdio_count = 3;
	f->exited = false;
	f->process.data = f;
	assert_int_equal(uv_spawn(&f->loop, &f->process, &options), 0);
	close(out[1]);
	close(err[1]);
	read_from(f, &f->err, err[0]);
	if (f->out_closed)
		close(out[0]);
	else
		read_from(f, &f->out, out[0]);
}

static void await_end(struct fixture *f)
{
	while (!f->exited || uv_is_active((uv_handle_t *)&f->err.pipe) ||
	       (!f->out_closed && uv_is_active((uv_handle_t *)&f->out.pipe)))
		turn(f);
}

/* Runs `pinhold words` while the daemon answers so, to its end; the exit status must be this. */
static void run(struct fixture *f, const char *words, const char *const *answers, int status)
{
	f->answers = answers;
	start(f, words);
	await_end(f);
	if (f->signal || f->status != status)
		fail_msg("%s: status %d, signal %d: %s%s", words, (int)f->status, f->signal,
			 f->out.text, f->err.text);
}

/* One line on standard error, and nothing else. */
static void assert_one_line(const struct fixture *f, const char *part)
{
	assert_string_equal(f->out.text, "");
	if (strncmp(f->err.text, "pinhold: ", 9) != 0 || !strstr(f->err.text, part) ||
	    strchr(f->err.text, '\n') != f->err.text + f->err.len - 1)
		fail_msg("\"%s\" is not one line with \"%s\"", f->err.text, part);
}

#define DAEMON(count)                                                                       \
	"{\"version\":\"0.1.0\",\"pid\":4711,\"config\":\"/etc/pinhold.conf\",\"started\":" \
	"\"2026-11-21T08:00:00Z\",\"table\":{\"installed\":true,\"ownership\":\"owner\","   \
	"\"error\":null,\"foreign_change\":null},\"mappings\":" count "}"

#define UP                                                                                          \
	"{\"name\":\"web\",\"protocol\":\"tcp\",\"family\":\"ipv4\",\"state\":\"up\",\"why\":null," \
	"\"interface\":\"wan\",\"public\":{\"address\":\"203.0.113.7\",\"port\":32451,\"ip4p\":"    \
	"\"2001::7ec3:cb00:7107\"},\"private\":{\"address\":\"100.64.0.2\",\"port\":8443},"         \
	"\"own_port\":null,\"uplink\":null,"                                                        \
	"\"target\":\"192.168.10.50:443\",\"since\":\"2026-11-21T08:00:10Z\",\"endpoint_since\":"   \
	"\"2026-11-21T08:00:10Z\",\"changes\":3,\"verified\":\"2026-11-21T10:00:00Z\","             \
	"\"can_verify\":true,\"endpoint_independent\":true,\"holders\":[{\"server\":"               \
	"\"192.0.2.13:80\",\"state\":\"open\",\"since\":\"2026-11-21T08:00:10Z\",\"rtt_ms\":23},"   \
	"{\"server\":\"192.0.2.14:80\",\"state\":\"connecting\",\"since\":null,\"rtt_ms\":null}],"  \
	"\"connections\":12,\"hooks\":[{\"path\":\"/etc/pinhold/on-change\",\"running\":false,"     \
	"\"pid\":null,\"owed\":false,"                                                              \
	"\"last\":{\"event\":\"up\",\"ended\":\"2026-11-21T08:00:11Z\",\"result\":\"failed\","      \
	"\"status\":7,\"signal\":null,\"error\":null},\"retry\":\"2026-11-21T10:14:23Z\"}]}"

#define DOWN                                                                                         \
	"{\"name\":\"a-name-of-thirty-two-octets-here\",\"protocol\":\"udp\",\"family\":\"ipv6\","   \
	"\"state\":\"opening\",\"why\":\"none of the STUN servers has answered so far, and this is " \
	"a long explanation of it\",\"interface\":null,\"public\":null,\"private\":null,"            \
	"\"own_port\":null,\"uplink\":null,\"target\":"                                              \
	"\"[2001:db8:1234:5678:9abc:def0:1234:5678]:51820\",\"since\":null,\"endpoint_since\":"      \
	"null,\"changes\":0,\"verified\":null,\"can_verify\":false,\"endpoint_independent\":null,"   \
	"\"holders\":[],\"connections\":null,\"hooks\":[]}"

#define UP6                                                                                         \
	"{\"name\":\"wg6\",\"protocol\":\"udp\",\"family\":\"ipv6\",\"state\":\"up\",\"why\":null," \
	"\"interface\":\"wan\",\"public\":{\"address\":\"2001:db8:1234:5678:9abc:def0:1234:5678\"," \
	"\"port\":51820,\"ip4p\":null},\"private\":{\"address\":"                                   \
	"\"2001:db8:1234:5678:9abc:def0:1234:5678\",\"port\":51820},"                               \
	"\"own_port\":40001,\"uplink\":2,\"target\":\":51820\","                                    \
	"\"since\":\"2026-11-19T08:00:10Z\",\"endpoint_since\":\"2026-11-19T08:00:10Z\","           \
	"\"changes\":0,\"verified\":null,\"can_verify\":false,\"endpoint_independent\":null,"       \
	"\"holders\":[],\"connections\":0,\"hooks\":[]}"

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

/* ---- words ---- */

static void test_words(void **state)
{
	static const struct {
		const char *words, *part;
	} cases[] = {
		{ "stauts", "did you mean status?" },
		{ "relaod", "did you mean reload?" },
		{ "statu", "did you mean status?" },
		{ "wtach", "did you mean watch?" },
		{ "rule-set", "did you mean ruleset?" },
		{ "xyzzy", "`pinhold --help`" },
		{ "check", "there is no command check" },
		{ "a-very-long-word-that-is-no-command", "`pinhold --help`" },
		{ "status --xml", "the option --xml is not known" },
		{ "status -x", "the option -x is not known" },
		{ "status web nas", "\"nas\" is too much" },
		{ "get", "which mapping and field?" },
		{ "get web", "which field?" },
		{ "get web state now", "\"now\" is too much" },
		{ "get --json web state", "--json is not known" },
		{ "watch web", "\"web\" is too much" },
		{ "reload now", "\"now\" is too much" },
		{ "run -c", "-c needs a file" },
		{ "run -x", "the option -x is not known" },
		{ "run /etc/pinhold.conf",
		  "\"/etc/pinhold.conf\" is too much; a file is named with -c" },
		{ "run -c /no/such/file", "/no/such/file: there is no such file" },
		{ "run -c /tmp", "/tmp: is a directory; name a file with -c" },
		{ "test -c /tmp", "/tmp: is a directory; name a file with -c" },
		{ "test -c", "-c needs a file" },
		{ "test file", "\"file\" is too much" },
		{ "test -c /no/such/file", "/no/such/file: there is no such file" },
		{ "ruleset -c", "-c needs a file" },
		{ "ruleset -c /no/such/file", "/no/such/file: there is no such file" },
		{ "ruleset -c/no/such/file", "/no/such/file: there is no such file" },
		{ "ruleset -c 5 -k", "-k needs a value" }, /* natmap's -c */
		{ "-6 -b 8443 -t ::1 -p 443",
		  "-t: ::1 is the loopback address, and IPv6 cannot forward to it: leave -t out" },
		{ "-b 8443 -f 0x01000000",
		  "-f: 0x01000000 has bits of 0x0f000000, which pinhold needs itself" },
	};
	static const char *const helped[] = { "run",   "test",   "status", "get",
					      "watch", "reload", "ruleset" };
	struct fixture *f = *state;
	char words[64];

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		run(f, cases[i].words, NULL, 2);
		assert_one_line(f, cases[i].part);
	}
	for (size_t i = 0; i < sizeof(helped) / sizeof(*helped); i++) {
		snprintf(words, sizeof(words), "%s --help", helped[i]);
		run(f, words, NULL, 0);
		snprintf(words, sizeof(words), "pinhold %s", helped[i]);
		assert_memory_equal(f->out.text, words, strlen(words));
	}
	assert_string_equal(f->request, "");
}

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void test_file(void **state)
{
	static const char *const commands[] = { "run", "test", "ruleset" };
	struct fixture *f = *state;
	char path[128], words[192], line[160];

	snprintf(path, sizeof(path), "%s/p.conf", f->directory);
	write_file(path, "[global]\nintervall = 5s\n\n[mapping web]\nprotocol = sctp\n"
			 "bind = 8443\ntarget = :443\n");
	/* Both mistakes, each with its line. */
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
		snprintf(words, sizeof(words), "%s -c %s", commands[i], path);
		run(f, words, NULL, 2);
		assert_string_equal(f->out.text, "");
		snprintf(line, sizeof(line), "pinhold: %s:2: ", path);
		assert_memory_equal(f->err.text, line, strlen(line));
		snprintf(line, sizeof(line), "\npinhold: %s:5: ", path);
		assert_non_null(strstr(f->err.text, line));
	}
	/* An interface that is there, and one that is not. */
	write_file(path, "[mapping web]\nprotocol = tcp\nbind = 8443\ntarget = :443\n"
			 "interface = 127.0.0.1\nstun = 192.0.2.1\nkeepalive = 192.0.2.2\n"
			 "[mapping nas]\nprotocol = udp\nbind = 8443\ntarget = :443\n"
			 "interface = no-such-if\nstun = 192.0.2.1\n"
			 "[mapping off]\nprotocol = udp\nbind = 8444\ntarget = :443\n"
			 "enabled = no\nstun = 192.0.2.1\n");
	run(f, words, NULL, 0);
	assert_non_null(strstr(f->out.text, "counter nas"));
	assert_null(strstr(f->out.text, "counter off"));
	assert_null(strstr(f->out.text, "chain in-nas"));
	assert_non_null(strstr(f->err.text, "nas: there is no interface or address no-such-if"));
	assert_int_equal(unlink(path), 0);
}

/* ---- what status looks like ---- */

static time_t at(int hour, int minute, int second)
{
	struct tm tm = { .tm_year = 126, .tm_mon = 10, .tm_mday = 21 };

	tm.tm_hour = hour;
	tm.tm_min = minute;
	tm.tm_sec = second;
	return timegm(&tm);
}

/* The text, which is not wider than it may be and has no blanks at the ends of lines. */
static char *print(const json_t *mappings, unsigned width)
{
	json_t *daemon = json_loads(DAEMON("3"), 0, NULL);
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_true(daemon && out);
	if (json_is_array(mappings))
		assert_int_equal(status_print_all(out, daemon, mappings, at(10, 13, 23), width), 0);
	else
		status_print_one(out, mappings, at(10, 13, 23), width);
	fclose(out);
	json_decref(daemon);
	for (const char *line = text; *line; line = strchr(line, '\n') + 1) {
		size_t len = strcspn(line, "\n");

		if (len > width || (len && line[len - 1] == ' '))
			fail_msg("a line of %zu columns:\n%s", len, text);
	}
	return text;
}

static json_t *mappings_of(const char *const *lines)
{
	json_t *array = json_array();

	for (; *lines; lines++)
		json_array_append_new(array, json_loads(*lines, 0, NULL));
	return array;
}

static size_t count(const char *text, char c)
{
	size_t n = 0;

	for (; *text; text++)
		n += *text == c;
	return n;
}

static void test_table(void **state)
{
	static const char *const usual[] = { UP, UP, NULL };
	json_t *mappings = mappings_of(usual), *well = json_array_get(mappings, 1);
	json_t *hook = json_array_get(json_object_get(well, "hooks"), 0);
	char *text;

	(void)state;
	json_object_set_new(well, "name", json_string("well"));
	json_object_update_new(json_object_get(hook, "last"),
			       json_pack("{s:s, s:i}", "result", "ok", "status", 0));
	text = print(mappings, 80);
	/* One line for each mapping, under the head, and one for what is not well. */
	assert_string_equal(
		text,
		"pinhold 0.1.0, pid 4711, running for 2h 13m: 2 of 2 mappings up\n"
		"file: /etc/pinhold.conf\n"
		"table: inet pinhold, installed, owned by the daemon\n"
		"\n"
		"MAPPING  STATE  SINCE   CONNS  BIND      PUBLIC ENDPOINT    TARGET\n"
		"web      up     2h 13m     12  8443/tcp  203.0.113.7:32451  192.168.10.50:443\n"
		"  hook /etc/pinhold/on-change: failed, exit status 7\n"
		"well     up     2h 13m     12  8443/tcp  203.0.113.7:32451  192.168.10.50:443\n");
	free(text);
	json_decref(mappings);
}

static void test_table_with_what_is_long(void **state)
{
	static const char *const lines[] = { UP, DOWN, UP6, NULL };
	json_t *mappings = mappings_of(lines);
	char *text = print(mappings, 80);

	(void)state;
	assert_string_equal(
		strchr(text, 'M'),
		"MAPPING  STATE    SINCE   CONNS  BIND       PUBLIC ENDPOINT    TARGET\n"
		"web      up       2h 13m     12  8443/tcp   203.0.113.7:32451  192.168.10.50:443\n"
		"  hook /etc/pinhold/on-change: failed, exit status 7\n"
		"a-name-of-thirty-two-octets-here\n"
		"         opening  -           -  udp        -\n"
		"                                  [2001:db8:1234:5678:9abc:def0:1234:5678]:51820\n"
		"  none of the STUN servers has answered so far, and this is a long explanation\n"
		"  of it\n"
		"wg6      up       2d 2h       0  51820/udp\n"
		"                                  [2001:db8:1234:5678:9abc:def0:1234:5678]:51820\n"
		"                                                               :51820\n");
	free(text);
	/* With the room for it, nothing is broken. */
	text = print(mappings, 200);
	/* Summary, blank line, head, three mappings and what two of them lack. */
	assert_int_equal(count(text, '\n'), 3 + 1 + 1 + 3 + 2);
	free(text);
	json_decref(mappings);
}

static void test_page(void **state)
{
	json_t *m = json_loads(UP, 0, NULL);
	char *text;

	(void)state;
	setenv("TZ", "UTC", 1);
	text = print(m, 80);
	assert_string_equal(
		text,
		"mapping       web\n"
		"state         up since 2026-11-21 08:00:10 (2h 13m)\n"
		"protocol      tcp, ipv4\n"
		"public        203.0.113.7:32451 since 2026-11-21 08:00:10 (2h 13m); 3 changes\n"
		"IP4P          2001::7ec3:cb00:7107\n"
		"private       100.64.0.2:8443 on wan\n"
		"target        192.168.10.50:443\n"
		"connections   12\n"
		"NAT           endpoint-independent: two servers see the same endpoint\n"
		"verified      13m 23s ago\n"
		"holders       192.0.2.13:80 open for 2h 13m, round trip 23 ms\n"
		"              192.0.2.14:80 connecting\n"
		"hooks         /etc/pinhold/on-change\n"
		"              last told up, 2h 13m ago: failed, exit status 7\n"
		"              told again in 1m 0s\n");
	free(text);
	json_decref(m);
	m = json_loads(DOWN, 0, NULL);
	text = print(m, 80);
	assert_non_null(strstr(text, "\npublic        -\n"));
	free(text);
	json_decref(m);
	/* Where a service has the bind port, and by another uplink than the default route's. */
	m = json_loads(UP6, 0, NULL);
	text = print(m, 200);
	assert_non_null(strstr(text, "\nown port      40001: the bind port is left to the service\n"
				     "replies       routed back by wan, as uplink 2\n"
				     "target        :51820\n"));
	free(text);
	json_decref(m);
	/* Of one that nobody holds there is nothing to tell. */
	m = json_loads(DOWN, 0, NULL);
	json_object_set_new(m, "state", json_string("disabled"));
	json_object_set_new(m, "why", json_string("it is disabled in the configuration"));
	text = print(m, 80);
	assert_string_equal(text, "mapping       a-name-of-thirty-two-octets-here\n"
				  "state         disabled\n"
				  "why           it is disabled in the configuration\n"
				  "protocol      udp, ipv6\n"
				  "target        [2001:db8:1234:5678:9abc:def0:1234:5678]:51820\n");
	free(text);
	json_decref(m);
	/* Anything at all that is an object. */
	m = json_loads("{\"name\":\"\\u001b[31mred\",\"why\":7,\"holders\":[1,null],"
		       "\"hooks\":[{}],\"public\":\"x\"}",
		       0, NULL);
	text = print(m, 80);
	assert_null(strchr(text, '\033'));
	free(text);
	json_decref(m);
}

static void test_durations(void **state)
{
	static const struct {
		time_t seconds;
		const char *text;
	} cases[] = {
		{ -5, "0s" },         { 0, "0s" },         { 59, "59s" },
		{ 60, "1m 0s" },      { 3599, "59m 59s" }, { 3600, "1h 0m" },
		{ 86399, "23h 59m" }, { 86400, "1d 0h" },  { 400 * 86400 + 7200, "400d 2h" },
	};
	char buf[STATUS_DURATION_STRLEN];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_string_equal(status_duration(cases[i].seconds, buf), cases[i].text);
}

#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

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
		WITH_SERVER(test_words),
		WITH_SERVER(test_file),
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_table_with_what_is_long),
		cmocka_unit_test(test_page),
		cmocka_unit_test(test_durations),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
