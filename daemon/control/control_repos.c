/* SPDX-License-Identifier: Apache-2.0 */
/* Which repositories are known here, and how much of their files is: no hub is asked. */
#include "daemon/control/control_priv.h"

#include <stdio.h>
#include <string.h>

#include "daemon/base/err.h"

#define REPOS_MAX 1000 /* whose files are looked at, in one answer */

/* --- which commit stands for a repository: that of main, else of any ref, else any */

struct choice {
	char ref[REVISION_MAX + 1], commit[COMMIT_HEX + 1];
};

static int take_ref(void *arg, const char *ref, const char *commit)
{
	struct choice *ret = arg;
	bool is_main = !strcmp(ref, "main");

	if (is_main || !ret->commit[0]) {
		snprintf(ret->ref, sizeof(ret->ref), "%s", ref);
		snprintf(ret->commit, sizeof(ret->commit), "%s", commit);
	}
	return is_main;
}

static int take_commit(void *arg, const char *commit)
{
	struct choice *ret = arg;

	snprintf(ret->commit, sizeof(ret->commit), "%s", commit);
	return 1;
}

/* Its snapshot, owned; NULL if no files of it are known. */
static struct snapshot *choose(struct known *k, struct repo *r, struct choice *ret)
{
	struct snapshot *s = NULL;

	*ret = (struct choice){ .ref = "" };
	known_each_ref(k, r, take_ref, ret);
	if (!ret->commit[0])
		known_each_commit(k, r, take_commit, ret);
	return ret->commit[0] && known_snapshot(k, r, ret->commit, &s) == 0 ? s : NULL;
}

/* --- lists */

static uint64_t present_of(struct node *n, const struct manifest *m, uint32_t i, uint64_t *ret_size)
{
	const struct manifest_file *f = manifest_file(m, i);
	char etag[DIGEST_HEX_MAX + 1];

	*ret_size = f ? f->size : 0;
	if (!f)
		return 0;
	manifest_etag(f, etag);
	return node_present_bytes(n, etag, f->size);
}

struct listing {
	struct node *node;
	const char *type; /* only this one, or NULL */
	struct jwrite w;
	unsigned count;
};

static void write_sums(struct listing *l, const struct manifest *m)
{
	uint64_t bytes = 0, size;

	for (uint32_t i = 0; i < manifest_count(m); i++)
		bytes += present_of(l->node, m, i, &size);
	jwrite_uint(&l->w, "files", manifest_file_count(m));
	jwrite_uint(&l->w, "bytes", manifest_total_bytes(m));
	jwrite_uint(&l->w, "cached_bytes", bytes);
}

static void write_known(struct listing *l, struct repo *r)
{
	struct choice c;
	CLEANUP(snapshot_unrefp) struct snapshot *s = choose(node_known(l->node), r, &c);

	jwrite_object(&l->w, NULL);
	jwrite_text(&l->w, "repo", repo_key(r));
	jwrite_text(&l->w, "revision", c.ref[0] ? c.ref : NULL);
	jwrite_text(&l->w, "commit", c.commit[0] ? c.commit : NULL);
	if (s)
		write_sums(l, s->files);
	jwrite_object_end(&l->w);
}

static int write_repo(void *arg, struct repo *r)
{
	struct listing *l = arg;

	if (l->type && strncmp(repo_key(r), l->type, strlen(l->type)) != 0)
		return 0;
	if (l->count == REPOS_MAX)
		return 1;
	l->count++;
	write_known(l, r);
	return 0;
}

void control_repos(struct control *c, struct httpd_request *q, const char *rest UNUSED)
{
	CLEANUP(buf_free) struct buf b = { 0 };
	struct listing l = { .node = c->conf.node,
			     .type = httpd_query(q, "type"),
			     .w = { .to = &b } };
	int r;

	jwrite_object(&l.w, NULL);
	jwrite_array(&l.w, "repos");
	r = known_each_repo(node_known(c->conf.node), write_repo, &l);
	jwrite_array_end(&l.w);
	jwrite_bool(&l.w, "whole", r == 0);
	jwrite_object_end(&l.w);
	if (r < 0)
		control_fail(q, r);
	else
		control_reply(q, 200, &b);
}

/* --- one */

/* The commit of a revision as it is known here, "" if it is not. */
static void find_commit(struct known *k, struct repo *r, const char *revision,
			char ret[static COMMIT_HEX + 1])
{
	struct known_ref ref;

	ret[0] = '\0';
	if (commit_valid(revision))
		memcpy(ret, revision, COMMIT_HEX + 1);
	else if (known_get_ref(k, r, revision, &ref))
		memcpy(ret, ref.commit, sizeof(ref.commit));
}

/* The files a request asks for, owned; NULL, after having answered, if they are not known. */
static struct snapshot *find_files(struct control *c, struct httpd_request *q)
{
	struct known *k = node_known(c->conf.node);
	struct snapshot *s = NULL;
	char commit[COMMIT_HEX + 1];
	struct control_wish wish;
	struct repo *r;

	if (control_query_wish(q, &wish) < 0)
		return NULL;
	r = known_repo(k, &wish.id);
	r = r ? repo_canonical(r) : NULL;
	if (!r) {
		control_refuse_unknown(q, &wish, ERR_NOREPO);
		return NULL;
	}
	find_commit(k, r, wish.revision, commit);
	if (!commit[0] || known_snapshot(k, r, commit, &s) < 0)
		control_refuse_unknown(q, &wish, ERR_NOREV);
	return s;
}

static void write_file(struct listing *l, const struct manifest *m, uint32_t i)
{
	CLEANUP(buf_free) struct buf path = { 0 };
	uint64_t size, present = present_of(l->node, m, i, &size);

	if (!manifest_file(m, i))
		return;
	manifest_path(m, i, &path);
	jwrite_object(&l->w, NULL);
	jwrite_text(&l->w, "path", buf_str(&path));
	jwrite_uint(&l->w, "size", size);
	jwrite_uint(&l->w, "present", present);
	control_write_percent(&l->w, present, size);
	jwrite_object_end(&l->w);
}

void control_files(struct control *c, struct httpd_request *q, const char *rest UNUSED)
{
	CLEANUP(buf_free) struct buf b = { 0 };
	struct listing l = { .node = c->conf.node, .w = { .to = &b } };
	CLEANUP(snapshot_unrefp) struct snapshot *s = find_files(c, q);

	if (!s)
		return;
	jwrite_object(&l.w, NULL);
	jwrite_text(&l.w, "repo", repo_key(s->repo));
	jwrite_text(&l.w, "commit", s->commit);
	write_sums(&l, s->files);
	jwrite_array(&l.w, "list");
	for (uint32_t i = 0; i < manifest_count(s->files); i++)
		write_file(&l, s->files, i);
	jwrite_array_end(&l.w);
	jwrite_object_end(&l.w);
	control_reply(q, 200, &b);
}
