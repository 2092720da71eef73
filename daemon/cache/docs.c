/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/cache/docs.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/digest.h"
#include "daemon/base/err.h"
#include "daemon/base/jdoc.h"
#include "daemon/base/log.h"
#include "daemon/cache/shelf.h"

#define LARGE_FILES 1000 /* parsing a list of so many leaves large holes in the heap */
#define LARGE_BYTES (1 << 20)

struct docs {
	struct docs_conf conf;
	struct shelf *shelf;
};

void doc_fini(struct doc *d)
{
	buf_free(&d->text);
	buf_free(&d->next);
}

int docs_new(const struct docs_conf *conf, struct docs **ret)
{
	CLEANUP(freep) struct docs *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return -ENOMEM;
	d->conf = *conf;
	r = shelf_new(conf->catalog, conf->max_bytes, &d->shelf);
	if (r == 0)
		*ret = steal(d);
	return r;
}

void docs_free(struct docs *d)
{
	if (!d)
		return;
	shelf_free(d->shelf);
	free(d);
}

/* ---- asking ---- */

/* What a question's job needs; owned by the flight. */
struct question {
	struct docs *docs;
	struct repo *repo;
	char name[DOC_NAME_HEX + 1];
	char tail[];
};

/* The files of a repository are told from its manifest; and while no Xet store is served nobody may
 * hear of one. */
static int print(const struct jdoc *parsed, struct buf *ret)
{
	static const char *const without[] = { "siblings", NULL };
	static const char *const nowhere[] = { "xetHash", "xetEnabled", NULL };

	return jdoc_print(jdoc_root(parsed), without, nowhere, ret);
}

static void give_back_memory(struct jdoc *parsed, const struct buf *text)
{
	bool is_large = parsed &&
			(text->len > LARGE_BYTES ||
			 jval_count(jval_get(jdoc_root(parsed), "siblings")) > LARGE_FILES);

	jdoc_free(parsed);
	if (is_large)
		malloc_trim(0);
}

static int ask_hubs(const struct question *q, struct flight_job *job)
{
	CLEANUP(jdoc_freep) struct jdoc *parsed = NULL;
	CLEANUP(buf_free) struct buf text = { 0 };
	CLEANUP(buf_free) struct buf next = { 0 };
	int r = discover_doc(q->docs->conf.discover, job, q->repo, q->tail, &parsed, &next);

	if (r == 0)
		r = print(parsed, &text);
	give_back_memory(steal(parsed), &text);
	return r < 0 ? r : shelf_put(q->docs->shelf, q->name, &text, &next);
}

static int doc_job(struct flight_job *job)
{
	const struct question *q = job->arg;
	int r;

	shelf_asks(q->docs->shelf, q->name);
	r = ask_hubs(q, job);
	if (r == 0)
		return 0;
	if (discover_is_gone(r) && q->docs->conf.discover->gone != DISCOVER_GONE_STAYS) {
		if (shelf_drop(q->docs->shelf, q->name) < 0)
			log_debug("cannot forget tail=%s of repo=%s", q->tail, repo_key(q->repo));
		return r;
	}
	if (!shelf_failed(q->docs->shelf, q->name))
		return r;
	log_warn(r, "tail=%s of repo=%s stands as it was", q->tail, repo_key(q->repo));
	return 0;
}

static int ask(struct docs *d, struct repo *repo, const char *tail, const char *name,
	       int64_t until_ms, struct waiter *w)
{
	char key[sizeof("doc ") + DOC_NAME_HEX];
	struct question *q;

	if (d->conf.discover->hub_count == 0)
		return log_warn(ERR_OFFLINE, "repo=%s tail=%s", repo_key(repo), tail);
	q = calloc(1, sizeof(*q) + strlen(tail) + 1);
	if (!q)
		return -ENOMEM;
	q->docs = d;
	q->repo = repo;
	memcpy(q->name, name, sizeof(q->name));
	memcpy(q->tail, tail, strlen(tail) + 1);
	snprintf(key, sizeof(key), "doc %s", name);
	return flight_join(d->conf.flight, key, doc_job, q, free, until_ms, w);
}

