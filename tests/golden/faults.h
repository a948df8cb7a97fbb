/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What can go wrong between pinhold and the kernel, on command. The program is linked with --wrap,
 * so that the code under test, libnftnl included, calls these in place of the libraries' functions.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct faults {
	size_t corrupt_message; /* make the nth message of the next batch one that the kernel
				   refuses; 0: none */
	bool refuse_owner;   /* make every request for the owner flag one that the kernel refuses */
	bool change_ids;     /* delete conntrack's entries by an ID that they do not have */
	bool lose_answers;   /* the next read finds that the kernel had no room for its answers */
	bool interrupt_send; /* a signal interrupts the next send */
	bool interrupt_read; /* ... and the next read */
	size_t interrupt_dumps; /* that many datagrams from now on say that their dump is no single
				   state */
	size_t cut_answer;      /* the nth datagram from now on lacks its last octets; 0: none */
	bool spoil_answer;      /* one octet of the next datagram is another: */
	size_t spoil_octet;
	uint8_t spoil_value;
	size_t fail_allocation; /* the nth allocation from now on fails; 0: none */
	bool failed;            /* it has */
	size_t sends, messages; /* batches sent so far, and messages in the last one */
	size_t octets_read;     /* so far */
};

extern struct faults faults;
