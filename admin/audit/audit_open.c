/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/audit/audit_open.h"

#include <errno.h>
#include <string.h>

#include "admin/account/client_address.h"
#include "daemon/base/num.h"
#include "daemon/model/manifest.h"

#define SPANS_MAX 32 /* pieces of a file that are remembered apart */
#define TEXTS 8      /* of a key */
#define ADDRESS_AT 3 /* among them */
#define FILE_AT 6
#define KEY_MAX (MANIFEST_PATH_MAX + TEXTS * (AUDIT_TEXT_MAX + sizeof(uint16_t)))

struct audit_open {
	struct audit_record *rec; /* owned */
	struct audit_open *prev, *next;
	bool is_quiet;                      /* on the list */
	unsigned sending;                   /* requests under way */
	int64_t until_ms;                   /* over then, if nothing comes */
	struct audit_span spans[SPANS_MAX]; /* that went out: apart and in order */
	unsigned span_count;
	size_t key_len;
	char key[];
};

struct key {
	size_t len;
	char text[KEY_MAX];
};

static void open_free(struct audit_open *o)
{
	if (!o)
		return;
	free(o->rec);
	free(o);
}

/* --- the pieces that went out */

static void remove_span(struct audit_open *o, unsigned i)
{
	o->span_count--;
	memmove(&o->spans[i], &o->spans[i + 1], (o->span_count - i) * sizeof(o->spans[0]));
}

/* With too many pieces one is forgotten: then it is not known to be whole, which it may be. */
static void add_span(struct audit_open *o, struct audit_span s)
{
	unsigned i = 0;

	while (i < o->span_count && o->spans[i].to < s.from)
		i++;
	while (i < o->span_count && o->spans[i].from <= s.to) {
		s.from = min_u64(s.from, o->spans[i].from);
		s.to = max_u64(s.to, o->spans[i].to);
		remove_span(o, i);
	}
	if (o->span_count == SPANS_MAX)
		return;
	memmove(&o->spans[i + 1], &o->spans[i], (o->span_count - i) * sizeof(s));
	o->spans[i] = s;
	o->span_count++;
}

static void add_spans(struct audit_open *o, const struct audit_span *spans, unsigned count,
		      uint64_t sent)
{
	for (unsigned i = 0; i < count && sent; i++) {
		uint64_t len = min_u64(sent, spans[i].to - spans[i].from);

		if (len)
			add_span(o, (struct audit_span){ spans[i].from, spans[i].from + len });
		sent -= len;
	}
}

static bool is_whole(const struct audit_open *o)
{
	return o->rec->size == 0 ||
	       (o->span_count == 1 && o->spans[0].from == 0 && o->spans[0].to >= o->rec->size);
}

/* --- the table */

static void leave_quiet(struct audit_table *t, struct audit_open *o)
{
	if (!o->is_quiet)
		return;
	*(o->prev ? &o->prev->next : &t->first) = o->next;
	*(o->next ? &o->next->prev : &t->last) = o->prev;
	o->prev = o->next = NULL;
	o->is_quiet = false;
	t->quiet--;
}

/* What is over already goes before all others. */
static void be_over(struct audit_table *t, struct audit_open *o)
{
	o->next = t->first;
	*(t->first ? &t->first->prev : &t->last) = o;
	t->first = o;
	o->is_quiet = true;
	t->quiet++;
}

static void be_quiet(struct audit_table *t, struct audit_open *o)
{
	o->prev = t->last;
	*(t->last ? &t->last->next : &t->first) = o;
	t->last = o;
	o->is_quiet = true;
	t->quiet++;
}

/* Each text behind its length: no two of them can be taken for others. Who guesses may call himself
 * something else each time, and come from all of a network; who downloads through the same gateway
 * as others is told from them by what he calls himself. */
static void make_key(const struct audit_record *rec, struct key *ret)
{
	char network[CLIENT_ADDRESS_MAX];
	const char *texts[TEXTS] = { rec->kind,  rec->user,
				     rec->token, rec->address,
				     rec->repo,  rec->commit,
				     rec->file,  rec->has_bytes ? rec->agent : NULL };
	size_t at = 0;

	if (rec->address && !rec->has_bytes) {
		client_address_network(rec->address, network);
		texts[ADDRESS_AT] = network;
	}
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		size_t max = i == FILE_AT ? MANIFEST_PATH_MAX : AUDIT_TEXT_MAX;
		uint16_t len = texts[i] ? (uint16_t)strnlen(texts[i], max) : UINT16_MAX;

		memcpy(ret->text + at, &len, sizeof(len));
		at += sizeof(len);
		if (texts[i])
			memcpy(ret->text + at, texts[i], len);
		at += texts[i] ? len : 0;
	}
	ret->len = at;
}

/* And what it is found by. */
static struct audit_open *find(const struct audit_table *t, const struct audit_record *rec,
			       struct key *ret_key)
{
	make_key(rec, ret_key);
	return map_find(&t->by_key, ret_key->text, ret_key->len);
}

