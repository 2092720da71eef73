/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/wire.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SHA256 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define SHA1 "0123456789abcdef0123456789abcdef01234567"
#define BLOB "/peer/v1/blobs/" SHA256
#define PLACE "&repo=models/org/name&commit=" SHA1 "&path=a/model.safetensors"
#define GIB (UINT64_C(1) << 30)

/* Both texts of an ask, and what is read from them. */
struct read {
	struct wire_ask ask;
	struct buf path, why;
	int result;
};

static void read_fini(struct read *r)
{
	buf_free(&r->path);
	buf_free(&r->why);
}

static struct read read_ask(const char *target, const char *range)
{
	struct read r = { 0 };

	r.result = wire_read_ask(target, range, &r.ask, &r.path, &r.why);
	return r;
}

static struct wire_ask whole_ask(void)
{
	struct wire_ask ask = {
		.size = GIB,
		.off = 2 * SEGMENT_BYTES,
		.len = SEGMENT_BYTES,
		.bring = true,
		.path = "a b/c&d=e+f%20#?\xc3\xa9",
		.lfs = true,
		.failed = { "192.0.2.1:9980", "[2001:db8::1]:9980", "node-1.example:9980" },
		.failed_count = 3,
	};

	snprintf(ask.etag, sizeof(ask.etag), "%s", SHA256);
	snprintf(ask.commit, sizeof(ask.commit), "%s", SHA1);
	assert_int_equal(repo_id_parse(REPO_DATASET, "org/na.me", &ask.repo), 0);
	return ask;
}

static void assert_same(const struct wire_ask *a, const struct wire_ask *b)
{
	assert_string_equal(a->etag, b->etag);
	assert_int_equal(a->lfs, b->lfs);
	assert_int_equal(a->size, b->size);
	assert_int_equal(a->off, b->off);
	assert_int_equal(a->len, b->len);
	assert_int_equal(a->bring, b->bring);
	assert_int_equal(a->number, b->number);
	assert_int_equal(a->wait_ms, b->wait_ms);
	assert_int_equal(a->failed_count, b->failed_count);
	for (unsigned i = 0; i < a->failed_count; i++)
		assert_string_equal(a->failed[i], b->failed[i]);
	assert_int_equal(a->repo.type, b->repo.type);
	assert_string_equal(a->repo.name, b->repo.name);
	assert_string_equal(a->commit, b->commit);
	assert_string_equal(a->path, b->path);
}

static void assert_comes_back(const struct wire_ask *ask)
{
	CLEANUP(buf_free) struct buf target = { 0 };
	CLEANUP(buf_free) struct buf range = { 0 };
	CLEANUP(read_fini) struct read r = { 0 };

	assert_int_equal(wire_write_ask(ask, &target, &range), 0);
	for (const char *c = buf_str(&target); *c; c++)
		assert_true(*c > ' ' && *c < 0x7f && *c != '#');
	r = read_ask(buf_str(&target), buf_str(&range));
	assert_string_equal(buf_str(&r.why), "");
	assert_int_equal(r.result, 0);
	assert_same(ask, &r.ask);
}

static void assert_bad(const char *target, const char *range, const char *why)
{
	CLEANUP(read_fini) struct read r = read_ask(target, range);

	assert_string_equal(buf_str(&r.why), why);
	assert_int_equal(r.result, -EINVAL);
}

static void assert_good(const char *target, const char *range)
{
	CLEANUP(read_fini) struct read r = read_ask(target, range);

	assert_string_equal(buf_str(&r.why), "");
	assert_int_equal(r.result, 0);
}

/* --- whole asks */

static void what_is_asked_is_what_is_read(void **state)
{
	struct wire_ask ask = whole_ask();

	(void)state;
	assert_comes_back(&ask);
	ask.bring = false;
	assert_comes_back(&ask);
	ask.number = 7;
	assert_comes_back(&ask);
	ask.failed_count = 0;
	assert_comes_back(&ask);
	ask.etag[40] = '\0';
	ask.lfs = false;
	assert_comes_back(&ask);
	ask.off = ask.size - 1;
	ask.len = 1;
	assert_comes_back(&ask);
}

