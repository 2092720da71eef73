/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/catalogue/downloads.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "admin/catalogue/catalogue.h"
#include "admin/registry/registry.h"
#include "daemon/base/clock.h"
#include "daemon/base/workers.h"
#include "tests/hub_db.h"

#define UID "aaaaaaaaaaaaaaaaaaaaaaaa"
#define ETAG "1111111111111111111111111111111111111111"
#define DAY_S (24 * 60 * 60)

struct world {
	struct hub_db *hub;
	struct workers *workers;
	struct downloads *downloads;
	struct registry_repo repo;
};

static int add(struct db_txn *t, void *arg)
{
	const struct registry_repo *repo = arg;
	const struct catalogue_entry e = { .id = repo->id, .hosted = true };
	const struct catalogue_texts texts = { "\n\n", NULL, "{}" };
	int r = registry_add(t, repo);

	return r < 0 ? r : catalogue_put(t, &e, &texts);
}

static int setup(void **state)
{
	const struct workers_conf conf = { "test", 1, 10, false };
	struct world *w = calloc(1, sizeof(*w));
	void *hub = NULL;

	if (!w || hub_db_setup(&hub) < 0)
		return -1;
	w->hub = hub;
	strcpy(w->repo.uid, UID);
	assert_int_equal(repo_id_parse_key("models/ann/m", &w->repo.id), 0);
	assert_int_equal(db_write(w->hub->db, add, &w->repo), 0);
	assert_int_equal(workers_start(&conf, &w->workers), 0);
	*state = w;
	return downloads_new(w->hub->db, w->workers, &w->downloads);
}

static int teardown(void **state)
{
	struct world *w = *state;
	void *hub = w->hub;

	assert_true(workers_stop(w->workers, clock_ms() + 5000));
	downloads_free(w->downloads);
	hub_db_teardown(&hub);
	free(w);
	return 0;
}

static void note(struct world *w, const char *path, const char *whom)
{
	downloads_note(w->downloads, &w->repo.id, path, ETAG, whom);
}

/* What is told of it at a time. */
struct telling {
	int64_t now_s, used_s;
	struct downloads_count count;
	struct catalogue_entry e;
};

static int read_all(struct db_txn *t, void *arg)
{
	struct telling *x = arg;
	struct repo_id id;
	int r;

	assert_int_equal(repo_id_parse_key("models/ann/m", &id), 0);
	r = catalogue_get(t, &id, &x->e);
	if (r == 0)
		r = downloads_get(t, UID, x->now_s, &x->count);
	if (r == 0 && downloads_last_used(t, UID, ETAG, &x->used_s) == -ENOENT)
		x->used_s = -1;
	return r;
}

static struct telling tell(struct world *w, int64_t now_s)
{
	struct telling x = { .now_s = now_s };

	assert_int_equal(downloads_flush(w->downloads, now_s), 0);
	assert_int_equal(db_read(w->hub->db, read_all, &x), 0);
	return x;
}

static void a_model_is_counted_by_the_file_that_stands_for_it_once_a_client(void **state)
{
	struct world *w = *state;
	int64_t now_s = clock_wall_s();
	struct telling x;

	note(w, "model.safetensors", "a");
	note(w, "sub/config.json", "a");
	x = tell(w, now_s);
	assert_int_equal(x.count.all, 0);
	assert_true(x.used_s >= now_s);
	note(w, "config.json", "a");
	note(w, "config.json", "a");
	note(w, "config.json", "b");
	note(w, "x.gguf", "b");
	x = tell(w, now_s);
	assert_true(x.count.all == 2 && x.count.month == 2 && x.count.week == 2);
	assert_true(x.e.numbers[CATALOGUE_DOWNLOADS] == 2 && x.e.numbers[CATALOGUE_TRENDING] == 2);
	note(w, "config.json", "c");
	assert_int_equal(tell(w, now_s).count.all, 3);
}

static void days_take_away_what_was_counted(void **state)
{
	struct world *w = *state;
	int64_t now_s = clock_wall_s();
	struct telling x;

	assert_int_equal(tell(w, now_s).used_s, -1);
	note(w, "config.json", "a");
	x = tell(w, now_s);
	assert_true(x.e.numbers[CATALOGUE_DOWNLOADS] == 1);
	x = tell(w, now_s + 6 * DAY_S);
	assert_true(x.count.week == 1 && x.e.numbers[CATALOGUE_TRENDING] == 1);
	x = tell(w, now_s + 8 * DAY_S);
	assert_true(x.count.week == 0 && x.count.month == 1 && x.count.all == 1);
	assert_true(x.e.numbers[CATALOGUE_DOWNLOADS] == 1 && x.e.numbers[CATALOGUE_TRENDING] == 0);
	x = tell(w, now_s + 31 * DAY_S);
	assert_true(x.count.month == 0 && x.count.all == 1);
	assert_true(x.e.numbers[CATALOGUE_DOWNLOADS] == 0);
}

static int drop(struct db_txn *t, void *arg)
{
	return registry_remove(t, arg);
}

static void what_is_gone_is_counted_no_more(void **state)
{
	struct world *w = *state;
	int64_t now_s = clock_wall_s();

	note(w, "config.json", "a");
	assert_int_equal(tell(w, now_s).count.all, 1);
	note(w, "config.json", "b");
	assert_int_equal(db_write(w->hub->db, drop, &w->repo), 0);
	assert_int_equal(downloads_flush(w->downloads, now_s), 0);
	assert_int_equal(db_write(w->hub->db, add, &w->repo), 0);
	assert_int_equal(tell(w, now_s).count.all, 0);
	assert_int_equal(tell(w, now_s).used_s, -1);
}

int main(void)
{
#define WORLD(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		WORLD(a_model_is_counted_by_the_file_that_stands_for_it_once_a_client),
		WORLD(days_take_away_what_was_counted),
		WORLD(what_is_gone_is_counted_no_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
