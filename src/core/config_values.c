// SPDX-License-Identifier: GPL-2.0-or-later
/* Single values of a configuration: what the file and the command line may say, and why not. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_internal.h"

#define NO_TARGET   "is not ADDR:PORT, [IPV6]:PORT, :PORT or none (ADDR is numeric)"
#define NO_PORT     "has no port: write ADDR:PORT, or [IPV6]:PORT"
#define BARE_IPV6   "is an IPv6 address without brackets: write [ADDR]:PORT"
#define WRONG_PORT  "has a port that is neither 1 to 65535 nor the word `public`"
#define MASK_SPARE  3 /* bits of the mask besides the accept bit: loopback and two for uplinks */
#define LIMIT_MAX   1000000u
#define LIMIT_BURST 5 /* nft's own default */

static int digit(char c, uint32_t base)
{
	int value = -1;

	if (c >= '0' && c <= '9')
		value = c - '0';
	else if (c >= 'a' && c <= 'f')
		value = c - 'a' + 10;
	else if (c >= 'A' && c <= 'F')
		value = c - 'A' + 10;
	return value < (int)base ? value : -1;
}

int ph_number_parse(const char *text, uint32_t *ret_number)
{
	uint32_t base = 10;
	uint64_t n = 0;

	if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
		base = 16;
		text += 2;
	} else if (text[0] == '0' && text[1] != '\0') {
		return -EINVAL; /* is it octal? nobody knows */
	}
	if (*text == '\0')
		return -EINVAL;
	for (; *text; text++) {
		int value = digit(*text, base);

		if (value < 0)
			return -EINVAL;
		n = n * base + (uint64_t)value;
		if (n > UINT32_MAX)
			return -EINVAL;
	}
	*ret_number = (uint32_t)n;
	return 0;
}

int ph_duration_parse(const char *text, uint32_t *ret_ms)
{
	size_t n = strspn(text, "0123456789");
	uint64_t value = 0, unit;

	if (n == 0 || (text[n] != '\0' && text[n + 1] != '\0'))
		return -EINVAL;
	switch (text[n]) {
	case '\0':
	case 's':
		unit = 1000;
		break;
	case 'm':
		unit = 60000;
		break;
	case 'h':
		unit = 3600000;
		break;
	case 'd':
		unit = 86400000;
		break;
	default:
		return -EINVAL;
	}
	for (size_t i = 0; i < n; i++) {
		value = value * 10 + (uint64_t)(text[i] - '0');
		if (value * unit > UINT32_MAX)
			return -ERANGE;
	}
	*ret_ms = (uint32_t)(value * unit);
	return 0;
}

const char *ph_duration_format(uint32_t ms, char buf[static 16])
{
	uint32_t s = ms / 1000;

	if (s && s % 86400 == 0)
		snprintf(buf, 16, "%ud", s / 86400);
	else if (s && s % 3600 == 0)
		snprintf(buf, 16, "%uh", s / 3600);
	else if (s && s % 60 == 0)
		snprintf(buf, 16, "%um", s / 60);
	else
		snprintf(buf, 16, "%us", s);
	return buf;
}

const char *ph_mark_parse(const char *text, struct ph_plan_options *ret_plan)
{
	const char *slash = strchr(text, '/');
	uint32_t mark, mask;
	char bit[16];

	if (!slash || (size_t)(slash - text) >= sizeof(bit))
		return "is not BIT/MASK, such as 0x08000000/0x0f000000";
	memcpy(bit, text, (size_t)(slash - text));
	bit[slash - text] = '\0';
	if (ph_number_parse(bit, &mark) < 0 || ph_number_parse(slash + 1, &mask) < 0)
		return "is not BIT/MASK, such as 0x08000000/0x0f000000";
	if (__builtin_popcount(mark) != 1)
		return "does not have exactly one bit before the slash";
	if ((mark & mask) == 0)
		return "has a bit that its mask does not contain";
	if (__builtin_popcount(mask) < 1 + MASK_SPARE)
		return "has a mask of fewer than four bits; pinhold needs the one before the slash and three more, as in 0x08000000/0x0f000000";
	*ret_plan = (struct ph_plan_options){ .mark = mark, .mask = mask };
	return NULL;
}

int ph_bind_parse(const char *text, struct ph_mapping_config *ret_core)
{
	const char *mark = strpbrk(text, "-~");
	uint16_t first, last;
	char low[8] = "";

	if (!mark) {
		if (ph_port_parse(text, &first) < 0)
			return -EINVAL;
		last = first;
	} else {
		if ((size_t)(mark - text) >= sizeof(low))
			return -EINVAL;
		memcpy(low, text, (size_t)(mark - text));
		if (ph_port_parse(low, &first) < 0 || ph_port_parse(mark + 1, &last) < 0)
			return -EINVAL;
		if (first > last)
			return -ERANGE;
	}
	ret_core->bind_first = first;
	ret_core->bind_last = last;
	ret_core->bind_random = mark && *mark == '~';
	return 0;
}

