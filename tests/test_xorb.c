/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/xet/xorb.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <malloc.h>
#include <string.h>

#include "tests/xet_maker.h"
#include "tests/xet_vectors.h"

#define CHUNKS 12
#define ROOM_OF_ONE (10 << 20) /* a reader's, with a block of 4 MiB, and what is to come */

/* What came out. */
struct got {
	struct buf raw, hashes;
	unsigned count;
	int result;
};

static int take(void *arg, const uint8_t hash[static XET_HASH], const void *data, size_t len)
{
	struct got *g = arg;

	g->count++;
	buf_add(&g->raw, data, len);
	buf_add(&g->hashes, hash, XET_HASH);
	return g->result;
}

static void got_free(struct got *g)
{
	buf_free(&g->raw);
	buf_free(&g->hashes);
}

/* Gives it in pieces of that length; what it ends with. */
static int read_in(const struct buf *bytes, size_t step, struct got *g, uint8_t *ret_name)
{
	struct xorb_reader *x = NULL;
	int r;

	assert_int_equal(xorb_reader_new(take, g, &x), 0);
	r = 0;
	for (size_t at = 0; r == 0 && at < bytes->len; at += step)
		r = xorb_reader_add(x, bytes->data + at,
				    bytes->len - at < step ? bytes->len - at : step);
	if (r == 0)
		r = xorb_reader_end(x, ret_name);
	assert_int_equal(r == -EBADMSG, *xorb_reader_why(x) != '\0');
	xorb_reader_free(x);
	return r;
}

/* Chunks that are given where they came. */
struct places {
	const struct buf *bytes;
	unsigned there;
};

static int count_there(void *arg, const uint8_t hash[static XET_HASH] UNUSED, const void *data,
		       size_t len)
{
	struct places *p = arg;
	const char *at = data;

	p->there += at >= p->bytes->data && at + len <= p->bytes->data + p->bytes->len;
	return 0;
}

static void what_came_as_a_whole_is_not_copied(UNUSED void **state)
{
	CLEANUP(made_xorb_free) struct made_xorb x = { .count = 0 };
	struct places p = { &x.bytes, 0 };
	struct xorb_reader *reader = NULL;

	for (unsigned i = 0; i < CHUNKS; i++)
		made_xorb_add(&x, "chunk by chunk", 14, XET_PLAIN);
	assert_int_equal(xorb_reader_new(count_there, &p, &reader), 0);
	assert_int_equal(xorb_reader_add(reader, x.bytes.data, x.bytes.len), 0);
	assert_int_equal(p.there, CHUNKS);
	/* Twin: each in two pieces. */
	xorb_reader_begin(reader);
	for (size_t at = 0; at < x.bytes.len; at += 11)
		assert_int_equal(xorb_reader_add(reader, x.bytes.data + at, 11), 0);
	assert_int_equal(p.there, CHUNKS);
	xorb_reader_free(reader);
}

static void chunks_come_out_however_they_are_packed_and_cut(UNUSED void **state)
{
	static const size_t steps[] = { 1, 7, 1000, 1 << 20 };
	CLEANUP(made_xorb_free) struct made_xorb x = { .count = 0 };
	uint8_t want[XET_HASH], name[XET_HASH];

	made_xorb_fill(&x, CHUNKS, 5);
	made_xorb_name(&x, want);
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		CLEANUP(got_free) struct got g = { .count = 0 };

		assert_int_equal(read_in(&x.bytes, steps[i], &g, name), 0);
		assert_int_equal(g.count, CHUNKS);
		assert_int_equal(g.raw.len, x.raw.len);
		assert_memory_equal(g.raw.data, x.raw.data, x.raw.len);
		assert_memory_equal(g.hashes.data, x.hashes.data, x.hashes.len);
		assert_memory_equal(name, want, XET_HASH);
	}
}

