/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <pinhold/child.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_OCTETS    400 /* of one log line */
#define ESCAPED_OCTETS 4   /* \xNN */
#define LINES_MAX      200 /* of one run that are told */
#define KILL_AFTER_MS  1000
#define DRAIN_ROUNDS   128 /* of 1 KiB: twice a pipe's capacity (pipe(7)) */

struct ph_child {
	uv_process_t process;
	uv_pipe_t output;
	uv_pipe_t input;
	uv_write_t write;
	char *text; /* the input; owned */
	size_t text_len;
	uv_timer_t timer;
	unsigned handles; /* not closed yet */
	bool exited;
	bool timed_out;
	const struct ph_child_events *events;
	void *data;
	unsigned lines; /* so far */
	size_t fill, line_octets;
	char line[PH_CHILD_LINE_MAX + 1];
	char buffer[1024];
};

static void on_handle_closed(uv_handle_t *handle)
{
	struct ph_child *c = handle->data;

	if (--c->handles > 0)
		return;
	if (c->text)
		explicit_bzero(c->text, c->text_len);
	free(c->text);
	free(c);
}

static void close_handle(uv_handle_t *handle)
{
	if (!uv_is_closing(handle))
		uv_close(handle, on_handle_closed);
}

/* While the leader has not been reaped its process ID, and so the group's, cannot be anybody
 * else's. */
static void signal_group(const struct ph_child *c, int sig)
{
	if (!c->exited && c->process.pid > 0)
		kill(-c->process.pid, sig);
}

static void flush_line(struct ph_child *c)
{
	if (c->fill == 0)
		return;
	c->line[c->fill] = '\0';
	c->fill = 0;
	if (c->lines++ < LINES_MAX)
		c->events->line(c->data, c->line);
	else if (c->lines == LINES_MAX + 1)
		c->events->line(c->data, "(more is not logged)");
}

/* UTF-8 passes; control characters could forge or colour log lines. */
static void put_octet(struct ph_child *c, unsigned char octet)
{
	bool plain = octet == '\t' || (octet >= 0x20 && octet != 0x7f);

	if (c->fill + (plain ? 1 : ESCAPED_OCTETS) > c->line_octets)
		flush_line(c);
	if (plain)
		c->line[c->fill++] = (char)octet;
	else
		c->fill +=
			(size_t)snprintf(c->line + c->fill, ESCAPED_OCTETS + 1, "\\x%02x", octet);
}

static void on_allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct ph_child *c = handle->data;

	(void)suggested;
	*buf = uv_buf_init(c->buffer, sizeof(c->buffer));
}

static void on_output(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct ph_child *c = stream->data;

	if (n < 0) {
		flush_line(c);
		close_handle((uv_handle_t *)&c->output);
		return;
	}
	for (ssize_t i = 0; i < n; i++) {
		if (buf->base[i] == '\n')
			flush_line(c);
		else
			put_octet(c, (unsigned char)buf->base[i]);
	}
}

static void on_kill(uv_timer_t *timer)
{
	struct ph_child *c = timer->data;

	signal_group(c, SIGKILL);
}

static void on_limit(uv_timer_t *timer)
{
	struct ph_child *c = timer->data;

	c->timed_out = true;
	signal_group(c, SIGTERM);
	uv_timer_start(&c->timer, on_kill, KILL_AFTER_MS, 0);
}

/* What the child wrote before it ended is in the pipe: it is told before the end is. */
static void drain(struct ph_child *c)
{
	unsigned rounds = DRAIN_ROUNDS;
	uv_os_fd_t fd;
	ssize_t n;

	if (uv_fileno((uv_handle_t *)&c->output, &fd) < 0)
		return;
	while (rounds-- > 0 && (n = read(fd, c->buffer, sizeof(c->buffer))) > 0) {
		uv_buf_t buf = uv_buf_init(c->buffer, (unsigned)n);

		on_output((uv_stream_t *)&c->output, n, &buf);
	}
	flush_line(c);
}

static void on_ended(uv_process_t *process, int64_t status, int term_signal)
{
	struct ph_child *c = process->data;
	struct ph_child_result result = {
		.timed_out = c->timed_out,
		.status = (int)status,
		.signal = term_signal,
	};

	/* libuv has just reaped the leader; what is left of a group that had to be ended goes now,
	 * at once, before the number could be given to anybody else. */
	if (c->timed_out)
		kill(-process->pid, SIGKILL);
	c->exited = true;
	close_handle((uv_handle_t *)&c->process);
	close_handle((uv_handle_t *)&c->timer);
	if (!uv_is_closing((uv_handle_t *)&c->output)) {
		drain(c);
		close_handle((uv_handle_t *)&c->output);
	}
	if (c->text)
		close_handle((uv_handle_t *)&c->input);
	c->events->done(c->data, &result);
}

