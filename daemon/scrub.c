/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/scrub.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/log.h"
#include "daemon/catalog.h"
#include "daemon/chunk.h"
#include "daemon/nap.h"
#include "daemon/store.h"

#define PIECE_BYTES (256 << 10)
#define NICE 19
#define IOPRIO_IDLE (3 << 13) /* linux/ioprio.h: IOPRIO_CLASS_IDLE */
#define IOPRIO_WHO_PROCESS 1
#define PAUSE_MS 5 /* rates are kept by naps of at least this */
#define SEAL_WAIT_MS (10 * 60 * 1000)

struct etags {
	char (*list)[DIGEST_HEX_MAX + 1];
	size_t count, cap;
	uint64_t bytes;
};

/* What a turn works with. */
struct turn {
	struct job *job;
	struct scrub *s;
	const struct node_parts *parts;
	struct job_progress progress;
	int64_t begun_ms;
	char *piece; /* PIECE_BYTES */
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

static void be_modest(bool modest)
{
	id_t tid = (id_t)gettid();

	setpriority(PRIO_PROCESS, tid, modest ? NICE : 0);
	syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, (int)tid, modest ? IOPRIO_IDLE : 0);
}

/* Counts bytes that were read, and sleeps as long as they were too many. */
static int pace(struct turn *t, uint64_t bytes)
{
	uint64_t rate = t->s->bytes_per_s;
	int64_t ahead_ms = 0;

	t->progress.bytes_done += bytes;
	if (rate)
		ahead_ms =
			t->begun_ms + (int64_t)(t->progress.bytes_done * 1000 / rate) - clock_ms();
	if (ahead_ms < PAUSE_MS)
		return job_is_over(t->job) ? ERR_CANCELED : 0;
	job_tell(t->job, &t->progress);
	return job_sleep(t->job, ahead_ms);
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
	if (catalog_del_blob(t->parts->catalog, etag) < 0)
		log_debug("a stale row is left etag=%s", etag);
	t->parts->on_forget(t->parts->arg, etag);
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
		blob_hold(p->blob, chunk_start(i), 1); /* it must not be given back meanwhile */
		p->sums[i] = blob_check(p->blob, i);
		blob_let_go(p->blob);
		p->bad += p->sums[i] == 0;
		r = pace(t, chunk_end(i, size) - chunk_start(i));
	}
	if (p->bad)
		log_err(ERR_CORRUPT, "rotten etag=%s chunks=%u", blob_etag(p->blob), p->bad);
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
		if (r == 0) {
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

	p->blob = store_find(t->parts->store, etag);
	if (!p->blob) {
		r = store_blob_size(t->parts->store, etag, &size);
		if (r == 0 && catalog_get_blob(t->parts->catalog, etag, &row) < 0)
			row.sealed = false;
		if (r == 0)
			r = store_peek(t->parts->store, etag, size, row.sealed && row.size == size,
				       &p->blob);
		if (r < 0)
			return r == -EBUSY ? -ENOENT : r;
	}
	p->sealed = blob_is_sealed(p->blob);
	return parse_etag(etag, &p->id);
}

static int scrub_one(struct turn *t, const char *etag)
{
	struct patient p = { .blob = NULL };
	int r = open_kept(t, etag, &p);

	if (r == 0)
		r = check_with_sums(t, &p);
	if (p.blob)
		blob_unref(p.blob);
	t->progress.files_done++;
	job_tell(t->job, &t->progress);
	if (r < 0 && r != ERR_CANCELED && r != -ENOENT)
		r = log_warn(r, "cannot scrub etag=%s", etag);
	return r == ERR_CANCELED ? r : 0;
}

static int add_etag(void *arg, const char *etag, uint64_t bytes, int64_t used_s UNUSED)
{
	struct etags *all = arg;
	void *grown;

	if (all->count == all->cap) {
		all->cap = all->cap ? all->cap * 2 : 256;
		grown = realloc(all->list, all->cap * sizeof(*all->list));
		if (!grown)
			return -ENOMEM;
		all->list = grown;
	}
	snprintf(all->list[all->count++], sizeof(*all->list), "%s", etag);
	all->bytes += bytes;
	return 0;
}

static int scrub_all(struct turn *t, struct etags *all)
{
	int r = store_each(t->parts->store, add_etag, all);

	t->progress.files_total = (uint32_t)all->count;
	t->progress.bytes_total = all->bytes;
	for (size_t i = 0; r == 0 && i < all->count; i++)
		r = scrub_one(t, all->list[i]);
	return r;
}

int scrub_turn(struct job *j, void *arg)
{
	struct scrub *s = arg;
	struct turn t = { .job = j, .s = s, .parts = node_parts(s->node), .begun_ms = clock_ms() };
	CLEANUP(freep) char *piece = malloc(PIECE_BYTES);
	struct etags all = { 0 };
	int r = piece ? 0 : -ENOMEM;

	t.piece = piece;
	be_modest(true);
	if (r == 0)
		r = scrub_all(&t, &all);
	be_modest(false);
	free(all.list);
	s->bad = t.progress.bad;
	if (r == 0)
		log_info("scrubbed blobs=%u bytes=%llu repaired=%llu bad=%llu",
			 t.progress.files_done, (unsigned long long)t.progress.bytes_done,
			 (unsigned long long)t.progress.repaired,
			 (unsigned long long)t.progress.bad);
	return r;
}
