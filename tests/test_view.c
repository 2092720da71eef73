/* SPDX-License-Identifier: Apache-2.0 */
/* Every kind of place is looked up, with the twin that is not there: offline, what only a hub could
 * know is an error, never "no such file". */
#include "fs/view.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/err.h"
#include "fs/view_written.h"
#include "tests/seeded_node.h"

#define MODEL "hub/models--org--model"
#define REFS MODEL "/refs/"
#define MAIN MODEL "/snapshots/" COMMIT_MAIN
#define ABSENT MODEL "/.no_exist/" COMMIT_MAIN
#define SHARD "model-00001-of-00002.safetensors"

#define SOON 1000
#define HELD 3000
#define REPO 60000
#define FOREVER VIEW_FOREVER
#define NEVER VIEW_NEVER

struct row {
	const char *path;
	int result; /* 0: kind is what it is */
	int64_t ttl_ms;
	enum place_kind kind;
};

static void check_rows(struct seeded_node *s, const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct place p = { 0 };
		int64_t ttl_ms = -1;
		int r = seeded_node_walk(s, rows[i].path, &p, &ttl_ms);
		/* Only "there is none" has a time-to-live. */
		bool timed = r == 0 || err_errno(r) == ENOENT;

		if (r != rows[i].result || (timed && ttl_ms != rows[i].ttl_ms))
			fail_msg("%s: %d for %lld ms", rows[i].path, r, (long long)ttl_ms);
		if (r == 0)
			assert_int_equal(p.kind, rows[i].kind);
		place_fini(&p);
	}
}

#define CHECK(s, rows) check_rows(s, rows, ARRAY_LEN(rows))

static void test_top(void **state)
{
	static const struct row rows[] = {
		{ "", 0, FOREVER, PLACE_ROOT },
		{ "hub", 0, FOREVER, PLACE_HUB },
		{ "files", 0, FOREVER, PLACE_FILES },
		{ "hubs", -ENOENT, NEVER, 0 },
		{ "hub/.locks", 0, FOREVER, PLACE_LOCKS },
		{ "hub/.lock", -ENOENT, FOREVER, 0 },
	};

	CHECK(*state, rows);
}

static void test_repositories(void **state)
{
	static const struct row rows[] = {
		{ MODEL, 0, REPO, PLACE_REPO },
		{ "hub/models--gpt2", 0, REPO, PLACE_REPO },
		{ "hub/datasets--org--data", 0, REPO, PLACE_REPO },
		{ "hub/spaces--org--space", 0, REPO, PLACE_REPO },
		{ "hub/models--old--model", 0, REPO, PLACE_ALIAS },
		{ "hub/models--Org--Model", 0, REPO, PLACE_ALIAS },
		/* The same name of another type is another repository. */
		{ "hub/datasets--org--model", ERR_OFFLINE, 0, 0 },
		{ "hub/models--org--absent", ERR_OFFLINE, 0, 0 },
		{ "hub/models--absent", ERR_OFFLINE, 0, 0 },
		{ "hub/models", -ENOENT, FOREVER, 0 },
		{ "hub/models--", -ENOENT, FOREVER, 0 },
		{ "hub/model--org--model", -ENOENT, FOREVER, 0 },
		{ "hub/models--a--b--c", -ENOENT, FOREVER, 0 },
		{ "hub/models--..--x", -ENOENT, FOREVER, 0 },
		{ "hub/version.txt", -ENOENT, FOREVER, 0 },
		{ MODEL "/blobs", 0, FOREVER, PLACE_BLOBS },
		{ MODEL "/refs", 0, FOREVER, PLACE_REFS },
		{ MODEL "/snapshots", 0, FOREVER, PLACE_SNAPSHOTS },
		{ MODEL "/.no_exist", 0, FOREVER, PLACE_NO_EXIST },
		{ MODEL "/trees", 0, FOREVER, PLACE_TREES },
		{ MODEL "/blob", -ENOENT, FOREVER, 0 },
		{ "hub/models--old--model/blobs", -ENOTDIR, 0, 0 },
	};

	CHECK(*state, rows);
}

