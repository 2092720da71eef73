/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/collector.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/registry/sweep_blobs.h"
#include "admin/registry/sweep_rows.h"
#include "admin/registry/xorbs_sweep.h"
#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/lock.h"
#include "daemon/base/log.h"
#include "daemon/base/num.h"
#include "daemon/base/workers.h"
#include "daemon/keeper.h"

#define HOUR_MS (60 * 60 * 1000)
#define FIRST_MS (10 * 60 * 1000) /* after the start: whoever starts it often has it, too */
#define REST_MS_MAX 500
#define GRACES 7 /* what an upload that goes on has sent waits so many */
#define WHAT_DRY "dry run"

/* An item that is told of later. */
struct kept {
	char id[SWEEP_ETAG], repo[REPO_KEY_MAX + 1];
	const char *what, *why;
	uint64_t bytes;
};

struct told {
	struct collector_report report;
	struct buf items; /* struct kept */
};

struct collector {
	struct collector_conf conf;
	struct lock lock;
	struct told told[2]; /* of the last one, and of the last dry one; guarded by lock */
};

/* One run. */
struct run {
	struct collector *c;
	struct job *job;
	bool dry;
	int64_t since_ms; /* it has not rested */
	struct told told;
};

/* ---- a run ---- */

/* Half of the time is for others: of the processor, of the disk, and of the one place for writers.
 */
static int rest(void *arg, const struct sweep_counts *so_far)
{
	struct run *run = arg;
	const struct job_progress p = { .files_done = (uint32_t)so_far->looked,
					.files_total = (uint32_t)so_far->looked,
					.bytes_done = so_far->looked_bytes,
					.bytes_total = so_far->looked_bytes };
	int64_t ms = min_i64(clock_ms() - run->since_ms, REST_MS_MAX);
	int r = job_is_over(run->job) ? ERR_CANCELED : 0;

	job_tell(run->job, &p);
	if (r == 0 && ms > 0)
		r = job_sleep(run->job, ms);
	if (ms > 0)
		run->since_ms = clock_ms();
	return r;
}

static void take_item(void *arg, const struct sweep_item *item)
{
	struct run *run = arg;
	struct kept k = { .what = item->what, .why = item->why, .bytes = item->bytes };

	if (run->told.report.items++ >= COLLECTOR_ITEMS_MAX)
		return;
	snprintf(k.id, sizeof(k.id), "%s", item->id);
	snprintf(k.repo, sizeof(k.repo), "%s", item->repo ? item->repo : "");
	buf_add(&run->told.items, &k, sizeof(k));
}

static void tell_trail(const struct run *run)
{
	const struct sweep_counts *n = &run->told.report.counts;
	struct audit_record rec = { .kind = AUDIT_HUB, .act = "collect", .outcome = AUDIT_DONE };
	char note[160];

	if (run->dry || (!n->blobs && !n->objects && !n->uploads && !n->mended))
		return;
	snprintf(note, sizeof(note),
		 "blobs=%" PRIu64 " objects=%" PRIu64 " uploads=%" PRIu64 " mended=%" PRIu64,
		 n->blobs, n->objects, n->uploads, n->mended);
	rec.note = note;
	rec.has_bytes = true;
	rec.bytes = rec.size = n->bytes;
	audit_note(run->c->conf.server->audit, &rec);
}

static void publish(struct run *run)
{
	struct collector *c = run->c;
	struct told *to = &c->told[run->dry], old;

	lock_take(&c->lock);
	old = *to;
	*to = run->told;
	lock_drop(&c->lock);
	run->told = (struct told){ .items = { 0 } };
	buf_free(&old.items);
}

static int sweep(struct run *run, struct sweep *s)
{
	int r = sweep_rows(s);

	if (r == 0 || r == ERR_CORRUPT) {
		int blobs = sweep_blobs(s, r == ERR_CORRUPT);

		r = blobs < 0 ? blobs : r;
		if (r == -EBUSY)
			err_note(r, "a backup is under way");
	}
	buf_free(&s->doomed);
	run->told.report.counts = s->counts;
	run->told.report.ended_s = clock_wall_s();
	run->told.report.done = r == 0;
	return r;
}

