/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/assembly.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "admin/registry/intake.h"
#include "admin/registry/recipes.h"
#include "admin/registry/xorb_notes.h"
#include "daemon/base/err.h"

/* Files that are kept at once: of many it flushes all of the disk, with what waits there of others
 * to be deleted soon. Clients send as many of a folder at a time. */
#define OPEN_MAX 256
#define NOT_HERE \
	"is not here, or not for who sends this: its chunks are to be sent before what is made " \
	"of them, which its client does when it uploads once more"
/* Chunks have so many bytes at least, but for the last of a file; some more are let pass. */
#define CHUNK_MIN 4096
#define CHUNKS_SPARE 64
#define CHUNKS_MAX (8 << 20) /* of a shard: half a TiB, as clients cut files */

struct assembly {
	struct assembly_conf conf;
	struct xorb_views *views;
	struct intake_file *files[OPEN_MAX];
	size_t open;
	struct buf made;   /* struct assembled */
	struct buf places; /* struct xorb_place */
	struct buf doubts; /* see xorb_view */
	bool believes;     /* of the file that is made chunks need not be compared ... */
	bool believed;     /* ... and some were not */
};

uint64_t assembly_memory(const struct xet_shard *s)
{
	return xet_shard_count(s) * (sizeof(struct xet_file) + sizeof(struct assembled)) +
	       xet_shard_term_count(s) * (sizeof(struct xet_term) + sizeof(struct xorb_place));
}

int assembly_new(const struct assembly_conf *conf, struct assembly **ret)
{
	struct assembly *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	a->conf = *conf;
	if (xorb_views_new(&a->conf.xorbs, &a->views) < 0) {
		free(a);
		return -ENOMEM;
	}
	*ret = a;
	return 0;
}

void assembly_free(struct assembly *a)
{
	if (!a)
		return;
	for (size_t i = 0; i < a->open; i++)
		intake_drop(a->files[i]);
	xorb_views_free(a->views);
	buf_free(&a->made);
	buf_free(&a->places);
	buf_free(&a->doubts);
	free(a);
}

size_t assembly_count(const struct assembly *a)
{
	return a->made.len / sizeof(struct assembled);
}

const struct assembled *assembly_file(const struct assembly *a, size_t i)
{
	return (const struct assembled *)(const void *)a->made.data + i;
}

static bool nobody_waits(const struct assembly *a)
{
	return a->conf.ends(a->conf.arg);
}

/* ---- what cannot be ---- */

static int refuse(struct buf *why, const uint8_t *xorb, const char *text)
{
	char hex[XET_HASH_HEX + 1];

	xet_hash_print(xorb, hex);
	buf_printf(why, "xorb %s %s", hex, text);
	return -EBADMSG;
}

static int renew(struct db_txn *t, void *arg)
{
	const struct assembly *a = arg;

	return xorb_rows_renew(t, a->conf.xorbs.owner.user);
}

/* What a client remembers to have sent it never sends again, unless it is made to forget. */
static int refuse_missing(struct assembly *a, const uint8_t *xorb, struct buf *why)
{
	int r = db_write(a->conf.xorbs.db, renew, a);

	return r < 0 ? r : refuse(why, xorb, NOT_HERE);
}

/* ---- the plan ---- */

static int check_term(const struct xorb_map *m, const struct xet_term *t, struct buf *why)
{
	uint8_t range[XET_HASH];

	if (t->to > xorb_map_count(m))
		return refuse(why, t->xorb, "has fewer chunks than a file wants of it");
	if (xorb_map_start(m, t->to) - xorb_map_start(m, t->from) != t->bytes)
		return refuse(why, t->xorb, "has another number of bytes where a file wants some");
	xet_hash_range(xorb_map_hashes(m, t->from), t->to - t->from, range);
	if (memcmp(range, t->range, XET_HASH) != 0)
		return refuse(why, t->xorb, "has other chunks than a file wants of it");
	return 0;
}

/* Terms of one xorb, by their numbers. */
struct group {
	const uint32_t *terms;
	size_t count;
};

