// SPDX-License-Identifier: GPL-2.0-or-later

import assert from "node:assert/strict";
import { before, test } from "node:test";

import { World, like } from "./harness.mjs";

const DEEP = [..."abcd"].map((c) => c.repeat(58)).join(".");

const world = new World(
	like({ name: "redirect" }),
	like({ name: "deep", bindings: { TARGET_DOMAIN: DEEP } }),
);

before(async () => {
	const kv = await world.kv("redirect");

	await kv.put("home", '{"port":40000,"address":"203.0.113.7","updated":"2025-07-01T12:00:00.000Z"}');
	await kv.put("office", "50000");
	await kv.put("a b", "1");
	await (await world.kv("deep")).put("home", "443");
});

async function leads(target, to) {
	const answer = await world.get("redirect", target);

	assert.equal(answer.status, 302, target);
	assert.equal(answer.headers.location, to, target);
	assert.equal(answer.body, "");
}

test("redirect: path and query as they came, byte for byte", async () => {
	const same = ["/", "/a", "/a/b/", "/a//b", "//", "//evil.com/", "/?", "/a?x", "/a?x=", "/a?x=1&y=2&x=3", "/a?&&x&",
		"/a?x=%41%2f%2F+%20", "/%41%2f%2F%2e%2E/b", "/a;b=c,d", "/a?u=https://evil.com/?x=1?", "/%0d%0aSet-Cookie:x=1",
		"/%00", "/a?x=%0D%0ALocation:%20https://evil.com", "/@evil.com", "/:80@evil.com", "/%C3%BC?%c3%bc",
		"/a?keys=1&KEY=2&akey=3&x=key", '/a"b<c>d`e{f}|g^h\'i', "/a\\b", "/%", "/%zz?%", "/[::1]", "/~_-.!*()"];

	for (const rest of same)
		await leads(`/nas${rest}`, `https://nas.example.com:40000${rest}`);
});

test("redirect: without a path, to the root", async () => {
	await leads("/nas", "https://nas.example.com:40000/");
	await leads("/nas?x=1", "https://nas.example.com:40000/?x=1");
	await leads("/nas?x?y", "https://nas.example.com:40000/?x?y");
	await leads("/nas?key=office", "https://nas.example.com:50000/");
});

test("redirect: ?key= selects the entry and is not passed on", async () => {
	const cases = [
		["key=office", ""],
		["key=office&", "?"],
		["key=office&x=1", "?x=1"],
		["x=1&key=office", "?x=1"],
		["x=%41+&key=office&y=%2F&x", "?x=%41+&y=%2F&x"],
		["&&key=office&&", "?&&&"],
		["key=office&key=home", ""],
		["k%65y=office", ""],
		["key=%6fffice&x=key", "?x=key"],
	];

	for (const [query, left] of cases)
		await leads(`/nas/p?${query}`, `https://nas.example.com:50000/p${left}`);
	// Named after nothing, it is the default entry.
	for (const query of ["key", "key=", "x&key", "key=home"])
		await leads(`/nas/p?${query}`, `https://nas.example.com:40000/p${query.startsWith("x") ? "?x" : ""}`);
});

test("redirect: HEAD is answered like GET, without a body", async () => {
	const answer = await world.send("redirect", "HEAD", "/nas/a?x=1");

	assert.equal(answer.status, 302);
	assert.equal(answer.headers.location, "https://nas.example.com:40000/a?x=1");
	for (const [target, status] of [["/", 200], ["/a.b", 404], ["/nas/?key=none", 503], ["/probe", 405]])
		assert.equal((await world.send("redirect", "HEAD", target)).status, status, target);
});

test("redirect: an entry that is not there, or is none, is 503 and never a redirect", async () => {
	const kv = await world.kv("redirect");
	const values = ["", " ", "null", "undefined", "NaN", "0", "65536", "-1", "1.5", "080", "40000x", "4e4", "{}", "[]",
		"[40000]", '"40000"', "true", '{"port":null}', '{"port":"null"}', '{"port":0}', '{"port":"80@evil.com"}',
		'{"port":[80]}', '{"address":"203.0.113.7"}', '{"port":40000', "203.0.113.7:40000", "40000@evil.com", "\0"];

	for (const value of values) {
		await kv.put("odd", value);
		const answer = await world.get("redirect", "/nas/?key=odd");
		assert.equal(answer.status, 503, JSON.stringify(value));
		assert.match(answer.headers["retry-after"], /^[1-9][0-9]*$/);
		assert.equal(answer.body, "No port is known yet.\n");
	}
	await kv.delete("odd");
	for (const key of ["odd", "none", "HOME", "home%00", "home%20", "a%20b", "a+b", "..", ".", "%2e%2e", "%", "%ff", "%C3%BC",
		"home/", "k".repeat(600), "__proto__", "constructor"])
		assert.equal((await world.get("redirect", `/nas/?key=${key}`)).status, 503, key);
});

