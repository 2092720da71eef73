/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/nfs_attr.h"

#include <errno.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "fs/attr.h"
#include "fs/listing.h"

#define FILE_SYSTEM 1
#define CHANGES_S 3 /* names that are not there are asked for again after so long */

static enum nfs_ftype type_of(mode_t mode)
{
	return S_ISDIR(mode) ? NF3DIR : S_ISLNK(mode) ? NF3LNK : NF3REG;
}

static void put_time(struct buf *ret, const struct timespec *t)
{
	xdr_put_u32(ret, (uint32_t)t->tv_sec);
	xdr_put_u32(ret, (uint32_t)t->tv_nsec);
}

static void put(struct buf *ret, const struct place *p, const struct stat *st)
{
	xdr_put_u32(ret, type_of(st->st_mode));
	xdr_put_u32(ret, st->st_mode & 01777);
	xdr_put_u32(ret, (uint32_t)st->st_nlink);
	xdr_put_u32(ret, st->st_uid);
	xdr_put_u32(ret, st->st_gid);
	xdr_put_u64(ret, (uint64_t)st->st_size);
	xdr_put_u64(ret, (uint64_t)st->st_blocks * 512);
	xdr_put_u64(ret, 0); /* of no device */
	xdr_put_u64(ret, FILE_SYSTEM);
	xdr_put_u64(ret, place_number(p));
	put_time(ret, &st->st_atim);
	put_time(ret, &st->st_mtim);
	put_time(ret, &st->st_ctim);
}

/* A ref is another file when it names another commit. */
static void date_as(const struct view *v, const struct place *ref, const char *commit,
		    struct stat *st)
{
	CLEANUP(snapshot_unrefp) struct snapshot *s = NULL;

	if (known_snapshot(node_known(v->node), ref->repo, commit, &s) == 0)
		st->st_mtim.tv_sec = s->date_s;
	st->st_mtim.tv_nsec = (long)(xxh3_of(commit, COMMIT_HEX) % 1000000000);
	st->st_ctim = st->st_mtim;
}

static int date_ref(const struct view *v, const struct place *p, struct waiter *w, struct stat *st)
{
	char commit[COMMIT_HEX + 1];
	int r = node_ref(v->node, p->repo, p->name, w, commit);

	if (r == 0)
		date_as(v, p, commit, st);
	return r;
}

/* What it lists, or has not, may be otherwise the next moment. */
static bool changes(const struct place *p)
{
	return place_format(p) == S_IFDIR && !place_is_final(p) && p->kind != PLACE_REPO &&
	       p->kind != PLACE_ABSENT_DIR && p->kind != PLACE_SCRATCH;
}

static int date(const struct view *v, const struct place *p, struct waiter *w, struct stat *st)
{
	if (p->kind == PLACE_REF)
		return w ? date_ref(v, p, w, st) : -EAGAIN;
	if (changes(p)) {
		st->st_mtim.tv_sec = clock_wall_s() / CHANGES_S * CHANGES_S;
		st->st_ctim = st->st_mtim;
	}
	return 0;
}

int nfs_attr_put(const struct view *v, const struct place *p, struct waiter *w, struct buf *ret)
{
	int64_t ttl_ms;
	struct stat st;
	int r = attr_stat(v, p, &st, &ttl_ms);

	if (r == 0)
		r = date(v, p, w, &st);
	if (r == 0)
		put(ret, p, &st);
	return r;
}

void nfs_attr_put_after(const struct view *v, const struct place *p, struct buf *ret)
{
	size_t at = ret->len;

	xdr_put_u32(ret, true);
	if (nfs_attr_put(v, p, NULL, ret) == 0)
		return;
	ret->len = at;
	xdr_put_u32(ret, false);
}

void nfs_attr_put_read(const struct view *v, const struct place *p, const char *text,
		       struct buf *ret)
{
	int64_t ttl_ms;
	struct stat st;

	if (p->kind != PLACE_REF || attr_stat(v, p, &st, &ttl_ms) < 0) {
		nfs_attr_put_after(v, p, ret);
		return;
	}
	date_as(v, p, text, &st);
	xdr_put_u32(ret, true);
	put(ret, p, &st);
}
