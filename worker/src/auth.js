// SPDX-License-Identifier: GPL-2.0-or-later

import { words } from "./http.js";

const CREDENTIALS = /^Bearer +([^ ].*)$/i;	// RFC 6750, 2.1; the scheme's case: RFC 9110, 11.1

async function digest(text) {
	return crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
}

// null if the request carries the token, otherwise the answer to give. The digests are compared, which are of
// one length whatever was sent, and in a time that does not depend on where they differ.
export async function refused(request, token) {
	const given = CREDENTIALS.exec(request.headers.get("Authorization") ?? "");

	if (given === null)
		return words(401, "The token is missing: Authorization: Bearer TOKEN.", {
			"WWW-Authenticate": 'Bearer realm="pinhold"',
		});
	if (!crypto.subtle.timingSafeEqual(await digest(given[1]), await digest(token)))
		return words(401, "The token is wrong.", {
			"WWW-Authenticate": 'Bearer realm="pinhold", error="invalid_token"',
		});
	return null;
}
