/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/handover.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/registry/holdings.h"
#include "admin/registry/treediff.h"
#include "daemon/base/err.h"

#define ENOUGH 1

/* A file that is held; they are in the order of their ids. */
struct paid {
	uint8_t id[GIT_ID];
	bool settled;
};

struct pull {
	unsigned num;
	char author[ACCOUNT_NAME_MAX + 1]; /* in small letters */
	char base[COMMIT_HEX + 1];
	int64_t created_ms;
};

struct handing {
	struct db_txn *txn;
	const char *uid;
	struct pull from;
	struct buf files; /* struct paid */
	size_t unsettled;
	struct buf pulls; /* struct pull: the others */
	const char *to;   /* whose the one is that is looked at; NULL: of who lets go */
	int failed;       /* as nothing that was only read */
};

static void handing_fini(struct handing *h)
{
	buf_free(&h->files);
	buf_free(&h->pulls);
}

static struct pull pull_of(const struct discussion *d)
{
	struct pull p = { .num = d->num, .created_ms = d->created_ms };

	account_key(d->author, p.author);
	memcpy(p.base, d->base, sizeof(p.base));
	return p;
}

static int note_file(void *arg, const uint8_t id[static GIT_ID])
{
	struct paid f = { .settled = false };

	memcpy(f.id, id, GIT_ID);
	return buf_add(arg, &f, sizeof(f));
}

static int note_pull(void *arg, const struct discussion *d)
{
	struct handing *h = arg;
	struct pull p = pull_of(d);

	return d->is_pull && d->num != h->from.num ? buf_add(&h->pulls, &p, sizeof(p)) : 0;
}

static int compare(const void *id, const void *file)
{
	return memcmp(id, ((const struct paid *)file)->id, GIT_ID);
}

static int settle(void *arg, const char *path UNUSED, const struct tree_side *from UNUSED,
		  const struct tree_side *to)
{
	struct handing *h = arg;
	struct paid *f =
		bsearch(to->id, h->files.data, h->files.len / sizeof(*f), sizeof(*f), compare);

	if (!to->mode || !f || f->settled)
		return 0;
	f->settled = true;
	h->unsettled--;
	if (h->to)
		h->failed = objects_hand_over(h->txn, h->uid, f->id, h->to);
	return h->failed < 0 ? h->failed : h->unsettled ? 0 : ENOUGH;
}

static int tree_of(const struct handing *h, const char *commit, uint8_t ret[static GIT_ID])
{
	CLEANUP(buf_free) struct buf room = { 0 };
	struct git_commit c;
	int r = registry_commit(h->txn, h->uid, commit, &room, &c);

	if (r == 0)
		memcpy(ret, c.tree, GIT_ID);
	return r;
}

/* What cannot be read stays with who holds it; and so does what one has whose base is gone: to know
 * what that one changes all of it would have to be gone through. */
static int look_at_pull(struct handing *h, const struct pull *p)
{
	char ref[REGISTRY_REF_MAX + 1], head[COMMIT_HEX + 1];
	uint8_t base[GIT_ID], tree[GIT_ID];
	int r;

	discussion_ref(p->num, ref);
	r = registry_ref(h->txn, h->uid, ref, head);
	if (r == 0)
		r = tree_of(h, head, tree);
	if (r == 0)
		r = tree_of(h, p->base, base);
	if (r == 0)
		r = treediff_each(h->txn, h->uid, base, tree, settle, h);
	if (h->failed < 0 || r == ENOUGH)
		return h->failed;
	return r == -ENOENT || r == ERR_NOREV || r == ERR_CORRUPT ? 0 : r;
}

/* Another one of that name is not who opened it. */
static int find_account(const struct handing *h, const struct pull *p, const char **ret)
{
	struct account a;
	int r = account_get(h->txn, p->author, &a);
	bool same = r == 0 && account_is_author(&a, p->created_ms);

	*ret = same ? p->author : HOLDINGS_NOBODY;
	return r == -ENOENT ? 0 : r;
}

static int look_at_pulls(struct handing *h, bool own)
{
	const struct pull *all = (const void *)h->pulls.data;
	int r = 0;

	for (size_t i = 0; r == 0 && h->unsettled && i < h->pulls.len / sizeof(*all); i++) {
		if (!strcmp(all[i].author, h->from.author) != own)
			continue;
		h->to = NULL;
		if (!own)
			r = find_account(h, &all[i], &h->to);
		if (r == 0)
			r = look_at_pull(h, &all[i]);
	}
	return r;
}

int handover_pull(struct db_txn *t, const char *uid, const struct discussion *d)
{
	CLEANUP(handing_fini) struct handing h = { .txn = t, .uid = uid, .from = pull_of(d) };
	int r = objects_each_paid(t, uid, h.from.author, note_file, &h.files);

	h.unsettled = h.files.len / sizeof(struct paid);
	if (r < 0 || !h.unsettled)
		return r;
	r = discussion_each(t, uid, note_pull, &h);
	if (r == 0)
		r = look_at_pulls(&h, true);
	return r < 0 ? r : look_at_pulls(&h, false);
}
