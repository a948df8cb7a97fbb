// SPDX-License-Identifier: GPL-2.0-or-later

import assert from "node:assert/strict";

import { TOKEN, World, like } from "./harness.mjs";
import { worker } from "./modules.mjs";

// The real one, with a KV that fails, or that tells what is compared.
const wrapper = (inside) => ({
	modulesRoot: "/",
	scriptPath: undefined,
	modules: [
		{ type: "ESModule", path: "/wrapper.js", contents: `
			import worker from ".${worker}/src/index.js";
			export default { async fetch(request, env) { ${inside} } };` },
		...["index", "auth", "config", "entry", "http", "probe", "redirect", "status", "update"].map(
			(name) => ({ type: "ESModule", path: `${worker}/src/${name}.js` })),
	],
});

const world = new World(
	like({ name: "update" }),
	like({ name: "failing", ...wrapper(`
		const fail = async () => { throw new Error("KV PUT failed: 429 Too Many Requests"); };
		return worker.fetch(request, { ...env, REDIRECT_CONFIG: { get: fail, put: fail, list: fail } });`) }),
	like({ name: "throwing", ...wrapper(`
		const fail = async () => { throw undefined; };
		return worker.fetch(request, { ...env, REDIRECT_CONFIG: { get: fail } });`) }),
	like({ name: "comparing", ...wrapper(`
		const compare = crypto.subtle.timingSafeEqual.bind(crypto.subtle);
		const sizes = [];
		crypto.subtle.timingSafeEqual = (a, b) => { sizes.push([a.byteLength, b.byteLength]); return compare(a, b); };
		const response = await worker.fetch(request, env);
		crypto.subtle.timingSafeEqual = compare;
		response.headers.set("Compared", JSON.stringify(sizes));
		return response;`) }),
);

const test = (title, body) => world.test("update", title, body);

const post = (body, headers) => world.post("update", "/update-port", body, headers);

async function stored() {
	return Object.fromEntries(Object.entries(await world.entries("update"))
		.map(([key, value]) => [key, JSON.parse(value)]));
}

test("update: what scripts in use send is stored, and a redirect leads there", async () => {
	const before = new Date().toISOString();
	// curl -d declares a form.
	const answer = await post('{"port":"40000","key":"home"}', {
		"Content-Type": "application/x-www-form-urlencoded",
	});
	assert.equal(answer.status, 200);
	assert.equal(answer.headers["content-type"], "application/json");

	const { home, ...others } = await stored();
	assert.deepEqual(others, {});
	assert.equal(home.port, 40000);
	assert.ok(!("address" in home));
	assert.ok(before <= home.updated && home.updated <= new Date().toISOString());
	assert.deepEqual(JSON.parse(answer.body), { key: "home", port: 40000, updated: home.updated });
	assert.equal((await world.get("update", "/nas/?key=home")).headers.location, "https://nas.example.com:40000/");
});

test("update: port as a number or as digits, from 1 to 65535", async () => {
	for (const [given, port] of [[1, 1], [65535, 65535], ["1", 1], ["65535", 65535]]) {
		assert.equal((await post({ port: given })).status, 200);
		assert.equal((await stored()).home.port, port);
	}
	// JSON knows one kind of number; this is the integer 1000.
	assert.equal((await post('{"port":1e3}')).status, 200);
	assert.equal((await stored()).home.port, 1000);
});

test("update: without a key, the default entry; with one, that entry and no other", async () => {
	await post({ port: 1000 });
	await post({ port: 2000, key: "Office_2.x-y" });
	await post({ port: 3000, key: "k".repeat(64) });
	const entries = await stored();

	assert.deepEqual(Object.fromEntries(Object.entries(entries).map(([key, { port }]) => [key, port])),
		{ home: 1000, "Office_2.x-y": 2000, ["k".repeat(64)]: 3000 });
});

test("update: an address is stored, and the next update without one takes it away", async () => {
	for (const address of ["203.0.113.7", "0.0.0.0", "255.255.255.255", "2001:db8::7", "::ffff:192.0.2.1"]) {
		const answer = await post({ port: 40000, address });
		assert.equal(answer.status, 200, address);
		assert.equal(JSON.parse(answer.body).address, address);
		assert.equal((await stored()).home.address, address);
	}
	await post({ port: 40000 });
	assert.ok(!("address" in (await stored()).home));
});

