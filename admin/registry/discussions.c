/* SPDX-License-Identifier: Apache-2.0 */
/* Rows are JSON. Discussions lie in the order in which lists show them: by what is left of the
 * largest number. Events lie in the order in which they came. */
#include "admin/registry/discussions.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "daemon/base/err.h"
#include "daemon/base/jwrite.h"

#define ROW_KEY_MAX (REGISTRY_UID + 1 + 8 + 8 + 1)
#define NUM_MAX 99999999U

static const char *const statuses[] = { "open", "closed", "merged", "draft" };
static const char *const kinds[] = { "comment", "status-change", "commit", "title-change" };

const char *discussion_status_word(enum discussion_status status)
{
	return statuses[status];
}

bool discussion_is_over(const struct discussion *d)
{
	return d->status == DISCUSSION_CLOSED || d->status == DISCUSSION_MERGED;
}

const char *event_kind_word(enum event_kind kind)
{
	return kinds[kind];
}

void discussion_ref(unsigned num, char ret[static REGISTRY_REF_MAX + 1])
{
	snprintf(ret, REGISTRY_REF_MAX + 1, DISCUSSION_PULLS "%u", num);
}

unsigned discussion_of_ref(const char *ref)
{
	size_t len = strlen(DISCUSSION_PULLS), digits;

	if (strncmp(ref, DISCUSSION_PULLS, len) != 0)
		return 0;
	digits = strspn(ref + len, "0123456789");
	return digits && digits <= 8 && !ref[len + digits] && ref[len] != '0'
		       ? (unsigned)strtoul(ref + len, NULL, 10)
		       : 0;
}

/* The word's place in a list, or `count`. */
static size_t word_in(const char *const *list, size_t count, const char *word)
{
	size_t i = 0;

	while (i < count && (!word || strcmp(list[i], word) != 0))
		i++;
	return i;
}

/* ---- discussions ---- */

static struct db_key key_of(const char *uid, unsigned first, const unsigned *second,
			    char room[static ROW_KEY_MAX])
{
	int len = snprintf(room, ROW_KEY_MAX, "%.*s%c%08x", REGISTRY_UID, uid, '\0', first);

	if (second)
		len += snprintf(room + len, ROW_KEY_MAX - (size_t)len, "%08x", *second);
	return (struct db_key){ room, (size_t)len };
}

static void take_text(const struct jval *v, const char *name, char *ret, size_t cap)
{
	const char *text = jval_get_str(v, name);

	snprintf(ret, cap, "%s", text ? text : "");
}

static uint64_t take_count(const struct jval *v, const char *name)
{
	int64_t n = jval_get_size(v, name);

	return n < 0 ? 0 : (uint64_t)n;
}

static int parse(const char *row, size_t len, struct discussion *ret)
{
	CLEANUP(jdoc_freep) struct jdoc *doc = NULL;
	const struct jval *v;
	size_t status;
	int r = jdoc_parse(row, len, &doc);

	if (r < 0)
		return r == -ENOMEM ? r : ERR_CORRUPT;
	v = jdoc_root(doc);
	status = word_in(statuses, ARRAY_LEN(statuses), jval_get_str(v, "status"));
	*ret = (struct discussion){
		.num = (unsigned)take_count(v, "num"),
		.status = (enum discussion_status)status,
		.created_ms = jval_get_size(v, "created"),
		.events = take_count(v, "events"),
		.comments = take_count(v, "comments"),
		.bytes = take_count(v, "bytes"),
		.is_pull = jval_get(v, "onto") != NULL,
	};
	take_text(v, "title", ret->title, sizeof(ret->title));
	take_text(v, "author", ret->author, sizeof(ret->author));
	take_text(v, "onto", ret->onto, sizeof(ret->onto));
	take_text(v, "base", ret->base, sizeof(ret->base));
	take_text(v, "merged", ret->merged, sizeof(ret->merged));
	return ret->num && status < ARRAY_LEN(statuses) ? 0 : ERR_CORRUPT;
}

int discussion_get(struct db_txn *t, const char *uid, unsigned num, struct discussion *ret)
{
	CLEANUP(buf_free) struct buf row = { 0 };
	char room[ROW_KEY_MAX];
	int r = num > NUM_MAX
			? -ENOENT
			: db_get(t, DB_DISCUSSIONS, key_of(uid, NUM_MAX - num, NULL, room), &row);

	return r < 0 ? r : parse(buf_str(&row), row.len, ret);
}

