// SPDX-License-Identifier: GPL-2.0-or-later

import assert from "node:assert/strict";

import { World, hanging, like, listener } from "./harness.mjs";

const world = new World(
	like({ name: "probe", bindings: { TARGET_DOMAIN: "localhost" } }),
	like({ name: "impatient", bindings: { PROBE_SECONDS: "0.5" }, kvNamespaces: { REDIRECT_CONFIG: "probe" } }),
);

const test = (title, body) => world.test("probe", title, body);

async function store(key, value) {
	await (await world.kv("probe")).put(key, typeof value === "string" ? value : JSON.stringify(value));
}

async function probe(body = "", name = "probe") {
	const answer = await world.post(name, "/probe", body);

	assert.equal(answer.status, 200, answer.body);
	assert.equal(answer.headers["content-type"], "application/json");
	return JSON.parse(answer.body);
}

test("probe: an endpoint that answers is reachable, and it was really tried", async () => {
	const server = await listener();
	await store("home", { port: server.port, address: "127.0.0.1" });

	for (const body of ["", "{}", '{"key":"home"}']) {
		const seen = server.connections;
		const { ms, ...result } = await probe(body);
		assert.deepEqual(result, { key: "home", host: "127.0.0.1", port: server.port, reachable: true });
		assert.ok(Number.isInteger(ms) && ms >= 0 && ms < 5000, ms);
		assert.equal(await server.count(seen + 1), seen + 1);
	}
});

test("probe: IPv6", async () => {
	const server = await listener("::1");
	await store("six", { port: server.port, address: "::1" });
	const result = await probe({ key: "six" });

	assert.equal(result.reachable, true, result.reason);
	assert.equal(await server.count(1), 1);
});

test("probe: without an address, TARGET_DOMAIN's host", async () => {
	const server = await listener();
	await store("home", String(server.port));
	const result = await probe();

	assert.equal(result.host, "localhost");
	assert.equal(result.reachable, true, result.reason);
	assert.equal(await server.count(1), 1);
});

test("probe: an endpoint that refuses is not reachable, and why", async () => {
	const server = await listener();
	server.close();
	await store("home", { port: server.port, address: "127.0.0.1" });
	const { ms, reason, ...result } = await probe();

	assert.deepEqual(result, { key: "home", host: "127.0.0.1", port: server.port, reachable: false });
	assert.ok(ms < 5000, ms);
	assert.match(reason, /cannot connect/);
});

test("probe: an endpoint that says nothing is given up", async () => {
	const port = await hanging();
	await store("home", { port, address: "127.0.0.1" });
	const { ms, reason, reachable } = await probe("", "impatient");

	assert.equal(reachable, false);
	assert.equal(reason, "no answer within 0.5 s");
	assert.ok(ms >= 490 && ms < 5000, ms);
});

test("probe: the caller names an entry, and no destination", async () => {
	const [stored, decoy] = [await listener(), await listener("127.0.0.2")];
	const elsewhere = { address: "127.0.0.2", host: "127.0.0.2", hostname: "127.0.0.2", port: decoy.port };
	await store("home", { port: stored.port, address: "127.0.0.1" });

	const { host, port } = await probe(elsewhere);
	assert.deepEqual([host, port], ["127.0.0.1", stored.port]);
	assert.equal((await world.post("probe", "/probe", { ...elsewhere, key: "none" })).status, 503);
	assert.equal((await world.post("probe", `/probe?port=${decoy.port}&key=none`, "")).status, 200);
	assert.equal(await stored.count(2), 2);
	assert.equal(decoy.connections, 0);
	// Not even the one who can write to KV, but has no address to give, names a host.
	await store("home", { port: decoy.port, address: "ip6-localhost" });
	assert.equal((await probe()).host, "localhost");
});

test("probe: no port yet is 503, a key that is none 400", async () => {
	const answer = await world.post("probe", "/probe", "");
	assert.equal(answer.status, 503);
	assert.match(answer.headers["retry-after"], /^[1-9][0-9]*$/);
	assert.equal((await world.post("probe", "/probe", { key: "none" })).status, 503);

	for (const body of ['{"key":""}', '{"key":1}', '{"key":null}', '{"key":".."}', "x", "[]", "null"])
		assert.equal((await world.post("probe", "/probe", body)).status, 400, body);
	assert.equal((await world.post("probe", "/probe", " ".repeat(4097))).status, 413);
});

world.stop();
