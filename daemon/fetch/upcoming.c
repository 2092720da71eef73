/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/fetch/upcoming.h"

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/log.h"
#include "daemon/base/num.h"
#include "daemon/cache/chunk.h"
#include "daemon/fetch/plan.h"
#include "daemon/names/known.h"

#define ITEMS_MAX 512
#define OPEN_MAX 24                      /* at once, as many as there are streams */
#define EDGE_BYTES (UINT64_C(1) << 20)   /* a head, or a tail */
#define STEP_BYTES (UINT64_C(128) << 20) /* on its way of one file: the most that is for nothing */
#define WHOLE_BYTES_MAX (UINT64_C(8) << 30) /* before any reader comes to them */
#define STALL_MS 30000                      /* of what no reader's handle bounds in time */
#define STALL_WHOLE_MS 600000 /* readers come first, and may need the whole link for long */

struct upcoming_item {
	struct upcoming_item *next;
	struct snapshot *snapshot; /* a count of it */
	uint32_t file;
	enum upcoming_part part;
	uint64_t cause;
	int64_t until_ms;
	struct pull *pull;       /* NULL: not begun */
	uint64_t got, asked, to; /* all before `got` is there */
	int64_t moved_ms;
};

static uint64_t size_of(const struct upcoming_item *i)
{
	return manifest_file(i->snapshot->files, i->file)->size;
}

static void free_item(struct upcoming *u, struct upcoming_item *i)
{
	if (i->pull) {
		fetch_give_up(u->fetch, i->pull);
		u->open--;
	}
	snapshot_unref(i->snapshot);
	free(i);
	u->count--;
}

static bool is_asked(const struct upcoming *u, const struct snapshot *s, uint32_t file,
		     enum upcoming_part part)
{
	for (const struct upcoming_item *i = u->first; i; i = i->next)
		if (i->snapshot == s && i->file == file && i->part == part)
			return true;
	return false;
}

void upcoming_add(struct upcoming *u, struct snapshot *s, uint32_t file, enum upcoming_part part,
		  uint64_t cause)
{
	struct upcoming_item **end = &u->first, *i;

	if (u->count == ITEMS_MAX || is_asked(u, s, file, part))
		return;
	i = calloc(1, sizeof(*i));
	if (!i)
		return;
	*i = (struct upcoming_item){
		.snapshot = snapshot_ref(s),
		.file = file,
		.part = part,
		.cause = cause,
		.until_ms = CLOCK_FOREVER,
	};
	while (*end)
		end = &(*end)->next;
	*end = i;
	u->count++;
}

void upcoming_end(struct upcoming *u, uint64_t cause, int64_t linger_ms)
{
	for (struct upcoming_item *i = u->first; i; i = i->next)
		if (i->cause == cause && i->part == UPCOMING_WHOLE)
			i->until_ms = clock_ms() + linger_ms;
}

void upcoming_drop(struct upcoming *u)
{
	struct upcoming_item *i;

	while ((i = u->first)) {
		u->first = i->next;
		free_item(u, i);
	}
}

/* ---- one file ---- */

/* How much of a whole file may be upcoming, given what the others are. */
static uint64_t whole_bytes(const struct upcoming *u, uint64_t size)
{
	uint64_t left = WHOLE_BYTES_MAX;

	for (const struct upcoming_item *i = u->first; i; i = i->next)
		if (i->pull && i->part == UPCOMING_WHOLE)
			left -= i->to - i->got < left ? i->to - i->got : left;
	return size < left ? size : chunk_floor(left);
}

static void set_range(const struct upcoming *u, struct upcoming_item *i)
{
	uint64_t size = size_of(i), edge = size < EDGE_BYTES ? size : EDGE_BYTES;

	i->got = i->asked = i->part == UPCOMING_TAIL ? chunk_floor(size - edge) : 0;
	i->to = i->part == UPCOMING_WHOLE  ? whole_bytes(u, size)
		: i->part == UPCOMING_TAIL ? size
					   : edge;
}

