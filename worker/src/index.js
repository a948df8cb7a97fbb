// SPDX-License-Identifier: GPL-2.0-or-later
//
// The fixed entry. Which path belongs to which file:
//
//	/                       status.js     GET, HEAD
//	/update-port            update.js     POST, with the token
//	/probe                  probe.js      POST, with the token
//	/SERVICE, /SERVICE/...  redirect.js   GET, HEAD

import { configuration, ConfigurationError } from "./config.js";
import { isLabel } from "./entry.js";
import { dress, split, words, wrongMethod } from "./http.js";
import { probe } from "./probe.js";
import { redirect } from "./redirect.js";
import { status } from "./status.js";
import { update } from "./update.js";

const READ = ["GET", "HEAD"];
const WRITE = ["POST"];

// [handler, methods], or null where nothing is.
function route(path) {
	switch (path) {
	case "/":
		return [status, READ];
	case "/update-port":
		return [update, WRITE];
	case "/probe":
		return [probe, WRITE];
	default:
		return isLabel(path.split("/", 2)[1]) ? [redirect, READ] : null;
	}
}

async function answer(request, env) {
	const config = configuration(env);
	const { path, query } = split(request.url);
	const found = route(path);

	if (found === null)
		return words(404, "There is no such service.");
	const [handler, methods] = found;
	if (!methods.includes(request.method))
		return wrongMethod(methods);
	return handler(request, config, path, query);
}

export default {
	async fetch(request, env) {
		let response;

		try {
			response = await answer(request, env);
		} catch (error) {
			// What a mistake's own message says may be anything, so a stranger gets none of it.
			if (error instanceof ConfigurationError)
				response = words(500, error.message);
			else
				response = words(500, "The worker has failed.");
			console.error(error instanceof ConfigurationError ? error.message : error.stack);
		}
		return dress(response, request.method);
	},
};