int discussion_put(struct db_txn *t, const char *uid, const struct discussion *d)
{
	CLEANUP(buf_free) struct buf row = { 0 };
	struct jwrite w = { .to = &row };
	char room[ROW_KEY_MAX];

	jwrite_object(&w, NULL);
	jwrite_uint(&w, "num", d->num);
	jwrite_text(&w, "title", d->title);
	jwrite_text(&w, "author", d->author);
	jwrite_text(&w, "status", statuses[d->status]);
	jwrite_int(&w, "created", d->created_ms);
	jwrite_uint(&w, "events", d->events);
	jwrite_uint(&w, "comments", d->comments);
	jwrite_uint(&w, "bytes", d->bytes);
	if (d->is_pull) {
		jwrite_text(&w, "onto", d->onto);
		jwrite_text(&w, "base", d->base);
		jwrite_text(&w, "merged", d->merged);
	}
	jwrite_object_end(&w);
	if (row.failed)
		return row.failed;
	return db_put(t, DB_DISCUSSIONS, key_of(uid, NUM_MAX - d->num, NULL, room), row.data,
		      row.len);
}

struct each {
	discussion_fn fn;
	event_fn event;
	void *arg;
};

static int each_row(void *arg, struct db_key key UNUSED, const char *val, size_t len)
{
	const struct each *e = arg;
	struct discussion d;
	int r = parse(val, len, &d);

	return r == -ENOMEM ? r : r < 0 ? 0 : e->fn(e->arg, &d);
}

int discussion_each(struct db_txn *t, const char *uid, discussion_fn fn, void *arg)
{
	struct each e = { .fn = fn, .arg = arg };
	struct db_key all = { uid, REGISTRY_UID + 1 };

	return db_each(t, DB_DISCUSSIONS, all, (struct db_key){ 0 }, each_row, &e);
}

/* The number is in the key: a row that is damaged has one as well. */
static int note_num(void *arg, struct db_key key, const char *val UNUSED, size_t len UNUSED)
{
	char digits[9];

	snprintf(digits, sizeof(digits), "%.*s", 8, (const char *)key.data + REGISTRY_UID + 1);
	*(unsigned *)arg = NUM_MAX - (unsigned)strtoul(digits, NULL, 16);
	return 1;
}

int discussion_add(struct db_txn *t, const char *uid, struct discussion *d)
{
	struct db_key all = { uid, REGISTRY_UID + 1 };
	unsigned last = 0;
	int r = db_each(t, DB_DISCUSSIONS, all, (struct db_key){ 0 }, note_num, &last);

	if (r < 0 || last == NUM_MAX)
		return r < 0 ? r : -EFBIG;
	d->num = last + 1;
	d->events = d->comments = d->bytes = 0;
	return discussion_put(t, uid, d);
}

/* ---- events ---- */

static int parse_event(const struct jval *v, struct event *ret)
{
	size_t kind = word_in(kinds, ARRAY_LEN(kinds), jval_get_str(v, "kind"));

	*ret = (struct event){
		.kind = (enum event_kind)kind,
		.author = jval_get_str(v, "author"),
		.at_ms = jval_get_size(v, "at"),
		.text = jval_get_str(v, "text"),
		.other = jval_get_str(v, "other"),
		.hidden = jval_bool(jval_get(v, "hidden")) == 1,
		.editor = jval_get_str(v, "editor"),
		.edited_ms = (int64_t)take_count(v, "edited"),
		.history = jval_get(v, "history"),
	};
	take_text(v, "id", ret->id, sizeof(ret->id));
	ret->other = ret->other ? ret->other : "";
	return kind < ARRAY_LEN(kinds) && ret->author && ret->text ? 0 : ERR_CORRUPT;
}

static void print_event(const struct event *e, const struct buf *history, struct buf *ret)
{
	struct jwrite w = { .to = ret };

	jwrite_object(&w, NULL);
	jwrite_text(&w, "id", e->id);
	jwrite_text(&w, "kind", kinds[e->kind]);
	jwrite_text(&w, "author", e->author);
	jwrite_int(&w, "at", e->at_ms);
	jwrite_text(&w, "text", e->text);
	if (e->other && *e->other)
		jwrite_text(&w, "other", e->other);
	if (e->hidden)
		jwrite_bool(&w, "hidden", true);
	if (e->editor) {
		jwrite_text(&w, "editor", e->editor);
		jwrite_int(&w, "edited", e->edited_ms);
	}
	if (history && history->len)
		jwrite_json(&w, "history", buf_str(history));
	jwrite_object_end(&w);
}

int event_add(struct db_txn *t, const char *uid, struct discussion *d, const struct event *e)
{
	CLEANUP(buf_free) struct buf row = { 0 };
	unsigned at = (unsigned)d->events;
	char room[ROW_KEY_MAX];
	int r;

	print_event(e, NULL, &row);
	if (row.failed)
		return row.failed;
	if (d->bytes + row.len > DISCUSSION_BYTES_MAX)
		return -EFBIG;
	d->events++;
	d->comments += e->kind == EVENT_COMMENT;
	d->bytes += row.len;
	r = db_put(t, DB_EVENTS, key_of(uid, d->num, &at, room), row.data, row.len);
	return r < 0 ? r : discussion_put(t, uid, d);
}

