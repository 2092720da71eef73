/* SPDX-License-Identifier: Apache-2.0 */
/* Two scripted hubs, in order of preference; what was asked and what is known afterwards. */
#include "daemon/names/discover.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "tests/fake_origin.h"
#include "tests/workdir.h"

#define A "1111111111111111111111111111111111111111"
#define B "2222222222222222222222222222222222222222"
#define OID "0123456789abcdef0123456789abcdef01234567"
#define API "/api/models/org/name"
#define DEV API "/revision/dev"
#define TREE(commit) API "/tree/" commit "?recursive=true"
#define COMMITS(commit) API "/commits/" commit "?limit=1"

#define NO_REPO "X-Error-Code: RepoNotFound\r\n"
#define NO_REV "X-Error-Code: RevisionNotFound\r\n"
#define GATED "X-Error-Code: GatedRepo\r\n"
#define REVISION(commit) "{\"id\":\"org/name\",\"sha\":\"" commit "\"}"
#define DATED(commit) \
	"{\"id\":\"org/name\",\"sha\":\"" commit "\",\"lastModified\":\"2024-01-02T03:04:05.000Z\"}"
#define DATED_S 1704164645
#define FILES(path) "[{\"type\":\"file\",\"path\":\"" path "\",\"oid\":\"" OID "\",\"size\":1}]"
#define DATES "[{\"id\":\"x\",\"date\":\"2020-01-01T00:00:00.000Z\"}]"
#define DATES_S 1577836800

#define HUBS 2
#define DOWN_MS 300
#define TIMEOUT_MS 10000
#define PATIENCE_MS 200
#define SILENCE_MS 600

struct fixture {
	struct workdir dir;
	struct fake_origin *origins[HUBS];
	struct httpc *http;
	struct hub *hubs[HUBS];
	struct metrics_source metrics[HUBS];
	struct catalog *catalog;
	struct known *known;
	struct discover discover;
	struct flight_job job;
	atomic_int stop;
	struct repo_id id;
};

static void open_hub(struct fixture *f, unsigned i)
{
	struct hub_conf conf = {
		.http = f->http,
		.timeout_ms = TIMEOUT_MS,
		.down_ms = DOWN_MS,
		.silent_ms = TIMEOUT_MS,
		.metrics = &f->metrics[i],
	};

	f->origins[i] = fake_origin_start();
	conf.url = fake_origin_url(f->origins[i]);
	assert_int_equal(hub_new(&conf, &f->hubs[i]), 0);
}

static int start(void **state, int64_t stall_ms)
{
	const struct httpc_conf http = { .connect_ms = 1000, .stall_ms = stall_ms };
	struct fixture *f = calloc(1, sizeof(*f));
	CLEANUP(buf_free) struct buf why = { 0 };

	if (!f || httpc_new(&http, &f->http) < 0)
		return -1;
	workdir_init(&f->dir);
	if (catalog_open(f->dir.path, &f->catalog, &why) < 0 ||
	    known_new(f->catalog, &f->known) < 0 ||
	    repo_id_parse(REPO_MODEL, "org/name", &f->id) < 0)
		return -1;
	for (unsigned i = 0; i < HUBS; i++)
		open_hub(f, i);
	f->job.stop = &f->stop;
	f->discover = (struct discover){ .known = f->known,
					 .hubs = f->hubs,
					 .hub_count = HUBS,
					 .patience_ms = PATIENCE_MS,
					 .give_up_ms = 5000 };
	*state = f;
	return 0;
}

static int setup(void **state)
{
	return start(state, 1000);
}

/* A client that waits for a silent hub longer than a question may take. */
static int setup_patient(void **state)
{
	return start(state, TIMEOUT_MS);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < HUBS; i++) {
		hub_free(f->hubs[i]);
		fake_origin_stop(f->origins[i]);
	}
	httpc_free(f->http);
	known_free(f->known);
	catalog_close(f->catalog);
	workdir_fini(&f->dir);
	free(f);
	return 0;
}

