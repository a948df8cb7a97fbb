// SPDX-License-Identifier: GPL-2.0-or-later
//
// The Worker in workerd, and a client that sends bytes as they are.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import net from "node:net";
import { test } from "node:test";

import { Log, LogLevel, Miniflare, worker } from "./modules.mjs";

export const TOKEN = "canary-6b1f0c53-token";

// What a test has opened, to be closed when it ends, however it ends.
const opened = [];

const toml = readFileSync(`${worker}/wrangler.toml`, "utf8");

// The value of the only line `name = "..."` of wrangler.toml.
export function setting(name) {
	const found = [...toml.matchAll(new RegExp(`^${name} = "(.*)"$`, "gm"))];

	assert.equal(found.length, 1, `wrangler.toml has ${name} ${found.length} times`);
	return found[0][1];
}

export const FULL = {
	bindings: {
		UPDATE_TOKEN: TOKEN,
		TARGET_DOMAIN: setting("TARGET_DOMAIN"),
		DEFAULT_KEY: setting("DEFAULT_KEY"),
		PROBE_SECONDS: setting("PROBE_SECONDS"),
	},
	kvNamespaces: [setting("binding")],
};

// A worker as wrangler.toml has it, but for `changes` to its bindings (undefined takes one away).
export function like({ name, bindings = {}, ...rest }) {
	return {
		name,
		modules: true,
		modulesRules: [{ type: "ESModule", include: ["**/*.js"] }],
		modulesRoot: worker,
		rootPath: worker,
		scriptPath: `${worker}/${setting("main")}`,
		compatibilityDate: setting("compatibility_date"),
		...FULL,
		// Entries of its own.
		kvNamespaces: { REDIRECT_CONFIG: name },
		...rest,
		bindings: Object.fromEntries(
			Object.entries({ ...FULL.bindings, ...bindings }).filter(([, value]) => value !== undefined)),
		unsafeDirectSockets: [{ host: "127.0.0.1", port: 0 }],
	};
}

// null: there is more to come.
function unchunk(body) {
	let text = "";

	for (;;) {
		const end = body.indexOf("\r\n");
		const size = parseInt(body.slice(0, end), 16);

		if (!(size >= 0))
			return null;
		if (size === 0)
			return body.endsWith("\r\n\r\n") ? text : null;
		text += body.slice(end + 2, end + 2 + size);
		body = body.slice(end + 2 + size + 2);
	}
}

// The answer, or null as long as it is not whole. (workerd keeps a connection open that asked to be closed.)
function parse(method, text) {
	const end = text.indexOf("\r\n\r\n");
	if (end < 0)
		return null;
	const [first, ...lines] = text.slice(0, end).split("\r\n");
	const headers = {};

	for (const line of lines) {
		const [, name, value] = /^([^:]+): ?(.*)$/s.exec(line);
		assert.ok(!(name.toLowerCase() in headers), `twice: ${name}`);
		headers[name.toLowerCase()] = value;
	}
	const rest = text.slice(end + 4);
	let body = "";
	if (method === "HEAD")
		body = rest;
	else if (headers["transfer-encoding"] === "chunked")
		body = unchunk(rest);
	else if (rest.length >= Number(headers["content-length"]))
		body = rest;
	else
		body = null;
	return body === null ? null : {
		status: Number(/^HTTP\/1\.1 (\d{3}) /.exec(first)[1]),
		headers,
		body,
		head: text.slice(0, end),
	};
}

// All workers of a file of tests in one workerd, started when first asked. It keeps what workerd logs.
export class World {
	constructor(...workers) {
		this.workers = workers;
		this.log = "";
		this.heard = () => {};
		this.silent = [];
	}

	get mf() {
		this.started ??= new Miniflare({
			workers: this.workers,
			cf: false,
			log: new Log(LogLevel.NONE),
			handleRuntimeStdio: (stdout, stderr) => {
				for (const stream of [stdout, stderr]) {
					stream.on("data", (data) => {
						this.log += data;
						this.heard();
					});
					this.silent.push(once(stream, "close"));
				}
			},
		});
		return this.started;
	}

	// A test that finds no entries in that worker's KV.
	test(name, title, body) {
		test(title, { timeout: 30_000 }, async () => {
			await this.clear(name);
			try {
				await body();
			} finally {
				await Promise.all(opened.splice(0).map((close) => close()));
			}
		});
	}

	// What is logged comes by another way than the answer, and may come after it.
	async logged(pattern) {
		await new Promise((resolve) => {
			this.heard = () => pattern.test(this.log) && resolve();
			this.heard();
		});
		this.heard = () => {};
	}

	// The last test of a file.
	stop() {
		test(`${this.workers[0].name}: the worker has not logged the token`, { timeout: 30_000 }, async () => {
			await this.started?.dispose();
			await Promise.all(this.silent);
			assert.ok(!this.log.includes(TOKEN));
		});
	}

