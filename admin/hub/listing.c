/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/listing.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/hub/roster.h"
#include "daemon/base/err.h"
#include "daemon/base/num.h"

#define LOOK_MIN 64 /* rows that rights are asked about at once */

void listing_fini(struct listing *l)
{
	search_fini(&l->search);
	rights_reach_fini(&l->reach);
	buf_free(&l->seen_terms);
	buf_free(&l->seen);
	free(l->page);
}

/* What of what is hidden who asks may see perhaps: rules may call a repository by a name it had. */
static int read_reach(struct listing *l)
{
	const struct ask *a = l->a;
	int r = rights_reach(&a->server->rights, &a->who, &l->reach);
	const char *at;

	for (at = buf_str(&l->reach.namespaces); *at; at += strcspn(at, "\n") + 1)
		term_add(&l->seen_terms, TERM_AUTHOR, at, strcspn(at, "\n"));
	for (at = buf_str(&l->reach.repos); *at; at += strcspn(at, "\n") + 1) {
		char key[REPO_KEY_MAX + 1];
		struct repo_names names;
		struct repo_id id;

		snprintf(key, sizeof(key), "%.*s", (int)strcspn(at, "\n"), at);
		if (repo_id_parse_key(key, &id) < 0)
			continue;
		known_names_of(node_known(a->server->node), &id, &names);
		buf_add(&l->seen, names.list[0], sizeof(id));
	}
	return r < 0 ? r : l->seen_terms.failed ? l->seen_terms.failed : l->seen.failed;
}

/* Of those that were found, on its way. */
struct taking {
	const struct finding_query *query;
	struct shown *found;
	size_t count, most;
	uint64_t reads;
};

static int take_found(void *arg, const struct catalogue_entry *e)
{
	struct taking *f = arg;

	f->found[f->count++] = (struct shown){ .e = *e };
	return f->count == f->most;
}

static int find(struct db_txn *t, void *arg)
{
	struct taking *f = arg;

	f->count = 0;
	return finding_each(t, f->query, take_found, f, &f->reads);
}

/* A name that another repository has by now, or none, is told no more. */
static bool is_here(const struct ask *a, struct shown *s, struct repo_names *names)
{
	struct repo *repo = known_repo(node_known(a->server->node), &s->e.id);
	int64_t said_ms;

	if (!repo || repo_canonical(repo) != repo || repo_is_hosted(repo) != s->e.hosted)
		return false;
	s->repo = repo;
	known_names(node_known(a->server->node), repo, names);
	return filter_repo(a->filter, names) &&
	       (a->server->keeps_gone || !known_gone(repo, &said_ms));
}

/* Appends to the page those of the found that who asks may see. */
static int add_seen(struct listing *l, struct shown *found, size_t count, struct rights_row *rows)
{
	const struct ask *a = l->a;
	size_t n = 0;
	int r;

	for (size_t i = 0; i < count; i++)
		if (is_here(a, &found[i], &rows[n].names))
			found[n++] = found[i];
	r = rights_look(&a->server->rights, &a->who, rows, n);
	for (size_t i = 0; r == 0 && i < n; i++)
		if (rows[i].sees) {
			l->page[l->count] = found[i];
			l->page[l->count++].is_private = rows[i].is_private;
		}
	return r;
}

/* Appends of the next ones, of at most so many. 1: there are no more. */
static int look(struct listing *l, size_t most, struct rights_row *rows)
{
	struct shown *found = l->page + l->count;
	struct finding_query query = search_query(&l->search);
	struct taking f = { .query = &query, .found = found, .most = most };
	int r;

	query.sees_all = l->reach.all;
	query.seen_terms = &l->seen_terms;
	query.seen = (const struct repo_id *)(const void *)buf_str(&l->seen);
	query.seen_count = l->seen.len / sizeof(struct repo_id);
	r = db_read(l->a->server->rights.db, find, &f);
	if (r < 0)
		return r;
	if (f.count && search_go_behind(&l->search, &found[f.count - 1].e) < 0)
		return -ENOMEM;
	r = add_seen(l, found, f.count, rows);
	return r < 0 ? r : f.count < most;
}

int listing_turn(struct listing *l, size_t limit)
{
	size_t most = max_u64(limit + 1, LOOK_MIN);
	CLEANUP(freep) struct rights_row *rows = calloc(most, sizeof(*rows));
	int r = 0;

	free(l->page);
	l->page = calloc(limit + 1 + most, sizeof(*l->page));
	if (!rows || !l->page)
		return -ENOMEM;
	l->count = 0;
	while (r == 0 && l->count <= limit && !l->search.unanswerable)
		r = look(l, max_u64(limit + 1 - l->count, LOOK_MIN), rows);
	l->more = l->count > limit;
	l->count = min_u64(l->count, limit);
	return r < 0 ? r : 0;
}

int listing_begin(struct ask *a, struct listing *l)
{
	int r = roster_call(a->server->roster, a->aside);

	l->a = a;
	if (r == -EAGAIN && !ask_aside(a, LANE_ROLL, &r))
		return r == 0 ? ANSWERED : r;
	if (r == -EAGAIN)
		r = roster_call(a->server->roster, true);
	return r == 0 ? read_reach(l) : r;
}