/* Appends to the script of a hub's target. */
static void add(struct fixture *f, unsigned hub, const char *target, int status,
		const char *headers, const char *body)
{
	fake_origin_add(f->origins[hub], target,
			(struct fake_answer){ .status = status, .headers = headers, .body = body });
}

/* Makes it the script. */
static void set(struct fixture *f, unsigned hub, const char *target, int status,
		const char *headers, const char *body)
{
	fake_origin_clear(f->origins[hub], target);
	add(f, hub, target, status, headers, body);
}

static unsigned asked(struct fixture *f, unsigned hub, const char *target)
{
	return fake_origin_count(f->origins[hub], target);
}

static int find_repo(struct fixture *f)
{
	return discover_repo(&f->discover, &f->job, &f->id);
}

/* The repository, noted without asking. */
static struct repo *repo(struct fixture *f)
{
	struct repo *r;

	assert_int_equal(known_add_repo(f->known, &f->id, &f->id), 0);
	r = known_repo(f->known, &f->id);
	assert_non_null(r);
	return r;
}

static int find_dev(struct fixture *f)
{
	return discover_ref(&f->discover, &f->job, repo(f), "dev");
}

static void check_ref(struct fixture *f, const char *ref, const char *commit)
{
	struct known_ref known = { .commit = "" };
	bool is_known = known_get_ref(f->known, repo(f), ref, &known);

	assert_int_equal(is_known && known.commit[0], commit != NULL);
	if (commit)
		assert_string_equal(known.commit, commit);
}

static void check_files(struct fixture *f, const char *commit, const char *path)
{
	CLEANUP(snapshot_unrefp) struct snapshot *s = NULL;

	assert_int_equal(known_snapshot(f->known, repo(f), commit, &s), path ? 0 : -ENOENT);
	if (path)
		assert_int_not_equal(manifest_find(s->files, path), MANIFEST_NONE);
}

/* ---- repositories ---- */

static void test_a_repository_comes_with_main(void **state)
{
	struct fixture *f = *state;

	set(f, 0, API, 200, NULL, REVISION(A));
	set(f, 0, TREE(A), 200, NULL, FILES("f"));
	assert_int_equal(find_repo(f), 0);
	check_ref(f, "main", A);
	check_files(f, A, "f");
	assert_ptr_equal(repo_canonical(repo(f)), repo(f));
	assert_int_equal(asked(f, 1, NULL), 0);
}

static void test_the_next_hub_is_asked(void **state)
{
	static const struct {
		int status;
		const char *headers;
	} first[] = {
		{ 404, NO_REPO }, { 404, NO_REV }, { 403, GATED },
		{ 401, NULL },    { 400, NULL },   { 200, NULL }, /* without a body */
		{ 503, NULL },    { 0, NULL },
	};
	struct fixture *f = *state;

	set(f, 1, TREE(A), 200, NULL, FILES("f"));
	for (size_t i = 0; i < ARRAY_LEN(first); i++) {
		unsigned before = asked(f, 1, DEV);

		set(f, 0, DEV, first[i].status, first[i].headers, NULL);
		set(f, 1, DEV, 200, NULL, REVISION(A));
		assert_int_equal(find_dev(f), 0);
		check_ref(f, "dev", A);
		assert_int_equal(asked(f, 1, DEV), before + 1);
		assert_int_equal(known_drop_ref(f->known, repo(f), "dev"), 0);
		clock_sleep_ms(first[i].status ? 0 : DOWN_MS + 50);
	}
	/* The twin: a hub that answers is the only one asked. */
	set(f, 0, DEV, 200, NULL, REVISION(A));
	set(f, 1, DEV, 200, NULL, REVISION(B));
	assert_int_equal(find_dev(f), 0);
	check_ref(f, "dev", A);
	assert_int_equal(asked(f, 1, DEV), ARRAY_LEN(first));
}

