/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/repo_lfs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "admin/hub/answer.h"
#include "admin/hub/writing.h"
#include "admin/registry/purge.h"
#include "admin/registry/uploads.h"
#include "daemon/base/err.h"

#define PAGE 1000
#define SHA_BYTES 32
#define DELETIONS_MAX 10000

/* ---- which there are ---- */

struct list {
	const struct registry_repo *repo;
	uint8_t after[GIT_ID]; /* of the last file that was shown, ... */
	bool has_after;        /* ... if any was */
	unsigned limit, count;
	uint8_t last[GIT_ID];
	bool more;
	struct jwrite w;
};

/* A branch by its name alone: by that releases before 1.0 tell what is on "main", and later ones
 * take it as well. */
static const char *short_ref(const char *ref)
{
	size_t len = sizeof(REGISTRY_BRANCHES) - 1;

	return strncmp(ref, REGISTRY_BRANCHES, len) == 0 ? ref + len : ref;
}

static void write_file(struct list *l, const struct purge_file *f)
{
	char oid[2 * SHA_BYTES + 1];

	hex_print(f->sha256, SHA_BYTES, oid);
	jwrite_object(&l->w, NULL);
	jwrite_text(&l->w, "fileOid", oid);
	jwrite_text(&l->w, "filename", f->path);
	jwrite_text(&l->w, "oid", oid);
	jwrite_time(&l->w, "pushedAt", 1000 * (f->at_s ? f->at_s : l->repo->created_s));
	if (*f->ref)
		jwrite_text(&l->w, "ref", short_ref(f->ref));
	jwrite_uint(&l->w, "size", f->size);
	jwrite_object_end(&l->w);
}

static int list_file(void *arg, const struct purge_file *f)
{
	struct list *l = arg;

	if (l->has_after && memcmp(f->id, l->after, GIT_ID) <= 0)
		return 0;
	l->more = l->count == l->limit;
	if (l->more)
		return 1;
	l->count++;
	memcpy(l->last, f->id, GIT_ID);
	write_file(l, f);
	return l->w.to->failed;
}

static int list_in(struct db_txn *t, void *arg)
{
	struct list *l = arg;
	int r;

	buf_clear(l->w.to);
	l->w.more = false;
	l->count = 0;
	jwrite_array(&l->w, NULL);
	r = purge_list(t, l->repo->uid, list_file, l);
	jwrite_array_end(&l->w);
	return r < 0 ? r : l->w.to->failed;
}

static void take_page(const struct ask *a, struct list *l)
{
	CLEANUP(buf_free) struct buf cursor = { 0 };

	l->limit = target_limit(a->asked.query, PAGE);
	l->has_after = target_field(a->asked.query, "cursor", &cursor) &&
		       hex_parse(buf_str(&cursor), GIT_ID, l->after) == 0;
}

static void answer_list(struct ask *a, const struct list *l)
{
	struct httpd_head h = answer_head(a, 200, ANSWER_JSON);
	char cursor[2 * GIT_ID + 1];

	hex_print(l->last, GIT_ID, cursor);
	if (l->more)
		answer_next(a, &h, "/api/%s/%s/lfs-files?limit=%u&cursor=%s",
			    repo_type_plural(l->repo->id.type), l->repo->id.name, l->limit, cursor);
	answer_json_head(a, &h, l->w.to);
}

int repo_lfs_list(struct ask *a)
{
	CLEANUP(buf_free) struct buf json = { 0 };
	struct list l = { .w.to = &json };
	struct registry_repo repo;
	int r;

	if (!ask_aside(a, 0, &r))
		return r;
	r = writing_repo(a, &repo);
	if (r != 0)
		return r == ANSWERED ? 0 : r;
	l.repo = &repo;
	take_page(a, &l);
	r = db_read(a->server->rights.db, list_in, &l);
	if (r == 0)
		answer_list(a, &l);
	return r;
}

/* ---- away with them ---- */

struct deletion {
	struct registry_repo repo;
	struct purge purge;
	struct buf sums; /* SHA_BYTES each */
	char note[96];   /* of the record: how much went */
	struct buf why;
};

