/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * DNS records as Cloudflare's API has them: what one ought to be, which of those that are there is
 * meant, and what differs. No network.
 *
 * Meant is a record of the same name and type; of AAAA records only those that are IP4P, or those
 * that are not; of SRV records those of the same host. There may be others of a TXT record's name
 * that are nobody's business here, so a TXT record must have our comment, the text that is wanted
 * or the one of the endpoint before. Of several the one that is right already, else the one with
 * the endpoint before, else the one with our comment; or it is unclear, and none is touched.
 */

#include <jansson.h>
#include <stdint.h>

enum record_kind { RECORD_A, RECORD_AAAA, RECORD_IP4P, RECORD_HTTPS, RECORD_SRV, RECORD_TXT };

struct dns_record {
	enum record_kind kind;
	char name[256];
	char host[256];   /* of SRV: the service's */
	const char *text; /* of TXT: the template, or "" */
};

/* A `record` setting; ret_record points into it. 0, or -EINVAL. */
int dns_record_parse(const char *value, struct dns_record *ret_record);
const char *dns_record_type(const struct dns_record *record); /* the API's word for it */

struct dns_want {
	const struct dns_record *record;
	const char *content;  /* of A, AAAA, IP4P: the address; of TXT: the text */
	const char *previous; /* the same of the endpoint before, or "" */
	uint16_t port;        /* of HTTPS, SRV */
	uint32_t ttl;         /* s; 0: as it is, or the API's choice */
	const char *comment;  /* by which ours can be told */
};

enum dns_choice { DNS_NONE, DNS_ONE, DNS_UNCLEAR };

/* ret_record: one of the list's, no new reference; only with DNS_ONE. */
enum dns_choice dns_choose(const struct dns_want *want, const json_t *records,
			   const json_t **ret_record);

/* The body that creates it (a new reference); NULL: out of memory. */
json_t *dns_create(const struct dns_want *want);

enum dns_difference { DNS_SAME, DNS_DIFFERS, DNS_NO_MEMORY };

/* With DNS_DIFFERS the body that changes the record (a new reference): what must be named, and what
 * differs; all else stays. */
enum dns_difference dns_compare(const struct dns_want *want, const json_t *record,
				json_t **ret_body);
