/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/digest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/buf.h"

/* The digest of text in hex, fed in pieces of `piece` bytes. */
static const char *digest_hex(enum digest_kind kind, const char *text, size_t piece)
{
	static char hex[DIGEST_HEX_MAX + 1];
	CLEANUP(digest_freep) struct digest *d = NULL;
	uint8_t bytes[DIGEST_BYTES_MAX];
	size_t len = strlen(text);

	assert_int_equal(digest_new(kind, len, &d), 0);
	for (size_t at = 0; at < len; at += piece)
		assert_int_equal(digest_update(d, text + at, piece < len - at ? piece : len - at),
				 0);
	assert_int_equal(digest_final(d, bytes), 0);
	hex_print(bytes, digest_size(kind), hex);
	return hex;
}

static void what_is_all_there_has_the_digest_of_its_pieces(UNUSED void **state)
{
	static const enum digest_kind kinds[] = { DIGEST_SHA256, DIGEST_GIT_SHA1 };
	static const char *const texts[] = { "", "abc" };
	char hex[DIGEST_HEX_MAX + 1];
	uint8_t bytes[DIGEST_BYTES_MAX];

	for (size_t k = 0; k < ARRAY_LEN(kinds); k++)
		for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
			assert_int_equal(digest_of(kinds[k], texts[i], strlen(texts[i]), bytes), 0);
			hex_print(bytes, digest_size(kinds[k]), hex);
			assert_string_equal(hex, digest_hex(kinds[k], texts[i], 1));
		}
}

/* Values: sha256sum(1) and git-hash-object(1). */
static void sha256_is_of_the_bytes_alone(UNUSED void **state)
{
	assert_int_equal(digest_size(DIGEST_SHA256), 32);
	assert_string_equal(digest_hex(DIGEST_SHA256, "", 1),
			    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	assert_string_equal(digest_hex(DIGEST_SHA256, "abc", 3),
			    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void sha1_is_gits_blob_id(UNUSED void **state)
{
	assert_int_equal(digest_size(DIGEST_GIT_SHA1), 20);
	assert_string_equal(digest_hex(DIGEST_GIT_SHA1, "", 1),
			    "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
	assert_string_equal(digest_hex(DIGEST_GIT_SHA1, "hello\n", 6),
			    "ce013625030ba8dba906f756967f9e9ca394464a");
}

/* git hash-object -t tree /dev/null, and of one file "a" that holds nothing. */
static void objects_have_the_ids_git_gives_them(UNUSED void **state)
{
	static const char entry[] = "100644 a\0\xe6\x9d\xe2\x9b\xb2\xd1\xd6\x43\x4b\x8b\x29\xae"
				    "\x77\x5a\xd8\xc2\xe4\x8c\x53\x91";
	char hex[41];
	uint8_t id[20];

	assert_int_equal(digest_git_object("tree", "", 0, id), 0);
	hex_print(id, sizeof(id), hex);
	assert_string_equal(hex, "4b825dc642cb6eb9a060e54bf8d69288fbee4904");
	assert_int_equal(digest_git_object("tree", entry, sizeof(entry) - 1, id), 0);
	hex_print(id, sizeof(id), hex);
	assert_string_equal(hex, "496d6428b9cf92981dc9495211e6e1120fb6f2ba");
}

/* RFC 4231, test cases 2 and 6. */
static void hmac_is_the_published_function(UNUSED void **state)
{
	static const char data[] = "Test Using Larger Than Block-Size Key - Hash Key First";
	uint8_t key[131], mac[32];
	char hex[65];

	assert_int_equal(digest_hmac("Jefe", 4, "what do ya want for nothing?", 28, mac), 0);
	hex_print(mac, sizeof(mac), hex);
	assert_string_equal(hex,
			    "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	memset(key, 0xaa, sizeof(key));
	assert_int_equal(digest_hmac(key, sizeof(key), data, strlen(data), mac), 0);
	hex_print(mac, sizeof(mac), hex);
	assert_string_equal(hex,
			    "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

static void digests_are_the_same_or_not(UNUSED void **state)
{
	static const uint8_t a[] = { 1, 2, 3 }, b[] = { 1, 2, 4 };

	assert_true(digest_same(a, a, 3));
	assert_true(digest_same(a, b, 2));
	assert_false(digest_same(a, b, 3));
}

static void pieces_do_not_matter_but_bytes_do(UNUSED void **state)
{
	char whole[DIGEST_HEX_MAX + 1];

	snprintf(whole, sizeof(whole), "%s",
		 digest_hex(DIGEST_SHA256, "a longer text than one piece", 100));
	assert_string_equal(digest_hex(DIGEST_SHA256, "a longer text than one piece", 1), whole);
	assert_string_equal(digest_hex(DIGEST_SHA256, "a longer text than one piece", 7), whole);
	assert_string_not_equal(digest_hex(DIGEST_SHA256, "a longer text than one Piece", 7),
				whole);
}

static void the_announced_size_is_part_of_a_git_id(UNUSED void **state)
{
	CLEANUP(digest_freep) struct digest *d = NULL;
	uint8_t bytes[DIGEST_BYTES_MAX];
	char hex[DIGEST_HEX_MAX + 1];

	assert_int_equal(digest_new(DIGEST_GIT_SHA1, 7, &d), 0);
	assert_int_equal(digest_update(d, "hello\n", 6), 0);
	assert_int_equal(digest_final(d, bytes), 0);
	hex_print(bytes, 20, hex);
	assert_string_not_equal(hex, "ce013625030ba8dba906f756967f9e9ca394464a");
}

static void nothing_can_be_freed(UNUSED void **state)
{
	struct digest *d = NULL;

	digest_free(NULL);
	digest_freep(&d);
	xxh3_free(NULL);
}

/* Values: xxhsum -H3. */
static void xxh3_is_the_published_function(UNUSED void **state)
{
	assert_true(xxh3_of("", 0) == 0x2d06800538d394c2);
	assert_true(xxh3_of("a", 1) == 0xe6c632b61e964e1f);
	assert_true(xxh3_of("abc", 3) != xxh3_of("abd", 3));
}

static void a_running_xxh3_says_the_same_at_any_time(UNUSED void **state)
{
	static const char text[] = "chunk after chunk of a file that is being filled";
	struct xxh3 *x = NULL;

	assert_int_equal(xxh3_new(&x), 0);
	assert_true(xxh3_value(x) == xxh3_of("", 0));
	for (size_t i = 0; i < strlen(text); i++) {
		xxh3_update(x, text + i, 1);
		assert_true(xxh3_value(x) == xxh3_of(text, i + 1));
	}
	xxh3_reset(x);
	xxh3_update(x, "a", 1);
	assert_true(xxh3_value(x) == xxh3_of("a", 1));
	xxh3_free(x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sha256_is_of_the_bytes_alone),
		cmocka_unit_test(what_is_all_there_has_the_digest_of_its_pieces),
		cmocka_unit_test(sha1_is_gits_blob_id),
		cmocka_unit_test(objects_have_the_ids_git_gives_them),
		cmocka_unit_test(hmac_is_the_published_function),
		cmocka_unit_test(digests_are_the_same_or_not),
		cmocka_unit_test(pieces_do_not_matter_but_bytes_do),
		cmocka_unit_test(the_announced_size_is_part_of_a_git_id),
		cmocka_unit_test(nothing_can_be_freed),
		cmocka_unit_test(xxh3_is_the_published_function),
		cmocka_unit_test(a_running_xxh3_says_the_same_at_any_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
