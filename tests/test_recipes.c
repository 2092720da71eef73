/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/recipes.h"
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
#define THREE "ee112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define UID "aaaaaaaaaaaaaaaaaaaaaaaa"
#define CHUNKS 100
#define XORBS 2

/* Xorbs of chunks of 1, 2, 3 ... bytes. */
struct fixture {
	struct hub_db *hub;
	struct xorb_map map;
	uint8_t xorbs[XORBS][XET_HASH];
};

static int put_row(struct db_txn *t, void *arg)
{
	struct fixture *f = arg;
	const struct xorb_piece p = { 0, CHUNKS, 0, ONE };
	const struct xorb_owner owner = { UID, "somebody" };
	CLEANUP(buf_free) struct buf pieces = { 0 }, all = { 0 };
	int r = buf_add(&pieces, &p, sizeof(p));

	for (unsigned i = 0; r == 0 && i < XORBS; i++)
		r = xorb_rows_put(t, f->xorbs[i], &f->map, &pieces, &owner, &all);
	return r;
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	uint8_t hash[XET_HASH] = { 0 };
	void *hub = NULL;

	assert_non_null(f);
	assert_int_equal(hub_db_setup(&hub), 0);
	f->hub = hub;
	for (uint32_t i = 0; i < CHUNKS; i++) {
		hash[0] = (uint8_t)i;
		assert_int_equal(xorb_map_add(&f->map, hash, i + 1), 0);
	}
	for (unsigned i = 0; i < XORBS; i++)
		memset(f->xorbs[i], 7 + (int)i, XET_HASH);
	assert_int_equal(db_write(f->hub->db, put_row, f), 0);
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

static struct xet_term term(const struct fixture *f, unsigned xorb, uint32_t from, uint32_t to)
{
	struct xet_term t = { .from = from, .to = to };

	memcpy(t.xorb, f->xorbs[xorb], XET_HASH);
	t.bytes = xorb_map_start(&f->map, to) - xorb_map_start(&f->map, from);
	return t;
}

static int keep(struct fixture *f, const char *etag, uint8_t name, const struct xet_term *terms,
		uint32_t count)
{
	CLEANUP(recipe_notes_fini) struct recipe_notes n = { .db = f->hub->db };
	uint8_t hash[XET_HASH];
	int r;

	memset(hash, name, sizeof(hash));
	r = recipes_note(&n, etag, hash, terms, count);
	return r < 0 ? r : recipes_keep(&n);
}

/* One call, inside a transaction. */
struct call {
	struct fixture *f;
	const char *etag;
	uint8_t hash[XET_HASH];
	const uint8_t *xorb;
	uint64_t from, to;
	struct recipe recipe;
	struct buf terms;
	struct recipe_xorb got;
};

static void call_fini(struct call *c)
{
	buf_free(&c->terms);
	recipe_xorb_fini(&c->got);
}

static int get(struct db_txn *t, void *arg)
{
	struct call *c = arg;

	return recipes_get(t, c->etag, &c->recipe);
}

static int find(struct db_txn *t, void *arg)
{
	struct call *c = arg;

	return recipes_find(t, c->hash, &c->recipe);
}

static int get_terms(struct db_txn *t, void *arg)
{
	struct call *c = arg;

	buf_clear(&c->terms);
	return recipes_terms(t, c->etag, c->from, c->to, &c->terms);
}

static int get_xorb(struct db_txn *t, void *arg)
{
	struct call *c = arg;

	return recipes_xorb(t, c->etag, c->xorb, &c->got);
}

static int forget(struct db_txn *t, void *arg)
{
	struct call *c = arg;

	return recipes_forget(t, c->etag);
}

static size_t count_terms(struct call *c)
{
	assert_int_equal(db_read(c->f->hub->db, get_terms, c), 0);
	return c->terms.len / sizeof(struct recipe_term);
}

static void a_file_is_found_by_both_its_names(void **state)
{
	struct fixture *f = *state;
	const struct xet_term terms[] = { term(f, 0, 0, 10), term(f, 1, 5, 6) };
	struct call c = { .f = f, .etag = ONE };

	assert_int_equal(db_read(f->hub->db, get, &c), -ENOENT);
	assert_int_equal(keep(f, ONE, 1, terms, 2), 0);
	assert_int_equal(db_read(f->hub->db, get, &c), 0);
	assert_int_equal(c.recipe.size, 55 + 6);
	memcpy(c.hash, c.recipe.hash, XET_HASH);
	memset(&c.recipe, 0, sizeof(c.recipe));
	assert_int_equal(db_read(f->hub->db, find, &c), 0);
	assert_string_equal(c.recipe.etag, ONE);
	c.hash[0]++;
	assert_int_equal(db_read(f->hub->db, find, &c), -ENOENT);
}

/* Another client may have cut it elsewhere: who reads it now goes on. */
static void who_brings_it_again_changes_nothing(void **state)
{
	struct fixture *f = *state;
	const struct xet_term terms[] = { term(f, 0, 0, 10) };
	struct call c = { .f = f, .etag = ONE, .to = 55 };

	assert_int_equal(keep(f, ONE, 1, terms, 1), 0);
	assert_int_equal(keep(f, ONE, 2, terms, 1), 0);
	assert_int_equal(db_read(f->hub->db, get, &c), 0);
	assert_int_equal(c.recipe.hash[0], 1);
	assert_int_equal(count_terms(&c), 1);
	call_fini(&c);
}

static void a_file_of_what_is_not_known_has_none(void **state)
{
	struct fixture *f = *state;
	struct xet_term terms[] = { term(f, 0, 0, 10), term(f, 1, 0, 1) };
	struct call c = { .f = f, .etag = ONE };

	memset(terms[1].xorb, 99, XET_HASH);
	assert_int_equal(keep(f, ONE, 1, terms, 2), -ENOENT);
	assert_int_equal(db_read(f->hub->db, get, &c), -ENOENT);
	terms[1] = term(f, 1, 0, CHUNKS);
	terms[1].to++;
	assert_int_equal(keep(f, ONE, 1, terms, 2), ERR_CORRUPT);
	assert_int_equal(keep(f, ONE, 1, terms, 0), 0);
	assert_int_equal(db_read(f->hub->db, get, &c), -ENOENT);
}

/* One that cannot be remembered keeps no other one from it. */
static void several_are_kept_together(void **state)
{
	struct fixture *f = *state;
	const struct xet_term terms[] = { term(f, 0, 0, 10), term(f, 1, 5, 6) };
	CLEANUP(recipe_notes_fini) struct recipe_notes n = { .db = f->hub->db };
	struct call c = { .f = f, .etag = ONE, .hash = { 1 } };
	struct xet_term unknown = terms[0];

	memset(unknown.xorb, 99, XET_HASH);
	assert_int_equal(recipes_note(&n, ONE, c.hash, terms, 2), 0);
	assert_int_equal(recipes_note(&n, THREE, c.hash, &unknown, 1), -ENOENT);
	c.hash[0] = 2;
	assert_int_equal(recipes_note(&n, TWO, c.hash, terms + 1, 1), 0);
	assert_int_equal(db_read(f->hub->db, get, &c), -ENOENT);
	assert_int_equal(recipes_keep(&n), 0);
	assert_int_equal(recipes_keep(&n), 0);
	assert_int_equal(db_read(f->hub->db, get, &c), 0);
	assert_int_equal(db_read(f->hub->db, find, &c), 0);
	assert_string_equal(c.recipe.etag, TWO);
	assert_int_equal(c.recipe.size, 6);
	c.etag = THREE;
	assert_int_equal(db_read(f->hub->db, get, &c), -ENOENT);
}

/* Of many rows, by any byte: those terms, and no others. */
static void the_terms_of_any_range_are_found(void **state)
{
	enum { COUNT = RECIPE_TERMS_MAX + 1 };
	struct fixture *f = *state;
	struct xet_term *terms = calloc(COUNT, sizeof(*terms));
	struct call c = { .f = f, .etag = ONE };
	const struct recipe_term *all;

	assert_non_null(terms);
	for (uint32_t i = 0; i < COUNT; i++) /* of 10 bytes each */
		terms[i] = i % 2 ? term(f, 0, 9, 10) : term(f, 1, 0, 4);
	assert_int_equal(keep(f, ONE, 1, terms, COUNT), 0);
	for (uint64_t from = 0; from < 10 * COUNT; from += 9973) {
		c.from = from;
		c.to = from + 1;
		assert_int_equal(count_terms(&c), 1);
		all = (const void *)c.terms.data;
		assert_int_equal(all->off, from / 10 * 10);
		assert_int_equal(all->bytes, 10);
		assert_int_equal(all->from, from / 10 % 2 ? 9 : 0);
	}
	c.from = 10239; /* two sides of a row's end, and of another's */
	c.to = 20481;
	assert_int_equal(count_terms(&c), 1026);
	c.from = 10;
	c.to = 10 * COUNT;
	assert_int_equal(count_terms(&c), RECIPE_TERMS_MAX);
	c.from--;
	assert_int_equal(db_read(f->hub->db, get_terms, &c), -E2BIG);
	c.from = 10;
	c.to++;
	assert_int_equal(db_read(f->hub->db, get_terms, &c), ERR_CORRUPT);
	call_fini(&c);
	free(terms);
}

/* Chunks 0-9 twice, 5-14, 20-24: each of them once, at a place where it is. */
static void each_chunk_has_one_place(void **state)
{
	struct fixture *f = *state;
	const struct xet_term terms[] = { term(f, 0, 5, 15), term(f, 0, 0, 10), term(f, 1, 0, 3),
					  term(f, 0, 0, 10), term(f, 0, 20, 25) };
	struct call c = { .f = f, .etag = ONE, .xorb = f->xorbs[0] };
	uint64_t begins[ARRAY_LEN(terms) + 1] = { 0 };
	struct recipe_chunk got, same;

	assert_int_equal(keep(f, ONE, 1, terms, ARRAY_LEN(terms)), 0);
	assert_int_equal(db_read(f->hub->db, get_xorb, &c), 0);
	for (unsigned i = 0; i < ARRAY_LEN(terms); i++)
		begins[i + 1] = begins[i] + terms[i].bytes;
	for (uint32_t i = 0; i < CHUNKS; i++) {
		bool has = i < 15 || (i >= 20 && i < 25);
		bool right = false;

		assert_int_equal(recipe_chunk(&c.got, i, &got), has);
		if (!has)
			continue;
		assert_int_equal(got.chunk, i);
		assert_int_equal(got.bytes, i + 1);
		assert_int_equal(got.start, i * (i + 1) / 2);
		for (unsigned k = 0; k < ARRAY_LEN(terms); k++)
			right |= k != 2 && i >= terms[k].from && i < terms[k].to &&
				 got.off == begins[k] + got.start -
						    xorb_map_start(&f->map, terms[k].from);
		assert_true(right);
		for (uint32_t b = 0; b < RECIPE_HEADER + got.bytes; b++) {
			assert_true(recipe_chunk_at(&c.got, recipe_chunk_byte(&got) + b, &same));
			assert_int_equal(same.chunk, i);
		}
	}
	assert_false(
		recipe_chunk_at(&c.got, 15 * RECIPE_HEADER + xorb_map_start(&f->map, 15), &got));
	assert_false(recipe_chunk_at(&c.got, 1000000, &got));
	call_fini(&c);
}

static void what_goes_takes_all_along_and_nothing_else(void **state)
{
	struct fixture *f = *state;
	const struct xet_term terms[] = { term(f, 0, 0, 10), term(f, 1, 5, 6) };
	struct call c = { .f = f, .etag = ONE, .xorb = f->xorbs[0], .to = 1 };

	assert_int_equal(keep(f, ONE, 1, terms, 2), 0);
	assert_int_equal(keep(f, TWO, 2, terms, 2), 0);
	assert_int_equal(db_write(f->hub->db, forget, &c), 0);
	assert_int_equal(db_write(f->hub->db, forget, &c), 0);
	assert_int_equal(db_read(f->hub->db, get, &c), -ENOENT);
	assert_int_equal(db_read(f->hub->db, get_xorb, &c), -ENOENT);
	assert_int_equal(db_read(f->hub->db, get_terms, &c), ERR_CORRUPT);
	memset(c.hash, 1, XET_HASH);
	assert_int_equal(db_read(f->hub->db, find, &c), -ENOENT);
	memset(c.hash, 2, XET_HASH);
	assert_int_equal(db_read(f->hub->db, find, &c), 0);
	c.etag = TWO;
	assert_int_equal(db_read(f->hub->db, get_xorb, &c), 0);
	assert_int_equal(count_terms(&c), 1);
	call_fini(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_file_is_found_by_both_its_names, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(who_brings_it_again_changes_nothing, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_file_of_what_is_not_known_has_none, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(several_are_kept_together, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_terms_of_any_range_are_found, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(each_chunk_has_one_place, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_goes_takes_all_along_and_nothing_else, set_up,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
