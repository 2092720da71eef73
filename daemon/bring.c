/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/bring.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/log.h"
#include "daemon/cache/chunk.h"
#include "daemon/nap.h"
#include "daemon/peer/peers.h"
#include "daemon/share.h"
#include "daemon/cache/pins.h"
#include "daemon/fetch/retry.h"
#include "daemon/cache/store.h"
#include "daemon/cache/usage.h"

#define FILES_AT_ONCE 8
#define LOOK_MIN_MS 5 /* between looks at what has come */
#define LOOK_MAX_MS 200
#define SILENCE_MS 2000 /* nothing came for so long: ask why */
#define AGAIN_MIN_MS 1000
#define AGAIN_MAX_MS (5 * 60 * 1000)
#define AGAIN_FULL_MS \
	10000 /* at most, where a file that is closed makes room: no hub is troubled */

/* What a turn works with. */
struct turn {
	struct job *job;
	struct bring *b;
	struct repo *repo;
	struct snapshot *snapshot; /* owned */
	char commit[COMMIT_HEX + 1];
	struct job_progress progress;
};

typedef int (*ask_fn)(struct turn *t, struct waiter *w);

static int ask_repo(struct turn *t, struct waiter *w)
{
	return node_repo(t->b->node, &t->b->id, w, &t->repo);
}

static int ask_ref(struct turn *t, struct waiter *w)
{
	return node_ref(t->b->node, t->repo, t->b->revision, w, t->commit);
}

static int ask_snapshot(struct turn *t, struct waiter *w)
{
	return node_snapshot(t->b->node, t->repo, t->commit, w, &t->snapshot);
}

static int ask(struct turn *t, ask_fn fn)
{
	int r = PARKED;

	while (r == PARKED) {
		struct nap nap;

		nap_init(&nap, t->b->node);
		r = fn(t, &nap.waiter);
		if (r == PARKED)
			r = nap_wait(&nap, t->job, node_leave_lookup);
		nap_fini(&nap);
	}
	return r;
}

/* ---- which commit ---- */

static void pin_of(const struct turn *t, struct pin *ret)
{
	*ret = (struct pin){ .since_s = clock_wall_s() };
	snprintf(ret->key, sizeof(ret->key), "%s", repo_key(t->repo));
	snprintf(ret->revision, sizeof(ret->revision), "%s", t->b->revision);
	memcpy(ret->commit, t->commit, sizeof(ret->commit));
}

/* A pin that has found its commit stays there. */
static bool is_settled(struct turn *t)
{
	struct pin pin;

	if (commit_valid(t->b->revision)) {
		memcpy(t->commit, t->b->revision, sizeof(t->commit));
		return true;
	}
	if (!t->b->pin || t->b->anew ||
	    pins_get(t->b->parts->pins, repo_key(t->repo), t->b->revision, &pin) < 0)
		return false;
	memcpy(t->commit, pin.commit, sizeof(t->commit));
	return t->commit[0];
}

static void forget_pin(struct turn *t, const char *asked)
{
	struct pins *pins = t->b->parts->pins;

	if (pins_del(pins, asked, t->b->revision) < 0 &&
	    pins_del(pins, repo_key(t->repo), t->b->revision) < 0)
		log_debug("no pin of %s is left", asked);
}

/* A new pin must fit. One that was taken stays, though the cache is given less than it takes, and
 * is not lost because its revision is now another commit, which does not fit. */
static int put_pin(struct turn *t, const struct pin *pin, const char *asked)
{
	const struct node_parts *parts = t->b->parts;
	uint64_t most = t->b->anew ? store_capacity(parts->store) : UINT64_MAX;
	struct pin old = { 0 };
	int r = pins_get(parts->pins, pin->key, pin->revision, &old);

	if (r == 0 && strcmp(old.commit, pin->commit) == 0)
		most = UINT64_MAX;
	r = pins_put(parts->pins, pin, most);
	if (r == ERR_TOO_LARGE && !old.commit[0])
		forget_pin(t, asked);
	return r;
}

static int remember(struct turn *t)
{
	const struct node_parts *parts = t->b->parts;
	char asked[REPO_KEY_MAX + 1];
	struct snapshot *s = t->snapshot;
	struct pin pin;
	int r;

	pin_of(t, &pin);
	repo_id_key(&t->b->id, asked);
	/* What is pinned is told by this row, which a full disk may not have taken before. */
	r = known_save(node_known(t->b->node), s);
	if (r == 0)
		r = put_pin(t, &pin, asked);
	if (r < 0)
		return r;
	t->b->anew = false;
	if (strcmp(asked, pin.key) != 0 &&
	    pins_del(parts->pins, asked, t->b->revision) == 0) /* kept before its name was known */
		log_debug("the pin of %s is one of %s", asked, pin.key);
	return 0;
}

static int find_commit(struct turn *t)
{
	int r = ask(t, ask_repo);

	if (r < 0)
		return r;
	t->repo = repo_canonical(t->repo);
	if (!is_settled(t))
		r = ask(t, ask_ref);
	if (r == 0)
		r = ask(t, ask_snapshot);
	return r == 0 && t->b->pin ? remember(t) : r;
}

