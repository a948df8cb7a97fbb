/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * One nf_tables transaction as bytes. Every function returns 0 or -ENOMEM, and after a failure the
 * batch is good for nothing but ph_batch_done(): a rule that lacks one of its expressions would be
 * a wider rule.
 */

#include <pinhold/table.h>

#define PH_TABLE_NAME "pinhold"

struct ph_batch {
	char *data;
	size_t len, room;
	uint32_t first_seq, next_seq;
	uint32_t owner_seq;  /* of the message that asks for the owner flag; 0: none does */
	size_t last;         /* offset of the last message */
	struct label *label; /* what each message is about */
	size_t n_labels, labels_room;
};

/* Begins a transaction; its messages are numbered from first_seq on. */
int ph_batch_init(struct ph_batch *b, uint32_t first_seq);
void ph_batch_done(struct ph_batch *b);

int ph_batch_add_table(struct ph_batch *b, bool owner);
int ph_batch_delete_table(struct ph_batch *b);
int ph_batch_steps(struct ph_batch *b, const struct ph_op *ops, size_t n);

/* Ends the transaction and asks for the acknowledgement of its last message, whose number it
 * returns. */
int ph_batch_end(struct ph_batch *b, uint32_t *ret_last_seq);

/* What the message of that number is about, as "chain in-web"; valid as long as the tables it came
 * from. */
void ph_batch_describe(const struct ph_batch *b, uint32_t seq, char *buf, size_t size);