static void test_snapshots(void **state)
{
	static const struct row rows[] = {
		{ MAIN, 0, SOON, PLACE_LINK_DIR },
		{ MODEL "/snapshots/" COMMIT_OTHER, 0, SOON, PLACE_LINK_DIR },
		{ MODEL "/snapshots/" COMMIT_NONE, ERR_OFFLINE, 0, 0 },
		{ MODEL "/snapshots/" COMMIT_GPT2, ERR_OFFLINE, 0, 0 },
		{ MODEL "/snapshots/main", -ENOENT, HELD, 0 },
		{ MODEL "/snapshots/" HEX40("A"), -ENOENT, HELD, 0 },
		{ MAIN "/config.json", 0, FOREVER, PLACE_LINK },
		{ MAIN "/" SHARD, 0, FOREVER, PLACE_LINK },
		{ MAIN "/onnx", 0, FOREVER, PLACE_LINK_DIR },
		{ MAIN "/onnx/quant/int8", 0, FOREVER, PLACE_LINK_DIR },
		{ MAIN "/onnx/quant/int8/model.onnx", 0, FOREVER, PLACE_LINK },
		{ MAIN "/absent.json", -ENOENT, FOREVER, 0 },
		{ MAIN "/onnx/absent", -ENOENT, FOREVER, 0 },
		{ MAIN "/config.json/x", -ENOTDIR, 0, 0 },
		/* The other commit has fewer. */
		{ MODEL "/snapshots/" COMMIT_OTHER "/config.json", 0, FOREVER, PLACE_LINK },
		{ MODEL "/snapshots/" COMMIT_OTHER "/README.md", -ENOENT, FOREVER, 0 },
	};

	CHECK(*state, rows);
}

static void test_blobs(void **state)
{
	static const struct row rows[] = {
		{ MODEL "/blobs/" ETAG_CONFIG, 0, FOREVER, PLACE_BLOB },
		{ MODEL "/blobs/" ETAG_SHARD_1, 0, FOREVER, PLACE_BLOB },
		{ MODEL "/blobs/" HEX40("8"), 0, FOREVER, PLACE_BLOB }, /* COMMIT_OTHER's */
		{ "hub/datasets--org--data/blobs/" ETAG_README, 0, FOREVER, PLACE_BLOB },
		/* A commit still to be listed may have it. */
		{ MODEL "/blobs/" ETAG_NONE, -ENOENT, NEVER, 0 },
		{ "hub/datasets--org--data/blobs/" ETAG_CONFIG, -ENOENT, NEVER, 0 },
		{ MODEL "/blobs/" HEX64("d") ".incomplete", -ENOENT, FOREVER, 0 },
		{ MODEL "/blobs/" HEX40("d"), -ENOENT, NEVER, 0 }, /* a piece of an etag */
		{ MODEL "/blobs/" HEX40("D"), -ENOENT, FOREVER, 0 },
		{ MODEL "/blobs/x", -ENOENT, FOREVER, 0 },
		{ MODEL "/blobs/" ETAG_CONFIG "/x", -ENOTDIR, 0, 0 },
	};

	CHECK(*state, rows);
}

static void test_refs(void **state)
{
	static const struct row rows[] = {
		{ REFS "main", 0, NEVER, PLACE_REF },
		{ REFS "v1.0", 0, NEVER, PLACE_REF },
		{ REFS "feature", 0, NEVER, PLACE_REFS },
		{ REFS "feature/x", 0, NEVER, PLACE_REF },
		{ REFS "feature/y", 0, NEVER, PLACE_REFS },
		{ REFS "feature/y/z", 0, NEVER, PLACE_REF },
		{ REFS "refs", 0, NEVER, PLACE_REFS },
		{ REFS "refs/pr", 0, NEVER, PLACE_REFS },
		{ REFS "refs/pr/1", 0, NEVER, PLACE_REF },
		{ REFS "refs/convert", 0, NEVER, PLACE_REFS },
		{ "hub/datasets--org--data/refs/refs/convert/parquet", 0, NEVER, PLACE_REF },
		{ REFS "featur", ERR_OFFLINE, 0, 0 },
		{ REFS "feature/absent", ERR_OFFLINE, 0, 0 },
		{ REFS "refs/pr/2", ERR_OFFLINE, 0, 0 },
		{ REFS "dev", ERR_OFFLINE, 0, 0 },
		{ REFS "main/x", -ENOTDIR, 0, 0 },
		{ "hub/models--gpt2/refs/v1.0", ERR_OFFLINE, 0, 0 },
		/* No names of refs, whatever a hub may know. */
		{ REFS "a..b", -ENOENT, NEVER, 0 },
		{ REFS "a b", -ENOENT, NEVER, 0 },
		{ REFS ".x", -ENOENT, NEVER, 0 },
		{ REFS "main.lock", -ENOENT, NEVER, 0 },
		{ REFS "main.tmp", -ENOENT, NEVER, 0 },
		{ REFS "feature/main.incomplete", -ENOENT, NEVER, 0 },
		/* A commit is no ref, but one has to know it to say so. */
		{ REFS COMMIT_MAIN, -ENOENT, NEVER, 0 },
		{ REFS COMMIT_NONE, ERR_OFFLINE, 0, 0 },
	};

	CHECK(*state, rows);
}

