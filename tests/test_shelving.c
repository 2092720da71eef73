/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/catalogue/shelving.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "admin/catalogue/commitfacts.h"
#include "admin/registry/purge.h"
#include "admin/registry/refs.h"
#include "daemon/base/err.h"
#include "tests/kept_repo.h"

#define SHARDS 300
#define UID KEPT_UID_A

/* A commit to the main branch on its way, which tells the catalogue of itself. */
struct step {
	struct kept *k;
	struct commit_plan plan;
	struct commitfacts facts;
	uint64_t late;      /* reads inside the transaction */
	uint64_t late_made; /* facts that were worked out there */
	bool first, unprepared;
	char commit[COMMIT_HEX + 1];
	struct buf why;
};

static void step_fini(struct step *s)
{
	commit_plan_fini(&s->plan);
	commitfacts_fini(&s->facts);
	buf_free(&s->why);
}

static int ahead(struct db *db, void *arg)
{
	struct step *s = arg;
	const struct commitfacts_ahead what = {
		.type = REPO_MODEL,
		.uid = UID,
		.revision = REGISTRY_MAIN,
		.changes = s->plan.changes,
		.count = s->plan.count,
	};

	return s->unprepared ? 0 : commitfacts_ahead(db, &s->facts, &what);
}

static int shelve(struct db_txn *t, void *arg)
{
	struct step *s = arg;
	uint64_t before = s->facts.extracts.reads, made = s->facts.made;
	struct registry_repo repo;
	int r = registry_now(t, UID, &repo);

	if (r == 0)
		r = shelving_put(t, &s->facts, &repo.id);
	s->late += s->facts.extracts.reads - before;
	s->late_made += s->facts.made - made;
	return r;
}

static struct step begin(struct kept *k)
{
	struct step s = { .k = k, .facts = { .extracts = { .intake = k->in } } };

	snprintf(s.plan.uid, sizeof(s.plan.uid), UID);
	snprintf(s.plan.branch, sizeof(s.plan.branch), REGISTRY_MAIN);
	snprintf(s.plan.email, sizeof(s.plan.email), "ann@users.noreply");
	s.plan.name = "ann";
	s.plan.repo = "models/org/a";
	assert_int_equal(commit_plan_say(&s.plan, "as it is", NULL), 0);
	return s;
}

static void add_bytes(struct step *s, const char *path, const void *data, size_t len)
{
	struct manifest_file f = { .kind = DIGEST_GIT_SHA1, .size = len };
	char etag[DIGEST_HEX_MAX + 1];

	assert_int_equal(intake_put(s->k->in, data, len, etag), 0);
	assert_int_equal(hex_parse(etag, GIT_ID, f.digest), 0);
	assert_int_equal(commit_plan_add(&s->plan, CHANGE_FILE, path, &f, &s->why), 0);
}

/* The same as a file of git-lfs. */
static void add_lfs(struct step *s, const char *path, const char *text)
{
	struct manifest_file f = { .kind = DIGEST_SHA256, .size = strlen(text) };
	char etag[DIGEST_HEX_MAX + 1];

	kept_bring(s->k, "a", text, true);
	kept_etag(text, true, etag);
	assert_int_equal(hex_parse(etag, sizeof(f.digest), f.digest), 0);
	assert_int_equal(commit_plan_add(&s->plan, CHANGE_FILE, path, &f, &s->why), 0);
}

static void add_text(struct step *s, const char *path, const char *text)
{
	add_bytes(s, path, text, strlen(text));
}

/* So many numbers. */
static void add_weights(struct step *s, const char *path, unsigned numbers)
{
	CLEANUP(buf_free) struct buf head = { 0 }, file = { 0 };

	buf_printf(&head, "{\"%s\":{\"dtype\":\"F32\",\"shape\":[%u],\"data_offsets\":[0,%u]}}",
		   path, numbers, 4 * numbers);
	buf_add_u64(&file, head.len);
	buf_add(&file, head.data, head.len);
	assert_int_equal(file.failed, 0);
	add_bytes(s, path, file.data, file.len);
}

