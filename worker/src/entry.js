// SPDX-License-Identifier: GPL-2.0-or-later
//
// An entry is one mapping's public endpoint, a value in KV under the entry's name:
//
//	{"port":40000,"address":"203.0.113.7","updated":"2025-07-01T12:00:00.000Z"}
//
// Other writers put the bare port there (`40000`): older workers, and pinhold's type cloudflare-kv.

const LABEL = /^[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/;
const KEY = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$/;
const DIGITS = /^[1-9][0-9]{0,4}$/;
const ISO_DATE = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const BYTE = "(?:0|[1-9][0-9]?|1[0-9][0-9]|2[0-4][0-9]|25[0-5])";
const IPV4 = new RegExp(`^${BYTE}(?:\\.${BYTE}){3}$`);

const HOST_MAX = 253;	// octets of a name without its last dot: RFC 1035, 2.3.4

// One label of a host name (RFC 1123, 2.1): what cannot end the name that it stands in.
export function isLabel(text) {
	return typeof text === "string" && LABEL.test(text);
}

export function isDomain(text) {
	return text.length <= HOST_MAX && text.split(".").every(isLabel);
}

// An entry's name. A mapping's name is one, too.
export function isKey(text) {
	return typeof text === "string" && KEY.test(text);
}

// An address as it is written without a port. No host names: who holds the token shall not have this worker
// look up or connect to whatever they like the name of.
export function isAddress(text) {
	if (typeof text !== "string")
		return false;
	if (IPV4.test(text))
		return true;
	return text.includes(":") && /^[0-9A-Fa-f:.]{2,45}$/.test(text) && URL.canParse(`http://[${text}]/`);
}

// A number or, as the scripts in use send it, a string of digits: the number; anything else: null. "080" is
// nobody's port but perhaps an octal one.
export function portOf(value) {
	const port = typeof value === "string" && DIGITS.test(value) ? Number(value) : value;

	return Number.isInteger(port) && port >= 1 && port <= 65535 ? port : null;
}

function parse(text) {
	try {
		return JSON.parse(text);
	} catch {
		return null;
	}
}

// Only as this worker writes it: Date.parse() makes a date of nearly anything.
function dateOf(value) {
	return typeof value === "string" && ISO_DATE.test(value) && !Number.isNaN(Date.parse(value)) ? value : null;
}

// A value of KV as { port, address, updated }, where address and updated may be null; null if there is no port
// in it, whatever else it is.
export function readEntry(text) {
	if (typeof text !== "string")
		return null;
	const parsed = parse(text);
	const fields = typeof parsed === "object" && parsed !== null ? parsed : { port: text.trim() };
	const port = portOf(fields.port);

	if (port === null)
		return null;
	return {
		port,
		address: isAddress(fields.address) ? fields.address : null,
		updated: dateOf(fields.updated),
	};
}

// The entry of that name, or null. Throws what KV throws.
export async function loadEntry(kv, key) {
	return isKey(key) ? readEntry(await kv.get(key)) : null;
}

// Always written, also when KV seems to hold the same: what it answers may be a minute old, and a port that
// came back would be lost to it.
export async function storeEntry(kv, key, port, address, updated) {
	await kv.put(key, JSON.stringify({ port, ...(address !== null && { address }), updated }));
}
