/* SPDX-License-Identifier: Apache-2.0 */
/* Two counters say whether anything has changed since the last call; if so, all repositories are
 * walked, and those read again that are not as they were. */
#include "admin/hub/roster.h"

#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "admin/catalogue/catalogue.h"
#include "admin/hub/info.h"
#include "daemon/base/clock.h"
#include "daemon/base/jdoc.h"
#include "daemon/base/lock.h"
#include "daemon/base/map.h"

#define AT_ONCE 100 /* put in by one transaction */

/* What a repository was read from. */
struct card {
	struct repo *repo;
	char commit[COMMIT_HEX + 1]; /* of main, or "" */
	char doc[DOC_NAME_HEX + 1];  /* the document, and its version; "" and 0: nothing */
	uint64_t version;
	unsigned round; /* that saw it last */
};

struct roster {
	struct node *node;
	struct db *db;
	atomic_ullong done; /* changes there had been when the last round began */
	struct lock lock;
	/* Guarded by lock. */
	struct map cards; /* by their repository's address */
	unsigned round;
};

int roster_new(struct node *node, struct db *db, struct roster **ret)
{
	struct roster *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->node = node;
	r->db = db;
	r->done = UINT64_MAX;
	lock_init(&r->lock, LOCK_ROSTER);
	*ret = r;
	return 0;
}

static int free_card(void *arg UNUSED, void *card)
{
	free(card);
	return 0;
}

/* Nothing is known of what was put in. */
static void forget_locked(struct roster *r)
{
	map_each(&r->cards, free_card, NULL);
	map_fini(&r->cards);
	r->cards = (struct map){ 0 };
	r->round = 0;
}

void roster_free(struct roster *r)
{
	if (!r)
		return;
	forget_locked(r);
	lock_fini(&r->lock);
	free(r);
}

/* --- one repository */

/* On its way into the catalogue; or out of it, without tags. */
struct item {
	struct catalogue_entry e;
	char *tags; /* owned */
};

static double number_in(const struct jval *v)
{
	double ret;

	if (jval_str(v))
		return (double)clock_parse_iso(jval_str(v));
	return jval_real(v, &ret) ? ret : -1;
}

/* Hubs tell how many parameters there are beside the tensors. */
static double parameters_in(const struct jval *doc)
{
	const struct jval *v = jval_get(doc, catalogue_number_name(CATALOGUE_PARAMETERS));

	if (!v)
		v = jval_get(jval_get(doc, "safetensors"), "total");
	if (!v)
		v = jval_get(jval_get(doc, "gguf"), "total");
	return number_in(v);
}

static void add_tag(struct buf *tags, const char *tag)
{
	buf_printf(tags, "%s\n", tag && !strchr(tag, '\n') ? tag : "");
}

static int read_tags(const struct jval *doc, char **ret)
{
	const struct jval *list = jval_get(doc, "tags");
	CLEANUP(buf_free) struct buf tags = { 0 };

	add_tag(&tags, jval_get_str(doc, "pipeline_tag"));
	add_tag(&tags, jval_get_str(doc, "library_name"));
	for (size_t i = 0; i < jval_count(list); i++)
		add_tag(&tags, jval_str(jval_at(list, i)));
	*ret = buf_take(&tags);
	return *ret ? 0 : -ENOMEM;
}

static void read_entry(struct catalogue_entry *e, const struct jval *doc)
{
	const struct jval *gated = jval_get(doc, "gated");

	e->gated = jval_str(gated) || jval_bool(gated) == 1;
	for (size_t i = 0; i < CATALOGUE_NUMBERS; i++)
		e->numbers[i] =
			number_in(jval_get(doc, catalogue_number_name((enum catalogue_number)i)));
	e->numbers[CATALOGUE_PARAMETERS] = parameters_in(doc);
}

/* The commit of main now, or "". */
static void commit_of(const struct roster *r, struct repo *repo, char ret[static COMMIT_HEX + 1])
{
	struct known_ref ref;

	*ret = '\0';
	if (known_get_ref(node_known(r->node), repo, "main", &ref))
		memcpy(ret, ref.commit, sizeof(ref.commit));
}

/* The version is looked at before the text: a newer text is read once more. */
static int find_doc(const struct roster *r, struct card *c, struct jdoc **ret)
{
	CLEANUP(buf_free) struct buf tail = { 0 }, text = { 0 };
	int e;

	*c->doc = '\0';
	c->version = 0;
	if (!c->commit[0])
		return 0;
	e = info_tail(c->commit, &tail);
	if (e == 0)
		e = docs_name(c->repo, buf_str(&tail), c->doc);
	if (e < 0)
		return e;
	c->version = node_doc_version(r->node, c->doc);
	if (!c->version || node_doc_kept(r->node, c->repo, buf_str(&tail), &text) < 0)
		return 0;
	return jdoc_parse(buf_str(&text), text.len, ret) == -ENOMEM ? -ENOMEM : 0;
}

static int read_card(const struct roster *r, struct card *c, struct item *ret)
{
	CLEANUP(jdoc_freep) struct jdoc *doc = NULL;
	int e;

	commit_of(r, c->repo, c->commit);
	e = find_doc(r, c, &doc);
	*ret = (struct item){ .e.id = *repo_id_of(c->repo) };
	memcpy(ret->e.commit, c->commit, sizeof(c->commit));
	read_entry(&ret->e, doc ? jdoc_root(doc) : NULL);
	return e < 0 ? e : read_tags(doc ? jdoc_root(doc) : NULL, &ret->tags);
}

