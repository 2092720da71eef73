/* SPDX-License-Identifier: Apache-2.0 */
/* What members have this node do, by requests that serve.c has let in. */
#include "daemon/peer/serve_priv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/file.h"
#include "tests/served.h"
#include "tests/workdir.h"

#define KEY "the first key of 16 bytes or more\n"
#define JOB 42

struct fixture {
	struct workdir dir;
	struct served served;
	struct peer_counts counts;
	struct serve serve;
	struct serve_work work;
	/* What came of the last request. */
	atomic_int pulls, pull_says;
	char repo[REPO_KEY_MAX + 1], revision[64];
	bool share;
};

/* ---- the node ---- */

static int pull(void *arg, const struct repo_id *id, const char *revision, bool share,
		uint64_t *ret_id)
{
	struct fixture *f = arg;

	repo_id_key(id, f->repo);
	snprintf(f->revision, sizeof(f->revision), "%s", revision);
	f->share = share;
	f->pulls++;
	*ret_id = JOB;
	return f->pull_says;
}

static int job(void *arg UNUSED, uint64_t id, struct job_progress *ret)
{
	*ret = (struct job_progress){ .id = id, .kind = JOB_PULL, .files_done = 3 };
	return id == JOB ? 0 : -ENOENT;
}

static int held(void *arg UNUSED, const char *etag UNUSED, uint64_t size UNUSED,
		struct buf *ret UNUSED)
{
	fail_msg("nothing is asked for");
	return 0;
}

static void handle(void *arg, struct httpd_request *q)
{
	struct fixture *f = arg;
	const struct guest g = { .serve = &f->serve, .http = q, .nonce = "1" };
	struct buf none = { 0 };

	if (serve_is_work(q))
		serve_some_work(&g);
	else
		httpd_reply(q, 299, "text/plain", &none, NULL);
}

static void open_key(struct fixture *f)
{
	CLEANUP(buf_free) struct buf path = { 0 }, why = { 0 };

	workdir_init(&f->dir);
	buf_printf(&path, "%s/key", f->dir.path);
	assert_int_equal(file_replace(AT_FDCWD, buf_str(&path), KEY, strlen(KEY), 0600), 0);
	assert_int_equal(cluster_key_open(buf_str(&path), 0, &f->serve.conf.key, &why), 0);
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	open_key(f);
	f->serve.conf.counts = &f->counts;
	f->serve.conf.zone = "";
	f->serve.conf.process = "77";
	f->work = (struct serve_work){ pull, job, held, f };
	f->serve.work = &f->work;
	served_start(&f->served, handle, f);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	served_stop(&f->served);
	cluster_key_free(f->serve.conf.key);
	workdir_fini(&f->dir);
	free(f);
	return 0;
}

static int ask(struct fixture *f, const char *method, const char *target)
{
	return served_ask(&f->served, method, target);
}

static bool says(const struct fixture *f, const char *text)
{
	return served_says(&f->served, text);
}

/* ---- stories ---- */

static void only_jobs_are_work(void **state)
{
	assert_int_equal(ask(*state, "GET", WIRE_ROOT "blobs/1"), 299);
	assert_int_equal(ask(*state, "GET", WIRE_ROOT "job"), 299);
	assert_int_equal(ask(*state, "GET", WIRE_PULL "s"), 299);
	assert_int_equal(ask(*state, "GET", WIRE_JOBS "42"), WIRE_TOLD);
}

static void a_pull_begins_and_is_told_of(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(ask(f, "POST", WIRE_PULL "?repo=models/org/name&revision=main"),
			 WIRE_TOLD);
	assert_string_equal(f->repo, "models/org/name");
	assert_string_equal(f->revision, "main");
	assert_false(f->share);
	assert_true(says(f, "Authentication-Info: MatrixFS key="));
	assert_true(says(f, "\"id\":42") || says(f, "\"id\": 42"));
	assert_int_equal(ask(f, "POST", WIRE_PULL "?repo=models/org/name&revision=main&share=1"),
			 WIRE_TOLD);
	assert_true(f->share);
	assert_int_equal(f->pulls, 2);
	assert_int_equal(f->counts.refused, 0);
}

