/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The control socket's server. A client is in one of four situations:
 *
 *	it owes a request     the time limit runs; what it sends is collected up to a newline
 *	the daemon owes it    a line was handed over, nothing is sent yet: no limit, since a reload
 *	                      takes as long as it takes
 *	it owes us reading    the reply waits in part: the time limit runs, the backlog is bounded
 *	it is kept (watch)    no limit but the backlog's; what it sends is thrown away
 *
 * The next request of a client is taken when the reply to the last one has left, so that nobody can
 * make the daemon work ahead of a peer that does not read.
 */

#include <pinhold/control.h>

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <pinhold/log.h>

#define SOCKET_MODE  0660
#define LISTEN_QUEUE 16 /* connections that the kernel keeps until the loop comes round */
#define LOCK_SUFFIX  ".lock"

struct ph_control {
	uv_loop_t *loop;
	const struct ph_control_events *events;
	void *data;
	char *path, *lock_path;
	int lock_fd;
	dev_t device; /* of the socket's name, which somebody else may have replaced at the end */
	ino_t inode;
	uv_pipe_t listener;
	uv_pipe_t refused; /* a client for whom there is no room, while it is being closed */
	bool refusing, refuse_next;
	bool closing;
	unsigned references; /* handles of ours that are not closed yet, clients */
	size_t n_clients;    /* whose sockets are open */
	struct ph_control_client *clients;
};

struct ph_control_client {
	struct ph_control *control;
	struct ph_control_client *next, **link;
	uv_pipe_t pipe;
	uv_timer_t timer;
	unsigned handles; /* not closed yet */
	unsigned writes;  /* under way */
	bool dispatching; /* its lines are being taken, further down the stack */
	bool busy;        /* it waits for an answer that is not begun */
	bool kept;
	bool ended; /* it sends nothing any more, but may still read */
	bool closing;
	size_t fill;
	char line[PH_CONTROL_LINE_MAX + 1]; /* with the newline, or the octet too many */
};

struct reply {
	uv_write_t request; /* data: the client */
	char text[];
};

static void settle(struct ph_control_client *c);

static void control_unref(struct ph_control *control)
{
	if (--control->references > 0)
		return;
	free(control->path);
	free(control->lock_path);
	free(control);
}

/* ---- the end of a client ---- */

static void on_client_closed(uv_handle_t *handle)
{
	struct ph_control_client *c = handle->data;
	struct ph_control *control = c->control;

	if (--c->handles > 0)
		return;
	if (!control->closing)
		control->events->gone(control->data, c);
	*c->link = c->next;
	if (c->next)
		c->next->link = c->link;
	free(c);
	control_unref(control);
}

static void cut_off(struct ph_control_client *c)
{
	if (c->closing)
		return;
	c->closing = true;
	c->control->n_clients--;
	uv_close((uv_handle_t *)&c->pipe, on_client_closed);
	uv_close((uv_handle_t *)&c->timer, on_client_closed);
}

static void on_time_limit(uv_timer_t *timer)
{
	cut_off(timer->data);
}

/* Before the end, to a client that has been sent nothing that still waits: so short a line finds
 * room in the socket, or none is owed. */
static void last_words(uv_pipe_t *pipe, const char *line)
{
	/* The interface wants no const; it only reads. */
	uv_buf_t buf = uv_buf_init((char *)(uintptr_t)line, (unsigned)strlen(line));

	uv_try_write((uv_stream_t *)pipe, &buf, 1);
}

static void start_time_limit(struct ph_control_client *c)
{
	uv_timer_start(&c->timer, on_time_limit, PH_CONTROL_IDLE_MS, 0);
}

/* ---- to the client ---- */

static void on_written(uv_write_t *request, int status)
{
	struct reply *reply = (struct reply *)request;
	struct ph_control_client *c = request->data;

	free(reply);
	c->writes--;
	if (c->closing)
		return;
	if (status < 0) {
		cut_off(c);
		return;
	}
	if (c->writes == 0 && !c->kept)
		start_time_limit(c); /* for the next request */
	settle(c);
}

bool ph_control_send(struct ph_control_client *client, const char *text)
{
	size_t len = strlen(text);
	struct reply *reply;
	uv_buf_t buf;

	if (client->closing)
		return false;
	if (uv_stream_get_write_queue_size((uv_stream_t *)&client->pipe) + len + 1 >
		    PH_CONTROL_BACKLOG_MAX ||
	    !(reply = malloc(sizeof(*reply) + len + 1))) {
		cut_off(client);
		return false;
	}
	reply->request.data = client;
	memcpy(reply->text, text, len);
	reply->text[len] = '\n';
	buf = uv_buf_init(reply->text, (unsigned)(len + 1));
	if (uv_write(&reply->request, (uv_stream_t *)&client->pipe, &buf, 1, on_written) < 0) {
		free(reply);
		cut_off(client);
		return false;
	}
	if (client->writes++ == 0 && !client->kept)
		start_time_limit(client);
	client->busy = false;
	return true;
}