static const struct xet_term *term_at(const struct assembly *a, uint32_t i)
{
	return xet_shard_term(a->conf.shard, i);
}

/* Before anything is compared: of chunks that are not for them nobody is told more than of such as
 * do not exist. */
static int check_places(struct assembly *a, const struct group *g, struct xorb_map *m,
			struct buf *why)
{
	uint32_t of[XORB_CHUNKS_MAX], count = xorb_map_count(m);

	xorb_pieces_cover(&m->pieces, count, of);
	for (size_t i = 0; i < g->count; i++) {
		const struct xet_term *t = term_at(a, g->terms[i]);

		for (uint32_t c = t->from; c < t->to; c++)
			if (c >= count || of[c] == XORB_NO_PIECE)
				return refuse_missing(a, t->xorb, why);
	}
	return 0;
}

static int check_group(struct assembly *a, const struct group *g, struct buf *why)
{
	const uint8_t *xorb = term_at(a, g->terms[0])->xorb;
	struct xorb_view *v = NULL;
	int r = xorb_views_find(a->views, xorb, &v);

	if (r == -ENOENT)
		return refuse_missing(a, xorb, why);
	if (r == 0 && v->fd < 0)
		r = check_places(a, g, &v->map, why);
	for (size_t i = 0; r == 0 && i < g->count; i++)
		r = check_term(&v->map, term_at(a, g->terms[i]), why);
	return r;
}

/* Each xorb is opened once, however a shard goes to and fro among them. */
static int check_groups(struct assembly *a, const uint32_t *order, size_t count, struct buf *why)
{
	struct group g;
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i += g.count) {
		const uint8_t *xorb = term_at(a, order[i])->xorb;

		if (nobody_waits(a))
			return ERR_CUT;

		g = (struct group){ order + i, 1 };
		while (i + g.count < count &&
		       !memcmp(term_at(a, order[i + g.count])->xorb, xorb, XET_HASH))
			g.count++;
		r = check_group(a, &g, why);
	}
	return r;
}

static int compare_xorbs(const void *x, const void *y, void *arg)
{
	const struct assembly *a = arg;

	return memcmp(term_at(a, *(const uint32_t *)x)->xorb,
		      term_at(a, *(const uint32_t *)y)->xorb, XET_HASH);
}

static int check_terms(struct assembly *a, struct buf *why)
{
	size_t count = xet_shard_term_count(a->conf.shard);
	CLEANUP(freep) uint32_t *order = calloc(count + 1, sizeof(*order));

	if (!order)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		order[i] = (uint32_t)i;
	qsort_r(order, count, sizeof(*order), compare_xorbs, a);
	return check_groups(a, order, count, why);
}

/* A client could make the hub count for long: with chunks that are next to nothing, or with some of
 * them over and over. */
static int check_chunks(const struct xet_shard *s, const struct xet_file *f, uint64_t *all,
			struct buf *why)
{
	const struct xet_term *terms = xet_shard_terms(s, f);
	uint64_t chunks = 0;

	for (uint32_t i = 0; i < f->count; i++)
		chunks += terms[i].to - terms[i].from;
	*all += chunks;
	if (chunks > xet_shard_size(s, f) / CHUNK_MIN + CHUNKS_SPARE)
		buf_add_str(why, "a file has more chunks than any of so many bytes");
	else if (*all > CHUNKS_MAX)
		buf_add_str(why, "the files of a shard have too many chunks");
	return why->len ? -EBADMSG : 0;
}

int assembly_plan(struct assembly *a, struct buf *why)
{
	const struct xet_shard *s = a->conf.shard;
	uint64_t bytes = 0, chunks = 0;
	int r = 0;

	for (size_t i = 0; r == 0 && i < xet_shard_count(s); i++) {
		r = check_chunks(s, xet_shard_file(s, i), &chunks, why);
		bytes += xet_shard_size(s, xet_shard_file(s, i));
	}
	/* It costs less to look than what follows, of which there may be much. */
	if (r == 0)
		r = intake_has_room(a->conf.xorbs.intake, bytes);
	if (r == 0)
		r = check_terms(a, why);
	return err_is_full(r) ? ERR_READ_ONLY : r;
}