static void test_no_exist(void **state)
{
	static const struct row rows[] = {
		{ ABSENT, 0, SOON, PLACE_ABSENT_DIR },
		{ MODEL "/.no_exist/" COMMIT_NONE, ERR_OFFLINE, 0, 0 },
		{ MODEL "/.no_exist/main", -ENOENT, NEVER, 0 },
		{ ABSENT "/absent.json", 0, FOREVER, PLACE_ABSENT_FILE },
		{ ABSENT "/onnx/absent.json", 0, FOREVER, PLACE_ABSENT_FILE },
		{ ABSENT "/new/absent.json", 0, FOREVER, PLACE_ABSENT_FILE },
		{ ABSENT "/a/b/c/absent.json", 0, FOREVER, PLACE_ABSENT_FILE },
		/* Directories of the commit, and what may be one. */
		{ ABSENT "/onnx", 0, FOREVER, PLACE_ABSENT_DIR },
		{ ABSENT "/onnx/quant/int8", 0, FOREVER, PLACE_ABSENT_DIR },
		{ ABSENT "/new", 0, FOREVER, PLACE_ABSENT_DIR },
		/* What the commit has is not absent. */
		{ ABSENT "/config.json", -ENOENT, NEVER, 0 },
		{ ABSENT "/onnx/quant/int8/model.onnx", -ENOENT, NEVER, 0 },
		{ ABSENT "/onnx/config.json", 0, FOREVER, PLACE_ABSENT_FILE },
		{ MODEL "/.no_exist/" COMMIT_OTHER "/README.md", 0, FOREVER, PLACE_ABSENT_FILE },
		{ MODEL "/.no_exist/" COMMIT_OTHER "/config.json", -ENOENT, NEVER, 0 },
		{ ABSENT "/absent.json/x", -ENOTDIR, 0, 0 },
	};

	CHECK(*state, rows);
}

static void test_trees(void **state)
{
	static const struct row rows[] = {
		{ MODEL "/trees/" COMMIT_MAIN ".json", 0, SOON, PLACE_TREE_JSON },
		{ MODEL "/trees/" COMMIT_NONE ".json", ERR_OFFLINE, 0, 0 },
		{ MODEL "/trees/" COMMIT_MAIN, -ENOENT, NEVER, 0 },
		{ MODEL "/trees/" COMMIT_MAIN ".text", -ENOENT, NEVER, 0 },
		{ MODEL "/trees/" COMMIT_MAIN ".json.tmp", -ENOENT, NEVER, 0 },
		{ MODEL "/trees/" HEX40("z") ".json", -ENOENT, NEVER, 0 },
		{ MODEL "/trees/" COMMIT_MAIN ".json/x", -ENOTDIR, 0, 0 },
	};

	CHECK(*state, rows);
}

