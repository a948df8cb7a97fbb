// SPDX-License-Identifier: GPL-2.0-or-later
#include "types.h"

#include <string.h>

static const struct publisher_type types[] = {
#define ROW(ID, STEM, NAME, DOWN) { NAME, DOWN, STEM##_publish },
	PH_PUBLISH_TYPES(ROW)
#undef ROW
};

const struct publisher_type *publisher_type_find(const char *name)
{
	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
		if (strcmp(types[i].name, name) == 0)
			return &types[i];
	return NULL;
}