static void the_texts_are_those_of_the_protocol(void **state)
{
	CLEANUP(buf_free) struct buf target = { 0 };
	CLEANUP(buf_free) struct buf range = { 0 };
	struct wire_ask ask = whole_ask();

	(void)state;
	ask.path = "a b/c";
	ask.failed_count = 2;
	assert_int_equal(wire_write_ask(&ask, &target, &range), 0);
	assert_string_equal(buf_str(&target),
			    BLOB "?size=1073741824&repo=datasets/org/na.me&commit=" SHA1
				 "&path=a%20b/c&bring=1&failed=192.0.2.1%3A9980,"
				 "%5B2001%3Adb8%3A%3A1%5D%3A9980");
	assert_string_equal(buf_str(&range), "bytes=33554432-50331647");
}

static uint64_t draw(uint64_t *seed, uint64_t below)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (*seed >> 20) % below;
}

static void draw_hex(uint64_t *seed, size_t len, char *ret)
{
	for (size_t i = 0; i < len; i++)
		ret[i] = "0123456789abcdef"[draw(seed, 16)];
	ret[len] = '\0';
}

/* A path of any bytes a name may have. */
static void draw_path(uint64_t *seed, char ret[static 64])
{
	size_t len = 1 + draw(seed, 62);

	for (size_t i = 0; i < len; i++)
		ret[i] = (char)(' ' + 1 + draw(seed, 0x7e - ' '));
	for (size_t i = 0; i < len; i++) {
		if (ret[i] == '/' || ret[i] == '.')
			ret[i] = '%';
	}
	ret[len] = '\0';
	if (len > 2)
		ret[len / 2] = '/';
}

/* The blob that is asked for, and nothing of how it is. */
static void assert_blob_comes_back(const char *etag, bool lfs)
{
	struct wire_ask ask = whole_ask(), back;
	struct source_blob blob;

	snprintf(ask.etag, sizeof(ask.etag), "%s", etag);
	ask.lfs = lfs;
	assert_int_equal(wire_blob(&ask, &blob), 0);
	back = wire_ask_of(&blob, ask.off, ask.len);
	ask.bring = false;
	ask.failed_count = 0;
	assert_same(&ask, &back);
	assert_false(back.digests || back.witness || back.held);
}

static void a_blob_that_was_asked_for_is_asked_for_so_again(void **state)
{
	(void)state;
	assert_blob_comes_back(SHA256, true);
	assert_blob_comes_back(SHA1, false);
}

static void any_ask_comes_back(void **state)
{
	uint64_t seed = 7;

	(void)state;
	for (int i = 0; i < 2000; i++) {
		struct wire_ask ask = whole_ask();
		char path[64];
		uint64_t room;

		ask.lfs = draw(&seed, 2);
		draw_hex(&seed, ask.lfs ? 64 : 40, ask.etag);
		draw_hex(&seed, COMMIT_HEX, ask.commit);
		ask.size = 1 + draw(&seed, UINT64_C(1) << (1 + draw(&seed, 40)));
		ask.off = draw(&seed, ask.size);
		room = SEGMENT_BYTES - ask.off % SEGMENT_BYTES;
		ask.len = 1 + draw(&seed, room < ask.size - ask.off ? room : ask.size - ask.off);
		ask.bring = draw(&seed, 2);
		ask.number = draw(&seed, 2) ? (uint32_t)draw(&seed, UINT32_MAX) : 0;
		ask.wait_ms = (uint32_t)draw(&seed, WIRE_WAIT_MAX_MS + 1);
		ask.failed_count = (unsigned)draw(&seed, WIRE_OTHERS_MAX + 1);
		for (unsigned j = 0; j < ask.failed_count; j++)
			snprintf(ask.failed[j], sizeof(ask.failed[j]), "node-%ju:%ju",
				 (uintmax_t)draw(&seed, 10000), (uintmax_t)draw(&seed, 65535) + 1);
		draw_path(&seed, path);
		ask.path = path;
		assert_comes_back(&ask);
	}
}

/* --- one thing wrong */

