// SPDX-License-Identifier: GPL-2.0-or-later

import assert from "node:assert/strict";
import { test } from "node:test";

import { FULL, TOKEN, World, like } from "./harness.mjs";

const BROKEN = [
	["no-token", { UPDATE_TOKEN: undefined }, "UPDATE_TOKEN"],
	["empty-token", { UPDATE_TOKEN: "" }, "UPDATE_TOKEN"],
	["blank-token", { UPDATE_TOKEN: " \n" }, "UPDATE_TOKEN"],
	["no-domain", { TARGET_DOMAIN: undefined }, "TARGET_DOMAIN"],
	["empty-domain", { TARGET_DOMAIN: "" }, "TARGET_DOMAIN"],
	["url-domain", { TARGET_DOMAIN: "https://example.com/" }, "TARGET_DOMAIN"],
	["port-domain", { TARGET_DOMAIN: "example.com:443" }, "TARGET_DOMAIN"],
	["dot-domain", { TARGET_DOMAIN: "example..com" }, "TARGET_DOMAIN"],
	["no-key", { DEFAULT_KEY: undefined }, "DEFAULT_KEY"],
	["bad-key", { DEFAULT_KEY: "a b" }, "DEFAULT_KEY"],
	["no-seconds", { PROBE_SECONDS: "soon" }, "PROBE_SECONDS"],
	["zero-seconds", { PROBE_SECONDS: "0" }, "PROBE_SECONDS"],
	["many-seconds", { PROBE_SECONDS: "31" }, "PROBE_SECONDS"],
];

const world = new World(
	...BROKEN.map(([name, bindings]) => like({ name, bindings })),
	like({ name: "no-kv", kvNamespaces: {} }),
	like({ name: "text-kv", kvNamespaces: {}, bindings: { REDIRECT_CONFIG: "x" } }),
	like({ name: "line-feed", bindings: { UPDATE_TOKEN: `${TOKEN}\n` } }),
	like({ name: "default-seconds", bindings: { PROBE_SECONDS: undefined } }),
);

const CASES = [...BROKEN, ["no-kv", {}, "REDIRECT_CONFIG"], ["text-kv", {}, "REDIRECT_CONFIG"]];

for (const [name, , binding] of CASES) {
	test(`configuration: ${name} is 500 and says which, and lets nobody in`, async () => {
		const answers = [await world.get(name, "/"), await world.get(name, "/nas/")];

		for (const given of [TOKEN, "", "undefined", "null", " ", "\"\""])
			for (const path of ["/update-port", "/probe"])
				answers.push(await world.post(name, path, { port: 40000 }, { Authorization: `Bearer ${given}` }));
		for (const { status, body } of answers) {
			assert.equal(status, 500);
			assert.match(body, /^This worker is not configured: /);
			assert.ok(body.includes(binding), body);
		}
		if (!name.endsWith("-kv"))
			assert.deepEqual(await world.entries(name), {});
	});
}

test("configuration: a secret's last line feed is not part of it", async () => {
	assert.equal((await world.post("line-feed", "/update-port", { port: 40000 })).status, 200);
});

test("configuration: PROBE_SECONDS may be left out", async () => {
	assert.equal((await world.get("default-seconds", "/")).status, 200);
});

test("configuration: wrangler.toml binds what the worker asks for", () => {
	assert.deepEqual(FULL.kvNamespaces, ["REDIRECT_CONFIG"]);
});

world.stop();
