/* SPDX-License-Identifier: Apache-2.0 */
/* A scripted hub, an index, and what is answered from both. */
#include "daemon/cache/docs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/log.h"
#include "tests/fake_origin.h"
#include "tests/workdir.h"

#define COMMIT "1111111111111111111111111111111111111111"
#define API "/api/models/org/name"
#define REFS "/refs?include_prs=1"
#define OLD "{\"branches\":[]}"
#define NEW "{\"branches\":[1]}"
#define GONE "X-Error-Code: RepoNotFound\r\n"
#define GATED "X-Error-Code: GatedRepo\r\n"
#define DOWN_MS 200
#define RETRY_MS 300
#define PATIENCE_MS 500
#define WAITERS 20
#define MINUTE_MS 60000

struct world {
	struct workdir dir;
	struct fake_origin *origin;
	struct httpc *http;
	struct hub *hub;
	struct metrics_source metrics;
	struct catalog *catalog;
	struct known *known;
	struct flight *flight;
	struct discover discover;
	struct docs *docs;
	struct repo_id id, old_id;
	struct repo *repo;
};

static void open_hub(struct world *w)
{
	const struct httpc_conf http = { .connect_ms = 1000, .stall_ms = 3000 };
	struct hub_conf hub = { .timeout_ms = 3000, .down_ms = DOWN_MS, .metrics = &w->metrics };

	w->origin = fake_origin_start();
	assert_int_equal(httpc_new(&http, &w->http), 0);
	hub.url = fake_origin_url(w->origin);
	hub.http = w->http;
	assert_int_equal(hub_new(&hub, &w->hub), 0);
}

static void start(struct world *w)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	struct flight_conf flight = { w->http, .threads_max = 4, .idle_ms = 100 };
	struct docs_conf docs = {
		.discover = &w->discover,
		.retry_ms = RETRY_MS,
		.patience_ms = PATIENCE_MS,
		.max_bytes = DOCS_BYTES_MAX,
	};

	assert_int_equal(catalog_open(w->dir.path, &w->catalog, &why), 0);
	assert_int_equal(known_new(w->catalog, &w->known), 0);
	assert_int_equal(known_add_repo(w->known, &w->id, &w->id), 0);
	assert_int_equal(known_add_repo(w->known, &w->old_id, &w->id), 0);
	w->repo = known_repo(w->known, &w->id);
	w->discover = (struct discover){
		.known = w->known, .hubs = &w->hub, .hub_count = 1, .give_up_ms = 4000
	};
	assert_int_equal(flight_new(&flight, &w->flight), 0);
	docs.catalog = w->catalog;
	docs.flight = w->flight;
	assert_int_equal(docs_new(&docs, &w->docs), 0);
}

static void stop(struct world *w)
{
	flight_stop(w->flight);
	flight_free(w->flight);
	docs_free(w->docs);
	known_free(w->known);
	catalog_close(w->catalog);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	if (!w || repo_id_parse(REPO_MODEL, "org/name", &w->id) < 0 ||
	    repo_id_parse(REPO_MODEL, "old/name", &w->old_id) < 0)
		return -1;
	workdir_init(&w->dir);
	open_hub(w);
	start(w);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	stop(w);
	hub_free(w->hub);
	httpc_free(w->http);
	fake_origin_stop(w->origin);
	workdir_fini(&w->dir);
	free(w);
	return 0;
}

/* Makes this the hub's answer. */
static void set(struct world *w, const char *tail, struct fake_answer answer)
{
	char target[256];

	snprintf(target, sizeof(target), "%s%s", API, tail);
	fake_origin_clear(w->origin, target);
	fake_origin_add(w->origin, target, answer);
}

static void says(struct world *w, const char *tail, const char *body)
{
	set(w, tail, (struct fake_answer){ .status = 200, .body = body });
}

static void fails(struct world *w, int status, const char *headers)
{
	set(w, REFS, (struct fake_answer){ .status = status, .headers = headers });
}

