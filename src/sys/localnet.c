/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <pinhold/localnet.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <pinhold/log.h>
#include <pinhold/plan.h>
#include <pinhold/state_file.h>

#include "ipv4_conf.h"

#define KEY            "route_localnet"
#define BOOT_ID        "/proc/sys/kernel/random/boot_id"
#define BOOT_ID_OCTETS 36

struct entry {
	char name[PH_INTERFACE_MAX + 1];
	int index; /* of who had the name at the last look; 0: nobody, or there was no look */
	bool wanted;
	bool ours;    /* set by us, or about to be: to be set back */
	bool pending; /* about to be */
	bool by_file; /* error is the file's */
	bool found;   /* somebody else had set it, and the caller has been told */
	int error;
};

struct ph_localnet {
	char *directory; /* NULL: nothing is remembered */
	char boot_id[BOOT_ID_OCTETS + 1];
	struct entry *entries;
	size_t n_entries;
	char *remembered; /* the file's content; NULL: there is none */
};

/* ---- entries ---- */

static struct entry *find(struct ph_localnet *l, const char *name)
{
	for (size_t i = 0; i < l->n_entries; i++)
		if (strcmp(l->entries[i].name, name) == 0)
			return &l->entries[i];
	return NULL;
}

/* name fits. NULL: out of memory. */
static struct entry *add(struct ph_localnet *l, const char *name)
{
	struct entry *entries = reallocarray(l->entries, l->n_entries + 1, sizeof(*l->entries));

	if (!entries)
		return NULL;
	l->entries = entries;
	entries[l->n_entries] = (struct entry){ 0 };
	strcpy(entries[l->n_entries].name, name);
	return &entries[l->n_entries++];
}

/*
 * Who was renamed since the last look took the setting along, and the entry goes with it; who is
 * gone has nothing to be set back, and whoever has the name now is somebody else.
 */
static void follow(struct ph_localnet *l)
{
	for (size_t i = 0; i < l->n_entries; i++) {
		struct entry *entry = &l->entries[i];
		char name[IF_NAMESIZE];

		if (entry->index && if_indextoname((unsigned)entry->index, name))
			strcpy(entry->name, name);
		else
			entry->ours = entry->found = false;
	}
}

static void forget_unwanted(struct ph_localnet *l)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n_entries; i++)
		if (l->entries[i].wanted || l->entries[i].ours || l->entries[i].found)
			l->entries[n++] = l->entries[i];
	l->n_entries = n;
}

/* ---- the file: the boot's ID, then the interfaces that are to be set back ---- */

static int read_boot_id(char ret_id[static BOOT_ID_OCTETS + 1])
{
	FILE *f = fopen(BOOT_ID, "re");
	int r = 0;

	if (!f)
		return -errno;
	if (!fgets(ret_id, BOOT_ID_OCTETS + 1, f))
		r = -EIO;
	fclose(f);
	return r;
}

/* *ret_text is NULL where nothing is to be remembered. */
static int make_text(struct ph_localnet *l, char **ret_text)
{
	char *text = NULL;
	size_t len = 0;
	bool any = false;
	FILE *f;
	int bad;

	for (size_t i = 0; i < l->n_entries; i++)
		any |= l->entries[i].ours;
	*ret_text = NULL;
	if (!any)
		return 0;
	if (!*l->boot_id && (bad = read_boot_id(l->boot_id)) < 0)
		return bad;
	f = open_memstream(&text, &len);
	if (!f)
		return -ENOMEM;
	fprintf(f, "%s\n", l->boot_id);
	for (size_t i = 0; i < l->n_entries; i++)
		if (l->entries[i].ours)
			fprintf(f, "%s\n", l->entries[i].name);
	bad = ferror(f);
	if (fclose(f) != 0 || bad) {
		free(text);
		return -ENOMEM;
	}
	*ret_text = text;
	return 0;
}

/* Makes the file say what is ours. */
static int remember(struct ph_localnet *l)
{
	char *text;
	int r;

	if (!l->directory)
		return 0;
	r = make_text(l, &text);
	if (r < 0)
		return r;
	if (!text && l->remembered)
		r = ph_state_remove(l->directory, PH_LOCALNET_FILE);
	else if (text && (!l->remembered || strcmp(text, l->remembered) != 0))
		r = ph_state_write(l->directory, PH_LOCALNET_FILE, 0644, text, strlen(text));
	if (r < 0) {
		free(text);
		return r;
	}
	free(l->remembered);
	l->remembered = text;
	return 0;
}

static int set_back(struct entry *entry)
{
	int r = ipv4_conf_write(entry->name, KEY, 0);

	if (r < 0 && r != -ENOENT && r != -EINVAL) {
		ph_debug("localnet: %s cannot be set back: %s", entry->name, strerror(-r));
		return r;
	}
	entry->ours = false;
	return 0;
}

static int recover_lines(struct ph_localnet *l, FILE *f)
{
	char line[128];
	bool heading = true, same_boot = false;

	while (fgets(line, sizeof(line), f)) {
		struct entry *entry;

		line[strcspn(line, "\n")] = '\0';
		if (heading)
			same_boot = strcmp(line, l->boot_id) == 0;
		else if (same_boot && *line && strlen(line) <= PH_INTERFACE_MAX) {
			entry = find(l, line);
			entry = entry ? entry : add(l, line);
			if (!entry)
				return -ENOMEM;
			entry->index = (int)if_nametoindex(line);
			entry->ours = true;
			set_back(entry); /* or want() or close() tries again */
		}
		heading = false;
	}
	return ferror(f) ? -EIO : 0;
}

