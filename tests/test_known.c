/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/names/known.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/kv.h"
#include "daemon/base/lock.h"
#include "tests/workdir.h"

#define COMMIT_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define COMMIT_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define THREADS 4
#define ROUNDS 200

struct world {
	struct workdir dir;
	struct catalog *catalog;
	struct known *known;
	struct repo_id id, other;
};

static void start(struct world *w)
{
	CLEANUP(buf_free) struct buf why = { 0 };

	assert_int_equal(catalog_open(w->dir.path, &w->catalog, &why), 0);
	assert_int_equal(known_new(w->catalog, &w->known), 0);
}

static void stop(struct world *w)
{
	known_free(w->known);
	catalog_close(w->catalog);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	if (!w || repo_id_parse(REPO_MODEL, "org/model", &w->id) < 0 ||
	    repo_id_parse(REPO_MODEL, "old/name", &w->other) < 0)
		return -1;
	workdir_init(&w->dir);
	start(w);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	stop(w);
	workdir_fini(&w->dir);
	free(w);
	return 0;
}

static struct manifest *make_manifest(const char *path)
{
	CLEANUP(manifest_builder_freep) struct manifest_builder *b = NULL;
	CLEANUP(buf_free) struct buf why = { 0 };
	struct manifest_file f = { .size = 5, .kind = DIGEST_SHA256, .digest = { 1 } };
	struct manifest *m = NULL;

	assert_int_equal(manifest_builder_new(&b), 0);
	assert_int_equal(manifest_builder_add(b, path, &f, &why), 0);
	assert_int_equal(manifest_builder_finish(b, &m, &why), 0);
	return m;
}

static struct repo *add_repo(struct world *w)
{
	assert_int_equal(known_add_repo(w->known, &w->id, &w->id), 0);
	return known_repo(w->known, &w->id);
}

static void add_commit(struct world *w, struct repo *r, const char *commit)
{
	CLEANUP(snapshot_unrefp) struct snapshot *s = NULL;

	assert_int_equal(known_add_snapshot(w->known, r, commit, 7, make_manifest("f"), &s), 0);
}

static int note_repo(void *arg, struct repo *r)
{
	return buf_printf(arg, "%s;", repo_key(r));
}

static int note_ref(void *arg, const char *ref, const char *commit)
{
	return buf_printf(arg, "%s=%.4s;", ref, commit);
}

static int note_commit(void *arg, const char *commit)
{
	return buf_printf(arg, "%.4s;", commit);
}

static int stop_at_once(void *arg, const char *commit UNUSED)
{
	++*(int *)arg;
	return 9;
}

static void nothing_is_known_at_first(void **state)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	struct world *w = *state;

	assert_null(known_repo(w->known, &w->id));
	assert_int_equal(known_each_repo(w->known, note_repo, &text), 0);
	assert_int_equal(text.len, 0);
}

static void a_repository_is_known_from_then_on(void **state)
{
	struct world *w = *state;
	struct repo *r = add_repo(w);

	assert_non_null(r);
	assert_string_equal(repo_key(r), "models/org/model");
	assert_string_equal(repo_id_of(r)->name, "org/model");
	assert_ptr_equal(repo_canonical(r), r);
	assert_ptr_equal(add_repo(w), r);
	assert_null(known_repo(w->known, &w->other));
	stop(w);
	start(w);
	assert_non_null(known_repo(w->known, &w->id));
}

static void another_name_leads_to_the_same_repository(void **state)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	struct world *w = *state;
	struct repo *alias, *real;

	assert_int_equal(known_add_repo(w->known, &w->other, &w->id), 0);
	for (int i = 0; i < 2; i++) {
		alias = known_repo(w->known, &w->other);
		real = known_repo(w->known, &w->id);
		assert_true(alias && real && alias != real);
		assert_ptr_equal(repo_canonical(alias), real);
		assert_ptr_equal(repo_canonical(real), real);
		buf_clear(&text);
		assert_int_equal(known_each_repo(w->known, note_repo, &text), 0);
		assert_string_equal(buf_str(&text), "models/org/model;");
		stop(w);
		start(w);
	}
}

static void a_ref_is_known_with_its_age(void **state)
{
	int64_t before = clock_ms();
	struct world *w = *state;
	struct repo *r = add_repo(w);
	struct known_ref ref;

	assert_false(known_get_ref(w->known, r, "main", &ref));
	assert_int_equal(known_set_ref(w->known, r, "main", COMMIT_A), 0);
	assert_true(known_get_ref(w->known, r, "main", &ref));
	assert_string_equal(ref.commit, COMMIT_A);
	assert_in_range(ref.checked_ms, before, clock_ms());
	assert_int_equal(ref.failed_ms, 0);
	assert_int_equal(known_set_ref(w->known, r, "main", COMMIT_B), 0);
	stop(w);
	start(w);
	r = known_repo(w->known, &w->id);
	assert_true(known_get_ref(w->known, r, "main", &ref));
	assert_string_equal(ref.commit, COMMIT_B);
	assert_true(ref.checked_ms > 0 && ref.checked_ms <= clock_ms());
}

