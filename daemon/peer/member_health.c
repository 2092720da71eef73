/* SPDX-License-Identifier: Apache-2.0 */
/* Sources: RFC 6298 (a time-out from the mean and the spread of what was measured). */
#include "daemon/peer/member_health.h"

#include "daemon/base/num.h"
#include "daemon/base/random.h"

void health_init(struct member_health *h, uint64_t seed)
{
	*h = (struct member_health){ .usual_us = -1, .random = seed };
}

/* first, doubled with each one more, but never above max. */
static int64_t doubled(int64_t first, unsigned times, int64_t max)
{
	while (times-- && first < max)
		first *= 2;
	return min_i64(first, max);
}

/* What is left of a count that a clean hour takes one from. */
static unsigned still(unsigned count, int64_t since_ms, int64_t now_ms)
{
	int64_t hours = now_ms > since_ms ? (now_ms - since_ms) / MEMBER_CLEAN_MS : 0;

	return hours < count ? count - (unsigned)hours : 0;
}

/* --- who may ask */

bool health_may_ask(struct member_health *h, int64_t now_ms)
{
	if (!h->failures)
		return true;
	if (now_ms < h->until_ms)
		return false;
	if ((h->cause == MEMBER_SILENT || h->cause == MEMBER_CROWDED) && h->failures == 1)
		return true;
	if (now_ms < h->turn_ms)
		return false;
	h->turn_ms = now_ms + MEMBER_TURN_MS;
	return true;
}

static void leave_alone(struct member_health *h, int64_t pause_ms, int64_t now_ms)
{
	h->until_ms = now_ms + pause_ms;
	h->turn_ms = 0;
}

static int64_t pause_ms(struct member_health *h)
{
	int64_t pause;

	if (h->cause == MEMBER_REFUSED)
		pause = doubled(MEMBER_REFUSED_MS, h->failures - 1, MEMBER_AWAY_MAX_MS);
	else if (h->cause == MEMBER_VAIN)
		pause = doubled(MEMBER_VAIN_MS, h->vains - 1, MEMBER_AWAY_MAX_MS);
	else if (h->cause == MEMBER_BUSY)
		pause = MEMBER_BUSY_MS;
	else if (h->failures == 1)
		return MEMBER_HICCUP_MS;
	else if (h->cause == MEMBER_CROWDED)
		pause = MEMBER_SILENT_MS;
	else
		pause = doubled(MEMBER_SILENT_MS, h->failures - 2, MEMBER_AWAY_MAX_MS);
	return random_near(&h->random, pause, 25);
}

static void fail(struct member_health *h, enum member_outcome cause, int64_t now_ms)
{
	if (h->failures && now_ms < h->until_ms)
		return;
	if (h->cause != cause)
		h->failures = 0;
	h->cause = cause;
	h->failures++;
	if (cause == MEMBER_VAIN) {
		h->vains = still(h->vains, h->vain_ms, now_ms) + 1;
		h->vain_ms = now_ms;
	}
	leave_alone(h, pause_ms(h), now_ms);
}

/* --- bans */

unsigned health_bans(const struct member_health *h, int64_t now_ms)
{
	return still(h->bans, h->clean_ms, now_ms);
}

bool health_is_banned(const struct member_health *h, int64_t now_ms)
{
	return h->failures && h->cause == MEMBER_LIED && now_ms < h->until_ms;
}

static void ban(struct member_health *h, int64_t now_ms)
{
	if (health_is_banned(h, now_ms))
		return;
	h->bans = health_bans(h, now_ms) + 1;
	h->cause = MEMBER_LIED;
	h->failures = 1;
	leave_alone(h, doubled(MEMBER_BAN_MS, h->bans - 1, MEMBER_BAN_MAX_MS), now_ms);
	h->clean_ms = h->until_ms;
}

/* Whom nobody has misled any more for so long misleads us. */
static void suspect(struct member_health *h, int64_t now_ms)
{
	int64_t since = now_ms - h->misled_ms;

	if (!h->misled_ms || since > MEMBER_MISLED_MAX_MS)
		h->misled_ms = now_ms;
	else if (since > MEMBER_MISLED_MS)
		ban(h, now_ms);
}

bool health_forgive(struct member_health *h)
{
	bool was = h->bans > 0;

	h->bans = 0;
	h->misled_ms = 0;
	if (h->failures && h->cause == MEMBER_LIED)
		h->failures = 0;
	return was;
}

