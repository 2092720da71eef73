/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/quicksearch.h"

#include <string.h>

#include "admin/hub/answer.h"
#include "admin/hub/info.h"
#include "admin/hub/listing.h"
#include "daemon/base/num.h"

#define FOUND 20 /* of each kind, unless the query says how many */
#define FOUND_MAX 100

static void write_found(const struct listing *l, struct jwrite *w)
{
	const char *plural = repo_type_plural(l->search.type);

	jwrite_array(w, plural);
	for (size_t i = 0; i < l->count; i++) {
		const struct shown *s = &l->page[i];

		jwrite_object(w, NULL);
		info_write_ids(w, repo_id_of(s->repo));
		jwrite_bool(w, "private", s->is_private);
		jwrite_object_end(w);
	}
	jwrite_array_end(w);
}

/* No words are in none. */
static int find(struct ask *a, enum repo_type type, const char *text, size_t limit,
		struct jwrite *w)
{
	CLEANUP(listing_fini) struct listing l = { .a = a };
	CLEANUP(buf_free) struct buf why = { 0 };
	int r = search_read("sort=downloads", type, &l.search, &why);

	search_add_words(&l.search, text);
	l.search.unanswerable = !l.search.terms.len;
	if (r == 0)
		r = listing_begin(a, &l);
	if (r == 0)
		r = listing_turn(&l, limit);
	if (r == 0)
		write_found(&l, w);
	return r;
}

/* "model", "models", and so on; nothing is all. */
static bool is_asked(const char *types, enum repo_type type)
{
	const char *plural = repo_type_plural(type);

	return !*types || strncmp(types, plural, strlen(plural) - 1) == 0;
}

int quicksearch(struct ask *a)
{
	size_t limit = min_u64(target_number(a->asked.query, "limit", FOUND), FOUND_MAX);
	CLEANUP(buf_free) struct buf json = { 0 }, text = { 0 }, types = { 0 };
	struct jwrite w = { .to = &json };
	int r = 0;

	target_field(a->asked.query, "q", &text);
	target_field(a->asked.query, "type", &types);
	jwrite_object(&w, NULL);
	jwrite_text(&w, "q", buf_str(&text));
	for (int type = 0; r == 0 && type < REPO_TYPE_COUNT; type++)
		if (is_asked(buf_str(&types), (enum repo_type)type))
			r = find(a, (enum repo_type)type, buf_str(&text), limit, &w);
	jwrite_object_end(&w);
	if (r == 0)
		answer_json(a, 200, &json);
	return r == ANSWERED ? 0 : r;
}
