// SPDX-License-Identifier: GPL-2.0-or-later
//
// POST /probe, with the token: {"key":"home"} or nothing. Connects from here to the endpoint that is stored for
// the key, and to nothing else: the caller names an entry, not a destination.

import { connect } from "cloudflare:sockets";

import { refused } from "./auth.js";
import { isKey, loadEntry } from "./entry.js";
import { json, readObject, words } from "./http.js";

// Milliseconds that a connection took; throws the reason if there was none. Time stands still in a Worker until
// something comes from outside, and the connection does.
async function dial(hostname, port, seconds) {
	const start = Date.now();
	const socket = connect({ hostname: hostname.includes(":") ? `[${hostname}]` : hostname, port });
	let timer;
	const late = new Promise((_, reject) => {
		timer = setTimeout(() => reject(new Error(`no answer within ${seconds} s`)), seconds * 1000);
	});

	// Both of its promises fail with the connection; nobody waits for the second.
	socket.closed.catch(() => {});
	try {
		await Promise.race([socket.opened, late]);
		return Date.now() - start;
	} finally {
		clearTimeout(timer);
		socket.opened.catch(() => {});
		socket.close().catch(() => {});
	}
}

export async function probe(request, config) {
	const refusal = await refused(request, config.token);
	if (refusal !== null)
		return refusal;
	const body = await readObject(request, {});
	if (body instanceof Response)
		return body;

	const { key = config.key } = body;
	let entry;

	if (!isKey(key))
		return words(400, "key is not a name of 1 to 64 letters, digits, hyphens, underscores and dots.");
	try {
		entry = await loadEntry(config.kv, key);
	} catch (error) {
		console.error(`KV: ${error.message}`);
		return words(503, "The port could not be looked up.", { "Retry-After": "2" });
	}
	if (entry === null)
		return words(503, "No port is known yet.", { "Retry-After": "30" });

	const host = entry.address ?? config.domain;
	const start = Date.now();
	const result = { key, host, port: entry.port };
	try {
		return json({ ...result, reachable: true, ms: await dial(host, entry.port, config.probeSeconds) });
	} catch (error) {
		return json({ ...result, reachable: false, ms: Date.now() - start, reason: error.message });
	}
}
