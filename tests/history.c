/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/history.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "admin/registry/committing.h"
#include "admin/registry/left_commits.h"
#include "admin/registry/treediff.h"
#include "admin/registry/uploads.h"
#include "daemon/base/digest.h"

/* Of the commits that hold nothing none was ever named. */
static int forget_left(struct db_txn *t, void *arg UNUSED)
{
	return left_commits_forget(t, HISTORY_UID, INT64_MAX);
}

int history_setup(void **state)
{
	int r = tagged_repo_setup(state);
	struct hub_db *h = *state;

	if (r == 0)
		r = tagged_repo_move(h, REGISTRY_MAIN, NULL);
	return r < 0 ? r : db_write(h->db, forget_left, NULL);
}

/* ---- files ---- */

void history_sum(const char *text, uint8_t ret[static 32])
{
	assert_int_equal(digest_of(DIGEST_SHA256, text, strlen(text), ret), 0);
}

/* What "path=text" or "path#text" says; *ret_path_len: of what its path is. */
static struct manifest_file file_of(const char *word, size_t *ret_path_len)
{
	const char *text = word + (*ret_path_len = strcspn(word, "=#")) + 1;
	struct manifest_file ret = { .kind = DIGEST_GIT_SHA1 };

	assert_true(text[-1] != '\0');
	ret.size = strlen(text);
	if (text[-1] == '=') {
		assert_int_equal(digest_git_object("blob", text, ret.size, ret.digest), 0);
		return ret;
	}
	ret.kind = DIGEST_SHA256;
	history_sum(text, ret.digest);
	return ret;
}

/* ---- commits ---- */

struct making {
	struct commit_plan plan;
	char commit[COMMIT_HEX + 1];
	struct buf why;
};

static void add_word(struct commit_plan *p, const char *word)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	struct manifest_file f;
	char path[256];
	size_t len;

	if (*word == '-') {
		assert_int_equal(commit_plan_add(p, CHANGE_DROP, word + 1, NULL, &why), 0);
		return;
	}
	f = file_of(word, &len);
	snprintf(path, sizeof(path), "%.*s", (int)len, word);
	assert_int_equal(commit_plan_add(p, CHANGE_FILE, path, &f, &why), 0);
}

static int bring_files(struct db_txn *t, void *arg)
{
	const struct making *m = arg;
	int r = 0;

	for (size_t i = 0; r == 0 && i < m->plan.count; i++) {
		const struct manifest_file *f = &m->plan.changes[i].file;
		char etag[DIGEST_HEX_MAX + 1];

		manifest_etag(f, etag);
		if (f->kind == DIGEST_SHA256)
			r = uploads_note(t, m->plan.repo, "", etag, f->size, 1);
	}
	return r;
}

static int make_first(struct db_txn *t, void *arg)
{
	struct making *m = arg;

	return commit_make_first(t, &m->plan, m->commit, &m->why);
}

void history_commit(struct hub_db *h, const char *ref, const char *words,
		    char ret[static COMMIT_HEX + 1])
{
	struct making m = { .plan = { .uid = HISTORY_UID,
				      .name = "ann",
				      .email = "ann@users.noreply",
				      .repo = "models/acme/m",
				      .fresh = true } };
	char text[512], *at = text, *word;

	snprintf(m.plan.branch, sizeof(m.plan.branch), "%s", ref);
	snprintf(text, sizeof(text), "%s", words);
	assert_int_equal(commit_plan_say(&m.plan, words, NULL), 0);
	while ((word = strsep(&at, " ")))
		add_word(&m.plan, word);
	assert_int_equal(db_write(h->db, bring_files, &m), 0);
	history_at(h, HISTORY_UID, ref, m.commit);
	if (m.commit[0])
		assert_int_equal(commit_make(h->db, &m.plan, m.commit, &m.why), 0);
	else
		assert_int_equal(db_write(h->db, make_first, &m), 0);
	memcpy(ret, m.commit, sizeof(m.commit));
	commit_plan_fini(&m.plan);
	buf_free(&m.why);
}

/* ---- what there is ---- */

struct question {
	const char *uid, *ref;
	char *commit;
	struct manifest_file file;
	bool has;
};

static int look_at_ref(struct db_txn *t, void *arg)
{
	const struct question *q = arg;

	if (registry_ref(t, q->uid, q->ref, q->commit) < 0)
		q->commit[0] = '\0';
	return 0;
}

void history_at(struct hub_db *h, const char *uid, const char *ref, char ret[static COMMIT_HEX + 1])
{
	struct question q = { .uid = uid, .ref = ref, .commit = ret };

	assert_int_equal(db_read(h->db, look_at_ref, &q), 0);
}

static int look_for_file(struct db_txn *t, void *arg)
{
	char etag[DIGEST_HEX_MAX + 1];
	struct question *q = arg;
	int r;

	manifest_etag(&q->file, etag);
	r = objects_has_file(t, q->uid, etag, q->file.size);
	q->has = r == 1;
	return r < 0 ? r : 0;
}

bool history_has(struct hub_db *h, const char *uid, const char *word)
{
	size_t path_len;
	struct question q = { .uid = uid, .file = file_of(word, &path_len) };

	assert_int_equal(db_read(h->db, look_for_file, &q), 0);
	return q.has;
}

/* ---- objects ---- */

struct finding {
	const char *commit, *path;
	struct tree_side found;
};

static int find(struct db_txn *t, void *arg)
{
	CLEANUP(buf_free) struct buf room = { 0 };
	struct finding *f = arg;
	struct git_commit c;
	int r = registry_commit(t, HISTORY_UID, f->commit, &room, &c);

	return r < 0 ? r : treediff_find(t, HISTORY_UID, c.tree, f->path, &f->found);
}

void history_find(struct hub_db *h, const char *commit, const char *path,
		  uint8_t ret[static GIT_ID])
{
	struct finding f = { .commit = commit, .path = path };

	assert_int_equal(db_read(h->db, find, &f), 0);
	assert_true(f.found.mode);
	memcpy(ret, f.found.id, GIT_ID);
}

void history_tree(struct hub_db *h, const char *commit, uint8_t ret[static GIT_ID])
{
	history_find(h, commit, "", ret);
}

static int lose(struct db_txn *t, void *arg)
{
	return objects_remove(t, HISTORY_UID, arg);
}

void history_lose(struct hub_db *h, const uint8_t id[static GIT_ID])
{
	uint8_t copy[GIT_ID];

	memcpy(copy, id, GIT_ID);
	assert_int_equal(db_write(h->db, lose, copy), 0);
}