/* ---- one file ---- */

static void add_chunks(const struct xorb_map *m, const struct xet_term *t, struct xet_tree *tree)
{
	for (uint32_t i = t->from; i < t->to; i++)
		xet_tree_add(tree, xorb_map_hashes(m, i),
			     xorb_map_start(m, i + 1) - xorb_map_start(m, i));
}

static int feed(void *arg, const void *data, size_t len)
{
	return intake_add(arg, data, len);
}

static int note_place(struct assembly *a, const struct xet_term *t, uint64_t off)
{
	struct xorb_place p = { .from = t->from, .to = t->to, .off = off };

	p.file = (uint32_t)assembly_count(a);
	memcpy(p.xorb, t->xorb, XET_HASH);
	return buf_add(&a->places, &p, sizeof(p));
}

struct doubts {
	const uint8_t *xorb;
	const struct buf *etags;
};

static int drop_rows(struct db_txn *t, void *arg)
{
	const struct doubts *d = arg;
	int r = 0;

	for (size_t at = 0; r == 0 && at < d->etags->len; at += strlen(d->etags->data + at) + 1)
		r = xorb_rows_drop(t, d->xorb, d->etags->data + at);
	return r;
}

static void drop_pieces(struct buf *pieces, const char *etag)
{
	size_t kept = 0;

	for (size_t i = 0; i < xorb_pieces_count(pieces); i++)
		if (strcmp(xorb_pieces_at(pieces, i)->etag, etag) != 0)
			*xorb_pieces_at(pieces, kept++) = *xorb_pieces_at(pieces, i);
	pieces->len = kept * sizeof(struct xorb_piece);
}

/* Nobody looks for chunks any more where they were not found. */
static int drop_doubts(struct assembly *a, const uint8_t *xorb, struct xorb_view *v)
{
	struct doubts d = { xorb, &a->doubts };
	int r = a->doubts.len ? db_write(a->conf.xorbs.db, drop_rows, &d) : 0;

	for (size_t at = 0; r == 0 && at < a->doubts.len; at += strlen(a->doubts.data + at) + 1) {
		drop_pieces(&v->map.pieces, a->doubts.data + at);
		a->conf.doubt(a->conf.arg, a->doubts.data + at);
	}
	buf_clear(&a->doubts);
	return r;
}

/* A waiting one whose bytes a crash took is not to wait on: it could not be sent again. What came
 * lately was compared then: if the file has its SHA-256, so was all of it right that was read. */
static int read_term(struct assembly *a, struct xorb_view *v, const struct xet_term *t,
		     struct intake_file *to)
{
	const struct xorb_views_conf *c = &a->conf.xorbs;
	int r, told;

	v->doubts = &a->doubts;
	v->believed = a->believes && v->fresh;
	a->believed |= v->believed;
	r = xorb_view_read(c->xorbs, v, t->from, t->to, feed, to);
	told = drop_doubts(a, t->xorb, v);
	if (told < 0)
		return told;
	if (r != ERR_DIGEST && r != -ENODATA)
		return r;
	if (v->fd >= 0)
		xorbs_remove(c->xorbs, &c->owner, t->xorb);
	return -ENOENT;
}

static int add_term(struct assembly *a, const struct xet_term *t, struct xet_tree *tree,
		    struct intake_file *to, struct buf *why)
{
	struct xorb_view *v = NULL;
	uint64_t off = intake_size(to);
	int r = xorb_views_find(a->views, t->xorb, &v);

	if (r == 0)
		r = read_term(a, v, t, to);
	if (r == -ENOENT)
		return refuse_missing(a, t->xorb, why);
	if (r < 0)
		return r;
	add_chunks(&v->map, t, tree);
	return note_place(a, t, off);
}

