/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What the daemon says to people: one line each, what, where, and what to do. */

#include <pinhold/links.h>
#include <pinhold/nft.h>

#include "mapping_run.h"

void note_log(const struct hold *hold, const struct ph_action *a);
void note_announce(const struct mapping_run *run, const struct ph_action *a);
/* Where a mapping's interface stands now (run->links). */
void note_links(const struct mapping_run *run);
/* At start: true, with an error line, if the mapping names an interface or address that is not
 * there. */
bool note_interface_missing(const struct mapping_run *run);
void note_bind_refused(const struct ph_mapping_config *core, int error);
/* The table could not be installed; retried: the daemon goes on and tries again. */
void note_table_failed(struct ph_nft *nft, int error, bool retried);
