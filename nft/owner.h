/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* The process that has the netfilter socket with that port. *ret_pid is 0 if /proc does not tell. */
void ph_owner_of_port(uint32_t portid, pid_t *ret_pid, char ret_comm[static 17]);
