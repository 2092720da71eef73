/* SPDX-License-Identifier: Apache-2.0 */
/* The key of a row is "uid NUL ref NUL number", ten digits: the numbers of all refs of a repository
 * are one row of numbers, whose last one stands at "uid NUL". */
#include "admin/registry/reflog.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/jdoc.h"
#include "daemon/base/jwrite.h"

#define DIGITS 10

/* "uid NUL" and, for one ref, "ref NUL". */
static struct db_key key_of(const char *uid, const char *ref, struct buf *room)
{
	buf_clear(room);
	buf_add(room, uid, REGISTRY_UID);
	buf_add(room, "", 1);
	if (ref) {
		buf_add_str(room, ref);
		buf_add(room, "", 1);
	}
	return (struct db_key){ room->data, room->failed ? 0 : room->len };
}

/* The next number of the repository. */
static int take_number(struct db_txn *t, const char *uid, uint64_t *ret)
{
	CLEANUP(buf_free) struct buf room = { 0 }, row = { 0 };
	struct db_key key = key_of(uid, NULL, &room);
	char digits[DIGITS + 1];
	int r = db_get(t, DB_REFLOG, key, &row);

	if (r < 0 && r != -ENOENT)
		return r;
	*ret = (r == 0 ? strtoull(buf_str(&row), NULL, 10) : 0) + 1;
	snprintf(digits, sizeof(digits), "%0*u", DIGITS, (unsigned)*ret);
	return db_put(t, DB_REFLOG, key, digits, DIGITS);
}

static void write_some(struct jwrite *w, const char *name, const char *text)
{
	if (text && *text)
		jwrite_text(w, name, text);
}

static int print_event(const struct ref_event *e, struct buf *ret)
{
	struct jwrite w = { .to = ret };

	jwrite_object(&w, NULL);
	jwrite_text(&w, "act", e->act);
	jwrite_int(&w, "at", clock_wall_s());
	write_some(&w, "commit", e->commit);
	write_some(&w, "was", e->was);
	write_some(&w, "user", e->user);
	write_some(&w, "why", e->why);
	write_some(&w, "rule", e->rule);
	write_some(&w, "from", e->from);
	write_some(&w, "checks", e->checks);
	jwrite_object_end(&w);
	return ret->failed;
}

int reflog_add(struct db_txn *t, const char *uid, const struct ref_event *e)
{
	CLEANUP(buf_free) struct buf room = { 0 }, row = { 0 };
	uint64_t number;
	int r = take_number(t, uid, &number);

	if (r == 0)
		r = print_event(e, &row);
	if (r < 0)
		return r;
	key_of(uid, e->ref, &room);
	r = buf_printf(&room, "%0*u", DIGITS, (unsigned)number);
	if (r < 0)
		return r;
	return db_put(t, DB_REFLOG, (struct db_key){ room.data, room.len }, row.data, row.len);
}

struct each {
	reflog_fn fn;
	void *arg;
};

static int tell(const struct each *e, const char *ref, const char *digits, const struct jdoc *doc)
{
	const struct jval *v = jdoc_root(doc);
	const struct ref_event event = {
		.number = strtoull(digits, NULL, 10),
		.at_s = jval_get_size(v, "at"),
		.ref = ref,
		.act = jval_get_str(v, "act"),
		.commit = jval_get_str(v, "commit"),
		.was = jval_get_str(v, "was"),
		.user = jval_get_str(v, "user"),
		.why = jval_get_str(v, "why"),
		.rule = jval_get_str(v, "rule"),
		.from = jval_get_str(v, "from"),
		.checks = jval_get_str(v, "checks"),
	};

	return event.act ? e->fn(e->arg, &event) : 0;
}

/* The row of the last number is no event. */
static int each_row(void *arg, struct db_key key, const char *val, size_t len)
{
	CLEANUP(jdoc_freep) struct jdoc *doc = NULL;
	char text[REGISTRY_REF_MAX + 1 + DIGITS + 1];
	size_t rest = key.len - REGISTRY_UID - 1, ref;
	int r;

	if (!rest || rest >= sizeof(text))
		return 0;
	memcpy(text, (const char *)key.data + REGISTRY_UID + 1, rest);
	text[rest] = '\0';
	ref = strlen(text);
	if (ref + 1 >= rest)
		return 0;
	r = jdoc_parse(val, len, &doc);
	if (r < 0)
		return r == -ENOMEM ? r : 0;
	return tell(arg, text, text + ref + 1, doc);
}

int reflog_each(struct db_txn *t, const char *uid, const char *ref, reflog_fn fn, void *arg)
{
	CLEANUP(buf_free) struct buf room = { 0 };
	struct each e = { fn, arg };
	struct db_key prefix = key_of(uid, ref, &room);

	if (!prefix.len)
		return -ENOMEM;
	return db_each(t, DB_REFLOG, prefix, (struct db_key){ 0 }, each_row, &e);
}
