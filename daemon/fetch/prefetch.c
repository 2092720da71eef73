/* SPDX-License-Identifier: Apache-2.0 */
/* A reader's first read makes a watch due, and its first two answers, and the one with which enough
 * of the file was read: at these moments the thread looks at it. While a header or something
 * upcoming is on its way it looks again every few milliseconds; else it sleeps. */
#include "daemon/fetch/prefetch.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/lock.h"
#include "daemon/base/log.h"
#include "daemon/base/map.h"
#include "daemon/base/num.h"
#include "daemon/cache/chunk.h"
#include "daemon/model/gguf.h"
#include "daemon/names/known.h"
#include "daemon/fetch/pressure.h"
#include "daemon/model/safetensors.h"
#include "daemon/model/shards.h"
#include "daemon/fetch/upcoming.h"

#define TICK_MS 20
#define HEADER_TICK_MS 2 /* what a reader leaves out is only seen by who knows the header */
#define NICE 10
#define LINGER_MS 10000 /* for the next reader to come to what is upcoming */
#define STALL_MS 30000
#define HEADS_UPCOMING 4
#define WHOLES_UPCOMING 2
#define HEADER_FRUGAL (UINT64_C(2) << 20) /* for one who may only want to look */
#define SMALL_BYTES (UINT64_C(1) << 20)   /* a small file has less */
#define SMALL_FILES_MAX 256
#define SMALL_TOTAL_MAX (UINT64_C(64) << 20)
#define SMALL_LOOK_MAX 100000 /* nodes of a manifest that are looked at */
#define TAIL_BYTES (UINT64_C(1) << 20)
#define KERNEL_AHEAD_BYTES (UINT64_C(16) << 20) /* two of its windows, see fs/mount.c */
#define ROOM_SHARE 16 /* one part in so many of the cache stays free of guesses */

struct watch_key {
	uint64_t snapshot, file;
};

struct watch {
	struct watch_key key;
	struct snapshot *snapshot; /* a count of it */
	uint32_t file;
	uint64_t size;
	enum shards_kind kind;
	uint64_t cause;       /* what is upcoming because of it */
	atomic_ullong read;   /* bytes given to readers */
	atomic_ullong due_at; /* so many make it due */
	atomic_uint answers;
	/* Guarded by the lock. */
	unsigned readers;
	bool due;
	struct watch *next_due;
	/* The thread's alone. */
	struct pull *pull;
	bool pending;            /* a header is awaited */
	uint64_t header, wanted; /* bytes of it as far as known, and asked for */
	int64_t header_ms;       /* awaited since then */
	bool has_header;         /* or it is none */
	bool has_first, has_heads, has_wholes;
};

struct prefetch {
	struct prefetch_conf conf;
	pthread_t thread;
	struct lock lock;
	struct cond wake;
	/* Guarded by lock. */
	bool stop;
	bool ended;         /* as has the thread: nobody looks at watches but those who have one */
	struct map watches; /* by key */
	struct watch *due, **due_end;
	uint64_t causes;
	/* The thread's alone. */
	struct upcoming upcoming;
	struct pressure pressure;
};

/* ---- what readers call ---- */

static void make_due_locked(struct prefetch *p, struct watch *w)
{
	if (w->due || p->stop)
		return;
	w->due = true;
	w->next_due = NULL;
	*p->due_end = w;
	p->due_end = &w->next_due;
	cond_wake_one(&p->wake);
}

static void make_due(struct prefetch *p, struct watch *w)
{
	lock_take(&p->lock);
	make_due_locked(p, w);
	lock_drop(&p->lock);
}

static void watch_free(struct watch *w)
{
	snapshot_unref(w->snapshot);
	free(w);
}

/* So many bytes given of a file show that its reader goes on to the end: half of it, and besides
 * what the kernel may have asked for that nobody has come to yet. */
static uint64_t enough(uint64_t size)
{
	return size / 2 + min_u64(KERNEL_AHEAD_BYTES, size / 4) + 1;
}

static struct watch *watch_new_locked(struct prefetch *p, struct snapshot *s, uint32_t file,
				      enum shards_kind kind)
{
	struct watch *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->key = (struct watch_key){ (uintptr_t)s, file };
	w->snapshot = snapshot_ref(s);
	w->file = file;
	w->size = manifest_file(s->files, file)->size;
	w->kind = kind;
	w->cause = ++p->causes;
	atomic_init(&w->due_at, enough(w->size));
	if (map_put(&p->watches, &w->key, sizeof(w->key), w) < 0) {
		watch_free(w);
		return NULL;
	}
	make_due_locked(p, w);
	return w;
}

