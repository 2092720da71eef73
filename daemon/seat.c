/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/seat.h"

#include <stdio.h>

#include "daemon/base/err.h"

void seat_fail(struct seat *s, int r, const char *why)
{
	s->at.state = JOB_FAILED;
	s->at.error = r;
	snprintf(s->at.why, sizeof(s->at.why), "%s", why);
}

/* Who begins again gets on once he has more than he ever had. */
static bool gets_on(const struct seat *s, const struct job_progress *p)
{
	return !s->moved_ms || (!s->begun && !p->waits) || p->bytes_done > s->bytes_most ||
	       p->files_done > s->files_most;
}

void seat_heard(struct seat *s, const struct job_progress *p, int64_t now_ms)
{
	s->job = p->id;
	s->silences = 0;
	s->at = *p;
	if (gets_on(s, p)) {
		s->bytes_most = p->bytes_done;
		s->files_most = p->files_done;
		s->moved_ms = now_ms;
		s->begun |= !p->waits;
	} else if (p->state == JOB_RUNNING &&
		   now_ms - s->moved_ms >= (s->begun ? SEAT_PATIENCE_MS : SEAT_TURN_MS)) {
		seat_fail(s, ERR_TIMEOUT, "it does not get on");
	}
}

void seat_silent(struct seat *s, int r, const char *why)
{
	if (++s->silences == SEAT_SILENCES)
		seat_fail(s, r, why);
}

void seat_lost(struct seat *s)
{
	s->job = 0;
	s->begun = false;
	if (++s->losses == SEAT_LOSSES)
		seat_fail(s, ERR_CUT, "it forgets what it is asked to fetch");
}
