/* SPDX-License-Identifier: Apache-2.0 */
/* What follows from what a chunk is found to be, in the second segment of a file; how that is found
 * out is shown by test_verify_blob.c. */
#include "daemon/peer/verify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/verifying.h"

#define CHUNKS 19
#define SIZE (CHUNKS * CHUNK_BYTES)
#define FIRST WIRE_CHUNKS /* of the second segment */
#define BAD (FIRST + 1)
#define SEED 7
#define OTHER 8

struct fixture {
	struct verifying *v;
	struct source_blob what;
	struct httpc_cancel cancel;
	struct doubt doubt;
	struct verify verify;
};

static void moved(UNUSED void *arg)
{
}

/* Of a file that is not whole these came: all from the giver, one of each segment wrong. */
static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct cell *c;
	void *v;

	assert_non_null(f);
	assert_int_equal(verifying_set_up(&v), 0);
	f->v = v;
	c = &f->v->cell;
	fake_blob(SEED, SIZE, DIGEST_SHA256, &f->what);
	cell_put(c, &f->what, 0, OTHER, f->v->giver->address);
	cell_put(c, &f->what, FIRST, SEED, f->v->giver->address);
	cell_put(c, &f->what, BAD, OTHER, f->v->giver->address);
	assert_int_equal(store_blob(c->node.store, f->what.etag, SIZE, false, &f->doubt.blob), 0);
	f->doubt.what = &f->what;
	f->doubt.cancel = &f->cancel;
	f->doubt.moved = moved;
	assert_int_equal(verify_begin(&f->verify, &f->v->conf, &f->doubt, 1, 2), 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	void *v = f->v;

	verify_end(&f->verify);
	blob_unref(f->doubt.blob);
	assert_int_equal(verifying_tear_down(&v), 0);
	free(f);
	return 0;
}

static void settle(struct fixture *f, uint32_t i)
{
	uint8_t must[CHUNK_LIST_DIGEST];

	cell_digest(SEED, SIZE, i, must);
	verify_settle(&f->verify, i, must);
}

static enum provenance_trust knows(struct fixture *f, uint32_t i)
{
	uint8_t digest[CHUNK_LIST_DIGEST];

	return provenance_knows(f->v->conf.provenance, f->what.etag, i, digest);
}

/* Its owner says of it what the giver gave. */
static void vouch(struct fixture *f, const struct fake_member *owner)
{
	f->verify.voucher = (uint32_t)membership_find(f->verify.members, owner->address);
	cell_digest(OTHER, SIZE, BAD, verify_digest(&f->verify, f->verify.vouched, BAD));
}

static void a_segment_has_its_own_chunks_alone(void **state)
{
	struct fixture *f = *state;
	uint32_t first;

	assert_int_equal(f->verify.first, FIRST);
	assert_int_equal(f->verify.count, CHUNKS - FIRST);
	assert_int_equal(verify_chunks(&f->verify, 1, &first), CHUNKS - FIRST);
	assert_int_equal(first, FIRST);
}

static void what_is_otherwise_goes_and_nothing_else(void **state)
{
	struct fixture *f = *state;

	for (uint32_t i = FIRST; i < CHUNKS; i++) /* the last one is not here */
		settle(f, i);
	assert_int_equal(f->verify.dropped, 1);
	assert_int_equal(f->verify.gone, 1U << (BAD - FIRST));
	assert_false(blob_has(f->doubt.blob, BAD));
	assert_true(blob_has(f->doubt.blob, FIRST));
	assert_true(blob_has(f->doubt.blob, 0));
	assert_false(f->verify.refuted);
	assert_true(provenance_dropped(f->v->conf.provenance, f->what.etag, BAD));
}

static void what_was_found_out_is_remembered_of_this_segment(void **state)
{
	struct fixture *f = *state;

	settle(f, FIRST);
	settle(f, BAD);
	verify_conclude(&f->verify);
	assert_int_equal(knows(f, FIRST), PROVENANCE_BELIEVED);
	assert_int_equal(knows(f, BAD), PROVENANCE_BELIEVED);
	assert_int_equal(knows(f, CHUNKS - 1), PROVENANCE_UNKNOWN);
	assert_int_equal(knows(f, 0), PROVENANCE_UNKNOWN);
}

static void who_gave_what_he_vouches_for_is_banned(void **state)
{
	struct fixture *f = *state;

	vouch(f, f->v->giver);
	settle(f, BAD);
	assert_true(f->verify.refuted);
	verify_conclude(&f->verify);
	verifying_assert_banned(f->v, f->v->giver);
}

/* The twin: another one vouches for it. Who gave it may have had it from there. */
static void who_gave_what_another_vouches_for_is_not(void **state)
{
	struct fixture *f = *state;

	vouch(f, f->v->witness);
	settle(f, BAD);
	assert_true(f->verify.refuted);
	verify_conclude(&f->verify);
	verifying_assert_banned(f->v, NULL);
	assert_int_equal(f->v->giver->asked[FAKE_HOLDER], 1); /* what it holds */
}

static void suspect(void *arg, UNUSED const struct source_refused *r)
{
	unsigned *asked = arg;

	++*asked;
}

