/* SPDX-License-Identifier: Apache-2.0 */
/* What is told of as one is gathered here until it is over; all else goes to the writer at once. */
#include "admin/audit/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "admin/audit/audit_saved.h"
#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/file.h"
#include "daemon/base/lock.h"
#include "daemon/base/log.h"

#define SAVE_MS (AUDIT_FLUSH_MS / 2)
#define SAVED_MANY 256 /* as many open events take a while to be saved */
#define SAVED_MANY_MS 5000

struct audit {
	struct audit_conf conf;
	struct audit_writer *writer;
	int dirfd;        /* of the trail */
	int64_t saved_ms; /* the writer's thread's: when it saved what is open */
	struct lock lock;
	/* Guarded by lock. */
	struct audit_table downloads, refusals;
	uint64_t changes, saved; /* of what is open, and which of them were saved */
	bool watched;            /* the writer's thread looks at it each second */
};

/* --- at once */

void audit_note(struct audit *a, const struct audit_record *rec)
{
	if (a)
		audit_writer_put(a->writer, rec);
}

int audit_commit(struct audit *a, const struct audit_record *rec, struct waiter *w)
{
	return a ? audit_writer_commit(a->writer, rec, w) : 0;
}

int audit_may_change(const struct audit *a)
{
	int r = a ? audit_writer_refusing(a->writer) : 0;

	return r < 0 && err_is_full(r) ? ERR_FULL : r;
}

int audit_may_read(const struct audit *a)
{
	return a && a->conf.strict ? audit_may_change(a) : 0;
}

/* --- what is told of as one */

/* Of what is open, which the writer's thread looks after. */
static void note_change_locked(struct audit *a)
{
	a->changes++;
	if (!a->watched)
		audit_writer_nudge(a->writer);
	a->watched = true;
}

static struct audit_record *take_over(struct audit *a, struct audit_table *t, bool all)
{
	struct audit_record *rec = NULL;

	lock_take(&a->lock);
	if (all || audit_writer_has_room(a->writer))
		rec = audit_table_over(t, clock_ms(), all);
	if (rec)
		a->changes++;
	lock_drop(&a->lock);
	return rec;
}

/* Those that are over are told of, or stay until there is room. */
static void collect(struct audit *a, struct audit_table *t, bool all)
{
	struct audit_record *rec;

	while ((rec = take_over(a, t, all))) {
		audit_writer_push(a->writer, rec);
		free(rec);
	}
}

void audit_download_begin(struct audit *a, const struct audit_record *rec)
{
	int r;

	if (!a)
		return;
	lock_take(&a->lock);
	r = audit_table_begin(&a->downloads, rec);
	note_change_locked(a);
	lock_drop(&a->lock);
	if (r < 0)
		log_debug("no memory to join the requests of a download");
}

/* It could not be joined to others. */
static void tell_alone(struct audit *a, const struct audit_record *rec, uint64_t sent, bool cut)
{
	struct audit_record alone = *rec;

	alone.bytes = sent;
	alone.requests = 1;
	alone.outcome = cut ? AUDIT_CUT : AUDIT_PART;
	audit_writer_push(a->writer, &alone);
}

void audit_download_end(struct audit *a, const struct audit_record *rec,
			const struct audit_span *spans, unsigned count, uint64_t sent, bool cut)
{
	int r;

	if (!a)
		return;
	audit_writer_wait_for_room(a->writer);
	lock_take(&a->lock);
	r = audit_table_end(&a->downloads, rec, spans, count, sent, cut, clock_ms());
	note_change_locked(a);
	lock_drop(&a->lock);
	if (r < 0)
		tell_alone(a, rec, sent, cut);
	collect(a, &a->downloads, false);
}

void audit_refusal(struct audit *a, const struct audit_record *rec)
{
	int r;

	if (!a)
		return;
	audit_writer_wait_for_room(a->writer);
	lock_take(&a->lock);
	r = audit_table_refused(&a->refusals, rec, clock_ms());
	note_change_locked(a);
	lock_drop(&a->lock);
	if (r != 0)
		audit_writer_push(a->writer, rec);
	collect(a, &a->refusals, false);
}

/* --- what is open, for the next start after a kill */

/* As it would be told by that. */
static void add_saved(void *arg, const struct audit_record *rec)
{
	struct audit_record cut = *rec;

	if (!strcmp(rec->kind, AUDIT_DOWNLOAD) &&
	    !(cut.outcome && !strcmp(cut.outcome, AUDIT_REFUSED)))
		cut.outcome = AUDIT_CUT;
	cut.note = "the hub was killed";
	audit_record_body(&cut, arg);
	buf_add(arg, "\n", 1);
}

/* False if nothing changed, or not long ago. */
static bool print_open(struct audit *a, bool stop, struct buf *ret)
{
	size_t count;
	bool due;

	lock_take(&a->lock);
	count = audit_table_count(&a->downloads) + audit_table_count(&a->refusals);
	due = stop || clock_ms() >= a->saved_ms + (count > SAVED_MANY ? SAVED_MANY_MS : SAVE_MS);
	due = due && a->changes != a->saved;
	if (due) {
		a->saved = a->changes;
		audit_table_each(&a->downloads, add_saved, ret);
		audit_table_each(&a->refusals, add_saved, ret);
	}
	lock_drop(&a->lock);
	return due;
}

