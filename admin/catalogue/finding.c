/* SPDX-License-Identifier: Apache-2.0 */
/* What is found by its terms is a set of numbers. If they are few each is looked at, and put in
 * order; else the order is followed, and whoever is not in the set is passed over. */
#include "admin/catalogue/finding.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "admin/catalogue/numberset.h"
#include "admin/catalogue/postings.h"
#include "admin/catalogue/rows.h"
#include "daemon/base/err.h"
#include "daemon/base/num.h"
#include "daemon/base/text.h"

#define FEW 2000
#define KEY_MAX (TERM_MAX + 3)
#define DIGITS_MAX 64 /* of a number of parameters */

/* One question on its way. */
struct finding {
	struct db_txn *t;
	const struct finding_query *q;
	catalogue_fn fn;
	void *arg;
	uint64_t reads;
	struct numberset wanted; /* if `narrowed`: they and no others */
	bool narrowed;
	struct numberset hidden; /* they are not */
};

static void finding_fini(struct finding *f)
{
	numberset_fini(&f->wanted);
	numberset_fini(&f->hidden);
}

/* ---- sets ---- */

static int read_term(struct finding *f, const char *term, size_t len, struct numberset *ret)
{
	char key[KEY_MAX];

	if (len + 1 > sizeof(key))
		return 0; /* nothing has it */
	key[0] = (char)('0' + f->q->type);
	memcpy(key + 1, term, len);
	return postings_read(f->t, (struct db_key){ key, len + 1 }, ret, &f->reads);
}

/* Takes the set, which is left empty. */
static void narrow(struct finding *f, struct numberset *set)
{
	if (f->narrowed) {
		numberset_keep(&f->wanted, set);
		return;
	}
	f->wanted = *set;
	*set = (struct numberset){ 0 };
	f->narrowed = true;
}

static int narrow_by_terms(struct finding *f, const struct buf *terms)
{
	const char *at = buf_str(terms), *term;
	int r = 0;

	for (size_t len; r == 0 && (len = terms_next(&at, &term));) {
		CLEANUP(numberset_fini) struct numberset set = { 0 };

		r = read_term(f, term, len, &set);
		if (r == 0)
			narrow(f, &set);
	}
	return r;
}

static const char *next_name(const struct buf *texts, const char *text)
{
	const char *next = text ? text + strlen(text) + 1 : buf_str(texts);

	return next < buf_str(texts) + texts->len ? next : NULL;
}

/* Whoever has a text in the name has all its pieces. */
static int narrow_by_names(struct finding *f)
{
	CLEANUP(buf_free) struct buf pieces = { 0 };
	const char *name = NULL;
	int r;

	if (!f->q->names)
		return 0;
	while ((name = next_name(f->q->names, name)))
		term_add_pieces(&pieces, name);
	r = terms_sort(&pieces);
	return r < 0 ? r : narrow_by_terms(f, &pieces);
}

static bool counts_parameters(const struct finding_query *q)
{
	return q->parameters_min >= 0 || q->parameters_max < HUGE_VAL;
}

static int narrow_by_parameters(struct finding *f)
{
	CLEANUP(numberset_fini) struct numberset set = { 0 };
	unsigned from = term_digits_of(f->q->parameters_min);
	unsigned to = term_digits_of(f->q->parameters_max);
	int r = 0;

	if (!counts_parameters(f->q))
		return 0;
	for (unsigned i = from; r == 0 && i <= to && i <= DIGITS_MAX; i++) {
		const char term[] = { TERM_PARAMETERS, (char)('0' + i / 10), (char)('0' + i % 10) };

		r = read_term(f, term, sizeof(term), &set);
	}
	if (r == 0)
		narrow(f, &set);
	return r;
}

/* Those of the hidden that may be seen all the same, and what is not private at all. */
static int find_hidden(struct finding *f)
{
	static const char hidden[] = { TERM_HIDDEN, '1' };
	CLEANUP(numberset_fini) struct numberset seen = { 0 };
	const char *at = f->q->seen_terms ? buf_str(f->q->seen_terms) : "", *term;
	int r = f->q->sees_all ? 0 : read_term(f, hidden, sizeof(hidden), &f->hidden);

	for (size_t len; r == 0 && (len = terms_next(&at, &term));)
		r = read_term(f, term, len, &seen);
	for (size_t i = 0; r == 0 && i < f->q->seen_count; i++) {
		uint32_t number;

		r = rows_number(f->t, &f->q->seen[i], &number);
		if (r == 0)
			r = numberset_add(&seen, number);
		r = r == -ENOENT ? 0 : r;
	}
	numberset_drop(&f->hidden, &seen);
	return r;
}

/* ---- one of them ---- */

static bool has_names(const struct finding_query *q, const char *name)
{
	const char *want = NULL;

	while (q->names && (want = next_name(q->names, want)))
		if (!strcasestr(name, want))
			return false;
	return true;
}

static bool is_meant(const struct finding *f, uint32_t number)
{
	return !f->narrowed || numberset_has(&f->wanted, number);
}

static bool is_wanted(const struct finding_query *q, const struct catalogue_entry *e)
{
	double parameters = e->numbers[CATALOGUE_PARAMETERS];

	return e->id.type == q->type && has_names(q, e->id.name) &&
	       (!counts_parameters(q) ||
		(parameters >= q->parameters_min && parameters <= q->parameters_max));
}

