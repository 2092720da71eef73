/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/lfs_link.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/hub/target.h"
#include "daemon/base/url.h"
#include "daemon/base/why.h"

#define KEY "links" /* in DB_META */

static const char *const acts[LFS_ACT_COUNT] = { "put", "get", "part", "join" };

void lfs_link_fini(struct lfs_link *l)
{
	free(l->repo);
	free(l->user);
	free(l->token);
	*l = (struct lfs_link){ 0 };
}

/* ---- the key ---- */

struct key {
	uint8_t fresh[CAPABILITY_KEY];
	uint8_t *ret;
};

static int get_or_put(struct db_txn *t, void *arg)
{
	CLEANUP(buf_free) struct buf value = { 0 };
	struct key *k = arg;
	int r = db_get(t, DB_META, db_text(KEY), &value);

	if (r == 0 && value.len != CAPABILITY_KEY)
		return -EBADMSG;
	memcpy(k->ret, r == 0 ? (const uint8_t *)value.data : k->fresh, CAPABILITY_KEY);
	return r == -ENOENT ? db_put(t, DB_META, db_text(KEY), k->fresh, CAPABILITY_KEY) : r;
}

int lfs_link_key(struct db *db, uint8_t ret[static CAPABILITY_KEY])
{
	struct key k = { .ret = ret };
	int r = capability_make_key(k.fresh);

	return r < 0 ? r : db_write(db, get_or_put, &k);
}

/* ---- the text ---- */

/* Numbers as texts: what is sealed is a list of such. */
struct numbers {
	char size[24], part[12], part_bytes[24];
};

#define SEALED 9

static void list(const struct lfs_link *l, struct numbers *n, const char *ret[static SEALED])
{
	const char *const all[SEALED] = { acts[l->act], l->oid,  n->size,  n->part, n->part_bytes,
					  l->repo,      l->user, l->token, NULL };

	snprintf(n->size, sizeof(n->size), "%" PRIu64, l->size);
	snprintf(n->part, sizeof(n->part), "%" PRIu32, l->part);
	snprintf(n->part_bytes, sizeof(n->part_bytes), "%" PRIu64, l->part_bytes);
	memcpy(ret, all, sizeof(all));
}

static void add_field(struct buf *b, const char *name, const char *value)
{
	if (!*value)
		return;
	buf_printf(b, "&%s=", name);
	url_encode(b, value, 0);
}

int lfs_link_print(const uint8_t key[static CAPABILITY_KEY], const char *origin,
		   const struct lfs_link *l, int64_t now_s, struct buf *ret)
{
	const char *sealed[SEALED];
	struct numbers n;
	int r;

	list(l, &n, sealed);
	buf_printf(ret, "%s" LFS_LINK_ROOT "%s?act=%s&size=%s", origin, l->oid, acts[l->act],
		   n.size);
	if (l->part_bytes)
		buf_printf(ret, "&part=%s&part_bytes=%s", n.part, n.part_bytes);
	add_field(ret, "repo", l->repo);
	add_field(ret, "user", l->user);
	add_field(ret, "token", l->token);
	buf_add_str(ret, "&seal=");
	r = capability_print(key, sealed, now_s + LFS_LINK_S, ret);
	return r < 0 ? r : ret->failed;
}

static int read_text(const char *query, const char *name, char **ret)
{
	CLEANUP(buf_free) struct buf value = { 0 };

	(void)target_field(query, name, &value);
	*ret = strdup(buf_str(&value));
	return *ret ? 0 : -ENOMEM;
}

static uint64_t read_number(const char *query, const char *name)
{
	CLEANUP(buf_free) struct buf value = { 0 };

	return target_field(query, name, &value) ? strtoull(buf_str(&value), NULL, 10) : 0;
}

static bool read_act(const char *query, enum lfs_act *ret)
{
	CLEANUP(buf_free) struct buf word = { 0 };

	(void)target_field(query, "act", &word);
	for (*ret = 0; *ret < LFS_ACT_COUNT; ++*ret)
		if (!strcmp(buf_str(&word), acts[*ret]))
			return true;
	return false;
}

static int read_all(const char *query, struct lfs_link *l)
{
	int r = read_text(query, "repo", &l->repo);

	if (r == 0)
		r = read_text(query, "user", &l->user);
	if (r == 0)
		r = read_text(query, "token", &l->token);
	l->size = read_number(query, "size");
	l->part = (uint32_t)read_number(query, "part");
	l->part_bytes = read_number(query, "part_bytes");
	return r;
}

int lfs_link_read(const uint8_t key[static CAPABILITY_KEY], const char *oid, const char *query,
		  int64_t now_s, struct lfs_link *ret, struct buf *why)
{
	CLEANUP(buf_free) struct buf seal = { 0 };
	CLEANUP(lfs_link_fini) struct lfs_link l = { 0 };
	const char *sealed[SEALED];
	struct numbers n;
	int r;

	if (strlen(oid) != LFS_OID || !hex_is(oid, LFS_OID) || !read_act(query, &l.act) ||
	    !target_field(query, "seal", &seal))
		return complain_as(-EACCES, why, "this link is not one that this hub gave");
	memcpy(l.oid, oid, sizeof(l.oid));
	r = read_all(query, &l);
	if (r < 0)
		return r;
	list(&l, &n, sealed);
	r = capability_check(key, sealed, buf_str(&seal), now_s, why);
	if (r < 0)
		return r;
	*ret = l;
	l = (struct lfs_link){ 0 };
	return 0;
}