static void add_silent(struct fixture *f, unsigned hub, const char *target, const char *body)
{
	fake_origin_add(
		f->origins[hub], target,
		(struct fake_answer){ .status = 200, .body = body, .before_ms = SILENCE_MS });
}

static void test_who_hangs_is_waited_for_only_once_while_another_has_the_answer(void **state)
{
	struct fixture *f = *state;
	int64_t start = clock_ms();

	add_silent(f, 0, API, REVISION(A));
	add_silent(f, 0, TREE(B), FILES("a"));
	set(f, 1, API, 200, NULL, REVISION(B));
	set(f, 1, TREE(B), 200, NULL, FILES("b"));
	assert_int_equal(find_repo(f), 0);
	assert_true(clock_ms() - start < SILENCE_MS);
	check_ref(f, "main", B);
	check_files(f, B, "b");
	assert_int_equal(asked(f, 0, TREE(B)), 0);
}

static void test_who_hangs_is_waited_for_when_no_other_has_the_answer(void **state)
{
	struct fixture *f = *state;

	add_silent(f, 0, API, REVISION(A));
	set(f, 0, TREE(A), 200, NULL, FILES("a"));
	set(f, 1, API, 404, NO_REPO, NULL);
	assert_int_equal(find_repo(f), 0);
	check_ref(f, "main", A);
	assert_int_equal(asked(f, 0, API), 2);
	assert_int_equal(asked(f, 1, API), 1);
}

static void test_which_verdict_counts(void **state)
{
	static const struct {
		int first;
		const char *first_headers;
		int second;
		const char *second_headers;
		int verdict;
	} cases[] = {
		{ 404, NO_REPO, 404, NO_REPO, ERR_NOREPO },
		{ 404, NO_REV, 404, NO_REV, ERR_NOREV },
		/* Who has the repository knows its refs. */
		{ 404, NO_REPO, 404, NO_REV, ERR_NOREV },
		{ 404, NO_REV, 404, NO_REPO, ERR_NOREV },
		/* "No" is only believed when all say so. */
		{ 404, NO_REPO, 403, GATED, ERR_GATED },
		{ 403, GATED, 404, NO_REPO, ERR_GATED },
		{ 404, NO_REPO, 403, NULL, -EACCES },
		{ 404, NO_REPO, 400, NULL, ERR_PROTO },
		{ 404, NO_REV, 503, NULL, ERR_SERVER },
		{ 503, NULL, 404, NO_REV, ERR_SERVER },
		{ 403, GATED, 429, NULL, ERR_BUSY },
		{ 429, NULL, 403, GATED, ERR_BUSY },
	};
	struct fixture *f = *state;

	f->discover.give_up_ms = 300;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int r;

		set(f, 0, DEV, cases[i].first, cases[i].first_headers, NULL);
		set(f, 1, DEV, cases[i].second, cases[i].second_headers, NULL);
		r = find_dev(f);
		if (r != cases[i].verdict)
			fail_msg("case %zu: %d", i, r);
		check_ref(f, "dev", NULL);
	}
}

static void test_no_hubs(void **state)
{
	struct fixture *f = *state;

	f->discover.hub_count = 0;
	assert_int_equal(find_repo(f), ERR_OFFLINE);
	assert_int_equal(find_dev(f), ERR_OFFLINE);
	assert_int_equal(discover_commit(&f->discover, &f->job, repo(f), A), ERR_OFFLINE);
}

static void test_what_passes_is_tried_again(void **state)
{
	struct fixture *f = *state;

	set(f, 0, DEV, 503, NULL, NULL);
	add(f, 0, DEV, 429, NULL, NULL);
	add(f, 0, DEV, 200, NULL, REVISION(A));
	set(f, 0, TREE(A), 500, NULL, NULL);
	add(f, 0, TREE(A), 200, NULL, FILES("f"));
	set(f, 1, DEV, 404, NO_REPO, NULL);
	set(f, 1, TREE(A), 404, NO_REPO, NULL);
	assert_int_equal(find_dev(f), 0);
	check_ref(f, "dev", A);
	assert_int_equal(asked(f, 0, DEV), 3);
	/* A hub that said no is not asked again. */
	assert_int_equal(asked(f, 1, DEV), 1);
}

