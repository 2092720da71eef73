/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/assembly.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/err.h"

#define OPEN_MAX 64 /* files that are kept at once */
#define NOT_HERE \
	"is not here, or not for this repository: it has to be sent before what is made of it " \
	"(a client that remembers to have sent it forgets that with its directory HF_XET_CACHE)"
#define VIEWS 8 /* xorbs that are open */

struct view {
	uint8_t xorb[XET_HASH];
	struct xorb_view view;
	bool open;
};

/* Where chunks of a xorb lie now. */
struct placed {
	uint8_t xorb[XET_HASH];
	struct xorb_piece piece;
};

struct assembly {
	struct assembly_conf conf;
	struct view views[VIEWS];
	unsigned next_view;
	struct intake_file *files[OPEN_MAX];
	size_t open;
	struct buf kept;   /* struct assembled */
	struct buf placed; /* struct placed */
};

int assembly_new(const struct assembly_conf *conf, struct assembly **ret)
{
	struct assembly *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	a->conf = *conf;
	*ret = a;
	return 0;
}

void assembly_free(struct assembly *a)
{
	if (!a)
		return;
	for (size_t i = 0; i < a->open; i++)
		intake_drop(a->files[i]);
	for (unsigned i = 0; i < VIEWS; i++)
		if (a->views[i].open)
			xorb_view_fini(&a->views[i].view);
	buf_free(&a->kept);
	buf_free(&a->placed);
	free(a);
}

size_t assembly_count(const struct assembly *a)
{
	return a->kept.len / sizeof(struct assembled);
}

const struct assembled *assembly_file(const struct assembly *a, size_t i)
{
	return (const struct assembled *)(const void *)a->kept.data + i;
}

/* ---- xorbs ---- */

static int open_xorb(struct assembly *a, const uint8_t *xorb, struct xorb_view *ret)
{
	int r = xorbs_open(a->conf.xorbs, a->conf.repo, xorb, ret);

	return r == -ENOENT ? a->conf.find(a->conf.arg, xorb, ret) : r;
}

/* One that is open, or is opened now in the place of another; borrowed until the next call. */
static int find_view(struct assembly *a, const uint8_t *xorb, const struct xorb_view **ret)
{
	struct view *v;
	int r;

	for (v = a->views; v < a->views + VIEWS; v++)
		if (v->open && !memcmp(v->xorb, xorb, XET_HASH)) {
			*ret = &v->view;
			return 0;
		}
	v = &a->views[a->next_view++ % VIEWS];
	if (v->open)
		xorb_view_fini(&v->view);
	v->open = false;
	r = open_xorb(a, xorb, &v->view);
	if (r < 0)
		return r;
	v->open = true;
	memcpy(v->xorb, xorb, XET_HASH);
	*ret = &v->view;
	return 0;
}

/* ---- one file ---- */

static int refuse(struct buf *why, const struct xet_term *t, const char *text)
{
	char hex[XET_HASH_HEX + 1];

	xet_hash_print(t->xorb, hex);
	buf_printf(why, "xorb %s %s", hex, text);
	return -EBADMSG;
}

static int check_term(const struct xorb_map *m, const struct xet_term *t, struct buf *why)
{
	uint8_t range[XET_HASH];

	if (t->to > xorb_map_count(m))
		return refuse(why, t, "has fewer chunks than a file wants of it");
	if (xorb_map_start(m, t->to) - xorb_map_start(m, t->from) != t->bytes)
		return refuse(why, t, "has another number of bytes where a file wants some");
	xet_hash_range(xorb_map_hashes(m, t->from), t->to - t->from, range);
	if (memcmp(range, t->range, XET_HASH) != 0)
		return refuse(why, t, "has other chunks than a file wants of it");
	return 0;
}

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
	struct placed p = { .piece = { .from = t->from, .to = t->to, .off = off } };

	memcpy(p.xorb, t->xorb, XET_HASH);
	return buf_add(&a->placed, &p, sizeof(p));
}

static int renew(struct db_txn *t, void *arg UNUSED)
{
	return xorb_rows_renew(t);
}

/* What it is remembered to have is gone, though nobody took it away: the disk lost it. Who sent it
 * is to forget that, so that the next try sends it. */
static int read_chunks(struct assembly *a, const struct xorb_view *v, const struct xet_term *t,
		       struct intake_file *to)
{
	int r = xorb_view_read(a->conf.xorbs, v, t->from, t->to, feed, to), renewed;

	if (r != -ENOENT)
		return r;
	renewed = db_write(a->conf.db, renew, NULL);
	return renewed < 0 ? renewed : r;
}