static void a_row_from_the_future_is_not_believed_to_be_fresh(void **state)
{
	struct world *w = *state;
	struct repo *r = add_repo(w);
	struct known_ref ref;

	assert_int_equal(
		catalog_put_ref(w->catalog, repo_key(r), "main", COMMIT_A, clock_wall_s() + 1000),
		0);
	assert_int_equal(catalog_put_ref(w->catalog, repo_key(r), "old", COMMIT_A, 1), 0);
	stop(w);
	start(w);
	r = known_repo(w->known, &w->id);
	assert_true(known_get_ref(w->known, r, "main", &ref));
	assert_int_equal(ref.checked_ms, 0);
	assert_true(known_get_ref(w->known, r, "old", &ref));
	assert_int_equal(ref.checked_ms, 0);
}

static void a_damaged_row_is_as_if_never_asked(void **state)
{
	static const char nonsense[COMMIT_HEX + 1] = "this is not what a commit is called as a";
	struct world *w = *state;
	struct repo *r = add_repo(w);
	struct known_ref ref;

	assert_int_equal(catalog_put_ref(w->catalog, repo_key(r), "odd", nonsense, 1), 0);
	assert_int_equal(catalog_put_ref(w->catalog, repo_key(r), "..", COMMIT_A, 1), 0);
	assert_int_equal(catalog_put_ref(w->catalog, repo_key(r), "late", COMMIT_A, INT64_MAX), 0);
	assert_int_equal(catalog_put_ref(w->catalog, repo_key(r), "early", COMMIT_A, INT64_MIN), 0);
	stop(w);
	start(w);
	r = known_repo(w->known, &w->id);
	assert_false(known_get_ref(w->known, r, "odd", &ref));
	assert_false(known_get_ref(w->known, r, "..", &ref));
	assert_true(known_get_ref(w->known, r, "late", &ref));
	assert_int_equal(ref.checked_ms, 0);
	assert_true(known_get_ref(w->known, r, "early", &ref));
	assert_int_equal(ref.checked_ms, 0);
}

static void a_failure_keeps_the_old_commit(void **state)
{
	struct world *w = *state;
	struct repo *r = add_repo(w);
	struct known_ref ref;

	assert_int_equal(known_fail_ref(w->known, r, "never"), 0);
	assert_true(known_get_ref(w->known, r, "never", &ref));
	assert_string_equal(ref.commit, "");
	assert_int_equal(known_set_ref(w->known, r, "main", COMMIT_A), 0);
	assert_int_equal(known_fail_ref(w->known, r, "main"), 0);
	assert_true(known_get_ref(w->known, r, "main", &ref));
	assert_string_equal(ref.commit, COMMIT_A);
	assert_true(ref.failed_ms > 0);
}

static void a_dropped_ref_is_gone_for_good(void **state)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	struct world *w = *state;
	struct repo *r = add_repo(w);
	struct known_ref ref;

	assert_int_equal(known_set_ref(w->known, r, "main", COMMIT_A), 0);
	assert_int_equal(known_set_ref(w->known, r, "v1", COMMIT_B), 0);
	assert_int_equal(known_drop_ref(w->known, r, "main"), 0);
	assert_int_equal(known_drop_ref(w->known, r, "never"), 0);
	assert_false(known_get_ref(w->known, r, "main", &ref));
	stop(w);
	start(w);
	r = known_repo(w->known, &w->id);
	assert_int_equal(known_each_ref(w->known, r, note_ref, &text), 0);
	assert_string_equal(buf_str(&text), "v1=bbbb;");
}

static void doubt_makes_refs_to_other_commits_old(void **state)
{
	struct world *w = *state;
	struct repo *r = add_repo(w);
	struct known_ref ref;

	assert_int_equal(known_set_ref(w->known, r, "main", COMMIT_A), 0);
	assert_int_equal(known_set_ref(w->known, r, "v1", COMMIT_B), 0);
	known_doubt_refs(w->known, r, COMMIT_B);
	assert_true(known_get_ref(w->known, r, "main", &ref));
	assert_int_equal(ref.checked_ms, 0);
	assert_string_equal(ref.commit, COMMIT_A);
	assert_true(known_get_ref(w->known, r, "v1", &ref));
	assert_true(ref.checked_ms > 0);
	assert_int_equal(known_set_ref(w->known, r, "main", COMMIT_A), 0);
	assert_true(known_get_ref(w->known, r, "main", &ref));
	assert_true(ref.checked_ms > 0);
}

