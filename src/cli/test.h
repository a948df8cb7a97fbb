/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * `pinhold test`: reads the configuration file and says on standard output that it is right, or on
 * standard error what is wrong. Returns an exit status: 0, 2 (it is wrong or cannot be read), or 1
 * (standard output failed).
 */
int ph_test_file(const char *path);