static void add_shards(struct step *s, unsigned count)
{
	char path[64];

	for (unsigned i = 1; i <= count; i++) {
		snprintf(path, sizeof(path), "model-%05u-of-%05u.safetensors", i, count);
		add_weights(s, path, 10);
	}
}

static void drop(struct step *s, const char *path)
{
	assert_int_equal(commit_plan_add(&s->plan, CHANGE_DROP, path, NULL, &s->why), 0);
}

static int make_first(struct db_txn *t, void *arg)
{
	struct step *s = arg;

	return commit_make_first(t, &s->plan, s->commit, &s->why);
}

static void done(struct step *s)
{
	s->plan.also = shelve;
	s->plan.ahead = ahead;
	s->plan.also_arg = s;
	s->late = s->late_made = 0;
	assert_int_equal(s->first ? db_write(s->k->db, make_first, s)
				  : commit_make(s->k->db, &s->plan, s->commit, &s->why),
			 0);
}

/* ---- what the catalogue has ---- */

static int get(struct db_txn *t, void *arg)
{
	struct catalogue_entry *e = arg;
	struct repo_id id;

	assert_int_equal(repo_id_parse(REPO_MODEL, "org/a", &id), 0);
	return catalogue_get(t, &id, e);
}

static double number(struct kept *k, enum catalogue_number which)
{
	struct catalogue_entry e;

	assert_int_equal(db_read(k->db, get, &e), 0);
	return e.numbers[which];
}

static int count_row(void *arg, struct db_key key, const char *val, size_t len)
{
	unsigned *n = arg;

	(void)key;
	(void)val;
	(void)len;
	++*n;
	return 0;
}

static int count_rows(struct db_txn *t, void *arg)
{
	*(unsigned *)arg = 0;
	return db_each(t, DB_EXTRACTS, (struct db_key){ 0 }, (struct db_key){ 0 }, count_row, arg);
}

static unsigned rows(struct kept *k)
{
	unsigned n;

	assert_int_equal(db_read(k->db, count_rows, &n), 0);
	return n;
}

static int get_doc(struct db_txn *t, void *arg)
{
	struct repo_id id;

	buf_clear(arg);
	assert_int_equal(repo_id_parse(REPO_MODEL, "org/a", &id), 0);
	return catalogue_doc(t, &id, arg);
}

static bool doc_holds(struct kept *k, const char *text)
{
	CLEANUP(buf_free) struct buf doc = { 0 };

	assert_int_equal(db_read(k->db, get_doc, &doc), 0);
	return strstr(buf_str(&doc), text);
}

static void check_doc(struct kept *k, const char *holds)
{
	assert_true(doc_holds(k, holds));
}

static void check_doc_not(struct kept *k, const char *holds)
{
	assert_false(doc_holds(k, holds));
}

/* A repository with a card. */
static void make_repo(struct kept *k)
{
	CLEANUP(step_fini) struct step s = begin(k);

	kept_make(k, UID, "a");
	s.first = true;
	add_text(&s, "README.md", "one");
	done(&s);
}

static void commit_shards(struct kept *k, unsigned count)
{
	CLEANUP(step_fini) struct step s = begin(k);

	add_shards(&s, count);
	done(&s);
	assert_int_equal(s.facts.extracts.reads, count + 1);
	assert_int_equal(s.late, 0);
}

/* ---- the stories ---- */

static void a_card_that_is_edited_beside_many_weights_is_all_that_is_read(void **state)
{
	struct kept *k = *state;
	CLEANUP(step_fini) struct step s = begin(k);

	make_repo(k);
	commit_shards(k, SHARDS);
	add_text(&s, "README.md", "two");
	done(&s);
	assert_int_equal(s.facts.extracts.reads, 1);
	assert_int_equal(s.late, 0);
	assert_true(number(k, CATALOGUE_PARAMETERS) == 10 * SHARDS);
	assert_int_equal(rows(k), SHARDS);
}

