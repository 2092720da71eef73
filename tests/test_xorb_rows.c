/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/xorb_rows.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/err.h"
#include "tests/hub_db.h"

#define ONE "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define TWO "ff112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define UID_A "aaaaaaaaaaaaaaaaaaaaaaaa"
#define UID_B "bbbbbbbbbbbbbbbbbbbbbbbb"
#define CHUNKS 4

/* A xorb of four chunks of 10, 20, 30, 40 bytes. */
struct fixture {
	struct hub_db *hub;
	struct xorb_map map;
	uint8_t name[XET_HASH];
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	uint8_t hash[XET_HASH];
	void *hub = NULL;

	assert_non_null(f);
	assert_int_equal(hub_db_setup(&hub), 0);
	f->hub = hub;
	for (uint8_t i = 0; i < CHUNKS; i++) {
		memset(hash, i + 1, sizeof(hash));
		assert_int_equal(xorb_map_add(&f->map, hash, 10 * (i + 1U)), 0);
	}
	xorb_map_name(&f->map, f->name);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	void *hub = f->hub;

	xorb_map_fini(&f->map);
	free(f);
	return hub_db_teardown(&hub);
}

/* One call, inside a transaction. */
struct call {
	struct fixture *f;
	const char *uid, *etag;
	struct buf pieces, owners, all;
	struct xorb_map got;
};

static void call_fini(struct call *c)
{
	buf_free(&c->pieces);
	buf_free(&c->owners);
	buf_free(&c->all);
	xorb_map_fini(&c->got);
}

static int put(struct db_txn *t, void *arg)
{
	struct call *c = arg;

	const struct xorb_owner owner = { c->uid, c->uid[0] == 'a' ? "ann" : "bob" };

	return xorb_rows_put(t, c->f->name, &c->f->map, &c->pieces, &owner, &c->all);
}

/* True if all chunks have a place then. */
static bool place(struct fixture *f, const char *uid, uint32_t from, uint32_t to, uint64_t off,
		  const char *etag)
{
	CLEANUP(call_fini) struct call c = { .f = f, .uid = uid };
	struct xorb_piece p = { from, to, off, "" };

	snprintf(p.etag, sizeof(p.etag), "%s", etag);
	assert_int_equal(buf_add(&c.pieces, &p, sizeof(p)), 0);
	assert_int_equal(xorb_pieces_add_twins(&f->map, &c.pieces), 0);
	assert_int_equal(db_write(f->hub->db, put, &c), 0);
	return xorb_pieces_are_whole(&c.all, xorb_map_count(&f->map));
}

static int list_owner(void *arg, const char *uid)
{
	return buf_printf(arg, "%s ", uid);
}

static int get(struct db_txn *t, void *arg)
{
	struct call *c = arg;
	int r = xorb_rows_get(t, c->f->name, &c->got);

	return r < 0 ? r : xorb_rows_owners(t, c->f->name, list_owner, &c->owners);
}

static int forget(struct db_txn *t, void *arg)
{
	const struct call *c = arg;
	unsigned left = XORB_ROWS_SOME;

	return xorb_rows_forget(t, c->etag, &left);
}

static void forget_blob(struct fixture *f, const char *etag)
{
	struct call c = { .f = f, .etag = etag };

	assert_int_equal(db_write(f->hub->db, forget, &c), 0);
}

static size_t pieces(const struct call *c)
{
	return c->got.pieces.len / sizeof(struct xorb_piece);
}

