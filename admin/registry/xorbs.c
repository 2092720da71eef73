/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of all chunks in a row; then which chunks they are (xorb_map_pack), and how many bytes
 * say so. Whoever takes one out of its name counts it no more. Nothing is flushed: what a crash
 * leaves may be torn, or have holes. So its name is looked at when it is opened, and each chunk
 * when it is read. */
#include "admin/registry/xorbs.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "admin/registry/registry.h"
#include "admin/registry/xorb_dues.h"
#include "admin/registry/xorb_name.h"
#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/file.h"
#include "daemon/base/num.h"
#include "daemon/xet/xorb.h"

#define BLOCK_BYTES 4096      /* the least that a file takes */
#define ROOM_BYTES (8 << 20)  /* the disk is asked for room once for so many */
#define PIECE_BYTES (1 << 18) /* more than a chunk has */
#define MAP_MAX (4 + XORB_CHUNKS_MAX * (4 + XET_HASH))
#define TRIES 8 /* to get a name that others take and leave */

struct xorbs {
	struct intake *in;
	struct xorb_dues *dues;
	int64_t since_s; /* what came before did so in another run */
	atomic_ullong serial;
};

struct xorb_file {
	struct xorbs *all;
	char name[XORB_NAME_MAX], coming[XORB_HALF_MAX]; /* or "" */
	char owner[XORB_OWNER_MAX], payer[ACCOUNT_NAME_MAX + 1];
	uint64_t most;
	uint8_t xorb[XET_HASH];
	struct xorb_reader *reader;
	struct xorb_map map;
	uint64_t size, room_to;
	int fd;
};

static int64_t blocks_of(int64_t size)
{
	return (size + BLOCK_BYTES - 1) / BLOCK_BYTES * BLOCK_BYTES;
}

/* What a former run was at when it was cut off. It may be one that waits, by another name: whoever
 * wrote to it would write there. */
static void remove_half(void *arg, const char *name)
{
	const struct xorbs *x = arg;

	if (xorb_name_is_half(name))
		unlinkat(intake_staging(x->in), name, 0);
}

/* Whoever brought it pays, as far as is known after a start. */
static void count_name(void *arg, const char *name)
{
	const struct xorbs *x = arg;
	char owner[XORB_OWNER_MAX];
	struct stat st;

	if (!xorb_name_is(name) || fstatat(intake_staging(x->in), name, &st, 0) < 0)
		return;
	xorb_name_owner(name, owner);
	xorb_dues_add(x->dues, owner, xorb_name_user(name), blocks_of(st.st_size), 1);
}

int xorbs_new(struct intake *in, struct xorbs **ret)
{
	struct xorbs *x = calloc(1, sizeof(*x));

	if (!x)
		return -ENOMEM;
	x->in = in;
	x->since_s = clock_wall_s() + 1;
	if (xorb_dues_new(&x->dues) < 0) {
		free(x);
		return -ENOMEM;
	}
	file_each_name(intake_staging(in), remove_half, x);
	file_each_name(intake_staging(in), count_name, x);
	*ret = x;
	return 0;
}

void xorbs_free(struct xorbs *x)
{
	if (!x)
		return;
	xorb_dues_free(x->dues);
	free(x);
}

void xorbs_waiting(struct xorbs *x, const char *payer, uint64_t *ret_bytes, uint64_t *ret_files)
{
	xorb_dues_of(x->dues, payer, ret_bytes, ret_files);
}

/* ---- out of its name ---- */

static unsigned long long next_number(struct xorbs *x)
{
	return atomic_fetch_add(&x->serial, 1);
}

/* It is found by nobody else from now on; what it is called. */
static int take_out(struct xorbs *x, const char *name, char ret[static XORB_HALF_MAX],
		    struct stat *ret_st)
{
	int stage = intake_staging(x->in);

	snprintf(ret, XORB_HALF_MAX, XORB_GOING "%llu", next_number(x));
	return renameat(stage, name, stage, ret) < 0 || fstatat(stage, ret, ret_st, 0) < 0 ? -errno
											   : 0;
}

static void remove_out(struct xorbs *x, const char *name, const char *out, const struct stat *st)
{
	char owner[XORB_OWNER_MAX];

	xorb_name_owner(name, owner);
	xorb_dues_add(x->dues, owner, NULL, -blocks_of(st->st_size), -1);
	unlinkat(intake_staging(x->in), out, 0);
}

static void remove_name(struct xorbs *x, const char *name)
{
	char out[XORB_HALF_MAX];
	struct stat st = { .st_size = 0 };

	if (take_out(x, name, out, &st) == 0)
		remove_out(x, name, out, &st);
}

void xorbs_remove(struct xorbs *x, const struct xorb_owner *owner,
		  const uint8_t xorb[static XET_HASH])
{
	char name[XORB_NAME_MAX];

	xorb_name(owner, xorb, name);
	remove_name(x, name);
}

