/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/catalogue/catalogue.h"

#include <errno.h>
#include <string.h>

#include "admin/catalogue/postings.h"
#include "admin/catalogue/rows.h"
#include "daemon/base/err.h"

static const char *const names[CATALOGUE_NUMBERS] = {
	[CATALOGUE_CREATED] = "createdAt",         [CATALOGUE_MODIFIED] = "lastModified",
	[CATALOGUE_DOWNLOADS] = "downloads",       [CATALOGUE_LIKES] = "likes",
	[CATALOGUE_LIKES_30D] = "likes30d",        [CATALOGUE_TRENDING] = "trendingScore",
	[CATALOGUE_PARAMETERS] = "num_parameters", [CATALOGUE_SIZE] = "mainSize",
};

const char *catalogue_number_name(enum catalogue_number which)
{
	return names[which];
}

enum catalogue_number catalogue_number_of(const char *name)
{
	size_t i = 0;

	while (i < CATALOGUE_NUMBERS && strcmp(names[i], name) != 0)
		i++;
	return (enum catalogue_number)i;
}

/* ---- terms ---- */

#define KEY_MAX (TERM_MAX + 3)
#define YES "1"

/* A term of repositories of that type. */
static struct db_key term_key(enum repo_type type, const char *term, size_t len,
			      char room[static KEY_MAX])
{
	len = len < KEY_MAX - 1 ? len : KEY_MAX - 1;
	room[0] = (char)('0' + type);
	memcpy(room + 1, term, len);
	return (struct db_key){ room, len + 1 };
}

/* What stands in the table of what was said here of who may see it. */
static int is_hidden(struct db_txn *t, const struct repo_id *id, bool *ret)
{
	CLEANUP(buf_free) struct buf row = { 0 };
	char key[REPO_KEY_MAX + 1];
	int r;

	repo_id_key_small(id, key);
	r = db_get(t, DB_REPOS, db_text(key), &row);
	*ret = r == 0 && strcmp(buf_str(&row), "public") != 0;
	return r == -ENOENT ? 0 : r;
}

static int put_hidden(struct db_txn *t, enum repo_type type, uint32_t number, bool hidden)
{
	static const char term[] = { TERM_HIDDEN, '1' };
	char room[KEY_MAX];
	struct db_key key = term_key(type, term, sizeof(term), room);

	return hidden ? postings_add(t, key, number) : postings_del(t, key, number);
}

/* By its line: the task, the library, then tags. */
static void add_tags(struct buf *terms, const char *tags)
{
	static const enum term_kind kinds[] = { TERM_PIPELINE, TERM_LIBRARY };

	for (unsigned line = 0; *tags; line++) {
		size_t len = strcspn(tags, "\n");

		if (line < ARRAY_LEN(kinds))
			term_add(terms, kinds[line], tags, len);
		term_add(terms, TERM_TAG, tags, len);
		term_add_words(terms, tags, len);
		tags += len + (tags[len] == '\n');
	}
}

static int make_terms(const struct catalogue_entry *e, const struct catalogue_texts *texts,
		      struct buf *ret)
{
	const char *name = e->id.name, *slash = strchr(name, '/');

	term_add(ret, TERM_AUTHOR, name, slash ? (size_t)(slash - name) : 0);
	term_add(ret, TERM_GATED, e->gated ? YES : "0", 1);
	term_add_pieces(ret, name);
	term_add_words(ret, name, strlen(name));
	add_tags(ret, texts->tags);
	if (texts->words)
		term_add_words(ret, texts->words, strlen(texts->words));
	term_add_parameters(ret, e->numbers[CATALOGUE_PARAMETERS]);
	return terms_sort(ret);
}

struct posting {
	struct db_txn *t;
	enum repo_type type;
	uint32_t number;
};

static int post(void *arg, const char *term, size_t len, bool added)
{
	const struct posting *p = arg;
	char room[KEY_MAX];
	struct db_key key = term_key(p->type, term, len, room);

	return added ? postings_add(p->t, key, p->number) : postings_del(p->t, key, p->number);
}