static void test_it_gives_up(void **state)
{
	struct fixture *f = *state;
	int64_t start = clock_ms();

	f->discover.give_up_ms = 1000;
	set(f, 0, DEV, 429, "Retry-After: 60\r\n", NULL);
	set(f, 1, DEV, 404, NO_REPO, NULL);
	assert_int_equal(find_dev(f), ERR_BUSY);
	assert_true(clock_ms() - start < 5000);
}

static void test_stopping_ends_the_pauses(void **state)
{
	struct fixture *f = *state;
	int64_t start = clock_ms();

	f->discover.give_up_ms = 60000;
	atomic_store(&f->stop, 1);
	set(f, 0, DEV, 429, "Retry-After: 30\r\n", NULL);
	set(f, 1, DEV, 429, "Retry-After: 30\r\n", NULL);
	assert_int_equal(find_dev(f), ERR_CANCELED);
	assert_true(clock_ms() - start < 5000);
}

static int nothing(struct fixture *f, bool open_counts)
{
	int r = discover_nothing(&f->discover, &f->job, &f->id, open_counts);

	assert_null(known_repo(f->known, &f->id));
	return r;
}

#define INFO(private) "{\"id\":\"org/name\",\"sha\":\"" A "\",\"private\":" private "}"

static void test_what_may_not_be_seen_is_asked_for_as_what_is_not_there(void **state)
{
	struct fixture *f = *state;

	set(f, 0, API, 200, NULL, INFO("true"));
	set(f, 1, API, 404, NO_REPO, NULL);
	assert_int_equal(nothing(f, true), ERR_NOREPO);
	assert_int_equal(asked(f, 0, API), 1);
	assert_int_equal(asked(f, 1, API), 1);
	set(f, 1, API, 403, "", NULL);
	assert_int_equal(nothing(f, false), -EACCES);
	set(f, 0, API, 404, NO_REPO, NULL); /* as of what is not there */
	assert_int_equal(find_repo(f), -EACCES);
}

static void test_what_is_gated_is_not_there_only_for_those_from_whom_it_is_hidden(void **state)
{
	struct fixture *f = *state;

	set(f, 0, API, 403, GATED, NULL);
	set(f, 1, API, 404, NO_REPO, NULL);
	assert_int_equal(nothing(f, true), ERR_GATED);
	assert_int_equal(nothing(f, false), ERR_NOREPO);
}

static void test_what_the_first_hub_has_for_everybody_is_there(void **state)
{
	struct fixture *f = *state;

	set(f, 0, API, 200, NULL, INFO("false"));
	set(f, 1, API, 404, NO_REPO, NULL);
	assert_int_equal(nothing(f, true), 0);
	assert_int_equal(asked(f, 1, API), 0);
	assert_int_equal(nothing(f, false), ERR_NOREPO);
	assert_int_equal(asked(f, 1, API), 1);
	set(f, 0, API, 404, NO_REPO, NULL);
	set(f, 1, API, 200, NULL, INFO("false,\"gated\":false"));
	assert_int_equal(nothing(f, true), 0);
	set(f, 1, API, 200, NULL, INFO("false,\"gated\":\"auto\""));
	assert_int_equal(nothing(f, true), ERR_NOREPO);
	set(f, 0, API, 200, NULL, REVISION(A)); /* which does not say */
	set(f, 1, API, 200, NULL, INFO("false"));
	assert_int_equal(nothing(f, true), ERR_NOREPO);
}

