/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/job_json.h"

static const char *const kind_names[] = {
	[JOB_PULL] = "pull",       [JOB_PIN] = "pin",     [JOB_SCRUB] = "scrub",
	[JOB_COLLECT] = "collect", [JOB_SHARE] = "share", [JOB_WARMUP] = "warmup",
};
static const char *const state_names[] = {
	[JOB_RUNNING] = "running",
	[JOB_DONE] = "done",
	[JOB_FAILED] = "failed",
	[JOB_CANCELED] = "canceled",
};

void job_write(const struct job_progress *p, struct jwrite *w)
{
	jwrite_object(w, NULL);
	jwrite_uint(w, "id", p->id);
	jwrite_text(w, "kind", kind_names[p->kind]);
	jwrite_text(w, "state", state_names[p->state]);
	jwrite_text(w, "what", p->what[0] ? p->what : NULL);
	jwrite_uint(w, "files_done", p->files_done);
	jwrite_uint(w, "files_total", p->files_total);
	jwrite_uint(w, "bytes_done", p->bytes_done);
	jwrite_uint(w, "bytes_total", p->bytes_total);
	if (p->kind == JOB_SCRUB) {
		jwrite_uint(w, "repaired", p->repaired);
		jwrite_uint(w, "bad", p->bad);
	}
	jwrite_text(w, "error", p->error ? p->why : NULL);
	jwrite_number(w, "started", (double)p->started_ms / 1000);
	if (p->ended_ms)
		jwrite_number(w, "ended", (double)p->ended_ms / 1000);
	else
		jwrite_null(w, "ended");
	jwrite_object_end(w);
}
