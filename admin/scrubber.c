/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/scrubber.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/registry/aside.h"
#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/lock.h"
#include "daemon/base/log.h"
#include "daemon/base/workers.h"
#include "daemon/fetch/throttle.h"
#include "daemon/keeper.h"

#define LOOK_MS (60 * 60 * 1000) /* whether it is time */
#define PAUSE_MS 5
#define WHAT "uploads"
#define ETAG_ROOM (DIGEST_HEX_MAX + 1)

struct scrubber {
	struct scrubber_conf conf;
	struct lock lock;
	/* Guarded by lock: of the last one. */
	struct scrubber_report report;
	struct buf missing; /* etags, ETAG_ROOM bytes each */
};

/* One run. */
struct run {
	struct scrubber *scrubber;
	struct job *job;
	struct throttle throttle;
	struct scrubber_report report;
	struct buf missing;
	char etag[ETAG_ROOM]; /* of one blob alone, or "" */
};

/* ---- a run ---- */

static int rest(void *arg, uint64_t bytes, const struct reread_counts *so_far)
{
	struct run *run = arg;
	const struct job_progress p = { .files_done = (uint32_t)so_far->looked,
					.files_total = (uint32_t)so_far->looked,
					.bytes_done = so_far->looked_bytes,
					.bytes_total = so_far->looked_bytes,
					.bad = so_far->damaged + so_far->missing };
	int64_t ms = throttle_pause_ms(&run->throttle, URGENCY_BACKGROUND, bytes);

	job_tell(run->job, &p);
	if (job_is_over(run->job))
		return ERR_CANCELED;
	return ms < PAUSE_MS ? 0 : job_sleep(run->job, ms);
}

static void tell_trail(const struct run *run, const char *etag, bool missing)
{
	const struct audit_record rec = {
		.kind = AUDIT_HUB,
		.act = "scrub",
		.outcome = AUDIT_FAILED,
		.file = etag,
		.why = missing ? "the bytes are not there" : "the bytes are not what they were",
	};

	audit_note(run->scrubber->conf.server->audit, &rec);
}

/* Each of them is lost until somebody uploads it again. */
static void take_loss(void *arg, const char *etag, bool missing)
{
	struct run *run = arg;
	char room[ETAG_ROOM] = "";

	log_err(ERR_DIGEST, "an upload is %s: who has it can send it again etag=%s",
		missing ? "missing" : "damaged, and was set aside", etag);
	tell_trail(run, etag, missing);
	if (!missing || run->missing.len >= SCRUBBER_TOLD_MAX * sizeof(room))
		return;
	snprintf(room, sizeof(room), "%s", etag);
	buf_add(&run->missing, room, sizeof(room));
}

static void publish(struct run *run)
{
	struct scrubber *s = run->scrubber;
	struct buf old;

	lock_take(&s->lock);
	old = s->missing;
	s->missing = run->missing;
	s->report = run->report;
	lock_drop(&s->lock);
	run->missing = (struct buf){ 0 };
	buf_free(&old);
}

static int note_time(struct db_txn *t, void *arg)
{
	char text[24];
	int len = snprintf(text, sizeof(text), "%" PRId64, *(const int64_t *)arg);

	return db_put(t, DB_META, db_text("scrub"), text, (size_t)len);
}

static int reread(struct run *run)
{
	struct server *server = run->scrubber->conf.server;
	struct reread r = {
		.db = server->rights.db,
		.intake = server->intake,
		.rest = rest,
		.tell = take_loss,
		.arg = run,
	};
	int result;

	if (run->etag[0])
		return reread_one(&r, run->etag);
	run->report.began_s = clock_wall_s();
	result = reread_all(&r);
	run->report.counts = r.counts;
	run->report.ended_s = clock_wall_s();
	run->report.done = result == 0;
	if (result == 0)
		result = db_write(server->rights.db, note_time, &run->report.ended_s);
	return result;
}

static int work(struct job *j, void *arg)
{
	struct run *run = arg;
	const struct reread_counts *n = &run->report.counts;
	int r;

	run->job = j;
	throttle_init(&run->throttle);
	throttle_set(&run->throttle,
		     &(struct throttle_limits){ .total = run->scrubber->conf.bytes_per_s });
	r = reread(run);
	throttle_fini(&run->throttle);
	if (run->etag[0])
		return r;
	log_info("scrubbed uploads blobs=%" PRIu64 " bytes=%" PRIu64 " damaged=%" PRIu64
		 " missing=%" PRIu64 " healed=%" PRIu64,
		 n->looked, n->looked_bytes, n->damaged, n->missing, n->healed);
	publish(run);
	return r;
}