void xorbs_remove_old(struct xorbs *x, const char *name, int64_t before_s)
{
	int stage = intake_staging(x->in);
	char out[XORB_HALF_MAX];
	struct stat st = { .st_size = 0 };

	if (take_out(x, name, out, &st) < 0)
		return;
	if (st.st_mtim.tv_sec < before_s || linkat(stage, out, stage, name, 0) < 0)
		remove_out(x, name, out, &st);
	else
		unlinkat(stage, out, 0);
}

/* ---- one that comes ---- */

/* For the next bytes, and for files that are to be made of all that waits. Those that came are
 * counted already. */
static int make_room(struct xorb_file *f)
{
	uint64_t bytes, files;

	xorb_dues_of(f->all->dues, f->payer, &bytes, &files);
	f->room_to += ROOM_BYTES;
	return bytes > f->most ? ERR_QUOTA : intake_has_room(f->all->in, bytes + ROOM_BYTES);
}

static int put_chunk(void *arg, const uint8_t hash[static XET_HASH], const void *data, size_t len)
{
	struct xorb_file *f = arg;
	int r = 0;

	xorb_dues_add(f->all->dues, f->owner, f->payer, (int64_t)len, 0);
	f->size += len;
	if (f->size > f->room_to)
		r = make_room(f);
	if (r == 0)
		r = file_pwrite(f->fd, data, len, f->size - len);
	return r < 0 ? r : xorb_map_add(&f->map, hash, (uint32_t)len);
}

static void dropp(struct xorb_file **f)
{
	xorb_file_drop(*f);
}

static int stage_file(struct xorb_file *f, const char *uid)
{
	snprintf(f->coming, sizeof(f->coming), XORB_COMING "%.*s-%llu", REGISTRY_UID, uid,
		 next_number(f->all));
	f->fd = openat(intake_staging(f->all->in), f->coming, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC,
		       0600);
	if (f->fd >= 0)
		return 0;
	f->coming[0] = '\0';
	return -errno;
}

int xorbs_begin(struct xorbs *x, const struct xorbs_want *want, const uint8_t xorb[static XET_HASH],
		struct xorb_file **ret)
{
	CLEANUP(dropp) struct xorb_file *f = calloc(1, sizeof(*f));
	int r;

