/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/scrub.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/lock.h"
#include "daemon/base/log.h"
#include "daemon/cache/catalog.h"
#include "daemon/cache/chunk.h"
#include "daemon/nap.h"
#include "daemon/cache/store.h"
#include "daemon/fetch/throttle.h"

#define PIECE_BYTES (256 << 10)
#define PAUSE_MS 5 /* rates are kept by naps of at least this */
#define SEAL_WAIT_MS (10 * 60 * 1000)

struct etag {
	char text[DIGEST_HEX_MAX + 1];
	uint64_t disk_bytes; /* it took, when the list was made */
};

/* What a turn works with. */
struct turn {
	struct job *job;
	struct scrub *s;
	struct job_progress progress;
	struct throttle throttle;
	struct buf etags; /* of all blobs: struct etag */
	char *piece;      /* PIECE_BYTES */
	int result;
};

/* One blob on the bench. */
struct patient {
	struct blob *blob;
	bool sealed;             /* it was, when we came */
	struct manifest_file id; /* kind and digest, from the etag */
	uint64_t *sums;          /* of what is there; 0: nothing right */
	uint64_t *want;          /* as recorded; NULL if nobody recorded them */
	uint32_t bad;            /* chunks that differ */
};

/* ---- reading at a bounded rate ---- */

/* Counts bytes that were read, and sleeps as long as they were too many. */
static int pace(struct turn *t, uint64_t bytes)
{
	int64_t ms = throttle_pause_ms(&t->throttle, URGENCY_BACKGROUND, bytes);
	int r = 0;

	t->progress.bytes_done += bytes;
	if (ms < PAUSE_MS)
		return job_is_over(t->job) ? ERR_CANCELED : 0;
	job_tell(t->job, &t->progress);
	for (; r == 0 && ms > 0; ms = throttle_pause_ms(&t->throttle, URGENCY_BACKGROUND, 0))
		r = job_sleep(t->job, ms);
	return r;
}

/* Digests and sums one chunk. What cannot be read is wrong: its sum is 0. */
static int read_chunk(struct turn *t, struct patient *p, uint32_t i, struct digest *d)
{
	uint64_t off = chunk_start(i), end = chunk_end(i, blob_size(p->blob));
	struct xxh3 *x;
	int r = xxh3_new(&x), io = 0;

	for (; r == 0 && off < end; off += PIECE_BYTES) {
		size_t len = end - off < PIECE_BYTES ? (size_t)(end - off) : PIECE_BYTES;

		io = io < 0 ? io : blob_read(p->blob, t->piece, len, off);
		xxh3_update(x, t->piece, io == 0 ? len : 0);
		r = io < 0 ? 0 : digest_update(d, t->piece, len);
		if (r == 0)
			r = pace(t, len);
	}
	if (r == 0)
		p->sums[i] = io < 0 ? 0 : xxh3_value(x);
	xxh3_free(x);
	return r;
}

/* Reads a sealed blob; *ret_right: it is what its name says. */
static int read_sealed(struct turn *t, struct patient *p, bool *ret_right)
{
	CLEANUP(digest_freep) struct digest *d = NULL;
	uint8_t value[DIGEST_BYTES_MAX];
	int r = digest_new(p->id.kind, blob_size(p->blob), &d);

	for (uint32_t i = 0; r == 0 && i < blob_chunks(p->blob); i++)
		r = read_chunk(t, p, i, d);
	if (r == 0)
		r = digest_final(d, value);
	*ret_right = r == 0 && memcmp(value, p->id.digest, digest_size(p->id.kind)) == 0;
	/* Nobody reads it for itself: it need not push out what others read. */
	posix_fadvise(blob_fd(p->blob), 0, 0, POSIX_FADV_DONTNEED);
	return r;
}

/* ---- finding damage ---- */

static int parse_etag(const char *etag, struct manifest_file *ret)
{
	size_t digits = strlen(etag);

	ret->kind = digits == DIGEST_HEX_MAX ? DIGEST_SHA256 : DIGEST_GIT_SHA1;
	for (size_t i = 0; i < digits / 2; i++)
		if (sscanf(etag + 2 * i, "%2hhx", &ret->digest[i]) != 1)
			return -EINVAL;
	return 0;
}

/* Marks what differs from what was recorded: all of it if nothing does. */
static void find_bad(struct patient *p)
{
	uint32_t chunks = blob_chunks(p->blob);

	for (uint32_t i = 0; i < chunks; i++)
		if (p->want && p->sums[i] != p->want[i]) {
			p->sums[i] = 0;
			p->bad++;
		}
	if (p->bad)
		return;
	memset(p->sums, 0, chunks * sizeof(*p->sums));
	p->bad = chunks;
}

