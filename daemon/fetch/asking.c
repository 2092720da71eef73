/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/fetch/asking.h"

#include "daemon/base/num.h"
#include "daemon/cache/chunk.h"

/* Until it is known how fast requests are they ask for as little as slow ones. */
uint64_t asking_begin(struct run *run, uint64_t off, unsigned who, bool is_hub, int64_t now_ms)
{
	const struct schedule *s = run->fill->all;

	run->first_hand = run->under_way = is_hub;
	run->hub = who;
	run->asked_ms = now_ms;
	run->waiting = false;
	run->asked = 0;
	if (!is_hub || !s->waits_max)
		return run->end;
	run->asked = min_u64(chunk_floor(off + max_u64(s->soon, RUN_NEAR)), run->end);
	return run->asked;
}

void asking_heard(struct run *run, uint64_t pos, int64_t now_ms)
{
	run->moved_ms = now_ms;
	if (pos <= run->pos)
		return;
	run->pos = pos;
	run->brought_ms = now_ms;
	run->failing = false;
	if (run->first_hand)
		run->fill->all->given_ms[run->hub] = now_ms;
}

/* A short one tells more of how far the hub is than of how fast. */
void asking_end(struct run *run, uint64_t bytes, int64_t took_ms)
{
	struct schedule *s = run->fill->all;
	uint64_t soon = bytes * RUN_SOON_MS / (uint64_t)max_i64(took_ms, 1);

	if (run->under_way && bytes >= RUN_BYTES_MIN)
		s->soon = s->soon ? (s->soon + soon) / 2 : soon;
	run->asked = 0;
	run->under_way = false;
}

/* On a full line one run's bytes may come long before another's, whoever was asked first. */
bool asking_fails(const struct run *run, int64_t now_ms)
{
	int64_t last_ms = max_i64(run->asked_ms, max_i64(run->brought_ms, run->moved_ms));

	if (run->failing || !run->first_hand)
		return run->failing;
	last_ms = max_i64(last_ms, run->fill->all->given_ms[run->hub]);
	return !run->paused && now_ms - last_ms > ASKING_HANGS_MS;
}
