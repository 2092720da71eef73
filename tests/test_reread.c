/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/reread.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/registry/aside.h"
#include "admin/registry/xorb_rows.h"
#include "daemon/base/file.h"
#include "tests/kept_repo.h"

#define SAID "what its header said"

static int go_on(void *arg, uint64_t bytes, const struct reread_counts *so_far)
{
	(void)arg, (void)bytes, (void)so_far;
	return 0;
}

static void note_loss(void *arg, const char *etag, bool missing)
{
	buf_printf(arg, "%.4s%s ", etag, missing ? "?" : "");
}

static struct reread_counts read_again(struct kept *k, const char *want)
{
	CLEANUP(buf_free) struct buf lost = { 0 };
	struct reread r = {
		.db = k->db, .intake = k->in, .rest = go_on, .tell = note_loss, .arg = &lost
	};

	assert_int_equal(reread_all(&r), 0);
	assert_string_equal(buf_str(&lost), want);
	return r.counts;
}

/* A row of weights, by its etag. */
struct row {
	char key[DIGEST_HEX_MAX + 2];
};

static struct row row_of(const char *text)
{
	char etag[DIGEST_HEX_MAX + 1];
	struct row row;

	kept_etag(text, true, etag);
	snprintf(row.key, sizeof(row.key), "%ss", etag);
	return row;
}

static int put_row(struct db_txn *t, void *arg)
{
	const struct row *row = arg;

	return db_put(t, DB_EXTRACTS, db_text(row->key), SAID, strlen(SAID));
}

static int get_row(struct db_txn *t, void *arg)
{
	CLEANUP(buf_free) struct buf val = { 0 };
	const struct row *row = arg;

	return db_get(t, DB_EXTRACTS, db_text(row->key), &val);
}

static void bring_with_row(struct kept *k, const char *text)
{
	struct row row = row_of(text);

	kept_bring(k, "one", text, true);
	assert_int_equal(db_write(k->db, put_row, &row), 0);
}

static bool has_row(struct kept *k, const char *text)
{
	struct row row = row_of(text);
	int r = db_read(k->db, get_row, &row);

	assert_true(r == 0 || r == -ENOENT);
	return r == 0;
}

static void rot(struct kept *k, const char *text)
{
	char etag[DIGEST_HEX_MAX + 1], name[sizeof("blobs/aa/") + DIGEST_HEX_MAX];
	CLEANUP(closep) int fd = -1;

	kept_etag(text, true, etag);
	snprintf(name, sizeof(name), "blobs/%.2s/%s", etag, etag);
	assert_int_equal(fchmodat(intake_root(k->in), name, 0600, 0), 0);
	fd = openat(intake_root(k->in), name, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "#", 1, 0), 1);
}

static void what_is_as_it_was_stays_with_what_was_read_of_it(void **state)
{
	struct kept *k = *state;
	struct reread_counts n;

	kept_make(k, KEPT_UID_A, "one");
	bring_with_row(k, "sound");
	n = read_again(k, "");
	assert_true(n.looked == 1 && n.looked_bytes == 5 && !n.damaged && !n.missing && !n.healed);
	assert_true(kept_has(k, "sound", true) && has_row(k, "sound"));
}

static void what_has_rotted_goes_aside_and_what_was_read_of_it_goes(void **state)
{
	struct kept *k = *state;
	char etag[DIGEST_HEX_MAX + 1], told[8];

	kept_make(k, KEPT_UID_A, "one");
	bring_with_row(k, "sound");
	bring_with_row(k, "rotten");
	rot(k, "rotten");
	kept_put_list(k, "rotten", true);
	kept_put_list(k, "sound", true);
	kept_etag("rotten", true, etag);
	snprintf(told, sizeof(told), "%.4s ", etag);
	assert_int_equal(read_again(k, told).damaged, 1);
	assert_false(kept_has_list(k, "rotten", true));
	assert_true(kept_has_list(k, "sound", true));
	assert_false(kept_has(k, "rotten", true));
	assert_true(aside_was_damaged(k->in, etag));
	assert_false(has_row(k, "rotten"));
	assert_true(kept_has(k, "sound", true) && has_row(k, "sound")); /* twin */
	assert_int_equal(read_again(k, "").damaged, 0);                 /* it is told of once */
}