static void deletion_fini(struct deletion *d)
{
	buf_free(&d->sums);
	buf_free(&d->why);
}

/* What came, and is in no commit yet, goes as well. */
static int forget_uploads(struct db_txn *t, const struct registry_repo *repo, const struct purge *p)
{
	char key[REPO_KEY_MAX + 1], oid[2 * SHA_BYTES + 1];
	int r = 0;

	repo_id_key(&repo->id, key);
	for (size_t i = 0; r == 0 && i < p->count; i++) {
		hex_print(p->sha256 + SHA_BYTES * i, SHA_BYTES, oid);
		r = uploads_forget(t, key, oid);
	}
	return r;
}

static int purge_in(struct db_txn *t, void *arg)
{
	struct deletion *d = arg;
	struct registry_repo now;
	int r = registry_now(t, d->repo.uid, &now);

	if (r < 0)
		return r;
	buf_clear(&d->why);
	r = forget_uploads(t, &now, &d->purge);
	if (r == 0)
		r = purge_files(t, &d->purge, &d->why);
	snprintf(d->note, sizeof(d->note), "%u files, %u commits written anew", d->purge.files,
		 d->purge.commits);
	return r;
}

static int refuse_body(struct ask *a)
{
	answer_refuse(a, 400,
		      "\"deletions\" must be {\"sha\": [SHA-256 in hex digits, ...], "
		      "\"rewriteHistory\": true or false}");
	return ANSWERED;
}

static int take_sums(struct ask *a, const struct jval *list, struct deletion *d)
{
	uint8_t sum[SHA_BYTES];
	int r = 0;

	for (size_t i = 0; r == 0 && i < jval_count(list); i++) {
		const char *text = jval_str(jval_at(list, i));

		if (!text || !hex_is(text, 2 * SHA_BYTES) || hex_parse(text, SHA_BYTES, sum) < 0 ||
		    d->purge.count == DELETIONS_MAX)
			return refuse_body(a);
		r = buf_add(&d->sums, sum, sizeof(sum));
		d->purge.count++;
	}
	return r;
}

static int take_body(struct ask *a, const struct jval *body, struct deletion *d)
{
	const struct jval *deletions = jval_get(body, "deletions");
	const struct jval *list = jval_get(deletions, "sha");
	const struct jval *rewrite = jval_get(deletions, "rewriteHistory");
	int r;

	if (!list || !jval_is_array(list) || (rewrite && jval_bool(rewrite) < 0))
		return refuse_body(a);
	r = take_sums(a, list, d);
	d->purge.uid = d->repo.uid;
	d->purge.user = a->who.user;
	d->purge.sha256 = (const uint8_t *)d->sums.data;
	d->purge.rewrite = jval_bool(rewrite) == 1;
	return r;
}

/* Before anybody hears of it, nobody is shown what is gone. */
static int delete_all(struct ask *a, struct deletion *d)
{
	const struct writing_act act = { "lfs.delete", &d->repo.id, NULL, d->note };
	const struct writing_change change = { .act = &act,
					       .fn = purge_in,
					       .arg = d,
					       .type = d->repo.id.type,
					       .uid = d->repo.uid,
					       .revision = REGISTRY_MAIN,
					       .loses = true };
	struct server *s = a->server;
	int r = writing_change(a, &change);

	if (r == ERR_TAG_LOCKED)
		return writing_refuse_as(a, &act, r, buf_str(&d->why));
	if (r < 0)
		return writing_note_failure(a, &act, r);
	known_host_forget(node_known(s->node), &d->repo.id);
	r = writing_done(a, &act);
	ready_empty(s->ready);
	if (r == 0)
		writing_answer_done(a);
	return r;
}

int repo_lfs_delete(struct ask *a)
{
	CLEANUP(deletion_fini) struct deletion d = { .sums = { 0 } };
	CLEANUP(jdoc_freep) struct jdoc *doc = NULL;
	int r;

	if (!writing_begin(a, &r))
		return r;
	r = writing_whole(a, &d.repo, &doc);
	if (r == 0)
		r = take_body(a, jdoc_root(doc), &d);
	return r != 0 ? (r < 0 ? r : 0) : delete_all(a, &d);
}