static void test_files(void **state)
{
	static const struct row rows[] = {
		{ "files/datasets", 0, FOREVER, PLACE_TYPE },
		{ "files/spaces", 0, FOREVER, PLACE_TYPE },
		{ "files/org", 0, FOREVER, PLACE_ORG },
		{ "files/datasets/org", 0, FOREVER, PLACE_ORG },
		{ "files/datasets/spaces", 0, FOREVER, PLACE_ORG },
		{ "files/.org", -ENOENT, FOREVER, 0 },
		{ "files/a--b", -ENOENT, FOREVER, 0 },
		{ "files/datasets/a b", -ENOENT, FOREVER, 0 },
		{ "files/org/model", 0, SOON, PLACE_PLAIN_DIR },
		{ "files/org/model@main", 0, SOON, PLACE_PLAIN_DIR },
		{ "files/org/model@v1.0", 0, SOON, PLACE_PLAIN_DIR },
		{ "files/org/model@" COMMIT_OTHER, 0, FOREVER, PLACE_PLAIN_DIR },
		{ "files/old/model", 0, SOON, PLACE_PLAIN_DIR },
		{ "files/datasets/org/data", 0, SOON, PLACE_PLAIN_DIR },
		{ "files/spaces/org/space", 0, SOON, PLACE_PLAIN_DIR },
		{ "files/org/data", ERR_OFFLINE, 0, 0 },
		{ "files/org/bare", ERR_OFFLINE, 0, 0 },
		{ "files/org/model@absent", ERR_OFFLINE, 0, 0 },
		{ "files/org/model@" COMMIT_NONE, ERR_OFFLINE, 0, 0 },
		{ "files/org/.model", -ENOENT, FOREVER, 0 },
		{ "files/org/model@", -ENOENT, FOREVER, 0 },
		{ "files/org/model@main.lock", -ENOENT, FOREVER, 0 },
		{ "files/org/model/config.json", 0, FOREVER, PLACE_BLOB },
		{ "files/org/model/onnx/quant", 0, FOREVER, PLACE_PLAIN_DIR },
		{ "files/org/model/onnx/quant/int8/model.onnx", 0, FOREVER, PLACE_BLOB },
		{ "files/org/model/absent", -ENOENT, FOREVER, 0 },
		{ "files/org/model@" COMMIT_OTHER "/README.md", -ENOENT, FOREVER, 0 },
		{ "files/org/model/config.json/x", -ENOTDIR, 0, 0 },
	};

	CHECK(*state, rows);
}

static void test_locks_are_there_already(void **state)
{
	static const struct row rows[] = {
		{ "hub/.locks/models--org--model", 0, FOREVER, PLACE_LOCKS },
		{ "hub/.locks/models--never--seen", 0, FOREVER, PLACE_LOCKS },
		{ "hub/.locks/datasets--x", 0, FOREVER, PLACE_LOCKS },
		{ "hub/.locks/whatever", -ENOENT, NEVER, 0 },
		{ "hub/.locks/models--org--model/x.lock", -ENOENT, NEVER, 0 },
		{ "hub/.locks/models--org--model/models--org--model", -ENOENT, NEVER, 0 },
	};
	static const struct row written[] = {
		{ "hub/.locks/models--never--seen", 0, FOREVER, PLACE_LOCKS },
		{ "hub/.locks/models--never--seen/x.lock", 0, NEVER, PLACE_SCRATCH },
		{ "hub/.locks/models--org--model/x.lock", -ENOENT, NEVER, 0 },
	};

	struct seeded_node *s = *state;
	uint64_t bytes, nodes;

	CHECK(s, rows);
	scratch_used(s->scratch, &bytes, &nodes);
	assert_int_equal(nodes, 0); /* whoever looks, nothing is made for it */
	seeded_node_write(s, "hub/.locks/models--never--seen", "x.lock", S_IFREG | 0644);
	CHECK(s, written);
	scratch_used(s->scratch, &bytes, &nodes);
	assert_int_equal(nodes, 4);
}

