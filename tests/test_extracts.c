/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/catalogue/extracts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "tests/kept_repo.h"

#define TEXT_BYTES (1 << 20) /* of the largest text that is read */
#define HEADER \
	"{\"w\":{\"dtype\":\"F16\",\"shape\":[3,5],\"data_offsets\":[0,30]}," \
	"\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[30,38]}}"

/* A file, and what came of asking for it. */
struct asked {
	struct extracts x;
	struct manifest_file file;
	int r; /* of the question */
	struct buf text;
	struct safetensors_counts counts;
	struct gguf_facts gguf;
	bool in_write;
};

static struct asked begin(struct kept *k, const void *data, size_t len)
{
	struct asked a = { .x = { .intake = k->in } };
	char etag[DIGEST_HEX_MAX + 1];

	assert_int_equal(intake_put(k->in, data, len, etag), 0);
	a.file = (struct manifest_file){ .kind = DIGEST_GIT_SHA1, .size = len };
	assert_int_equal(hex_parse(etag, GIT_ID, a.file.digest), 0);
	return a;
}

static void asked_fini(struct asked *a)
{
	extracts_fini(&a->x);
	buf_free(&a->text);
}

/* A safetensors file of 15 numbers of one kind, and two of another. */
static struct asked begin_weights(struct kept *k)
{
	CLEANUP(buf_free) struct buf file = { 0 };
	static const char numbers[38];
	struct asked a;

	buf_add_u64(&file, strlen(HEADER));
	buf_add_str(&file, HEADER);
	buf_add(&file, numbers, sizeof(numbers));
	a = begin(k, file.data, file.len);
	return a;
}

static int ask_text(struct db_txn *t, void *arg)
{
	struct asked *a = arg;
	const struct extracts_in in = { &a->x, t, a->in_write };

	buf_clear(&a->text);
	a->r = extracts_text(&in, &a->file, &a->text);
	return 0;
}

static int ask_tensors(struct db_txn *t, void *arg)
{
	struct asked *a = arg;
	const struct extracts_in in = { &a->x, t, a->in_write };

	a->counts = (struct safetensors_counts){ .count = 0 };
	a->r = extracts_tensors(&in, &a->file, &a->counts);
	return 0;
}

static int ask_gguf(struct db_txn *t, void *arg)
{
	struct asked *a = arg;
	const struct extracts_in in = { &a->x, t, a->in_write };

	a->r = extracts_gguf(&in, &a->file, &a->gguf);
	return 0;
}

static int ask(struct kept *k, struct asked *a, db_fn fn, bool in_write)
{
	a->in_write = in_write;
	assert_int_equal(in_write ? db_write(k->db, fn, a) : db_read(k->db, fn, a), 0);
	return a->r;
}

static int forget(struct db_txn *t, void *arg)
{
	const struct asked *a = arg;
	char etag[DIGEST_HEX_MAX + 1];

	manifest_etag(&a->file, etag);
	return extracts_forget(t, etag);
}

/* ---- texts ---- */

static void who_only_reads_hears_it_once_it_was_read_outside(void **state)
{
	struct kept *k = *state;
	CLEANUP(asked_fini) struct asked a = begin(k, "hello", 5);

	assert_int_equal(extracts_read(&a.x), 0); /* nobody has asked */
	assert_int_equal(ask(k, &a, ask_text, false), -EAGAIN);
	assert_int_equal(a.x.reads, 0);
	assert_int_equal(extracts_read(&a.x), 1);
	assert_int_equal(ask(k, &a, ask_text, false), 0);
	assert_string_equal(buf_str(&a.text), "hello");
	assert_int_equal(extracts_read(&a.x), 0);
	assert_int_equal(a.x.reads, 1);
}

static void who_writes_hears_it_at_once(void **state)
{
	struct kept *k = *state;
	CLEANUP(asked_fini) struct asked a = begin(k, "hello", 5);

	assert_int_equal(ask(k, &a, ask_text, true), 0);
	assert_string_equal(buf_str(&a.text), "hello");
	assert_int_equal(a.x.reads, 1);
}