/* ---- its files ---- */

/* The node's file if it is to be brought, else NULL. */
static const struct manifest_file *wanted(const struct turn *t, uint32_t node)
{
	const struct manifest_file *f = manifest_file(t->snapshot->files, node);
	CLEANUP(buf_free) struct buf path = { 0 };

	if (!f || !t->b->wants)
		return f;
	return manifest_path(t->snapshot->files, node, &path) == 0 &&
			       t->b->wants(t->b->arg, repo_id_of(t->repo), buf_str(&path))
		       ? f
		       : NULL;
}

struct file {
	struct handle *handle; /* NULL: a free place */
	struct share *share;   /* what of it is brought; NULL: all */
	uint64_t size, present;
	int64_t moved_ms; /* when it last grew */
};

/* What is brought of a file: *ret is owned, NULL for all of it. */
static int find_share(const struct turn *t, const struct manifest_file *f, struct share **ret)
{
	char etag[DIGEST_HEX_MAX + 1];

	*ret = NULL;
	if (!t->b->share)
		return 0;
	manifest_etag(f, etag);
	return share_of(peers_members(node_peers(t->b->node)), etag, f->size, ret);
}

/* The next bytes to be brought at or behind *from; false: there are no more. */
static bool next_part(const struct file *f, uint64_t *from, uint64_t *to)
{
	*to = f->size;
	return f->share ? share_next(f->share, from, to) : *from < f->size;
}

/* Bytes that are to be there, and those that are. */
static uint64_t wanted_bytes(const struct file *f)
{
	return f->share ? f->share->bytes : f->size;
}

static uint64_t present_bytes(const struct file *f)
{
	uint64_t present = 0, to;

	if (!f->share)
		return node_file_present(f->handle);
	for (uint64_t from = 0; next_part(f, &from, &to); from = to)
		present += node_part_present(f->handle, from, to);
	return present;
}

/* A whole file is there when its digest has told; of a part nobody can say more than that it is
 * there. */
static bool is_there(const struct file *f)
{
	return node_sealed_fd(f->handle) >= 0 || (f->share && present_bytes(f) == f->share->bytes);
}

static int fetch_parts(struct turn *t, struct file *f)
{
	uint64_t to;
	int r = 0;

	for (uint64_t from = 0; r == 0 && next_part(f, &from, &to); from = to)
		r = node_fetch_part(t->b->node, f->handle, from, to);
	return r;
}

struct files {
	struct file at[FILES_AT_ONCE];
	uint32_t next; /* node of the manifest to be looked at */
	unsigned open;
	uint64_t done_bytes;
};

static void close_file(struct turn *t, struct files *all, struct file *f)
{
	node_close_file(t->b->node, steal(f->handle));
	free(steal(f->share));
	all->open--;
}

static void end_file(struct turn *t, struct files *all, struct file *f)
{
	all->done_bytes += wanted_bytes(f);
	t->progress.files_done++;
	close_file(t, all, f);
}

static int open_file(struct turn *t, struct files *all, uint32_t file)
{
	const struct manifest_file *what = manifest_file(t->snapshot->files, file);
	struct file *f = all->at;
	int r;

	while (f->handle)
		f++;
	*f = (struct file){ .size = what->size, .moved_ms = clock_ms() };
	r = find_share(t, what, &f->share);
	if (r < 0)
		return r;
	if (f->share && !f->share->bytes) {
		free(steal(f->share));
		return 0;
	}
	r = node_open_file(t->b->node, t->snapshot, file, &f->handle);
	if (r < 0) {
		free(steal(f->share));
		return r;
	}
	all->open++;
	if (!is_there(f))
		return fetch_parts(t, f);
	end_file(t, all, f);
	return 0;
}

static int open_more(struct turn *t, struct files *all)
{
	const struct manifest *m = t->snapshot->files;
	int r = 0;

	for (; r == 0 && all->open < FILES_AT_ONCE && all->next < manifest_count(m); all->next++)
		if (wanted(t, all->next))
			r = open_file(t, all, all->next);
	return r;
}

/* The first byte of [off, to) that is not there; `to` if all are. */
static uint64_t absent_in(struct turn *t, const struct file *f, uint64_t off, uint64_t to)
{
	const void *data;
	uint64_t len;

	for (; off < to; off += CHUNK_BYTES) {
		int r = node_read(t->b->node, f->handle, off, 1, NULL, &data, &len);

		if (r != 0)
			return off;
		node_done(f->handle, data, len);
	}
	return to;
}

/* The same of all that is brought; the size if all is there. */
static uint64_t first_absent(struct turn *t, const struct file *f)
{
	uint64_t to;

	for (uint64_t from = 0; next_part(f, &from, &to); from = to) {
		uint64_t off = absent_in(t, f, from, to);

		if (off < to)
			return off;
	}
	return f->size;
}