static void test_what_clients_wrote(void **state)
{
	static const struct row before[] = {
		{ "token", -ENOENT, NEVER, 0 },
		{ "hub/CACHEDIR.TAG", -ENOENT, FOREVER, 0 },
		{ REFS "main.tmp", -ENOENT, NEVER, 0 },
		{ ABSENT "/config.json", -ENOENT, NEVER, 0 },
		{ MODEL "/trees/x.json.tmp", -ENOENT, NEVER, 0 },
		{ REFS "made", ERR_OFFLINE, 0, 0 },
	};
	static const struct row after[] = {
		{ "token", 0, NEVER, PLACE_SCRATCH },
		{ "hub/CACHEDIR.TAG", 0, NEVER, PLACE_SCRATCH },
		{ REFS "main.tmp", 0, NEVER, PLACE_SCRATCH },
		{ ABSENT "/config.json", 0, NEVER, PLACE_SCRATCH },
		{ MODEL "/trees/x.json.tmp", 0, NEVER, PLACE_SCRATCH },
		{ "modules/x.py", 0, NEVER, PLACE_SCRATCH },
		{ "modules/y.py", -ENOENT, NEVER, 0 },
		/* A directory that is to hold refs is one; unwritten ones are asked for. */
		{ REFS "made", 0, NEVER, PLACE_REFS },
		{ REFS "made/x.tmp", 0, NEVER, PLACE_SCRATCH },
		{ REFS "made/y", ERR_OFFLINE, 0, 0 },
		/* What the tree shows by itself stays. */
		{ "hub", 0, FOREVER, PLACE_HUB },
		{ REFS "main", 0, NEVER, PLACE_REF },
		{ ABSENT "/x.json", 0, FOREVER, PLACE_ABSENT_FILE },
		{ MODEL "/trees/" COMMIT_MAIN ".json", 0, SOON, PLACE_TREE_JSON },
	};
	struct seeded_node *s = *state;

	CHECK(s, before);
	seeded_node_write(s, "", "token", S_IFREG | 0600);
	seeded_node_write(s, "", "modules", S_IFDIR | 0700);
	seeded_node_write(s, "modules", "x.py", S_IFREG | 0600);
	seeded_node_write(s, "hub", "CACHEDIR.TAG", S_IFREG | 0600);
	seeded_node_write(s, REFS "feature", "x", S_IFREG | 0600);
	seeded_node_write(s, MODEL "/refs", "main", S_IFREG | 0600);
	seeded_node_write(s, MODEL "/refs", "main.tmp", S_IFREG | 0600);
	seeded_node_write(s, MODEL "/refs", "made", S_IFDIR | 0700);
	seeded_node_write(s, REFS "made", "x.tmp", S_IFREG | 0600);
	seeded_node_write(s, ABSENT, "config.json", S_IFREG | 0600);
	seeded_node_write(s, ABSENT, "x.json", S_IFREG | 0600);
	seeded_node_write(s, MODEL "/trees", "x.json.tmp", S_IFREG | 0600);
	seeded_node_write(s, MODEL "/trees", COMMIT_MAIN ".json", S_IFREG | 0600);
	CHECK(s, after);
}

static void test_where_clients_may_not_write(void **state)
{
	static const char *const paths[] = { MODEL,
					     MODEL "/blobs",
					     MODEL "/snapshots",
					     MAIN,
					     "files",
					     "files/org",
					     "files/datasets",
					     "files/org/model",
					     MODEL "/refs/main" };
	struct seeded_node *s = *state;
	struct scratch_node *n = NULL;
	struct place p;

	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		p = seeded_node_place(s, paths[i]);
		assert_int_equal(view_written_dir(&s->view, &p, true, &n), -EROFS);
		place_fini(&p);
	}
	p = seeded_node_place(s, MODEL "/refs");
	assert_int_equal(view_written_dir(&s->view, &p, false, &n), -ENOENT);
	assert_int_equal(view_written_dir(&s->view, &p, true, &n), 0);
	scratch_unref(s->scratch, n);
	assert_int_equal(view_written_dir(&s->view, &p, false, &n), 0);
	scratch_unref(s->scratch, n);
	place_fini(&p);
}

static void test_a_restart_shows_the_same(void **state)
{
	struct seeded_node *s = *state;

	seeded_node_restart(s);
	test_repositories(state);
	test_snapshots(state);
	test_refs(state);
	test_files(state);
}

/* ---- with a hub ---- */

#define API "/api/models/org/model"
#define COMMIT_NEW HEX40("e")
#define REVISION(commit) "{\"id\":\"org/model\",\"sha\":\"" commit "\"}"
#define FILES "[{\"type\":\"file\",\"path\":\"new.txt\",\"oid\":\"" ETAG_CONFIG "\",\"size\":1}]"

static void script(struct seeded_node *s, const char *target, int status, const char *headers,
		   const char *body)
{
	fake_origin_clear(s->origin, target);
	fake_origin_add(s->origin, target,
			(struct fake_answer){ .status = status, .headers = headers, .body = body });
}

