/* SPDX-License-Identifier: Apache-2.0 */
/* The trail is read from the segment on that the oldest row begins to count from: what is owed is
 * young, or was left by a disk that took nothing. */
#include "admin/audit/audit_replay.h"

#include <errno.h>
#include <string.h>

#include "admin/audit/audit_debt.h"
#include "admin/audit/audit_files.h"
#include "daemon/base/err.h"
#include "daemon/base/grow.h"
#include "daemon/base/log.h"

struct owed {
	char *key;               /* owned */
	struct jdoc *doc;        /* owned; of the texts below */
	struct audit_record rec; /* seq: that of the first record which can tell of it */
	bool told;
};

struct replay {
	struct owed *at;
	size_t count, cap;
};

static void replay_fini(struct replay *p)
{
	for (size_t i = 0; i < p->count; i++) {
		free(p->at[i].key);
		jdoc_free(p->at[i].doc);
	}
	free(p->at);
}

/* ---- what is owed ---- */

/* One that makes no sense stays, and is told of at each start. */
static int take_row(void *arg, const char *key, const char *line, size_t len)
{
	struct replay *p = arg;
	struct owed *o;
	int r = grow_list(p->at, p->count, p->cap);

	if (r < 0)
		return r;
	o = &p->at[p->count];
	*o = (struct owed){ .key = NULL };
	/* Without its newline. */
	r = audit_record_parse(line, len ? len - 1 : 0, &o->rec, &o->doc);
	if (r == 0 && (!o->rec.request_id || !o->rec.act)) {
		jdoc_free(o->doc);
		r = ERR_CORRUPT;
	}
	if (r == ERR_CORRUPT) {
		log_err(r, "a record that is owed cannot be read key=%s", key);
		return 0;
	}
	if (r < 0)
		return r;
	p->count++;
	o->key = strdup(key);
	return o->key ? 0 : -ENOMEM;
}

static int by_time(const void *a, const void *b)
{
	const struct owed *x = a, *y = b;

	return (x->rec.time_ms > y->rec.time_ms) - (x->rec.time_ms < y->rec.time_ms);
}

/* ---- what the trail has of it ---- */

static bool is(const char *a, const char *b)
{
	return a && b && !strcmp(a, b);
}

/* A failure of the same request tells of no change. */
static bool tells_of(const struct audit_record *rec, const struct owed *o)
{
	return rec->seq >= o->rec.seq && is(rec->request_id, o->rec.request_id) &&
	       is(rec->act, o->rec.act) && is(rec->outcome, o->rec.outcome);
}

static int compare(struct replay *p, const char *line, size_t len)
{
	struct audit_record rec;
	struct jdoc *doc;
	int r = audit_record_parse(line, len, &rec, &doc);

	if (r < 0)
		return r == -ENOMEM ? r : 0;
	for (size_t i = 0; i < p->count; i++)
		p->at[i].told |= tells_of(&rec, &p->at[i]);
	jdoc_free(doc);
	return 0;
}

/* Cheaper than to parse all of them. */
static bool may_tell(const struct replay *p, const char *line, size_t len)
{
	static const char member[] = ",\"request\":\"";
	const char *at = memmem(line, len, member, sizeof(member) - 1);
	size_t left = at ? len - (size_t)(at - line) - (sizeof(member) - 1) : 0;

	for (size_t i = 0; at && i < p->count; i++) {
		const char *id = p->at[i].rec.request_id;
		size_t id_len = strlen(id);

		if (id_len < left && !memcmp(at + sizeof(member) - 1, id, id_len))
			return true;
	}
	return false;
}

static int read_segment(struct replay *p, int dirfd, uint64_t number)
{
	CLEANUP(audit_lines_close) struct audit_lines lines = { .fd = -1 };
	const char *line;
	size_t len;
	int r = audit_lines_open(dirfd, number, 0, &lines);

	while (r == 0 && (r = audit_lines_next(&lines, &line, &len)) == 1)
		r = may_tell(p, line, len) ? compare(p, line, len) : 0;
	return r == -ENOENT ? 0 : r;
}

static uint64_t first_seq(const struct replay *p)
{
	uint64_t seq = UINT64_MAX;

	for (size_t i = 0; i < p->count; i++)
		seq = p->at[i].rec.seq < seq ? p->at[i].rec.seq : seq;
	return seq;
}

static int read_trail(struct replay *p, const char *dir)
{
	CLEANUP(audit_begins_free) struct audit_begins begins = { 0 };
	CLEANUP(closep) int dirfd = audit_dir_open(dir);
	uint64_t from = first_seq(p);
	int r = dirfd < 0 ? dirfd : audit_begins_list(dirfd, &begins);
	size_t i = begins.count;

	while (i && (!begins.at[i - 1].whole || begins.at[i - 1].seq > from))
		i--;
	for (i = i ? i - 1 : 0; r == 0 && i < begins.count; i++)
		r = read_segment(p, dirfd, begins.at[i].number);
	return r;
}

/* ---- what is recorded now ---- */

static int record(struct audit *audit, const struct owed *o)
{
	CLEANUP(buf_free) struct buf note = { 0 };
	struct audit_record rec = o->rec;

	if (rec.note)
		buf_printf(&note, "%s; ", rec.note);
	buf_add_str(&note, AUDIT_REPLAYED);
	rec.note = buf_str(&note);
	return audit_commit(audit, &rec, NULL);
}

/* In the order in which they were made. */
static int record_all(struct replay *p, struct db *db, struct audit *audit, unsigned *ret_count)
{
	CLEANUP(buf_free) struct buf over = { 0 };

	for (size_t i = 0; i < p->count; i++) {
		struct owed *o = &p->at[i];
		int r = o->told ? 0 : record(audit, o);

		*ret_count += r == 0 && !o->told;
		if (r == 0)
			buf_printf(&over, "%s\n", o->key);
		else
			log_err(r, "a change is not recorded yet key=%s", o->key);
	}
	return audit_debt_forget(db, &over);
}

int audit_replay(const char *dir, struct db *db, struct audit *audit, unsigned *ret_count)
{
	CLEANUP(replay_fini) struct replay p = { 0 };
	int r;

	*ret_count = 0;
	if (!audit)
		return 0;
	r = audit_debt_each(db, take_row, &p);
	if (r < 0 || !p.count)
		return r;
	qsort(p.at, p.count, sizeof(*p.at), by_time);
	r = read_trail(&p, dir);
	return r < 0 ? r : record_all(&p, db, audit, ret_count);
}