static void weights_that_come_are_read_and_those_that_are_there_are_not(void **state)
{
	struct kept *k = *state;
	CLEANUP(step_fini) struct step s = begin(k);

	make_repo(k);
	commit_shards(k, 3);
	add_weights(&s, "z.safetensors", 7);
	drop(&s, "model-00001-of-00003.safetensors");
	done(&s);
	assert_int_equal(s.facts.extracts.reads, 2); /* with the card */
	assert_int_equal(s.late, 0);
	assert_true(number(k, CATALOGUE_PARAMETERS) == 27);
	assert_int_equal(rows(k), 4);
}

static void what_nobody_read_ahead_is_told_all_the_same(void **state)
{
	struct kept *k = *state;
	CLEANUP(step_fini) struct step s = begin(k);

	make_repo(k);
	s.unprepared = true;
	add_shards(&s, 3);
	done(&s);
	assert_true(s.late >= 4 && s.late_made >= 1);
	assert_true(number(k, CATALOGUE_PARAMETERS) == 30);
}

/* YAML and JSON take long to parse: of whatever files there will be it is done before. */
static void cards_are_parsed_before_anybody_waits(void **state)
{
	struct kept *k = *state;
	CLEANUP(step_fini) struct step s = begin(k), next = begin(k), last = begin(k);

	make_repo(k);
	add_text(&s, "README.md", "---\nlicense: mit\n---\n");
	add_text(&s, "config.json", "{\"model_type\":\"bert\"}");
	add_text(&s, "m.onnx", "some");
	add_shards(&s, 3);
	done(&s);
	assert_int_equal(s.facts.made, 1);
	assert_int_equal(s.late_made, 0);
	check_doc(k, "license:mit");
	check_doc(k, "\"onnx\"");
	drop(&next, "m.onnx");
	add_text(&next, "config.json", "{}");
	add_text(&next, "config.json", "{\"model_type\":\"gpt2\"}");
	done(&next);
	assert_int_equal(next.late_made, 0);
	check_doc(k, "gpt2");
	check_doc_not(k, "\"onnx\"");
	last.unprepared = true; /* twin */
	add_text(&last, "README.md", "---\nlicense: gpl\n---\n");
	done(&last);
	assert_true(last.late_made >= 1);
	check_doc(k, "license:gpl");
}

static void the_file_that_is_the_whole_model_is_counted_alone_and_read_alone(void **state)
{
	struct kept *k = *state;
	CLEANUP(step_fini) struct step s = begin(k), without = begin(k);

	make_repo(k);
	add_shards(&s, 3);
	add_weights(&s, "model.safetensors", 5);
	add_weights(&s, "other.safetensors", 6);
	done(&s);
	assert_int_equal(s.facts.extracts.reads, 2);
	assert_true(number(k, CATALOGUE_PARAMETERS) == 5);
	drop(&without, "model.safetensors");
	done(&without);
	assert_int_equal(without.late, 0);
	assert_true(number(k, CATALOGUE_PARAMETERS) == 36);
}

static void a_file_that_is_no_weights_is_not_read_again(void **state)
{
	struct kept *k = *state;
	CLEANUP(step_fini) struct step s = begin(k), next = begin(k);

	make_repo(k);
	add_text(&s, "a.gguf", "no such thing");
	add_text(&s, "b.gguf", "nor is this");
	add_text(&s, "bad.safetensors", "\377\377\377\377\377\377\377\377\377");
	done(&s);
	assert_int_equal(s.facts.extracts.reads, 4);
	assert_int_equal(s.late, 0);
	assert_true(number(k, CATALOGUE_PARAMETERS) == -1);
	add_text(&next, "f", "f");
	done(&next);
	assert_int_equal(next.facts.extracts.reads, 1); /* the card */
}

