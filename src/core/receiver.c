/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>

#include <pinhold/backoff.h>
#include <pinhold/receiver.h>

#define NEWS_MS 1000u /* between a failure and the next call, though there is news */

const char *ph_announce_name(enum ph_announce event)
{
	switch (event) {
	case PH_ANNOUNCE_UP:
		return "up";
	case PH_ANNOUNCE_CHANGE:
		return "change";
	case PH_ANNOUNCE_DOWN:
		return "down";
	}
	return "";
}

/* The event that [text, text + len) names, as a bit; 0: none. */
static unsigned event_bit(const char *text, size_t len)
{
	static const enum ph_announce all[] = {
		PH_ANNOUNCE_UP,
		PH_ANNOUNCE_CHANGE,
		PH_ANNOUNCE_DOWN,
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		const char *name = ph_announce_name(all[i]);

		if (len == strlen(name) && memcmp(text, name, len) == 0)
			return 1u << all[i];
	}
	return 0;
}

int ph_announce_list_parse(const char *text, unsigned *ret_events)
{
	unsigned events = 0, bit;

	for (;; text++) {
		size_t len;

		text += strspn(text, " \t");
		len = strcspn(text, ", \t");
		bit = event_bit(text, len);
		/* Twice the same is a slip of the pen. */
		if (!bit || events & bit)
			return -EINVAL;
		events |= bit;
		text += len + strspn(text + len, " \t");
		if (*text == '\0')
			break;
		if (*text != ',')
			return -EINVAL;
	}
	*ret_events = events;
	return 0;
}

static bool same(const struct ph_told *a, const struct ph_told *b)
{
	if (a->public_endpoint.port == 0 && b->public_endpoint.port == 0)
		return true;
	return ph_endpoint_equal(&a->public_endpoint, &b->public_endpoint) &&
	       ph_endpoint_equal(&a->private_endpoint, &b->private_endpoint);
}

static enum ph_announce event_of(const struct ph_receiver *r)
{
	if (r->latest.public_endpoint.port == 0)
		return PH_ANNOUNCE_DOWN;
	/* Who wants no `change` is unsure of an endpoint by a failed `down`, or over a restart. */
	if (r->told.public_endpoint.port == 0 ||
	    (r->unsure && !(r->events & (1u << PH_ANNOUNCE_CHANGE))))
		return PH_ANNOUNCE_UP;
	return PH_ANNOUNCE_CHANGE;
}

const struct ph_told *ph_receiver_heard(const struct ph_receiver *r)
{
	return r->told.public_endpoint.port == 0 && r->unsure ? &r->maybe : &r->told;
}

/* Whoever failed may have heard it all the same, and hears of the way back too: to another
 * endpoint, or down. */
static bool knows(const struct ph_receiver *r)
{
	return same(&r->told, &r->latest) &&
	       !(r->unsure && ph_receiver_heard(r)->public_endpoint.port);
}

static bool owed(const struct ph_receiver *r)
{
	return !r->running && !r->refused && !knows(r) && (r->events & (1u << event_of(r)));
}

/*
 * What the receiver does not want to hear it counts as told: whoever wants `down` alone must know
 * what was up. Only a `down` may be left out of its history, so that the next endpoint is a
 * `change` from the last one, or nothing if it is the same.
 */
static void pass_over(struct ph_receiver *r)
{
	enum ph_announce event = event_of(r);

	if (r->running || same(&r->told, &r->latest) || (r->events & (1u << event)))
		return;
	if (event != PH_ANNOUNCE_DOWN || !(r->events & (1u << PH_ANNOUNCE_CHANGE)))
		r->told = r->latest;
}

void ph_receiver_offer(struct ph_receiver *r, const struct ph_told *state)
{
	if (!same(&r->latest, state)) {
		/* Who fails and is told news all the time is not called all the time. */
		r->retry_ms = r->calm_ms;
		r->failures = 0;
		r->refused = false;
	}
	r->latest = *state;
	pass_over(r);
}

bool ph_receiver_next(struct ph_receiver *r, uint64_t now_ms, struct ph_delivery *ret_delivery)
{
	if (!owed(r) || r->retry_ms > now_ms)
		return false;
	*ret_delivery = (struct ph_delivery){
		.event = event_of(r),
		.state = event_of(r) == PH_ANNOUNCE_DOWN ? *ph_receiver_heard(r) : r->latest,
		.previous = r->told,
	};
	r->was_unsure = r->unsure;
	r->running = r->unsure = true;
	r->going = r->latest;
	if (r->going.public_endpoint.port)
		r->maybe = r->going;
	return true;
}

static uint64_t max_ms(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

void ph_receiver_done(struct ph_receiver *r, enum ph_receiver_end end, uint64_t after_ms,
		      uint32_t random, uint64_t now_ms)
{
	bool news = !same(&r->going, &r->latest);
	uint64_t wait_ms;

	r->running = false;
	if (end == PH_RECEIVER_TOLD) {
		r->told = r->going;
		r->maybe = (struct ph_told){ 0 };
		r->unsure = false;
		r->failures = 0;
		r->calm_ms = r->retry_ms = 0;
		r->refused = false;
	} else {
		if (end == PH_RECEIVER_UNCALLED)
			r->unsure = r->was_unsure;
		r->calm_ms = now_ms + max_ms(NEWS_MS, after_ms);
		r->retry_ms = r->calm_ms;
		r->refused = end == PH_RECEIVER_REFUSED && !news;
		if (!news) {
			wait_ms = ph_backoff_ms(r->failures++);
			wait_ms -= random % (wait_ms / 4 + 1);
			r->retry_ms = now_ms + max_ms(wait_ms, after_ms);
		}
	}
	pass_over(r);
}

void ph_receiver_again(struct ph_receiver *r)
{
	r->refused = false;
	r->failures = 0;
	r->retry_ms = r->calm_ms;
}

void ph_receiver_hurry(struct ph_receiver *r)
{
	if (!same(&r->going, &r->latest))
		r->retry_ms = 0;
}

uint64_t ph_receiver_deadline(const struct ph_receiver *r)
{
	return owed(r) ? r->retry_ms : UINT64_MAX;
}