static void test_a_renamed_repository_has_an_alias(void **state)
{
	struct fixture *f = *state;
	struct repo_id id;
	struct repo *real;

	set(f, 0, API, 200, NULL, "{\"id\":\"new/name\",\"sha\":\"" A "\"}");
	set(f, 0, "/api/models/new/name/tree/" A "?recursive=true", 200, NULL, FILES("f"));
	assert_int_equal(find_repo(f), 0);
	assert_int_equal(repo_id_parse(REPO_MODEL, "new/name", &id), 0);
	real = known_repo(f->known, &id);
	assert_non_null(real);
	assert_ptr_equal(repo_canonical(known_repo(f->known, &f->id)), real);
	assert_ptr_equal(repo_canonical(real), real);
	assert_int_equal(asked(f, 0, TREE(A)), 0);
}

#define NEW_API "/api/models/new/name"
#define NEW_REVISION(commit) "{\"id\":\"new/name\",\"sha\":\"" commit "\"}"

static void check_called(struct fixture *f, const char *want)
{
	struct repo_names names;

	known_names_of(f->known, &f->id, &names);
	assert_string_equal(names.list[0]->name, want);
	if (strcmp(want, f->id.name) != 0)
		assert_string_equal(names.list[1]->name, f->id.name);
}

static void test_a_new_name_is_heard_when_a_ref_is_asked_for(void **state)
{
	struct fixture *f = *state;
	struct known_ref known;
	struct repo_id id;

	set(f, 0, DEV, 200, NULL, NEW_REVISION(A));
	set(f, 0, TREE(A), 200, NULL, FILES("f"));
	set(f, 0, NEW_API "/tree/" A "?recursive=true", 200, NULL, FILES("f"));
	assert_int_equal(find_dev(f), 0); /* who does not care for it */
	check_called(f, "org/name");
	f->discover.renames = true;
	assert_int_equal(discover_ref(&f->discover, &f->job, repo(f), "dev"), 0);
	check_called(f, "new/name");
	assert_int_equal(repo_id_parse(REPO_MODEL, "new/name", &id), 0);
	assert_true(known_get_ref(f->known, known_repo(f->known, &id), "dev", &known));
	assert_string_equal(known.commit, A);
}

/* What was known has commit A, and now there is one with that of another name. */
static void find_new(struct fixture *f, const char *old_is)
{
	struct repo_id id;

	set(f, 0, API, 200, NULL, REVISION(A));
	set(f, 0, TREE(A), 200, NULL, FILES("f"));
	assert_int_equal(find_repo(f), 0);
	set(f, 0, API, 200, NULL, old_is);
	set(f, 0, NEW_API, 200, NULL, NEW_REVISION(A));
	set(f, 0, NEW_API "/tree/" A "?recursive=true", 200, NULL, FILES("f"));
	assert_int_equal(repo_id_parse(REPO_MODEL, "new/name", &id), 0);
	assert_int_equal(discover_repo(&f->discover, &f->job, &id), 0);
	assert_non_null(known_repo(f->known, &id));
}

static void test_what_has_the_commit_of_another_may_be_that_one(void **state)
{
	struct fixture *f = *state;

	f->discover.renames = true;
	find_new(f, NEW_REVISION(A));
	check_called(f, "new/name");
}

static void test_a_copy_is_another_one(void **state)
{
	struct fixture *f = *state;

	f->discover.renames = true;
	find_new(f, REVISION(A));
	check_called(f, "org/name");
}

static void test_who_keeps_to_names_has_both(void **state)
{
	struct fixture *f = *state;

	find_new(f, NEW_REVISION(A));
	check_called(f, "org/name");
}

