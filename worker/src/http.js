// SPDX-License-Identifier: GPL-2.0-or-later
//
// Requests taken apart, answers put together.

const BODY_MAX = 4096;

const HEADERS = {
	"Cache-Control": "no-store",
	"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none';"
		+ " form-action 'none'; frame-ancestors 'none'",
	"Referrer-Policy": "no-referrer",
	"X-Content-Type-Options": "nosniff",
	"X-Robots-Tag": "noindex",
};

// An answer in words, for people and for the log of whoever called.
export function words(status, text, headers = {}) {
	return new Response(`${text}\n`, {
		status,
		headers: { "Content-Type": "text/plain; charset=utf-8", ...headers },
	});
}

export function json(value) {
	return new Response(`${JSON.stringify(value)}\n`, { headers: { "Content-Type": "application/json" } });
}

export function wrongMethod(methods) {
	return words(405, `Here is only ${methods.join(" or ")}.`, { Allow: methods.join(", ") });
}

// What every answer has. The answer to HEAD has no body.
export function dress(response, method) {
	const dressed = new Response(method === "HEAD" ? null : response.body, response);

	for (const [name, value] of Object.entries(HEADERS))
		dressed.headers.set(name, value);
	return dressed;
}

// Path and query as they were sent. URL's own getters would encode anew what others have encoded.
// query is without its question mark, and null where there is none.
export function split(url) {
	const rest = url.replace(/^[a-z]+:\/\/[^/?#]*/i, "").replace(/#.*$/s, "");
	const mark = rest.indexOf("?");
	const path = mark < 0 ? rest : rest.slice(0, mark);

	return { path: path === "" ? "/" : path, query: mark < 0 ? null : rest.slice(mark + 1) };
}

async function readAtMost(stream, size) {
	const chunks = [];
	let length = 0;

	for await (const chunk of stream) {
		length += chunk.byteLength;
		if (length > size)
			return null;
		chunks.push(chunk);
	}
	return new Uint8Array(await new Blob(chunks).arrayBuffer());
}

// The object that the body holds; or a Response that says what is wrong with it. An empty body is `empty`.
//
// The type that is declared is not looked at: `curl -d`, which scripts use, declares a form.
export async function readObject(request, empty) {
	const bytes = request.body === null ? new Uint8Array() : await readAtMost(request.body, BODY_MAX);
	let value;

	if (bytes === null)
		return words(413, `The body is larger than ${BODY_MAX} bytes.`);
	if (bytes.length === 0 && empty !== undefined)
		return empty;
	try {
		value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
	} catch {
		return words(400, "The body is not JSON.");
	}
	if (typeof value !== "object" || value === null || Array.isArray(value))
		return words(400, "The body is not a JSON object.");
	return value;
}