static int add_term(struct assembly *a, const struct xet_term *t, struct xet_tree *tree,
		    struct intake_file *to, struct buf *why)
{
	const struct xorb_view *v = NULL;
	uint64_t off = intake_size(to);
	int r = find_view(a, t->xorb, &v);

	if (r == 0)
		r = check_term(&v->map, t, why);
	if (r == 0)
		r = read_chunks(a, v, t, to);
	if (r == -ENOENT)
		return refuse(why, t, NOT_HERE);
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

static int end_file(const struct xet_file *f, struct intake_file *to, struct buf *why)
{
	int r = intake_end(to);

	if (r != ERR_DIGEST)
		return r;
	buf_printf(why, "the SHA-256 of what a file is made of is not %s", f->sha256);
	return -EBADMSG;
}

/* Their blob has a name now. */
static int name_places(struct assembly *a, size_t from, const struct intake_file *f)
{
	struct placed *all = (void *)a->placed.data;
	struct assembled done = { .size = intake_size(f) };

	snprintf(done.etag, sizeof(done.etag), "%s", intake_etag(f));
	for (size_t i = from; i < a->placed.len / sizeof(*all); i++)
		memcpy(all[i].piece.etag, done.etag, sizeof(done.etag));
	return buf_add(&a->kept, &done, sizeof(done));
}

static int make(struct assembly *a, const struct xet_shard *s, const struct xet_file *f,
		struct intake_file *to, struct buf *why)
{
	const struct xet_term *terms = xet_shard_terms(s, f);
	struct xet_tree tree = { .bytes = 0 };
	size_t from = a->placed.len / sizeof(struct placed);
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < f->count; i++)
		r = add_term(a, &terms[i], &tree, to, why);
	if (r == 0)
		r = check_hash(f, &tree, why);
	if (r == 0)
		r = end_file(f, to, why);
	return r < 0 ? r : name_places(a, from, to);
}

static int keep_open(struct assembly *a)
{
	int r = a->open ? intake_keep(a->conf.intake, a->files, a->open) : 0;

	while (r == 0 && a->open)
		intake_drop(a->files[--a->open]);
	return r;
}

int assembly_add(struct assembly *a, const struct xet_shard *s, const struct xet_file *f,
		 struct buf *why)
{
	const struct xet_term *terms = xet_shard_terms(s, f);
	struct intake_want want = { DIGEST_SHA256, 0, f->sha256[0] ? f->sha256 : NULL };
	CLEANUP(intake_dropp) struct intake_file *to = NULL;
	int r = a->open == OPEN_MAX ? keep_open(a) : 0;

	for (uint32_t i = 0; i < f->count; i++)
		want.size += terms[i].bytes;
	if (r == 0)
		r = intake_begin(a->conf.intake, &want, &to);
	if (r == 0)
		r = make(a, s, f, to, why);
	if (r == 0)
		a->files[a->open++] = steal(to);
	return err_is_full(r) ? ERR_READ_ONLY : r;
}

/* ---- what is remembered ---- */

struct row {
	const struct assembly_conf *conf;
	const uint8_t *xorb;
	const struct xorb_map *map;
	struct buf pieces; /* struct xorb_piece */
	bool whole;
};

static int put_row(struct db_txn *t, void *arg)
{
	struct row *row = arg;

	return xorb_rows_put(t, row->xorb, row->map, &row->pieces, row->conf->uid, &row->whole);
}

/* All places of one xorb; *ret_count of them. */
static int remember_one(struct assembly *a, const struct placed *p, size_t left, size_t *ret_count)
{
	struct row row = { .conf = &a->conf, .xorb = p->xorb };
	const struct xorb_view *v = NULL;
	size_t n = 0;
	int r = find_view(a, p->xorb, &v);

	for (; n < left && !memcmp(p[n].xorb, p->xorb, XET_HASH); n++)
		buf_add(&row.pieces, &p[n].piece, sizeof(p[n].piece));
	*ret_count = n;
	if (r == 0)
		r = row.pieces.failed;
	if (r == 0) {
		row.map = &v->map;
		r = db_write(a->conf.db, put_row, &row);
	}
	if (r == 0 && row.whole)
		xorbs_remove(a->conf.xorbs, a->conf.repo, p->xorb);
	buf_free(&row.pieces);
	return r;
}

static int compare_placed(const void *a, const void *b)
{
	return memcmp(a, b, XET_HASH);
}

int assembly_keep(struct assembly *a)
{
	size_t count = a->placed.len / sizeof(struct placed), n = 0;
	int r = keep_open(a);

	if (count)
		qsort(a->placed.data, count, sizeof(struct placed), compare_placed);
	for (size_t i = 0; r == 0 && i < count; i += n)
		r = remember_one(a, (const struct placed *)(void *)a->placed.data + i, count - i,
				 &n);
	buf_clear(&a->placed);
	return r;
}