static void test_a_name_in_other_letters_is_known_while_nobody_can_be_asked(void **state)
{
	struct fixture *f = *state;
	struct repo_id other;
	struct repo *real = repo(f);

	assert_int_equal(repo_id_parse(REPO_MODEL, "Org/NAME", &other), 0);
	f->discover.give_up_ms = 300;
	for (unsigned i = 0; i < HUBS; i++)
		set(f, i, "/api/models/Org/NAME", 404, NO_REPO, NULL);
	/* The hubs' own word counts. */
	assert_int_equal(discover_repo(&f->discover, &f->job, &other), ERR_NOREPO);
	assert_null(known_repo(f->known, &other));
	set(f, 1, "/api/models/Org/NAME", 503, NULL, NULL);
	assert_int_equal(discover_repo(&f->discover, &f->job, &other), 0);
	assert_ptr_equal(repo_canonical(known_repo(f->known, &other)), real);
	assert_int_equal(repo_id_parse(REPO_MODEL, "Org/NAMES", &other), 0);
	assert_int_equal(discover_repo_like(&f->discover, &other), ERR_OFFLINE);
	assert_int_equal(repo_id_parse(REPO_DATASET, "Org/Name", &other), 0);
	assert_int_equal(discover_repo_like(&f->discover, &other), ERR_OFFLINE);
}

static void test_a_repository_without_files_is_there(void **state)
{
	static const struct {
		int status;
		const char *headers, *body;
	} trees[] = {
		{ 200, NULL, FILES("../escape") },
		{ 200, NULL, "<html>" },
		{ 403, GATED, NULL },
		{ 404, NO_REV, NULL },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(trees); i++) {
		set(f, 0, API, 200, NULL, REVISION(A));
		set(f, 0, TREE(A), trees[i].status, trees[i].headers, trees[i].body);
		set(f, 1, TREE(A), 404, NO_REPO, NULL);
		assert_int_equal(find_repo(f), 0);
		assert_non_null(known_repo(f->known, &f->id));
		check_ref(f, "main", NULL);
		check_files(f, A, NULL);
	}
}

/* ---- gone ---- */

static void test_what_is_gone_goes_stays_or_stands(void **state)
{
	static const struct {
		enum discover_gone gone;
		const char *said;
		bool stands;
	} cases[] = {
		{ DISCOVER_GONE_REFS, NO_REV, false }, { DISCOVER_GONE_REFS, NO_REPO, true },
		{ DISCOVER_GONE_GOES, NO_REV, false }, { DISCOVER_GONE_GOES, NO_REPO, false },
		{ DISCOVER_GONE_GOES, GATED, false },  { DISCOVER_GONE_GOES, NULL, true },
		{ DISCOVER_GONE_STAYS, NO_REV, true }, { DISCOVER_GONE_STAYS, NO_REPO, true },
		{ DISCOVER_GONE_STAYS, GATED, true },
	};
	struct fixture *f = *state;

	f->discover.hub_count = 1;
	f->discover.give_up_ms = 300;
	set(f, 0, TREE(A), 200, NULL, FILES("f"));
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		bool repo_gone = cases[i].said && strcmp(cases[i].said, NO_REV) != 0;
		int64_t said_ms;

		set(f, 0, DEV, 200, NULL, REVISION(A));
		assert_int_equal(find_dev(f), 0);
		assert_int_equal(known_gone(repo(f), &said_ms), 0);
		f->discover.gone = cases[i].gone;
		set(f, 0, DEV, 404, cases[i].said, NULL);
		assert_int_equal(find_dev(f) == 0, cases[i].stands);
		check_ref(f, "dev", cases[i].stands ? A : NULL);
		assert_int_equal(known_gone(repo(f), &said_ms) != 0, repo_gone);
	}
}

/* ---- commits ---- */

static void test_hostile_lists_are_refused(void **state)
{
	struct fixture *f = *state;

	set(f, 0, TREE(A), 200, NULL, FILES("../escape"));
	set(f, 1, TREE(A), 404, NO_REPO, NULL);
	assert_int_equal(discover_commit(&f->discover, &f->job, repo(f), A), ERR_HOSTILE);
	check_files(f, A, NULL);
	/* Another hub's list is not. */
	set(f, 1, TREE(A), 200, NULL, FILES("f"));
	assert_int_equal(discover_commit(&f->discover, &f->job, repo(f), A), 0);
	check_files(f, A, "f");
}