struct watch *prefetch_watch(struct prefetch *p, struct snapshot *s, uint32_t file)
{
	const struct watch_key key = { (uintptr_t)s, file };
	enum shards_kind kind = shards_kind(manifest_name(s->files, file),
					    manifest_parent(s->files, file) == MANIFEST_ROOT);
	struct watch *w = NULL;

	if (kind == SHARDS_OTHER)
		return NULL;
	lock_take(&p->lock);
	if (!p->stop)
		w = map_find(&p->watches, &key, sizeof(key));
	if (!p->stop && !w)
		w = watch_new_locked(p, s, file, kind);
	if (w)
		w->readers++;
	lock_drop(&p->lock);
	return w;
}

void prefetch_read(struct prefetch *p, struct watch *w, uint64_t len)
{
	uint64_t before = atomic_fetch_add(&w->read, len), due_at = atomic_load(&w->due_at);
	bool early = atomic_fetch_add(&w->answers, 1) < 2;

	if (early || (before < due_at && before + len >= due_at))
		make_due(p, w);
}

/* The thread takes away what nobody reads, for it may be at it this moment; when it has ended,
 * prefetch_stop() does, and from then on whoever leaves last. */
void prefetch_leave(struct prefetch *p, struct watch *w)
{
	bool is_mine;

	lock_take(&p->lock);
	is_mine = --w->readers == 0 && p->ended;
	if (is_mine)
		map_del(&p->watches, &w->key, sizeof(w->key));
	else if (w->readers == 0)
		make_due_locked(p, w);
	lock_drop(&p->lock);
	if (is_mine)
		watch_free(w);
}

/* ---- what the thread does ---- */

static bool has_room(void *arg, uint64_t bytes)
{
	const struct prefetch_conf *conf = &((struct prefetch *)arg)->conf;
	struct cache_limits limits = store_limits(conf->store);
	uint64_t total, left, max = limits.max_bytes;

	if (max && store_used_bytes(conf->store) + bytes > max - max / ROOM_SHARE)
		return false;
	return store_space(conf->store, &total, &left) < 0 || left >= limits.min_free_bytes + bytes;
}

/* Its own handle of the file: what it wants then ends with the last reader and not with the first.
 * False if it cannot be had. */
static bool open_pull(struct prefetch *p, struct watch *w)
{
	CLEANUP(buf_free) struct buf path = { 0 };
	struct source_blob what;

	return w->pull || (known_source_blob(w->snapshot, w->file, &path, &what) == 0 &&
			   fetch_open(p->conf.fetch, &what, &w->pull) == 0);
}

static void want(struct prefetch *p, struct watch *w, uint64_t from, uint64_t to)
{
	if (from < to && has_room(p, to - from) &&
	    fetch_want(p->conf.fetch, w->pull, from, to, URGENCY_AHEAD) < 0)
		log_debug("a header is not fetched before it is read");
}

static bool is_there(const struct watch *w, uint64_t len)
{
	struct blob *b = fetch_blob(w->pull);

	for (uint64_t off = 0; off < len; off += CHUNK_BYTES)
		if (!blob_has(b, chunk_of(off)))
			return false;
	return true;
}

/* Reads the header as far as it is known to reach. EXTENTS_MORE: it reaches further. */
static int read_header(struct prefetch *p, struct watch *w)
{
	CLEANUP(freep) char *bytes = malloc(w->header);
	struct extents extents;
	uint64_t need;
	int r = bytes ? blob_read(fetch_blob(w->pull), bytes, w->header, 0) : -ENOMEM;

	if (r < 0)
		return r;
	r = w->kind == SHARDS_GGUF ? gguf_parse(bytes, w->header, w->size, &extents, &need)
				   : safetensors_parse(bytes, w->header, w->size, &extents, &need);
	if (r == EXTENTS_MORE)
		w->header = chunk_ceil(need, w->size);
	if (r == 0)
		fetch_tell_extents(p->conf.fetch, w->pull, &extents);
	return r;
}