/* The list goes on without who gave it. */
static void leave(struct fixture *f)
{
	struct member_spec list[2] = { { .weight = 1 }, { .weight = 1 } };

	snprintf(list[0].address, sizeof(list[0].address), "%s", f->v->owner->address);
	snprintf(list[1].address, sizeof(list[1].address), "%s", f->v->witness->address);
	assert_int_equal(members_set(f->v->members, list, ARRAY_LEN(list)), 0);
	verify_end(&f->verify);
	assert_int_equal(verify_begin(&f->verify, &f->v->conf, &f->doubt, 1, 2), 0);
}

/* How many lines of the log have these words, while what is known is made the end of. */
static unsigned lines_with(struct fixture *f, const char *words)
{
	char path[] = "/tmp/verify-XXXXXX", line[4096];
	int fd = mkstemp(path), was = dup(STDERR_FILENO);
	unsigned lines = 0;
	FILE *said;

	assert_true(fd >= 0 && was >= 0 && dup2(fd, STDERR_FILENO) >= 0);
	verify_conclude(&f->verify);
	assert_true(dup2(was, STDERR_FILENO) >= 0);
	close(was);
	said = fdopen(fd, "r");
	assert_non_null(said);
	rewind(said);
	while (fgets(line, sizeof(line), said))
		lines += strstr(line, words) != NULL;
	fclose(said);
	unlink(path);
	return lines;
}

/* Who gave wrong bytes that another vouches for: it is asked what it holds, or told of now. */
static unsigned told_now(struct fixture *f, bool gone, unsigned *ret_asked)
{
	f->v->conf.suspect = suspect;
	f->v->conf.arg = ret_asked;
	if (gone)
		leave(f);
	vouch(f, f->v->witness);
	settle(f, BAD);
	return lines_with(f, "passed on wrong bytes etag=");
}

static void who_gave_wrong_bytes_and_left_is_told_of_all_the_same(void **state)
{
	unsigned asked = 0;

	assert_int_equal(told_now(*state, true, &asked), 1);
	assert_int_equal(asked, 0);
}

/* The twin. */
static void who_is_here_still_is_asked_first(void **state)
{
	unsigned asked = 0;

	assert_int_equal(told_now(*state, false, &asked), 0);
	assert_int_equal(asked, 1);
}

static void a_false_witness_is_banned(void **state)
{
	struct fixture *f = *state;

	verify_blame_witness(&f->verify, BAD, f->v->witness->address);
	verify_conclude(&f->verify);
	verifying_assert_banned(f->v, f->v->witness);
}

static void what_a_hub_gave_is_not_in_question(void **state)
{
	struct fixture *f = *state;
	uint8_t told[CHUNK_LIST_DIGEST];

	cell_digest(SEED, SIZE, BAD, told);
	assert_true(verify_is_hearsay(&f->verify, BAD));
	assert_true(verify_differs(&f->verify, BAD, told));
	provenance_take_back(f->v->conf.provenance, f->what.etag, BAD);
	provenance_note(f->v->conf.provenance, f->what.etag, SIZE, BAD, BAD + 1, NULL);
	assert_false(verify_is_hearsay(&f->verify, BAD));
	assert_false(verify_differs(&f->verify, BAD, told));
}

/* What is known as well as that, and no worse. */
static void what_is_known_is_applied(void **state)
{
	struct fixture *f = *state;
	CLEANUP(chunk_list_freep) struct chunk_list *l = chunk_list_new(SIZE);

	for (uint32_t i = 0; i < CHUNKS; i++)
		cell_digest(SEED, SIZE, i, l->digests[i]);
	provenance_learn(f->v->conf.provenance, f->what.etag, l, PROVENANCE_BELIEVED);
	verify_apply(&f->verify, FIRST, CHUNKS, PROVENANCE_WITNESSED);
	assert_int_equal(f->verify.dropped, 0);
	assert_false(verify_is_settled(&f->verify, BAD));
	verify_apply(&f->verify, FIRST, CHUNKS, PROVENANCE_BELIEVED);
	assert_int_equal(f->verify.dropped, 1);
	assert_true(verify_is_settled(&f->verify, CHUNKS - 1));
	assert_true(blob_has(f->doubt.blob, 0));
}

static void a_file_of_one_chunk_is_left_to_its_digest(void **state)
{
	struct fixture *f = *state;
	struct source_blob small;
	const struct doubt d = { .what = &small, .cancel = &f->cancel, .moved = moved };
	struct verify v;

	fake_blob(SEED, CHUNK_BYTES, DIGEST_SHA256, &small);
	assert_int_equal(verify_begin(&v, &f->v->conf, &d, 0, 1), -ENODATA);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* First: more such warnings would be held back. */
		TEST(who_is_here_still_is_asked_first),
		TEST(who_gave_wrong_bytes_and_left_is_told_of_all_the_same),
		TEST(a_segment_has_its_own_chunks_alone),
		TEST(what_is_otherwise_goes_and_nothing_else),
		TEST(what_was_found_out_is_remembered_of_this_segment),
		TEST(who_gave_what_he_vouches_for_is_banned),
		TEST(who_gave_what_another_vouches_for_is_not),
		TEST(a_false_witness_is_banned),
		TEST(what_a_hub_gave_is_not_in_question),
		TEST(what_is_known_is_applied),
		TEST(a_file_of_one_chunk_is_left_to_its_digest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
