/* SPDX-License-Identifier: Apache-2.0 */
/* Repositories that are hosted here: what the node tells of them is what their keeper has now. No
 * hub can be asked. */
#include "daemon/names/hosted.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/cache/catalog.h"
#include "daemon/nap.h"
#include "daemon/node.h"
#include "tests/workdir.h"

#define COMMIT_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define COMMIT_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define COMMIT_C "cccccccccccccccccccccccccccccccccccccccc"
#define WAIT_MS 10000

static const struct node_hub nobody = { .url = "http://127.0.0.1:9" };

/* A keeper of one repository. */
struct keeper_of_one {
	struct repo_id id;  /* name "": there is none */
	struct repo_id was; /* a name it had, or "" */
	char commit[COMMIT_HEX + 1], tag[COMMIT_HEX + 1];
	unsigned listed; /* so often files of a commit were asked for */
	int failure;     /* of whatever is asked, or 0 */
};

struct world {
	struct workdir dir;
	struct keeper_of_one keeper;
	struct hosted hosted;
	struct node *node;
	struct repo_id id;
};

/* ---- the keeper ---- */

static bool is_it(const struct keeper_of_one *k, const struct repo_id *id)
{
	return k->id.name[0] && k->id.type == id->type &&
	       (!strcasecmp(k->id.name, id->name) || !strcasecmp(k->was.name, id->name));
}

static int each(void *arg, hosted_repo_fn fn, void *to)
{
	const struct keeper_of_one *k = arg;

	int r = k->id.name[0] ? fn(to, &k->id) : 0;

	return r == 0 && k->was.name[0] ? fn(to, &k->was) : r;
}

static int refs(void *arg, const struct repo_id *id, struct repo_id *ret_id, hosted_ref_fn fn,
		void *to)
{
	struct keeper_of_one *k = arg;
	int r;

	if (k->failure)
		return k->failure;
	if (!is_it(k, id))
		return -ENOENT;
	*ret_id = k->id;
	r = k->tag[0] ? fn(to, "v1", k->tag) : 0;
	if (r == 0 && k->tag[0])
		r = fn(to, "main", COMMIT_C); /* a tag of that name, which does not count */
	return r == 0 ? fn(to, "main", k->commit) : r;
}

static int find(void *arg UNUSED, const struct repo_id *id UNUSED, const char *revision,
		char ret[static COMMIT_HEX + 1])
{
	if (strcmp(revision, "aaaaaaa") != 0)
		return ERR_NOREV;
	memcpy(ret, COMMIT_A, COMMIT_HEX + 1);
	return 0;
}

static int files(void *arg, const struct repo_id *id, const char *commit, int64_t *ret_date_s,
		 struct manifest **ret)
{
	CLEANUP(manifest_builder_freep) struct manifest_builder *b = NULL;
	CLEANUP(buf_free) struct buf why = { 0 };
	struct manifest_file f = { .size = 5, .kind = DIGEST_SHA256, .digest = { 1 } };
	struct keeper_of_one *k = arg;

	if (!is_it(k, id))
		return ERR_NOREPO;
	if (!strcmp(commit, COMMIT_C))
		return ERR_NOREV;
	k->listed++;
	*ret_date_s = 7;
	assert_int_equal(manifest_builder_new(&b), 0);
	assert_int_equal(manifest_builder_add(b, commit, &f, &why), 0);
	return manifest_builder_finish(b, ret, &why);
}

/* ---- the node ---- */

static void start(struct world *w)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	const struct node_conf conf = {
		.cache_dir = w->dir.path,
		.owner = "test",
		.hubs = &nobody,
		.hub_count = 1,
		.offline = true,
		.hosted = &w->hosted,
		.ref_ttl_ms = 3600000,
		.timeout_ms = WAIT_MS,
	};

	assert_int_equal(node_open(&conf, &w->node, &why), 0);
}

static void stop(struct world *w)
{
	assert_true(node_stop(w->node));
	node_close(w->node);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	if (!w || repo_id_parse(REPO_MODEL, "Ann/Model", &w->keeper.id) < 0 ||
	    repo_id_parse(REPO_MODEL, "ann/model", &w->id) < 0)
		return -1;
	strcpy(w->keeper.commit, COMMIT_A);
	w->hosted = (struct hosted){ each, refs, find, files, &w->keeper };
	workdir_init(&w->dir);
	start(w);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	stop(w);
	workdir_fini(&w->dir);
	free(w);
	return 0;
}

