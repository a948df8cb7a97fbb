/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <pinhold/notify.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <pinhold/log.h>

#define STATUS_MAX 512 /* octets of a status line, with NUL */
/* How long a message that comes only once may wait for a manager that does not read. */
#define PATIENCE_US 500000

struct ph_notify {
	int fd;
	int path_fd; /* of a path too long for an address, or -1 */
	socklen_t address_len;
	struct sockaddr_un address;
	uint64_t watchdog_us;
	char status[STATUS_MAX];
};

/* NOTIFY_SOCKET as sd_notify(3) has it: a path, or '@' and an abstract name. 0 or -errno. */
static int set_address(struct ph_notify *n, const char *socket_name)
{
	size_t len = strlen(socket_name);

	n->address.sun_family = AF_UNIX;
	if ((*socket_name != '/' && *socket_name != '@') || len < 2)
		return -EAFNOSUPPORT;
	if (len > sizeof(n->address.sun_path)) {
		if (*socket_name == '@')
			return -ENAMETOOLONG;
		/* A path that does not fit goes by a descriptor; proc(5) makes a short one of it.
		 */
		n->path_fd = open(socket_name, O_PATH | O_CLOEXEC);
		if (n->path_fd < 0)
			return -errno;
		len = (size_t)snprintf(n->address.sun_path, sizeof(n->address.sun_path),
				       "/proc/self/fd/%d", n->path_fd);
	} else {
		/* No NUL is needed: the length says where the name ends (unix(7)). */
		memcpy(n->address.sun_path, socket_name, len);
		if (*socket_name == '@')
			n->address.sun_path[0] = '\0';
	}
	n->address_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	return 0;
}

/* Digits only; 0 for anything else. */
static uint64_t number(const char *text)
{
	uint64_t value;
	char *end;

	if (!text || *text < '0' || *text > '9')
		return 0;
	errno = 0;
	value = strtoull(text, &end, 10);
	return errno || *end ? 0 : value;
}

static int open_socket(struct ph_notify *n)
{
	const struct timeval patience = { .tv_usec = PATIENCE_US };

	n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (n->fd < 0)
		return -errno;
	if (setsockopt(n->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0)
		return -errno;
	return 0;
}

struct ph_notify *ph_notify_open(void)
{
	const char *socket_name = getenv("NOTIFY_SOCKET");
	const char *pid = getenv("WATCHDOG_PID");
	struct ph_notify *n = NULL;
	int r;

	if (socket_name && (n = calloc(1, sizeof(*n)))) {
		n->fd = n->path_fd = -1;
		/* Meant for another process if it names one (sd_watchdog_enabled(3)). */
		if (!pid || number(pid) == (uint64_t)getpid())
			n->watchdog_us = number(getenv("WATCHDOG_USEC"));
		if ((r = set_address(n, socket_name)) < 0 || (r = open_socket(n)) < 0) {
			ph_debug("NOTIFY_SOCKET=%s: %s", socket_name, strerror(-r));
			ph_notify_close(n);
			n = NULL;
		}
	}
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	return n;
}

void ph_notify_close(struct ph_notify *n)
{
	if (!n)
		return;
	if (n->fd >= 0)
		close(n->fd);
	if (n->path_fd >= 0)
		close(n->path_fd);
	free(n);
}

static void tell(struct ph_notify *n, const char *text, int flags)
{
	if (!n)
		return;
	while (sendto(n->fd, text, strlen(text), flags | MSG_NOSIGNAL,
		      (const struct sockaddr *)&n->address, n->address_len) < 0)
		if (errno != EINTR) {
			ph_debug("service manager not told %.20s: %s", text, strerror(errno));
			return;
		}
}

void ph_notify_ready(struct ph_notify *n)
{
	tell(n, "READY=1", 0);
}

void ph_notify_reloading(struct ph_notify *n)
{
	struct timespec now;
	char text[64];

	clock_gettime(CLOCK_MONOTONIC, &now);
	snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
		 (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000);
	tell(n, text, 0);
}

void ph_notify_stopping(struct ph_notify *n)
{
	tell(n, "STOPPING=1", 0);
}

/* The next one comes soon enough: rather none than one that waits. */
void ph_notify_watchdog(struct ph_notify *n)
{
	if (n && n->watchdog_us)
		tell(n, "WATCHDOG=1", MSG_DONTWAIT);
}

void ph_notify_status(struct ph_notify *n, const char *text)
{
	char line[STATUS_MAX], message[sizeof("STATUS=") + STATUS_MAX];

	if (!n)
		return;
	snprintf(line, sizeof(line), "%s", text);
	/* A second line would be another assignment. */
	for (char *c = line; *c; c++)
		if ((unsigned char)*c < 0x20)
			*c = ' ';
	if (strcmp(line, n->status) == 0)
		return;
	strcpy(n->status, line);
	snprintf(message, sizeof(message), "STATUS=%s", line);
	tell(n, message, MSG_DONTWAIT);
}

uint64_t ph_notify_watchdog_ms(const struct ph_notify *n)
{
	uint64_t ms = n ? n->watchdog_us / 2000 : 0;

	return n && n->watchdog_us && ms == 0 ? 1 : ms;
}
