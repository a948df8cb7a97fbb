/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What the daemon and pinhold-publish say to each other. One process delivers one event to one
 * receiver, once; when to try again is the daemon's business.
 *
 * It is started without arguments and needs no environment. Standard input is one JSON object, at
 * most PH_PUBLISH_INPUT_MAX octets, and then the end of file:
 *
 *   {"publisher": {"name": "worker", "type": "webhook",
 *                  "settings": [["url", "https://..."], ["header", "A: B"], ...]},
 *    "event": {"event": "up" | "change" | "down", "mapping": "web",
 *              "protocol": "tcp" | "udp", "family": "ipv4" | "ipv6", "interface": "wan",
 *              "public_address": "203.0.113.7", "public_port": 32451,
 *              "public_endpoint": "203.0.113.7:32451", "ip4p": "2001::7ec3:cb00:7107" | "",
 *              "previous_address": "" | "...", "previous_port": 0,
 *              "private_address": "100.64.0.2", "private_port": 8443,
 *              "target": "192.168.10.50:443"},
 *    "limits": {"connect_ms": 10000, "total_ms": 30000},
 *    "parent": PID}
 *
 * `parent` may be missing. It is the process that asks: when that ends, or is not our parent any
 * more, this one ends at once, so that nobody hears old news from one that was left behind.
 *
 * `settings` are the lines of [publish NAME] without `type`, in the file's order, values as they
 * stand there: variables not replaced, files not read. ph_publish_check() has looked at them.
 * `limits` and each of its members may be missing; they are from 1 to PH_PUBLISH_LIMIT_MAX_MS.
 * total_ms is for everything that is asked of the receiver together; a daemon that ends the process
 * from outside allows some seconds more. At `down` the public endpoint is the one that was lost; it
 * may be "" and 0. Unknown members of `event` are ignored.
 *
 * Standard output is one line of JSON:
 *
 *   {"result": "ok" | "unchanged" | "failed", "text": "for people, printable ASCII, one line",
 *    "retry": true | false, "retry_after": SECONDS | null}
 *
 * `unchanged`: the receiver had the endpoint already, or does not want this event. `retry` is true
 * only if failed: the same may work later, not before retry_after seconds if that is a number. With
 * false it does not help to say the same again until endpoint or configuration have changed. No
 * secret that came from a file is ever in `text`. Standard error stays empty but for a crash.
 *
 * The exit status says the same to whoever has lost the line; any other, or a signal, is a failure
 * to be tried again.
 */
#define PH_PUBLISH_OK      0 /* ok or unchanged */
#define PH_PUBLISH_RETRY   1
#define PH_PUBLISH_GIVE_UP 2

#define PH_PUBLISH_INPUT_MAX  65536 /* octets */
#define PH_PUBLISH_TEXT_MAX   1024  /* octets of `text`, with NUL */
#define PH_PUBLISH_OUTPUT_MAX 4096  /* octets of the line, with its end */

#define PH_PUBLISH_CONNECT_MS   10000
#define PH_PUBLISH_TOTAL_MS     30000
#define PH_PUBLISH_LIMIT_MAX_MS 600000

#define PH_PUBLISH_PROGRAM "pinhold-publish"

/*
 * The types, as X(ID, STEM, NAME, DOWN). A new one is a row here, STEM_publish() in a file of
 * src/publish/, and STEM_keys in core/config_publish.c, which says what its settings look like.
 * DOWN: it can be told that there is no endpoint any more; to the others that is no news.
 */
/* clang-format off */
#define PH_PUBLISH_TYPES(X)                                        \
	X(WEBHOOK,        webhook,        "webhook",        true)  \
	X(CLOUDFLARE_DNS, cloudflare_dns, "cloudflare-dns", false) \
	X(CLOUDFLARE_KV,  cloudflare_kv,  "cloudflare-kv",  false) \
	X(QBITTORRENT,    qbittorrent,    "qbittorrent",    false) \
	X(TRANSMISSION,   transmission,   "transmission",   false)
/* clang-format on */

#define PH_PUBLISH_ENUM(ID, STEM, NAME, DOWN) PH_PUBLISH_##ID,
enum ph_publish_type { PH_PUBLISH_TYPES(PH_PUBLISH_ENUM) };
#undef PH_PUBLISH_ENUM

/* As in the file: "webhook". */
const char *ph_publish_type_name(enum ph_publish_type type);
