/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/roster.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "admin/catalogue/finding.h"
#include "daemon/base/clock.h"
#include "tests/hub_db.h"
#include "tests/seeded_node.h"

#define TAIL(commit) "/revision/" commit
#define TARGET(commit) "/api/models/org/model" TAIL(commit)

struct world {
	struct seeded_node *seed;
	struct hub_db *hub;
	struct roster *roster;
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	void *seed = NULL, *hub = NULL;

	if (!w || seeded_node_setup_online(&seed) < 0 || hub_db_setup(&hub) < 0)
		return -1;
	w->seed = seed;
	w->hub = hub;
	*state = w;
	return roster_new(w->seed->node, w->hub->db, &w->roster);
}

static int teardown(void **state)
{
	struct world *w = *state;
	void *seed = w->seed, *hub = w->hub;

	roster_free(w->roster);
	hub_db_teardown(&hub);
	seeded_node_teardown(&seed);
	free(w);
	return 0;
}

static struct repo_id id_of(const char *name)
{
	struct repo_id id;

	assert_int_equal(repo_id_parse(REPO_MODEL, name, &id), 0);
	return id;
}

static void call(struct world *w)
{
	assert_int_equal(roster_call(w->roster, true), 0);
}

static int add_name(void *arg, const struct catalogue_entry *e)
{
	return buf_printf(arg, "%s ", e->id.name);
}

static int add_names(struct db_txn *t, void *arg)
{
	return catalogue_each(t, add_name, arg);
}

/* All that are in the catalogue now. */
static void check_names(struct world *w, const char *want)
{
	CLEANUP(buf_free) struct buf names = { 0 };

	call(w);
	assert_int_equal(db_read(w->hub->db, add_names, &names), 0);
	assert_string_equal(buf_str(&names), want);
}

static int get(struct db_txn *t, void *arg)
{
	struct catalogue_entry *e = arg;
	struct repo_id id = e->id;

	return catalogue_get(t, &id, e);
}

static struct catalogue_entry row_of(struct world *w, const char *name)
{
	struct catalogue_entry e = { .id = id_of(name) };

	call(w);
	assert_int_equal(db_read(w->hub->db, get, &e), 0);
	return e;
}

/* Whether it is found by a tag. */
struct tagged {
	const char *tag;
	size_t count;
};

static int count_one(void *arg, const struct catalogue_entry *e)
{
	struct tagged *g = arg;

	assert_string_equal(e->id.name, "org/model");
	g->count++;
	return 0;
}

static int find(struct db_txn *t, void *arg)
{
	CLEANUP(buf_free) struct buf terms = { 0 };
	struct finding_query q = { .terms = &terms,
				   .parameters_min = -1,
				   .parameters_max = HUGE_VAL,
				   .sort = CATALOGUE_NUMBERS,
				   .sees_all = true };
	struct tagged *g = arg;
	uint64_t reads = 0;

	term_add(&terms, TERM_TAG, g->tag, strlen(g->tag));
	return finding_each(t, &q, count_one, g, &reads);
}

static size_t tagged(struct world *w, const char *tag)
{
	struct tagged g = { tag, 0 };

	call(w);
	assert_int_equal(db_read(w->hub->db, find, &g), 0);
	return g.count;
}

#define SEEDED "gpt2 mirror/model org/bare org/model "

/* The hub says this of org/model at a commit, and is asked, whatever it said a moment ago. */
static void learn(struct world *w, const char *target, const char *tail, const char *says)
{
	struct repo_id id = id_of("org/model");
	struct repo *repo = known_repo(node_known(w->seed->node), &id);
	struct parked p;
	int r;

	fake_origin_clear(w->seed->origin, target);
	fake_origin_add(w->seed->origin, target, (struct fake_answer){ 200, .body = says });
	for (int64_t now = clock_ms(); clock_ms() == now;)
		; /* what was said in this millisecond would do */
	parked_init(&p, 5000);
	do {
		CLEANUP(doc_fini) struct doc doc = { 0 };

		r = node_doc(w->seed->node, repo, tail, -1, &p.waiter, &doc);
		if (r == PARKED)
			assert_int_equal(parked_wait(&p), 0);
		else
			assert_int_equal(r, 0);
	} while (r == PARKED);
	parked_fini(&p);
}

#define LEARN(commit, says) learn(w, TARGET(commit), TAIL(commit), says)

static void whoever_is_known_stands_in_the_catalogue(void **state)
{
	struct world *w = *state;
	struct known *k = node_known(w->seed->node);
	struct repo_id id = id_of("org/bare"), later = id_of("a/later");

	assert_int_equal(roster_call(w->roster, false), -EAGAIN);
	check_names(w, SEEDED "org/data org/space ");
	assert_int_equal(roster_call(w->roster, false), 0);
	assert_string_equal(row_of(w, "org/bare").commit, "");
	assert_int_equal(known_set_ref(k, known_repo(k, &id), "main", COMMIT_GPT2), 0);
	assert_int_equal(roster_call(w->roster, false), -EAGAIN);
	assert_string_equal(row_of(w, "org/bare").commit, COMMIT_GPT2);
	assert_false(row_of(w, "org/bare").hosted);
	assert_int_equal(known_add_repo(k, &later, &later), 0);
	check_names(w, "a/later " SEEDED "org/data org/space ");
}