void ph_control_keep(struct ph_control_client *client)
{
	client->kept = true;
	client->busy = false;
	if (!client->closing)
		uv_timer_stop(&client->timer);
}

/* ---- from the client ---- */

/* Hands over the first whole line. False: there is none. */
static bool take_line(struct ph_control_client *c)
{
	char line[sizeof(c->line)];
	char *newline = memchr(c->line, '\n', c->fill);
	size_t len;

	if (!newline) {
		if (c->fill == sizeof(c->line)) {
			last_words(&c->pipe, "{\"error\":\"the request is too long\"}\n");
			cut_off(c);
		}
		return false;
	}
	len = (size_t)(newline - c->line);
	memcpy(line, c->line, len);
	line[len] = '\0';
	c->fill -= len + 1;
	memmove(c->line, newline + 1, c->fill);
	c->busy = true;
	uv_timer_stop(&c->timer);
	c->control->events->line(c->control->data, c, line, len);
	return true;
}

static void on_allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct ph_control_client *c = handle->data;

	(void)suggested;
	*buf = uv_buf_init(c->line + c->fill, (unsigned)(sizeof(c->line) - c->fill));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct ph_control_client *c = stream->data;

	(void)buf;
	if (n < 0 && n != UV_EOF) {
		cut_off(c);
		return;
	}
	if (n < 0)
		c->ended = true;
	else
		c->fill += (size_t)n;
	settle(c);
}

/* After anything has happened: takes what may be taken, ends what is at its end. */
static void settle(struct ph_control_client *c)
{
	if (c->dispatching)
		return;
	c->dispatching = true;
	while (!c->closing && !c->kept && !c->busy && c->writes == 0 && take_line(c))
		;
	c->dispatching = false;
	if (c->closing)
		return;
	if (c->kept)
		c->fill = 0;
	/* With a whole line in hand, or a reply under way, the end of its sending is not its end.
	 */
	if (c->ended && (c->kept || (!c->busy && c->writes == 0))) {
		cut_off(c);
		return;
	}
	/* Reads on while there is room, so that the end of the connection is seen. */
	if (c->ended || c->fill == sizeof(c->line))
		uv_read_stop((uv_stream_t *)&c->pipe);
	else
		uv_read_start((uv_stream_t *)&c->pipe, on_allocate, on_read);
}

/* ---- new clients ---- */

static void on_connection(uv_stream_t *listener, int status);

static void on_refused_closed(uv_handle_t *handle)
{
	struct ph_control *control = handle->data;
	bool next = control->refuse_next && !control->closing;

	control->refusing = control->refuse_next = false;
	if (next)
		on_connection((uv_stream_t *)&control->listener, 0);
	control_unref(control);
}

/* libuv offers no further connection before this one is taken, so one at a time is enough. */
static void refuse(struct ph_control *control)
{
	if (control->refusing) {
		control->refuse_next = true;
		return;
	}
	control->refusing = true;
	control->references++;
	uv_pipe_init(control->loop, &control->refused, 0);
	control->refused.data = control;
	if (uv_accept((uv_stream_t *)&control->listener, (uv_stream_t *)&control->refused) == 0)
		last_words(&control->refused, "{\"error\":\"too many clients at once\"}\n");
	uv_close((uv_handle_t *)&control->refused, on_refused_closed);
}

static void on_connection(uv_stream_t *listener, int status)
{
	struct ph_control *control = listener->data;
	struct ph_control_client *c = NULL;

	if (status < 0) {
		ph_debug("control socket: accept: %s", uv_strerror(status));
		return;
	}
	if (control->n_clients < PH_CONTROL_CLIENTS_MAX)
		c = calloc(1, sizeof(*c));
	if (!c) {
		refuse(control);
		return;
	}
	c->control = control;
	c->next = control->clients;
	c->link = &control->clients;
	if (c->next)
		c->next->link = &c->next;
	control->clients = c;
	control->n_clients++;
	control->references++;
	c->handles = 2;
	uv_pipe_init(control->loop, &c->pipe, 0);
	uv_timer_init(control->loop, &c->timer);
	c->pipe.data = c->timer.data = c;
	if (uv_accept(listener, (uv_stream_t *)&c->pipe) < 0) {
		cut_off(c);
		return;
	}
	start_time_limit(c);
	settle(c);
}

/* ---- the socket's name ---- */

static int address_of(const char *path, struct sockaddr_un *ret_address)
{
	size_t len = strlen(path);

	*ret_address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (len >= sizeof(ret_address->sun_path))
		return -ENAMETOOLONG;
	memcpy(ret_address->sun_path, path, len);
	return 0;
}