test("update: the newest is what counts, and the same again is no mistake", async () => {
	for (const port of [40000, 40001, 40001, 40000]) {
		assert.equal((await post({ port })).status, 200);
		assert.equal((await stored()).home.port, port);
	}
});

const BAD_PORTS = ["0", "65536", "-1", "1.5", "-0", "1e9", "1e400", "null", "true", "false", "[]", "[80]", "{}",
	'{"port":80}', '""', '"0"', '"65536"', '"080"', '" 80"', '"80 "', '"80\\n"', '"+80"', '"-80"', '"8e1"', '"1e3"',
	'"80.0"', '"0x50"', '"80a"', '"null"', '"undefined"', '"NaN"', '"٨٠"', '"８０"', '"100000"', '"000080"', '"8\\u0000"',
	'"80:80"', '"80@evil.com"', '"80/"'];

test("update: any other port is 400 in words, and nothing is stored", async () => {
	for (const port of BAD_PORTS) {
		const answer = await post(`{"port":${port},"key":"home"}`);
		assert.equal(answer.status, 400, port);
		assert.match(answer.body, /^port is not an integer|^The body/i, port);
		assert.match(answer.body, /port is not an integer from 1 to 65535/i, port);
	}
	for (const body of ['{"key":"home"}', "{}", '{"Port":80}', '{"__proto__":{"port":80}}'])
		assert.equal((await post(body)).status, 400, body);
	assert.deepEqual(await stored(), {});
});

test("update: what is no JSON object is 400 in words, and nothing is stored", async () => {
	const bodies = ["", " ", "port=40000", "40000", '"40000"', "null", "true", "[]", '[{"port":40000}]',
		'{"port":40000', '{"port":40000}}', '{"port":40000,}', "{'port':40000}", '{"port":NaN}', '{"port":0x50}',
		'{"port":080}', '\ufeff{"port":40000}x', '{"port":40000}\0'];

	for (const body of bodies) {
		const answer = await post(body);
		assert.equal(answer.status, 400, body);
		assert.match(answer.body, /^The body is not (JSON|a JSON object)\.\n$/, body);
	}
	assert.deepEqual(await stored(), {});
});

test("update: a key or an address that is none is 400, and nothing is stored", async () => {
	const keys = ['""', "null", "1", "[]", "{}", '"."', '".."', '".x"', '"a b"', '"a/b"', '"a\\u0000"', '"a\\n"',
		'"ä"', '"<b>"', '"a?"', `"${"k".repeat(65)}"`];
	const addresses = ['""', "null", "1", "[]", "{}", '"evil.com"', '"localhost"', '"1.2.3"', '"1.2.3.4.5"',
		'"256.1.1.1"', '"01.2.3.4"', '"1.2.3.4:80"', '"[::1]"', '"::g"', '":"', '":::"', '"1::2::3"', '"fe80::1%eth0"',
		'"::1]:80/["', '" 1.2.3.4"', '"1.2.3.4\\n"', '"0x7f.1"'];

	for (const key of keys) {
		const answer = await post(`{"port":40000,"key":${key}}`);
		assert.equal(answer.status, 400, key);
		assert.match(answer.body, /^key is not/i, key);
	}
	for (const address of addresses) {
		const answer = await post(`{"port":40000,"address":${address}}`);
		assert.equal(answer.status, 400, address);
		assert.match(answer.body, /^address is not/i, address);
	}
	assert.deepEqual(await stored(), {});
});

test("update: 4096 bytes are read and no more", async () => {
	const padded = (size) => `{"port":40000,"x":"${"x".repeat(size - 21)}"}`;

	assert.equal(padded(4096).length, 4096);
	assert.equal((await post(padded(4096))).status, 200);
	await world.clear("update");
	for (const [body, length] of [[padded(4097)], [[padded(4096), " "]], [padded(5000), 1_000_000_000]]) {
		const answer = await world.send("update", "POST", "/update-port", {
			headers: { Authorization: `Bearer ${TOKEN}` }, body, length,
		});
		assert.equal(answer.status, 413);
		assert.match(answer.body, /larger than 4096 bytes/);
	}
	assert.deepEqual(await stored(), {});
	assert.equal((await post([...padded(4096)])).status, 200);
});

