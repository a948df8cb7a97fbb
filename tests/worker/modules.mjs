// SPDX-License-Identifier: GPL-2.0-or-later
//
// miniflare, from where tests/worker/run has put it.

import { createRequire } from "node:module";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = resolve(fileURLToPath(import.meta.url), "../../..");
const modules = resolve(process.env.WORKER_MODULES ?? `${root}/build/worker`);

export const { Miniflare, Log, LogLevel } = createRequire(`${modules}/`)("miniflare");

export const worker = `${root}/worker`;
