// SPDX-License-Identifier: GPL-2.0-or-later
#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <pinhold/config.h>

/* Whether or not it stops the daemon, it is told the same way. */
static void tell(void *data, bool mistake, unsigned line, const char *text)
{
	const char *path = data;

	(void)mistake;
	if (line)
		fprintf(stderr, "pinhold: %s:%u: %s\n", path, line, text);
	else
		fprintf(stderr, "pinhold: %s: %s\n", path, text);
}

int ph_test_file(const char *path)
{
	struct ph_config config;
	char shown[1024];
	size_t n;
	int r;

	/* One line, whatever the name holds. */
	snprintf(shown, sizeof(shown), "%s", path);
	for (char *c = shown; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	r = ph_config_read(path, tell, shown, &config);
	if (r < 0) {
		if (r == -ENOENT)
			fprintf(stderr,
				"pinhold: %s: there is no such file; name another with -c, or see pinhold.conf(5)\n",
				shown);
		else if (r == -EISDIR)
			fprintf(stderr, "pinhold: %s: is a directory; name a file with -c\n",
				shown);
		else if (r != -EINVAL)
			fprintf(stderr, "pinhold: %s: %s\n", shown, strerror(-r));
		return 2;
	}
	n = config.n_mappings;
	ph_config_done(&config);
	if (printf("%s: %zu mapping%s, all right\n", shown, n, n == 1 ? "" : "s") < 0 ||
	    fflush(stdout) != 0) {
		fprintf(stderr, "pinhold: standard output: %s\n", strerror(errno));
		return 1;
	}
	return 0;
}