static int each_event(void *arg, struct db_key key UNUSED, const char *val, size_t len)
{
	CLEANUP(jdoc_freep) struct jdoc *doc = NULL;
	const struct each *x = arg;
	struct event e;
	int r = jdoc_parse(val, len, &doc);

	if (r < 0)
		return r == -ENOMEM ? r : 0;
	return parse_event(jdoc_root(doc), &e) < 0 ? 0 : x->event(x->arg, &e);
}

int event_each(struct db_txn *t, const char *uid, unsigned num, event_fn fn, void *arg)
{
	struct each x = { .event = fn, .arg = arg };
	char room[ROW_KEY_MAX];

	return db_each(t, DB_EVENTS, key_of(uid, num, NULL, room), (struct db_key){ 0 }, each_event,
		       &x);
}

/* ---- comments that change ---- */

struct search {
	const char *id;
	char key[ROW_KEY_MAX];
	size_t key_len;
	struct buf row;
};

static int is_it(void *arg, struct db_key key, const char *val, size_t len)
{
	struct search *s = arg;
	CLEANUP(jdoc_freep) struct jdoc *doc = NULL;
	struct event e;

	if (jdoc_parse(val, len, &doc) < 0 || parse_event(jdoc_root(doc), &e) < 0 ||
	    e.kind != EVENT_COMMENT || strcmp(e.id, s->id) != 0 || key.len > sizeof(s->key))
		return 0;
	memcpy(s->key, key.data, key.len);
	s->key_len = key.len;
	return buf_add(&s->row, val, len) < 0 ? -ENOMEM : 1;
}

/* What it was before, with what it is now; the oldest go. */
static int add_past(const struct event *e, struct buf *ret)
{
	size_t count = jval_count(e->history), first = 0;
	struct jwrite w = { .to = ret };
	int r = 0;

	if (count >= DISCUSSION_EDITS_MAX)
		first = count - DISCUSSION_EDITS_MAX + 1;
	jwrite_array(&w, NULL);
	for (size_t i = first; r == 0 && i < count; i++) {
		CLEANUP(buf_free) struct buf text = { 0 };

		r = jdoc_print(jval_at(e->history, i), NULL, NULL, &text);
		jwrite_json(&w, NULL, buf_str(&text));
	}
	jwrite_object(&w, NULL);
	jwrite_text(&w, "raw", e->text);
	jwrite_time(&w, "updatedAt", e->edited_ms ? e->edited_ms : e->at_ms);
	jwrite_text(&w, "author", e->editor ? e->editor : e->author);
	jwrite_object_end(&w);
	jwrite_array_end(&w);
	return r < 0 ? r : ret->failed;
}

static int change(const struct event_change *c, const struct buf *old, struct buf *ret)
{
	CLEANUP(jdoc_freep) struct jdoc *doc = NULL;
	CLEANUP(buf_free) struct buf history = { 0 };
	struct event e = { .kind = EVENT_COMMENT };
	int r = jdoc_parse(buf_str(old), old->len, &doc);

	if (r == 0)
		r = parse_event(jdoc_root(doc), &e);
	if (r == 0 && !c->others && (strcasecmp(e.author, c->editor) != 0 || e.at_ms < c->since_ms))
		return -EPERM;
	if (r == 0 && e.hidden)
		return -EACCES;
	if (r == 0 && c->text)
		r = add_past(&e, &history);
	if (r < 0)
		return r;
	e.hidden = !c->text;
	e.text = c->text ? c->text : "";
	e.editor = c->editor;
	e.edited_ms = c->at_ms;
	print_event(&e, &history, ret);
	return ret->failed;
}

int event_edit(struct db_txn *t, const char *uid, struct discussion *d,
	       const struct event_change *c)
{
	CLEANUP(buf_free) struct buf row = { 0 };
	struct search s = { .id = c->id };
	char room[ROW_KEY_MAX];
	int r = db_each(t, DB_EVENTS, key_of(uid, d->num, NULL, room), (struct db_key){ 0 }, is_it,
			&s);

	r = r == 1 ? change(c, &s.row, &row) : r < 0 ? r : -ENOENT;
	if (r == 0 && d->bytes - s.row.len + row.len > DISCUSSION_BYTES_MAX)
		r = -EFBIG;
	if (r == 0) {
		d->bytes += row.len - s.row.len;
		r = db_put(t, DB_EVENTS, (struct db_key){ s.key, s.key_len }, row.data, row.len);
	}
	buf_free(&s.row);
	return r < 0 ? r : discussion_put(t, uid, d);
}