static int look_up(struct world *w, struct repo **ret)
{
	struct waiter waiter;

	waiter_init(&waiter, WAIT_MS, NULL);
	return node_repo(w->node, &w->id, &waiter, ret);
}

static struct repo *the_repo(struct world *w)
{
	struct repo *repo = NULL;

	assert_int_equal(look_up(w, &repo), 0);
	return repo_canonical(repo);
}

/* The commit of a revision, "" if there is none. */
static const char *commit_of(struct world *w, const char *revision)
{
	static char commit[COMMIT_HEX + 1];
	struct waiter waiter;
	int r;

	waiter_init(&waiter, WAIT_MS, NULL);
	r = node_ref(w->node, the_repo(w), revision, &waiter, commit);
	assert_true(r == 0 || r == ERR_NOREV);
	return r == 0 ? commit : "";
}

/* 0 if the commit's one file is named like it. */
static int list(struct world *w, struct repo *repo, const char *commit)
{
	CLEANUP(snapshot_unrefp) struct snapshot *s = NULL;
	struct nap nap;
	int r;

	nap_init(&nap, w->node);
	do {
		r = node_snapshot(w->node, repo, commit, &nap.waiter, &s);
		if (r == PARKED)
			r = nap_wait(&nap, NULL, node_leave_lookup);
	} while (r == PARKED || (r == 0 && !s));
	nap_fini(&nap);
	return r == 0 && manifest_find(s->files, commit) == MANIFEST_NONE ? -1 : r;
}

static void it_is_found_by_any_spelling_and_needs_no_hub(void **state)
{
	struct world *w = *state;
	struct repo *repo = the_repo(w);

	assert_string_equal(repo_key(repo), "models/Ann/Model");
	assert_true(repo_is_hosted(repo));
	assert_string_equal(commit_of(w, "main"), COMMIT_A);
	assert_string_equal(commit_of(w, "aaaaaaa"), COMMIT_A);
	assert_string_equal(commit_of(w, "none"), "");
	assert_int_equal(list(w, repo, COMMIT_A), 0);
	assert_int_equal(list(w, repo, COMMIT_C), ERR_NOREV);
}

/* However long a ref is believed. */
static void a_change_counts_when_it_was_told(void **state)
{
	struct world *w = *state;

	assert_string_equal(commit_of(w, "main"), COMMIT_A);
	strcpy(w->keeper.commit, COMMIT_B);
	strcpy(w->keeper.tag, COMMIT_A);
	assert_int_equal(node_renew(w->node, &w->id), 0);
	assert_string_equal(commit_of(w, "main"), COMMIT_B);
	assert_string_equal(commit_of(w, "v1"), COMMIT_A);
	w->keeper.tag[0] = '\0';
	assert_string_equal(commit_of(w, "v1"), COMMIT_A);
	assert_int_equal(node_renew(w->node, &w->id), 0);
	assert_string_equal(commit_of(w, "v1"), "");
}

static void if_it_cannot_be_read_what_was_known_stands(void **state)
{
	struct world *w = *state;

	strcpy(w->keeper.commit, COMMIT_B);
	w->keeper.failure = -EIO;
	assert_int_equal(node_renew(w->node, &w->id), -EIO);
	assert_string_equal(commit_of(w, "main"), COMMIT_A);
}

static void what_was_deleted_is_found_by_no_name_and_who_holds_it_may_go_on(void **state)
{
	struct world *w = *state;
	struct repo *old = the_repo(w), *found = NULL;

	assert_int_equal(list(w, old, COMMIT_A), 0);
	w->keeper.id.name[0] = '\0';
	assert_int_equal(node_renew(w->node, &w->id), 0);
	assert_true(repo_is_buried(old));
	assert_string_equal(repo_key(old), "models/Ann/Model");
	assert_null(known_repo(node_known(w->node), &w->id));
	assert_null(known_repo_like(node_known(w->node), &w->id));
	assert_int_equal(look_up(w, &found), ERR_OFFLINE);
	assert_int_equal(list(w, old, COMMIT_B), ERR_NOREPO);
	strcpy(w->keeper.id.name, "ann/MODEL");
	assert_int_equal(node_renew(w->node, &w->id), 0);
	assert_string_equal(repo_key(the_repo(w)), "models/ann/MODEL");
	assert_ptr_not_equal(the_repo(w), old);
}