static void test_a_listed_commit_is_not_asked_for(void **state)
{
	struct fixture *f = *state;

	set(f, 0, TREE(A), 200, NULL, FILES("f"));
	assert_int_equal(discover_commit(&f->discover, &f->job, repo(f), A), 0);
	assert_int_equal(discover_commit(&f->discover, &f->job, repo(f), A), 0);
	assert_int_equal(asked(f, 0, TREE(A)), 1);
	set(f, 0, TREE(B), 404, NO_REV, NULL);
	set(f, 1, TREE(B), 404, NO_REV, NULL);
	assert_int_equal(discover_commit(&f->discover, &f->job, repo(f), B), ERR_NOREV);
}

static void check_date(struct fixture *f, const char *commit, int64_t date_s)
{
	CLEANUP(snapshot_unrefp) struct snapshot *s = NULL;

	assert_int_equal(discover_commit(&f->discover, &f->job, repo(f), commit), 0);
	assert_int_equal(known_snapshot(f->known, repo(f), commit, &s), 0);
	assert_int_equal(s->date_s, date_s);
}

static void test_dates(void **state)
{
	static const char c[] = "3333333333333333333333333333333333333333";
	struct fixture *f = *state;

	set(f, 0, TREE(A), 200, NULL, FILES("f"));
	set(f, 0, COMMITS(A), 200, NULL, DATES);
	set(f, 0, API "/revision/" A, 200, NULL, DATED(A));
	check_date(f, A, DATES_S);
	/* A hub without a list of commits tells by the revision, or not at all. */
	set(f, 0, TREE(B), 200, NULL, FILES("f"));
	set(f, 0, COMMITS(B), 404, NULL, NULL);
	set(f, 0, API "/revision/" B, 200, NULL, DATED(B));
	check_date(f, B, DATED_S);
	set(f, 0, API "/tree/3333333333333333333333333333333333333333?recursive=true", 200, NULL,
	    FILES("f"));
	check_date(f, c, 0);
}

/* ---- refs ---- */

/* Makes A the known commit of dev. */
static void know_dev(struct fixture *f)
{
	set(f, 0, DEV, 200, NULL, REVISION(A));
	set(f, 0, TREE(A), 200, NULL, FILES("f"));
	assert_int_equal(find_dev(f), 0);
	check_ref(f, "dev", A);
}

static void test_a_ref_moves(void **state)
{
	struct fixture *f = *state;

	know_dev(f);
	set(f, 0, DEV, 200, NULL, REVISION(B));
	set(f, 0, TREE(B), 200, NULL, FILES("g"));
	assert_int_equal(find_dev(f), 0);
	check_ref(f, "dev", B);
	check_files(f, B, "g");
	check_files(f, A, "f");
}

static void test_an_old_answer_stands(void **state)
{
	static const struct {
		int status;
		const char *headers;
	} failures[] = { { 503, NULL }, { 403, GATED }, { 400, NULL }, { 0, NULL } };
	struct fixture *f = *state;
	struct known_ref known;

	know_dev(f);
	f->discover.give_up_ms = 300;
	for (size_t i = 0; i < ARRAY_LEN(failures); i++) {
		int64_t start = clock_ms();

		set(f, 0, DEV, failures[i].status, failures[i].headers, NULL);
		/* One hub's "no" does not make it gone. */
		set(f, 1, DEV, 404, NO_REV, NULL);
		assert_int_equal(find_dev(f), 0);
		check_ref(f, "dev", A);
		assert_true(known_get_ref(f->known, repo(f), "dev", &known));
		assert_true(known.failed_ms >= start);
	}
}

