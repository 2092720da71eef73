/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/discussions.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/hub_db.h"

#define UID_A "aaaaaaaaaaaaaaaaaaaaaaaa"
#define UID_B "bbbbbbbbbbbbbbbbbbbbbbbb"

/* What one transaction does, and what came of it. */
struct act {
	const char *uid;
	struct discussion d;
	struct event e;
	struct event_change c;
	struct buf said;
};

static int open_one(struct db_txn *t, void *arg)
{
	struct act *a = arg;

	return discussion_add(t, a->uid, &a->d);
}

static unsigned opened(struct hub_db *h, const char *uid, const char *title, bool is_pull)
{
	struct act a = { .uid = uid, .d = { .is_pull = is_pull, .created_ms = 5 } };

	snprintf(a.d.title, sizeof(a.d.title), "%s", title);
	strcpy(a.d.author, "ann");
	if (is_pull)
		strcpy(a.d.onto, REGISTRY_MAIN);
	assert_int_equal(db_write(h->db, open_one, &a), 0);
	return a.d.num;
}

static int add_event(struct db_txn *t, void *arg)
{
	struct act *a = arg;
	int r = discussion_get(t, a->uid, a->d.num, &a->d);

	return r < 0 ? r : event_add(t, a->uid, &a->d, &a->e);
}

static int said(struct hub_db *h, unsigned num, const char *id, const char *text)
{
	struct act a = { .uid = UID_A,
			 .d = { .num = num },
			 .e = { .author = "ann", .at_ms = 7, .text = text } };

	strcpy(a.e.id, id);
	return db_write(h->db, add_event, &a);
}

static int edit(struct db_txn *t, void *arg)
{
	struct act *a = arg;
	int r = discussion_get(t, a->uid, a->d.num, &a->d);

	return r < 0 ? r : event_edit(t, a->uid, &a->d, &a->c);
}

static int edited(struct hub_db *h, const char *id, const char *text, const char *editor,
		  bool others)
{
	struct act a = { .uid = UID_A, .d = { .num = 1 }, .c = { id, text, editor, others, 0, 9 } };

	return db_write(h->db, edit, &a);
}

static int list_one(void *arg, const struct discussion *d)
{
	return buf_printf(arg, "%u %s %s%s %ju;", d->num, d->title,
			  discussion_status_word(d->status), d->is_pull ? " pull" : "",
			  (uintmax_t)d->comments);
}

static int list_event(void *arg, const struct event *e)
{
	return buf_printf(arg, "%s %s%s %zu;", event_kind_word(e->kind), e->text,
			  e->hidden ? " hidden" : "", jval_count(e->history));
}

static int list(struct db_txn *t, void *arg)
{
	struct act *a = arg;

	buf_clear(&a->said);
	return a->d.num ? event_each(t, a->uid, a->d.num, list_event, &a->said)
			: discussion_each(t, a->uid, list_one, &a->said);
}

/* num 0: the discussions themselves. */
static void check(struct hub_db *h, const char *uid, unsigned num, const char *want)
{
	struct act a = { .uid = uid, .d = { .num = num } };

	assert_int_equal(db_read(h->db, list, &a), 0);
	assert_string_equal(buf_str(&a.said), want);
	buf_free(&a.said);
}

static void each_repository_counts_its_own_and_lists_the_newest_first(void **state)
{
	struct hub_db *h = *state;

	assert_int_equal(opened(h, UID_A, "one", false), 1);
	assert_int_equal(opened(h, UID_A, "two", true), 2);
	assert_int_equal(opened(h, UID_B, "other", false), 1);
	assert_int_equal(said(h, 2, "aa", "hello"), 0);
	check(h, UID_A, 0, "2 two open pull 1;1 one open 0;");
	check(h, UID_B, 0, "1 other open 0;");
	for (unsigned i = 3; i <= 12; i++)
		assert_int_equal(opened(h, UID_A, "more", false), i);
}

static void events_come_in_their_order_and_stay_apart(void **state)
{
	struct hub_db *h = *state;

	opened(h, UID_A, "one", false);
	opened(h, UID_A, "two", false);
	assert_int_equal(said(h, 1, "aa", "first"), 0);
	assert_int_equal(said(h, 2, "bb", "elsewhere"), 0);
	assert_int_equal(said(h, 1, "cc", "second"), 0);
	check(h, UID_A, 1, "comment first 0;comment second 0;");
	check(h, UID_A, 2, "comment elsewhere 0;");
	assert_int_equal(said(h, 3, "dd", "nowhere"), -ENOENT);
}

