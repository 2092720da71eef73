/* SPDX-License-Identifier: Apache-2.0 */
/* xorb-HASH-REPO: the bytes of all chunks in a row; then which chunks they are (xorb_map_pack), and
 * how many bytes say so. It gets its name when all of it is written, but nothing is flushed: what a
 * crash leaves may be torn. That the chunks are those of that hash is seen when it is opened, and
 * the digest of a file finds out whether their bytes are. */
#include "admin/registry/xorbs.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/base/err.h"
#include "daemon/base/file.h"
#include "daemon/base/num.h"
#include "daemon/xet/xorb.h"

#define PREFIX "xorb-"
/* xorb-HASH-REPO, and while it comes .N */
#define NAME_MAX_LEN (sizeof(PREFIX "-") + XET_HASH_HEX + 16)
#define COMING_MAX_LEN (NAME_MAX_LEN + sizeof(".") + 20)
#define ROOM_BYTES (8 << 20) /* the disk is asked for room once for so many */
#define PIECE_BYTES (256 << 10)
#define MAP_MAX (4 + XORB_CHUNKS_MAX * (4 + XET_HASH))

struct xorbs {
	struct intake *in;
	atomic_ullong serial;
};

struct xorb_file {
	struct xorbs *all;
	char name[NAME_MAX_LEN], coming[COMING_MAX_LEN]; /* "" once it has its name */
	uint8_t xorb[XET_HASH];
	struct xorb_reader *reader;
	struct xorb_map map;
	uint64_t size, room_to;
	int fd;
};

int xorbs_new(struct intake *in, struct xorbs **ret)
{
	struct xorbs *x = calloc(1, sizeof(*x));

	if (!x)
		return -ENOMEM;
	x->in = in;
	*ret = x;
	return 0;
}

void xorbs_free(struct xorbs *x)
{
	free(x);
}

static void name_of(const char *repo, const uint8_t *xorb, char ret[static NAME_MAX_LEN])
{
	char hex[XET_HASH_HEX + 1];

	xet_hash_print(xorb, hex);
	snprintf(ret, NAME_MAX_LEN, PREFIX "%s-%016" PRIx64, hex, xxh3_of(repo, strlen(repo)));
}

/* ---- one that comes ---- */

static int put_chunk(void *arg, const uint8_t hash[static XET_HASH], const void *data, size_t len)
{
	struct xorb_file *f = arg;
	int r = 0;

	if (f->size + len > f->room_to) {
		r = intake_has_room(f->all->in, ROOM_BYTES);
		f->room_to += ROOM_BYTES;
	}
	if (r == 0)
		r = file_pwrite(f->fd, data, len, f->size);
	f->size += len;
	return r < 0 ? r : xorb_map_add(&f->map, hash, (uint32_t)len);
}

static void dropp(struct xorb_file **f)
{
	xorb_file_drop(*f);
}

static int stage(struct xorb_file *f)
{
	unsigned long long number = atomic_fetch_add(&f->all->serial, 1);

	snprintf(f->coming, sizeof(f->coming), "%s.%llu", f->name, number);
	f->fd = openat(intake_staging(f->all->in), f->coming,
		       O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (f->fd >= 0)
		return 0;
	f->coming[0] = '\0';
	return -errno;
}

int xorbs_begin(struct xorbs *x, const char *repo, const uint8_t xorb[static XET_HASH],
		struct xorb_file **ret)
{
	CLEANUP(dropp) struct xorb_file *f = calloc(1, sizeof(*f));
	int r;

	if (!f)
		return -ENOMEM;
	f->all = x;
	f->fd = -1;
	memcpy(f->xorb, xorb, XET_HASH);
	name_of(repo, xorb, f->name);
	r = xorb_reader_new(put_chunk, f, &f->reader);
	if (r == 0)
		r = stage(f);
	if (r == 0)
		*ret = steal(f);
	return err_is_full(r) ? ERR_READ_ONLY : r;
}

int xorb_file_add(struct xorb_file *f, const void *data, size_t len)
{
	int r = xorb_reader_add(f->reader, data, len);

	return err_is_full(r) ? ERR_READ_ONLY : r;
}

/* What the chunks are, behind them. */
static int put_map(struct xorb_file *f)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	int r = xorb_map_pack(&f->map, &text);

	if (r == 0)
		r = buf_add_u32(&text, (uint32_t)text.len);
	return r < 0 ? r : file_pwrite(f->fd, text.data, text.len, f->size);
}