/* Says "llama", 4096, and one tensor of 7 numbers. */
static void add_gguf(struct step *s, const char *path)
{
	CLEANUP(buf_free) struct buf b = { 0 };
	static const char zeros[64];

	buf_add(&b, "GGUF\3\0\0\0\1\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0", 24);
	buf_add_u64(&b, 20);
	buf_printf(&b, "general.architecture");
	buf_add_u32(&b, 8);
	buf_add_u64(&b, 5);
	buf_printf(&b, "llama");
	buf_add_u64(&b, 20);
	buf_printf(&b, "llama.context_length");
	buf_add_u32(&b, 4);
	buf_add_u32(&b, 4096);
	buf_add_u64(&b, 1);
	buf_printf(&b, "w");
	buf_add_u32(&b, 1);
	buf_add_u64(&b, 7);
	buf_add_u32(&b, 0);
	buf_add_u64(&b, 0);
	buf_add(&b, zeros, 32 - b.len % 32);
	buf_add(&b, zeros, 32);
	assert_int_equal(b.failed, 0);
	add_bytes(s, path, b.data, b.len);
}

static void of_several_quantisations_the_first_that_can_be_read_is_told_and_kept(void **state)
{
	static const char told[] =
		"\"gguf\":{\"total\":7,\"architecture\":\"llama\",\"context_length\":4096}";
	struct kept *k = *state;
	CLEANUP(step_fini) struct step s = begin(k), next = begin(k);

	make_repo(k);
	add_text(&s, "a.gguf", "no such thing");
	add_gguf(&s, "b.gguf");
	add_gguf(&s, "c.gguf");
	add_text(&s, "d.gguf", "nobody asks for this");
	done(&s);
	assert_int_equal(s.facts.extracts.reads, 3); /* the card, a, b */
	check_doc(k, told);
	add_text(&next, "README.md", "two");
	done(&next);
	assert_int_equal(next.facts.extracts.reads, 1);
	check_doc(k, told);
}

static void bytes_are_counted_by_what_changes(void **state)
{
	struct kept *k = *state;
	CLEANUP(step_fini) struct step s = begin(k), next = begin(k);

	make_repo(k);
	add_text(&s, "dir/deep/f", "12345");
	add_text(&s, "dir/g", "123");
	done(&s);
	assert_true(number(k, CATALOGUE_SIZE) == 3 + 5 + 3);
	drop(&next, "dir/g");
	add_text(&next, "dir/deep/f", "1");
	add_text(&next, "README.md", "four");
	done(&next);
	assert_true(number(k, CATALOGUE_SIZE) == 4 + 1);
}

static int forget_a(struct db_txn *t, void *arg UNUSED)
{
	struct repo_id id;

	assert_int_equal(repo_id_parse(REPO_MODEL, "org/a", &id), 0);
	return catalogue_remove(t, &id);
}

/* The row of the file of that text; damaged, and then as it was. */
static void spoil(struct kept *k, const char *text)
{
	CLEANUP(buf_free) struct buf room = { 0 };
	char etag[DIGEST_HEX_MAX + 1];

	kept_etag(text, false, etag);
	hub_db_damage(k->hub, DB_OBJECTS, db_pair(&room, UID, etag));
	k->db = k->hub->db;
}

static int mend_row(struct db_txn *t, void *arg)
{
	CLEANUP(buf_free) struct buf room = { 0 };
	char etag[DIGEST_HEX_MAX + 1], size[32];

	kept_etag(arg, false, etag);
	snprintf(size, sizeof(size), "b%zu", strlen(arg));
	return db_put(t, DB_OBJECTS, db_pair(&room, UID, etag), size, strlen(size));
}