static bool begin(struct upcoming *u, struct upcoming_item *i)
{
	CLEANUP(buf_free) struct buf path = { 0 };
	struct source_blob what;
	struct pull *pull = NULL;
	int r = known_source_blob(i->snapshot, i->file, &path, &what);

	if (r == 0)
		r = fetch_open(u->fetch, &what, &pull);
	if (r < 0) {
		log_debug("not fetched before it is opened path=%s: %s", buf_str(&path),
			  err_text(r));
		return false;
	}
	set_range(u, i);
	i->pull = pull;
	i->moved_ms = clock_ms();
	u->open++;
	log_debug("fetched before it is opened path=%s from=%llu to=%llu", buf_str(&path),
		  (unsigned long long)i->got, (unsigned long long)i->to);
	return true;
}

/* Bytes asked for that are not there yet. */
static uint64_t on_its_way(struct upcoming_item *i)
{
	const struct blob *b = fetch_blob(i->pull);
	uint64_t size = size_of(i), bytes = 0;

	for (uint64_t off = i->got; off < i->asked; off = chunk_end(chunk_of(off), size)) {
		if (!blob_may_have(b, chunk_of(off)))
			bytes += chunk_end(chunk_of(off), size) - off;
		else if (off == i->got)
			i->got = chunk_end(chunk_of(off), size);
	}
	return bytes;
}

/* Asks for what comes next; false if that would be too much. */
static bool ask(struct upcoming *u, struct upcoming_item *i, uint64_t came)
{
	uint64_t before = i->got, way = on_its_way(i), left = i->to - i->asked, more;
	uint64_t step = min_u64(plan_ahead_max(came), STEP_BYTES);

	if (i->got != before)
		i->moved_ms = clock_ms();
	if (left == 0 || way > step / 2)
		return true;
	more = min_u64(left, step - way);
	if (!u->has_room(u->arg, way + more) ||
	    fetch_want(u->fetch, i->pull, i->asked, i->asked + more, URGENCY_PREFETCH) < 0)
		return false;
	i->asked += more;
	return true;
}

static bool is_done(const struct upcoming_item *i)
{
	if (blob_is_sealed(fetch_blob(i->pull)))
		return true;
	/* A whole file is held until it is sealed: or it would have to be digested anew. */
	return i->got >= i->to && (i->part != UPCOMING_WHOLE || i->to < size_of(i));
}

/* False if the item is of no use any more. */
static bool move_on(struct upcoming *u, struct upcoming_item *i)
{
	int64_t stall_ms = i->cause && i->part == UPCOMING_WHOLE ? STALL_WHOLE_MS : STALL_MS;
	struct fetch_use use;

	if (is_done(i) || clock_ms() - i->moved_ms > stall_ms)
		return false;
	fetch_use(u->fetch, i->pull, &use);
	if (i->part == UPCOMING_WHOLE && use.gaps)
		return false; /* somebody reads it meanwhile, and not all of it */
	return ask(u, i, use.came);
}

/* True if one that was asked for before it must be there first. */
static bool must_wait(const struct upcoming *u, const struct upcoming_item *i)
{
	if (u->open >= OPEN_MAX)
		return true;
	for (const struct upcoming_item *o = u->first; i->cause && o != i; o = o->next)
		if (o->cause == i->cause && o->part == UPCOMING_WHOLE && i->part == UPCOMING_WHOLE)
			return true;
	return false;
}

bool upcoming_step(struct upcoming *u)
{
	struct upcoming_item **at = &u->first, *i;

	while ((i = *at)) {
		bool keep = clock_ms() < i->until_ms;

		if (keep && !i->pull && !must_wait(u, i))
			keep = u->has_room(u->arg, CHUNK_BYTES) && begin(u, i);
		if (keep && i->pull)
			keep = move_on(u, i);
		if (keep) {
			at = &i->next;
			continue;
		}
		*at = i->next;
		free_item(u, i);
	}
	return u->first != NULL;
}
