// SPDX-License-Identifier: GPL-2.0-or-later

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { worker } from "./modules.mjs";

const read = (name) => readFileSync(`${worker}/${name}`, "utf8");

test("files: the lock has every package by its checksum, and no registry's address", () => {
	const { packages } = JSON.parse(read("package-lock.json"));
	const { devDependencies } = JSON.parse(read("package.json"));

	for (const [path, entry] of Object.entries(packages)) {
		assert.ok(!("resolved" in entry), path);
		if (path !== "")
			assert.match(entry.integrity, /^sha512-/, path);
	}
	assert.deepEqual(packages[""].devDependencies, devDependencies);
});

test("files: no secret's place is in wrangler.toml", () => {
	assert.doesNotMatch(read("wrangler.toml"), /^UPDATE_TOKEN/m);
});