static void a_xorb_is_found_as_it_was_put(void **state)
{
	struct fixture *f = *state;
	CLEANUP(call_fini) struct call c = { .f = f };
	const struct xorb_piece *p;

	assert_int_equal(db_read(f->hub->db, get, &c), -ENOENT);
	assert_true(place(f, UID_A, 0, CHUNKS, 1000, ONE));
	hub_db_reopen(f->hub);
	assert_int_equal(db_read(f->hub->db, get, &c), 0);
	assert_int_equal(xorb_map_count(&c.got), CHUNKS);
	assert_int_equal(xorb_map_start(&c.got, 0), 0);
	assert_int_equal(xorb_map_start(&c.got, 3), 60);
	assert_int_equal(xorb_map_start(&c.got, CHUNKS), 100);
	assert_memory_equal(c.got.hashes.data, f->map.hashes.data, f->map.hashes.len);
	assert_int_equal(pieces(&c), 1);
	p = (const void *)c.got.pieces.data;
	assert_int_equal(p->off, 1000);
	assert_string_equal(p->etag, ONE);
	assert_string_equal(buf_str(&c.owners), UID_A " ");
}

static void it_is_whole_once_each_chunk_has_a_place(void **state)
{
	struct fixture *f = *state;

	assert_false(place(f, UID_A, 2, 4, 0, ONE));
	assert_false(place(f, UID_A, 0, 1, 0, TWO));
	assert_true(place(f, UID_A, 1, 2, 0, TWO));
}

static void places_and_owners_come_together(void **state)
{
	struct fixture *f = *state;
	CLEANUP(call_fini) struct call c = { .f = f };

	place(f, UID_A, 0, 4, 0, ONE);
	place(f, UID_B, 0, 4, 50, TWO);
	place(f, UID_B, 1, 2, 50, TWO); /* which it has */
	assert_int_equal(db_read(f->hub->db, get, &c), 0);
	assert_int_equal(pieces(&c), 2);
	assert_string_equal(buf_str(&c.owners), UID_A " " UID_B " ");
}

struct generation {
	const char *user;
	uint32_t now;
};

static int get_generation(struct db_txn *t, void *arg)
{
	struct generation *g = arg;

	return xorb_rows_generation(t, g->user, &g->now);
}

static uint32_t generation(struct fixture *f, const char *user)
{
	struct generation g = { user, 0 };

	assert_int_equal(db_read(f->hub->db, get_generation, &g), 0);
	return g.now;
}

static void what_lay_in_a_blob_goes_with_it(void **state)
{
	struct fixture *f = *state;
	CLEANUP(call_fini) struct call one = { .f = f }, none = { .f = f };

	place(f, UID_A, 0, 4, 0, ONE);
	place(f, UID_B, 0, 4, 50, TWO);
	forget_blob(f, ONE);
	assert_int_equal(generation(f, "ann"), 1); /* all of it is here still */
	assert_int_equal(db_read(f->hub->db, get, &one), 0);
	assert_int_equal(pieces(&one), 1);
	forget_blob(f, ONE); /* of which nothing is left */
	forget_blob(f, TWO);
	assert_int_equal(generation(f, "ann"), 2);
	assert_int_equal(db_read(f->hub->db, get, &none), -ENOENT);
	assert_true(place(f, UID_B, 0, 4, 0, ONE));
	assert_int_equal(db_read(f->hub->db, get, &none), 0);
	assert_string_equal(buf_str(&none.owners), UID_B " "); /* whose it was is forgotten */
}

static void those_who_brought_it_are_to_forget_it_and_nobody_else(void **state)
{
	struct fixture *f = *state;

	place(f, UID_A, 0, 4, 0, ONE);
	forget_blob(f, ONE);
	assert_int_equal(generation(f, "ann"), 2);
	assert_int_equal(generation(f, "bob"), 1);
	/* Some of its chunks are enough. */
	place(f, UID_A, 0, 2, 0, ONE);
	place(f, UID_B, 1, 4, 0, TWO);
	forget_blob(f, ONE);
	assert_int_equal(generation(f, "ann"), 3);
	assert_int_equal(generation(f, "bob"), 2);
}

struct having {
	struct fixture *f;
	uint32_t chunk;
	unsigned count;
};

static int count_xorb(void *arg, const uint8_t xorb[static XET_HASH])
{
	struct having *h = arg;

	assert_memory_equal(xorb, h->f->name, XET_HASH);
	h->count++;
	return 0;
}