const char *ph_target_refusal(const struct ph_address *address)
{
	static const uint8_t v4_mapped[12] = { [10] = 0xff, [11] = 0xff };
	const uint8_t *o = address->octets;
	size_t n = ph_family_octets(address->family);
	bool ipv4 = address->family == PH_IPV4, zero = true;

	for (size_t i = 0; i + 1 < n; i++)
		zero = zero && o[i] == 0;
	if (zero && o[n - 1] == 0)
		return "is no host's address";
	if (ipv4 ? o[0] >= 224 : o[0] == 0xff)
		return "is no single host's address";
	if (!ipv4 && o[0] == 0xfe && (o[1] & 0xc0) == 0x80)
		return "is a link-local address, which cannot be forwarded to";
	if (!ipv4 && memcmp(o, v4_mapped, sizeof(v4_mapped)) == 0)
		return "is an IPv4 address in IPv6's notation: make it an IPv4 mapping, and write the IPv4 address";
	/* 127.0.0.0/8 is reached with route_localnet, which IPv6 does not have. */
	if (!ipv4 && zero && o[15] == 1)
		return "is the loopback address, to which the kernel forwards nothing (in IPv6 there is no route_localnet): leave it out and give the port alone, :PORT (the service must listen on all addresses)";
	return NULL;
}

bool ph_target_loops(const struct ph_mapping_config *core, const char *interface)
{
	const struct ph_target *target = &core->target;
	struct ph_address own;

	return target->kind == PH_TARGET_ADDRESS && ph_address_parse(interface, &own) == 0 &&
	       ph_address_equal(&own, &target->address) && target->port >= core->bind_first &&
	       target->port <= core->bind_last;
}

bool ph_interface_name_valid(const char *text)
{
	if (*text == '\0' || strlen(text) > PH_INTERFACE_MAX || !strcmp(text, ".") ||
	    !strcmp(text, ".."))
		return false;
	for (const char *c = text; *c; c++)
		/* Others could stand in no table (plan_sort.c): nft's text has no way to write
		 * some, and an asterisk would make a wider rule of the name. */
		if (*c <= ' ' || *c > '~' || strchr("/:\"*\\", *c))
			return false;
	return true;
}

/* The part of a target that stands before the port, "" for this machine. */
static const char *target_address(const char *text, bool brackets, struct ph_target *target)
{
	if (*text == '\0' && !brackets) {
		target->kind = PH_TARGET_LOCAL;
		return NULL;
	}
	target->kind = PH_TARGET_ADDRESS;
	if (ph_address_parse(text, &target->address) < 0 ||
	    (target->address.family == PH_IPV6) != brackets)
		return NO_TARGET;
	return ph_target_refusal(&target->address);
}

const char *ph_target_parse(const char *text, struct ph_target *ret_target)
{
	struct ph_target target = { 0 };
	struct ph_address address;
	char copy[PH_ENDPOINT_STRLEN + 8], *port, *start = copy;
	const char *why;
	size_t len = strlen(text);

	if (len >= sizeof(copy))
		return NO_TARGET;
	if (!strcmp(text, "none")) {
		*ret_target = (struct ph_target){ .kind = PH_TARGET_NONE };
		return NULL;
	}
	memcpy(copy, text, len + 1);
	if (*start == '[') {
		char *end = strchr(++start, ']');

		if (!end || (end[1] != ':' && end[1] != '\0'))
			return NO_TARGET;
		port = end + 1;
		*end = '\0';
	} else {
		if (ph_address_parse(copy, &address) == 0)
			return address.family == PH_IPV6 ? BARE_IPV6 : NO_PORT;
		port = strrchr(copy, ':');
		if (!port)
			return NO_TARGET;
	}
	if (*port == '\0')
		return NO_PORT;
	*port++ = '\0';
	why = target_address(start, start != copy, &target);
	if (why)
		return why;
	if (strcmp(port, "public") != 0 && ph_port_parse(port, &target.port) < 0)
		return WRONG_PORT;
	*ret_target = target;
	return NULL;
}

static bool limit_number(const char *text, uint32_t *ret)
{
	return strncmp(text, "0x", 2) != 0 && ph_number_parse(text, ret) == 0 && *ret >= 1 &&
	       *ret <= LIMIT_MAX;
}