static void beside_a_damaged_row_what_was_counted_stands(void **state)
{
	char damaged[] = "12345";
	struct kept *k = *state;
	CLEANUP(step_fini) struct step s = begin(k), next = begin(k), last = begin(k);

	make_repo(k);
	add_text(&s, "dir/f", damaged);
	add_text(&s, "dir/g", "123");
	done(&s);
	assert_true(number(k, CATALOGUE_SIZE) == 3 + 5 + 3);
	check_doc(k, "\"usedStorage\":11");
	spoil(k, damaged);
	add_text(&next, "h", "1234"); /* beside it: what was counted stands */
	done(&next);
	assert_true(number(k, CATALOGUE_SIZE) == 11 + 4);
	drop(&last, "dir/f");
	add_text(&last, "moved", "1234567");
	done(&last);
	assert_true(number(k, CATALOGUE_SIZE) == 3 + 3 + 4 + 7); /* it is in it no more */
}

static void a_size_that_is_not_known_is_told_to_nobody_and_is_none_to_count_from(void **state)
{
	char damaged[] = "12345";
	struct kept *k = *state;
	CLEANUP(step_fini) struct step s = begin(k), next = begin(k), last = begin(k);
	CLEANUP(buf_free) struct buf doc = { 0 };

	make_repo(k);
	add_text(&s, "a/f", damaged);
	add_text(&s, "b/g", "123");
	done(&s);
	spoil(k, damaged);
	assert_int_equal(db_write(k->db, forget_a, NULL), 0);
	add_text(&next, "h", "1234");
	done(&next);
	assert_true(number(k, CATALOGUE_SIZE) == -1);
	assert_int_equal(db_read(k->db, get_doc, &doc), 0);
	assert_null(strstr(buf_str(&doc), "usedStorage"));
	assert_int_equal(shelving_check_all(k->db, k->in), 0); /* damaged still */
	assert_true(number(k, CATALOGUE_SIZE) == -1);
	assert_int_equal(db_write(k->db, mend_row, damaged), 0);
	add_text(&last, "i", "12");
	done(&last);
	assert_true(number(k, CATALOGUE_SIZE) == 3 + 5 + 3 + 4 + 2);
}

static void a_start_counts_what_is_whole_again(void **state)
{
	char damaged[] = "12345";
	struct kept *k = *state;
	CLEANUP(step_fini) struct step s = begin(k);

	make_repo(k);
	add_text(&s, "a/f", damaged);
	done(&s);
	spoil(k, damaged);
	assert_int_equal(db_write(k->db, forget_a, NULL), 0);
	assert_int_equal(shelving_check_all(k->db, k->in), 0);
	assert_true(number(k, CATALOGUE_SIZE) == -1);
	assert_int_equal(db_write(k->db, mend_row, damaged), 0);
	assert_int_equal(shelving_check_all(k->db, k->in), 0);
	assert_true(number(k, CATALOGUE_SIZE) == 3 + 5);
}

static int forget(struct db_txn *t, void *arg)
{
	return catalogue_remove(t, arg);
}

/* Puts it in by a name of which nothing was counted yet, as a move does: how many files it looked
 * at inside the transaction. */
static uint64_t put_by_a_new_name(struct kept *k, bool prepared)
{
	CLEANUP(step_fini) struct step s = begin(k);
	struct repo_id id;
	uint64_t before;

	assert_int_equal(repo_id_parse(REPO_MODEL, "org/a", &id), 0);
	s.unprepared = !prepared;
	assert_int_equal(ahead(k->db, &s), 0);
	before = s.facts.looked;
	assert_int_equal(db_write(k->db, forget, &id), 0);
	assert_int_equal(db_write(k->db, shelve, &s), 0);
	assert_true(number(k, CATALOGUE_SIZE) == 3 + 5 + 3);
	assert_int_equal(s.late_made > 0, !prepared);
	return s.facts.looked - before;
}

static void a_repository_by_a_new_name_is_counted_before(void **state)
{
	struct kept *k = *state;
	CLEANUP(step_fini) struct step s = begin(k);

	make_repo(k);
	add_text(&s, "dir/deep/f", "12345");
	add_text(&s, "dir/g", "123");
	done(&s);
	assert_int_equal(put_by_a_new_name(k, true), 0);
	assert_true(put_by_a_new_name(k, false) >= 3); /* twin */
}