/* Nothing came for a while: waits for one byte, as a reader would, and so learns why. */
static int ask_why(struct turn *t, struct file *f)
{
	uint64_t off = first_absent(t, f);
	int r;

	f->moved_ms = clock_ms();
	if (off == f->size)
		return 0; /* all there but the verdict */
	r = nap_read(t->b->node, t->job, f->handle, off, 1);
	return r < 0 ? r : fetch_parts(t, f);
}

/* Looks at one file; *moved tells whether anything has come. */
static int look_at(struct turn *t, struct files *all, struct file *f, bool *moved)
{
	uint64_t present = present_bytes(f);

	if (is_there(f)) {
		end_file(t, all, f);
		*moved = true;
		return 0;
	}
	if (present != f->present) {
		f->present = present;
		f->moved_ms = clock_ms();
		*moved = true;
	}
	return clock_ms() - f->moved_ms > SILENCE_MS ? ask_why(t, f) : 0;
}

static int look(struct turn *t, struct files *all, bool *moved)
{
	uint64_t part = 0;
	int r = 0;

	for (int i = 0; r == 0 && i < FILES_AT_ONCE; i++)
		if (all->at[i].handle)
			r = look_at(t, all, &all->at[i], moved);
	for (int i = 0; i < FILES_AT_ONCE; i++)
		part += all->at[i].handle ? all->at[i].present : 0;
	t->progress.bytes_done = all->done_bytes + part;
	job_tell(t->job, &t->progress);
	return r;
}

static int bring_files(struct turn *t)
{
	struct files all = { .next = 0 };
	int64_t pause_ms = LOOK_MIN_MS;
	int r = open_more(t, &all);

	while (r == 0 && all.open) {
		bool moved = false;

		r = job_sleep(t->job, pause_ms);
		if (r == 0)
			r = look(t, &all, &moved);
		if (r == 0)
			r = open_more(t, &all);
		pause_ms = moved ? LOOK_MIN_MS : pause_ms * 2;
		if (pause_ms > LOOK_MAX_MS)
			pause_ms = LOOK_MAX_MS;
	}
	t->progress.bytes_done = r == 0 ? all.done_bytes : t->progress.bytes_done;
	for (int i = 0; i < FILES_AT_ONCE; i++)
		if (all.at[i].handle)
			close_file(t, &all, &all.at[i]);
	return r;
}

/* ---- the job ---- */

/* Bytes that are to be brought of a file. */
static int count_file(struct turn *t, const struct manifest_file *f, uint64_t *ret)
{
	CLEANUP(freep) struct share *share = NULL;
	int r = find_share(t, f, &share);

	*ret = share ? share->bytes : f->size;
	return r;
}

/* Counts what is to be brought, and the bytes that takes of the disk. */
static int count_files(struct turn *t, uint64_t *ret_disk)
{
	int r = 0;

	*ret_disk = t->progress.files_total = 0;
	t->progress.bytes_total = 0;
	for (uint32_t i = 0; r == 0 && i < manifest_count(t->snapshot->files); i++) {
		const struct manifest_file *f = wanted(t, i);
		uint64_t bytes = 0;

		r = f ? count_file(t, f, &bytes) : 0;
		*ret_disk += usage_blocks(bytes);
		t->progress.files_total += f && (bytes || !t->b->share);
		t->progress.bytes_total += bytes;
	}
	return r;
}

/* What is larger than the cache would drive out its own first files with its last. */
static int check_capacity(const struct turn *t, uint64_t bytes)
{
	uint64_t most = store_capacity(t->b->parts->store);

	if (bytes <= most)
		return 0;
	err_note(ERR_FULL, "it takes %ju bytes, the cache may take %ju", (uintmax_t)bytes,
		 (uintmax_t)most);
	return ERR_FULL;
}

static int bring(struct turn *t)
{
	int r = find_commit(t);
	uint64_t disk = 0;

	if (r == 0)
		r = count_files(t, &disk);
	if (r == 0 && !t->b->pin) /* of pins only new ones must fit: see put_pin */
		r = check_capacity(t, disk);
	return r < 0 ? r : bring_files(t);
}

static int again_ms(unsigned failures, int r)
{
	int ms = AGAIN_MIN_MS, most = err_is_full(r) ? AGAIN_FULL_MS : AGAIN_MAX_MS;

	while (--failures > 0 && ms < most)
		ms *= 2;
	return ms < most ? ms : most;
}

/* Waiting mends a hub that is down, a disk that is full, and bytes that were wrong. */
static bool may_pass(int r)
{
	return retry_passes(r) || err_is_disk(r) || r == ERR_DIGEST || r == ERR_OFFLINE ||
	       r == ERR_TOKEN;
}

int bring_turn(struct job *j, void *arg)
{
	struct turn t = { .job = j, .b = arg };
	int r = bring(&t);

	t.b->error = t.progress.error = r < 0 ? r : 0;
	job_tell(j, &t.progress);
	if (r < 0 && r != ERR_CANCELED && t.b->pin && may_pass(r))
		r = again_ms(++t.b->failures, r);
	else if (r < 0 && r != ERR_CANCELED)
		log_warn(r, "cannot bring repo=%s revision=%s", t.b->id.name, t.b->revision);
	snapshot_unref(t.snapshot);
	return r;
}
