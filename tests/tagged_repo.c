/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/tagged_repo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "admin/registry/reflog.h"
#include "daemon/base/err.h"

/* What a transaction is given. */
struct told {
	const char *ref, *commit;
	const struct promotion_rule *rule;
	struct lock_rule lock;
	struct tag_scope scope;
	struct buf *why;
	char found[COMMIT_HEX + 1];
};

/* Commits are there; what they hold does not matter. */
static void put_commit(struct db_txn *t, const char *commit)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	const struct git_commit c = { .author = { .name = "ann", .email = "a@example" },
				      .committer = { .name = "ann", .email = "a@example" },
				      .message = "x" };
	uint8_t id[GIT_ID];

	assert_int_equal(hex_parse(commit, GIT_ID, id), 0);
	assert_int_equal(git_commit_print(&c, &text), 0);
	assert_int_equal(
		registry_put_object(t, TAGGED_UID, REGISTRY_COMMIT, id, text.data, text.len), 0);
}

static int begin(struct db_txn *t, void *arg UNUSED)
{
	struct registry_repo repo = { .created_s = 1700000000 };

	assert_int_equal(repo_id_parse_key("models/Acme/m", &repo.id), 0);
	strcpy(repo.uid, TAGGED_UID);
	strcpy(repo.creator, "ann");
	assert_int_equal(registry_add(t, &repo), 0);
	put_commit(t, TAGGED_C1);
	put_commit(t, TAGGED_C2);
	put_commit(t, TAGGED_C3);
	return registry_put_ref(t, TAGGED_UID, REGISTRY_MAIN, TAGGED_C1);
}

int tagged_repo_setup(void **state)
{
	struct hub_db *h;

	hub_db_setup(state);
	h = *state;
	return db_write(h->db, begin, NULL);
}

int tagged_repo_teardown(void **state)
{
	return hub_db_teardown(state);
}

static int move(struct db_txn *t, void *arg)
{
	const struct told *x = arg;
	const struct ref_change c = { .uid = TAGGED_UID,
				      .ref = x->ref,
				      .commit = x->commit,
				      .act = x->commit ? "set" : "del",
				      .user = "ann" };

	buf_clear(x->why);
	return ref_change(t, &c, x->why);
}

int tagged_repo_move(struct hub_db *h, const char *ref, const char *commit)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	struct told x = { .ref = ref, .commit = commit, .why = &why };
	int r = db_write(h->db, move, &x);

	assert_true(r != ERR_TAG_LOCKED || why.len);
	return r;
}

static int lock(struct db_txn *t, void *arg)
{
	const struct told *x = arg;

	return tag_lock_add(t, TAGGED_UID, x->ref, "root", "frozen");
}

static int release(struct db_txn *t, void *arg)
{
	const struct told *x = arg;

	return tag_lock_release(t, TAGGED_UID, x->ref, "root", "a mistake");
}

int tagged_repo_lock(struct hub_db *h, const char *tag)
{
	struct told x = { .ref = tag };

	return db_write(h->db, lock, &x);
}

int tagged_repo_release(struct hub_db *h, const char *tag)
{
	struct told x = { .ref = tag };

	return db_write(h->db, release, &x);
}

static int put_lock(struct db_txn *t, void *arg)
{
	const struct told *x = arg;

	return lock_rule_put(t, &x->scope, &x->lock);
}

void tagged_repo_rule(struct hub_db *h, const char *namespace, const char *tags)
{
	struct told x = { .scope = namespace ? tag_scope_of_namespace(namespace)
					     : tag_scope_of_repo(TAGGED_UID) };

	strcpy(x.lock.tags, tags);
	strcpy(x.lock.user, "root");
	assert_int_equal(db_write(h->db, put_lock, &x), 0);
}

static int put_promotion(struct db_txn *t, void *arg)
{
	const struct told *x = arg;

	return promotion_rule_put(t, &x->scope, x->rule);
}

void tagged_repo_promotion(struct hub_db *h, const struct promotion_rule *rule)
{
	struct promotion_rule whole = *rule;
	struct told x = { .scope = tag_scope_of_repo(TAGGED_UID), .rule = &whole };

	if (!*whole.name)
		strcpy(whole.name, "release");
	if (!*whole.to)
		strcpy(whole.to, "prod");
	if (!*whole.from)
		strcpy(whole.from, "*");
	strcpy(whole.user, "root");
	assert_int_equal(db_write(h->db, put_promotion, &x), 0);
}

static int look(struct db_txn *t, void *arg)
{
	struct told *x = arg;

	return registry_ref(t, TAGGED_UID, x->ref, x->found);
}

char tagged_repo_at(struct hub_db *h, const char *ref)
{
	struct told x = { .ref = ref };
	int r = db_read(h->db, look, &x);

	assert_true(r == 0 || r == -ENOENT);
	return r == 0 ? x.found[0] : '-';
}

static int list(void *arg, const struct ref_event *e)
{
	const struct told *x = arg;

	return buf_printf(x->why, "%s %c>%c ", e->act, e->was && *e->was ? *e->was : '-',
			  e->commit && *e->commit ? *e->commit : '-');
}

static int list_all(struct db_txn *t, void *arg)
{
	const struct told *x = arg;

	return reflog_each(t, TAGGED_UID, x->ref, list, arg);
}

void tagged_repo_log(struct hub_db *h, const char *ref, struct buf *ret)
{
	struct told x = { .ref = ref, .why = ret };

	assert_int_equal(db_read(h->db, list_all, &x), 0);
}