static void a_comment_that_is_edited_keeps_what_it_was_up_to_a_number(void **state)
{
	struct hub_db *h = *state;

	opened(h, UID_A, "one", false);
	assert_int_equal(said(h, 1, "aa", "first"), 0);
	assert_int_equal(edited(h, "aa", "better", "ann", false), 0);
	check(h, UID_A, 1, "comment better 1;");
	for (unsigned i = 0; i < 2 * DISCUSSION_EDITS_MAX; i++)
		assert_int_equal(edited(h, "aa", "again", "ANN", false), 0);
	check(h, UID_A, 1, "comment again 20;");
	assert_int_equal(edited(h, "bb", "x", "ann", false), -ENOENT);
}

static void who_wrote_it_alone_edits_it_unless_it_is_said_otherwise(void **state)
{
	struct hub_db *h = *state;

	opened(h, UID_A, "one", false);
	assert_int_equal(said(h, 1, "aa", "first"), 0);
	assert_int_equal(edited(h, "aa", "mine", "bob", false), -EPERM);
	check(h, UID_A, 1, "comment first 0;");
	assert_int_equal(edited(h, "aa", NULL, "bob", true), 0);
	check(h, UID_A, 1, "comment  hidden 0;");
}

static void what_was_hidden_is_nowhere_and_stays_so(void **state)
{
	CLEANUP(buf_free) struct buf path = { 0 };
	struct hub_db *h = *state;

	opened(h, UID_A, "one", false);
	assert_int_equal(said(h, 1, "aa", "quite secret"), 0);
	assert_int_equal(edited(h, "aa", "more secret", "ann", false), 0);
	assert_int_equal(edited(h, "aa", NULL, "ann", false), 0);
	check(h, UID_A, 1, "comment  hidden 0;");
	assert_int_equal(edited(h, "aa", "again", "ann", false), -EACCES);
}

static void a_discussion_grows_up_to_its_size(void **state)
{
	static char text[DISCUSSION_TEXT_MAX + 1];
	struct hub_db *h = *state;
	unsigned count = 0;

	memset(text, 'x', sizeof(text) - 1);
	opened(h, UID_A, "one", false);
	while (said(h, 1, "aa", text) == 0)
		count++;
	assert_int_equal(said(h, 1, "aa", text), -EFBIG);
	assert_in_range(count, 100, DISCUSSION_BYTES_MAX / DISCUSSION_TEXT_MAX);
	assert_int_equal(said(h, 1, "aa", "small"), 0);
}

struct removal {
	struct registry_repo repo;
};

static int remove_repo(struct db_txn *t, void *arg)
{
	return registry_remove(t, &((struct removal *)arg)->repo);
}

static void they_go_with_their_repository_alone(void **state)
{
	struct hub_db *h = *state;
	struct removal r = { .repo = { .uid = UID_A } };

	opened(h, UID_A, "one", false);
	opened(h, UID_B, "other", false);
	assert_int_equal(said(h, 1, "aa", "first"), 0);
	assert_int_equal(repo_id_parse(REPO_MODEL, "ns/a", &r.repo.id), 0);
	assert_int_equal(db_write(h->db, remove_repo, &r), 0);
	check(h, UID_A, 0, "");
	check(h, UID_A, 1, "");
	check(h, UID_B, 0, "1 other open 0;");
}

static void a_ref_of_a_pull_request_is_told_from_others(void **state UNUSED)
{
	char ref[REGISTRY_REF_MAX + 1];

	discussion_ref(12, ref);
	assert_string_equal(ref, "refs/pr/12");
	assert_int_equal(discussion_of_ref("refs/pr/12"), 12);
	assert_int_equal(discussion_of_ref("refs/pr/0"), 0);
	assert_int_equal(discussion_of_ref("refs/pr/01"), 0);
	assert_int_equal(discussion_of_ref("refs/pr/1x"), 0);
	assert_int_equal(discussion_of_ref("refs/pr/"), 0);
	assert_int_equal(discussion_of_ref("refs/pr/123456789"), 0);
	assert_int_equal(discussion_of_ref("main"), 0);
}

#define STORY(f) cmocka_unit_test_setup_teardown(f, hub_db_setup, hub_db_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(each_repository_counts_its_own_and_lists_the_newest_first),
		STORY(events_come_in_their_order_and_stay_apart),
		STORY(a_comment_that_is_edited_keeps_what_it_was_up_to_a_number),
		STORY(who_wrote_it_alone_edits_it_unless_it_is_said_otherwise),
		STORY(what_was_hidden_is_nowhere_and_stays_so),
		STORY(a_discussion_grows_up_to_its_size),
		STORY(they_go_with_their_repository_alone),
		STORY(a_ref_of_a_pull_request_is_told_from_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
