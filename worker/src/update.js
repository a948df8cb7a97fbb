// SPDX-License-Identifier: GPL-2.0-or-later
//
// POST /update-port, with the token: {"port":40000,"key":"home","address":"203.0.113.7"}
//
// Who calls sees to it that calls do not overtake each other; pinhold has one under way for each receiver.

import { refused } from "./auth.js";
import { isAddress, isKey, portOf, storeEntry } from "./entry.js";
import { json, readObject, words } from "./http.js";

export async function update(request, config) {
	const refusal = await refused(request, config.token);
	if (refusal !== null)
		return refusal;
	const body = await readObject(request);
	if (body instanceof Response)
		return body;

	const { key = config.key, address = null } = body;
	const port = portOf(body.port);
	const updated = new Date().toISOString();

	if (port === null)
		return words(400, "port is not an integer from 1 to 65535, as a number or a string of digits.");
	if (!isKey(key))
		return words(400, "key is not a name of 1 to 64 letters, digits, hyphens, underscores and dots.");
	if (body.address !== undefined && !isAddress(address))
		return words(400, "address is not an IPv4 or IPv6 address.");
	try {
		await storeEntry(config.kv, key, port, address, updated);
	} catch (error) {
		// More than one write a second to a key, or all of a day's: the caller shall try again.
		console.error(`KV: ${error.message}`);
		return words(503, "The port could not be stored.", { "Retry-After": "2" });
	}
	return json({ key, port, ...(address !== null && { address }), updated });
}
