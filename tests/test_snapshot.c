/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/model/snapshot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <pthread.h>
#include <string.h>

#define COMMIT "0123456789abcdef0123456789abcdef01234567"
#define DATE_S 1700000000
#define THREADS 4
#define ROUNDS 20000

static struct snapshot *make(void)
{
	CLEANUP(manifest_builder_freep) struct manifest_builder *b = NULL;
	CLEANUP(buf_free) struct buf why = { 0 };
	struct manifest_file f = { .size = 5, .kind = DIGEST_SHA256 };
	struct manifest *m = NULL;
	struct snapshot *s = NULL;

	assert_int_equal(manifest_builder_new(&b), 0);
	assert_int_equal(manifest_builder_add(b, "dir/file", &f, &why), 0);
	assert_int_equal(manifest_builder_finish(b, &m, &why), 0);
	assert_int_equal(snapshot_new(NULL, COMMIT, DATE_S, m, &s), 0);
	assert_ptr_equal(s->files, m);
	return s;
}

static void test_what_it_is_made_of(void **state UNUSED)
{
	CLEANUP(snapshot_unrefp) struct snapshot *s = make();

	assert_string_equal(s->commit, COMMIT);
	assert_int_equal(s->date_s, DATE_S);
	assert_int_equal(manifest_file_count(s->files), 1);
	assert_null(s->repo);
}

/* AddressSanitizer sees to it that the last one, and only that one, frees all. */
static void test_it_lives_as_long_as_anybody_holds_it(void **state UNUSED)
{
	struct snapshot *s = make();

	assert_ptr_equal(snapshot_ref(s), s);
	snapshot_unref(s);
	assert_int_equal(manifest_file_count(s->files), 1);
	snapshot_unref(s);
	snapshot_unref(NULL);
}

static void *hold_and_give_back(void *arg)
{
	struct snapshot *s = arg;

	for (int i = 0; i < ROUNDS; i++) {
		CLEANUP(snapshot_unrefp) struct snapshot *mine = snapshot_ref(s);

		if (manifest_file_count(mine->files) != 1)
			return s;
	}
	snapshot_unref(s);
	return NULL;
}

static void test_threads(void **state UNUSED)
{
	struct snapshot *s = make();
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, hold_and_give_back, snapshot_ref(s)), 0);
	snapshot_unref(s); /* the last thread frees it */
	for (int i = 0; i < THREADS; i++) {
		void *failed;

		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_it_is_made_of),
		cmocka_unit_test(test_it_lives_as_long_as_anybody_holds_it),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