static int check_hash(const struct xet_file *f, struct xet_tree *tree, struct buf *why)
{
	uint8_t hash[XET_HASH];
	char hex[XET_HASH_HEX + 1];

	xet_tree_file(tree, hash);
	if (!memcmp(hash, f->hash, XET_HASH))
		return 0;
	xet_hash_print(f->hash, hex);
	buf_printf(why, "what file %s is made of has another hash", hex);
	return -EBADMSG;
}

/* ERR_DIGEST: of chunks that were believed one may be another. */
static int end_file(const struct assembly *a, const struct xet_file *f, struct intake_file *to,
		    struct buf *why)
{
	int r = intake_end(to);

	if (r != ERR_DIGEST || a->believed)
		return r;
	buf_printf(why, "the SHA-256 of what a file is made of is not %s", f->sha256);
	return -EBADMSG;
}

static int add_made(struct assembly *a, const struct intake_file *f)
{
	struct assembled done = { .size = intake_size(f) };

	snprintf(done.etag, sizeof(done.etag), "%s", intake_etag(f));
	return buf_add(&a->made, &done, sizeof(done));
}

static int fill(struct assembly *a, const struct xet_file *f, struct intake_file *to,
		struct buf *why)
{
	const struct xet_term *terms = xet_shard_terms(a->conf.shard, f);
	struct xet_tree tree = { .bytes = 0 };
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < f->count; i++)
		r = nobody_waits(a) ? ERR_CUT : add_term(a, &terms[i], &tree, to, why);
	if (r == 0)
		r = check_hash(f, &tree, why);
	if (r == 0)
		r = end_file(a, f, to, why);
	return r < 0 ? r : add_made(a, to);
}

static int keep_open(struct assembly *a)
{
	int r = a->open ? intake_keep(a->conf.xorbs.intake, a->files, a->open) : 0;

	while (r == 0 && a->open)
		intake_drop(a->files[--a->open]);
	return r;
}

static int ignore(void *arg UNUSED, const void *data UNUSED, size_t len UNUSED)
{
	return 0;
}

struct known {
	const char *etag;
	struct recipe recipe;
};

static int get_recipe(struct db_txn *t, void *arg)
{
	struct known *k = arg;

	return recipes_get(t, k->etag, &k->recipe);
}

/* True if the blob came by Xet as that very file, and was compared then: whether it is so still is
 * for the scrubber to find out, as of all others. */
static bool is_known(const struct assembly *a, const struct xet_file *f)
{
	struct known k = { .etag = f->sha256 };

	return db_read(a->conf.xorbs.db, get_recipe, &k) == 0 &&
	       !memcmp(k.recipe.hash, f->hash, XET_HASH);
}

static int compare_bytes(struct assembly *a, const struct xorb_view *v, const struct xet_term *t,
			 const struct xorb_piece *p)
{
	struct xorb_view in = { .map = v->map, .fd = -1 }; /* borrowed, but for the pieces */

	in.map.pieces = (struct buf){ .data = (char *)(uintptr_t)p, .len = sizeof(*p) };
	return xorb_view_read(a->conf.xorbs.xorbs, &in, t->from, t->to, ignore, NULL);
}

/* ERR_DIGEST: the blob is not made of it there. */
static int compare_term(struct assembly *a, const struct xet_term *t, struct xet_tree *tree,
			struct xorb_piece *p, bool known)
{
	struct xorb_view *v = NULL;
	int r = xorb_views_find(a->views, t->xorb, &v);

	if (r < 0)
		return r;
	p->from = t->from;
	p->to = t->to;
	r = known ? 0 : compare_bytes(a, v, t, p);
	if (r < 0)
		return r;
	add_chunks(&v->map, t, tree);
	r = note_place(a, t, p->off);
	p->off += t->bytes;
	return r;
}

/* True if they may read the file's blob, if there is one. To all others a blob is as if it were not
 * there: it is written once more, which takes as long as ever. */