/* A row that is not there, or is damaged, is passed over. */
static int read_head(struct finding *f, uint32_t number, struct catalogue_entry *ret, bool *found)
{
	int r = rows_head(f->t, number, ret);

	f->reads++;
	*found = r == 0 && is_wanted(f->q, ret);
	return r == -ENOMEM ? r : 0;
}

/* ---- many: along the order ---- */

static int pass_head(struct finding *f, uint32_t number)
{
	struct catalogue_entry e;
	bool found;
	int r = read_head(f, number, &e, &found);

	return r < 0 || !found ? r : f->fn(f->arg, &e);
}

static int pass(void *arg, struct db_key key, const char *val, size_t len)
{
	struct finding *f = arg;
	size_t skip = 2 + (f->q->sort < CATALOGUE_NUMBERS ? 8 : 0);
	char name[REPO_NAME_MAX + 1];
	uint32_t number;

	f->reads++;
	if (rows_place_number(val, len, &number) < 0 || key.len < skip || !is_meant(f, number))
		return 0;
	if (!f->q->names || !f->q->names->len)
		return pass_head(f, number);
	len = min_u64(key.len - skip, sizeof(name) - 1);
	memcpy(name, (const char *)key.data + skip, len);
	name[len] = '\0';
	return has_names(f->q, name) ? pass_head(f, number) : 0;
}

static struct db_key after_of(const struct finding_query *q, char room[static ROWS_KEY_MAX])
{
	if (!q->after_name || !*q->after_name || strlen(q->after_name) > REPO_NAME_MAX)
		return (struct db_key){ 0 };
	return rows_place(q->type, q->sort, q->after_number, q->after_name, room);
}

static int follow(struct finding *f)
{
	char room[ROWS_KEY_MAX], room_after[ROWS_KEY_MAX];
	struct db_key order = rows_order(f->q->type, f->q->sort, room);
	struct db_key after = after_of(f->q, room_after);

	return f->q->ascending ? db_each_back(f->t, DB_ORDERS, order, after, pass, f)
			       : db_each(f->t, DB_ORDERS, order, after, pass, f);
}

/* ---- few: each of them ---- */

struct place {
	uint32_t number;
	char key[ROWS_KEY_MAX];
	size_t len;
};

static int by_key(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	return text_order(x->key, x->len, y->key, y->len);
}

/* False if the page before had it. */
static bool is_behind(const struct place *p, struct db_key after, bool ascending)
{
	int c = after.len ? text_order(p->key, p->len, after.data, after.len) : 0;

	return !after.len || (ascending ? c < 0 : c > 0);
}

static int collect(struct finding *f, struct place *ret, size_t *count)
{
	char room[ROWS_KEY_MAX];
	struct db_key after = after_of(f->q, room);
	int r = 0;

	for (uint32_t at = 0; r == 0 && numberset_next(&f->wanted, &at); at++) {
		struct place *p = &ret[*count];
		struct catalogue_entry e;
		bool found;

		r = read_head(f, at, &e, &found);
		if (r < 0 || !found)
			continue;
		p->number = at;
		p->len = rows_place(e.id.type, f->q->sort,
				    f->q->sort < CATALOGUE_NUMBERS ? e.numbers[f->q->sort] : 0,
				    e.id.name, p->key)
				 .len;
		*count += is_behind(p, after, f->q->ascending);
	}
	return r;
}

static int sort_few(struct finding *f, size_t most)
{
	CLEANUP(freep) struct place *places = calloc(most + 1, sizeof(*places));
	size_t count = 0;
	int r = places ? collect(f, places, &count) : -ENOMEM;

	if (r == 0)
		qsort(places, count, sizeof(*places), by_key);
	for (size_t i = 0; r == 0 && i < count; i++) {
		struct catalogue_entry e;
		bool found;

		r = read_head(f, places[f->q->ascending ? count - 1 - i : i].number, &e, &found);
		if (r == 0 && found)
			r = f->fn(f->arg, &e);
	}
	return r;
}

/* Every repository says whether it is gated. */
static int narrow_to_all(struct finding *f)
{
	static const char gated[][2] = { { TERM_GATED, '0' }, { TERM_GATED, '1' } };
	CLEANUP(numberset_fini) struct numberset all = { 0 };
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_LEN(gated); i++)
		r = read_term(f, gated[i], sizeof(gated[i]), &all);
	if (r == 0)
		narrow(f, &all);
	return r;
}

int finding_each(struct db_txn *t, const struct finding_query *q, catalogue_fn fn, void *arg,
		 uint64_t *reads)
{
	CLEANUP(finding_fini) struct finding f = { .t = t, .q = q, .fn = fn, .arg = arg };
	size_t most = FEW + 1;
	int r = q->terms ? narrow_by_terms(&f, q->terms) : 0;

	if (r == 0)
		r = narrow_by_names(&f);
	if (r == 0)
		r = narrow_by_parameters(&f);
	if (r == 0)
		r = find_hidden(&f);
	if (r == 0 && !f.narrowed && numberset_size(&f.hidden))
		r = narrow_to_all(&f);
	if (r == 0 && f.narrowed) {
		numberset_drop(&f.wanted, &f.hidden);
		most = numberset_size(&f.wanted);
	}
	if (r == 0)
		r = most <= FEW ? sort_few(&f, most) : follow(&f);
	*reads += f.reads;
	return r;
}