static void a_target_names_one_blob_by_its_digest(void **state)
{
	(void)state;
	assert_good(BLOB "?size=1" PLACE, "bytes=0-0");
	assert_bad("/peer/v1/blobs/" SHA256 "0?size=1", "bytes=0-0", "it names no blob");
	assert_bad("/peer/v1/blobs/" SHA1 "012345?size=1", "bytes=0-0", "it names no blob");
	assert_bad("/peer/v1/blobs/0123456789ABCDEF0123456789abcdef01234567?size=1", "bytes=0-0",
		   "it names no blob");
	assert_bad("/peer/v1/blobs/../../" SHA1 "?size=1", "bytes=0-0", "it names no blob");
	assert_bad("/peer/v2/blobs/" SHA256 "?size=1", "bytes=0-0", "it names no blob");
	assert_bad("http://node" BLOB "?size=1" PLACE, "bytes=0-0", "it names no blob");
	assert_bad("/peer/v1/blobs/?size=1", "bytes=0-0", "it names no blob");
	assert_bad(BLOB "/?size=1", "bytes=0-0", "it names no blob");
	assert_bad(BLOB, "bytes=0-0", "it names no blob");
	assert_bad("", "bytes=0-0", "it names no blob");
}

static void a_size_is_a_number(void **state)
{
	const char *const bad[] = { "",   "-1",  "+1",
				    "01", "1k",  " 1",
				    "1 ", "0x1", "18446744073709551616" };

	(void)state;
	assert_bad(BLOB "?", "bytes=0-0", "a field of its query has no value");
	assert_bad(BLOB "?other=1", "bytes=0-0", "its size is none");
	assert_good(BLOB "?size=1099511627776" PLACE, "bytes=0-0");
	assert_bad(BLOB "?size=1099511627777" PLACE, "bytes=0-0", "its size is none");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		char target[200];

		snprintf(target, sizeof(target), BLOB "?size=%s" PLACE, bad[i]);
		assert_bad(target, "bytes=0-0", "its size is none");
	}
}

static void a_field_is_there_once_and_a_later_versions_is_passed_over(void **state)
{
	(void)state;
	assert_good(BLOB "?size=1&news=x&size2=9" PLACE, "bytes=0-0");
	assert_bad(BLOB "?size=1&size=1" PLACE, "bytes=0-0", "a field of its query is there twice");
	assert_bad(BLOB "?size=1&news" PLACE, "bytes=0-0", "a field of its query has no value");
	assert_bad(BLOB "?size=1&&failed=a:1" PLACE, "bytes=0-0",
		   "a field of its query has no value");
}

static void a_place_is_told_as_a_whole(void **state)
{
	(void)state;
	assert_good(BLOB "?size=1" PLACE, "bytes=0-0");
	assert_bad(BLOB "?size=1&repo=models/a/b", "bytes=0-0",
		   "it does not say where the blob lies");
	assert_bad(BLOB "?size=1&repo=models/a/b&commit=" SHA1, "bytes=0-0",
		   "it does not say where the blob lies");
	assert_bad(BLOB "?size=1&commit=" SHA1 "&path=x", "bytes=0-0",
		   "it does not say where the blob lies");
	assert_bad(BLOB "?size=1&repo=a/b&commit=" SHA1 "&path=x", "bytes=0-0", "its repo is none");
	assert_bad(BLOB "?size=1&repo=models/../b&commit=" SHA1 "&path=x", "bytes=0-0",
		   "its repo is none");
	assert_bad(BLOB "?size=1&repo=models/a/b&commit=main&path=x", "bytes=0-0",
		   "its commit is none");
	assert_bad(BLOB "?size=1&repo=models/a/b&commit=" SHA256 "&path=x", "bytes=0-0",
		   "its commit is none");
}

static void a_path_is_one_that_a_repository_may_have(void **state)
{
	const char *const bad[] = { "",     "/x",    "x/",     "x//y", "..",  "a/../b",
				    "%2e.", "x%0Ay", "%FF%FE", ".",    "a%2f" };
	char target[3000], why[] = "its path is none that a repository may have";

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		snprintf(target, sizeof(target),
			 BLOB "?size=1&repo=models/a/b&commit=" SHA1 "&path=%s", bad[i]);
		assert_bad(target, "bytes=0-0", why);
	}
	snprintf(target, sizeof(target),
		 BLOB "?size=1&repo=models/a/b&commit=" SHA1 "&path=%0254d/x", 1);
	assert_good(target, "bytes=0-0");
	snprintf(target, sizeof(target),
		 BLOB "?size=1&repo=models/a/b&commit=" SHA1 "&path=%0256d/x", 1);
	assert_bad(target, "bytes=0-0", why);
}

static void a_field_has_no_nul(void **state)
{
	(void)state;
	assert_bad(BLOB "?size=1&repo=models/a/b&commit=" SHA1 "&path=a%00b", "bytes=0-0",
		   "a field of its query has a NUL");
	assert_good(BLOB "?size=1&repo=models/a/b&commit=" SHA1 "&path=a%2500b", "bytes=0-0");
}