static int count_having(struct db_txn *t, void *arg)
{
	struct having *h = arg;

	return xorb_rows_having(t, xorb_map_hashes(&h->f->map, h->chunk), count_xorb, h);
}

static unsigned having(struct fixture *f, uint32_t chunk)
{
	struct having h = { f, chunk, 0 };

	assert_int_equal(db_read(f->hub->db, count_having, &h), 0);
	return h.count;
}

static void the_first_chunk_of_a_file_leads_to_its_xorb(void **state)
{
	struct fixture *f = *state;

	place(f, UID_A, 1, 3, 0, ONE);
	place(f, UID_A, 0, 1, 77, TWO);
	assert_int_equal(having(f, 0), 0);
	assert_int_equal(having(f, 1), 1);
	assert_int_equal(having(f, 2), 0);
	forget_blob(f, ONE); /* no other begins with it */
	assert_int_equal(having(f, 1), 0);
	place(f, UID_A, 0, 1, 0, TWO);
	assert_int_equal(having(f, 0), 1);
	forget_blob(f, TWO);
	assert_int_equal(having(f, 0), 0);
}

/* Of the same chunk, and of another that is the same. */
static void it_does_as_long_as_a_file_begins_with_it(void **state)
{
	struct fixture *f = *state;

	place(f, UID_A, 1, 3, 0, ONE);
	place(f, UID_A, 1, 4, 0, TWO);
	forget_blob(f, ONE);
	assert_int_equal(having(f, 1), 1);
	forget_blob(f, TWO);
	assert_int_equal(having(f, 1), 0);
	memcpy(f->map.hashes.data + 3 * XET_HASH, xorb_map_hashes(&f->map, 1), XET_HASH);
	place(f, UID_A, 1, 2, 0, ONE);
	place(f, UID_A, 3, 4, 0, TWO);
	forget_blob(f, ONE);
	assert_int_equal(having(f, 1), 1);
	forget_blob(f, TWO);
	assert_int_equal(having(f, 1), 0);
}

/* Its last number can be divided by 1024. */
static void so_does_one_in_a_thousand(void **state)
{
	struct fixture *f = *state;
	uint8_t *last = (uint8_t *)f->map.hashes.data + 3 * XET_HASH + 24;

	place(f, UID_A, 0, CHUNKS, 5, ONE);
	assert_int_equal(having(f, 3), 0);
	last[0] = 0;
	last[1] = 4;
	place(f, UID_A, 0, CHUNKS, 5, TWO);
	assert_int_equal(having(f, 3), 1);
	assert_int_equal(having(f, 2), 0);
	forget_blob(f, ONE); /* the other one has it still */
	assert_int_equal(having(f, 3), 1);
	place(f, UID_A, 0, 2, 5, ONE);
	forget_blob(f, TWO);
	assert_int_equal(having(f, 3), 0);
}

static void a_damaged_row_is_put_anew(void **state)
{
	struct fixture *f = *state;
	CLEANUP(call_fini) struct call c = { .f = f };

	place(f, UID_A, 0, 4, 0, ONE);
	hub_db_damage(f->hub, DB_XORBS, (struct db_key){ f->name, XET_HASH });
	assert_int_equal(db_read(f->hub->db, get, &c), ERR_CORRUPT);
	assert_true(place(f, UID_A, 0, 4, 0, TWO));
	assert_int_equal(db_read(f->hub->db, get, &c), 0);
	forget_blob(f, ONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(story) cmocka_unit_test_setup_teardown(story, set_up, tear_down)
		TEST(a_xorb_is_found_as_it_was_put),
		TEST(it_is_whole_once_each_chunk_has_a_place),
		TEST(places_and_owners_come_together),
		TEST(what_lay_in_a_blob_goes_with_it),
		TEST(those_who_brought_it_are_to_forget_it_and_nobody_else),
		TEST(the_first_chunk_of_a_file_leads_to_its_xorb),
		TEST(it_does_as_long_as_a_file_begins_with_it),
		TEST(so_does_one_in_a_thousand),
		TEST(a_damaged_row_is_put_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
