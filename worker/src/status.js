// SPDX-License-Identifier: GPL-2.0-or-later
//
// GET /: is the entry at work, and since when does it know where to lead?
//
// Anybody may look, so anybody is told no more than what a redirect tells as well, and not its port: whether
// the default entry has a port, and since when. The names of entries (who knows one may follow it), ports and
// addresses are for who brings the token.

import { refused } from "./auth.js";
import { loadEntry } from "./entry.js";
import { words } from "./http.js";

const LIST_MAX = 100;	// a look-up each; a Worker may make a thousand

const ENTITIES = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

function escape(text) {
	return String(text).replace(/[&<>"']/g, (c) => ENTITIES[c]);
}

function page(content) {
	return new Response(`<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Fixed entry</title>
<style>body { font: 1em sans-serif; margin: 2em } th, td { padding-right: 2em; text-align: left }</style>
<h1>Fixed entry</h1>
${content}
</html>
`, { headers: { "Content-Type": "text/html; charset=utf-8" } });
}

function since(entry) {
	if (entry === null)
		return "no port yet";
	return entry.updated === null ? "known" : `known since ${entry.updated}`;
}

function row(name, entry) {
	const cells = [name, entry?.port ?? "", entry?.address ?? "", since(entry)];

	return `<tr>${cells.map((cell) => `<td>${escape(cell)}</td>`).join("")}</tr>`;
}

async function table(config) {
	const { keys, list_complete: complete } = await config.kv.list({ limit: LIST_MAX });
	const rows = await Promise.all(keys.map(async ({ name }) => row(name, await loadEntry(config.kv, name))));

	return `<table>
<tr><th>key</th><th>port</th><th>address</th><th>state</th></tr>
${rows.join("\n")}
</table>${complete ? "" : "\n<p>There are more.</p>"}`;
}

export async function status(request, config) {
	const asks = request.headers.has("Authorization");
	const refusal = asks ? await refused(request, config.token) : null;

	if (refusal !== null)
		return refusal;
	try {
		if (asks)
			return page(await table(config));
		const entry = await loadEntry(config.kv, config.key);
		return page(`<p>The endpoint is ${escape(entry === null ? "not known yet" : since(entry))}.</p>`);
	} catch (error) {
		console.error(`KV: ${error.message}`);
		return words(503, "The entries could not be looked up.", { "Retry-After": "30" });
	}
}