static int cut(struct db_txn *t, void *arg)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	struct step *s = arg;
	struct repo_id id;
	struct purge p = {
		.uid = UID, .sha256 = s->plan.changes[0].file.digest, .count = 1, .user = "ann"
	};
	int r = purge_files(t, &p, &why);

	assert_int_equal(repo_id_parse(REPO_MODEL, "org/a", &id), 0);
	assert_int_equal(p.files, 1);
	return r < 0 ? r : shelving_put_anew(t, &s->facts, &id);
}

/* As a move does, which nothing keeps from coming beside. */
static int move_there(struct db_txn *t, void *arg)
{
	struct step *s = arg;
	struct repo_id id;
	int r;

	assert_int_equal(repo_id_parse(REPO_MODEL, "org/a", &id), 0);
	commitfacts_correct(t, &s->facts, UID);
	r = catalogue_remove(t, &id);
	return r < 0 ? r : shelve(t, s);
}

static void what_was_counted_before_files_went_for_good_is_not_told_after_that(void **state)
{
	struct kept *k = *state;
	CLEANUP(step_fini) struct step s = begin(k), move = begin(k), set = begin(k);

	make_repo(k);
	add_lfs(&s, "w.bin", "12345");
	done(&s);
	assert_true(number(k, CATALOGUE_SIZE) == 3 + 5);
	assert_int_equal(ahead(k->db, &move), 0);
	assert_int_equal(ahead(k->db, &set), 0);
	assert_int_equal(db_write(k->db, move_there, &move), 0); /* twin: nothing went yet */
	assert_true(number(k, CATALOGUE_SIZE) == 3 + 5);
	assert_int_equal(db_write(k->db, cut, &s), 0);
	assert_true(number(k, CATALOGUE_SIZE) == 3);
	assert_int_equal(db_write(k->db, shelve, &set), 0);
	assert_true(number(k, CATALOGUE_SIZE) == 3);
	assert_int_equal(db_write(k->db, move_there, &move), 0);
	assert_true(number(k, CATALOGUE_SIZE) == 3);
}

/* Whatever name somebody who may not read them gives them in a change that is but proposed. */
static void texts_of_git_lfs_say_nothing_to_those_who_may_not_read_them(void **state)
{
	static const char card[] = "---\nlicense: mit\n---\n",
			  config[] = "{\"model_type\":\"bert\"}";
	struct kept *k = *state;
	CLEANUP(step_fini) struct step s = begin(k), regular = begin(k);
	CLEANUP(buf_free) struct buf told = { 0 };
	struct registry_repo repo = { .id = { .type = REPO_MODEL }, .uid = UID };
	bool whole;

	make_repo(k);
	add_lfs(&s, "README.md", card);
	add_lfs(&s, "config.json", config);
	done(&s);
	check_doc_not(k, "mit");
	check_doc_not(k, "bert");
	assert_int_equal(shelving_describe(k->db, k->in, &repo, s.commit, &told, &whole), 0);
	assert_null(strstr(buf_str(&told), "mit"));
	assert_null(strstr(buf_str(&told), "bert"));
	add_text(&regular, "README.md", card); /* twin */
	add_text(&regular, "config.json", config);
	done(&regular);
	check_doc(k, "license:mit");
	check_doc(k, "bert");
}

static void what_could_not_be_read_just_now_is_said(void **state)
{
	CLEANUP(buf_free) struct buf told = { 0 }, dir = { 0 };
	struct kept *k = *state;
	CLEANUP(step_fini) struct step s = begin(k);
	struct registry_repo repo = { .id = { .type = REPO_MODEL }, .uid = UID };
	char etag[DIGEST_HEX_MAX + 1];
	bool whole;

	make_repo(k);
	add_text(&s, "config.json", "{\"model_type\":\"bert\"}");
	done(&s);
	assert_int_equal(shelving_describe(k->db, k->in, &repo, s.commit, &told, &whole), 0);
	assert_true(whole && strstr(buf_str(&told), "bert"));
	kept_etag("{\"model_type\":\"bert\"}", false, etag);
	buf_printf(&dir, "%s/own/blobs/%.2s/%s", k->hub->dir.path, etag, etag);
	assert_int_equal(unlink(buf_str(&dir)), 0);
	buf_clear(&told);
	assert_int_equal(shelving_describe(k->db, k->in, &repo, s.commit, &told, &whole), 0);
	assert_true(!whole && !strstr(buf_str(&told), "bert"));
}