static void a_range_is_within_the_blob_and_one_segment(void **state)
{
	const char *const bad[] = { "bytes=",
				    "bytes=1",
				    "bytes=-1",
				    "bytes=1-",
				    "bytes=1-0",
				    "bytes=a-b",
				    "bytes=0-1,3-4",
				    "bytes=0-1 ",
				    "bytes= 0-1",
				    "bytes=00-1",
				    "bytes=0-18446744073709551616" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_bad(BLOB "?size=100" PLACE, bad[i], "its range is none");
	assert_bad(BLOB "?size=100" PLACE, "", "it asks for no range");
	assert_bad(BLOB "?size=100" PLACE, "items=0-1", "it asks for no range");
	assert_good(BLOB "?size=100" PLACE, "bytes=99-99");
	assert_bad(BLOB "?size=100" PLACE, "bytes=99-100", "its range ends behind the blob");
	assert_bad(BLOB "?size=0" PLACE, "bytes=0-0", "its range ends behind the blob");
	assert_good(BLOB "?size=1073741824" PLACE, "bytes=0-16777215");
	assert_bad(BLOB "?size=1073741824" PLACE, "bytes=0-16777216",
		   "its range lies in more than one segment");
	assert_good(BLOB "?size=1073741824" PLACE, "bytes=16777216-33554431");
	assert_bad(BLOB "?size=1073741824" PLACE, "bytes=16777215-16777216",
		   "its range lies in more than one segment");
}

static void a_wait_is_a_number_within_bounds(void **state)
{
	(void)state;
	assert_good(BLOB "?size=1" PLACE "&wait=1", "bytes=0-0");
	assert_good(BLOB "?size=1" PLACE "&wait=10000", "bytes=0-0");
	assert_bad(BLOB "?size=1" PLACE "&wait=10001", "bytes=0-0", "its wait is none");
	assert_bad(BLOB "?size=1" PLACE "&wait=0", "bytes=0-0", "its wait is none");
	assert_bad(BLOB "?size=1" PLACE "&wait=1s", "bytes=0-0", "its wait is none");
}

static void an_age_is_a_number(void **state)
{
	(void)state;
	assert_int_equal(wire_read_quiet("0"), 0);
	assert_int_equal(wire_read_quiet("4294967295"), 4294967295);
	assert_int_equal(wire_read_quiet("4294967296"), -1);
	assert_int_equal(wire_read_quiet("-1"), -1);
	assert_int_equal(wire_read_quiet("1 "), -1);
	assert_int_equal(wire_read_quiet(""), -1);
}

static void who_was_sent_here_has_a_number(void **state)
{
	(void)state;
	assert_good(BLOB "?size=1&number=1" PLACE, "bytes=0-0");
	assert_good(BLOB "?size=1&number=4294967295" PLACE, "bytes=0-0");
	assert_bad(BLOB "?size=1&number=0" PLACE, "bytes=0-0", "its number is none");
	assert_bad(BLOB "?size=1&number=" PLACE, "bytes=0-0", "its number is none");
	assert_bad(BLOB "?size=1&number=-1" PLACE, "bytes=0-0", "its number is none");
	assert_bad(BLOB "?size=1&number=4294967296" PLACE, "bytes=0-0", "its number is none");
}

static void who_failed_has_an_address(void **state)
{
	(void)state;
	assert_good(BLOB "?size=1&failed=" PLACE, "bytes=0-0");
	assert_good(BLOB "?size=1&failed=a:1,b:2,c:3,d:4,e:5,f:6,g:7,h:8" PLACE, "bytes=0-0");
	assert_bad(BLOB "?size=1&failed=a:1,b:2,c:3,d:4,e:5,f:6,g:7,h:8,i:9" PLACE, "bytes=0-0",
		   "it names too many that failed");
	assert_bad(BLOB "?size=1&failed=a:1,b" PLACE, "bytes=0-0",
		   "one that failed has no address");
}

/* --- others */

/* ---- digests ---- */

static struct wire_ask digests_ask(bool witness)
{
	struct wire_ask ask = whole_ask();

	ask.digests = true;
	ask.witness = witness;
	ask.bring = false;
	ask.failed_count = 0;
	return ask;
}

static void digests_are_asked_of_a_whole_segment(void **state)
{
	(void)state;
	for (int as = 0; as < 3; as++) {
		CLEANUP(buf_free) struct buf target = { 0 }, range = { 0 };
		struct wire_ask ask = digests_ask(as == 1);
		struct read r;

		ask.held = as == 2;
		assert_int_equal(wire_write_ask(&ask, &target, &range), 0);
		assert_string_equal(buf_str(&range), "");
		assert_non_null(strstr(buf_str(&target), "/peer/v1/digests/" SHA256 "?size="));
		r = read_ask(buf_str(&target), "");
		assert_int_equal(r.result, 0);
		assert_true(r.ask.digests);
		assert_int_equal(r.ask.witness, as == 1);
		assert_int_equal(r.ask.held, as == 2);
		assert_int_equal(r.ask.off, ask.off);
		assert_int_equal(r.ask.len, SEGMENT_BYTES);
		assert_string_equal(r.ask.path, ask.path);
		read_fini(&r);
	}
}

static void a_witness_may_be_asked_for_some_chunks(void **state)
{
	CLEANUP(buf_free) struct buf target = { 0 }, range = { 0 };
	struct wire_ask ask = digests_ask(true);
	struct read r;

	(void)state;
	ask.chunks = 1 << 15 | 1;
	assert_int_equal(wire_write_ask(&ask, &target, &range), 0);
	r = read_ask(buf_str(&target), "");
	assert_int_equal(r.result, 0);
	assert_true(r.ask.witness);
	assert_int_equal(r.ask.chunks, ask.chunks);
	read_fini(&r);
	assert_bad("/peer/v1/digests/" SHA256 "?size=9" PLACE "&segment=0&witness=1&chunks=0", "",
		   "its chunks are none");
	assert_bad("/peer/v1/digests/" SHA256 "?size=9" PLACE "&segment=0&witness=1&chunks=65536",
		   "", "its chunks are none");
}

static void a_segment_is_one_that_the_blob_has(void **state)
{
	(void)state;
	assert_good("/peer/v1/digests/" SHA256 "?size=16777217" PLACE "&segment=1", "");
	assert_bad("/peer/v1/digests/" SHA256 "?size=16777216" PLACE "&segment=1", "",
		   "its segment is none");
	assert_bad("/peer/v1/digests/" SHA256 "?size=16777216" PLACE, "", "its segment is none");
	assert_bad("/peer/v1/digests/" SHA256 "?size=0" PLACE "&segment=0", "",
		   "its segment is none");
	assert_bad("/peer/v1/digests/" SHA256 "?size=9" PLACE "&segment=x", "",
		   "its segment is none");
}

static void digests_come_back_and_those_that_are_not_known_stay_so(void **state)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	struct wire_ask ask = digests_ask(false);
	struct wire_digests d = { 0 }, back;

	(void)state;
	for (unsigned i = 0; i < WIRE_CHUNKS; i += 3)
		memset(d.of[i], (int)i + 1, sizeof(d.of[i]));
	wire_write_digests(&ask, &d, &text);
	assert_true(wire_read_digests(&ask, buf_str(&text), &back));
	assert_memory_equal(&d, &back, sizeof(d));
	assert_true(chunk_digest_known(back.of[0]));
	assert_false(chunk_digest_known(back.of[1]));
	ask.len = 3 * (UINT64_C(1) << 20) - 5; /* the last segment of a blob */
	assert_false(wire_read_digests(&ask, buf_str(&text), &back));
	assert_true(wire_read_digests(&ask, "-,-," SHA256, &back));
}