const char *ph_limit_parse(const char *text, struct ph_limit *ret_limit)
{
	static const struct {
		const char *name;
		uint32_t seconds;
	} units[] = { { "second", 1 }, { "minute", 60 }, { "hour", 3600 }, { "day", 86400 } };
	static const char why[] =
		"is not RATE/UNIT [burst N], as in 50/second burst 100 (UNIT: second, minute, hour or day; numbers: 1 to 1000000)";
	struct ph_limit limit = { .burst = LIMIT_BURST };
	char copy[64], *save, *rate, *unit, *word, *burst;

	if (strlen(text) >= sizeof(copy))
		return why;
	if (!strcmp(text, "no") || !strcmp(text, "none"))
		return "is no rate: leave limit out for no limit";
	strcpy(copy, text);
	rate = strtok_r(copy, " \t", &save);
	word = strtok_r(NULL, " \t", &save);
	burst = strtok_r(NULL, " \t", &save);
	unit = rate ? strchr(rate, '/') : NULL;
	if (!unit || strtok_r(NULL, " \t", &save))
		return why;
	*unit++ = '\0';
	if (!limit_number(rate, &limit.rate))
		return why;
	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++)
		if (!strcmp(unit, units[i].name))
			limit.seconds = units[i].seconds;
	if (!limit.seconds)
		return why;
	if (word && (strcmp(word, "burst") != 0 || !burst || !limit_number(burst, &limit.burst)))
		return why;
	*ret_limit = limit;
	return NULL;
}

int ph_prefix_parse(const char *text, struct ph_prefix *ret_prefix)
{
	struct ph_prefix prefix = { 0 };
	const char *slash = strchr(text, '/');
	size_t len = slash ? (size_t)(slash - text) : strlen(text);
	char address[PH_ADDRESS_STRLEN];
	uint32_t bits, most;
	bool host = false;

	if (len >= sizeof(address))
		return -EINVAL;
	memcpy(address, text, len);
	address[len] = '\0';
	if (ph_address_parse(address, &prefix.address) < 0)
		return -EINVAL;
	most = (uint32_t)ph_family_octets(prefix.address.family) * 8;
	bits = most;
	if (slash &&
	    (!strncmp(slash + 1, "0x", 2) || ph_number_parse(slash + 1, &bits) < 0 || bits > most))
		return -EINVAL;
	prefix.bits = (uint8_t)bits;
	for (uint32_t i = bits; i < most; i++) {
		uint8_t bit = (uint8_t)(0x80u >> i % 8);

		host = host || (prefix.address.octets[i / 8] & bit);
		prefix.address.octets[i / 8] &= (uint8_t)~bit;
	}
	*ret_prefix = prefix;
	return host ? -ERANGE : 0;
}

size_t ph_text_distance(const char *a, const char *b)
{
	size_t row[34], n = strlen(b), diagonal, above;

	if (n >= sizeof(row) / sizeof(*row) || strlen(a) >= sizeof(row) / sizeof(*row))
		return SIZE_MAX;
	for (size_t j = 0; j <= n; j++)
		row[j] = j;
	for (size_t i = 1; a[i - 1]; i++) {
		diagonal = row[0];
		row[0] = i;
		for (size_t j = 1; j <= n; j++) {
			size_t best = diagonal + (a[i - 1] != b[j - 1]);

			above = row[j];
			if (above + 1 < best)
				best = above + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			diagonal = above;
			row[j] = best;
		}
	}
	return row[n];
}

/* Octets of the character at text: 1 to 4 of UTF-8 (RFC 3629) that can be shown, or 0. */
static size_t character(const unsigned char *text)
{
	size_t n;

	if (text[0] < 0x80)
		return text[0] >= ' ' && text[0] != 0x7f;
	if (text[0] >= 0xc2 && text[0] <= 0xdf)
		n = 2;
	else if ((text[0] & 0xf0) == 0xe0)
		n = 3;
	else if (text[0] >= 0xf0 && text[0] <= 0xf4)
		n = 4;
	else
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((text[i] & 0xc0) != 0x80)
			return 0;
	/* Longer forms than needed, surrogates, beyond U+10FFFF, and the controls U+0080 to
	 * U+009F. */
	if ((text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xed && text[1] > 0x9f) ||
	    (text[0] == 0xf0 && text[1] < 0x90) || (text[0] == 0xf4 && text[1] > 0x8f) ||
	    (text[0] == 0xc2 && text[1] < 0xa0))
		return 0;
	return n;
}

bool ph_text_printable(const char *text)
{
	const unsigned char *c = (const unsigned char *)text;

	while (*c) {
		size_t n = *c == '\t' ? 1 : character(c);

		if (n == 0)
			return false;
		c += n;
	}
	return true;
}

const char *ph_text_show(const char *text, char buf[static PH_SHOWN_STRLEN])
{
	const unsigned char *c = (const unsigned char *)text;
	size_t used = 0;

	while (*c) {
		size_t n = character(c);

		if (used + (n ? n : 1) + sizeof("...") > PH_SHOWN_STRLEN) {
			memcpy(buf + used, "...", 3);
			used += 3;
			break;
		}
		if (n)
			memcpy(buf + used, c, n);
		else
			buf[used] = '?';
		used += n ? n : 1;
		c += n ? n : 1;
	}
	buf[used] = '\0';
	return buf;
}