	if (!f)
		return -ENOMEM;
	f->all = x;
	f->fd = -1;
	f->most = want->most;
	memcpy(f->xorb, xorb, XET_HASH);
	snprintf(f->payer, sizeof(f->payer), "%s", want->payer);
	xorb_name(&want->owner, xorb, f->name);
	xorb_name_owner(f->name, f->owner);
	r = xorb_reader_new(put_chunk, f, &f->reader);
	if (r == 0)
		r = stage_file(f, want->owner.uid);
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

/* One of that name that came in this run is as good, and as new from now on. */
static int renew_name(struct xorb_file *f)
{
	static const struct timespec now[2] = { { .tv_nsec = UTIME_OMIT },
						{ .tv_nsec = UTIME_NOW } };
	struct xorbs *x = f->all;

	if (intake_staged_since(x->in, f->name, x->since_s))
		return utimensat(intake_staging(x->in), f->name, now, 0) < 0 ? -errno : 0;
	remove_name(x, f->name);
	return -ENOENT;
}

static int take_name(struct xorb_file *f)
{
	int stage = intake_staging(f->all->in), r = -EEXIST;

	for (unsigned i = 0; r == -EEXIST && i < TRIES; i++) {
		r = linkat(stage, f->coming, stage, f->name, 0) < 0 ? -errno : 0;
		if (r == -EEXIST && renew_name(f) == 0)
			return 0; /* ours goes with who brought it */
	}
	if (r < 0)
		return r;
	xorb_dues_add(f->all->dues, f->owner, f->payer,
		      blocks_of((int64_t)(f->size + 8 + f->map.ends.len + f->map.hashes.len)), 1);
	return 0;
}

int xorb_file_end(struct xorb_file *f)
{
	uint8_t name[XET_HASH];
	int r = xorb_reader_end(f->reader, name);

	if (r == 0 && memcmp(name, f->xorb, XET_HASH) != 0)
		r = ERR_DIGEST;
	if (r == 0)
		r = put_map(f);
	if (r == 0)
		r = take_name(f);
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
	xorb_dues_add(f->all->dues, f->owner, NULL, -(int64_t)f->size, 0);
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

static int open_name(struct xorbs *x, const char *name, const uint8_t *xorb, struct xorb_view *v)
{
	uint8_t found[XET_HASH];
	struct stat st;
	int r;

	v->fd = openat(intake_staging(x->in), name, O_RDONLY | O_CLOEXEC);
	if (v->fd < 0 || fstat(v->fd, &st) < 0)
		return -errno;
	v->fresh = st.st_mtim.tv_sec >= x->since_s;
	r = read_map(v->fd, (uint64_t)st.st_size, &v->map);
	if (r < 0)
		return r;
	xorb_map_name(&v->map, found);
	return memcmp(found, xorb, XET_HASH) != 0 ? ERR_CORRUPT : 0;
}

int xorbs_open(struct xorbs *x, const struct xorb_owner *owner, const uint8_t xorb[static XET_HASH],
	       struct xorb_view *ret)
{
	CLEANUP(xorb_view_fini) struct xorb_view v = { .fd = -1 };
	char name[XORB_NAME_MAX];
	int r;

	xorb_name(owner, xorb, name);
	r = open_name(x, name, xorb, &v);
	if (r == ERR_CORRUPT) {
		remove_name(x, name); /* it did not survive a crash */
		return -ENOENT;
	}
	if (r < 0)
		return r;
	*ret = (struct xorb_view){ .map = v.map, .fd = steal_fd(&v.fd), .fresh = v.fresh };
	v.map = (struct xorb_map){ 0 };
	return 0;
}

/* ---- its bytes ---- */

/* Chunks as they lie in a row in a file, as many as there is room for. */
struct run {
	const struct xorb_map *map;
	char *room;        /* PIECE_BYTES */
	uint32_t from, to; /* `to` goes behind those that are in it */
	struct buf *doubts;
	bool believed;
};

static uint64_t bytes_between(const struct xorb_map *m, uint32_t from, uint32_t to)
{
	return xorb_map_start(m, to) - xorb_map_start(m, from);
}

/* At least one, or ERR_DIGEST: those in front of the first that is not what it should be. */
static int check_run(struct run *n)
{
	const char *at = n->room;
	uint8_t hash[XET_HASH];
	uint32_t i = n->from;

	for (; i < n->to; i++) {
		size_t len = (size_t)bytes_between(n->map, i, i + 1);

		xet_hash_chunk(at, len, hash);
		if (memcmp(hash, xorb_map_hashes(n->map, i), XET_HASH) != 0)
			break;
		at += len;
	}
	n->to = i;
	return i > n->from ? 0 : ERR_DIGEST;
}

static int read_run(int fd, uint64_t off, struct run *n)
{
	uint32_t to = n->from + 1;
	int r;

	while (to < n->to && bytes_between(n->map, n->from, to + 1) <= PIECE_BYTES)
		to++;
	n->to = to;
	r = file_pread(fd, n->room, (size_t)bytes_between(n->map, n->from, to), off);
	return r < 0 || n->believed ? r : check_run(n);
}

/* It goes on without: who reads looks at what it has come to. */
static void doubt(struct run *n, const char *etag)
{
	struct buf *all = n->doubts;

	for (size_t at = 0; all && at < all->len; at += strlen(all->data + at) + 1)
		if (!strcmp(all->data + at, etag))
			return;
	if (all)
		buf_add(all, etag, strlen(etag) + 1);
}

static int read_piece(struct xorbs *x, const struct xorb_piece *p, struct run *n)
{
	CLEANUP(closep) int fd = -1;
	uint64_t size;

	fd = intake_open_blob(x->in, p->etag, &size);
	if (fd < 0)
		return fd;
	n->to = (uint32_t)min_u64(n->to, p->to);
	return read_run(fd, p->off + bytes_between(n->map, p->from, n->from), n);
}

/* From the first of its pieces that has it. */
static int read_pieces(struct xorbs *x, struct run *n)
{
	const struct buf *all = &n->map->pieces;
	uint32_t to = n->to;
	int r = -ENOENT;

	for (size_t i = 0; i < xorb_pieces_count(all); i++) {
		const struct xorb_piece *p = xorb_pieces_at(all, i);
		int one;

		if (p->from > n->from || p->to <= n->from)
			continue;
		n->to = to;
		one = read_piece(x, p, n);
		if (one == 0)
			return 0;
		if (one == ERR_DIGEST || one == -ENODATA)
			doubt(n, p->etag);
		if (one != -ENOENT)
			r = one;
	}
	return r;
}

int xorb_view_read(struct xorbs *x, const struct xorb_view *v, uint32_t from, uint32_t to,
		   xorb_bytes_fn fn, void *arg)
{
	CLEANUP(freep) char *room = malloc(PIECE_BYTES);
	struct run n = { &v->map, room, from, to, v->doubts, v->fd >= 0 && v->believed };
	int r = room ? 0 : -ENOMEM;

	while (r == 0 && n.from < to) {
		n.to = to;
		r = v->fd >= 0 ? read_run(v->fd, xorb_map_start(&v->map, n.from), &n)
			       : read_pieces(x, &n);
		if (r == 0)
			r = fn(arg, room, (size_t)bytes_between(&v->map, n.from, n.to));
		n.from = n.to;
	}
	return r;
}

int xorbs_stage(const struct xorbs *x)
{
	return intake_staging(x->in);
}

bool xorbs_coming(struct xorbs *x, const char *uid, int64_t since_s)
{
	char part[REGISTRY_UID + 3]; /* as it stands in names */

	snprintf(part, sizeof(part), "-%.*s-", REGISTRY_UID, uid);
	return intake_stages(x->in, "xorb", part, since_s);
}
