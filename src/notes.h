/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What the daemon says to people: one line each, what, where, and what to do. */

#include <pinhold/links.h>
#include <pinhold/localnet.h>
#include <pinhold/nft.h>
#include <pinhold/routes.h>

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
/* route_localnet could not be set for the mapping; directory: of the file that remembers it. */
void note_localnet(const struct mapping_run *run, const struct ph_localnet_interface *failed,
		   const char *directory);
/* Somebody else has changed a plain table; delay_ms: it is put back so late. */
void note_foreign(const struct ph_nft_foreign *foreign, uint64_t delay_ms);
/* How the mapping's replies find their way now (run->uplink). */
void note_uplink(const struct mapping_run *run);
/* Something is in the way of connections (run->obstacle). */
void note_obstacle(const struct mapping_run *run);
/* Nothing is any more. */
void note_no_obstacle(const struct mapping_run *run);
void note_mark_in_use(uint32_t mask, const struct ph_rule_mark *rule);