/* The same for what was never answered. */
static int ask_first(struct docs *d, struct repo *repo, const char *tail, const char *name,
		     int64_t until_ms, struct waiter *w)
{
	if (until_ms && clock_ms() >= until_ms)
		return ERR_TIMEOUT;
	return ask(d, repo, tail, name, until_ms ? until_ms : CLOCK_FOREVER, w);
}

/* ---- answering ---- */

int docs_name(struct repo *repo, const char *tail, char ret[static DOC_NAME_HEX + 1])
{
	CLEANUP(digest_freep) struct digest *digest = NULL;
	const char *key = repo_key(repo_canonical(repo));
	uint8_t value[DIGEST_BYTES_MAX];
	int r = digest_new(DIGEST_SHA256, 0, &digest);

	if (r == 0)
		r = digest_update(digest, key, strlen(key) + 1);
	if (r == 0)
		r = digest_update(digest, tail, strlen(tail));
	if (r == 0)
		r = digest_final(digest, value);
	if (r == 0)
		hex_print(value, sizeof(value), ret);
	return r;
}

/* True if an old document is all that a request which came at started_ms can have now: hubs were
 * asked in vain, or for long enough. */
static bool must_do(const struct docs *d, const struct shelf_note *n, int64_t started_ms)
{
	int64_t now = clock_ms();

	if (d->conf.discover->hub_count == 0)
		return true;
	if (n->failed_ms && (n->failed_ms >= started_ms || now - n->failed_ms < d->conf.retry_ms))
		return true;
	return now - started_ms >= d->conf.patience_ms ||
	       (n->asked_ms && now - n->asked_ms >= d->conf.patience_ms);
}

/* What hub_get_doc tells of the pages: see there. */
static void take_total(struct doc *d)
{
	char *line = d->next.len ? strchr(buf_str(&d->next), '\n') : NULL;

	if (!line)
		return;
	d->total = strtoull(line + 1, NULL, 10);
	d->next.len = (size_t)(line - d->next.data);
	*line = '\0';
}

/* 0, or -ENOENT if it must be asked for. */
static int answer(struct docs *d, const char *name, const struct shelf_note *n, int64_t max_age_ms,
		  const struct waiter *w, struct doc *ret)
{
	int r;

	ret->age_ms = n->age_ms;
	ret->stale = n->age_ms > max_age_ms &&
		     (n->age_ms == CLOCK_FOREVER || n->checked_ms < w->started_ms);
	if (ret->stale && !must_do(d, n, w->started_ms))
		return -ENOENT;
	if (ret->version == n->version) {
		shelf_use(d->shelf, name);
		return 0;
	}
	ret->version = n->version;
	r = shelf_get(d->shelf, name, &ret->text, &ret->next);
	take_total(ret);
	return r;
}

int docs_get(struct docs *d, struct repo *repo, const char *tail, int64_t max_age_ms,
	     struct waiter *w, struct doc *ret)
{
	struct repo *canonical = repo_canonical(repo);
	char name[DOC_NAME_HEX + 1];
	struct shelf_note note;
	int r;

	if (strlen(tail) > HUB_TAIL_MAX)
		return -ENAMETOOLONG;
	r = docs_name(repo, tail, name);
	if (r == 0)
		r = shelf_find(d->shelf, name, &note);
	if (r == -ENOENT)
		return ask_first(d, canonical, tail, name, ret->patient_until_ms, w);
	if (r == 0)
		r = answer(d, name, &note, max_age_ms, w, ret);
	if (r != -ENOENT)
		return r;
	return ask(d, canonical, tail, name,
		   (note.asked_ms ? note.asked_ms : w->started_ms) + d->conf.patience_ms, w);
}

int docs_kept(struct docs *d, struct repo *repo, const char *tail, struct buf *ret)
{
	CLEANUP(buf_free) struct buf next = { 0 };
	char name[DOC_NAME_HEX + 1];
	struct shelf_note note;
	int r = docs_name(repo, tail, name);

	if (r == 0)
		r = shelf_find(d->shelf, name, &note);
	return r < 0 ? r : shelf_get(d->shelf, name, ret, &next);
}

uint64_t docs_version(struct docs *d, const char *name)
{
	struct shelf_note note;

	return shelf_find(d->shelf, name, &note) == 0 ? note.version : 0;
}

uint64_t docs_changes(struct docs *d)
{
	return shelf_versions(d->shelf);
}
