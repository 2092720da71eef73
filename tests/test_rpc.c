/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/rpc.h"

#include <endian.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define MAX 1000

static void add_fragment(struct buf *b, bool last, const char *text)
{
	xdr_put_u32(b, (last ? UINT32_C(0x80000000) : 0) | (uint32_t)strlen(text));
	buf_add_str(b, text);
}

struct found {
	uint8_t *record;
	size_t len, used;
	int result;
};

static struct found look(struct buf *b, size_t len)
{
	struct found f = { 0 };

	f.result = rpc_record((uint8_t *)b->data, len, MAX, &f.record, &f.len, &f.used);
	return f;
}

static void a_record_may_come_in_fragments(void **state)
{
	CLEANUP(buf_free) struct buf b = { 0 };
	struct found f;

	(void)state;
	add_fragment(&b, false, "one ");
	add_fragment(&b, false, "");
	add_fragment(&b, false, "two ");
	add_fragment(&b, true, "three");
	add_fragment(&b, true, "next");
	f = look(&b, b.len);
	assert_int_equal(f.result, 1);
	assert_int_equal(f.used, 4 * 4 + 13);
	assert_int_equal(f.len, 13);
	assert_memory_equal(f.record, "one two three", 13);
	assert_memory_equal(b.data + f.used + 4, "next", 4);
}

static void until_all_of_it_has_come_nothing_is_moved(void **state)
{
	CLEANUP(buf_free) struct buf b = { 0 };
	CLEANUP(buf_free) struct buf before = { 0 };

	(void)state;
	add_fragment(&b, false, "one");
	add_fragment(&b, true, "two");
	buf_add(&before, b.data, b.len);
	for (size_t len = 0; len < b.len; len++) {
		assert_int_equal(look(&b, len).result, 0);
		assert_memory_equal(b.data, before.data, b.len);
	}
	assert_int_equal(look(&b, b.len).result, 1);
}

static void too_long_ones_are_seen_by_their_marks(void **state)
{
	CLEANUP(buf_free) struct buf one = { 0 };
	CLEANUP(buf_free) struct buf sum = { 0 };

	(void)state;
	xdr_put_u32(&one, 0x80000000 | (MAX + 1));
	assert_int_equal(look(&one, one.len).result, -EPROTO);
	add_fragment(&sum, false, "x");
	xdr_put_u32(&sum, 0x80000000 | MAX);
	assert_int_equal(look(&sum, sum.len).result, -EPROTO);
	xdr_put_u32(&one, 0);
	one.data[3]--; /* just as long as allowed */
	assert_int_equal(look(&one, 4).result, 0);
}

static void empty_fragments_have_an_end(void **state)
{
	CLEANUP(buf_free) struct buf b = { 0 };

	(void)state;
	for (unsigned i = 0; i <= RPC_FRAGMENTS_MAX; i++)
		add_fragment(&b, false, "");
	assert_int_equal(look(&b, b.len).result, -EPROTO);
}

/* ---- calls ---- */

static void put_call(struct buf *b, uint32_t version)
{
	xdr_put_u32(b, 77);
	xdr_put_u32(b, 0);
	xdr_put_u32(b, version);
	xdr_put_u32(b, 100003);
	xdr_put_u32(b, 3);
	xdr_put_u32(b, 6);
}

static void put_sys(struct buf *b, uint32_t groups)
{
	CLEANUP(buf_free) struct buf body = { 0 };

	xdr_put_u32(&body, 0);
	xdr_put_text(&body, "machine");
	xdr_put_u32(&body, 1000);
	xdr_put_u32(&body, 100);
	xdr_put_u32(&body, groups);
	for (uint32_t i = 0; i < groups; i++)
		xdr_put_u32(&body, i);
	xdr_put_u32(b, 1);
	xdr_put_opaque(b, body.data, body.len);
}

static void put_none(struct buf *b)
{
	xdr_put_u32(b, 0);
	xdr_put_u32(b, 0);
}

static int parse(const struct buf *b, struct rpc_call *ret, struct buf *reply)
{
	buf_clear(reply);
	return rpc_parse((const uint8_t *)b->data, b->len, ret, reply);
}