static unsigned asked(struct world *w)
{
	return fake_origin_count(w->origin, API REFS);
}

/* As a request does that came now: asks, waits, asks again. */
static int get(struct world *w, struct repo *repo, const char *tail, int64_t max_age_ms,
	       struct doc *ret)
{
	struct parked p;
	int r, waits = 0;

	parked_init(&p, MINUTE_MS);
	do {
		r = docs_get(w->docs, repo, tail, max_age_ms, &p.waiter, ret);
		if (r == PARKED) {
			r = parked_wait(&p);
			r = r == 0 ? PARKED : r;
			lock_take(&p.lock);
			p.woken = 0;
			lock_drop(&p.lock);
		}
	} while (r == PARKED && ++waits < 20);
	parked_fini(&p);
	return r;
}

static void check_of(struct world *w, const char *tail, int64_t max_age_ms, const char *text,
		     bool stale)
{
	CLEANUP(doc_fini) struct doc doc = { 0 };

	assert_int_equal(get(w, w->repo, tail, max_age_ms, &doc), 0);
	assert_string_equal(buf_str(&doc.text), text);
	assert_int_equal(doc.stale, stale);
	assert_true(doc.age_ms >= 0);
}

static void check(struct world *w, int64_t max_age_ms, const char *text, bool stale)
{
	check_of(w, REFS, max_age_ms, text, stale);
}

static void check_error(struct world *w, int64_t max_age_ms, int error)
{
	CLEANUP(doc_fini) struct doc doc = { 0 };

	assert_int_equal(get(w, w->repo, REFS, max_age_ms, &doc), error);
	assert_int_equal(doc.text.len, 0);
}

static void a_young_document_is_not_asked_for(void **state)
{
	struct world *w = *state;

	says(w, REFS, OLD);
	check(w, MINUTE_MS, OLD, false);
	says(w, REFS, NEW);
	check(w, MINUTE_MS, OLD, false);
	assert_int_equal(asked(w), 1);
	/* The twin: an old one is, and one that is too old for anybody. */
	clock_sleep_ms(20);
	check(w, 10, NEW, false);
	assert_int_equal(asked(w), 2);
	clock_sleep_ms(5);
	check(w, 0, NEW, false);
	assert_int_equal(asked(w), 3);
}

static void what_cannot_change_is_asked_for_once(void **state)
{
	struct world *w = *state;

	says(w, "/revision/" COMMIT, OLD);
	check_of(w, "/revision/" COMMIT, CLOCK_FOREVER, OLD, false);
	stop(w);
	start(w);
	check_of(w, "/revision/" COMMIT, CLOCK_FOREVER, OLD, false);
	assert_int_equal(fake_origin_count(w->origin, API "/revision/" COMMIT), 1);
}

static void each_question_has_a_document_of_its_own(void **state)
{
	CLEANUP(doc_fini) struct doc doc = { 0 };
	struct world *w = *state;
	struct repo_id id;

	says(w, REFS, OLD);
	says(w, "", NEW);
	check(w, MINUTE_MS, OLD, false);
	check_of(w, "", MINUTE_MS, NEW, false);
	assert_int_equal(repo_id_parse(REPO_DATASET, "org/name", &id), 0);
	assert_int_equal(known_add_repo(w->known, &id, &id), 0);
	fake_origin_add(w->origin, "/api/datasets/org/name" REFS,
			(struct fake_answer){ .status = 200, .body = "3" });
	assert_int_equal(get(w, known_repo(w->known, &id), REFS, MINUTE_MS, &doc), 0);
	assert_string_equal(buf_str(&doc.text), "3");
}

static void a_renamed_repository_has_the_same_documents(void **state)
{
	CLEANUP(doc_fini) struct doc doc = { 0 };
	struct world *w = *state;

	says(w, REFS, OLD);
	check(w, MINUTE_MS, OLD, false);
	assert_int_equal(get(w, known_repo(w->known, &w->old_id), REFS, MINUTE_MS, &doc), 0);
	assert_string_equal(buf_str(&doc.text), OLD);
	assert_int_equal(fake_origin_count(w->origin, NULL), 1);
}