int xorb_file_end(struct xorb_file *f)
{
	int stage = intake_staging(f->all->in);
	uint8_t name[XET_HASH];
	int r = xorb_reader_end(f->reader, name);

	if (r == 0 && memcmp(name, f->xorb, XET_HASH) != 0)
		r = ERR_DIGEST;
	if (r == 0)
		r = put_map(f);
	if (r == 0 && renameat(stage, f->coming, stage, f->name) < 0)
		r = -errno;
	if (r == 0)
		f->coming[0] = '\0';
	return err_is_full(r) ? ERR_READ_ONLY : r;
}

const char *xorb_file_why(const struct xorb_file *f)
{
	return xorb_reader_why(f->reader);
}

void xorb_file_drop(struct xorb_file *f)
{
	if (!f)
		return;
	if (f->coming[0])
		unlinkat(intake_staging(f->all->in), f->coming, 0);
	closep(&f->fd);
	xorb_reader_free(f->reader);
	xorb_map_fini(&f->map);
	free(f);
}

/* ---- one that is read ---- */

void xorb_view_fini(struct xorb_view *v)
{
	xorb_map_fini(&v->map);
	closep(&v->fd);
	v->fd = -1;
}

/* Behind the bytes of its chunks. */
static int read_map(int fd, uint64_t size, struct xorb_map *ret)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	uint32_t len;
	size_t used = 0;
	int r = size < sizeof(len) ? ERR_CORRUPT
				   : file_pread(fd, &len, sizeof(len), size - sizeof(len));

	if (r < 0)
		return r;
	len = le32toh(len);
	size -= sizeof(len);
	if (len > MAP_MAX || len > size)
		return ERR_CORRUPT;
	r = buf_reserve(&text, len);
	if (r == 0)
		r = file_pread(fd, text.data, len, size - len);
	if (r == 0)
		r = xorb_map_unpack(text.data, len, ret, &used);
	if (r < 0)
		return r;
	return used == len && xorb_map_start(ret, xorb_map_count(ret)) == size - len ? 0
										     : ERR_CORRUPT;
}

int xorbs_open(struct xorbs *x, const char *repo, const uint8_t xorb[static XET_HASH],
	       struct xorb_view *ret)
{
	CLEANUP(xorb_view_fini) struct xorb_view v = { .fd = -1 };
	char name[NAME_MAX_LEN];
	uint8_t found[XET_HASH];
	struct stat st;
	int r;

	name_of(repo, xorb, name);
	v.fd = openat(intake_staging(x->in), name, O_RDONLY | O_CLOEXEC);
	if (v.fd < 0 || fstat(v.fd, &st) < 0)
		return -errno;
	r = read_map(v.fd, (uint64_t)st.st_size, &v.map);
	if (r == ERR_CORRUPT)
		return -ENOENT; /* it did not survive a crash */
	if (r < 0)
		return r;
	xorb_map_name(&v.map, found);
	if (memcmp(found, xorb, XET_HASH) != 0)
		return -ENOENT;
	*ret = (struct xorb_view){ v.map, steal_fd(&v.fd) };
	v.map = (struct xorb_map){ 0 };
	return 0;
}

void xorbs_remove(struct xorbs *x, const char *repo, const uint8_t xorb[static XET_HASH])
{
	char name[NAME_MAX_LEN];

	name_of(repo, xorb, name);
	unlinkat(intake_staging(x->in), name, 0);
}

