// SPDX-License-Identifier: GPL-2.0-or-later
//
// GET /SERVICE/PATH?QUERY: 302 to https://SERVICE.TARGET_DOMAIN:PORT/PATH?QUERY
//
// The browser's address is made of a label that cannot end a host name, the configured domain and a number,
// and what the client sent comes only behind the slash that ends them: it leads nowhere else.

import { isDomain, loadEntry } from "./entry.js";
import { words } from "./http.js";

const RETRY_SECONDS = "30";

function decoded(text) {
	try {
		return decodeURIComponent(text.replaceAll("+", " "));
	} catch {
		return null;
	}
}

// Takes `key` out of the query and leaves everything else as it stands, byte for byte. The first one counts;
// key is null where there is none or an empty one, and query where nothing was left of it.
export function takeKey(query) {
	const parts = query === null ? [] : query.split("&");
	const isKey = (part) => decoded(part.split("=", 1)[0]) === "key";
	const taken = parts.find(isKey);
	const rest = parts.filter((part) => !isKey(part));

	if (taken === undefined)
		return { key: null, query };
	// One that cannot be decoded is nobody's name.
	return {
		key: taken.includes("=") ? decoded(taken.slice(taken.indexOf("=") + 1)) ?? "?" : null,
		query: rest.length === 0 ? null : rest.join("&"),
	};
}

// A header field carries octets; what a client sent as bare UTF-8 goes on as the same octets, encoded.
function ascii(text) {
	return text.toWellFormed().replace(/[^\x21-\x7e]/gu, encodeURIComponent);
}

export async function redirect(request, config, path, rawQuery) {
	const slash = path.indexOf("/", 1);
	const service = slash < 0 ? path.slice(1) : path.slice(1, slash);
	const rest = slash < 0 ? "/" : path.slice(slash);
	const { key, query } = takeKey(rawQuery);
	const host = `${service}.${config.domain}`;
	let entry;

	if (!isDomain(host))
		return words(404, "There is no such service.");
	try {
		entry = await loadEntry(config.kv, key || config.key);
	} catch (error) {
		console.error(`KV: ${error.message}`);
		return words(503, "The port could not be looked up.", { "Retry-After": RETRY_SECONDS });
	}
	if (entry === null)
		return words(503, "No port is known yet.", { "Retry-After": RETRY_SECONDS });
	return new Response(null, {
		status: 302,
		headers: { Location: `https://${host}:${entry.port}${ascii(rest + (query === null ? "" : `?${query}`))}` },
	});
}
