/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/remote_job.h"

#include <stdio.h>

#include "daemon/base/err.h"

void remote_job_fail(struct remote_job *s, int r, const char *why)
{
	s->at.state = JOB_FAILED;
	s->at.error = r;
	snprintf(s->at.why, sizeof(s->at.why), "%s", why);
}

/* Who begins again gets on once he has more than he ever had. */
static bool gets_on(const struct remote_job *s, const struct job_progress *p)
{
	return !s->moved_ms || (!s->begun && !p->waits) || p->bytes_done > s->bytes_most ||
	       p->files_done > s->files_most;
}

void remote_job_heard(struct remote_job *s, const struct job_progress *p, int64_t now_ms)
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
		   now_ms - s->moved_ms >=
			   (s->begun ? REMOTE_JOB_PATIENCE_MS : REMOTE_JOB_TURN_MS)) {
		remote_job_fail(s, ERR_TIMEOUT, "it does not get on");
	}
}

void remote_job_silent(struct remote_job *s, int r, const char *why)
{
	if (++s->silences == REMOTE_JOB_SILENCES)
		remote_job_fail(s, r, why);
}

void remote_job_lost(struct remote_job *s)
{
	s->job = 0;
	s->begun = false;
	if (++s->losses == REMOTE_JOB_LOSSES)
		remote_job_fail(s, ERR_CUT, "it forgets what it is asked to fetch");
}
