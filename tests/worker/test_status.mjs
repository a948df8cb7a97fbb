// SPDX-License-Identifier: GPL-2.0-or-later

import assert from "node:assert/strict";

import { TOKEN, World, like } from "./harness.mjs";

const SINCE = "2025-07-01T12:00:00.000Z";
const PASS = { Authorization: `Bearer ${TOKEN}` };

const world = new World(like({ name: "status" }));

const test = (title, body) => world.test("status", title, body);

async function page(headers) {
	const answer = await world.get("status", "/", headers);

	assert.equal(answer.status, 200);
	assert.equal(answer.headers["content-type"], "text/html; charset=utf-8");
	assert.match(answer.body, /^<!DOCTYPE html>\n/);
	return answer.body;
}

async function put(entries) {
	const kv = await world.kv("status");

	await Promise.all(Object.entries(entries).map(([key, value]) => kv.put(key, value)));
}

test("status: anybody learns whether the entry is at work and since when, and no more", async () => {
	assert.match(await page(), /The endpoint is not known yet\./);
	await put({
		home: JSON.stringify({ port: 41234, address: "203.0.113.7", updated: SINCE }),
		"secret-office": JSON.stringify({ port: 52345, updated: SINCE }),
	});
	const text = await page();
	assert.ok(text.includes(`The endpoint is known since ${SINCE}.`));
	for (const hidden of ["41234", "203.0.113.7", "secret-office", "52345", "home"])
		assert.ok(!text.includes(hidden), hidden);
	await put({ home: "41234" });
	assert.match(await page(), /The endpoint is known\./);
});

test("status: with the token, every entry", async () => {
	await put({
		home: JSON.stringify({ port: 41234, address: "203.0.113.7", updated: SINCE }),
		office: "52345",
		broken: "null",
	});
	const rows = [...(await page(PASS)).matchAll(/^<tr><td>.*<\/tr>$/gm)].map(([row]) => row);
	assert.deepEqual(rows, [
		"<tr><td>broken</td><td></td><td></td><td>no port yet</td></tr>",
		`<tr><td>home</td><td>41234</td><td>203.0.113.7</td><td>known since ${SINCE}</td></tr>`,
		"<tr><td>office</td><td>52345</td><td></td><td>known</td></tr>",
	]);
});

test("status: with a wrong token, 401", async () => {
	const answer = await world.get("status", "/", { Authorization: "Bearer x" });

	assert.equal(answer.status, 401);
	assert.match(answer.headers["www-authenticate"], /^Bearer /);
});

test("status: whatever stands in KV is text", async () => {
	await put({
		"<script>alert('\"&')</script>": "1",
		home: JSON.stringify({ port: 1, address: "<b>", updated: "<b>2025" }),
	});
	const text = await page(PASS);
	assert.ok(text.includes("<td>&lt;script&gt;alert(&#39;&quot;&amp;&#39;)&lt;/script&gt;</td>"));
	assert.doesNotMatch(text, /<script|<b>/);
	// And what is no address and no date is not shown as one.
	assert.ok(text.includes("<tr><td>home</td><td>1</td><td></td><td>known</td></tr>"));
	assert.doesNotMatch(await page(), /<b>/);
});

test("status: of very many entries, the first hundred", async () => {
	await put(Object.fromEntries(Array.from({ length: 101 }, (_, i) => [`k${i}`, "40000"])));
	const text = await page(PASS);

	assert.equal(text.match(/<tr><td>/g).length, 100);
	assert.match(text, /There are more\./);
});

test("status: HEAD has the page's headers, and a query changes nothing", async () => {
	const answer = await world.send("status", "HEAD", "/");

	assert.equal(answer.status, 200);
	assert.equal(answer.headers["content-type"], "text/html; charset=utf-8");
	assert.equal((await world.get("status", "/?x=<script>")).status, 200);
});

world.stop();