static void what_is_no_digest_is_not_read(void **state)
{
	struct wire_ask ask = digests_ask(false);
	struct wire_digests d;
	const char *const bad[] = { "",      "-",         "-,-",          "-,-,-,", "-,-,-,-",
				    "x,-,-", "-,-," SHA1, SHA256 "0,-,-", "-;-;-" };

	(void)state;
	ask.len = 3 << 20;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(wire_read_digests(&ask, bad[i], &d));
	assert_true(wire_read_digests(&ask, "-,-,-", &d));
}

static void others_are_read_as_they_were_written(void **state)
{
	const char others[3][MEMBER_ADDRESS_MAX + 1] = { "192.0.2.1:9980", "[2001:db8::1]:1",
							 "n.example:65535" };
	char read[WIRE_OTHERS_MAX][MEMBER_ADDRESS_MAX + 1];
	CLEANUP(buf_free) struct buf text = { 0 };

	(void)state;
	wire_write_others(others, 3, &text);
	assert_string_equal(buf_str(&text), "192.0.2.1:9980, [2001:db8::1]:1, n.example:65535");
	assert_int_equal(wire_read_others(buf_str(&text), read), 3);
	for (int i = 0; i < 3; i++)
		assert_string_equal(read[i], others[i]);
	assert_int_equal(wire_read_others("", read), 0);
}

