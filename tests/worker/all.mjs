// SPDX-License-Identifier: GPL-2.0-or-later
//
// One file after the other in one process: so TAP's lines are tests, whatever node's version makes of files.

import "./test_update.mjs";
import "./test_redirect.mjs";
import "./test_status.mjs";
import "./test_probe.mjs";
import "./test_config.mjs";
import "./test_files.mjs";
