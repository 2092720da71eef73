/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/shown.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/base/err.h"
#include "fs/listing.h"
#include "tests/seeded_node.h"

#define MODEL "hub/models--org--model"
#define LOCKS "hub/.locks"
#define ADDRESS "10.0.0.1"

struct row {
	const char *path;
	int result;
};

struct fixture {
	struct seeded_node *seeded;
	struct scope_rules *rules;
	struct scope *scope;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	*state = f;
	return seeded_node_setup((void **)&f->seeded);
}

static void forget_scope(struct fixture *f)
{
	f->seeded->view.scope = NULL;
	scope_free(f->scope);
	scope_rules_free(f->rules);
	f->scope = NULL;
	f->rules = NULL;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	int r;

	forget_scope(f);
	r = seeded_node_teardown((void **)&f->seeded);
	free(f);
	return r;
}

static void see_only(struct fixture *f, const char *rule)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	char *item = (char *)(uintptr_t)rule;
	struct conf_list list = { .items = &item, .count = 1 };

	forget_scope(f);
	assert_int_equal(scope_rules_new(&list, &f->rules, &why), 0);
	assert_int_equal(scope_new(f->rules, ADDRESS, &f->scope), 0);
	f->seeded->view.scope = f->scope;
}

static void check(struct fixture *f, const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct place p;
		int64_t ttl_ms;
		int r = seeded_node_walk(f->seeded, rows[i].path, &p, &ttl_ms);

		if (r != rows[i].result)
			fail_msg("%s: %d", rows[i].path, r);
		if (r == 0)
			place_fini(&p);
	}
}

static void names_are_refused_be_they_there_or_not(void **state)
{
	static const struct row of_model[] = {
		{ MODEL, 0 },
		{ MODEL "/refs/main", 0 },
		{ MODEL "/blobs/" ETAG_CONFIG, 0 },
		{ "hub/models--old--model", 0 }, /* known to be its name, too */
		{ "hub/models--Org--Model", 0 },
		{ "files/org/model", 0 },
		{ "files/org/model@v1.0", 0 },
		{ "files/old/model", 0 },
		{ LOCKS "/models--org--model", 0 },
		{ "hub/models--gpt2", -EACCES },
		{ "hub/models--mirror--model", -EACCES },
		{ "hub/datasets--org--model", -EACCES }, /* not ERR_OFFLINE: nobody is asked */
		{ "hub/models--org--absent", -EACCES },
		{ "files/org/bare", -EACCES },
		{ "files/datasets/org/data", -EACCES },
		{ LOCKS "/models--org--absent", -EACCES },
		{ "token", -EACCES },
		{ "hub/version.txt", -ENOENT },
		{ LOCKS "/x", -ENOENT },
	};
	static const struct row of_old_name[] = {
		{ "hub/models--old--model", -EACCES },
		{ "files/old/model", -EACCES },
		{ MODEL, -EACCES },
		{ "hub/models--org--absent", -EACCES },
	};
	static const struct row of_all[] = {
		{ "hub/models--gpt2", 0 },
		{ "files/datasets/org/data", 0 },
		{ "hub/models--org--absent", ERR_OFFLINE },
		{ "token", -ENOENT },
	};
	struct fixture *f = *state;

	see_only(f, "10.0.0.0/8=models/org/model");
	check(f, of_model, ARRAY_LEN(of_model));
	see_only(f, "10.0.0.0/8=old/*");
	check(f, of_old_name, ARRAY_LEN(of_old_name));
	forget_scope(f);
	check(f, of_all, ARRAY_LEN(of_all));
}

static bool shown(struct fixture *f, const char *path)
{
	struct place p;
	bool is;

	f->seeded->view.scope = NULL; /* it was found by another one */
	p = seeded_node_place(f->seeded, path);
	is = shown_place(f->scope, node_known(f->seeded->node), &p);
	place_fini(&p);
	return is;
}