static int read_bytes(int fd, uint64_t off, uint64_t len, xorb_bytes_fn fn, void *arg)
{
	CLEANUP(freep) char *piece = malloc(PIECE_BYTES);
	int r = piece ? 0 : -ENOMEM;

	while (r == 0 && len) {
		size_t n = (size_t)min_u64(len, PIECE_BYTES);

		r = file_pread(fd, piece, n, off);
		if (r == 0)
			r = fn(arg, piece, n);
		off += n;
		len -= n;
	}
	return r;
}

/* A piece that has the chunk, and whose blob is there; *ret_fd is the caller's to close. */
static const struct xorb_piece *open_piece(struct xorbs *x, const struct xorb_map *m,
					   uint32_t chunk, int *ret_fd)
{
	const struct xorb_piece *all = (const void *)m->pieces.data;
	size_t count = m->pieces.len / sizeof(*all);
	uint64_t size;

	for (size_t i = 0; i < count; i++) {
		if (all[i].from > chunk || all[i].to <= chunk)
			continue;
		*ret_fd = intake_open_blob(x->in, all[i].etag, &size);
		if (*ret_fd >= 0)
			return &all[i];
	}
	return NULL;
}

/* As many of the chunks as lie in a row; *from goes behind them. */
static int read_piece(struct xorbs *x, const struct xorb_map *m, uint32_t *from, uint32_t to,
		      xorb_bytes_fn fn, void *arg)
{
	CLEANUP(closep) int fd = -1;
	const struct xorb_piece *p = open_piece(x, m, *from, &fd);
	uint32_t start = xorb_map_start(m, *from), end;

	if (!p)
		return -ENOENT;
	end = (uint32_t)min_u64(to, p->to);
	*from = end;
	return read_bytes(fd, p->off + start - xorb_map_start(m, p->from),
			  xorb_map_start(m, end) - start, fn, arg);
}

int xorb_view_read(struct xorbs *x, const struct xorb_view *v, uint32_t from, uint32_t to,
		   xorb_bytes_fn fn, void *arg)
{
	uint32_t start = xorb_map_start(&v->map, from);
	int r = 0;

	if (v->fd >= 0)
		return read_bytes(v->fd, start, xorb_map_start(&v->map, to) - start, fn, arg);
	while (r == 0 && from < to)
		r = read_piece(x, &v->map, &from, to, fn, arg);
	return r;
}

/* ---- what waits ---- */

struct sweep {
	const struct intake *in;
	int64_t before_s;
	unsigned whole; /* that are old, and came to their end */
	bool removes;
};

static void sweep_one(void *arg, const char *name)
{
	struct sweep *w = arg;

	if (strncmp(name, PREFIX, strlen(PREFIX)) != 0 ||
	    intake_staged_since(w->in, name, w->before_s))
		return;
	w->whole += !strchr(name, '.');
	if (w->removes)
		unlinkat(intake_staging(w->in), name, 0);
}

static int renew(struct db_txn *t, void *arg UNUSED)
{
	return xorb_rows_renew(t);
}

int xorbs_sweep(struct xorbs *x, struct db *db, int64_t before_s)
{
	struct sweep w = { .in = x->in, .before_s = before_s };
	int stage = intake_staging(x->in);
	int r;

	file_each_name(stage, sweep_one, &w);
	r = w.whole ? db_write(db, renew, NULL) : 0;
	if (r < 0)
		return r;
	w.removes = true;
	file_each_name(stage, sweep_one, &w);
	return 0;
}

bool xorbs_coming(struct xorbs *x, const char *repo, int64_t since_s)
{
	char part[1 + 16 + 1]; /* as it stands in names */

	snprintf(part, sizeof(part), "-%016" PRIx64, xxh3_of(repo, strlen(repo)));
	return intake_stages(x->in, PREFIX, part, since_s);
}