/* All that were asked of it in the same moment wait for the same. */
static void outrun(struct member_health *h, bool mute, int64_t now_ms)
{
	int64_t since = now_ms - h->outrun_ms;

	h->turn_ms = 0;
	if (!h->outrun_ms || since > MEMBER_OUTRUN_MAX_MS) {
		h->outrun_ms = now_ms;
	} else if (since > MEMBER_OUTRUN_MS) {
		h->outrun_ms = 0;
		if (mute)
			fail(h, MEMBER_SILENT, now_ms);
		else
			h->lags_ms = now_ms + random_near(&h->random, MEMBER_VAIN_MS, 25);
	}
}

bool health_lags(const struct member_health *h, int64_t now_ms)
{
	return now_ms < h->lags_ms;
}

/* --- how fast it is */

static void measure(struct member_health *h, int64_t us)
{
	int64_t off = us - h->usual_us;

	if (h->usual_us < 0) {
		h->usual_us = us;
		h->spread_us = us / 2;
		return;
	}
	h->spread_us += ((off < 0 ? -off : off) - h->spread_us) / 4;
	h->usual_us += off / 8;
}

int64_t health_patience_ms(const struct member_health *h)
{
	int64_t ms = max_i64(4 * h->usual_us, h->usual_us + 4 * h->spread_us) / 1000;

	ms = max_i64(ms, MEMBER_PATIENCE_MIN_MS);
	if (h->usual_us < 0 || (h->failures && h->cause == MEMBER_SILENT))
		ms = max_i64(ms, MEMBER_PATIENCE_NEW_MS);
	return min_i64(ms, MEMBER_PATIENCE_MAX_MS);
}

int64_t health_connect_ms(const struct member_health *h)
{
	bool silent = h->failures && h->cause == MEMBER_SILENT;

	return silent || !h->answered ? MEMBER_CONNECT_MS : 0;
}

/* --- outcomes */

static void succeed(struct member_health *h, int64_t first_ms, int64_t now_ms)
{
	h->answered = true;
	if (first_ms >= 0)
		measure(h, min_i64(first_ms, MEMBER_PATIENCE_MAX_MS) * 1000);
	if (!health_is_banned(h, now_ms))
		h->failures = 0;
	if (!health_lags(h, now_ms))
		h->lags_ms = 0;
}

void health_note(struct member_health *h, enum member_outcome outcome, int64_t first_ms,
		 int64_t now_ms)
{
	switch (outcome) {
	case MEMBER_GAVE:
		h->vains -= h->vains > 0;
		h->outrun_ms = h->lags_ms = 0;
		succeed(h, first_ms, now_ms);
		break;
	case MEMBER_ANSWERED:
		succeed(h, first_ms, now_ms);
		break;
	case MEMBER_SILENT:
	case MEMBER_CROWDED:
	case MEMBER_BUSY:
	case MEMBER_REFUSED:
	case MEMBER_VAIN:
		fail(h, outcome, now_ms);
		break;
	case MEMBER_LIED:
		ban(h, now_ms);
		break;
	case MEMBER_MISLED:
		suspect(h, now_ms);
		break;
	case MEMBER_OUTRUN:
	case MEMBER_MUTE:
		outrun(h, outcome == MEMBER_MUTE, now_ms);
		break;
	case MEMBER_LEFT:
		h->turn_ms = 0;
		break;
	}
}

enum member_state health_state(const struct member_health *h, int64_t now_ms)
{
	if (!h->failures && health_lags(h, now_ms))
		return MEMBER_IS_SLOW;
	if (!h->failures)
		return h->answered ? MEMBER_IS_UP : MEMBER_IS_NEW;
	switch (h->cause) {
	case MEMBER_LIED:
		return MEMBER_IS_BANNED;
	case MEMBER_REFUSED:
		return MEMBER_IS_REFUSED;
	case MEMBER_CROWDED:
	case MEMBER_BUSY:
		return MEMBER_IS_BUSY;
	case MEMBER_VAIN:
		return MEMBER_IS_SLOW;
	default:
		return MEMBER_IS_SILENT;
	}
}

const char *member_state_name(enum member_state state)
{
	static const char *const names[MEMBER_STATE_COUNT] = {
#define NAME(state, word) [MEMBER_IS_##state] = word,
		MEMBER_STATES(NAME)
#undef NAME
	};

	return names[state];
}