/* What others than the main branch hold is told without a row of it, and as the catalogue does. */
static void any_commit_is_described_as_the_catalogue_has_it(void **state)
{
	CLEANUP(buf_free) struct buf told = { 0 }, first = { 0 }, doc = { 0 };
	struct kept *k = *state;
	CLEANUP(step_fini) struct step s = begin(k), next = begin(k);
	struct registry_repo repo = { .id = { .type = REPO_MODEL } };
	bool whole;

	make_repo(k);
	snprintf(repo.uid, sizeof(repo.uid), UID);
	add_text(&s, "README.md", "---\nlicense: mit\n---\n");
	add_shards(&s, 3);
	done(&s);
	assert_int_equal(db_read(k->db, get_doc, &doc), 0);
	assert_int_equal(shelving_describe(k->db, k->in, &repo, s.commit, &told, &whole), 0);
	assert_string_equal(buf_str(&told), buf_str(&doc));
	add_text(&next, "README.md", "---\nlicense: gpl\n---\n");
	drop(&next, "model-00001-of-00003.safetensors");
	done(&next);
	assert_int_equal(shelving_describe(k->db, k->in, &repo, s.commit, &first, &whole), 0);
	assert_string_equal(buf_str(&first), buf_str(&told));
	check_doc_not(k, "license:mit");
}

static void of_a_commit_that_is_not_there_no_size_is_told(void **state)
{
	CLEANUP(buf_free) struct buf none = { 0 }, told = { 0 };
	struct kept *k = *state;
	CLEANUP(step_fini) struct step s = begin(k);
	struct registry_repo repo = { .id = { .type = REPO_MODEL } };
	const char *gone = "0123456789012345678901234567890123456789";
	bool whole;

	make_repo(k);
	snprintf(repo.uid, sizeof(repo.uid), UID);
	add_text(&s, "f", "four");
	done(&s);
	assert_int_equal(shelving_describe(k->db, k->in, &repo, gone, &none, &whole), 0);
	assert_null(strstr(buf_str(&none), "usedStorage"));
	assert_int_equal(shelving_describe(k->db, k->in, &repo, s.commit, &told, &whole),
			 0); /* twin */
	assert_non_null(strstr(buf_str(&told), "\"usedStorage\":7"));
}

static void what_weights_said_goes_with_their_blob(void **state)
{
	struct kept *k = *state;

	make_repo(k);
	commit_shards(k, 3);
	kept_collect(k, KEPT_SPARES_NOTHING, false, 0);
	assert_int_equal(rows(k), 3);
	kept_unmake(k, UID, "a");
	kept_collect(k, KEPT_SPARES_NOTHING, true, 0);
	assert_int_equal(rows(k), 3);
	kept_collect(k, KEPT_SPARES_NOTHING, false, 0);
	assert_int_equal(rows(k), 0);
}

/* ---- at the start ---- */

static int put_stray(struct db_txn *t, void *arg)
{
	const struct catalogue_entry e = { .id = *(struct repo_id *)arg, .hosted = true };
	const struct catalogue_texts texts = { .tags = "\n\n" };

	return catalogue_put(t, &e, &texts);
}