static int make_directory(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *directory;
	int r = 0;

	if (!slash || slash == path)
		return 0;
	directory = strndup(path, (size_t)(slash - path));
	if (!directory)
		return -ENOMEM;
	/* chmod: whatever the umask is, clients have to pass. */
	if (mkdir(directory, 0755) == 0 ? chmod(directory, 0755) < 0 : errno != EEXIST)
		r = -errno;
	free(directory);
	return r;
}

/*
 * Between the look at an old socket and its replacement another daemon could start: the lock keeps
 * it out, until this one ends. A lock file that its holder removed meanwhile is no lock: then
 * again.
 */
static int lock(const char *path, int *ret_fd)
{
	struct stat held, named;

	for (;;) {
		int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		int r = 0;

		if (fd < 0)
			return -errno;
		if (flock(fd, LOCK_EX | LOCK_NB) < 0)
			r = errno == EWOULDBLOCK ? -EADDRINUSE : -errno;
		if (r == 0 && fstat(fd, &held) == 0 && lstat(path, &named) == 0 &&
		    held.st_dev == named.st_dev && held.st_ino == named.st_ino) {
			*ret_fd = fd;
			return 0;
		}
		close(fd);
		if (r < 0)
			return r;
	}
}

/* Removes a socket on which nobody listens. 0 also where there is none. */
static int remove_stale(const char *path, const struct sockaddr_un *address)
{
	struct stat st;
	int fd, error = 0;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST; /* something of the user's */
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0)
		error = errno;
	close(fd);
	if (error == ENOENT)
		return 0;
	if (error != ECONNREFUSED) /* 0, or EAGAIN: its queue is full */
		return error == EACCES || error == EPERM ? -error : -EADDRINUSE;
	return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

static int bind_socket(struct ph_control *control, const struct sockaddr_un *address, int *ret_fd)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), r;
	struct stat st;

	if (fd < 0)
		return -errno;
	/*
	 * The name gets the descriptor's mode less the umask (net/unix/af_unix.c, unix_bind_bsd()):
	 * so it never has more than SOCKET_MODE, and what the umask took comes back by chmod().
	 */
	if (fchmod(fd, SOCKET_MODE) < 0 ||
	    bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	if (chmod(control->path, SOCKET_MODE) < 0 || lstat(control->path, &st) < 0) {
		r = -errno;
		unlink(control->path);
		close(fd);
		return r;
	}
	control->device = st.st_dev;
	control->inode = st.st_ino;
	*ret_fd = fd;
	return 0;
}

/* Takes away what is ours in the directory. The lock goes last. */
static void remove_names(struct ph_control *control)
{
	struct stat st;

	if (control->inode && lstat(control->path, &st) == 0 && st.st_dev == control->device &&
	    st.st_ino == control->inode)
		unlink(control->path);
	if (control->lock_fd >= 0) {
		unlink(control->lock_path);
		close(control->lock_fd);
		control->lock_fd = -1;
	}
}

static int open_names(struct ph_control *control, const char *path, int *ret_fd)
{
	struct sockaddr_un address;
	int r = address_of(path, &address);

	if (r < 0)
		return r;
	control->path = strdup(path);
	control->lock_path = malloc(strlen(path) + sizeof(LOCK_SUFFIX));
	if (!control->path || !control->lock_path)
		return -ENOMEM;
	strcpy(control->lock_path, path);
	strcat(control->lock_path, LOCK_SUFFIX);
	if ((r = make_directory(path)) < 0 ||
	    (r = lock(control->lock_path, &control->lock_fd)) < 0 ||
	    (r = remove_stale(path, &address)) < 0)
		return r;
	return bind_socket(control, &address, ret_fd);
}

/* ---- life ---- */

static void on_listener_closed(uv_handle_t *handle)
{
	control_unref(handle->data);
}

int ph_control_listen(uv_loop_t *loop, const char *path, const struct ph_control_events *events,
		      void *data, struct ph_control **ret_control)
{
	struct ph_control *control = calloc(1, sizeof(*control));
	int fd = -1, r;

	if (!control)
		return -ENOMEM;
	control->loop = loop;
	control->events = events;
	control->data = data;
	control->lock_fd = -1;
	control->references = 1;
	r = open_names(control, path, &fd);
	if (r < 0) {
		remove_names(control);
		control_unref(control);
		return r;
	}
	uv_pipe_init(loop, &control->listener, 0);
	control->listener.data = control;
	r = uv_pipe_open(&control->listener, fd);
	if (r < 0)
		close(fd);
	else
		r = uv_listen((uv_stream_t *)&control->listener, LISTEN_QUEUE, on_connection);
	if (r < 0) {
		ph_control_close(control);
		return r;
	}
	*ret_control = control;
	return 0;
}

void ph_control_close(struct ph_control *c)
{
	if (!c)
		return;
	assert(!c->closing);
	c->closing = true;
	remove_names(c);
	for (struct ph_control_client *client = c->clients; client; client = client->next)
		cut_off(client);
	uv_close((uv_handle_t *)&c->listener, on_listener_closed);
}