static struct audit_open *make(struct audit_table *t, const struct audit_record *rec,
			       const struct key *key)
{
	struct audit_open *o = malloc(sizeof(*o) + key->len);

	if (!o)
		return NULL;
	*o = (struct audit_open){ .key_len = key->len };
	memcpy(o->key, key->text, key->len);
	o->rec = audit_record_copy(rec);
	if (!o->rec || map_put(&t->by_key, o->key, o->key_len, o) < 0) {
		open_free(o);
		return NULL;
	}
	o->rec->requests = 0;
	return o;
}

static void forget(struct audit_table *t, struct audit_open *o)
{
	leave_quiet(t, o);
	map_del(&t->by_key, o->key, o->key_len);
	open_free(o);
}

static int forget_one(void *arg, void *value)
{
	forget(arg, value);
	return 0;
}

void audit_table_fini(struct audit_table *t)
{
	map_each(&t->by_key, forget_one, t);
	map_fini(&t->by_key);
}

size_t audit_table_count(const struct audit_table *t)
{
	return t->by_key.count;
}

/* --- downloads */

int audit_table_begin(struct audit_table *t, const struct audit_record *rec)
{
	struct key key;
	struct audit_open *o = find(t, rec, &key);

	if (!o)
		o = make(t, rec, &key);
	if (!o)
		return -ENOMEM;
	leave_quiet(t, o);
	o->sending++;
	return 0;
}

int audit_table_end(struct audit_table *t, const struct audit_record *rec,
		    const struct audit_span *spans, unsigned count, uint64_t sent, bool cut,
		    int64_t now_ms)
{
	struct key key;
	struct audit_open *o = find(t, rec, &key);

	if (!o || !o->sending)
		return -ENOENT;
	add_spans(o, spans, count, sent);
	o->rec->bytes += sent;
	o->rec->requests++;
	o->rec->status = rec->status;
	o->rec->outcome = is_whole(o) ? AUDIT_DONE : cut ? AUDIT_CUT : AUDIT_PART;
	o->rec->why = cut && !is_whole(o) ? rec->why : NULL;
	if (--o->sending > 0)
		return 0;
	o->until_ms = is_whole(o) ? now_ms : now_ms + t->idle_ms;
	(is_whole(o) ? be_over : be_quiet)(t, o);
	return 0;
}

/* True if another one of somebody unknown may be told of now. */
static bool is_among_firsts(struct audit_table *t, int64_t now_ms)
{
	if (now_ms - t->firsts_ms >= t->idle_ms) {
		t->firsts_ms = now_ms;
		t->firsts = 0;
	}
	return t->firsts++ < AUDIT_FIRSTS_MAX;
}

int audit_table_refused(struct audit_table *t, const struct audit_record *rec, int64_t now_ms)
{
	const struct audit_record crowd = {
		.kind = rec->kind,
		.since_ms = rec->since_ms,
		.status = rec->status,
		.outcome = rec->outcome,
		.note = "from many addresses",
	};
	struct key key;
	struct audit_open *o = find(t, rec, &key);

	if (!o && !rec->user && !is_among_firsts(t, now_ms)) {
		rec = &crowd;
		o = find(t, rec, &key);
	}
	if (o) {
		if (!o->rec->requests++)
			o->rec->since_ms = rec->since_ms;
		return 0;
	}
	o = make(t, rec, &key);
	if (!o)
		return -ENOMEM;
	o->until_ms = now_ms + t->idle_ms;
	be_quiet(t, o);
	return 1;
}

/* --- what is over */

static bool is_told(const struct audit_open *o)
{
	return o->rec->requests || o->sending;
}

struct each {
	void (*fn)(void *arg, const struct audit_record *rec);
	void *arg;
};

static int each_one(void *arg, void *value)
{
	const struct audit_open *o = value;
	const struct each *e = arg;

	if (is_told(o))
		e->fn(e->arg, o->rec);
	return 0;
}

void audit_table_each(const struct audit_table *t,
		      void (*fn)(void *arg, const struct audit_record *rec), void *arg)
{
	struct map map = t->by_key; /* which this does not change */
	struct each e = { fn, arg };

	map_each(&map, each_one, &e);
}

static int any(void *arg, void *value)
{
	*(struct audit_open **)arg = value;
	return 1;
}

/* The record of what is over, or NULL if all of it was told. */
static struct audit_record *take(struct audit_table *t, struct audit_open *o)
{
	struct audit_record *rec = is_told(o) ? steal(o->rec) : NULL;

	forget(t, o);
	return rec;
}

struct audit_record *audit_table_over(struct audit_table *t, int64_t now_ms, bool all)
{
	struct audit_record *rec = NULL;
	struct audit_open *o = t->first;

	while (!rec && o && (all || o->until_ms <= now_ms || t->quiet > AUDIT_OPEN_MAX)) {
		rec = take(t, o);
		o = t->first;
	}
	if (!rec && all && map_each(&t->by_key, any, &o) == 1)
		rec = take(t, o);
	return rec;
}