static void test_names_that_never_ask(void **state)
{
	static const struct row rows[] = {
		{ "hub/version.txt", -ENOENT, FOREVER, 0 },
		{ "hub/CACHEDIR.TAG", -ENOENT, FOREVER, 0 },
		{ "hub/.locks/models--never--seen", 0, FOREVER, PLACE_LOCKS },
		{ "xet", -ENOENT, NEVER, 0 },
		{ REFS "dev.tmp", -ENOENT, NEVER, 0 },
		{ REFS "dev.lock", -ENOENT, NEVER, 0 },
		{ REFS "feature/dev.incomplete", -ENOENT, NEVER, 0 },
		{ REFS "a..b", -ENOENT, NEVER, 0 },
		{ MODEL "/blobs/" ETAG_NONE, -ENOENT, NEVER, 0 },
		{ MODEL "/blobs/" ETAG_NONE ".incomplete", -ENOENT, FOREVER, 0 },
		{ MODEL "/snapshots/main", -ENOENT, HELD, 0 },
		{ MODEL "/trees/" COMMIT_NONE ".json.tmp", -ENOENT, NEVER, 0 },
		{ "files/never-seen", 0, FOREVER, PLACE_ORG },
		{ "files/org/model@main.lock", -ENOENT, FOREVER, 0 },
		/* Known and young. */
		{ REFS "main", 0, NEVER, PLACE_REF },
		{ MAIN "/config.json", 0, FOREVER, PLACE_LINK },
		{ "files/org/model/config.json", 0, FOREVER, PLACE_BLOB },
	};
	static const struct row twin[] = { { REFS "dev", ERR_NOREV, NEVER, 0 } };
	struct seeded_node *s = *state;

	CHECK(s, rows);
	assert_int_equal(fake_origin_count(s->origin, NULL), 0);
	script(s, API "/revision/dev", 404, "X-Error-Code: RevisionNotFound\r\n", NULL);
	CHECK(s, twin);
	assert_int_equal(fake_origin_count(s->origin, API "/revision/dev"), 1);
}

static void test_the_hubs_word(void **state)
{
	static const struct row rows[] = {
		{ "hub/models--no--such", ERR_NOREPO, HELD, 0 },
		{ "files/no/such", ERR_NOREPO, HELD, 0 },
		{ "hub/models--gated--repo", ERR_GATED, 0, 0 },
		{ "files/gated/repo", ERR_GATED, 0, 0 },
		{ REFS "gone", ERR_NOREV, NEVER, 0 },
		{ "files/org/model@gone", ERR_NOREV, HELD, 0 },
		{ REFS "new", 0, NEVER, PLACE_REF },
		{ "files/org/model@new/new.txt", 0, FOREVER, PLACE_BLOB },
		{ MODEL "/snapshots/" COMMIT_NEW "/new.txt", 0, FOREVER, PLACE_LINK },
		{ MODEL "/snapshots/" COMMIT_NONE, ERR_NOREV, HELD, 0 },
		{ MODEL "/.no_exist/" COMMIT_NONE, ERR_NOREV, NEVER, 0 },
		{ MODEL "/trees/" COMMIT_NONE ".json", ERR_NOREV, NEVER, 0 },
	};
	static const char no_repo[] = "X-Error-Code: RepoNotFound\r\n";
	static const char no_rev[] = "X-Error-Code: RevisionNotFound\r\n";
	struct seeded_node *s = *state;

	script(s, "/api/models/no/such", 404, no_repo, NULL);
	script(s, "/api/models/gated/repo", 403, "X-Error-Code: GatedRepo\r\n", NULL);
	script(s, API "/revision/gone", 404, no_rev, NULL);
	script(s, API "/revision/new", 200, NULL, REVISION(COMMIT_NEW));
	script(s, API "/tree/" COMMIT_NEW "?recursive=true", 200, NULL, FILES);
	script(s, API "/tree/" COMMIT_NONE "?recursive=true", 404, no_rev, NULL);
	CHECK(s, rows);
}

/* What a client wrote is there although the hub was asked first and had no such thing. */
static void test_written_where_the_hub_has_none(void **state)
{
	static const struct row row[] = { { REFS "mine", 0, NEVER, PLACE_SCRATCH } };
	struct seeded_node *s = *state;

	script(s, API "/revision/mine", 404, "X-Error-Code: RevisionNotFound\r\n", NULL);
	seeded_node_write(s, MODEL "/refs", "mine", S_IFREG | 0600);
	CHECK(s, row);
}

