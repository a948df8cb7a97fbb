// SPDX-License-Identifier: GPL-2.0-or-later
#include "secret.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wiped.h"

#define SHORTEST 4
#define MASK     "***"

struct secret {
	char *path; /* NULL: another form of one */
	char *text;
};

/* Takes over both, also when it fails. */
static int append(struct secrets *s, char *path, char *text, struct result *r)
{
	struct secret *list = wiped_realloc(s->list, (s->n + 1) * sizeof(*list));

	if (!list || !text) {
		if (list)
			s->list = list;
		wiped_free(path);
		wiped_free(text);
		return result_no_memory(r);
	}
	s->list = list;
	s->list[s->n++] = (struct secret){ path, text };
	return 0;
}

static const char *find(const struct secrets *s, const char *path)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->list[i].path && strcmp(s->list[i].path, path) == 0)
			return s->list[i].text;
	return NULL;
}

/* Up to max octets; how many, or -errno. */
static ssize_t read_all(int fd, char *data, size_t max)
{
	size_t len = 0;
	ssize_t n;

	while (len < max) {
		n = read(fd, data + len, max - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
	}
	return (ssize_t)len;
}

static int look(int fd, const char *path, struct secrets *s, struct result *r)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return result_give_up(r, "%s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return result_give_up(r, "%s: not a regular file", path);
	if (st.st_mode & S_IROTH)
		buffer_printf(&s->warning, "%s%s is readable by everybody",
			      s->warning.len ? "; " : "", path);
	return 0;
}

static int take(int fd, const char *path, char *data, struct result *r)
{
	ssize_t len = read_all(fd, data, SECRET_MAX + 1);

	if (len < 0)
		return result_give_up(r, "%s: %s", path, strerror((int)-len));
	if (len > SECRET_MAX)
		return result_give_up(r, "%s: longer than %d octets", path, SECRET_MAX);
	if (len && data[len - 1] == '\n')
		len--;
	data[len] = '\0';
	if (len == 0)
		return result_give_up(r, "%s: empty", path);
	if (strlen(data) != (size_t)len)
		return result_give_up(r, "%s: has a NUL octet", path);
	return 0;
}

static int read_file(struct secrets *s, const char *path, char *data, struct result *r)
{
	/* Not blocked by a FIFO, not attached to a terminal. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	int failed;

	if (fd < 0)
		return result_give_up(r, "%s: %s", path, strerror(errno));
	failed = look(fd, path, s, r) || take(fd, path, data, r);
	close(fd);
	return failed ? -1 : 0;
}

int secret_read(struct secrets *s, const char *path, const char **ret_text, struct result *r)
{
	const char *known = find(s, path);
	char *data, *name;
	int failed;

	if (known) {
		*ret_text = known;
		return 0;
	}
	data = wiped_malloc(SECRET_MAX + 2);
	if (!data)
		return result_no_memory(r);
	failed = read_file(s, path, data, r);
	if (!failed) {
		name = wiped_strdup(path);
		failed = name ? append(s, name, wiped_strdup(data), r) : result_no_memory(r);
	}
	wiped_free(data);
	if (failed)
		return -1;
	*ret_text = s->list[s->n - 1].text;
	return 0;
}

int secret_also(struct secrets *s, const char *text, struct result *r)
{
	return append(s, NULL, wiped_strdup(text), r);
}

static void redact(const char *secret, char *text)
{
	size_t len = strlen(secret);

	if (len < SHORTEST)
		return;
	while ((text = strstr(text, secret))) {
		memcpy(text, MASK, strlen(MASK));
		text += strlen(MASK);
		memmove(text, text + len - strlen(MASK), strlen(text + len - strlen(MASK)) + 1);
	}
}

void secrets_redact(const struct secrets *s, char *text)
{
	for (size_t i = 0; i < s->n; i++)
		redact(s->list[i].text, text);
}

void secrets_done(struct secrets *s)
{
	for (size_t i = 0; i < s->n; i++) {
		wiped_free(s->list[i].path);
		wiped_free(s->list[i].text);
	}
	wiped_free(s->list);
	buffer_done(&s->warning);
	*s = (struct secrets){ 0 };
}
