/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Children inherit the limit. It cannot be given back to them cleanly: uv_spawn() calls nothing
 * between fork and exec; to lower our own limit around it would make uv_spawn() itself, and the
 * resolver's thread, fail with EMFILE; and prlimit(2) on a child comes when its program may have
 * read the limit already. What a high limit does to a program (select(2) with descriptors beyond
 * FD_SETSIZE, a loop that closes every possible descriptor) needs many open descriptors, which no
 * child of ours gets, or a limit of millions. So it is raised to what is needed and no further.
 */

#include <pinhold/limits.h>

#include <errno.h>
#include <stdint.h>
#include <sys/resource.h>

int ph_limits_raise_files(size_t needed, size_t *ret_limit)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return -errno;
	if (limit.rlim_cur < needed && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max < needed ? limit.rlim_max : needed;
		if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
			return -errno;
	}
	/* RLIM_INFINITY is the greatest value of its type, which may be wider than ours. */
	*ret_limit = limit.rlim_cur < SIZE_MAX ? (size_t)limit.rlim_cur : SIZE_MAX;
	return limit.rlim_cur < needed ? PH_LIMITS_TOO_LOW : 0;
}
