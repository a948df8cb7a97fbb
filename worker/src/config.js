// SPDX-License-Identifier: GPL-2.0-or-later
//
// All that is configured comes from bindings (wrangler.toml, `wrangler secret put`). One that is missing or
// wrong stops everything, redirects too: it is seen at the first look at the entry, and not on the day on which
// the port changes.

import { isDomain, isKey } from "./entry.js";

// Its message is for people and never has a secret's value in it.
export class ConfigurationError extends Error {}

const PROBE_SECONDS = 5;
const PROBE_SECONDS_MAX = 30;

function text(env, name, how) {
	const value = env[name];

	if (typeof value !== "string" || value.trim() === "")
		throw new ConfigurationError(`This worker is not configured: ${name} is missing or empty (${how}).`);
	// A secret that was put from a file ends in a line feed, which no header can carry.
	return value.trim();
}

function seconds(env) {
	const value = env.PROBE_SECONDS ?? PROBE_SECONDS;
	const number = Number(value);

	if (!(number > 0 && number <= PROBE_SECONDS_MAX))
		throw new ConfigurationError("This worker is not configured: PROBE_SECONDS is not a number above 0"
			+ ` and up to ${PROBE_SECONDS_MAX}.`);
	return number;
}

// { kv, token, domain, key, probeSeconds }; throws ConfigurationError.
export function configuration(env) {
	const kv = env.REDIRECT_CONFIG;
	const token = text(env, "UPDATE_TOKEN", "wrangler secret put UPDATE_TOKEN");
	const domain = text(env, "TARGET_DOMAIN", "[vars] in wrangler.toml");
	const key = text(env, "DEFAULT_KEY", "[vars] in wrangler.toml");

	if (typeof kv?.get !== "function")
		throw new ConfigurationError("This worker is not configured: REDIRECT_CONFIG is not bound to a KV"
			+ " namespace ([[kv_namespaces]] in wrangler.toml).");
	if (!isDomain(domain))
		throw new ConfigurationError("This worker is not configured: TARGET_DOMAIN is not a domain name, such"
			+ " as example.com.");
	if (!isKey(key))
		throw new ConfigurationError("This worker is not configured: DEFAULT_KEY is not an entry's name"
			+ " (letters, digits, hyphen, underscore, dot; at most 64).");
	return { kv, token, domain, key, probeSeconds: seconds(env) };
}