static void a_ref_never_resolved_is_not_listed(void **state)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	struct world *w = *state;
	struct repo *r = add_repo(w);

	assert_int_equal(known_fail_ref(w->known, r, "never"), 0);
	assert_int_equal(known_set_ref(w->known, r, "main", COMMIT_A), 0);
	assert_int_equal(known_each_ref(w->known, r, note_ref, &text), 0);
	assert_string_equal(buf_str(&text), "main=aaaa;");
}

static void a_snapshot_is_shared_and_survives(void **state)
{
	CLEANUP(snapshot_unrefp) struct snapshot *s = NULL, *again = NULL, *later = NULL;
	struct world *w = *state;
	struct repo *r = add_repo(w);

	assert_int_equal(known_snapshot(w->known, r, COMMIT_A, &s), -ENOENT);
	assert_null(s);
	assert_int_equal(known_add_snapshot(w->known, r, COMMIT_A, 77, make_manifest("f"), &s), 0);
	assert_string_equal(s->commit, COMMIT_A);
	assert_int_equal(s->date_s, 77);
	assert_ptr_equal(s->repo, r);
	assert_int_equal(known_snapshot(w->known, r, COMMIT_A, &again), 0);
	assert_ptr_equal(s, again);
	snapshot_unref(steal(s));
	snapshot_unref(steal(again));
	stop(w);
	start(w);
	r = known_repo(w->known, &w->id);
	assert_int_equal(known_snapshot(w->known, r, COMMIT_A, &later), 0);
	assert_int_equal(later->date_s, 77);
	assert_int_not_equal(manifest_find(later->files, "f"), MANIFEST_NONE);
}

static void of_two_that_add_a_commit_the_first_wins(void **state)
{
	CLEANUP(snapshot_unrefp) struct snapshot *a = NULL, *b = NULL;
	struct world *w = *state;
	struct repo *r = add_repo(w);

	assert_int_equal(known_add_snapshot(w->known, r, COMMIT_A, 1, make_manifest("f"), &a), 0);
	assert_int_equal(known_add_snapshot(w->known, r, COMMIT_A, 1, make_manifest("f"), &b), 0);
	assert_ptr_equal(a, b);
}

static void commits_are_listed_until_told_to_stop(void **state)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	struct world *w = *state;
	struct repo *r = add_repo(w);
	int calls = 0;

	add_commit(w, r, COMMIT_A);
	add_commit(w, r, COMMIT_B);
	assert_int_equal(known_each_commit(w->known, r, note_commit, &text), 0);
	assert_int_equal(text.len, 10);
	assert_non_null(strstr(buf_str(&text), "aaaa;"));
	assert_non_null(strstr(buf_str(&text), "bbbb;"));
	assert_int_equal(known_each_commit(w->known, r, stop_at_once, &calls), 9);
	assert_int_equal(calls, 1);
}

/* The row of a commit is there and its manifest cannot be read: it will be listed anew. */
static void a_damaged_commit_is_as_if_never_listed(void **state)
{
	static const char *const tables[] = { "meta", "repo", "ref", "commit", "blob" };
	static const char key[] = "models/org/model\0" COMMIT_A;
	CLEANUP(snapshot_unrefp) struct snapshot *s = NULL;
	struct world *w = *state;
	struct kv_conf conf = { .dir = w->dir.path,
				.tables = tables,
				.table_count = 5,
				.map_bytes = 1 << 20,
				.sums = true };
	struct kv *kv = NULL;

	add_repo(w);
	stop(w);
	assert_int_equal(kv_open(&conf, &kv), 0);
	assert_int_equal(kv_put(kv, 3, (struct kv_key){ key, sizeof(key) - 1 }, "damaged row", 11),
			 0);
	kv_close(kv);
	start(w);
	assert_int_equal(known_snapshot(w->known, known_repo(w->known, &w->id), COMMIT_A, &s),
			 -ENOENT);
	assert_null(s);
	add_commit(w, known_repo(w->known, &w->id), COMMIT_A);
	assert_int_equal(known_snapshot(w->known, known_repo(w->known, &w->id), COMMIT_A, &s), 0);
}

static void *use(void *arg)
{
	struct world *w = arg;
	struct repo *r = known_repo(w->known, &w->id);
	int bad = 0;

	for (int i = 0; i < ROUNDS; i++) {
		const char *commit = i & 1 ? COMMIT_A : COMMIT_B;
		struct snapshot *s = NULL;
		struct known_ref ref;

		bad += known_snapshot(w->known, r, commit, &s) != 0;
		snapshot_unref(s);
		bad += known_fail_ref(w->known, r, "main") != 0;
		bad += !known_get_ref(w->known, r, "main", &ref);
		known_doubt_refs(w->known, r, commit);
	}
	return bad ? w : NULL;
}