static void a_renamed_repository_stands_under_its_new_name_alone(void **state)
{
	struct world *w = *state;
	struct known *k = node_known(w->seed->node);
	struct repo_id old = id_of("mirror/model"), new = id_of("zoo/model");
	struct repo_id back = id_of("gpt2");

	check_names(w, SEEDED "org/data org/space ");
	assert_int_equal(known_add_repo(k, &old, &new), 0);
	check_names(w, "gpt2 org/bare org/model zoo/model org/data org/space ");
	/* One goes and one comes back: as many as before, but others. */
	assert_int_equal(known_add_repo(k, &old, &old), 0);
	assert_int_equal(known_add_repo(k, &back, &old), 0);
	check_names(w, "mirror/model org/bare org/model zoo/model org/data org/space ");
}

static int put_hosted(struct db_txn *t, void *arg)
{
	const struct catalogue_texts texts = { "\n\n", NULL, "{}" };

	return catalogue_put(t, arg, &texts);
}

static void what_an_earlier_process_knew_goes_but_not_what_is_hosted_here(void **state)
{
	struct world *w = *state;
	struct catalogue_entry gone = { .id = id_of("was/here") };
	struct catalogue_entry own = { .id = id_of("my/own"), .hosted = true };

	assert_int_equal(db_write(w->hub->db, put_hosted, &gone), 0);
	assert_int_equal(db_write(w->hub->db, put_hosted, &own), 0);
	check_names(w, "gpt2 mirror/model my/own org/bare org/model org/data org/space ");
}

static void rows_tell_what_the_hub_last_said_of_main(void **state)
{
	struct world *w = *state;
	struct known *k = node_known(w->seed->node);
	struct repo_id id = id_of("org/model");
	struct catalogue_entry e = row_of(w, "org/model");

	assert_true(e.numbers[CATALOGUE_LIKES] == -1 && !e.gated);
	LEARN(COMMIT_MAIN,
	      "{\"likes\":7,\"downloads\":1.5,\"gated\":\"auto\","
	      "\"createdAt\":\"1970-01-02T00:00:00.000Z\","
	      "\"safetensors\":{\"total\":12},\"tags\":[\"b\",\"two\\nlines\",\"A:c\"],"
	      "\"library_name\":\"lib\"}");
	e = row_of(w, "org/model");
	assert_true(e.numbers[CATALOGUE_LIKES] == 7 && e.numbers[CATALOGUE_DOWNLOADS] == 1.5);
	assert_true(e.gated && e.numbers[CATALOGUE_PARAMETERS] == 12);
	assert_true(e.numbers[CATALOGUE_CREATED] == 86400 && e.numbers[CATALOGUE_MODIFIED] == -1);
	assert_true(tagged(w, "lib") && tagged(w, "a:C") && !tagged(w, "two"));
	LEARN(COMMIT_MAIN, "{\"likes\":8,\"pipeline_tag\":\"p\"}");
	e = row_of(w, "org/model");
	assert_true(e.numbers[CATALOGUE_LIKES] == 8 && !e.gated);
	assert_true(tagged(w, "p") && !tagged(w, "lib"));
	LEARN(COMMIT_OTHER, "{\"likes\":9}");
	assert_true(row_of(w, "org/model").numbers[CATALOGUE_LIKES] == 8);
	assert_int_equal(known_set_ref(k, known_repo(k, &id), "main", COMMIT_OTHER), 0);
	assert_true(row_of(w, "org/model").numbers[CATALOGUE_LIKES] == 9);
}

static void many_are_put_in_too(void **state)
{
	struct world *w = *state;
	struct known *k = node_known(w->seed->node);
	char name[32];

	for (int i = 0; i < 250; i++) {
		struct repo_id id;

		snprintf(name, sizeof(name), "many/%d", i);
		id = id_of(name);
		assert_int_equal(known_add_repo(k, &id, &id), 0);
	}
	call(w);
	assert_string_equal(row_of(w, "many/249").id.name, "many/249");
	assert_string_equal(row_of(w, "many/0").id.name, "many/0");
}

int main(void)
{
#define WORLD(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		WORLD(whoever_is_known_stands_in_the_catalogue),
		WORLD(a_renamed_repository_stands_under_its_new_name_alone),
		WORLD(what_an_earlier_process_knew_goes_but_not_what_is_hosted_here),
		WORLD(rows_tell_what_the_hub_last_said_of_main),
		WORLD(many_are_put_in_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