static void on_written(uv_write_t *request, int status)
{
	struct ph_child *c = request->data;

	/* Whoever does not read to the end says so by how it ends. */
	(void)status;
	close_handle((uv_handle_t *)&c->input);
}

/* What stdin is; descriptors of the pipe, or -1. */
static int prepare_input(uv_loop_t *loop, struct ph_child *c,
			 const struct ph_child_options *options, int ret_fds[static 2])
{
	int r;

	ret_fds[0] = ret_fds[1] = -1;
	if (!options->input)
		return 0;
	c->text = malloc(options->input_len + 1);
	if (!c->text)
		return -ENOMEM;
	memcpy(c->text, options->input, options->input_len);
	c->text_len = options->input_len;
	r = uv_pipe(ret_fds, 0, UV_NONBLOCK_PIPE);
	if (r < 0)
		return r;
	uv_pipe_init(loop, &c->input, 0);
	c->input.data = c->write.data = c;
	c->handles++;
	r = uv_pipe_open(&c->input, ret_fds[1]);
	if (r < 0)
		close(ret_fds[1]);
	return r;
}

static int spawn(uv_loop_t *loop, struct ph_child *c, const struct ph_child_options *options,
		 int input, int output)
{
	uv_stdio_container_t stdio[3];
	uv_process_options_t how = { 0 };

	stdio[0].flags = input < 0 ? UV_IGNORE : UV_INHERIT_FD;
	stdio[0].data.fd = input;
	stdio[1].flags = stdio[2].flags = UV_INHERIT_FD;
	stdio[1].data.fd = stdio[2].data.fd = output;
	how.file = options->argv[0];
	how.args = (char **)(uintptr_t)options->argv;
	how.env = (char **)(uintptr_t)options->env;
	how.stdio = stdio;
	how.stdio_count = 3;
	how.flags = UV_PROCESS_DETACHED; /* a session and process group of its own */
	how.exit_cb = on_ended;
	return uv_spawn(loop, &c->process, &how);
}

static void begin(struct ph_child *c, const struct ph_child_options *options)
{
	uv_buf_t buf;

	uv_read_start((uv_stream_t *)&c->output, on_allocate, on_output);
	uv_timer_start(&c->timer, on_limit, options->limit_ms, 0);
	if (!c->text)
		return;
	buf = uv_buf_init(c->text, (unsigned)c->text_len);
	if (uv_write(&c->write, (uv_stream_t *)&c->input, &buf, 1, on_written) < 0)
		close_handle((uv_handle_t *)&c->input);
}

/* All that has been begun ends; the last handle frees it. tried: libuv initialises the process'
 * handle even though nothing runs. */
static void give_up(struct ph_child *c, bool tried)
{
	if (tried)
		close_handle((uv_handle_t *)&c->process);
	else
		c->handles--;
	close_handle((uv_handle_t *)&c->output);
	close_handle((uv_handle_t *)&c->timer);
	if (c->input.data)
		close_handle((uv_handle_t *)&c->input);
}

int ph_child_start(uv_loop_t *loop, const struct ph_child_options *options,
		   const struct ph_child_events *events, void *data, struct ph_child **ret_child)
{
	struct ph_child *c = calloc(1, sizeof(*c));
	int output[2], input[2], r;
	bool tried;

	if (!c)
		return -ENOMEM;
	r = uv_pipe(output, UV_NONBLOCK_PIPE, 0);
	if (r < 0) {
		free(c);
		return r;
	}
	c->events = events;
	c->data = data;
	c->line_octets = options->line_octets ? options->line_octets : LINE_OCTETS;
	c->process.data = c->output.data = c->timer.data = c;
	uv_pipe_init(loop, &c->output, 0);
	uv_timer_init(loop, &c->timer);
	c->handles = 3;
	uv_pipe_open(&c->output, output[0]);
	r = prepare_input(loop, c, options, input);
	tried = r == 0;
	if (tried)
		r = spawn(loop, c, options, input[0], output[1]);
	close(output[1]);
	if (input[0] >= 0)
		close(input[0]);
	if (r < 0) {
		give_up(c, tried);
		return r;
	}
	begin(c, options);
	*ret_child = c;
	return 0;
}

pid_t ph_child_pid(const struct ph_child *child)
{
	return child->process.pid;
}

void ph_child_kill(struct ph_child *child)
{
	if (!child)
		return;
	child->timed_out = true;
	signal_group(child, SIGKILL);
}