/* And not as we pack them: who is wrong in both ways is right by that. */
static void what_a_client_packed_comes_out(UNUSED void **state)
{
	for (int grouped = 0; grouped < 2; grouped++) {
		CLEANUP(buf_free) struct buf bytes = { 0 }, raw = { 0 };
		CLEANUP(got_free) struct got g = { .count = 0 };
		const char *want = xet_vectors_xorb(grouped, &bytes, &raw);
		char hex[XET_HASH_HEX + 1];
		uint8_t name[XET_HASH];

		assert_int_equal(read_in(&bytes, 100, &g, name), 0);
		xet_hash_print(name, hex);
		assert_string_equal(hex, want);
		assert_int_equal(g.count, 3);
		assert_int_equal(g.raw.len, raw.len);
		assert_memory_equal(g.raw.data, raw.data, raw.len);
		/* Twin: in the other order of bytes. */
		bytes.data[8 + 50 + 4] = grouped ? 1 : 2;
		got_free(&g);
		g = (struct got){ .count = 0 };
		(void)read_in(&bytes, 100, &g, name);
		assert_true(g.raw.len != raw.len || memcmp(g.raw.data, raw.data, raw.len) != 0);
	}
}

static void groups_of_any_length_come_out(UNUSED void **state)
{
	for (size_t len = 1; len < 10; len++) {
		CLEANUP(made_xorb_free) struct made_xorb x = { .count = 0 };
		CLEANUP(got_free) struct got g = { .count = 0 };
		uint8_t name[XET_HASH];

		made_xorb_add(&x, "abcdefghij", len, XET_GROUPED);
		assert_int_equal(read_in(&x.bytes, 100, &g, name), 0);
		assert_memory_equal(g.raw.data, "abcdefghij", len);
	}
}

static void what_describes_the_chunks_is_left_out(UNUSED void **state)
{
	CLEANUP(made_xorb_free) struct made_xorb x = { .count = 0 };
	CLEANUP(got_free) struct got g = { .count = 0 };
	uint8_t want[XET_HASH], name[XET_HASH];

	made_xorb_fill(&x, 3, 9);
	made_xorb_name(&x, want);
	buf_add_str(&x.bytes, "XETBLOB and anything else");
	assert_int_equal(read_in(&x.bytes, 5, &g, name), 0);
	assert_int_equal(g.count, 3);
	assert_memory_equal(name, want, XET_HASH);
}

/* Changes one byte of the first header. */
static void spoil(const struct made_xorb *x, size_t at, uint8_t byte, struct buf *ret)
{
	buf_clear(ret);
	buf_add(ret, x->bytes.data, x->bytes.len);
	ret->data[at] = (char)byte;
}

static void headers_that_lie_are_refused(UNUSED void **state)
{
	static const struct {
		size_t at;
		uint8_t byte;
	} lies[] = {
		{ 0, 1 }, /* the version */
		{ 1, 0 }, /* packed bytes: 0x03e8 of a plain chunk */
		{ 3, 4 }, /* more than any chunk */
		{ 4, 1 }, /* it is packed */
		{ 4, 3 }, /* in an unknown way */
		{ 5, 1 }, /* another size */
		{ 7, 4 }, /* more than any chunk has */
	};
	CLEANUP(made_xorb_free) struct made_xorb x = { .count = 0 };
	CLEANUP(buf_free) struct buf bad = { 0 };
	uint8_t name[XET_HASH];

	made_xorb_fill(&x, 3, 0);
	for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
		CLEANUP(got_free) struct got g = { .count = 0 };

		spoil(&x, lies[i].at, lies[i].byte, &bad);
		assert_int_equal(read_in(&bad, 64, &g, name), -EBADMSG);
		assert_int_equal(g.count, 0);
	}
}

/* It says less than it unpacks to. */
static void what_unpacks_to_more_is_refused(UNUSED void **state)
{
	CLEANUP(made_xorb_free) struct made_xorb x = { .count = 0 };
	CLEANUP(got_free) struct got g = { .count = 0 };
	static uint8_t zeros[XORB_CHUNK_MAX];
	uint8_t name[XET_HASH];

	made_xorb_add(&x, zeros, sizeof(zeros), XET_LZ4);
	assert_int_equal(read_in(&x.bytes, 100, &g, name), 0);
	x.bytes.data[6] = 0x10;
	x.bytes.data[7] = 0;
	assert_int_equal(read_in(&x.bytes, 100, &g, name), -EBADMSG);
	assert_int_equal(g.count, 1);
}

