/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/patience.h"

#define SOON_MS 50 /* until the second new start; then twice as long */
#define DOUBLINGS 8
#define LONG_MS 5000

static int64_t wait_ms(const struct patience *p)
{
	if (p->failures <= 1)
		return 0;
	return p->failures < DOUBLINGS ? (int64_t)SOON_MS << (p->failures - 1) : LONG_MS;
}

static void count_served(struct patience *p, bool well)
{
	if (well || p->refused_ms)
		p->failures = p->counted = 0;
	p->vain = 0;
	p->refused_ms = 0;
}

static bool is_over(struct patience *p, enum patience_end end, int64_t now_ms)
{
	p->failures++;
	if (end == PATIENCE_REFUSED) {
		if (!p->refused_ms)
			p->refused_ms = now_ms;
		return now_ms - p->refused_ms >= PATIENCE_REFUSED_MS;
	}
	p->counted++;
	p->vain += end == PATIENCE_VAIN;
	return p->vain >= PATIENCE_TRIES || p->counted >= PATIENCE_SHORT_LIVES;
}

enum patience_next patience_after(struct patience *p, enum patience_end end, int64_t now_ms,
				  int64_t *ret_wait_ms)
{
	bool served = end == PATIENCE_WELL || end == PATIENCE_SHORT, over;

	if (served)
		count_served(p, end == PATIENCE_WELL);
	over = is_over(p, end, now_ms);
	*ret_wait_ms = wait_ms(p);
	if (over && p->anew)
		return PATIENCE_OVER;
	p->anew = over || (p->anew && !served);
	return over ? PATIENCE_ANEW : PATIENCE_AGAIN;
}
