/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/held.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "admin/registry/committing.h"
#include "daemon/base/digest.h"
#include "daemon/base/err.h"
#include "tests/tagged_repo.h"

struct made {
	char commit[COMMIT_HEX + 1];
};

/* A branch of one commit with one file; its commit. */
static struct made commit_of(struct hub_db *h, const char *branch, const char *text,
			     char etag[static DIGEST_HEX_MAX + 1])
{
	struct commit_plan p = { .name = "ann", .email = "ann@users.noreply" };
	struct manifest_file file = { .kind = DIGEST_GIT_SHA1, .size = strlen(text) };
	struct made f;

	strcpy(p.uid, TAGGED_UID);
	strcpy(p.branch, branch);
	assert_int_equal(digest_git_object("blob", text, strlen(text), file.digest), 0);
	manifest_etag(&file, etag);
	assert_int_equal(commit_plan_say(&p, text, NULL), 0);
	assert_int_equal(commit_plan_add(&p, CHANGE_FILE, "dir/w.txt", &file, &h->why), 0);
	assert_int_equal(hub_db_first_commit(h->db, &p, f.commit), 0);
	commit_plan_fini(&p);
	return f;
}

struct asked {
	const char *etag;
	struct buf why;
};

static bool is_it(void *arg, const uint8_t id[static GIT_ID])
{
	const struct asked *q = arg;
	char etag[COMMIT_HEX + 1];

	hex_print(id, GIT_ID, etag);
	return strcmp(etag, q->etag) == 0;
}

static int check(struct db_txn *t, void *arg)
{
	struct asked *q = arg;

	return held_check(t, TAGGED_UID, is_it, q, &q->why);
}

static int ask(struct hub_db *h, const char *etag)
{
	struct asked q = { .etag = etag };
	int r = db_read(h->db, check, &q);

	assert_int_equal(r == ERR_TAG_LOCKED, q.why.len > 0);
	buf_free(&q.why);
	return r;
}

static void a_file_of_a_locked_version_stays_and_one_of_any_other_may_go(void **state)
{
	char one[DIGEST_HEX_MAX + 1], two[DIGEST_HEX_MAX + 1];
	struct hub_db *h = *state;
	struct made a = commit_of(h, "refs/heads/a", "one", one);
	struct made b = commit_of(h, "refs/heads/b", "two", two);

	assert_int_equal(tagged_repo_move(h, "refs/tags/v1", a.commit), 0);
	assert_int_equal(tagged_repo_move(h, "refs/tags/prod", a.commit), 0);
	assert_int_equal(tagged_repo_move(h, "refs/tags/prod", b.commit), 0);
	assert_int_equal(ask(h, one), 0);
	assert_int_equal(tagged_repo_lock(h, "v1"), 0);
	assert_int_equal(ask(h, one), ERR_TAG_LOCKED);
	assert_int_equal(ask(h, two), 0);
	assert_int_equal(tagged_repo_release(h, "v1"), 0);
	assert_int_equal(ask(h, one), 0);
	/* What it may be rolled back to. */
	tagged_repo_promotion(h, &(struct promotion_rule){ .to = "prod" });
	assert_int_equal(ask(h, one), ERR_TAG_LOCKED);
	assert_int_equal(ask(h, two), ERR_TAG_LOCKED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_file_of_a_locked_version_stays_and_one_of_any_other_may_go,
			tagged_repo_setup, tagged_repo_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