static void places_are_shown_as_their_names_are(void **state)
{
	static const char *const ours[] = { "",
					    "hub",
					    LOCKS,
					    LOCKS "/models--org--model",
					    LOCKS "/models--org--model/a.lock",
					    LOCKS "/x",
					    "hub/y",
					    "hub/d",
					    "hub/d/models--org--model",
					    MODEL,
					    MODEL "/refs/a.tmp",
					    MODEL "/blobs/" ETAG_CONFIG,
					    "hub/models--old--model",
					    "files",
					    "files/org",
					    "files/org/model" };
	static const char *const theirs[] = { "z",
					      "hub/models--gpt2",
					      "hub/models--gpt2/refs",
					      "hub/models--gpt2/refs/a.tmp",
					      LOCKS "/models--gpt2",
					      LOCKS "/models--gpt2/a.lock",
					      "hub/d/models--gpt2",
					      "hub/d/models--gpt2/a.lock",
					      "hub/models--mirror--model/blobs/" ETAG_CONFIG,
					      "files/datasets/org/data" };
	struct fixture *f = *state;
	struct seeded_node *s = f->seeded;

	seeded_node_write(s, LOCKS "/models--org--model", "a.lock", S_IFREG | 0644);
	seeded_node_write(s, LOCKS "/models--gpt2", "a.lock", S_IFREG | 0644);
	seeded_node_write(s, LOCKS, "x", S_IFREG | 0644);
	seeded_node_write(s, "hub", "y", S_IFREG | 0644);
	seeded_node_write(s, "hub", "d", S_IFDIR | 0755);
	seeded_node_write(s, "hub/d", "models--org--model", S_IFDIR | 0755);
	seeded_node_write(s, "hub/d", "models--gpt2", S_IFDIR | 0755);
	seeded_node_write(s, "hub/d/models--gpt2", "a.lock", S_IFREG | 0644);
	seeded_node_write(s, "", "z", S_IFREG | 0644);
	seeded_node_write(s, MODEL "/refs", "a.tmp", S_IFREG | 0644);
	seeded_node_write(s, "hub/models--gpt2/refs", "a.tmp", S_IFREG | 0644);
	for (size_t i = 0; i < ARRAY_LEN(theirs); i++)
		assert_true(shown(f, theirs[i])); /* without rules */
	see_only(f, "10.0.0.0/8=org/model");
	for (size_t i = 0; i < ARRAY_LEN(ours); i++)
		if (!shown(f, ours[i]))
			fail_msg("\"%s\" is not shown", ours[i]);
	for (size_t i = 0; i < ARRAY_LEN(theirs); i++)
		if (shown(f, theirs[i]))
			fail_msg("\"%s\" is shown", theirs[i]);
	see_only(f, "192.0.2.0/24=*");
	assert_false(shown(f, ""));
}

/* All names, with blanks between them. */
static void list(struct fixture *f, const char *path, struct buf *ret)
{
	struct place dir = seeded_node_place(f->seeded, path), p;
	struct listing *l;
	const char *name;

	buf_clear(ret);
	assert_int_equal(listing_open_ended(&f->seeded->view, &dir, -ENOENT, &l), 0);
	for (uint32_t i = 0; i < listing_count(l); i++) {
		assert_int_equal(listing_get(l, i, &name, &p), 0);
		place_fini(&p);
		buf_printf(ret, "%s ", name);
	}
	listing_close(l);
	place_fini(&dir);
}

static void only_what_is_shown_is_listed(void **state)
{
	CLEANUP(buf_free) struct buf names = { 0 };
	struct fixture *f = *state;

	seeded_node_write(f->seeded, LOCKS "/models--org--model", "a.lock", S_IFREG | 0644);
	seeded_node_write(f->seeded, LOCKS "/models--gpt2", "a.lock", S_IFREG | 0644);
	seeded_node_write(f->seeded, "", "token", S_IFREG | 0600);
	list(f, LOCKS, &names);
	assert_string_equal(buf_str(&names), "models--gpt2 models--org--model ");
	list(f, "", &names);
	assert_string_equal(buf_str(&names), "files hub token ");
	see_only(f, "10.0.0.0/8=org/model,datasets/*");
	list(f, LOCKS, &names);
	assert_string_equal(buf_str(&names), "models--org--model ");
	list(f, "", &names);
	assert_string_equal(buf_str(&names), "files hub ");
	list(f, "hub", &names);
	assert_string_equal(buf_str(&names), ".locks datasets--org--data models--org--model ");
	list(f, "files/org", &names);
	assert_string_equal(buf_str(&names), "model ");
	list(f, "files", &names);
	assert_string_equal(buf_str(&names), "datasets org spaces ");
}

/* Also for who sees all repositories: it is of none. */
static void what_lies_beside_the_hub_is_shown_where_that_is_wanted(void **state)
{
	CLEANUP(buf_free) struct buf names = { 0 };
	struct fixture *f = *state;
	struct view *v = &f->seeded->view;
	struct place token, lock, p;
	int64_t ttl_ms;

	seeded_node_write(f->seeded, "", "token", S_IFREG | 0644);
	seeded_node_write(f->seeded, "hub", "x.lock", S_IFREG | 0644);
	token = seeded_node_place(f->seeded, "token");
	lock = seeded_node_place(f->seeded, "hub/x.lock");
	for (unsigned alone = 0; alone < 2; alone++) {
		v->hub_alone = alone;
		list(f, "", &names);
		assert_string_equal(buf_str(&names), alone ? "files hub " : "files hub token ");
		assert_int_equal(view_is_shown(v, &token), !alone);
		assert_true(view_is_shown(v, &lock));
		if (alone)
			assert_int_equal(seeded_node_walk(f->seeded, "token", &p, &ttl_ms),
					 -ENOENT);
	}
	place_fini(&lock);
	place_fini(&token);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(names_are_refused_be_they_there_or_not, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(places_are_shown_as_their_names_are, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(only_what_is_shown_is_listed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			what_lies_beside_the_hub_is_shown_where_that_is_wanted, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