/* Opens what is there only if it is a file: anything else could make us wait for somebody. */
static int open_file(const char *path, FILE **ret_f)
{
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC), r = 0;
	struct stat st;
	FILE *f;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		r = -errno;
	else if (!S_ISREG(st.st_mode))
		r = S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	f = r == 0 ? fdopen(fd, "r") : NULL;
	if (f) {
		*ret_f = f;
		return 0;
	}
	close(fd);
	return r < 0 ? r : -ENOMEM;
}

static int recover(struct ph_localnet *l)
{
	char path[PATH_MAX];
	FILE *f = NULL;
	int n, r;

	n = snprintf(path, sizeof(path), "%s/%s", l->directory, PH_LOCALNET_FILE);
	if (n < 0 || (size_t)n >= sizeof(path))
		return -ENAMETOOLONG;
	r = open_file(path, &f);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	r = recover_lines(l, f);
	fclose(f);
	if (r < 0)
		return r;
	forget_unwanted(l);
	l->remembered = strdup(""); /* there is something, whatever it was */
	if (!l->remembered)
		return -ENOMEM;
	r = remember(l);
	if (r < 0)
		ph_debug("localnet: %s: %s", path, strerror(-r));
	return 0;
}

static void destroy(struct ph_localnet *l)
{
	free(l->directory);
	free(l->entries);
	free(l->remembered);
	free(l);
}

int ph_localnet_open(const char *directory, struct ph_localnet **ret_localnet, int *ret_unread)
{
	struct ph_localnet *l = calloc(1, sizeof(*l));
	int r = 0;

	if (!l)
		return -ENOMEM;
	if (directory) {
		l->directory = strdup(directory);
		r = l->directory ? read_boot_id(l->boot_id) : -ENOMEM;
		if (r == 0)
			r = recover(l);
	}
	if (r == -ENOMEM) {
		destroy(l);
		return r;
	}
	*ret_localnet = l;
	*ret_unread = r;
	return 0;
}

/* ---- what is wanted ---- */

/* Looks at an interface, and says what is to be done there. True: somebody else has set it, which
 * is news. */
static bool look(struct entry *entry)
{
	bool found;
	int value;

	entry->by_file = false;
	entry->error = ipv4_conf_read(entry->name, KEY, &value);
	if (entry->error)
		return false;
	entry->index = (int)if_nametoindex(entry->name);
	/* Without the permission nothing need be remembered. */
	if (value == 0) {
		entry->error = ipv4_conf_writable(entry->name, KEY);
		entry->pending = entry->ours = entry->error == 0;
	}
	found = value && !entry->ours && !entry->found;
	entry->found |= found;
	return found;
}

/* Makes entries of what is wanted, and looks there. Who has no entry: a name that is no
 * interface's. */
static int enter(struct ph_localnet *l, struct ph_localnet_interface *wanted, size_t n)
{
	for (size_t i = 0; i < l->n_entries; i++)
		l->entries[i].wanted = false;
	follow(l);
	forget_unwanted(l);
	for (size_t i = 0; i < n; i++) {
		struct entry *entry = find(l, wanted[i].name);

		wanted[i].found = false;
		if (!entry && *wanted[i].name && strlen(wanted[i].name) <= PH_INTERFACE_MAX) {
			entry = add(l, wanted[i].name);
			if (!entry)
				return -ENOMEM;
		}
		if (!entry)
			continue;
		if (!entry->wanted)
			wanted[i].found = look(entry);
		entry->wanted = true;
	}
	return 0;
}

static void set_pending(struct ph_localnet *l, int error)
{
	for (size_t i = 0; i < l->n_entries; i++) {
		struct entry *entry = &l->entries[i];

		if (!entry->pending)
			continue;
		entry->pending = false;
		entry->by_file = error != 0;
		entry->error = error ? error : ipv4_conf_write(entry->name, KEY, 1);
		if (entry->error)
			entry->ours = false;
	}
}

/* The first error of both. */
static int first(int r, int error)
{
	return r < 0 ? r : error;
}

int ph_localnet_want(struct ph_localnet *localnet, struct ph_localnet_interface *wanted, size_t n)
{
	int r = enter(localnet, wanted, n), error;

	if (r < 0) {
		for (size_t i = 0; i < n; i++) {
			wanted[i].error = r;
			wanted[i].by_file = false;
		}
		return r;
	}
	for (size_t i = 0; i < localnet->n_entries; i++)
		if (!localnet->entries[i].wanted && localnet->entries[i].ours)
			r = first(r, set_back(&localnet->entries[i]));
	error = remember(localnet);
	r = first(r, error);
	set_pending(localnet, error);
	forget_unwanted(localnet);
	r = first(r, remember(localnet)); /* without those that could not be set */
	for (size_t i = 0; i < n; i++) {
		const struct entry *entry = find(localnet, wanted[i].name);

		wanted[i].error = entry ? entry->error : -EINVAL;
		wanted[i].by_file = entry && entry->by_file;
	}
	return r;
}

void ph_localnet_close(struct ph_localnet *localnet)
{
	if (!localnet)
		return;
	ph_localnet_want(localnet, NULL, 0);
	destroy(localnet);
}
