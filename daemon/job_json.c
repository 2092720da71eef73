/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/job_json.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/err.h"

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

void job_write_state(const struct job_progress *p, struct jwrite *w)
{
	jwrite_text(w, "state", state_names[p->state]);
	jwrite_uint(w, "files_done", p->files_done);
	jwrite_uint(w, "files_total", p->files_total);
	jwrite_uint(w, "bytes_done", p->bytes_done);
	jwrite_uint(w, "bytes_total", p->bytes_total);
	jwrite_text(w, "error", p->error ? p->why : NULL);
}

void job_write(const struct job_progress *p, struct jwrite *w)
{
	jwrite_object(w, NULL);
	jwrite_uint(w, "id", p->id);
	jwrite_text(w, "kind", kind_names[p->kind]);
	jwrite_text(w, "what", p->what[0] ? p->what : NULL);
	jwrite_bool(w, "waits", p->waits);
	job_write_state(p, w);
	if (p->kind == JOB_SCRUB) {
		jwrite_uint(w, "repaired", p->repaired);
		jwrite_uint(w, "bad", p->bad);
	}
	jwrite_number(w, "started", (double)p->started_ms / 1000);
	if (p->ended_ms)
		jwrite_number(w, "ended", (double)p->ended_ms / 1000);
	else
		jwrite_null(w, "ended");
	jwrite_object_end(w);
}

static int read_state(const char *word, enum job_state *ret)
{
	for (unsigned i = 0; word && i < ARRAY_LEN(state_names); i++)
		if (!strcmp(word, state_names[i])) {
			*ret = (enum job_state)i;
			return 0;
		}
	return -EINVAL;
}

/* 0 for what is no size. */
static uint64_t size_of(const struct jval *v, const char *name)
{
	int64_t n = jval_get_size(v, name);

	return n > 0 ? (uint64_t)n : 0;
}

int job_read(const struct jval *v, struct job_progress *ret)
{
	const char *error = jval_get_str(v, "error");

	*ret = (struct job_progress){
		.id = size_of(v, "id"),
		.waits = jval_bool(jval_get(v, "waits")) > 0,
		.files_done = (uint32_t)size_of(v, "files_done"),
		.files_total = (uint32_t)size_of(v, "files_total"),
		.bytes_done = size_of(v, "bytes_done"),
		.bytes_total = size_of(v, "bytes_total"),
		.error = error ? ERR_SERVER : 0,
	};
	snprintf(ret->why, sizeof(ret->why), "%s", error ? error : "");
	return ret->id ? read_state(jval_get_str(v, "state"), &ret->state) : -EINVAL;
}