static int break_seal(struct turn *t, struct patient *p)
{
	const char *etag = blob_etag(p->blob);
	int r;

	find_bad(p);
	log_err(ERR_DIGEST, "rotten etag=%s chunks=%u of %u", etag, p->bad, blob_chunks(p->blob));
	r = blob_unseal(p->blob, p->sums);
	if (r < 0)
		return r;
	if (catalog_unseal_blob(t->s->parts->catalog, etag) < 0)
		log_debug("a stale row is left etag=%s", etag);
	t->s->parts->on_forget(t->s->parts->arg, etag);
	return 0;
}

static int check_sealed(struct turn *t, struct patient *p)
{
	size_t bytes = blob_chunks(p->blob) * sizeof(uint64_t);
	bool right;
	int r = read_sealed(t, p, &right);

	if (r < 0)
		return r;
	if (!right)
		return break_seal(t, p);
	if (p->want && memcmp(p->want, p->sums, bytes) == 0)
		return 0;
	return blob_put_sums(p->blob, p->sums); /* of an older version, or rotten themselves */
}

static int check_incomplete(struct turn *t, struct patient *p)
{
	uint64_t size = blob_size(p->blob);
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < blob_chunks(p->blob); i++) {
		if (!blob_may_have(p->blob, i))
			continue;
		blob_hold(p->blob); /* it must not be given back meanwhile */
		p->sums[i] = blob_check(p->blob, i);
		blob_let_go(p->blob);
		p->bad += p->sums[i] == 0;
		r = pace(t, chunk_end(i, size) - chunk_start(i));
	}
	if (p->bad == 0)
		return r;
	log_err(ERR_CORRUPT, "rotten etag=%s chunks=%u", blob_etag(p->blob), p->bad);
	t->s->parts->on_forget(t->s->parts->arg, blob_etag(p->blob));
	return r;
}

/* ---- mending ---- */

struct search {
	struct node *node;
	const char *etag;
	struct repo *repo;
	struct snapshot *found; /* owned */
	uint32_t file;
};

static int search_commit(void *arg, const char *commit)
{
	struct search *s = arg;
	struct snapshot *snapshot;

	if (known_snapshot(node_known(s->node), s->repo, commit, &snapshot) < 0)
		return 0;
	s->file = manifest_find_etag(snapshot->files, s->etag);
	if (s->file == MANIFEST_NONE) {
		snapshot_unref(snapshot);
		return 0;
	}
	s->found = snapshot;
	return 1;
}

static int search_repo(void *arg, struct repo *r)
{
	struct search *s = arg;

	s->repo = r;
	return known_each_commit(node_known(s->node), r, search_commit, s);
}

/* Waits for the verdict on all bytes of a blob that was sealed before. */
static int await_seal(struct turn *t, const struct handle *h)
{
	int64_t until_ms = clock_ms() + SEAL_WAIT_MS;
	int r = 0;

	while (r == 0 && node_sealed_fd(h) < 0 && clock_ms() < until_ms)
		r = job_sleep(t->job, PAUSE_MS);
	return r == 0 && node_sealed_fd(h) < 0 ? ERR_DIGEST : r;
}

/* Fetches the bad chunks, each that came counts as repaired. */
static int fetch_bad(struct turn *t, struct patient *p, struct handle *h, const bool *bad)
{
	uint64_t size = blob_size(p->blob);
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < blob_chunks(p->blob); i++) {
		if (!bad[i])
			continue;
		r = nap_read(t->s->node, t->job, h, chunk_start(i),
			     chunk_end(i, size) - chunk_start(i));
		if (r == 0 && blob_has(p->blob, i)) {
			p->bad--;
			t->progress.repaired++;
		}
	}
	return r == 0 && p->sealed ? await_seal(t, h) : r;
}

static int mend(struct turn *t, struct patient *p, const bool *bad)
{
	struct search s = { .node = t->s->node, .etag = blob_etag(p->blob) };
	struct handle *h = NULL;
	int r = known_each_repo(node_known(s.node), search_repo, &s) == 1 ? 0 : ERR_NOENTRY;

	if (r == 0)
		r = node_open_file(s.node, s.found, s.file, &h);
	if (r == 0)
		r = fetch_bad(t, p, h, bad);
	if (r < 0 && r != ERR_CANCELED)
		log_warn(r, "cannot mend etag=%s yet", s.etag);
	t->progress.bad += p->bad;
	node_close_file(s.node, h);
	snapshot_unref(s.found);
	return r == ERR_CANCELED ? r : 0;
}