test("redirect: values as other writers leave them", async () => {
	const kv = await world.kv("redirect");
	const values = [["40001", 40001], [" 40002\n", 40002], ['{"port":"40003"}', 40003],
		['{"port":40004,"address":"no","updated":"never","x":1}', 40004], ['{"port":1}', 1], ["65535", 65535]];

	for (const [value, port] of values) {
		await kv.put("other", value);
		assert.equal((await world.get("redirect", "/nas/?key=other")).headers.location,
			`https://nas.example.com:${port}/`, value);
	}
});

test("redirect: service names are labels of a host name", async () => {
	for (const name of ["a", "A", "0", "nas", "my-nas-2", "a--b", "xn--mller-kva", "a".repeat(63)])
		await leads(`/${name}/x`, `https://${name}.example.com:40000/x`);
});

test("redirect: any other name is 404, and leads nowhere", async () => {
	const names = ["-a", "a-", "-", "a".repeat(64), "a_b", "a.b", "evil.com", "evil.com.", "nas.", "a@b", "@evil.com",
		"user:pass@evil.com", "a:80", "a%2eb", "%6eas", "nas%00", "nas%0d%0aX:y", "nas%2f", "..%2f", "%2e%2e%2f", "..%5c",
		"nas\\", "nas\\@evil.com", "\\\\evil.com", "nä", "n\u0430s", "ｎas", "nas。", "n%C3%A4", "nas;x", "nas,x", "nas+x",
		"[::1]", "127.0.0.1", "favicon.ico", "robots.txt", "*", "nas<b>", "$nas", "nas&x", "a".repeat(15000)];

	for (const name of names) {
		for (const target of [`/${name}`, `/${name}/`, `/${name}/x?key=home`]) {
			const answer = await world.get("redirect", target);
			assert.equal(answer.status, 404, target.slice(0, 80));
			assert.equal(answer.body, "There is no such service.\n");
		}
	}
	for (const target of ["//", "//evil.com", "//evil.com/x", "///evil.com", "/\\evil.com", "//nas/", "/.%2fnas/"])
		assert.equal((await world.get("redirect", target)).status, 404, target);
});

test("redirect: dots in a path do not lead out of it", async () => {
	// workerd has resolved the first two before this worker sees them.
	for (const target of ["/nas/../evil.com/", "/../evil.com", "/..%2fevil.com/", "/nas/%2e%2e/%2e%2e//evil.com"]) {
		const { status, headers } = await world.get("redirect", target);
		assert.ok(status === 404 || new URL(headers.location).host === "nas.example.com:40000", target);
	}
});

test("redirect: bare UTF-8 goes on encoded", async () => {
	const wire = (text) => Buffer.from(text).toString("latin1");

	assert.equal(wire("ü").length, 2);
	await leads("/nas/ü?ö=漢", "https://nas.example.com:40000/%C3%BC?%C3%B6=%E6%BC%A2");
});

test("redirect: a very long path goes through whole", async () => {
	const rest = `/${"a".repeat(6000)}/${"%20".repeat(1000)}?${"x=1&".repeat(1000)}y`;

	await leads(`/nas${rest}`, `https://nas.example.com:40000${rest}`);
});

test("redirect: no host name longer than one may be", async () => {
	assert.equal(DEEP.length, 235);
	assert.equal((await world.get("deep", `/${"a".repeat(17)}/`)).headers.location,
		`https://${"a".repeat(17)}.${DEEP}:443/`);
	assert.equal((await world.get("deep", `/${"a".repeat(18)}/`)).status, 404);
});

test("redirect: any other method is 405 for a service, 404 for none", async () => {
	for (const method of ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"]) {
		for (const target of ["/", "/nas", "/nas/x?y", "/update-port/", "/probe/x"]) {
			const answer = await world.send("redirect", method, target, { body: "{}" });
			assert.equal(answer.status, 405, `${method} ${target}`);
			assert.equal(answer.headers.allow, "GET, HEAD");
		}
		assert.equal((await world.send("redirect", method, "/a.b/", { body: "{}" })).status, 404);
	}
});

world.stop();