	async kv(name) {
		return this.mf.getKVNamespace("REDIRECT_CONFIG", name);
	}

	// Every entry, as it is stored.
	async entries(name) {
		const kv = await this.kv(name);
		const { keys } = await kv.list();

		return Object.fromEntries(await Promise.all(keys.map(async (key) => [key.name, await kv.get(key.name)])));
	}

	async clear(name) {
		const kv = await this.kv(name);

		await Promise.all((await kv.list()).keys.map((key) => kv.delete(key.name)));
	}

	// Sends METHOD TARGET as it stands, not as a URL, and the body: a string, bytes, or chunks. Where `length` is
	// declared and more than that, the rest of it never comes.
	async send(name, method, target, { headers = {}, body, length } = {}) {
		const url = await this.mf.unsafeGetDirectURL(name);
		const lines = [`${method} ${target} HTTP/1.1`, "Host: go.example.com"];
		const chunks = Array.isArray(body) ? body : null;

		for (const [field, value] of Object.entries(headers))
			lines.push(`${field}: ${value}`);
		if (chunks !== null)
			lines.push("Transfer-Encoding: chunked");
		else if (body !== undefined)
			lines.push(`Content-Length: ${length ?? Buffer.byteLength(body)}`);

		const socket = net.connect(Number(url.port), url.hostname);
		socket.write(`${lines.join("\r\n")}\r\n\r\n`);
		if (chunks === null && body !== undefined)
			socket.write(body);
		for (const chunk of chunks ?? [])
			socket.write(`${Buffer.byteLength(chunk).toString(16)}\r\n${chunk}\r\n`);
		if (chunks !== null)
			socket.write("0\r\n\r\n");
		let received = "";
		let answer = null;
		for await (const data of socket.setEncoding("latin1")) {
			received += data;
			answer = parse(method, received);
			if (answer !== null)
				break;
		}
		assert.ok(answer !== null, `no whole answer to ${method} ${target.slice(0, 80)}: ${received.slice(0, 200)}`);
		return checked(method, answer);
	}

	get(name, target, headers) {
		return this.send(name, "GET", target, { headers });
	}

	// A POST with the token. What is no body yet is sent as JSON.
	post(name, target, body, headers) {
		const ready = typeof body === "string" || Buffer.isBuffer(body) || Array.isArray(body);

		return this.send(name, "POST", target, {
			headers: { Authorization: `Bearer ${TOKEN}`, ...headers },
			body: ready ? body : JSON.stringify(body),
		});
	}
}

// What holds for every answer there is.
function checked(method, answer) {
	const { headers } = answer;

	assert.ok(!`${answer.head}\n${answer.body}`.includes(TOKEN), "the token is in an answer");
	assert.equal(headers["cache-control"], "no-store");
	assert.equal(headers["x-content-type-options"], "nosniff");
	assert.equal(headers["referrer-policy"], "no-referrer");
	assert.match(headers["content-security-policy"], /default-src 'none'.*frame-ancestors 'none'/);
	assert.ok(!("access-control-allow-origin" in headers));
	if (method === "HEAD")
		assert.equal(answer.body, "");
	if (answer.status >= 400) {
		assert.equal(headers["content-type"], "text/plain; charset=utf-8");
		assert.ok(!("location" in headers));
		if (method !== "HEAD")
			assert.match(answer.body, /^[A-Za-z][^<>]+\.\n$/);
	}
	return answer;
}

// A TCP server on a port of its own until the test ends: { port, connections, close }.
export async function listener(host = "127.0.0.1") {
	const server = net.createServer((socket) => {
		result.connections++;
		result.arrived();
		socket.on("error", () => {});
		socket.resume();
	});
	const result = {
		connections: 0,
		arrived: () => {},
		close: () => server.close(),
		// Resolves when there have been that many: a handshake is over before the server knows of it.
		count: (number) => new Promise((resolve) => {
			result.arrived = () => result.connections >= number && resolve(result.connections);
			result.arrived();
		}),
	};

	server.listen(0, host);
	await once(server, "listening");
	opened.push(result.close);
	result.port = server.address().port;
	return result;
}

// A port where the kernel lets the handshake hang until the test ends: the queue of a process that takes nothing
// is full.
export async function hanging() {
	const child = spawn("python3", ["-c", `
import socket, sys
server = socket.socket()
server.bind(("127.0.0.1", 0))
server.listen(0)
queue = socket.socket()
queue.connect(server.getsockname())
print(server.getsockname()[1], flush=True)
sys.stdin.read()
`], { stdio: ["pipe", "pipe", "inherit"] });

	opened.push(async () => {
		child.stdin.end();
		await once(child, "exit");
	});
	const [line] = await once(child.stdout, "data");
	return Number(line);
}