static void a_start_puts_in_what_is_missing_and_takes_out_what_is_gone(void **state)
{
	struct kept *k = *state;
	struct catalogue_entry e;
	struct repo_id id;

	make_repo(k);
	commit_shards(k, 3);
	assert_int_equal(repo_id_parse(REPO_MODEL, "org/a", &id), 0);
	assert_int_equal(db_write(k->db, forget, &id), 0);
	assert_int_equal(db_read(k->db, get, &e), -ENOENT);
	assert_int_equal(shelving_check_all(k->db, k->in), 0);
	assert_true(number(k, CATALOGUE_PARAMETERS) == 30);
	kept_unmake(k, UID, "a");
	assert_int_equal(db_read(k->db, get, &e), -ENOENT);
	assert_int_equal(db_write(k->db, put_stray, &id), 0);
	assert_int_equal(shelving_check_all(k->db, k->in), 0);
	assert_int_equal(db_read(k->db, get, &e), -ENOENT);
}

#define MANY 205 /* more than one transaction takes */

static int count_entry(void *arg, const struct catalogue_entry *e)
{
	*(unsigned *)arg += e->hosted;
	return 0;
}

static int count_entries(struct db_txn *t, void *arg)
{
	*(unsigned *)arg = 0;
	return catalogue_each(t, count_entry, arg);
}

static int add_many(struct db_txn *t, void *arg UNUSED)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < MANY; i++) {
		struct registry_repo repo = { .id = { .type = REPO_MODEL } };

		snprintf(repo.uid, sizeof(repo.uid), "%024x", i);
		snprintf(repo.id.name, sizeof(repo.id.name), "org/r%u", i);
		r = registry_add(t, &repo);
	}
	return r;
}

static void however_many_they_are(void **state)
{
	struct kept *k = *state;
	unsigned count;

	assert_int_equal(db_write(k->db, add_many, NULL), 0);
	assert_int_equal(shelving_check_all(k->db, k->in), 0);
	assert_int_equal(db_read(k->db, count_entries, &count), 0);
	assert_int_equal(count, MANY);
}

/* By which a start knows how many it can hold at once. */
static void what_is_held_in_memory_is_told(void **state)
{
	struct kept *k = *state;
	CLEANUP(step_fini) struct step s = begin(k), small = begin(k);
	CLEANUP(buf_free) struct buf text = { 0 };

	make_repo(k);
	assert_int_equal(ahead(k->db, &small), 0);
	assert_true(commitfacts_held(&small.facts) < 64 << 10);
	while (text.len < 1 << 20)
		buf_printf(&text, "words %zu ", text.len);
	add_bytes(&s, "README.md", text.data, 1 << 20);
	assert_int_equal(ahead(k->db, &s), 0);
	assert_true(commitfacts_held(&s.facts) >= 1 << 20);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, kept_setup, kept_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(a_card_that_is_edited_beside_many_weights_is_all_that_is_read),
		STORY(weights_that_come_are_read_and_those_that_are_there_are_not),
		STORY(what_nobody_read_ahead_is_told_all_the_same),
		STORY(the_file_that_is_the_whole_model_is_counted_alone_and_read_alone),
		STORY(a_file_that_is_no_weights_is_not_read_again),
		STORY(of_several_quantisations_the_first_that_can_be_read_is_told_and_kept),
		STORY(bytes_are_counted_by_what_changes),
		STORY(beside_a_damaged_row_what_was_counted_stands),
		STORY(a_size_that_is_not_known_is_told_to_nobody_and_is_none_to_count_from),
		STORY(a_start_counts_what_is_whole_again),
		STORY(what_weights_said_goes_with_their_blob),
		STORY(cards_are_parsed_before_anybody_waits),
		STORY(a_repository_by_a_new_name_is_counted_before),
		STORY(any_commit_is_described_as_the_catalogue_has_it),
		STORY(what_was_counted_before_files_went_for_good_is_not_told_after_that),
		STORY(texts_of_git_lfs_say_nothing_to_those_who_may_not_read_them),
		STORY(what_could_not_be_read_just_now_is_said),
		STORY(of_a_commit_that_is_not_there_no_size_is_told),
		STORY(however_many_they_are),
		STORY(what_is_held_in_memory_is_told),
		STORY(a_start_puts_in_what_is_missing_and_takes_out_what_is_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