static void an_old_document_stands_while_no_hub_tells(void **state)
{
	static const struct fake_answer failures[] = {
		{ .status = 0 },
		{ .status = 500 },
		{ .status = 429, .headers = "Retry-After: 60\r\n" },
		{ .status = 200, .body = "<html>" },
		{ .status = 200, .body = "{\"cut" },
		{ .status = 404 }, /* without a word of the hub's */
		{ .status = 401,
		  .headers = "X-Error-Message: Invalid credentials in Authorization header\r\n" },
	};
	struct world *w = *state;

	w->discover.give_up_ms = 50; /* no second try */
	for (size_t i = 0; i < ARRAY_LEN(failures); i++) {
		unsigned before;

		says(w, REFS, OLD);
		check(w, 0, OLD, false);
		clock_sleep_ms(5);
		set(w, REFS, failures[i]);
		check(w, 0, OLD, true);
		/* For a while no hub is asked again ... */
		before = asked(w);
		check(w, 0, OLD, true);
		assert_int_equal(asked(w), before);
		/* ... though it could tell. */
		says(w, REFS, NEW);
		check(w, 0, OLD, true);
		clock_sleep_ms(RETRY_MS + 20);
		check(w, 0, NEW, false);
		clock_sleep_ms(5);
	}
}

static void without_an_old_document_a_failure_is_one(void **state)
{
	struct world *w = *state;

	fails(w, 500, NULL);
	check_error(w, MINUTE_MS, ERR_SERVER);
	says(w, REFS, "{} {}");
	check_error(w, MINUTE_MS, ERR_PROTO);
	fails(w, 404, GONE);
	check_error(w, MINUTE_MS, ERR_NOREPO);
	/* It leaves nothing behind. */
	says(w, REFS, NEW);
	check(w, MINUTE_MS, NEW, false);
}

static void what_is_gone_is_gone(void **state)
{
	static const struct {
		int status;
		const char *headers;
		int error;
	} cases[] = {
		{ 404, GONE, ERR_NOREPO },
		{ 404, "X-Error-Code: RevisionNotFound\r\n", ERR_NOREV },
		{ 404, "X-Error-Code: EntryNotFound\r\n", ERR_NOENTRY },
		{ 403, GATED, ERR_GATED },
		{ 403, "X-Error-Message: Access to this resource is disabled.\r\n", ERR_DISABLED },
	};
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		says(w, REFS, OLD);
		check(w, 0, OLD, false);
		clock_sleep_ms(5);
		fails(w, cases[i].status, cases[i].headers);
		check_error(w, 0, cases[i].error);
		fails(w, 400, NULL);
		check_error(w, MINUTE_MS, ERR_PROTO); /* no old one is left to stand */
	}
	stop(w);
	start(w);
	check_error(w, CLOCK_FOREVER, ERR_PROTO);
}

static void what_is_gone_stands_where_it_is_to_be_kept(void **state)
{
	struct world *w = *state;

	says(w, REFS, OLD);
	check(w, 0, OLD, false);
	w->discover.gone = DISCOVER_GONE_STAYS;
	clock_sleep_ms(5);
	fails(w, 404, GONE);
	check(w, 0, OLD, true);
}

static void what_is_kept_is_had_without_asking(void **state)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	struct world *w = *state;

	assert_int_equal(docs_kept(w->docs, w->repo, REFS, &text), -ENOENT);
	says(w, REFS, OLD);
	check(w, MINUTE_MS, OLD, false);
	stop(w);
	start(w);
	assert_int_equal(docs_kept(w->docs, w->repo, REFS, &text), 0);
	assert_string_equal(buf_str(&text), OLD);
	assert_int_equal(asked(w), 1);
}