test("update: a body that is no UTF-8 is 400", async () => {
	const answer = await post(Buffer.from('{"port":40000,"x":"\xe4"}', "latin1"));

	assert.equal(answer.status, 400);
	assert.equal(answer.body, "The body is not JSON.\n");
	assert.deepEqual(await stored(), {});
});

const WRONG_TOKENS = [undefined, "", "Bearer", "Bearer ", `Basic ${btoa(`x:${TOKEN}`)}`, TOKEN, `Token ${TOKEN}`,
	`Bearer ${TOKEN.slice(0, -1)}`, `Bearer ${TOKEN.slice(1)}`, `Bearer ${TOKEN}x`, `Bearer x${TOKEN}`,
	`Bearer ${TOKEN.toUpperCase()}`, `Bearer ${TOKEN} ${TOKEN}`, `Bearer ${TOKEN}, Bearer ${TOKEN}`,
	`Bearer\t${TOKEN}`, `Bearer${TOKEN}`, "Bearer undefined", "Bearer null", "Bearer ä", `Bearer ${"x".repeat(8000)}`];

test("update, probe: 401 for any other token, and nothing happens", async () => {
	for (const path of ["/update-port", "/probe"]) {
		for (const given of WRONG_TOKENS) {
			const answer = await world.send("update", "POST", path, {
				headers: given === undefined ? {} : { Authorization: given },
				body: '{"port":40000}',
			}).catch((error) => assert.fail(`${given}: ${error.message}`));
			assert.equal(answer.status, 401, given);
			assert.match(answer.headers["www-authenticate"], /^Bearer realm="pinhold"/);
		}
		for (const headers of [{ Cookie: TOKEN }, { "X-Token": TOKEN }, { Authentication: `Bearer ${TOKEN}` }])
			assert.equal((await world.send("update", "POST", path, { headers, body: "{}" })).status, 401);
	}
	// Not even whether the body is well made is told to a stranger.
	assert.equal((await world.send("update", "POST", "/update-port", { body: "x".repeat(9999) })).status, 401);
	assert.equal((await world.send("update", "POST", `/update-port?token=${TOKEN}`, { body: "{}" })).status, 401);
	assert.deepEqual(await stored(), {});
});

test("update: the scheme may be written in any case", async () => {
	for (const scheme of ["bearer", "BEARER", "Bearer "])
		assert.equal((await post({ port: 40000 }, { Authorization: `${scheme} ${TOKEN}` })).status, 200);
});

test("update: tokens are compared as digests of one length, in constant time", async () => {
	for (const [token, status] of [["x", 401], [TOKEN.slice(0, -1), 401], ["x".repeat(5000), 401], [TOKEN, 200]]) {
		const answer = await world.post("comparing", "/update-port", { port: 40000 },
			{ Authorization: `Bearer ${token}` });
		assert.equal(answer.status, status);
		assert.equal(answer.headers.compared, "[[32,32]]");
	}
});

test("update, probe: any other method is 405 and says which is right", async () => {
	for (const path of ["/update-port", "/probe", "/update-port?x=1"]) {
		for (const method of ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"]) {
			const answer = await world.send("update", method, path, {
				headers: { Authorization: `Bearer ${TOKEN}` },
				...(method !== "GET" && method !== "HEAD" && { body: '{"port":40000}' }),
			});
			assert.equal(answer.status, 405, `${method} ${path}`);
			assert.equal(answer.headers.allow, "POST");
		}
	}
	assert.deepEqual(await stored(), {});
});

test("what nobody has foreseen is 500, and tells strangers nothing", async () => {
	const { status, body } = await world.get("throwing", "/nas/");

	assert.equal(status, 500);
	assert.equal(body, "The worker has failed.\n");
	await world.logged(/TypeError/);
});

test("KV fails: 503, to be tried again, and no word of KV's own", async () => {
	const answers = [
		await world.post("failing", "/update-port", { port: 40000 }),
		await world.post("failing", "/probe", {}),
		await world.get("failing", "/nas/"),
		await world.get("failing", "/"),
		await world.get("failing", "/", { Authorization: `Bearer ${TOKEN}` }),
	];

	for (const { status, headers, body } of answers) {
		assert.equal(status, 503);
		assert.match(headers["retry-after"], /^[1-9][0-9]*$/);
		assert.doesNotMatch(body, /KV|429/);
	}
	await world.logged(/429 Too Many Requests/);
});

world.stop();
