/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/ctl/ctl_pace.h"

uint64_t ctl_pace_look(struct ctl_pace *p, int64_t now_ms, uint64_t bytes)
{
	if (!p->begun || bytes > p->seen)
		rate_add(&p->rate, now_ms, p->begun ? bytes - p->seen : 0);
	p->begun = true;
	p->seen = bytes;
	return rate_get(&p->rate, now_ms);
}