/* What is over was written before: it is rather told twice than not at all. */
static void save(void *arg, bool stop)
{
	CLEANUP(buf_free) struct buf bodies = { 0 };
	struct audit *a = arg;
	int r;

	if (!print_open(a, stop, &bodies))
		return;
	a->saved_ms = clock_ms();
	r = audit_saved_put(a->dirfd, &bodies);
	if (r < 0)
		log_debug("what is under way is not saved: %s", err_text(r));
}

static bool collect_all(void *arg, bool stop)
{
	struct audit *a = arg;
	bool watched;

	collect(a, &a->downloads, stop);
	collect(a, &a->refusals, stop);
	lock_take(&a->lock);
	a->watched = watched = audit_table_count(&a->downloads) ||
			       audit_table_count(&a->refusals) || a->changes != a->saved;
	lock_drop(&a->lock);
	return watched;
}

/* --- opening and closing */

static void note_start(struct audit *a, const struct audit_mended *m)
{
	CLEANUP(buf_free) struct buf note = { 0 };
	struct audit_record rec = { .kind = AUDIT_HUB, .act = "start", .outcome = AUDIT_DONE };

	buf_add_str(&note, "matrixhubd " MATRIXFS_VERSION);
	if (m->cut)
		buf_printf(&note, "; cut off %ju bytes of unfinished writes", (uintmax_t)m->cut);
	if (m->missing)
		buf_printf(&note, "; %ju records are missing before this one",
			   (uintmax_t)m->missing);
	if (m->changed)
		buf_printf(&note, "; record %ju is not the one that was witnessed",
			   (uintmax_t)m->changed);
	if (m->no_head)
		buf_add_str(&note, "; what told how many records there are was missing");
	rec.note = buf_str(&note);
	if (m->missing || m->changed || m->no_head)
		log_err(ERR_CORRUPT, "the audit trail was changed missing=%ju not_as_witnessed=%ju",
			(uintmax_t)m->missing, (uintmax_t)m->changed);
	audit_note(a, &rec);
}

static int add_body(void *arg, const char *body, size_t len)
{
	audit_writer_push_body(arg, body, len);
	return 0;
}

static int open_writer(struct audit *a, struct audit_mended *m)
{
	CLEANUP(buf_free) struct buf path = { 0 };
	struct audit_writer_conf conf = {
		.segment_bytes = a->conf.segment_bytes,
		.keep_s = a->conf.keep_s,
		.db = a->conf.db,
		.before = collect_all,
		.after = save,
		.arg = a,
	};
	int r = buf_printf(&path, "%s/" AUDIT_DIR, a->conf.dir);

	if (r == 0)
		r = file_mkdirs(buf_str(&path));
	conf.dirfd = r < 0 ? r : audit_dir_open(a->conf.dir);
	if (conf.dirfd < 0)
		return conf.dirfd;
	a->dirfd = fcntl(conf.dirfd, F_DUPFD_CLOEXEC, 0);
	if (a->dirfd < 0) {
		r = -errno;
		closep(&conf.dirfd);
		return r;
	}
	return audit_writer_open(&conf, &a->writer, m);
}

void audit_free(struct audit *a)
{
	if (!a)
		return;
	audit_writer_free(a->writer);
	closep(&a->dirfd);
	audit_table_fini(&a->downloads);
	audit_table_fini(&a->refusals);
	lock_fini(&a->lock);
	free(a);
}

/* What was under way when the last hub was killed is told of first; its file goes when this is on
 * disk. */
static int begin(struct audit *a)
{
	struct audit_mended mended = { 0 };
	int r = open_writer(a, &mended);

	if (r < 0)
		return r;
	note_start(a, &mended);
	r = audit_saved_each(a->dirfd, add_body, a->writer);
	a->changes++;
	audit_writer_nudge(a->writer);
	return r < 0 ? r : audit_writer_start(a->writer);
}

int audit_open(const struct audit_conf *conf, struct audit **ret, struct buf *why)
{
	struct audit *a = calloc(1, sizeof(*a));
	int r;

	if (!a)
		return -ENOMEM;
	a->conf = *conf;
	a->dirfd = -1;
	a->downloads.idle_ms = AUDIT_IDLE_MS;
	a->refusals.idle_ms = AUDIT_FLOOD_MS;
	lock_init(&a->lock, LOCK_AUDIT);
	r = begin(a);
	if (r < 0) {
		buf_printf(why, "cannot open the audit trail %s/" AUDIT_DIR ": %s", conf->dir,
			   err_text(r));
		audit_free(a);
		return r;
	}
	*ret = a;
	return 0;
}

bool audit_stop(struct audit *a, int64_t deadline_ms)
{
	const struct audit_record rec = { .kind = AUDIT_HUB, .act = "stop", .outcome = AUDIT_DONE };

	if (!a)
		return true;
	collect(a, &a->downloads, true);
	collect(a, &a->refusals, true);
	audit_writer_push(a->writer, &rec);
	return audit_writer_stop(a->writer, deadline_ms);
}

void audit_stats(struct audit *a, struct audit_stats *ret)
{
	*ret = (struct audit_stats){ 0 };
	if (!a)
		return;
	audit_writer_stats(a->writer, ret);
	lock_take(&a->lock);
	ret->open = audit_table_count(&a->downloads);
	lock_drop(&a->lock);
}

void audit_mark(struct audit *a, struct audit_mark *ret)
{
	*ret = (struct audit_mark){ .hash = AUDIT_NO_HASH };
	if (a)
		audit_writer_mark(a->writer, ret);
}
