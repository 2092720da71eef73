/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/audit/audit_debt.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/lock.h"
#include "daemon/base/log.h"

#define FORGET_MS 1000 /* what was paid meanwhile goes at once */
#define KEY_MAX (AUDIT_TEXT_MAX + AUDIT_DEBT_ACT_MAX + 2)

struct audit_debts {
	struct db *db;
	struct audit *audit; /* or NULL */
	struct workers *workers;
	struct lock lock;
	/* Guarded by lock. */
	struct buf paid; /* keys of rows that may go, a line each */
	bool waits;      /* they are going to, soon */
};

struct audit_debt {
	struct audit_debts *all;
	struct db *db;
	audit_tell_fn tell;
	void *arg;
	bool made;
	char key[KEY_MAX];
};

/* ---- rows ---- */

struct rows {
	audit_debt_fn fn;
	void *arg;
};

static int give_row(void *arg, struct db_key key, const char *val, size_t len)
{
	const struct rows *rows = arg;
	char text[DB_KEY_MAX + 1];

	snprintf(text, sizeof(text), "%.*s", (int)key.len, (const char *)key.data);
	return rows->fn(rows->arg, text, val, len);
}

static int give_rows(struct db_txn *t, void *arg)
{
	const struct db_key all = { 0 };

	return db_each(t, DB_OWED, all, all, give_row, arg);
}

int audit_debt_each(struct db *db, audit_debt_fn fn, void *arg)
{
	struct rows rows = { fn, arg };

	return db_read(db, give_rows, &rows);
}

static int forget(struct db_txn *t, void *arg)
{
	const struct buf *keys = arg;
	const char *at = buf_str(keys), *end;
	int r = 0;

	for (; r == 0 && (end = strchr(at, '\n')); at = end + 1)
		r = db_del(t, DB_OWED, (struct db_key){ at, (size_t)(end - at) });
	return r;
}

int audit_debt_forget(struct db *db, const struct buf *keys)
{
	return keys->len ? db_write(db, forget, (void *)(uintptr_t)keys) : 0;
}

/* ---- what was paid ---- */

/* A row that stays is found again at the next start, with its record in the trail. */
static void forget_paid(struct audit_debts *all)
{
	struct buf paid;
	int r;

	lock_take(&all->lock);
	paid = all->paid;
	all->paid = (struct buf){ 0 };
	all->waits = false;
	lock_drop(&all->lock);
	r = audit_debt_forget(all->db, &paid);
	if (r < 0)
		log_debug("rows of records that are durable stay: %s", err_text(r));
	buf_free(&paid);
}

static void forget_later(void *arg, uint64_t number UNUSED)
{
	forget_paid(arg);
}

static void note_paid(struct audit_debts *all, const char *key)
{
	const struct work work = { .fn = forget_later, .arg = all, .delay_ms = FORGET_MS };
	bool begins;

	lock_take(&all->lock);
	buf_printf(&all->paid, "%s\n", key);
	begins = !all->waits;
	all->waits = true;
	lock_drop(&all->lock);
	if (!begins || workers_add(all->workers, &work) == 0)
		return;
	lock_take(&all->lock);
	all->waits = false;
	lock_drop(&all->lock);
}

/* ---- one change ---- */

/* The number that comes next at the earliest: what is durable now is of other changes. */
static int print(struct audit_debts *all, const struct audit_record *rec, struct buf *ret)
{
	CLEANUP(buf_free) struct buf body = { 0 };
	char prev[AUDIT_HASH_HEX + 1] = AUDIT_NO_HASH;
	struct audit_mark mark;

	audit_mark(all->audit, &mark);
	audit_record_body(rec, &body);
	return body.failed ? body.failed
			   : audit_record_line(mark.seq + 1, clock_wall_ms(), body.data, body.len,
					       prev, ret);
}

static int owe(struct db_txn *t, void *arg)
{
	CLEANUP(buf_free) struct buf line = { 0 };
	struct audit_debt *d = arg;
	struct audit_record rec;
	int r;

	d->made = true;
	if (!d->all->audit)
		return 0;
	d->tell(d->arg, &rec);
	snprintf(d->key, sizeof(d->key), "%s %s", rec.request_id, rec.act);
	r = print(d->all, &rec, &line);
	return r < 0 ? r : db_put(t, DB_OWED, db_text(d->key), line.data, line.len);
}

struct db *audit_debt_db(struct audit_debt *d, audit_tell_fn tell, void *arg)
{
	d->tell = tell;
	d->arg = arg;
	d->made = false;
	return d->db;
}

bool audit_debt_made(const struct audit_debt *d)
{
	return d->made;
}

int audit_debt_pay(struct audit_debt *d)
{
	struct audit_record rec;
	int r;

	d->made = false;
	if (!d->all->audit)
		return 0;
	d->tell(d->arg, &rec);
	r = audit_commit(d->all->audit, &rec, NULL);
	if (r == 0)
		note_paid(d->all, d->key);
	return r;
}

int audit_debt_new(struct audit_debts *all, struct audit_debt **ret)
{
	struct audit_debt *d = calloc(1, sizeof(*d));
	int r = d ? db_also(all->db, owe, d, &d->db) : -ENOMEM;

	if (r < 0) {
		free(d);
		return r;
	}
	d->all = all;
	*ret = d;
	return 0;
}

void audit_debt_free(struct audit_debt *d)
{
	if (!d)
		return;
	db_close(d->db);
	free(d);
}

/* ---- all of them ---- */

int audit_debts_new(struct db *db, struct audit *audit, struct workers *workers,
		    struct audit_debts **ret)
{
	struct audit_debts *all = calloc(1, sizeof(*all));

	if (!all)
		return -ENOMEM;
	all->db = db;
	all->audit = audit;
	all->workers = workers;
	lock_init(&all->lock, LOCK_DEBTS);
	*ret = all;
	return 0;
}

void audit_debts_free(struct audit_debts *all)
{
	if (!all)
		return;
	forget_paid(all);
	buf_free(&all->paid);
	lock_fini(&all->lock);
	free(all);
}
