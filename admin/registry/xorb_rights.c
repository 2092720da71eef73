/* SPDX-License-Identifier: Apache-2.0 */
/* First who has it, by keys alone; then whom of those one may read; only then what it is. */
#include "admin/registry/xorb_rights.h"

#include <errno.h>
#include <string.h>

#include "admin/registry/registry.h"
#include "admin/registry/uploads.h"
#include "daemon/base/err.h"

#define OWNERS_MAX 64 /* that are looked at */

struct owner {
	char uid[REGISTRY_UID + 1];
	struct repo_id id;
	bool writes; /* who asks may */
};

struct search {
	const struct xorb_rights *rights;
	const uint8_t *xorb;
	struct db_txn *txn;
	struct owner owners[OWNERS_MAX];
	size_t count;
	struct xorb_map map;
	struct buf held; /* pieces of it */
};

static void search_fini(struct search *s)
{
	xorb_map_fini(&s->map);
	buf_free(&s->held);
}

/* ---- whom it was brought for ---- */

static int add_owner(struct search *s, const char *uid)
{
	struct owner *o = &s->owners[s->count];
	int r = registry_name(s->txn, uid, &o->id);

	memcpy(o->uid, uid, sizeof(o->uid));
	s->count += r == 0;
	return r == -ENOENT ? 0 : r;
}

static int take_owner(void *arg, const char *uid)
{
	struct search *s = arg;

	if (!strcmp(uid, s->rights->uid))
		return 0;
	return s->count == OWNERS_MAX ? 1 : add_owner(s, uid);
}

static int list_owners(struct db_txn *t, void *arg)
{
	struct search *s = arg;
	int r;

	s->txn = t;
	s->count = 0;
	r = *s->rights->uid ? add_owner(s, s->rights->uid) : 0;
	if (r == 0)
		r = xorb_rows_owners(t, s->xorb, take_owner, s);
	return r < 0 ? r : 0;
}

/* Only of the repository that they bring files to. */
static int ask_writes(const struct search *s, struct owner *o)
{
	int r = strcmp(o->uid, s->rights->uid) != 0 ? 0 : s->rights->writes(s->rights->arg, &o->id);

	o->writes = r == 1;
	return r < 0 ? r : 0;
}

static int keep_readable(struct search *s)
{
	size_t kept = 0;

	for (size_t i = 0; i < s->count; i++) {
		struct owner *o = &s->owners[i];
		int reads = s->rights->reads(s->rights->arg, &o->id);
		int r = reads == 1 ? ask_writes(s, o) : reads;

		if (r < 0)
			return r;
		if (reads)
			s->owners[kept++] = *o;
	}
	s->count = kept;
	return 0;
}

/* ---- what of it they have ---- */

/* What is in no commit yet. */
static int may_have_new(struct db_txn *t, const struct search *s, const struct owner *o)
{
	return o->writes ? 1 : xorb_rows_brought(t, s->xorb, o->uid, s->rights->user);
}

static int owner_has(struct db_txn *t, const struct search *s, const struct owner *o,
		     const char *etag, uint64_t size)
{
	char key[REPO_KEY_MAX + 1];
	uint64_t came;
	int r = objects_has_file(t, o->uid, etag, size);

	if (r != 0 && r != -ENOENT)
		return r;
	r = may_have_new(t, s, o);
	if (r != 1)
		return r;
	repo_id_key(&o->id, key);
	r = uploads_find(t, key, etag, &came);
	return r == 0 ? 1 : r == -ENOENT ? 0 : r;
}

static int any_has(struct db_txn *t, const struct search *s, const char *etag)
{
	uint64_t size = 0;
	int fd = intake_open_blob(s->rights->intake, etag, &size), r = 0;

	if (fd < 0)
		return 0;
	close(fd);
	for (size_t i = 0; r == 0 && i < s->count; i++)
		r = owner_has(t, s, &s->owners[i], etag, size);
	return r;
}

static int find_held(struct db_txn *t, void *arg)
{
	struct search *s = arg;
	const char *last = "";
	int has = 0, r;

	xorb_map_fini(&s->map);
	buf_clear(&s->held);
	s->map = (struct xorb_map){ 0 };
	r = xorb_rows_get(t, s->xorb, &s->map);
	if (r == 0) /* those of one blob stand together then */
		xorb_pieces_reduce(&s->map.pieces, xorb_map_count(&s->map), SIZE_MAX);
	for (size_t i = 0; r == 0 && i < xorb_pieces_count(&s->map.pieces); i++) {
		const struct xorb_piece *p = xorb_pieces_at(&s->map.pieces, i);

		if (strcmp(p->etag, last) != 0)
			has = any_has(t, s, p->etag);
		last = p->etag;
		r = has < 0 ? has : has ? buf_add(&s->held, p, sizeof(*p)) : 0;
	}
	return r;
}

int xorb_rights_get(const struct xorb_rights *rights, const uint8_t xorb[static XET_HASH],
		    struct xorb_map *ret)
{
	CLEANUP(search_fini) struct search s = { .rights = rights, .xorb = xorb };
	int r = db_read(rights->db, list_owners, &s);

	if (r == 0)
		r = keep_readable(&s);
	if (r == 0)
		r = s.count ? db_read(rights->db, find_held, &s) : -ENOENT;
	if (r == ERR_CORRUPT || (r == 0 && !s.held.len))
		return -ENOENT;
	if (r < 0)
		return r;
	buf_free(&s.map.pieces);
	s.map.pieces = s.held;
	*ret = s.map;
	s.map = (struct xorb_map){ 0 };
	s.held = (struct buf){ 0 };
	return 0;
}
