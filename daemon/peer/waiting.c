/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/waiting.h"

#include "daemon/base/num.h"
#include "daemon/hub/source.h"
#include "daemon/peer/fanout.h"

#define SLOW_MS 1000   /* who waits for bytes does so as long at least before another is asked */
#define HOPE_MS 5000   /* who hears that bytes are coming believes it as long at least */
#define FAILS_MS 3000  /* who hears that upstream fails has it tried by another then */
#define PROMISES 3     /* and so many times as long if they do come to whom it waits for */
#define DRY 4          /* and all together, whoever promises, so many times; for a reader once */
#define TWICE_SHARE 50 /* of so many bytes one may be asked for twice */

int64_t waiting_poll_ms(int64_t hoped_ms, bool demand)
{
	return min_i64(max_i64(hoped_ms, WAITING_POLL_MS),
		       demand ? WAITING_DEMAND_MS : WAITING_POLL_MAX_MS);
}

bool waiting_may_race(const struct waiting *w, uint64_t cost)
{
	return w->demand && w->waited_ms > max_i64(4 * w->usual_ms, SLOW_MS) &&
	       (w->twice + cost) * TWICE_SHARE < w->in;
}

/* Who gets on is believed for so long. A reader must have time for another who does not lie, before
 * all is dry, unless all are as slow. */
static int64_t promise_ms(const struct waiting *w)
{
	int64_t most_ms = PROMISES * w->give_up_ms;

	return w->demand ? min_i64(max_i64(4 * w->usual_ms, w->give_up_ms / 2), most_ms) : most_ms;
}

int64_t waiting_usual_ms(int64_t usual_ms, int64_t took_ms)
{
	return usual_ms ? usual_ms + (took_ms - usual_ms) / 8 : took_ms;
}

/* What is heard of bytes that move is as old as all polls on the way from them: one for each floor
 * of the tree in which so many hang. */
static int64_t polls_ms(uint32_t number)
{
	int64_t ms = 0;

	for (; number; number /= FANOUT_WIDTH)
		ms += WAITING_POLL_MAX_MS;
	return ms;
}

bool waiting_is_late(const struct waiting *w)
{
	int64_t hope_ms = min_i64(max_i64(4 * w->usual_ms, HOPE_MS), w->give_up_ms);
	int64_t fresh_ms = min_i64(hope_ms + polls_ms(w->number), w->give_up_ms);
	bool moves = w->quiet_ms >= 0 && w->quiet_ms <= fresh_ms;

	return w->waited_ms > (moves ? promise_ms(w) : hope_ms);
}

bool waiting_is_over(const struct waiting *w)
{
	int64_t most_ms = max_i64(4 * w->usual_ms, FAILS_MS);

	return w->waited_ms > min_i64(most_ms, w->give_up_ms / 2);
}

bool waiting_is_dry(const struct waiting *w)
{
	int64_t most_ms = DRY * w->give_up_ms;

	if (w->demand)
		most_ms = min_i64(max_i64(4 * w->usual_ms, w->give_up_ms), most_ms);
	return w->waited_ms > most_ms;
}

bool waiting_is_trickle(const struct waiting *w, int64_t patience_ms, uint64_t came, uint64_t chunk)
{
	uint64_t took_ms = (uint64_t)w->waited_ms;

	return w->waited_ms > patience_ms + SLOW_MS &&
	       (came * 1000 < SOURCE_TRICKLE_RATE * took_ms ||
		came * (uint64_t)w->give_up_ms < chunk * took_ms);
}