static void move(struct world *w, const char *to)
{
	w->keeper.was = w->keeper.id;
	assert_int_equal(repo_id_parse(REPO_MODEL, to, &w->keeper.id), 0);
	assert_int_equal(node_renew(w->node, &w->keeper.was), 0);
}

static void a_name_it_had_leads_to_the_one_it_has_also_after_a_restart(void **state)
{
	struct world *w = *state;
	struct repo_names names;

	move(w, "org/other");
	for (int i = 0; i < 2; i++) {
		struct repo *now = the_repo(w);

		assert_string_equal(repo_key(now), "models/org/other");
		assert_true(repo_is_hosted(now));
		assert_string_equal(commit_of(w, "main"), COMMIT_A);
		assert_int_equal(list(w, now, COMMIT_A), 0);
		known_names(node_known(w->node), now, &names);
		assert_int_equal(names.count, 2);
		stop(w);
		start(w);
	}
	move(w, "Ann/Model");
	assert_string_equal(repo_key(the_repo(w)), "models/Ann/Model");
}

static void a_name_that_was_left_can_be_anothers(void **state)
{
	struct world *w = *state;
	struct repo_id first = w->keeper.id, other;
	struct repo_names names;

	move(w, "org/other");
	assert_string_equal(repo_key(the_repo(w)), "models/org/other");
	other = w->keeper.id;
	w->keeper.id = first; /* another one, of which the keeper tells now */
	w->keeper.was.name[0] = '\0';
	assert_int_equal(node_renew(w->node, &first), 0);
	assert_string_equal(repo_key(the_repo(w)), "models/Ann/Model");
	known_names_of(node_known(w->node), &other, &names);
	assert_int_equal(names.count, 1);
	assert_string_equal(names.list[0]->name, "org/other");
}

/* Its files are read anew. */
static void what_was_forgotten_is_asked_for_again(void **state)
{
	struct world *w = *state;

	assert_int_equal(list(w, the_repo(w), COMMIT_A), 0);
	known_host_forget(node_known(w->node), &w->id);
	assert_int_equal(node_renew(w->node, &w->id), 0);
	assert_int_equal(list(w, the_repo(w), COMMIT_A), 0);
	assert_int_equal(w->keeper.listed, 2);
	assert_string_equal(commit_of(w, "main"), COMMIT_A);
}

static int count_row(void *arg, const char *key UNUSED, const char *canonical UNUSED)
{
	++*(unsigned *)arg;
	return 0;
}

/* Its keeper has it all. */
static void nothing_of_it_is_in_the_index(void **state)
{
	CLEANUP(buf_free) struct buf why = { 0 }, dir = { 0 };
	struct world *w = *state;
	struct catalog *catalog;
	unsigned rows = 0;

	assert_int_equal(list(w, the_repo(w), COMMIT_A), 0);
	strcpy(w->keeper.commit, COMMIT_B);
	assert_int_equal(node_renew(w->node, &w->id), 0);
	stop(w);
	buf_printf(&dir, "%s/index", w->dir.path);
	assert_int_equal(catalog_open(buf_str(&dir), &catalog, &why), 0);
	assert_int_equal(catalog_each_repo(catalog, count_row, &rows), 0);
	assert_int_equal(rows, 0);
	catalog_close(catalog);
	start(w);
	assert_string_equal(commit_of(w, "main"), COMMIT_B);
}

static void files_are_asked_for_once(void **state)
{
	struct world *w = *state;

	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(list(w, the_repo(w), COMMIT_A), 0);
	assert_int_equal(w->keeper.listed, 1);
}

#define STORY(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(it_is_found_by_any_spelling_and_needs_no_hub),
		STORY(a_change_counts_when_it_was_told),
		STORY(if_it_cannot_be_read_what_was_known_stands),
		STORY(what_was_deleted_is_found_by_no_name_and_who_holds_it_may_go_on),
		STORY(a_name_it_had_leads_to_the_one_it_has_also_after_a_restart),
		STORY(a_name_that_was_left_can_be_anothers),
		STORY(what_was_forgotten_is_asked_for_again),
		STORY(nothing_of_it_is_in_the_index),
		STORY(files_are_asked_for_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