static void who_asks_is_who_the_credentials_say(void **state)
{
	CLEANUP(buf_free) struct buf b = { 0 };
	CLEANUP(buf_free) struct buf reply = { 0 };
	struct rpc_call call;

	(void)state;
	put_call(&b, 2);
	put_sys(&b, 3);
	put_none(&b);
	xdr_put_u32(&b, 42);
	assert_int_equal(parse(&b, &call, &reply), 0);
	assert_int_equal(call.xid, 77);
	assert_int_equal(call.prog, 100003);
	assert_int_equal(call.vers, 3);
	assert_int_equal(call.proc, 6);
	assert_int_equal(call.uid, 1000);
	assert_int_equal(call.gid, 100);
	assert_int_equal(xdr_u32(&call.args), 42);
	buf_clear(&b);
	put_call(&b, 2);
	put_none(&b);
	put_none(&b);
	assert_int_equal(parse(&b, &call, &reply), 0);
	assert_int_equal(call.uid, RPC_NOBODY);
}

/* Each cut and each changed length: refused, or taken as no call, and never more. */
static void a_call_that_is_cut_is_no_good(void **state)
{
	CLEANUP(buf_free) struct buf b = { 0 };
	CLEANUP(buf_free) struct buf reply = { 0 };
	struct rpc_call call;
	size_t whole;

	(void)state;
	put_call(&b, 2);
	put_sys(&b, 16);
	put_none(&b);
	whole = b.len;
	for (b.len = 0; b.len < whole; b.len += 4) {
		int r = parse(&b, &call, &reply);

		assert_int_equal(r, b.len < 24 ? -EPROTO : 1);
		assert_int_equal(reply.len > 0, r == 1);
	}
}

static uint32_t word_of(const struct buf *b, unsigned i)
{
	uint32_t v;

	assert_true(b->len >= (i + 1) * 4);
	memcpy(&v, b->data + (size_t)i * 4, sizeof(v));
	return be32toh(v);
}

static void what_is_wrong_is_told(void **state)
{
	CLEANUP(buf_free) struct buf b = { 0 };
	CLEANUP(buf_free) struct buf reply = { 0 };
	struct rpc_call call;

	(void)state;
	put_call(&b, 3);
	assert_int_equal(parse(&b, &call, &reply), 1);
	assert_int_equal(word_of(&reply, 1), 77);
	assert_int_equal(word_of(&reply, 3), 1); /* denied: */
	assert_int_equal(word_of(&reply, 4), 0); /* version ... */
	assert_int_equal(word_of(&reply, 5), 2);
	buf_clear(&b);
	put_call(&b, 2);
	put_sys(&b, 17);
	put_none(&b);
	assert_int_equal(parse(&b, &call, &reply), 1);
	assert_int_equal(word_of(&reply, 4), 1); /* ... or credentials */
	assert_int_equal(word_of(&reply, 5), 1);
	buf_clear(&b);
	put_call(&b, 2);
	xdr_put_u32(&b, 6);
	xdr_put_u32(&b, 0);
	put_none(&b);
	assert_int_equal(parse(&b, &call, &reply), 1);
	assert_int_equal(word_of(&reply, 5), 5);
}

static void a_reply_is_no_call(void **state)
{
	CLEANUP(buf_free) struct buf b = { 0 };
	CLEANUP(buf_free) struct buf reply = { 0 };
	struct rpc_call call;

	(void)state;
	put_call(&b, 2);
	put_none(&b);
	put_none(&b);
	b.data[7] = 1;
	assert_int_equal(parse(&b, &call, &reply), -EPROTO);
}

static void the_mark_counts_what_the_sender_adds(void **state)
{
	CLEANUP(buf_free) struct buf b = { 0 };

	(void)state;
	rpc_reply(&b, 5, RPC_SUCCESS);
	rpc_seal(&b, 1000);
	assert_int_equal(word_of(&b, 0), 0x80000000 | (b.len - 4 + 1000));
	assert_int_equal(word_of(&b, 6), RPC_SUCCESS);
	buf_clear(&b);
	rpc_reply_versions(&b, 5, 2, 4);
	assert_int_equal(word_of(&b, 6), RPC_PROG_MISMATCH);
	assert_int_equal(word_of(&b, 7), 2);
	assert_int_equal(word_of(&b, 8), 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_record_may_come_in_fragments),
		cmocka_unit_test(until_all_of_it_has_come_nothing_is_moved),
		cmocka_unit_test(too_long_ones_are_seen_by_their_marks),
		cmocka_unit_test(empty_fragments_have_an_end),
		cmocka_unit_test(who_asks_is_who_the_credentials_say),
		cmocka_unit_test(a_call_that_is_cut_is_no_good),
		cmocka_unit_test(what_is_wrong_is_told),
		cmocka_unit_test(a_reply_is_no_call),
		cmocka_unit_test(the_mark_counts_what_the_sender_adds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
