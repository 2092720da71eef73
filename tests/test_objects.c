/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/objects.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "admin/registry/holdings.h"
#include "admin/registry/owners.h"
#include "admin/registry/registry.h"
#include "daemon/base/digest.h"
#include "daemon/base/err.h"
#include "tests/hub_db.h"

#define UID "0123456789abcdef01234567"
#define SIZE 700

static const uint8_t one[GIT_ID] = { 1 }, two[GIT_ID] = { 2 };

enum step { OWN, BRING, LIMIT, REMOVE, LEAVE, DISOWN };

struct asked {
	enum step step;
	const char *who; /* a repository's key, a payer, or a namespace */
	const uint8_t *id;
	uint64_t bytes;
};

static int run(struct db_txn *t, void *arg)
{
	const struct asked *q = arg;
	int r;

	switch (q->step) {
	case OWN:
		return objects_own(t, UID, q->who);
	case BRING:
		r = objects_charge(t, UID, q->id, q->who);
		return r < 0 ? r : registry_put_object(t, UID, REGISTRY_FILE, q->id, "700", 3);
	case LIMIT:
		return holdings_limit(t, q->who, q->bytes);
	case REMOVE:
		return objects_remove(t, UID, q->id);
	case LEAVE:
		return objects_leave(t, q->who);
	default:
		return objects_disown(t, UID);
	}
}

static int do_it(struct hub_db *h, enum step step, const char *who, const uint8_t *id)
{
	struct asked q = { step, who, id, SIZE };

	return db_write(h->db, run, &q);
}

static void assert_held(struct hub_db *h, const char *namespace, uint64_t bytes)
{
	struct holdings_use use = hub_db_use(h, namespace);

	assert_int_equal(use.bytes, bytes);
	assert_int_equal(use.files, bytes / SIZE);
}

static int get_owner(struct db_txn *t, void *arg)
{
	return owners_get(t, UID, arg);
}

static void assert_owned(struct hub_db *h, uint64_t bytes)
{
	struct owner o = { .bytes = 0 };

	assert_int_equal(db_read(h->db, get_owner, &o), 0);
	assert_int_equal(o.bytes, bytes);
}

static void begin(struct hub_db *h, const char *payer)
{
	assert_int_equal(do_it(h, OWN, "models/ann/m", NULL), 0);
	assert_int_equal(do_it(h, BRING, payer, one), 0);
}

static void what_a_stranger_brings_is_held_by_the_strangers_namespace(void **state)
{
	struct hub_db *h = *state;

	begin(h, "bob");
	assert_held(h, "bob", SIZE);
	assert_held(h, "ann", 0);
	assert_owned(h, SIZE); /* it is in that history all the same */
}

static void what_an_owner_brings_is_held_by_the_owners(void **state)
{
	struct hub_db *h = *state;

	begin(h, NULL);
	assert_held(h, "ann", SIZE);
	assert_int_equal(do_it(h, BRING, "bob", one), 0); /* it is there: that costs nothing */
	assert_held(h, "bob", 0);
}

static void a_stranger_is_bound_by_a_limit_of_their_own(void **state)
{
	struct hub_db *h = *state;

	assert_int_equal(do_it(h, LIMIT, "bob", NULL), 0);
	begin(h, "bob");
	assert_int_equal(do_it(h, BRING, "bob", two), ERR_QUOTA);
	assert_int_equal(do_it(h, BRING, NULL, two), 0);
}

static void who_may_write_and_names_it_pays_for_it(void **state)
{
	struct hub_db *h = *state;

	assert_int_equal(do_it(h, LIMIT, "ann", NULL), 0);
	begin(h, "bob");
	assert_int_equal(do_it(h, BRING, NULL, two), 0);
	assert_int_equal(do_it(h, BRING, NULL, one), ERR_QUOTA);
	assert_held(h, "bob", SIZE);
	assert_int_equal(do_it(h, REMOVE, NULL, two), 0);
	assert_int_equal(do_it(h, BRING, NULL, one), 0);
	assert_held(h, "bob", 0);
	assert_held(h, "ann", SIZE);
	assert_owned(h, SIZE);
}

static void what_goes_is_given_back_to_whom_it_was_taken_from(void **state)
{
	struct hub_db *h = *state;

	begin(h, "bob");
	assert_int_equal(do_it(h, REMOVE, NULL, one), 0);
	assert_held(h, "bob", 0);
	assert_owned(h, 0);
	assert_int_equal(do_it(h, BRING, NULL, one), 0); /* nobody remembers that it was his */
	assert_held(h, "ann", SIZE);
}

