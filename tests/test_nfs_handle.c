/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/nfs_handle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define ABSENT_ROOM 30

static const uint8_t key[NFS_KEY] = "the key of these tests, 32 bytes";
static const uint8_t other_key[NFS_KEY] = "another key that is as long, too";

static void fill(struct nfs_form *f)
{
	f->type = REPO_DATASET;
	f->repo = UINT64_C(0x1122334455667788);
	memset(f->commit, 0xc0, sizeof(f->commit));
	f->node = 123456;
	f->digest_kind = DIGEST_SHA256;
	memset(f->digest, 0xd1, sizeof(f->digest));
	f->life = 7;
	f->number = 8;
	f->shared = true;
}

static int parse(const struct nfs_fh *h, struct nfs_form *ret)
{
	return nfs_handle_parse(key, h->bytes, h->len, ret);
}

static void a_form_of_each_kind_comes_back(void **state)
{
	(void)state;
	for (int kind = PLACE_ROOT; kind <= PLACE_SCRATCH; kind++) {
		struct nfs_form f = { .kind = (enum place_kind)kind }, back;
		struct nfs_fh h, again;

		fill(&f);
		assert_int_equal(nfs_handle_print(key, &f, &h), 0);
		assert_true(h.len <= NFS_HANDLE_MAX);
		assert_int_equal(parse(&h, &back), 0);
		assert_int_equal(back.kind, kind);
		/* What it did not keep is not what its kind is told by. */
		assert_int_equal(nfs_handle_print(key, &back, &again), 0);
		assert_int_equal(again.len, h.len);
		assert_memory_equal(again.bytes, h.bytes, h.len);
	}
}

static void fields_are_told_apart(void **state)
{
	struct nfs_form one = { .kind = PLACE_LINK }, other;
	struct nfs_fh a, b;

	(void)state;
	fill(&one);
	other = one;
	other.node++;
	assert_int_equal(nfs_handle_print(key, &one, &a), 0);
	assert_int_equal(nfs_handle_print(key, &other, &b), 0);
	assert_int_equal(a.len, b.len);
	assert_memory_not_equal(a.bytes, b.bytes, a.len);
	assert_int_equal(parse(&a, &one), 0);
	assert_int_equal(one.node + 1, other.node);
	assert_memory_equal(one.commit, other.commit, NFS_COMMIT);
	assert_int_equal(one.repo, other.repo);
}

static void no_bit_can_be_bent(void **state)
{
	struct nfs_form f = { .kind = PLACE_BLOB };
	struct nfs_fh h;

	(void)state;
	fill(&f);
	assert_int_equal(nfs_handle_print(key, &f, &h), 0);
	for (unsigned bit = 0; bit < h.len * 8U; bit++) {
		struct nfs_fh bent = h;

		bent.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(parse(&bent, &f), NFS_BADHANDLE);
	}
	assert_int_equal(parse(&h, &f), 0);
	assert_int_equal(nfs_handle_parse(other_key, h.bytes, h.len, &f), NFS_BADHANDLE);
	for (uint8_t len = 0; len < h.len; len++)
		assert_int_equal(nfs_handle_parse(key, h.bytes, len, &f), NFS_BADHANDLE);
}

/* Short names stand in a handle; of long ones there is a digest. */
static void long_names_are_hashed(void **state)
{
	char text[ABSENT_ROOM + 2];
	struct nfs_form f = { .kind = PLACE_ABSENT_FILE }, back;
	struct nfs_fh h;

	(void)state;
	memset(text, 'x', sizeof(text));
	text[ABSENT_ROOM] = '\0';
	fill(&f);
	assert_int_equal(nfs_form_set_text(&f, text), 0);
	assert_false(f.hashed);
	assert_int_equal(nfs_handle_print(key, &f, &h), 0);
	assert_int_equal(h.len, NFS_HANDLE_MAX);
	assert_int_equal(parse(&h, &back), 0);
	assert_string_equal(back.text, text);
	text[ABSENT_ROOM] = 'x';
	text[ABSENT_ROOM + 1] = '\0';
	assert_int_equal(nfs_form_set_text(&f, text), 0);
	assert_true(f.hashed);
	assert_int_equal(nfs_handle_print(key, &f, &h), 0);
	assert_int_equal(parse(&h, &back), 0);
	assert_true(back.hashed);
	assert_int_equal(back.text_len, 20);
	assert_memory_equal(back.text, f.text, 20);
	assert_true(nfs_form_is_digest_of(&back, text));
	text[0] = 'y';
	assert_false(nfs_form_is_digest_of(&back, text));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_form_of_each_kind_comes_back),
		cmocka_unit_test(fields_are_told_apart),
		cmocka_unit_test(no_bit_can_be_bent),
		cmocka_unit_test(long_names_are_hashed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