/* Brings the header, reads it, and goes on while it turns out to reach further. */
static void step_header(struct prefetch *p, struct watch *w)
{
	uint64_t limit = atomic_load(&w->answers) > 1 ? w->size : HEADER_FRUGAL;
	int r = EXTENTS_MORE;

	if (w->header == 0)
		w->header = chunk_ceil(1, w->size);
	if (!w->pending)
		w->header_ms = clock_ms();
	while (r == EXTENTS_MORE && w->header <= limit && is_there(w, w->header))
		r = read_header(p, w);
	w->has_header = r != EXTENTS_MORE || clock_ms() - w->header_ms > STALL_MS;
	w->pending = !w->has_header && w->header <= limit;
	if (w->pending && w->wanted < w->header) {
		want(p, w, w->wanted, w->header);
		w->wanted = w->header;
	}
	if (r < 0)
		log_debug("no header path=%s: %s", manifest_name(w->snapshot->files, w->file),
			  err_text(r));
}

static void add_shards(struct prefetch *p, struct watch *w, enum upcoming_part part, unsigned count)
{
	const struct manifest *m = w->snapshot->files;
	uint32_t file = w->file;

	while (count-- > 0 && (file = shards_after(m, file)) != MANIFEST_NONE) {
		bool zip = shards_kind(manifest_name(m, file), false) == SHARDS_ZIP;

		upcoming_add(&p->upcoming, w->snapshot, file,
			     part == UPCOMING_HEAD && zip ? UPCOMING_TAIL : part, w->cause);
	}
}

/* Nodes are in the order of their depth: what lies in the root comes first. */
static void add_small_files(struct prefetch *p, struct watch *w)
{
	const struct manifest *m = w->snapshot->files;
	uint32_t nodes = manifest_count(m), files = 0;
	uint64_t total = 0;

	for (uint32_t i = 0; i < nodes && i < SMALL_LOOK_MAX && files < SMALL_FILES_MAX; i++) {
		const struct manifest_file *f = manifest_file(m, i);

		if (!f || i == w->file || f->size == 0 || f->size >= SMALL_BYTES ||
		    total + f->size > SMALL_TOTAL_MAX)
			continue;
		upcoming_add(&p->upcoming, w->snapshot, i, UPCOMING_WHOLE, 0);
		total += f->size;
		files++;
	}
}

/* True if its readers read all of it: enough was given to them, and no part was skipped. N readers
 * of one file count N times; what is there of it does not. */
static bool is_read_whole(struct prefetch *p, struct watch *w)
{
	uint64_t done = atomic_load(&w->read);
	struct fetch_use use;

	if (done < enough(w->size))
		return false;
	fetch_use(p->conf.fetch, w->pull, &use);
	if (!use.gaps && use.present > w->size / 2)
		return true;
	atomic_store(&w->due_at, done + w->size / 8 + 1); /* look again then */
	return false;
}

static void serve_weights(struct prefetch *p, struct watch *w)
{
	if (!open_pull(p, w))
		return;
	if (w->kind == SHARDS_ZIP && !w->has_first)
		want(p, w, w->size > TAIL_BYTES ? w->size - TAIL_BYTES : 0, w->size);
	w->has_first = true;
	if (w->kind != SHARDS_ZIP && !w->has_header)
		step_header(p, w);
	if (!w->has_heads && atomic_load(&w->answers) > 1) {
		w->has_heads = true;
		add_shards(p, w, UPCOMING_HEAD, HEADS_UPCOMING);
	}
	if (!w->has_wholes && is_read_whole(p, w)) {
		w->has_wholes = true;
		add_shards(p, w, UPCOMING_WHOLE, WHOLES_UPCOMING);
	}
}

static bool is_weights(const struct watch *w)
{
	return w->kind != SHARDS_INDEX && w->kind != SHARDS_CONFIG;
}

static bool is_memory_short(struct prefetch *p)
{
	return !p->conf.always && pressure_high(&p->pressure);
}

static void serve(struct prefetch *p, struct watch *w)
{
	if (is_memory_short(p)) {
		w->pending = false;
		return;
	}
	if (is_weights(w)) {
		serve_weights(p, w);
		return;
	}
	if (w->has_first)
		return;
	w->has_first = true;
	if (w->kind == SHARDS_INDEX)
		add_shards(p, w, UPCOMING_HEAD, HEADS_UPCOMING);
	else
		add_small_files(p, w);
}