static void what_has_no_form_of_an_address_is_left_out(void **state)
{
	char read[WIRE_OTHERS_MAX][MEMBER_ADDRESS_MAX + 1];
	char text[512], name[MEMBER_ADDRESS_MAX + 1] = { 0 };

	(void)state;
	assert_int_equal(wire_read_others("a:0, b:65536, c, :1, d:1x, e:, u@f:1, g/h:1, ::1:80, "
					  "[::1]80, i:000001, [::1]:80,, j:1 k:2",
					  read),
			 3);
	assert_string_equal(read[0], "[::1]:80");
	assert_string_equal(read[1], "j:1");
	assert_string_equal(read[2], "k:2");
	memset(name, 'n', sizeof(name) - 1);
	snprintf(text, sizeof(text), "%.*s:1, %.*s:1", MEMBER_ADDRESS_MAX - 1, name,
		 MEMBER_ADDRESS_MAX - 2, name);
	assert_int_equal(wire_read_others(text, read), 1);
	assert_int_equal(strlen(read[0]), MEMBER_ADDRESS_MAX);
}

/* It is one of a list's, or none. */
static void an_address_is_what_lists_have(void **state)
{
	char read[WIRE_OTHERS_MAX][MEMBER_ADDRESS_MAX + 1];

	(void)state;
	assert_int_equal(
		wire_read_others("127.1:1, 0x7f000001:1, 0.0.0.0:1, [::]:1, "
				 "[::ffff:192.0.2.1]:1, [2001:DB8:0::1]:1, Node-3.Example:1",
				 read),
		2);
	assert_string_equal(read[0], "[2001:db8::1]:1");
	assert_string_equal(read[1], "node-3.example:1");
}

static void so_many_others_are_heard_and_no_more(void **state)
{
	char read[WIRE_OTHERS_MAX][MEMBER_ADDRESS_MAX + 1];

	(void)state;
	assert_int_equal(wire_read_others("a:1,b:1,c:1,d:1,e:1,f:1,g:1,h:1,i:1,j:1", read),
			 WIRE_OTHERS_MAX);
	assert_string_equal(read[7], "h:1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_asked_is_what_is_read),
		cmocka_unit_test(the_texts_are_those_of_the_protocol),
		cmocka_unit_test(a_blob_that_was_asked_for_is_asked_for_so_again),
		cmocka_unit_test(any_ask_comes_back),
		cmocka_unit_test(a_target_names_one_blob_by_its_digest),
		cmocka_unit_test(a_size_is_a_number),
		cmocka_unit_test(a_field_is_there_once_and_a_later_versions_is_passed_over),
		cmocka_unit_test(a_place_is_told_as_a_whole),
		cmocka_unit_test(a_path_is_one_that_a_repository_may_have),
		cmocka_unit_test(a_field_has_no_nul),
		cmocka_unit_test(a_range_is_within_the_blob_and_one_segment),
		cmocka_unit_test(a_wait_is_a_number_within_bounds),
		cmocka_unit_test(an_age_is_a_number),
		cmocka_unit_test(who_was_sent_here_has_a_number),
		cmocka_unit_test(who_failed_has_an_address),
		cmocka_unit_test(digests_are_asked_of_a_whole_segment),
		cmocka_unit_test(a_witness_may_be_asked_for_some_chunks),
		cmocka_unit_test(a_segment_is_one_that_the_blob_has),
		cmocka_unit_test(digests_come_back_and_those_that_are_not_known_stay_so),
		cmocka_unit_test(what_is_no_digest_is_not_read),
		cmocka_unit_test(others_are_read_as_they_were_written),
		cmocka_unit_test(what_has_no_form_of_an_address_is_left_out),
		cmocka_unit_test(an_address_is_what_lists_have),
		cmocka_unit_test(so_many_others_are_heard_and_no_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