static bool is_current(const struct roster *r, const struct card *c)
{
	char commit[COMMIT_HEX + 1];

	commit_of(r, c->repo, commit);
	return strcmp(commit, c->commit) == 0 &&
	       (!*c->doc || node_doc_version(r->node, c->doc) == c->version);
}

/* --- into the catalogue */

struct round {
	struct roster *roster;
	struct item items[AT_ONCE];
	size_t count;
	bool was_long;
};

static void round_fini(struct round *d)
{
	while (d->count)
		free(d->items[--d->count].tags);
}

/* What has become one that is hosted here is no longer ours to take out. */
static int take_out(struct db_txn *t, const struct repo_id *id)
{
	struct catalogue_entry e;
	int r = catalogue_get(t, id, &e);

	if (r < 0 || e.hosted)
		return r == -ENOENT ? 0 : r;
	return catalogue_remove(t, id);
}

static int write_items(struct db_txn *t, void *arg)
{
	const struct round *d = arg;
	int r = 0;

	for (size_t i = 0; r == 0 && i < d->count; i++) {
		const struct item *item = &d->items[i];
		struct catalogue_texts texts = { .tags = item->tags };

		r = item->tags ? catalogue_put(t, &item->e, &texts) : take_out(t, &item->e.id);
	}
	return r;
}

static int flush(struct round *d)
{
	int r = d->count ? db_write(d->roster->db, write_items, d) : 0;

	d->was_long |= d->count == AT_ONCE;
	round_fini(d);
	return r;
}

static int drop(struct round *d, const struct repo_id *id)
{
	d->items[d->count++] = (struct item){ .e.id = *id };
	return d->count == AT_ONCE ? flush(d) : 0;
}

static struct card *card_of(struct roster *r, struct repo *repo, bool *is_new)
{
	struct card *c = map_find(&r->cards, &repo, sizeof(struct repo *));

	*is_new = !c;
	if (c)
		return c;
	c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->repo = repo;
	if (map_put(&r->cards, &c->repo, sizeof(struct repo *), c) == 0)
		return c;
	free(c);
	return NULL;
}

static int see(void *arg, struct repo *repo)
{
	struct round *d = arg;
	struct card *c;
	bool is_new;
	int r;

	if (repo_is_hosted(repo))
		return 0;
	c = card_of(d->roster, repo, &is_new);
	if (!c)
		return -ENOMEM;
	c->round = d->roster->round;
	if (!is_new && is_current(d->roster, c))
		return 0;
	r = read_card(d->roster, c, &d->items[d->count]);
	d->count += r == 0;
	return r == 0 && d->count == AT_ONCE ? flush(d) : r;
}

/* --- out of it */

struct list {
	void **items;
	size_t count;
	unsigned round;
};

static int add_unseen(void *arg, void *value)
{
	struct card *c = value;
	struct list *l = arg;

	if (c->round != l->round)
		l->items[l->count++] = c;
	return 0;
}

/* They have another name now, or are hosted here. */
static int drop_unseen(struct round *d)
{
	struct map *cards = &d->roster->cards;
	struct list l = { calloc(cards->count + 1, sizeof(void *)), 0, d->roster->round };
	int r = l.items ? 0 : -ENOMEM;

	if (r == 0)
		map_each(cards, add_unseen, &l);
	for (size_t i = 0; i < l.count; i++) {
		struct card *c = l.items[i];

		map_del(cards, &c->repo, sizeof(struct repo *));
		if (r == 0)
			r = drop(d, repo_id_of(c->repo));
		free(c);
	}
	free(l.items);
	return r;
}

/* In the first round: what is in the catalogue, but was forgotten here. */
struct strangers {
	const struct roster *roster;
	struct buf ids; /* struct repo_id */
};

static int add_stranger(void *arg, const struct catalogue_entry *e)
{
	struct strangers *s = arg;
	struct repo *repo = known_repo(node_known(s->roster->node), &e->id);

	if (e->hosted || (repo && repo_canonical(repo) == repo))
		return 0;
	return buf_add(&s->ids, &e->id, sizeof(e->id));
}

static int find_strangers(struct db_txn *t, void *arg)
{
	return catalogue_each(t, add_stranger, arg);
}

static int drop_strangers(struct round *d)
{
	struct strangers s = { .roster = d->roster };
	int r = db_read(d->roster->db, find_strangers, &s);

	for (size_t at = 0; r == 0 && at < s.ids.len; at += sizeof(struct repo_id)) {
		struct repo_id id;

		memcpy(&id, s.ids.data + at, sizeof(id));
		r = drop(d, &id);
	}
	buf_free(&s.ids);
	return r;
}

/* --- all of them */

static int go_round_locked(struct roster *r)
{
	CLEANUP(freep) struct round *d = calloc(1, sizeof(*d));
	int e = d ? 0 : -ENOMEM;

	if (e < 0)
		return e;
	d->roster = r;
	if (!r->round++)
		e = drop_strangers(d);
	if (e == 0)
		e = known_each_repo(node_known(r->node), see, d);
	if (e == 0)
		e = drop_unseen(d);
	if (e == 0)
		e = flush(d);
	round_fini(d);
	if (d->was_long)
		malloc_trim(0); /* what was parsed left holes */
	return e;
}

int roster_call(struct roster *r, bool may_take_long)
{
	uint64_t changes = known_changes(node_known(r->node)) + node_doc_changes(r->node);
	int e;

	if (r->done == changes)
		return 0;
	if (!may_take_long)
		return -EAGAIN;
	lock_take(&r->lock);
	e = go_round_locked(r);
	if (e == 0)
		r->done = changes;
	else
		forget_locked(r);
	lock_drop(&r->lock);
	return e;
}