static void a_crowd_is_one_question(void **state)
{
	struct parked p[WAITERS];
	struct world *w = *state;

	set(w, REFS, (struct fake_answer){ .status = 200, .body = OLD, .before_ms = 200 });
	for (int i = 0; i < WAITERS; i++) {
		CLEANUP(doc_fini) struct doc doc = { 0 };

		parked_init(&p[i], MINUTE_MS);
		assert_int_equal(docs_get(w->docs, w->repo, REFS, 0, &p[i].waiter, &doc), PARKED);
	}
	for (int i = 0; i < WAITERS; i++) {
		CLEANUP(doc_fini) struct doc doc = { 0 };

		assert_int_equal(parked_wait(&p[i]), 0);
		assert_int_equal(docs_get(w->docs, w->repo, REFS, 0, &p[i].waiter, &doc), 0);
		assert_string_equal(buf_str(&doc.text), OLD);
		assert_false(doc.stale);
		parked_fini(&p[i]);
	}
	assert_int_equal(asked(w), 1);
}

static void a_slow_hub_is_waited_for_only_so_long(void **state)
{
	struct world *w = *state;
	int64_t begin;

	says(w, REFS, OLD);
	check(w, 0, OLD, false);
	clock_sleep_ms(5);
	set(w, REFS, (struct fake_answer){ .status = 200, .body = NEW, .before_ms = 2000 });
	begin = clock_ms();
	check(w, 0, OLD, true);
	assert_in_range(clock_ms() - begin, PATIENCE_MS, 1500);
	/* Who comes now need not wait at all. */
	begin = clock_ms();
	check(w, 0, OLD, true);
	assert_in_range(clock_ms() - begin, 0, PATIENCE_MS - 1);
	/* The question went on; the machine may be busy. */
	clock_sleep_ms(3500);
	check(w, MINUTE_MS, NEW, false);
	assert_int_equal(asked(w), 2);
}

static void where_nothing_is_known_a_slow_hub_is_waited_for(void **state)
{
	struct world *w = *state;

	set(w, REFS,
	    (struct fake_answer){ .status = 200, .body = NEW, .before_ms = PATIENCE_MS + 500 });
	check(w, 0, NEW, false);
}

static void who_can_do_without_waits_for_a_slow_hub_only_so_long(void **state)
{
	CLEANUP(doc_fini) struct doc doc = { .patient_until_ms = clock_ms() + PATIENCE_MS };
	struct world *w = *state;
	int64_t begin = clock_ms();
	struct parked p;

	set(w, REFS, (struct fake_answer){ .status = 200, .body = NEW, .before_ms = 2000 });
	parked_init(&p, MINUTE_MS);
	assert_int_equal(docs_get(w->docs, w->repo, REFS, 0, &p.waiter, &doc), PARKED);
	assert_int_equal(parked_wait(&p), 0);
	assert_int_equal(docs_get(w->docs, w->repo, REFS, 0, &p.waiter, &doc), ERR_TIMEOUT);
	assert_in_range(clock_ms() - begin, PATIENCE_MS, 1500);
	parked_fini(&p);
	check(w, MINUTE_MS, NEW, false); /* the question went on, and who needs it waits for it */
	assert_int_equal(asked(w), 1);
}

static void offline_the_old_one_is_all_there_is(void **state)
{
	struct world *w = *state;

	says(w, REFS, OLD);
	check(w, MINUTE_MS, OLD, false);
	clock_sleep_ms(20);
	w->discover.hub_count = 0;
	check(w, MINUTE_MS, OLD, false);
	check(w, 10, OLD, true);
	assert_int_equal(asked(w), 1);
	{
		CLEANUP(doc_fini) struct doc doc = { 0 };

		assert_int_equal(get(w, w->repo, "/other", MINUTE_MS, &doc), ERR_OFFLINE);
	}
}

