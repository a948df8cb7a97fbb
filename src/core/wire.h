/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Bytes from and to the wire, most significant octet first. A reader never moves past its end: a
 * read that does not fit returns false and changes nothing. No pointer to a wider type ever points
 * into a packet.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ph_reader {
	const uint8_t *at;
	size_t left;
};

static inline bool ph_read_octets(struct ph_reader *r, size_t n, const uint8_t **ret_octets)
{
	if (n > r->left)
		return false;
	*ret_octets = r->at;
	r->at += n;
	r->left -= n;
	return true;
}

static inline uint16_t ph_get_be16(const uint8_t octets[static 2])
{
	return (uint16_t)(octets[0] << 8 | octets[1]);
}

static inline uint32_t ph_get_be32(const uint8_t octets[static 4])
{
	return (uint32_t)ph_get_be16(octets) << 16 | ph_get_be16(octets + 2);
}

static inline bool ph_read_be16(struct ph_reader *r, uint16_t *ret_value)
{
	const uint8_t *octets;

	if (!ph_read_octets(r, 2, &octets))
		return false;
	*ret_value = ph_get_be16(octets);
	return true;
}

static inline bool ph_read_be32(struct ph_reader *r, uint32_t *ret_value)
{
	const uint8_t *octets;

	if (!ph_read_octets(r, 4, &octets))
		return false;
	*ret_value = ph_get_be32(octets);
	return true;
}

static inline void ph_put_be16(uint8_t octets[static 2], uint16_t value)
{
	octets[0] = (uint8_t)(value >> 8);
	octets[1] = (uint8_t)value;
}

static inline void ph_put_be32(uint8_t octets[static 4], uint32_t value)
{
	ph_put_be16(octets, (uint16_t)(value >> 16));
	ph_put_be16(octets + 2, (uint16_t)value);
}