static void test_it_stands_when_the_new_commit_cannot_be_listed(void **state)
{
	struct fixture *f = *state;

	know_dev(f);
	set(f, 0, DEV, 200, NULL, REVISION(B));
	set(f, 0, TREE(B), 200, NULL, FILES("/etc/passwd"));
	set(f, 1, TREE(B), 404, NO_REPO, NULL);
	assert_int_equal(find_dev(f), 0);
	check_ref(f, "dev", A);
	check_files(f, B, NULL);
}

/* A hub that lists branches before their commits: the branch is not gone. */
static void test_it_stands_when_the_new_commit_is_unknown(void **state)
{
	struct fixture *f = *state;

	know_dev(f);
	set(f, 0, DEV, 200, NULL, REVISION(B));
	set(f, 0, TREE(B), 404, NO_REV, NULL);
	set(f, 1, TREE(B), 404, NO_REPO, NULL);
	assert_int_equal(find_dev(f), 0);
	check_ref(f, "dev", A);
}

static void test_a_ref_that_is_gone_is_dropped(void **state)
{
	struct fixture *f = *state;

	know_dev(f);
	set(f, 0, DEV, 404, NO_REV, NULL);
	set(f, 1, DEV, 404, NO_REPO, NULL);
	assert_int_equal(find_dev(f), ERR_NOREV);
	check_ref(f, "dev", NULL);
	/* Also where the hub that has the repository is the second. */
	know_dev(f);
	set(f, 0, DEV, 404, NO_REPO, NULL);
	set(f, 1, DEV, 404, NO_REV, NULL);
	assert_int_equal(find_dev(f), ERR_NOREV);
	check_ref(f, "dev", NULL);
	check_files(f, A, "f"); /* commits stay */
}

/* A repository that is private or gone now is no word about its refs. */
static void test_it_stands_when_the_repository_is_gone(void **state)
{
	struct fixture *f = *state;

	know_dev(f);
	set(f, 0, DEV, 404, NO_REPO, NULL);
	set(f, 1, DEV, 404, NO_REPO, NULL);
	assert_int_equal(find_dev(f), 0);
	check_ref(f, "dev", A);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define TEST_PATIENT(f) cmocka_unit_test_setup_teardown(f, setup_patient, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_repository_comes_with_main),
		TEST(test_the_next_hub_is_asked),
		TEST_PATIENT(test_who_hangs_is_waited_for_only_once_while_another_has_the_answer),
		TEST_PATIENT(test_who_hangs_is_waited_for_when_no_other_has_the_answer),
		TEST(test_which_verdict_counts),
		TEST(test_no_hubs),
		TEST(test_what_passes_is_tried_again),
		TEST(test_it_gives_up),
		TEST(test_stopping_ends_the_pauses),
		TEST(test_what_may_not_be_seen_is_asked_for_as_what_is_not_there),
		TEST(test_what_is_gated_is_not_there_only_for_those_from_whom_it_is_hidden),
		TEST(test_what_the_first_hub_has_for_everybody_is_there),
		TEST(test_a_renamed_repository_has_an_alias),
		TEST(test_a_new_name_is_heard_when_a_ref_is_asked_for),
		TEST(test_what_has_the_commit_of_another_may_be_that_one),
		TEST(test_a_copy_is_another_one),
		TEST(test_who_keeps_to_names_has_both),
		TEST(test_a_name_in_other_letters_is_known_while_nobody_can_be_asked),
		TEST(test_what_is_gone_goes_stays_or_stands),
		TEST(test_a_repository_without_files_is_there),
		TEST(test_hostile_lists_are_refused),
		TEST(test_a_listed_commit_is_not_asked_for),
		TEST(test_dates),
		TEST(test_a_ref_moves),
		TEST(test_an_old_answer_stands),
		TEST(test_it_stands_when_the_new_commit_cannot_be_listed),
		TEST(test_it_stands_when_the_new_commit_is_unknown),
		TEST(test_a_ref_that_is_gone_is_dropped),
		TEST(test_it_stands_when_the_repository_is_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