static void it_stays_the_strangers_in_whatever_namespace_the_repository_is(void **state)
{
	struct hub_db *h = *state;

	begin(h, "bob");
	assert_int_equal(do_it(h, BRING, NULL, two), 0);
	assert_int_equal(do_it(h, OWN, "models/org/m", NULL), 0);
	assert_held(h, "ann", 0);
	assert_held(h, "org", SIZE);
	assert_held(h, "bob", SIZE);
	assert_owned(h, 2 * SIZE);
	assert_int_equal(do_it(h, DISOWN, NULL, NULL), 0);
	assert_held(h, "org", 0);
	assert_held(h, "bob", 0);
}

static void what_somebody_brought_who_is_gone_is_held_by_nobody(void **state)
{
	struct hub_db *h = *state;

	begin(h, "bob");
	assert_int_equal(do_it(h, BRING, "bo", two), 0);
	assert_int_equal(do_it(h, LEAVE, "bob", NULL), 0);
	assert_held(h, "bob", 0);
	assert_held(h, HOLDINGS_NOBODY, SIZE);
	assert_held(h, "bo", SIZE); /* twin */
	assert_owned(h, 2 * SIZE);
	assert_int_equal(do_it(h, BRING, NULL, one), 0);
	assert_held(h, HOLDINGS_NOBODY, 0);
	assert_held(h, "ann", SIZE);
	assert_int_equal(do_it(h, LEAVE, "ann", NULL), 0);
	assert_held(h, "ann", SIZE); /* it is in a repository of that name */
}

/* Who pays for it is forgotten: that is mended with the counts, and nothing is stuck meanwhile. */
static void a_repository_whose_payer_cannot_be_read_can_go(void **state)
{
	char room[sizeof(UID) + 2 * GIT_ID + 1] = UID;
	struct hub_db *h = *state;

	begin(h, "bob");
	hex_print(one, GIT_ID, room + sizeof(UID));
	hub_db_damage(h, DB_PAYERS, (struct db_key){ room, sizeof(room) - 1 });
	assert_int_equal(do_it(h, OWN, "models/org/m", NULL), 0);
	assert_int_equal(do_it(h, DISOWN, NULL, NULL), 0);
	assert_held(h, "org", 0);
}

/* A file whose text is a pointer of git-lfs, or one of git-lfs: both have that id. */
struct text_or_lfs {
	enum registry_kind kind;
	const char *etag; /* of git-lfs */
	int has_lfs, has_text;
};

static int put_and_ask(struct db_txn *t, void *arg)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	char hex[2 * GIT_ID + 1];
	struct text_or_lfs *q = arg;
	uint8_t sha256[32], id[GIT_ID];
	int r = hex_parse(q->etag, sizeof(sha256), sha256);

	if (r == 0)
		r = objects_file_id(q->etag, SIZE, id);
	if (r == 0)
		r = git_pointer_print(sha256, SIZE, &text);
	if (r == 0 && q->kind == REGISTRY_FILE) {
		buf_clear(&text);
		r = buf_printf(&text, "130");
	}
	if (r == 0)
		r = registry_put_object(t, UID, q->kind, id, text.data, text.len);
	hex_print(id, GIT_ID, hex);
	q->has_lfs = r < 0 ? r : objects_has_file(t, UID, q->etag, SIZE);
	q->has_text = r < 0 ? r : objects_has_file(t, UID, hex, 130);
	return r;
}

static void a_text_that_reads_as_a_pointer_is_not_the_file_that_it_names(void **state)
{
	static const char *const etags[] = {
		"11c0ffee11c0ffee11c0ffee11c0ffee11c0ffee11c0ffee11c0ffee11c0ffee",
		"22c0ffee22c0ffee22c0ffee22c0ffee22c0ffee22c0ffee22c0ffee22c0ffee",
	};
	struct text_or_lfs text = { .kind = REGISTRY_FILE, .etag = etags[0] },
			   lfs = { .kind = REGISTRY_POINTER, .etag = etags[1] };
	struct hub_db *h = *state;

	begin(h, "bob");
	assert_int_equal(db_write(h->db, put_and_ask, &text), 0);
	assert_true(text.has_lfs == 0 && text.has_text == 1);
	assert_int_equal(db_write(h->db, put_and_ask, &lfs), 0); /* twin */
	assert_true(lfs.has_lfs == 1 && lfs.has_text == 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, hub_db_setup, hub_db_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_a_stranger_brings_is_held_by_the_strangers_namespace),
		TEST(what_an_owner_brings_is_held_by_the_owners),
		TEST(a_stranger_is_bound_by_a_limit_of_their_own),
		TEST(who_may_write_and_names_it_pays_for_it),
		TEST(what_goes_is_given_back_to_whom_it_was_taken_from),
		TEST(it_stays_the_strangers_in_whatever_namespace_the_repository_is),
		TEST(what_somebody_brought_who_is_gone_is_held_by_nobody),
		TEST(a_repository_whose_payer_cannot_be_read_can_go),
		TEST(a_text_that_reads_as_a_pointer_is_not_the_file_that_it_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
