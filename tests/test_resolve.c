/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/resolve.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "tests/seeded_node.h"

struct answer {
	atomic_int done;
	int r;
	struct place place;
};

static void on_done(void *arg, int r, struct place *p)
{
	struct answer *a = arg;

	a->r = r;
	a->place = *p;
	atomic_fetch_add(&a->done, 1);
}

static int ask(struct seeded_node *s, const char *path, struct place *ret)
{
	struct answer a = { .r = 0 };

	resolve(&s->view, path, 2000, on_done, &a);
	for (int i = 0; i < 1000 && !atomic_load(&a.done); i++)
		clock_sleep_ms(10);
	assert_int_equal(atomic_load(&a.done), 1);
	*ret = a.place;
	return a.r;
}

static void check(struct seeded_node *s, const char *path, enum place_kind kind)
{
	CLEANUP(place_fini) struct place p = { 0 };

	if (ask(s, path, &p) != 0 || p.kind != kind)
		fail_msg("%s", path);
}

static void a_path_leads_to_its_place(void **state)
{
	check(*state, "", PLACE_ROOT);
	check(*state, "/", PLACE_ROOT);
	check(*state, "hub", PLACE_HUB);
	check(*state, "//hub/./models--org--model/", PLACE_REPO);
	check(*state, "hub/models--org--model/snapshots/" COMMIT_MAIN "/config.json", PLACE_LINK);
	check(*state, "hub/models--org--model/blobs/" ETAG_SHARD_1, PLACE_BLOB);
	check(*state, "files/org/model@v1.0/layers/layer2.bin", PLACE_BLOB);
	check(*state, "files/datasets/org/data", PLACE_PLAIN_DIR);
}

static void another_name_of_a_repository_leads_to_the_same(void **state)
{
	check(*state, "hub/models--old--model", PLACE_ALIAS);
	check(*state, "hub/models--old--model/snapshots/" COMMIT_MAIN "/config.json", PLACE_LINK);
	check(*state, "hub/models--Org--Model/refs/main", PLACE_REF);
}

static void what_leads_nowhere_says_so(void **state)
{
	static const struct {
		const char *path;
		int r;
	} table[] = {
		{ "none", ENOENT },
		{ "files/org/model/none", ENOENT },
		{ "files/org/model/config.json/x", ENOTDIR },
		{ "hub/../etc", EINVAL },
		{ "files/other/model", EIO }, /* offline: nobody can tell */
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct place p;
		int r = ask(*state, table[i].path, &p);

		if (r >= 0 || err_errno(r) != table[i].r)
			fail_msg("%s: %d", table[i].path, r);
	}
}

static void what_a_client_wrote_is_found(void **state)
{
	struct seeded_node *s = *state;

	seeded_node_write(s, "hub", "token", S_IFREG | 0600);
	check(s, "hub/token", PLACE_SCRATCH);
}

static void the_hub_is_asked_for_what_was_never_seen(void **state)
{
	struct seeded_node *s = *state;
	unsigned before = fake_origin_count(s->origin, NULL);
	struct place p;

	check(s, "files/org/model/config.json", PLACE_BLOB); /* a known ref will do */
	assert_int_equal(fake_origin_count(s->origin, NULL), before);
	assert_true(ask(s, "files/other/model/x", &p) < 0);
	assert_true(fake_origin_count(s->origin, NULL) > before);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, seeded_node_setup, seeded_node_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_path_leads_to_its_place),
		TEST(another_name_of_a_repository_leads_to_the_same),
		TEST(what_leads_nowhere_says_so),
		TEST(what_a_client_wrote_is_found),
		cmocka_unit_test_setup_teardown(the_hub_is_asked_for_what_was_never_seen,
						seeded_node_setup_online, seeded_node_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
