/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The program itself as a child, and a control socket that answers as the test says. The build
 * says where the program is.
 */

#include "test.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <pinhold/control.h>

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

static inline void on_line(void *data, struct ph_control_client *client, const char *line,
			   size_t len)
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

static inline void on_gone(void *data, struct ph_control_client *client)
{
	(void)data;
	(void)client;
}

static const struct ph_control_events events = { .line = on_line, .gone = on_gone };

static inline int set_up(void **state)
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

static inline int tear_down(void **state)
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

static inline void on_guard(uv_timer_t *timer)
{
	(void)timer;
	fail_msg("nothing has happened for %u ms", PATIENCE_MS);
}

static inline void on_allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct pipe_reader *r = handle->data;

	(void)suggested;
	*buf = uv_buf_init(r->text + r->len, (unsigned)(OUTPUT_MAX - 1 - r->len));
}

static inline void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
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

static inline void on_exit_of(uv_process_t *process, int64_t status, int signal)
{
	struct fixture *f = process->data;

	f->exited = true;
	f->status = status;
	f->signal = signal;
	uv_close((uv_handle_t *)process, NULL);
}

static inline void turn(struct fixture *f)
{
	uv_update_time(&f->loop);
	uv_timer_start(&f->guard, on_guard, PATIENCE_MS, 0);
	uv_run(&f->loop, UV_RUN_ONCE);
	uv_timer_stop(&f->guard);
}

static inline void read_from(struct fixture *f, struct pipe_reader *r, int fd)
{
	r->len = 0;
	r->text[0] = '\0';
	r->pipe.data = r;
	uv_pipe_init(&f->loop, &r->pipe, 0);
	assert_int_equal(uv_pipe_open(&r->pipe, fd), 0);
	uv_read_start((uv_stream_t *)&r->pipe, on_allocate, on_read);
}

/* words: at most seven, separated by blanks. */
static inline void start(struct fixture *f, const char *words)
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

static inline void await_end(struct fixture *f)
{
	while (!f->exited || uv_is_active((uv_handle_t *)&f->err.pipe) ||
	       (!f->out_closed && uv_is_active((uv_handle_t *)&f->out.pipe)))
		turn(f);
}

/* Runs `pinhold words` while the daemon answers so, to its end; the exit status must be this. */
static inline void run(struct fixture *f, const char *words, const char *const *answers, int status)
{
	f->answers = answers;
	start(f, words);
	await_end(f);
	if (f->signal || f->status != status)
		fail_msg("%s: status %d, signal %d: %s%s", words, (int)f->status, f->signal,
			 f->out.text, f->err.text);
}

/* One line on standard error, and nothing else. */
static inline void assert_one_line(const struct fixture *f, const char *part)
{
	assert_string_equal(f->out.text, "");
	if (strncmp(f->err.text, "pinhold: ", 9) != 0 || !strstr(f->err.text, part) ||
	    strchr(f->err.text, '\n') != f->err.text + f->err.len - 1)
		fail_msg("\"%s\" is not one line with \"%s\"", f->err.text, part);
}

#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
