/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * A hash table with linear probing, at most half full. What is removed is filled by moving back
 * what follows (Knuth, The Art of Computer Programming, volume 3, algorithm 6.4R), so that look-ups
 * stay short however often ports come and go.
 */

#include <pinhold/ports.h>

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define SLOTS_MIN 16u

struct slot {
	const void *owner;
	size_t uses; /* 0: the slot is empty */
	enum ph_proto proto;
	struct ph_endpoint local;
};

struct ph_ports {
	struct slot *slots;
	size_t n_slots; /* a power of two */
	size_t used;
};

/* FNV-1a: the keys are our own, so nobody chooses them to collide. */
static uint64_t hash(enum ph_proto proto, const struct ph_endpoint *local)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);
	uint8_t rest[3] = { (uint8_t)proto, (uint8_t)(local->port >> 8), (uint8_t)local->port };

	for (size_t i = 0; i < ph_family_octets(local->address.family); i++)
		h = (h ^ local->address.octets[i]) * UINT64_C(0x100000001b3);
	for (size_t i = 0; i < sizeof(rest); i++)
		h = (h ^ rest[i]) * UINT64_C(0x100000001b3);
	return h ^ h >> 32;
}

static size_t home(const struct ph_ports *p, const struct slot *s)
{
	return (size_t)hash(s->proto, &s->local) & (p->n_slots - 1);
}

/* The key's slot, or the empty one where it belongs. */
static struct slot *find(const struct ph_ports *p, enum ph_proto proto,
			 const struct ph_endpoint *local)
{
	size_t i = (size_t)hash(proto, local) & (p->n_slots - 1);

	while (p->slots[i].uses > 0 &&
	       (p->slots[i].proto != proto || !ph_endpoint_equal(&p->slots[i].local, local)))
		i = (i + 1) & (p->n_slots - 1);
	return &p->slots[i];
}

static int resize(struct ph_ports *p, size_t n_slots)
{
	struct ph_ports new = { .n_slots = n_slots, .used = p->used };

	new.slots = calloc(n_slots, sizeof(*new.slots));
	if (!new.slots)
		return -ENOMEM;
	for (size_t i = 0; i < p->n_slots; i++)
		if (p->slots[i].uses > 0)
			*find(&new, p->slots[i].proto, &p->slots[i].local) = p->slots[i];
	free(p->slots);
	*p = new;
	return 0;
}

struct ph_ports *ph_ports_new(void)
{
	struct ph_ports *p = calloc(1, sizeof(*p));

	if (p && resize(p, SLOTS_MIN) < 0) {
		free(p);
		return NULL;
	}
	return p;
}

void ph_ports_free(struct ph_ports *p)
{
	if (!p)
		return;
	free(p->slots);
	free(p);
}

int ph_ports_take(struct ph_ports *p, enum ph_proto proto, const struct ph_endpoint *local,
		  const void *owner)
{
	struct slot *s = find(p, proto, local);

	assert(owner);
	if (s->uses == 0) {
		if (2 * (p->used + 1) > p->n_slots) {
			if (resize(p, 2 * p->n_slots) < 0)
				return -ENOMEM;
			s = find(p, proto, local);
		}
		*s = (struct slot){ .owner = owner, .proto = proto, .local = *local };
		p->used++;
	} else if (s->owner != owner) {
		return -EADDRINUSE;
	}
	s->uses++;
	return 0;
}

/* Empties slot i: each one after it, up to the next empty slot, moves into the gap unless its home
 * lies between the two. */
static void remove_slot(struct ph_ports *p, size_t i)
{
	size_t mask = p->n_slots - 1;

	for (size_t j = (i + 1) & mask; p->slots[j].uses > 0; j = (j + 1) & mask) {
		if (((j - home(p, &p->slots[j])) & mask) < ((j - i) & mask))
			continue;
		p->slots[i] = p->slots[j];
		i = j;
	}
	p->slots[i] = (struct slot){ 0 };
	p->used--;
}

void ph_ports_release(struct ph_ports *p, enum ph_proto proto, const struct ph_endpoint *local,
		      const void *owner)
{
	struct slot *s = find(p, proto, local);

	assert(s->uses > 0 && s->owner == owner);
	if (--s->uses > 0)
		return;
	remove_slot(p, (size_t)(s - p->slots));
	/* Memory goes back too; if there is none for the smaller table, the larger one does. */
	if (p->n_slots > SLOTS_MIN && 8 * p->used < p->n_slots)
		(void)resize(p, p->n_slots / 2);
}

const void *ph_ports_owner(const struct ph_ports *p, enum ph_proto proto,
			   const struct ph_endpoint *local)
{
	const struct slot *s = find(p, proto, local);

	return s->uses > 0 ? s->owner : NULL;
}