static void a_text_that_is_too_large_says_nothing(void **state)
{
	CLEANUP(buf_free) struct buf large = { 0 };
	struct kept *k = *state;

	assert_int_equal(buf_reserve(&large, TEXT_BYTES + 1), 0);
	memset(large.data, 'x', TEXT_BYTES + 1);
	{
		CLEANUP(asked_fini) struct asked a = begin(k, large.data, TEXT_BYTES);
		CLEANUP(asked_fini) struct asked b = begin(k, large.data, TEXT_BYTES + 1);

		assert_int_equal(ask(k, &a, ask_text, true), 0);
		assert_int_equal(a.text.len, TEXT_BYTES);
		assert_int_equal(ask(k, &b, ask_text, true), 0);
		assert_int_equal(b.text.len, 0);
	}
}

static void a_file_whose_bytes_are_not_here_says_nothing(void **state)
{
	struct kept *k = *state;
	CLEANUP(asked_fini) struct asked a = begin(k, "hello", 5);

	a.file.digest[0] ^= 1;
	assert_int_equal(ask(k, &a, ask_text, true), 0);
	assert_int_equal(a.text.len, 0);
	assert_int_equal(ask(k, &a, ask_gguf, true), -ENOENT);
}

/* ---- weights ---- */

static void assert_weights(const struct asked *a)
{
	assert_int_equal(a->counts.count, 2);
	assert_int_equal(safetensors_total(&a->counts), 17);
	for (size_t i = 0; i < 2; i++) {
		const struct safetensors_dtype *d = &a->counts.list[i];

		assert_int_equal(d->numbers, strcmp(d->name, "F16") ? 2 : 15);
	}
}

static void what_weights_say_is_read_once_for_all_who_ask(void **state)
{
	struct kept *k = *state;
	CLEANUP(asked_fini) struct asked a = begin_weights(k), later = begin_weights(k);

	assert_int_equal(ask(k, &a, ask_tensors, true), 0);
	assert_weights(&a);
	assert_int_equal(a.x.reads, 1);
	assert_int_equal(ask(k, &later, ask_tensors, false), 0);
	assert_weights(&later);
	assert_int_equal(later.x.reads, 0); /* of its row */
	assert_int_equal(db_write(k->db, forget, &a), 0);
	assert_int_equal(ask(k, &later, ask_tensors, false), -EAGAIN);
}

static void what_was_read_ahead_gets_its_row_from_who_writes(void **state)
{
	struct kept *k = *state;
	CLEANUP(asked_fini) struct asked a = begin_weights(k), other = begin_weights(k);

	assert_int_equal(ask(k, &a, ask_tensors, false), -EAGAIN);
	assert_int_equal(extracts_read(&a.x), 1);
	assert_int_equal(ask(k, &a, ask_tensors, false), 0);
	assert_weights(&a);
	assert_int_equal(ask(k, &other, ask_tensors, false), -EAGAIN); /* it has none yet */
	assert_int_equal(ask(k, &a, ask_tensors, true), 0);
	assert_int_equal(a.x.reads, 1);
	extracts_fini(&other.x);
	other.x = (struct extracts){ .intake = k->in };
	assert_int_equal(ask(k, &other, ask_tensors, false), 0);
	assert_weights(&other);
}

static void what_is_no_weights_adds_nothing_and_is_known_to(void **state)
{
	struct kept *k = *state;
	CLEANUP(asked_fini) struct asked a = begin(k, "none", 4), later = begin(k, "none", 4);

	assert_int_equal(ask(k, &a, ask_tensors, true), 0);
	assert_int_equal(a.counts.count, 0);
	assert_int_equal(ask(k, &a, ask_gguf, true), -ENOENT);
	assert_int_equal(ask(k, &later, ask_tensors, false), 0);
	assert_int_equal(ask(k, &later, ask_gguf, false), -ENOENT);
	assert_int_equal(later.x.reads, 0);
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, kept_setup, kept_teardown)
	const struct CMUnitTest tests[] = {
		STORY(who_only_reads_hears_it_once_it_was_read_outside),
		STORY(who_writes_hears_it_at_once),
		STORY(a_text_that_is_too_large_says_nothing),
		STORY(a_file_whose_bytes_are_not_here_says_nothing),
		STORY(what_weights_say_is_read_once_for_all_who_ask),
		STORY(what_was_read_ahead_gets_its_row_from_who_writes),
		STORY(what_is_no_weights_adds_nothing_and_is_known_to),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
