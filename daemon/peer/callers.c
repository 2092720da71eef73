/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/callers.h"

#include <stdio.h>
#include <string.h>

void callers_init(struct callers *c)
{
	*c = (struct callers){ 0 };
	lock_init(&c->lock, LOCK_CALLERS);
}

void callers_fini(struct callers *c)
{
	lock_fini(&c->lock);
}

/* Who moves to another place does not come back. */
static void move(struct caller *s, const char *from, int64_t now_ms)
{
	bool back = strcmp(s->before, from) == 0;

	if (!back || now_ms - s->since_ms > CALLERS_MS) {
		s->turns = 0;
		s->since_ms = now_ms;
	}
	s->turns += back;
	memcpy(s->before, s->last, sizeof(s->before));
	snprintf(s->last, sizeof(s->last), "%s", from);
}

bool callers_note(struct callers *c, uint64_t member, const char *from, int64_t now_ms,
		  char ret[static HTTPD_ADDRESS_MAX])
{
	struct caller *s = &c->slots[member % CALLERS_MAX];
	bool tell;

	lock_take(&c->lock);
	if (s->member != member) {
		*s = (struct caller){ .member = member, .since_ms = now_ms };
		snprintf(s->last, sizeof(s->last), "%s", from);
	}
	if (strcmp(s->last, from) != 0)
		move(s, from, now_ms);
	tell = !s->told && s->turns >= CALLERS_TURNS;
	s->told |= tell;
	memcpy(ret, s->before, sizeof(s->before));
	lock_drop(&c->lock);
	return tell;
}
