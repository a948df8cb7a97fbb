// SPDX-License-Identifier: GPL-2.0-or-later
//
// The Worker as a server, for the lab:
//
//	WORKER_MODULES=build/worker node tests/worker/serve.mjs ADDRESS PORT DOMAIN TOKEN-FILE [CERTIFICATE KEY]
//
// PORT may be 0. Prints `listening ORIGIN` when it answers, and ends with its standard input, or by a signal.
// A line {"key":...,"value":...} on that is written to its KV, as others do by Cloudflare's API, and answered by
// `stored`. Entries are in memory: a new one knows nothing. DEFAULT_KEY and PROBE_SECONDS are those of wrangler.toml.

import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";

import { like } from "./harness.mjs";
import { Log, LogLevel, Miniflare } from "./modules.mjs";

const [host, port, domain, tokenFile, certificate, key] = process.argv.slice(2);

if (tokenFile === undefined || (certificate === undefined) !== (key === undefined)) {
	console.error("usage: serve.mjs ADDRESS PORT DOMAIN TOKEN-FILE [CERTIFICATE KEY]");
	process.exit(2);
}

const { unsafeDirectSockets, ...worker } = like({
	name: "worker",
	bindings: { TARGET_DOMAIN: domain, UPDATE_TOKEN: readFileSync(tokenFile, "utf8") },
});
const mf = new Miniflare({
	workers: [worker],
	host,
	port: Number(port),
	...(certificate !== undefined && { httpsCertPath: certificate, httpsKeyPath: key }),
	cf: false,
	log: new Log(LogLevel.WARN),
});

console.log(`listening ${(await mf.ready).origin}`);
try {
	const kv = await mf.getKVNamespace("REDIRECT_CONFIG");

	for await (const line of createInterface({ input: process.stdin })) {
		const { key: entry, value } = JSON.parse(line);

		await kv.put(entry, value);
		console.log("stored");
	}
} catch (error) {
	console.error(error);
}
await mf.dispose();
