/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ipv4_conf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <pinhold/plan.h>

static bool is_interface(const char *name)
{
	return *name && strlen(name) <= PH_INTERFACE_MAX && !strchr(name, '/') &&
	       strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && strcmp(name, "all") != 0 &&
	       strcmp(name, "default") != 0;
}

static int open_key(const char *interface, const char *key, int flags)
{
	char path[128];
	int fd, n;

	n = snprintf(path, sizeof(path), "/proc/sys/net/ipv4/conf/%s/%s", interface, key);
	if (n < 0 || (size_t)n >= sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int read_key(const char *interface, const char *key, int *ret_value)
{
	int fd = open_key(interface, key, O_RDONLY), r = 0;
	char text[16];
	ssize_t n;

	if (fd < 0)
		return fd;
	n = read(fd, text, sizeof(text) - 1);
	if (n < 0)
		r = -errno;
	close(fd);
	if (r < 0)
		return r;
	text[n] = '\0';
	*ret_value = (int)strtol(text, NULL, 10);
	return 0;
}

int ipv4_conf_read(const char *interface, const char *key, int *ret_value)
{
	return is_interface(interface) ? read_key(interface, key, ret_value) : -EINVAL;
}

int ipv4_conf_read_all(const char *key, int *ret_value)
{
	return read_key("all", key, ret_value);
}

int ipv4_conf_writable(const char *interface, const char *key)
{
	int fd;

	if (!is_interface(interface))
		return -EINVAL;
	fd = open_key(interface, key, O_WRONLY);
	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

int ipv4_conf_write(const char *interface, const char *key, int value)
{
	int fd, len, r = 0;
	char text[16];

	if (!is_interface(interface))
		return -EINVAL;
	fd = open_key(interface, key, O_WRONLY);
	if (fd < 0)
		return fd;
	len = snprintf(text, sizeof(text), "%d\n", value);
	if (write(fd, text, (size_t)len) < 0) /* whole or not at all (kernel/sysctl.c) */
		r = -errno;
	close(fd);
	return r;
}