/* From each directory one comes up to where one came down from. */
static void test_the_way_up_is_the_way_down(void **state)
{
	static const char *const paths[][2] = {
		{ "", "" },
		{ "hub", "" },
		{ "files", "" },
		{ "hub/.locks", "hub" },
		{ "hub/.locks/models--org--model", "hub/.locks" },
		{ MODEL, "hub" },
		{ MODEL "/blobs", MODEL },
		{ MODEL "/snapshots", MODEL },
		{ MODEL "/refs", MODEL },
		{ MODEL "/refs/feature", MODEL "/refs" },
		{ MODEL "/refs/refs/pr", MODEL "/refs/refs" },
		{ MODEL "/.no_exist", MODEL },
		{ MODEL "/.no_exist/" COMMIT_MAIN, MODEL "/.no_exist" },
		{ MODEL "/.no_exist/" COMMIT_MAIN "/sub", MODEL "/.no_exist/" COMMIT_MAIN },
		{ MODEL "/trees", MODEL },
		{ MODEL "/snapshots/" COMMIT_MAIN, MODEL "/snapshots" },
		{ MODEL "/snapshots/" COMMIT_MAIN "/onnx", MODEL "/snapshots/" COMMIT_MAIN },
		{ "files/datasets", "files" },
		{ "files/org", "files" },
		{ "files/datasets/org", "files/datasets" },
		{ "files/org/model", "files/org" },
		{ "files/datasets/org/data", "files/datasets/org" },
		{ "files/org/model/onnx", "files/org/model" },
		/* What clients wrote. */
		{ "modules", "" },
		{ "modules/a", "modules" },
		{ "hub/d", "hub" },
		{ "hub/.locks/d", "hub/.locks" },
		{ "hub/.locks/models--org--model/d", "hub/.locks/models--org--model" },
		{ MODEL "/trees/d", MODEL "/trees" },
		{ MODEL "/.no_exist/d", MODEL "/.no_exist" },
	};
	static const char *const written[][2] = {
		{ "", "modules" },
		{ "modules", "a" },
		{ "hub", "d" },
		{ "hub/.locks", "d" },
		{ "hub/.locks/models--org--model", "d" },
		{ MODEL "/trees", "d" },
		{ MODEL "/.no_exist", "d" },
	};
	struct seeded_node *s = *state;
	struct scratch_node *hub;
	struct place gone, none;

	for (size_t i = 0; i < ARRAY_LEN(written); i++)
		seeded_node_write(s, written[i][0], written[i][1], S_IFDIR | 0755);
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		struct place below = seeded_node_place(s, paths[i][0]), up;
		struct place above = seeded_node_place(s, paths[i][1]);

		assert_int_equal(view_parent(&s->view, &below, &up), 0);
		if (!place_same(&up, &above))
			fail_msg("above %s is not %s", paths[i][0], paths[i][1]);
		place_fini(&below);
		place_fini(&above);
		place_fini(&up);
	}
	gone = seeded_node_place(s, "hub/d");
	assert_int_equal(scratch_dir(s->scratch, "hub", false, &hub), 0);
	assert_int_equal(scratch_rmdir(s->scratch, hub, "d"), 0);
	scratch_unref(s->scratch, hub);
	assert_int_equal(view_parent(&s->view, &gone, &none), -ENOENT);
	place_fini(&gone);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, seeded_node_setup, seeded_node_teardown)
#define TEST_ONLINE(f) \
	cmocka_unit_test_setup_teardown(f, seeded_node_setup_online, seeded_node_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_top),
		TEST(test_repositories),
		TEST(test_snapshots),
		TEST(test_blobs),
		TEST(test_refs),
		TEST(test_no_exist),
		TEST(test_trees),
		TEST(test_files),
		TEST(test_locks_are_there_already),
		TEST(test_what_clients_wrote),
		TEST(test_where_clients_may_not_write),
		TEST(test_a_restart_shows_the_same),
		TEST(test_the_way_up_is_the_way_down),
		TEST_ONLINE(test_names_that_never_ask),
		TEST_ONLINE(test_the_hubs_word),
		TEST_ONLINE(test_written_where_the_hub_has_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