static void threads_may_share_it(void **state)
{
	struct world *w = *state;
	struct repo *r = add_repo(w);
	pthread_t threads[THREADS];
	void *bad;

	add_commit(w, r, COMMIT_A);
	add_commit(w, r, COMMIT_B);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(thread_start(&threads[i], "user", use, w), 0);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], &bad);
		assert_null(bad);
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

static struct repo_id named(const char *name)
{
	struct repo_id id;

	assert_int_equal(repo_id_parse(REPO_MODEL, name, &id), 0);
	return id;
}

static void rename_to(struct world *w, const char *old, const char *now)
{
	struct repo_id from = named(old), to = named(now);

	assert_int_equal(known_add_repo(w->known, &from, &to), 0);
}

static void check_names(struct world *w, const char *name, const char *want)
{
	CLEANUP(buf_free) struct buf got = { 0 };
	struct repo_id id = named(name);
	struct repo_names names;

	known_names_of(w->known, &id, &names);
	assert_false(names.more);
	for (unsigned i = 0; i < names.count; i++)
		buf_printf(&got, "%s;", names.list[i]->name);
	assert_string_equal(buf_str(&got), want);
}

static void a_repository_keeps_the_names_it_had(void **state)
{
	struct world *w = *state;

	check_names(w, "org/unknown", "org/unknown;");
	rename_to(w, "a/one", "a/one");
	check_names(w, "a/one", "a/one;");
	rename_to(w, "A/One", "a/one"); /* the same name */
	check_names(w, "A/ONE", "a/one;");
	rename_to(w, "a/one", "m/two");
	check_names(w, "a/one", "m/two;a/one;");
	check_names(w, "A/One", "m/two;a/one;");
	rename_to(w, "z/zero", "m/two");
	rename_to(w, "m/two", "b/three"); /* and all that it was called */
	check_names(w, "z/zero", "b/three;m/two;a/one;z/zero;");
	stop(w);
	start(w);
	check_names(w, "b/three", "b/three;m/two;a/one;z/zero;");
	check_names(w, "A/One", "b/three;m/two;a/one;z/zero;");
	rename_to(w, "b/three", "a/one"); /* it has its first name again */
	check_names(w, "z/zero", "a/one;b/three;m/two;z/zero;");
	stop(w);
	start(w);
	check_names(w, "m/two", "a/one;b/three;m/two;z/zero;");
	check_names(w, "A/One", "a/one;b/three;m/two;z/zero;");
}

static void too_many_names_are_told(void **state)
{
	struct world *w = *state;
	struct repo_names names;
	struct repo_id id = named("a/0");

	for (unsigned i = 0; i <= REPO_NAMES_MAX; i++) {
		CLEANUP(buf_free) struct buf from = { 0 }, to = { 0 };

		buf_printf(&from, "a/%u", i);
		buf_printf(&to, "a/%u", i + 1);
		rename_to(w, buf_str(&from), buf_str(&to));
		known_names_of(w->known, &id, &names);
		assert_int_equal(names.more, i + 2 > REPO_NAMES_MAX);
	}
}

static void a_commit_tells_which_repository_it_may_have_been(void **state)
{
	struct world *w = *state;
	struct repo *r = add_repo(w);
	struct repo_id now = named("new/name");

	assert_null(known_repo_of_commit(w->known, &now, COMMIT_A));
	add_commit(w, r, COMMIT_A);
	assert_ptr_equal(known_repo_of_commit(w->known, &now, COMMIT_A), r);
	assert_null(known_repo_of_commit(w->known, &now, COMMIT_B));
	assert_null(known_repo_of_commit(w->known, &w->id, COMMIT_A));
	now.type = REPO_DATASET;
	assert_null(known_repo_of_commit(w->known, &now, COMMIT_A));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_is_known_at_first),
		TEST(a_repository_is_known_from_then_on),
		TEST(another_name_leads_to_the_same_repository),
		TEST(a_repository_keeps_the_names_it_had),
		TEST(too_many_names_are_told),
		TEST(a_commit_tells_which_repository_it_may_have_been),
		TEST(a_ref_is_known_with_its_age),
		TEST(a_row_from_the_future_is_not_believed_to_be_fresh),
		TEST(a_damaged_row_is_as_if_never_asked),
		TEST(a_failure_keeps_the_old_commit),
		TEST(a_dropped_ref_is_gone_for_good),
		TEST(doubt_makes_refs_to_other_commits_old),
		TEST(a_ref_never_resolved_is_not_listed),
		TEST(a_snapshot_is_shared_and_survives),
		TEST(of_two_that_add_a_commit_the_first_wins),
		TEST(commits_are_listed_until_told_to_stop),
		TEST(a_damaged_commit_is_as_if_never_listed),
		TEST(threads_may_share_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
