/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <pinhold/state_file.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* No slash, and room for what the temporary name has more: ".NAME.new". */
static int temporary_name(const char *name, char buf[static NAME_MAX + 1])
{
	int n;

	if (*name == '\0' || *name == '.' || strchr(name, '/'))
		return -EINVAL;
	n = snprintf(buf, NAME_MAX + 1, ".%s.new", name);
	return n < 0 || n > NAME_MAX ? -ENAMETOOLONG : 0;
}

static int open_directory(const char *directory)
{
	int fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int write_all(int fd, const char *text, size_t len)
{
	while (len) {
		ssize_t n = write(fd, text, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		text += n;
		len -= (size_t)n;
	}
	return 0;
}

/* A new file at, with everything in it, or none. */
static int make_file(int directory, const char *name, mode_t mode, const char *text, size_t len)
{
	int fd, r;

	/* What a killed process left; there is one writer, by the control socket's lock. */
	if (unlinkat(directory, name, 0) < 0 && errno != ENOENT)
		return -errno;
	fd = openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = write_all(fd, text, len);
	if (r == 0 && fchmod(fd, mode) < 0)
		r = -errno;
	if (close(fd) < 0 && r == 0)
		r = -errno;
	if (r < 0)
		unlinkat(directory, name, 0);
	return r;
}

int ph_state_write(const char *directory, const char *name, mode_t mode, const char *text,
		   size_t len)
{
	char temporary[NAME_MAX + 1];
	int r = temporary_name(name, temporary), fd;

	if (r < 0)
		return r;
	fd = open_directory(directory);
	if (fd < 0)
		return fd;
	r = make_file(fd, temporary, mode, text, len);
	if (r == 0 && renameat(fd, temporary, fd, name) < 0) {
		r = -errno;
		unlinkat(fd, temporary, 0);
	}
	close(fd);
	return r;
}

static int read_all(int fd, char **ret_text, size_t *ret_len)
{
	char *text = malloc(PH_STATE_MAX + 1);
	size_t len = 0;
	ssize_t n;

	if (!text)
		return -ENOMEM;
	while (len < PH_STATE_MAX && (n = read(fd, text + len, PH_STATE_MAX - len)) != 0) {
		if (n > 0) {
			len += (size_t)n;
		} else if (errno != EINTR) {
			n = -errno;
			free(text);
			return (int)n;
		}
	}
	text[len] = '\0';
	*ret_text = text;
	*ret_len = len;
	return 0;
}

int ph_state_read(const char *directory, const char *name, char **ret_text, size_t *ret_len)
{
	char path[PATH_MAX];
	struct stat st;
	int fd, r;

	if (snprintf(path, sizeof(path), "%s/%s", directory, name) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	/* A pipe would wait for its writer. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		r = -errno;
	else if (!S_ISREG(st.st_mode))
		r = -EINVAL;
	else
		r = read_all(fd, ret_text, ret_len);
	close(fd);
	return r;
}

int ph_state_remove(const char *directory, const char *name)
{
	char temporary[NAME_MAX + 1];
	int r = temporary_name(name, temporary), fd;

	if (r < 0)
		return r;
	fd = open_directory(directory);
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	if (unlinkat(fd, name, 0) < 0 && errno != ENOENT)
		r = -errno;
	unlinkat(fd, temporary, 0);
	close(fd);
	return r;
}
