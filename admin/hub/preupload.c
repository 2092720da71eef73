/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/preupload.h"

#include <errno.h>
#include <string.h>

#include "admin/hub/answer.h"
#include "admin/git/gitattributes.h"
#include "admin/git/gitignore.h"
#include "admin/hub/writing.h"
#include "admin/registry/committed.h"
#include "daemon/base/err.h"
#include "daemon/base/jwrite.h"

#define REGULAR_MAX (10 * 1024 * 1024) /* bytes: what is larger is no text, whatever its name */

/* What is asked, and what says how; none of that need be there. */
struct asking {
	struct ask *ask;
	struct registry_repo repo;
	const struct jval *body;
	struct committed files; /* of the commit */
	struct git_rules *attributes, *ignored;
	struct buf json;
};

static void asking_clear(struct asking *q)
{
	committed_fini(&q->files);
	git_rules_free(q->attributes);
	git_rules_free(q->ignored);
	q->attributes = q->ignored = NULL;
	buf_clear(&q->json);
}

static void asking_fini(struct asking *q)
{
	asking_clear(q);
	buf_free(&q->json);
}

typedef int (*parse_fn)(const char *text, size_t len, struct git_rules **ret);

/* Too much of it is as if there were none. */
static int parse(parse_fn fn, const char *text, size_t len, struct git_rules **ret)
{
	int r = fn(text, len, ret);

	return r == -E2BIG ? 0 : r;
}

/* From a file in the root of the commit, if it is there. */
static int read_rules(struct asking *q, const char *path, parse_fn fn, struct git_rules **ret)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	struct manifest_file f;
	int r = committed_find(&q->files, path, &f);

	if (r == -ENOENT || (r == 0 && (f.kind != DIGEST_GIT_SHA1 || f.size > GIT_RULES_MAX)))
		return 0;
	if (r == 0)
		r = writing_read(q->ask, &f, &text);
	return r < 0 ? r : parse(fn, buf_str(&text), text.len, ret);
}

/* What clients bring comes before what is there. */
static int find_ways(struct asking *q)
{
	const char *attributes = jval_get_str(q->body, "gitAttributes");
	const char *ignored = jval_get_str(q->body, "gitIgnore");
	int r;

	if (attributes)
		r = parse(gitattributes_parse, attributes, strlen(attributes), &q->attributes);
	else
		r = read_rules(q, ".gitattributes", gitattributes_parse, &q->attributes);
	if (r < 0)
		return r;
	if (ignored)
		return parse(gitignore_parse, ignored, strlen(ignored), &q->ignored);
	return read_rules(q, ".gitignore", gitignore_parse, &q->ignored);
}

static int write_file(struct asking *q, const char *path, int64_t size, struct jwrite *w)
{
	bool lfs = size > REGULAR_MAX ||
		   (q->attributes && gitattributes_is_lfs(q->attributes, path));
	char etag[DIGEST_HEX_MAX + 1];
	struct manifest_file old;
	int r = committed_find(&q->files, path, &old);

	jwrite_object(w, NULL);
	jwrite_text(w, "path", path);
	jwrite_text(w, "uploadMode", lfs ? "lfs" : "regular");
	jwrite_bool(w, "shouldIgnore", q->ignored && gitignore_leaves_out(q->ignored, path));
	if (r == 0) {
		manifest_etag(&old, etag);
		jwrite_text(w, "oid", etag);
	}
	jwrite_object_end(w);
	return r == -ENOENT ? 0 : r;
}

static int write_files(struct asking *q)
{
	const struct jval *files = jval_get(q->body, "files");
	struct jwrite w = { .to = &q->json };
	int r = find_ways(q);

	jwrite_object(&w, NULL);
	jwrite_text(&w, "commitOid", q->ask->commit);
	jwrite_array(&w, "files");
	for (size_t i = 0; r == 0 && i < jval_count(files); i++) {
		const struct jval *file = jval_at(files, i);

		r = write_file(q, jval_get_str(file, "path"), jval_get_size(file, "size"), &w);
	}
	jwrite_array_end(&w);
	jwrite_object_end(&w);
	return r;
}

/* What a commit would refuse is told before its bytes are sent. False: it was answered. */
static bool check_paths(struct ask *a, const struct jval *files)
{
	CLEANUP(buf_free) struct buf why = { 0 };

	for (size_t i = 0; i < jval_count(files); i++) {
		const char *path = jval_get_str(jval_at(files, i), "path");

		if (!path) {
			answer_refuse(a, 400, "each of \"files\" must have a \"path\"");
			return false;
		}
		if (commit_check_path(path, &why) < 0) {
			answer_refuse(a, 422, "%s", buf_str(&why));
			return false;
		}
	}
	return true;
}

/* Of the commit only the directories of what is asked for are read. */
static int look(struct db_txn *t, void *arg)
{
	CLEANUP(buf_free) struct buf room = { 0 };
	struct asking *q = arg;
	struct git_commit commit;
	int r = registry_commit(t, q->repo.uid, q->ask->commit, &room, &commit);

	asking_clear(q);
	if (r == 0)
		r = committed_open(&q->files, t, q->repo.uid, &commit);
	return r < 0 ? r : write_files(q);
}

int preupload(struct ask *a)
{
	CLEANUP(asking_fini) struct asking q = { .ask = a };
	CLEANUP(jdoc_freep) struct jdoc *body = NULL;
	int r;

	if (!ask_aside(a, 0, &r))
		return r;
	r = writing_repo(a, &q.repo);
	if (r == 0)
		r = ask_commit(a);
	if (r == 0)
		r = writing_body(a, &body);
	if (r != 0)
		return r == ANSWERED ? 0 : r;
	q.body = jdoc_root(body);
	if (!jval_is_array(jval_get(q.body, "files"))) {
		answer_refuse(a, 400, "\"files\" is required");
		return 0;
	}
	if (!check_paths(a, jval_get(q.body, "files")))
		return 0;
	r = db_read(a->server->rights.db, look, &q);
	if (r == 0)
		answer_json(a, 200, &q.json);
	return r;
}
