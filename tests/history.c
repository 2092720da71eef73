/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/history.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "admin/registry/committing.h"
#include "admin/registry/treediff.h"
#include "daemon/base/digest.h"

static int add_repo(struct db_txn *t, void *arg UNUSED)
{
	struct registry_repo repo = { .uid = HISTORY_UID, .created_s = 1700000000 };

	assert_int_equal(repo_id_parse(REPO_MODEL, "org/a", &repo.id), 0);
	return registry_add(t, &repo);
}

int history_setup(void **state)
{
	int r = hub_db_setup(state);
	struct hub_db *h = *state;

	return r < 0 ? r : db_write(h->db, add_repo, NULL);
}

/* ---- commits ---- */

static void add_word(struct commit_plan *p, char *word)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	struct manifest_file f = { .kind = DIGEST_GIT_SHA1 };
	char *text = strchr(word, '=');

	if (*word == '-') {
		assert_int_equal(commit_plan_add(p, CHANGE_DROP, word + 1, NULL, &why), 0);
		return;
	}
	assert_non_null(text);
	*text++ = '\0';
	f.size = strlen(text);
	assert_int_equal(digest_git_object("blob", text, f.size, f.digest), 0);
	assert_int_equal(commit_plan_add(p, CHANGE_FILE, word, &f, &why), 0);
}

struct making {
	struct commit_plan plan;
	char commit[COMMIT_HEX + 1];
	struct buf why;
};

static int has_branch(struct db_txn *t, void *arg)
{
	const struct making *m = arg;
	char commit[COMMIT_HEX + 1];

	return registry_ref(t, HISTORY_UID, m->plan.branch, commit);
}

static int make_first(struct db_txn *t, void *arg)
{
	struct making *m = arg;

	return commit_make_first(t, &m->plan, m->commit, &m->why);
}

void history_commit(struct hub_db *h, const char *branch, const char *words,
		    char ret[static COMMIT_HEX + 1])
{
	struct making m = { .plan = { .uid = HISTORY_UID,
				      .name = "ann",
				      .email = "ann@users.noreply",
				      .repo = "models/org/a",
				      .fresh = true } };
	char text[512], *at = text, *word;

	snprintf(m.plan.branch, sizeof(m.plan.branch), "%s", branch);
	snprintf(text, sizeof(text), "%s", words);
	assert_int_equal(commit_plan_say(&m.plan, words, NULL), 0);
	while ((word = strsep(&at, " ")))
		add_word(&m.plan, word);
	if (db_read(h->db, has_branch, &m) == -ENOENT)
		assert_int_equal(db_write(h->db, make_first, &m), 0);
	else
		assert_int_equal(commit_make(h->db, &m.plan, m.commit, &m.why), 0);
	memcpy(ret, m.commit, sizeof(m.commit));
	commit_plan_fini(&m.plan);
	buf_free(&m.why);
}

struct naming {
	const char *ref, *commit;
};

static int put_ref(struct db_txn *t, void *arg)
{
	const struct naming *n = arg;

	return registry_put_ref(t, HISTORY_UID, n->ref, n->commit);
}

void history_ref(struct hub_db *h, const char *ref, const char *commit)
{
	struct naming n = { ref, commit };

	assert_int_equal(db_write(h->db, put_ref, &n), 0);
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