static int check_blob(struct turn *t, struct patient *p)
{
	uint32_t chunks = blob_chunks(p->blob);
	CLEANUP(freep) bool *bad = calloc(chunks + 1, sizeof(*bad));
	int r = bad ? 0 : -ENOMEM;

	for (uint32_t i = 0; r == 0 && i < chunks; i++)
		bad[i] = blob_may_have(p->blob, i);
	if (r == 0)
		r = p->sealed ? check_sealed(t, p) : check_incomplete(t, p);
	if (r < 0 || p->bad == 0)
		return r;
	for (uint32_t i = 0; i < chunks; i++)
		bad[i] = bad[i] && p->sums[i] == 0;
	return mend(t, p, bad);
}

static int check_with_sums(struct turn *t, struct patient *p)
{
	uint32_t chunks = blob_chunks(p->blob);
	CLEANUP(freep) uint64_t *sums = calloc(chunks + 1, sizeof(*sums));
	CLEANUP(freep) uint64_t *want = calloc(chunks + 1, sizeof(*want));
	int r = sums && want ? 0 : -ENOMEM;

	if (r < 0)
		return r;
	p->sums = sums;
	p->want = p->sealed && blob_sums(p->blob, want) == 0 ? want : NULL;
	return check_blob(t, p);
}

/* ---- the job ---- */

/* Opens a blob as it is kept; -ENOENT if it has gone meanwhile. */
static int open_kept(struct turn *t, const char *etag, struct patient *p)
{
	struct catalog_blob row = { 0 };
	uint64_t size = 0;
	int r;

	p->blob = store_find(t->s->parts->store, etag);
	if (!p->blob) {
		r = store_blob_size(t->s->parts->store, etag, &size);
		if (r == 0 && catalog_get_blob(t->s->parts->catalog, etag, &row) < 0)
			row.sealed = false;
		if (r == 0)
			r = store_peek(t->s->parts->store, etag, size,
				       row.sealed && row.size == size, &p->blob);
		if (r < 0)
			return r == -EBUSY ? -ENOENT : r;
	}
	p->sealed = blob_is_sealed(p->blob);
	return parse_etag(etag, &p->id);
}

/* Sizes on disk are what the total began with; of what was looked at it is what was read. */
static int scrub_one(struct turn *t, const struct etag *e)
{
	struct patient p = { .blob = NULL };
	uint64_t done = t->progress.bytes_done;
	const char *etag = e->text;
	int r = open_kept(t, etag, &p);

	if (r == 0)
		r = check_with_sums(t, &p);
	if (p.blob)
		blob_unref(p.blob);
	t->progress.files_done++;
	if (r != ERR_CANCELED)
		t->progress.bytes_total += t->progress.bytes_done - done - e->disk_bytes;
	job_tell(t->job, &t->progress);
	if (r < 0 && r != ERR_CANCELED && r != -ENOENT)
		r = log_warn(r, "cannot scrub etag=%s", etag);
	return r == ERR_CANCELED ? r : 0;
}

static int add_etag(void *arg, const char *etag, uint64_t bytes, int64_t used_s UNUSED)
{
	struct turn *t = arg;
	struct etag e = { .disk_bytes = bytes };

	snprintf(e.text, sizeof(e.text), "%s", etag);
	t->progress.files_total++;
	t->progress.bytes_total += bytes;
	return buf_add(&t->etags, &e, sizeof(e));
}

static int scrub_all(struct turn *t)
{
	int r = store_each(t->s->parts->store, add_etag, t);

	for (size_t at = 0; r == 0 && at < t->etags.len; at += sizeof(struct etag))
		r = scrub_one(t, (const struct etag *)(const void *)(t->etags.data + at));
	return r;
}

/* A thread of its own: the job's does other jobs later, for which somebody may wait. */
static void *scrub_main(void *arg)
{
	struct turn *t = arg;

	thread_be_nice(THREAD_NICE_MAX);
	t->result = scrub_all(t);
	return NULL;
}

static int scrub_in_thread(struct turn *t)
{
	CLEANUP(freep) char *piece = malloc(PIECE_BYTES);
	pthread_t thread;
	int r;

	if (!piece)
		return -ENOMEM;
	t->piece = piece;
	r = thread_start(&thread, "mfs-scrub", scrub_main, t);
	if (r < 0)
		return r;
	pthread_join(thread, NULL);
	return t->result;
}

int scrub_turn(struct job *j, void *arg)
{
	struct scrub *s = arg;
	struct turn t = { .job = j, .s = s };
	int r;

	throttle_init(&t.throttle);
	throttle_set(&t.throttle, &(struct throttle_limits){ .total = s->bytes_per_s });
	r = scrub_in_thread(&t);
	throttle_fini(&t.throttle);
	buf_free(&t.etags);
	s->bad = t.progress.bad;
	if (r == 0)
		log_info("scrubbed blobs=%u bytes=%llu repaired=%llu bad=%llu",
			 t.progress.files_done, (unsigned long long)t.progress.bytes_done,
			 (unsigned long long)t.progress.repaired,
			 (unsigned long long)t.progress.bad);
	return r;
}