/* Without a grace not even what came in this second is spared. */
static int64_t spared_since(const struct collector_conf *conf)
{
	return conf->grace_s ? clock_wall_s() - conf->grace_s : INT64_MAX;
}

static int work(struct job *j, void *arg)
{
	struct run *run = arg;
	const struct collector_conf *conf = &run->c->conf;
	struct server *server = conf->server;
	struct sweep s = {
		.db = server->rights.db,
		.intake = server->intake,
		.parts = server->parts,
		.xorbs = server->xorbs,
		.before_s = spared_since(conf),
		.dry = run->dry,
		.rest = rest,
		.tell = take_item,
		.arg = run,
	};
	int r;

	run->job = j;
	run->since_ms = clock_ms();
	run->told.report.began_s = clock_wall_s();
	r = run->dry ? 0 : audit_may_change(server->audit);
	if (r == 0)
		r = sweep(run, &s);
	tell_trail(run);
	log_info("%s blobs=%" PRIu64 " bytes=%" PRIu64 " objects=%" PRIu64 " uploads=%" PRIu64,
		 run->dry ? "would collect" : "collected", s.counts.blobs, s.counts.bytes,
		 s.counts.objects, s.counts.uploads);
	publish(run);
	return r;
}

static void free_run(void *arg)
{
	struct run *run = arg;

	buf_free(&run->told.items);
	free(run);
}

int collector_start(struct collector *c, bool dry, uint64_t *ret_job)
{
	struct run *run = calloc(1, sizeof(*run));

	if (!run)
		return -ENOMEM;
	run->c = c;
	run->dry = dry;
	return keeper_start_job(c->conf.server->keeper, JOB_COLLECT, dry ? WHAT_DRY : "", work, run,
				free_run, ret_job);
}

/* ---- by itself ---- */

static void add_work(struct collector *c, void (*fn)(void *, uint64_t), int64_t delay_ms)
{
	const struct work w = { .fn = fn, .arg = c, .delay_ms = delay_ms };

	if (workers_add(c->conf.server->receivers, &w) < 0)
		log_debug("nothing is collected by itself until the next start");
}

static void collect_again(void *arg, uint64_t number UNUSED)
{
	struct collector *c = arg;
	uint64_t job;
	int r = collector_start(c, false, &job);

	if (r < 0 && r != ERR_STOPPING)
		log_warn(r, "cannot collect now");
	add_work(c, collect_again, c->conf.every_s * 1000);
}

static void sweep_parts(void *arg, uint64_t number UNUSED)
{
	struct collector *c = arg;
	struct server *s = c->conf.server;
	int64_t since = spared_since(&c->conf);
	int r;

	parts_sweep(s->parts, since);
	r = xorbs_sweep(s->xorbs, s->rights.db, since, since - (GRACES - 1) * c->conf.grace_s);
	if (r < 0)
		log_warn(r, "cannot remove what was sent and never used");
	add_work(c, sweep_parts, HOUR_MS);
}

void collector_begin(struct collector *c)
{
	add_work(c, sweep_parts, 0);
	if (c->conf.every_s)
		add_work(c, collect_again, min_i64(c->conf.every_s * 1000, FIRST_MS));
}

/* ---- made, asked, freed ---- */

int collector_new(const struct collector_conf *conf, struct collector **ret)
{
	struct collector *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->conf = *conf;
	lock_init(&c->lock, LOCK_COLLECTOR);
	*ret = c;
	return 0;
}

void collector_free(struct collector *c)
{
	if (!c)
		return;
	buf_free(&c->told[0].items);
	buf_free(&c->told[1].items);
	lock_fini(&c->lock);
	free(c);
}

void collector_tell(struct collector *c, bool dry, struct collector_report *ret, collector_fn fn,
		    void *arg)
{
	CLEANUP(buf_free) struct buf items = { 0 };
	const struct told *t = &c->told[dry];

	lock_take(&c->lock);
	*ret = t->report;
	buf_add(&items, t->items.data, t->items.len);
	lock_drop(&c->lock);
	for (size_t at = 0; at + sizeof(struct kept) <= items.len; at += sizeof(struct kept)) {
		const struct kept *k = (const void *)(items.data + at);
		const struct sweep_item item = { k->what, k->id, k->repo[0] ? k->repo : NULL,
						 k->bytes, k->why };

		fn(arg, &item);
	}
}