static void free_run(void *arg)
{
	struct run *run = arg;

	buf_free(&run->missing);
	free(run);
}

static int start(struct scrubber *s, const char *etag, uint64_t *ret_job)
{
	struct run *run = calloc(1, sizeof(*run));

	if (!run)
		return -ENOMEM;
	run->scrubber = s;
	snprintf(run->etag, sizeof(run->etag), "%s", etag);
	return keeper_start_job(s->conf.server->keeper, JOB_SCRUB, *etag ? etag : WHAT, work, run,
				free_run, ret_job);
}

int scrubber_start(struct scrubber *s, uint64_t *ret_job)
{
	return start(s, "", ret_job);
}

void scrubber_doubt(struct scrubber *s, const char *etag)
{
	uint64_t job;
	int r = start(s, etag, &job);

	if (r < 0)
		log_warn(r, "a blob has not the chunks that it should, and is not read now etag=%s",
			 etag);
}

/* ---- by itself ---- */

static int get_time(struct db_txn *t, void *arg)
{
	CLEANUP(buf_free) struct buf row = { 0 };
	int r = db_get(t, DB_META, db_text("scrub"), &row);

	*(int64_t *)arg = r == 0 ? strtoll(buf_str(&row), NULL, 10) : 0;
	return r == -ENOENT ? 0 : r;
}

/* A hub that was never scrubbed counts from its first start. */
static int is_time(struct scrubber *s)
{
	struct db *db = s->conf.server->rights.db;
	int64_t last_s = 0, now_s = clock_wall_s();
	int r = db_read(db, get_time, &last_s);

	if (r == 0 && !last_s)
		return db_write(db, note_time, &now_s);
	return r < 0 ? r : now_s - last_s >= s->conf.every_s;
}

static void look(void *arg, uint64_t number UNUSED)
{
	struct scrubber *s = arg;
	const struct work again = { .fn = look, .arg = s, .delay_ms = LOOK_MS };
	uint64_t job;
	int r = is_time(s);

	if (r == 1)
		r = scrubber_start(s, &job);
	if (r < 0 && r != ERR_STOPPING)
		log_warn(r, "cannot scrub uploads now");
	if (workers_add(s->conf.server->receivers, &again) < 0)
		log_debug("uploads are not scrubbed by themselves until the next start");
}

void scrubber_begin(struct scrubber *s)
{
	if (s->conf.every_s)
		look(s, 0);
}

/* ---- made, asked, freed ---- */

int scrubber_new(const struct scrubber_conf *conf, struct scrubber **ret)
{
	struct scrubber *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->conf = *conf;
	lock_init(&s->lock, LOCK_COLLECTOR);
	*ret = s;
	return 0;
}

void scrubber_free(struct scrubber *s)
{
	if (!s)
		return;
	buf_free(&s->missing);
	lock_fini(&s->lock);
	free(s);
}

struct telling {
	void (*fn)(void *arg, const char *etag, bool missing);
	void *arg;
	unsigned left;
};

static int tell_damaged(void *arg, const char *etag)
{
	struct telling *t = arg;

	t->fn(t->arg, etag, false);
	return --t->left == 0;
}

void scrubber_tell(struct scrubber *s, struct scrubber_report *ret,
		   void (*fn)(void *arg, const char *etag, bool missing), void *arg)
{
	CLEANUP(buf_free) struct buf missing = { 0 };
	struct telling t = { fn, arg, SCRUBBER_TOLD_MAX };
	struct intake *in = s->conf.server->intake;

	lock_take(&s->lock);
	*ret = s->report;
	buf_add(&missing, s->missing.data, s->missing.len);
	lock_drop(&s->lock);
	if (aside_each_damaged(in, tell_damaged, &t) < 0)
		log_debug("what is damaged cannot be listed");
	for (size_t at = 0; at < missing.len; at += ETAG_ROOM)
		if (!intake_is_there(in, missing.data + at))
			fn(arg, missing.data + at, true);
}

static void count(void *arg, const char *etag UNUSED, bool missing UNUSED)
{
	++*(unsigned *)arg;
}

unsigned scrubber_lost(struct scrubber *s)
{
	struct scrubber_report report;
	unsigned n = 0;

	if (s)
		scrubber_tell(s, &report, count, &n);
	return n;
}