/* Somebody was reading it when it went aside, and wrote down later what it had found. */
static void when_it_has_come_again_nothing_is_left_of_what_was_wrong(void **state)
{
	struct kept *k = *state;
	char etag[DIGEST_HEX_MAX + 1], told[8];

	kept_make(k, KEPT_UID_A, "one");
	bring_with_row(k, "rotten");
	rot(k, "rotten");
	kept_etag("rotten", true, etag);
	snprintf(told, sizeof(told), "%.4s ", etag);
	assert_int_equal(read_again(k, told).healed, 0);
	bring_with_row(k, "rotten");
	assert_int_equal(read_again(k, "").healed, 1);
	assert_false(has_row(k, "rotten") || aside_was_damaged(k->in, etag));
	bring_with_row(k, "rotten"); /* twin: what is read of it now is right */
	assert_int_equal(read_again(k, "").healed, 0);
	assert_true(has_row(k, "rotten"));
}

static int put_xorb(struct db_txn *t, void *arg)
{
	CLEANUP(xorb_map_fini) struct xorb_map m = { 0 };
	CLEANUP(buf_free) struct buf all = { 0 };
	const struct xorb_owner owner = { KEPT_UID_A, "ann" };
	const char *text = arg;
	struct xorb_piece p = { 0, 1, 0, "" };
	uint8_t hash[XET_HASH];
	int r;

	kept_etag(text, true, p.etag);
	xet_hash_chunk(text, strlen(text), hash);
	r = xorb_map_add(&m, hash, (uint32_t)strlen(text));
	if (r == 0)
		r = buf_add(&m.pieces, &p, sizeof(p));
	return r < 0 ? r : xorb_rows_put(t, hash, &m, &m.pieces, &owner, &all);
}

struct known {
	const char *text;
	uint32_t generation; /* of who brought it */
};

static int get_known(struct db_txn *t, void *arg)
{
	struct known *k = arg;
	char etag[DIGEST_HEX_MAX + 1];
	int r = xorb_rows_generation(t, "ann", &k->generation);

	kept_etag(k->text, true, etag);
	return r < 0 ? r : xorb_rows_any(t, etag);
}

/* Who brought its chunks is to bring them again, and not to hear so when they name them. */
static void chunks_that_lay_in_it_are_forgotten(void **state)
{
	struct kept *k = *state;
	struct known sound = { "sound", 0 }, rotten = { "rotten", 0 };
	char etag[DIGEST_HEX_MAX + 1], told[8], none[] = "sound", some[] = "rotten";

	kept_make(k, KEPT_UID_A, "one");
	bring_with_row(k, "sound");
	bring_with_row(k, "rotten");
	assert_int_equal(db_write(k->db, put_xorb, none), 0);
	assert_int_equal(db_write(k->db, put_xorb, some), 0);
	rot(k, "rotten");
	assert_int_equal(db_read(k->db, get_known, &rotten), 1);
	assert_int_equal(rotten.generation, 1);
	kept_etag("rotten", true, etag);
	snprintf(told, sizeof(told), "%.4s ", etag);
	assert_int_equal(read_again(k, told).damaged, 1);
	assert_int_equal(db_read(k->db, get_known, &rotten), 0);
	assert_int_equal(rotten.generation, 2);
	assert_int_equal(db_read(k->db, get_known, &sound), 1);
	/* A run was cut off when it had set it aside: the next one ends it. */
	assert_int_equal(db_write(k->db, put_xorb, some), 0);
	assert_int_equal(read_again(k, "").damaged, 0);
	assert_int_equal(db_read(k->db, get_known, &rotten), 0);
	assert_int_equal(rotten.generation, 3);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, kept_setup, kept_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_as_it_was_stays_with_what_was_read_of_it),
		TEST(what_has_rotted_goes_aside_and_what_was_read_of_it_goes),
		TEST(chunks_that_lay_in_it_are_forgotten),
		TEST(when_it_has_come_again_nothing_is_left_of_what_was_wrong),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