static void documents_and_their_ages_outlive_the_process(void **state)
{
	struct world *w = *state;

	says(w, REFS, OLD);
	check(w, MINUTE_MS, OLD, false);
	stop(w);
	start(w);
	check(w, MINUTE_MS, OLD, false);
	assert_int_equal(asked(w), 1);
	clock_sleep_ms(20);
	fails(w, 500, NULL);
	check(w, 10, OLD, true);
	assert_true(asked(w) > 1);
}

static void a_next_page_is_told(void **state)
{
	static const char link[] = "Link: <https://hub.example" API
				   "/commits/main?p=1&limit=50>; rel=\"next\"\r\n"
				   "X-Total-Count: 51\r\n";
	struct world *w = *state;

	set(w, "/commits/main?limit=50",
	    (struct fake_answer){ .status = 200, .headers = link, .body = "[]" });
	says(w, "/commits/main?p=1&limit=50", "[1]");
	for (unsigned i = 0; i < 2; i++) {
		CLEANUP(doc_fini) struct doc doc = { 0 };
		CLEANUP(doc_fini) struct doc last = { 0 };

		assert_int_equal(get(w, w->repo, "/commits/main?limit=50", MINUTE_MS, &doc), 0);
		assert_string_equal(buf_str(&doc.next), "/commits/main?p=1&limit=50");
		assert_int_equal(doc.total, 51);
		assert_int_equal(get(w, w->repo, buf_str(&doc.next), MINUTE_MS, &last), 0);
		assert_string_equal(buf_str(&last.text), "[1]");
		assert_int_equal(last.next.len, 0);
		assert_int_equal(last.total, 0);
		stop(w);
		start(w);
	}
	assert_int_equal(fake_origin_count(w->origin, NULL), 2);
}

static void files_and_xet_hints_are_left_out(void **state)
{
	struct world *w = *state;

	says(w, "",
	     "{ \"id\": \"org/name\", \"siblings\": [{\"rfilename\": \"a\"}], \"xetEnabled\": true,"
	     " \"config\": {\"siblings\": 1, \"xetHash\": \"x\"},"
	     " \"cardData\": {\"license\": \"mit\", \"n\": 1.50} }\n");
	check_of(w, "", MINUTE_MS,
		 "{\"id\":\"org/name\",\"config\":{\"siblings\":1},"
		 "\"cardData\":{\"license\":\"mit\",\"n\":1.5}}",
		 false);
}

static void a_tail_of_any_length_is_not_asked_for(void **state)
{
	CLEANUP(doc_fini) struct doc doc = { 0 };
	char tail[HUB_TAIL_MAX + 2];
	struct world *w = *state;

	memset(tail, 'x', sizeof(tail));
	tail[0] = '?';
	tail[HUB_TAIL_MAX + 1] = '\0';
	assert_int_equal(get(w, w->repo, tail, MINUTE_MS, &doc), -ENAMETOOLONG);
	assert_int_equal(fake_origin_count(w->origin, NULL), 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(what_is_gone_stands_where_it_is_to_be_kept),
		TEST(what_is_kept_is_had_without_asking),
		TEST(a_young_document_is_not_asked_for),
		TEST(what_cannot_change_is_asked_for_once),
		TEST(each_question_has_a_document_of_its_own),
		TEST(a_renamed_repository_has_the_same_documents),
		TEST(an_old_document_stands_while_no_hub_tells),
		TEST(without_an_old_document_a_failure_is_one),
		TEST(what_is_gone_is_gone),
		TEST(a_crowd_is_one_question),
		TEST(a_slow_hub_is_waited_for_only_so_long),
		TEST(where_nothing_is_known_a_slow_hub_is_waited_for),
		TEST(who_can_do_without_waits_for_a_slow_hub_only_so_long),
		TEST(offline_the_old_one_is_all_there_is),
		TEST(documents_and_their_ages_outlive_the_process),
		TEST(a_next_page_is_told),
		TEST(files_and_xet_hints_are_left_out),
		TEST(a_tail_of_any_length_is_not_asked_for),
	};

	unsetenv("http_proxy"); /* loopback must be reached directly */
	log_set_level(LOG_LEVEL_ERR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
