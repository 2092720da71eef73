/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/xorb_rights.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "admin/registry/uploads.h"
#include "tests/kept_repo.h"

/* A xorb of two chunks: the first is all of the file "one", both are the file "onetwo". */
struct fixture {
	struct kept *k; /* first: its fixtures' state */
	struct xorb_map map;
	uint8_t name[XET_HASH];
	const char *reads; /* names of repositories, of one letter each */
	int fails;
	bool stranger; /* and nobody who brought it */
	bool writes;   /* to all that they read */
};

static void add_chunk(struct fixture *f, const char *text)
{
	uint8_t hash[XET_HASH];

	xet_hash_chunk(text, strlen(text), hash);
	assert_int_equal(xorb_map_add(&f->map, hash, (uint32_t)strlen(text)), 0);
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	void *k = NULL;

	assert_non_null(f);
	assert_int_equal(kept_setup(&k), 0);
	f->k = k;
	kept_make(f->k, KEPT_UID_A, "a");
	kept_make(f->k, KEPT_UID_B, "b");
	add_chunk(f, "one");
	add_chunk(f, "two");
	xorb_map_name(&f->map, f->name);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	void *k = f->k;

	xorb_map_fini(&f->map);
	free(f);
	return kept_teardown(&k);
}

struct bringing {
	struct fixture *f;
	struct xorb_owner owner;
	struct buf pieces, all;
};

static int put(struct db_txn *t, void *arg)
{
	struct bringing *b = arg;

	return xorb_rows_put(t, b->f->name, &b->f->map, &b->pieces, &b->owner, &b->all);
}

/* That file comes for that repository, made of the first chunks of the xorb. */
static void bring(struct fixture *f, const char *uid, const char *repo, const char *text,
		  uint32_t chunks)
{
	struct bringing b = { .f = f, .owner = { uid, "ann" } };
	struct xorb_piece p = { 0, chunks, 0, "" };

	kept_bring(f->k, repo, text, true);
	kept_etag(text, true, p.etag);
	assert_int_equal(buf_add(&b.pieces, &p, sizeof(p)), 0);
	assert_int_equal(db_write(f->k->db, put, &b), 0);
	buf_free(&b.pieces);
	buf_free(&b.all);
}

static int reads(void *arg, const struct repo_id *repo)
{
	const struct fixture *f = arg;

	return f->fails ? f->fails : strchr(f->reads, repo->name[strlen("org/")]) != NULL;
}

static int writes(void *arg, const struct repo_id *repo UNUSED)
{
	const struct fixture *f = arg;

	return f->writes;
}

/* How many of its chunks may be used by who reads those: 0 ... 2, or negative. */
static int chunks_of(struct fixture *f, const char *uid, const char *who_reads)
{
	const struct xorb_rights rights = { f->k->db, f->k->in, uid, f->stranger ? "bob" : "ann",
					    reads,    writes,   f };
	CLEANUP(xorb_map_fini) struct xorb_map m = { 0 };
	uint32_t of[XORB_CHUNKS_MAX];
	int r;

	f->reads = who_reads;
	r = xorb_rights_get(&rights, f->name, &m);
	if (r < 0)
		return r;
	assert_int_equal(xorb_map_count(&m), 2);
	xorb_pieces_cover(&m.pieces, 2, of);
	return (of[0] != XORB_NO_PIECE) + (of[1] != XORB_NO_PIECE);
}

static void who_reads_a_repository_has_what_is_in_it_and_no_more(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(chunks_of(f, "", "ab"), -ENOENT);
	bring(f, KEPT_UID_A, "a", "onetwo", 2);
	bring(f, KEPT_UID_B, "b", "one", 1);
	assert_int_equal(chunks_of(f, "", "ab"), 2);
	assert_int_equal(chunks_of(f, "", "a"), 2);
	/* It was one xorb for both, but b has one of its chunks. */
	assert_int_equal(chunks_of(f, "", "b"), 1);
	assert_int_equal(chunks_of(f, KEPT_UID_B, "b"), 1);
	assert_int_equal(chunks_of(f, KEPT_UID_B, ""), -ENOENT);
	f->fails = -EIO;
	assert_int_equal(chunks_of(f, "", "ab"), -EIO); /* that is no "no" */
}

struct forgetting {
	const char *repo, *text;
};

static int forget(struct db_txn *t, void *arg)
{
	const struct forgetting *g = arg;
	char etag[DIGEST_HEX_MAX + 1];

	kept_etag(g->text, true, etag);
	return uploads_forget(t, g->repo, etag);
}

static void what_a_repository_had_is_nobodys_right(void **state)
{
	struct fixture *f = *state;
	struct forgetting g = { "models/org/a", "onetwo" };

	bring(f, KEPT_UID_A, "a", "onetwo", 2);
	bring(f, KEPT_UID_B, "b", "onetwo", 2);
	assert_int_equal(chunks_of(f, "", "a"), 2);
	assert_int_equal(db_write(f->k->db, forget, &g), 0);
	assert_int_equal(chunks_of(f, "", "a"), -ENOENT); /* although the blob is there, for b */
	assert_int_equal(chunks_of(f, "", "b"), 2);
	/* What is in a commit is had, too. */
	kept_bring(f->k, "a", "onetwo", true);
	assert_int_equal(kept_commit(f->k, KEPT_UID_A, "a", REGISTRY_MAIN, "onetwo", true, true),
			 0);
	assert_int_equal(chunks_of(f, "", "a"), 2);
}

/* Else who may read a repository would see what is being brought for it. */
static void what_is_in_no_commit_yet_is_for_who_brought_it(void **state)
{
	struct fixture *f = *state;

	bring(f, KEPT_UID_A, "a", "onetwo", 2);
	f->stranger = true;
	assert_int_equal(chunks_of(f, "", "ab"), -ENOENT);
	assert_int_equal(chunks_of(f, KEPT_UID_B, "ab"), -ENOENT);
	/* Bringing files there, as all may who read it: not even then. */
	assert_int_equal(chunks_of(f, KEPT_UID_A, "ab"), -ENOENT);
	f->writes = true;
	assert_int_equal(chunks_of(f, KEPT_UID_A, "ab"), 2);
	assert_int_equal(chunks_of(f, KEPT_UID_B, "ab"), -ENOENT);
	f->writes = false;
	assert_int_equal(kept_commit(f->k, KEPT_UID_A, "a", REGISTRY_MAIN, "onetwo", true, true),
			 0);
	assert_int_equal(chunks_of(f, KEPT_UID_B, "ab"), 2);
}

static void a_repository_that_is_gone_gives_nothing(void **state)
{
	struct fixture *f = *state;

	bring(f, KEPT_UID_A, "a", "onetwo", 2);
	kept_unmake(f->k, KEPT_UID_A, "a");
	kept_make(f->k, KEPT_UID_B "x", "c");
	assert_int_equal(chunks_of(f, "", "abc"), -ENOENT);
}

int main(void)
{
#define TEST(story) cmocka_unit_test_setup_teardown(story, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(who_reads_a_repository_has_what_is_in_it_and_no_more),
		TEST(what_a_repository_had_is_nobodys_right),
		TEST(what_is_in_no_commit_yet_is_for_who_brought_it),
		TEST(a_repository_that_is_gone_gives_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