static void what_makes_no_sense_is_not_pulled(void **state)
{
	static const char *const targets[] = {
		WIRE_PULL,
		WIRE_PULL "?repo=models/org/name",
		WIRE_PULL "?revision=main",
		WIRE_PULL "?repo=org&revision=main",
		WIRE_PULL "?repo=models/org/name&revision=",
		WIRE_PULL "?repo=models/org/name&revision=a..b",
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
		assert_int_equal(ask(f, "POST", targets[i]), WIRE_BAD);
		assert_true(says(f, "no sense: its repo or its revision is none."));
		assert_true(says(f, "Authentication-Info: MatrixFS key="));
	}
	assert_int_equal(f->pulls, 0);
	assert_int_equal(f->counts.refused, ARRAY_LEN(targets));
}

static void what_names_no_blob_is_not_looked_for(void **state)
{
#define BLOB "0123456789012345678901234567890123456789"
	static const char *const targets[] = {
		WIRE_HELD,
		WIRE_HELD "main?size=1",
		WIRE_HELD BLOB,
		WIRE_HELD BLOB "?size=",
		WIRE_HELD BLOB "?size=1x",
		WIRE_HELD BLOB "?size=-1",
		WIRE_HELD BLOB "?size=1099511627777",
		WIRE_HELD BLOB "?size=99999999999999999999999",
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
		assert_int_equal(ask(f, "GET", targets[i]), WIRE_BAD);
		assert_true(says(f, "no sense: it names no blob, or no size of one."));
	}
}

static void each_is_asked_for_by_one_method(void **state)
{
	static const char *const others[] = { "POST", "PUT", "DELETE" };
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		assert_int_equal(ask(f, others[i], WIRE_JOBS "42"), WIRE_METHOD);
		assert_true(says(f, "Allow: GET\r\n"));
		assert_true(says(f, WIRE_CAUSE ": method"));
		assert_true(says(f, "Authentication-Info: MatrixFS key="));
	}
	assert_int_equal(ask(f, "GET", WIRE_PULL "?repo=models/org/name&revision=main"),
			 WIRE_METHOD);
	assert_true(says(f, "Allow: POST\r\n"));
	assert_int_equal(f->pulls, 0);
	assert_int_equal(f->counts.refused, ARRAY_LEN(others) + 1);
	assert_int_equal(ask(f, "GET", WIRE_JOBS "42"), WIRE_TOLD);
}

static void why_a_pull_does_not_begin_is_said(void **state)
{
	struct fixture *f = *state;

	f->pull_says = ERR_STOPPING;
	assert_int_equal(ask(f, "POST", WIRE_PULL "?repo=models/org/name&revision=main"),
			 WIRE_BUSY);
	assert_true(says(f, err_word(err_index(ERR_STOPPING))));
	f->pull_says = ERR_NOREPO;
	assert_int_equal(ask(f, "POST", WIRE_PULL "?repo=models/org/name&revision=main"),
			 WIRE_NOT_HERE);
	f->pull_says = ERR_UPSTREAM;
	assert_int_equal(ask(f, "POST", WIRE_PULL "?repo=models/org/name&revision=main"),
			 WIRE_FAILED);
}

static void only_jobs_that_there_are_are_told_of(void **state)
{
	static const char *const none[] = { "",    "0",   "41",  "x",
					    "42x", "-42", "+42", "0000000000000000042" };
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(none); i++) {
		char target[100];

		snprintf(target, sizeof(target), WIRE_JOBS "%s", none[i]);
		assert_int_equal(ask(f, "GET", target), WIRE_NOT_HERE);
		assert_true(says(f, WIRE_CAUSE ": job"));
	}
	assert_int_equal(ask(f, "GET", WIRE_JOBS "42"), WIRE_TOLD);
}

static void who_begins_still_says_so(void **state)
{
	struct fixture *f = *state;

	f->serve.work = NULL;
	assert_int_equal(ask(f, "GET", WIRE_JOBS "42"), WIRE_BUSY);
	assert_true(says(f, WIRE_CAUSE ": starting"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(only_jobs_are_work),
		TEST(a_pull_begins_and_is_told_of),
		TEST(what_makes_no_sense_is_not_pulled),
		TEST(what_names_no_blob_is_not_looked_for),
		TEST(each_is_asked_for_by_one_method),
		TEST(why_a_pull_does_not_begin_is_said),
		TEST(only_jobs_that_there_are_are_told_of),
		TEST(who_begins_still_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