/* From those it had to these. */
static int change_terms(struct db_txn *t, enum repo_type type, uint32_t number, const char *now)
{
	CLEANUP(buf_free) struct buf old = { 0 };
	struct posting p = { t, type, number };
	int r = rows_text(t, number, ROWS_TERMS, &old);

	if (r < 0 && r != -ENOENT && r != ERR_CORRUPT)
		return r;
	r = terms_compare(buf_str(&old), now, post, &p);
	return r < 0 ? r : rows_put_text(t, number, ROWS_TERMS, now);
}

/* ---- in and out ---- */

static int hide_new(struct db_txn *t, const struct repo_id *id, uint32_t number)
{
	bool hidden;
	int r = is_hidden(t, id, &hidden);

	return r < 0 || !hidden ? r : put_hidden(t, id->type, number, true);
}

int catalogue_put(struct db_txn *t, const struct catalogue_entry *e,
		  const struct catalogue_texts *texts)
{
	CLEANUP(buf_free) struct buf terms = { 0 };
	struct catalogue_entry old;
	uint32_t number = 0;
	bool is_new = false;
	int r = make_terms(e, texts, &terms), had;

	if (r == 0)
		r = rows_make_number(t, &e->id, &number, &is_new);
	if (r < 0)
		return r;
	had = rows_head(t, number, &old);
	r = rows_put_head(t, number, had == 0 ? &old : NULL, e);
	if (r == 0)
		r = change_terms(t, e->id.type, number, buf_str(&terms));
	if (r == 0)
		r = rows_put_text(t, number, ROWS_DOC, texts->doc ? texts->doc : "");
	return r == 0 && is_new ? hide_new(t, &e->id, number) : r;
}

int catalogue_remove(struct db_txn *t, const struct repo_id *id)
{
	struct catalogue_entry old;
	uint32_t number;
	int r = rows_number(t, id, &number);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (rows_head(t, number, &old) < 0)
		old = (struct catalogue_entry){ .id = *id };
	r = change_terms(t, id->type, number, "");
	if (r == 0)
		r = put_hidden(t, id->type, number, false);
	return r < 0 ? r : rows_remove(t, number, &old);
}

int catalogue_set(struct db_txn *t, const struct repo_id *id, enum catalogue_number which,
		  double value)
{
	struct catalogue_entry old, now;
	uint32_t number;
	int r = rows_number(t, id, &number);

	if (r == 0)
		r = rows_head(t, number, &old);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	now = old;
	now.numbers[which] = value;
	return rows_put_head(t, number, &old, &now);
}

int catalogue_hide(struct db_txn *t, const struct repo_id *id, bool hidden)
{
	uint32_t number;
	int r = rows_number(t, id, &number);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	return put_hidden(t, id->type, number, hidden);
}

/* ---- one, and all ---- */

int catalogue_get(struct db_txn *t, const struct repo_id *id, struct catalogue_entry *ret)
{
	uint32_t number;
	int r = rows_number(t, id, &number);

	return r < 0 ? r : rows_head(t, number, ret);
}

int catalogue_doc(struct db_txn *t, const struct repo_id *id, struct buf *ret)
{
	uint32_t number;
	int r = rows_number(t, id, &number);

	return r < 0 ? r : rows_text(t, number, ROWS_DOC, ret);
}

int catalogue_each(struct db_txn *t, catalogue_fn fn, void *arg)
{
	return rows_each(t, fn, arg);
}

struct term_list {
	catalogue_term_fn fn;
	void *arg;
};

static int tell_term(void *arg, struct db_key term)
{
	const struct term_list *l = arg;

	return l->fn(l->arg, (const char *)term.data + 2, term.len - 2);
}

int catalogue_terms(struct db_txn *t, enum repo_type type, enum term_kind kind, const char *begin,
		    catalogue_term_fn fn, void *arg)
{
	char prefix[KEY_MAX];
	struct term_list l = { fn, arg };
	size_t len = strnlen(begin, TERM_MAX);

	prefix[0] = (char)('0' + type);
	prefix[1] = (char)kind;
	memcpy(prefix + 2, begin, len);
	return postings_terms(t, (struct db_key){ prefix, len + 2 }, tell_term, &l);
}
