/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/discuss_list.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <strings.h>

#include "admin/hub/answer.h"
#include "admin/hub/discuss_json.h"
#include "admin/registry/discussions.h"
#include "daemon/base/err.h"

#define PAGE 50 /* discussions of a list */

/* ---- what is asked ---- */

struct asking {
	struct ask *ask;
	struct buf type, status, author; /* as the query has them, or "" */
	uint64_t first;                  /* of the page */
	uint64_t count, closed;          /* that fit */
	struct registry_repo repo;
	struct db_txn *txn;
	struct buf json;
	struct jwrite w;
};

static void asking_fini(struct asking *q)
{
	buf_free(&q->type);
	buf_free(&q->status);
	buf_free(&q->author);
	buf_free(&q->json);
}

static bool fits(const struct asking *q, const struct discussion *d)
{
	const char *type = buf_str(&q->type), *status = buf_str(&q->status);

	if ((!strcmp(type, "pull_request") && !d->is_pull) ||
	    (!strcmp(type, "discussion") && d->is_pull))
		return false;
	if ((!strcmp(status, "open") && discussion_is_over(d)) ||
	    (!strcmp(status, "closed") && !discussion_is_over(d)))
		return false;
	return !q->author.len || !strcasecmp(buf_str(&q->author), d->author);
}

/* Without a value it is "all". False: it is none, which was answered. */
static bool take_word(const struct asking *q, const char *name, const char *const words[3],
		      struct buf *ret)
{
	if (!target_field(q->ask->asked.query, name, ret) || !ret->len)
		return true;
	for (size_t i = 0; i < 3; i++)
		if (!strcmp(buf_str(ret), words[i]))
			return true;
	answer_refuse(q->ask, 400, "\"%s\" must be one of [%s, %s, %s]", name, words[0], words[1],
		      words[2]);
	return false;
}

/* What the query says; false if that makes no sense, which was answered. */
static bool take_query(struct asking *q)
{
	static const char *const types[] = { "all", "discussion", "pull_request" };
	static const char *const states[] = { "all", "open", "closed" };
	const char *query = q->ask->asked.query;
	CLEANUP(buf_free) struct buf page = { 0 };

	if (!take_word(q, "type", types, &q->type) || !take_word(q, "status", states, &q->status))
		return false;
	target_field(query, "author", &q->author);
	q->first = (uint64_t)target_number(query, "p", 0) * PAGE;
	if (!target_field(query, "p", &page) || target_number(query, "p", UINT_MAX) != UINT_MAX)
		return true;
	answer_refuse(q->ask, 400, "\"p\" must be the number of a page, from 0 on");
	return false;
}

static int list_one(void *arg, const struct discussion *d)
{
	struct asking *q = arg;
	uint64_t at;
	int r;

	q->closed += discussion_is_over(d);
	if (!fits(q, d))
		return 0;
	at = q->count++;
	if (at < q->first || at >= q->first + PAGE)
		return 0;
	jwrite_object(&q->w, NULL);
	r = discuss_write(q->txn, &q->w, &q->repo, d);
	jwrite_object_end(&q->w);
	return r;
}

/* What a transaction finds begins anew each time it runs. */
static int tell_list(struct db_txn *t, void *arg)
{
	struct asking *q = arg;
	int r = registry_get(t, repo_id_of(q->ask->repo), &q->repo);

	q->txn = t;
	buf_clear(&q->json);
	q->w = (struct jwrite){ .to = &q->json };
	q->count = q->closed = 0;
	jwrite_object(&q->w, NULL);
	jwrite_array(&q->w, "discussions");
	if (r == 0)
		r = discussion_each(t, q->repo.uid, list_one, q);
	jwrite_array_end(&q->w);
	jwrite_uint(&q->w, "count", q->count);
	jwrite_uint(&q->w, "start", q->first);
	jwrite_uint(&q->w, "numClosedDiscussions", q->closed);
	jwrite_object_end(&q->w);
	return r == -ENOENT ? ERR_NOREPO : r < 0 ? r : q->json.failed;
}

/* What is said of another hub's repository is there: to ask for it would make a repository whose
 * discussions are closed look as if it were gone. */
static int answer_elsewhere(struct ask *a)
{
	struct buf json = { 0 };

	buf_add_str(&json, "{\"discussions\":[],\"count\":0,\"start\":0}");
	answer_json(a, 200, &json);
	return 0;
}

int discuss_list(struct ask *a)
{
	CLEANUP(asking_fini) struct asking q = { .ask = a };
	int r;

	if (!repo_is_hosted(a->repo))
		return answer_elsewhere(a);
	if (!ask_aside_or_here(a))
		return PARKED;
	if (!take_query(&q))
		return 0;
	r = db_read(a->server->rights.db, tell_list, &q);
	if (r == 0)
		answer_json(a, 200, &q.json);
	return r;
}