static size_t in_use(void)
{
	struct mallinfo2 now = mallinfo2();

	return now.uordblks + now.hblkhd;
}

/* As much as fits where a chunk does, in blocks as large as there are. */
static void a_bomb_is_refused_and_takes_no_room(UNUSED void **state)
{
	static const struct {
		size_t says, has;
		int result;
	} bombs[] = {
		{ XORB_CHUNK_MAX, XORB_CHUNK_MAX, 0 }, /* the twin */
		{ XORB_CHUNK_MAX, XORB_CHUNK_MAX + 1, -EBADMSG },
		{ XORB_CHUNK_MAX, 60 << 20, -EBADMSG },
		{ 1, 60 << 20, -EBADMSG },
	};

	for (size_t i = 0; i < ARRAY_LEN(bombs); i++) {
		CLEANUP(made_xorb_free) struct made_xorb x = { .count = 0 };
		CLEANUP(got_free) struct got g = { .count = 0 };
		struct xorb_reader *r = NULL;
		size_t before;

		made_xorb_bomb(&x, bombs[i].says, bombs[i].has);
		before = in_use();
		assert_int_equal(xorb_reader_new(take, &g, &r), 0);
		assert_int_equal(xorb_reader_add(r, x.bytes.data, x.bytes.len), bombs[i].result);
		assert_int_equal(g.raw.len, bombs[i].result ? 0 : bombs[i].has);
		assert_true(in_use() < before + ROOM_OF_ONE);
		xorb_reader_free(r);
	}
}

static void too_many_chunks_are_refused(UNUSED void **state)
{
	CLEANUP(made_xorb_free) struct made_xorb one = { .count = 0 };
	CLEANUP(buf_free) struct buf all = { 0 };
	uint8_t name[XET_HASH];

	made_xorb_add(&one, "x", 1, XET_PLAIN);
	for (unsigned i = 0; i < XORB_CHUNKS_MAX; i++)
		buf_add(&all, one.bytes.data, one.bytes.len);
	{
		CLEANUP(got_free) struct got g = { .count = 0 };

		assert_int_equal(read_in(&all, 100000, &g, name), 0);
	}
	buf_add(&all, one.bytes.data, one.bytes.len);
	{
		CLEANUP(got_free) struct got g = { .count = 0 };

		assert_int_equal(read_in(&all, 100000, &g, name), -EBADMSG);
		assert_int_equal(g.count, XORB_CHUNKS_MAX);
	}
}

static void one_that_is_cut_is_refused(UNUSED void **state)
{
	CLEANUP(made_xorb_free) struct made_xorb x = { .count = 0 };
	uint8_t name[XET_HASH];

	made_xorb_fill(&x, 2, 3);
	for (size_t len = 0; len < x.bytes.len; len += 97) {
		CLEANUP(got_free) struct got g = { .count = 0 };
		struct buf part = { .data = x.bytes.data, .len = len };

		assert_int_equal(read_in(&part, 1000, &g, name), -EBADMSG);
	}
}

static void who_takes_the_chunks_may_end_it(UNUSED void **state)
{
	CLEANUP(made_xorb_free) struct made_xorb x = { .count = 0 };
	CLEANUP(got_free) struct got g = { .result = -ENOSPC };
	uint8_t name[XET_HASH];

	made_xorb_fill(&x, 3, 3);
	assert_int_equal(read_in(&x.bytes, 1 << 20, &g, name), -ENOSPC);
	assert_int_equal(g.count, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_came_as_a_whole_is_not_copied),
		cmocka_unit_test(chunks_come_out_however_they_are_packed_and_cut),
		cmocka_unit_test(what_a_client_packed_comes_out),
		cmocka_unit_test(groups_of_any_length_come_out),
		cmocka_unit_test(what_describes_the_chunks_is_left_out),
		cmocka_unit_test(headers_that_lie_are_refused),
		cmocka_unit_test(what_unpacks_to_more_is_refused),
		cmocka_unit_test(a_bomb_is_refused_and_takes_no_room),
		cmocka_unit_test(too_many_chunks_are_refused),
		cmocka_unit_test(one_that_is_cut_is_refused),
		cmocka_unit_test(who_takes_the_chunks_may_end_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