static void close_pull(struct prefetch *p, struct watch *w)
{
	if (w->pull)
		fetch_close(p->conf.fetch, steal(w->pull));
}

/* Nobody reads it any more. Who read enough of it, as is easily done before anybody looks, goes on
 * to the next, as a rule. */
static void retire(struct prefetch *p, struct watch *w)
{
	bool used = atomic_load(&w->read) >= enough(w->size);

	if (used)
		serve(p, w);
	upcoming_end(&p->upcoming, w->cause, used ? LINGER_MS : 0);
	close_pull(p, w);
	watch_free(w);
}

static struct watch *take_due_locked(struct prefetch *p, bool *ret_gone)
{
	struct watch *w = p->due;

	if (!w)
		return NULL;
	p->due = w->next_due;
	if (!p->due)
		p->due_end = &p->due;
	w->due = false;
	*ret_gone = w->readers == 0;
	if (*ret_gone)
		map_del(&p->watches, &w->key, sizeof(w->key));
	return w;
}

static int make_pending_due(void *arg, void *value)
{
	struct watch *w = value;

	if (w->pending)
		make_due_locked(arg, w);
	return 0;
}

/* Serves what is due, and moves on what is upcoming; true if there is any of that. */
static bool round_locked(struct prefetch *p)
{
	struct watch *w;
	bool gone, is_more;

	map_each(&p->watches, make_pending_due, p);
	while (!p->stop && (w = take_due_locked(p, &gone))) {
		lock_drop(&p->lock);
		if (gone)
			retire(p, w);
		else
			serve(p, w);
		lock_take(&p->lock);
	}
	lock_drop(&p->lock);
	if (p->upcoming.first && is_memory_short(p))
		upcoming_drop(&p->upcoming);
	is_more = upcoming_step(&p->upcoming);
	lock_take(&p->lock);
	return is_more;
}

static int is_pending(void *arg, void *value)
{
	(void)arg;
	return ((struct watch *)value)->pending;
}

static int64_t next_look(bool pending, bool upcoming)
{
	if (pending)
		return clock_ms() + HEADER_TICK_MS;
	return upcoming ? clock_ms() + TICK_MS : CLOCK_FOREVER;
}

static void *prefetch_main(void *arg)
{
	struct prefetch *p = arg;

	thread_be_nice(NICE);
	lock_take(&p->lock);
	while (!p->stop) {
		bool upcoming = round_locked(p);
		bool pending = map_each(&p->watches, is_pending, NULL);

		if (!p->stop && !p->due)
			cond_wait(&p->wake, &p->lock, next_look(pending, upcoming));
	}
	lock_drop(&p->lock);
	return NULL;
}

/* ---- start and stop ---- */

int prefetch_start(const struct prefetch_conf *conf, struct prefetch **ret)
{
	struct prefetch *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	p->conf = *conf;
	p->upcoming = (struct upcoming){ .fetch = conf->fetch, .has_room = has_room, .arg = p };
	p->due_end = &p->due;
	lock_init(&p->lock, LOCK_PREFETCH);
	cond_init(&p->wake);
	pressure_init(&p->pressure, conf->root);
	r = thread_start(&p->thread, "mfs-prefetch", prefetch_main, p);
	if (r < 0) {
		p->stop = true;
		prefetch_free(p);
		return r;
	}
	*ret = p;
	return 0;
}

static int give_up(void *arg, void *value)
{
	struct prefetch *p = arg;
	struct watch *w = value;

	close_pull(p, w);
	if (w->readers == 0) {
		map_del(&p->watches, &w->key, sizeof(w->key));
		watch_free(w);
	}
	return 0;
}

void prefetch_stop(struct prefetch *p)
{
	lock_take(&p->lock);
	p->stop = true;
	cond_wake_all(&p->wake);
	lock_drop(&p->lock);
	pthread_join(p->thread, NULL);
	upcoming_drop(&p->upcoming);
	lock_take(&p->lock);
	p->ended = true;
	map_each(&p->watches, give_up, p);
	lock_drop(&p->lock);
}

void prefetch_free(struct prefetch *p)
{
	if (!p)
		return;
	map_fini(&p->watches);
	pressure_fini(&p->pressure);
	cond_fini(&p->wake);
	lock_fini(&p->lock);
	free(p);
}