static bool may_know(struct assembly *a, const struct xet_file *f)
{
	const struct xorb_views_conf *c = &a->conf.xorbs;
	const struct xet_term *first = xet_shard_terms(a->conf.shard, f);
	CLEANUP(xorb_view_fini) struct xorb_view v = { .fd = -1 };

	if (!f->count)
		return true;
	if (c->find(c->arg, first->xorb, &v) < 0)
		return false;
	for (size_t i = 0; i < xorb_pieces_count(&v.map.pieces); i++)
		if (!strcmp(xorb_pieces_at(&v.map.pieces, i)->etag, f->sha256))
			return true;
	return false;
}

/* True if the blob is there already, and is made of that: so it is theirs as if they had made it,
 * and neither written nor flushed once more. Else what is wrong is told by who makes it. */
static bool is_made(struct assembly *a, const struct xet_file *f)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	const struct xet_term *terms = xet_shard_terms(a->conf.shard, f);
	struct assembled done = { .size = xet_shard_size(a->conf.shard, f) };
	struct xet_tree tree = { .bytes = 0 };
	struct xorb_piece p = { .off = 0 };
	size_t places = a->places.len;
	bool there = may_know(a, f) && intake_has(a->conf.xorbs.intake, f->sha256, done.size);
	bool known = there && is_known(a, f);
	int r = there ? 0 : -ENOENT;

	snprintf(p.etag, sizeof(p.etag), "%s", f->sha256);
	snprintf(done.etag, sizeof(done.etag), "%s", f->sha256);
	for (uint32_t i = 0; r == 0 && i < f->count; i++)
		r = nobody_waits(a) ? ERR_CUT : compare_term(a, &terms[i], &tree, &p, known);
	if (r == 0)
		r = check_hash(f, &tree, &why);
	if (r == 0)
		r = buf_add(&a->made, &done, sizeof(done));
	if (r < 0)
		a->places.len = places;
	return r == 0;
}

static int put_together(struct assembly *a, const struct xet_file *f, bool believes,
			struct buf *why)
{
	const struct intake_want want = { DIGEST_SHA256, xet_shard_size(a->conf.shard, f),
					  f->sha256[0] ? f->sha256 : NULL };
	CLEANUP(intake_dropp) struct intake_file *to = NULL;
	size_t places = a->places.len;
	int r = intake_begin(a->conf.xorbs.intake, &want, &to);

	a->believes = believes;
	a->believed = false;
	if (r == 0)
		r = fill(a, f, to, why);
	if (r == 0)
		a->files[a->open++] = steal(to);
	else
		a->places.len = places;
	return r;
}

/* If it turns out wrong, all of it is compared: either it is what was told of it that is, or a
 * chunk that is to be sent once more. */
static int make_file(struct assembly *a, const struct xet_file *f, struct buf *why)
{
	int r = 0;

	if (is_made(a, f))
		return 0;
	if (a->open == OPEN_MAX)
		r = keep_open(a);
	if (r == 0)
		r = put_together(a, f, f->sha256[0], why);
	return r == ERR_DIGEST ? put_together(a, f, false, why) : r;
}

int assembly_make(struct assembly *a, struct buf *why)
{
	const struct xet_shard *s = a->conf.shard;
	int r = 0, kept = 0;

	for (size_t i = 0; r == 0 && i < xet_shard_count(s); i++)
		r = make_file(a, xet_shard_file(s, i), why);
	if (r == 0 || r == ERR_CUT)
		kept = keep_open(a);
	r = kept < 0 ? kept : r;
	return err_is_full(r) ? ERR_READ_ONLY : r;
}

/* ---- what is remembered ---- */

static const char *etag_of(void *arg, uint32_t file)
{
	return assembly_file(arg, file)->etag;
}

int assembly_note(struct assembly *a)
{
	const struct xorb_notes n = {
		.conf = &a->conf.xorbs,
		.views = a->views,
		.places = (struct xorb_place *)(void *)a->places.data,
		.count = a->places.len / sizeof(struct xorb_place),
		.etag = etag_of,
		.arg = a,
	};
	int r = xorb_notes_put(&n);

	buf_clear(&a->places);
	return err_is_full(r) ? ERR_READ_ONLY : r;
}
