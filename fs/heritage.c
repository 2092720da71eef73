/* SPDX-License-Identifier: Apache-2.0 */
/* Names of repositories and commits are many inodes' and are kept once; they stay. */
#include "fs/heritage.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define NEXT_TO 64 /* an inode's number is this far at most from the one its place wants */
#define TEXT_MAX (REPO_KEY_MAX + COMMIT_HEX + 2)

struct name {
	uint32_t record;
	char text[];
};

/* A change of what stands here is a new ESTATE_VERSION (docs/formats.md). */
static_assert(sizeof(struct heir) == 64 && offsetof(struct heir, lookups) == 8 &&
		      offsetof(struct heir, where) == 16 && offsetof(struct heir, recent) == 24 &&
		      offsetof(struct heir, repo) == 40 && offsetof(struct heir, name) == 44 &&
		      offsetof(struct heir, backing_id) == 48 &&
		      offsetof(struct heir, kind) == 52 && offsetof(struct heir, type) == 53 &&
		      offsetof(struct heir, shared) == 54,
	      "as it lies there");
static_assert(PLACE_BLOB == 11 && PLACE_SCRATCH == 21 && REPO_SPACE == 2 && REPO_TYPE_COUNT == 3,
	      "as they are numbered there");

static int learn(void *arg, uint32_t record, void *data, size_t len)
{
	struct heritage *h = arg;
	struct name *n = calloc(1, sizeof(*n) + len + 1);
	int r;

	if (!n)
		return -ENOMEM;
	n->record = record;
	memcpy(n->text, data, len);
	r = map_put_str(&h->names, n->text, n);
	if (r < 0)
		free(n);
	return r;
}

int heritage_init(struct heritage *h, struct estate *e, const struct view *v)
{
	*h = (struct heritage){ .estate = e, .view = v };
	return estate_each(e, ESTATE_NAME, learn, h);
}

static int free_name(void *arg UNUSED, void *value)
{
	free(value);
	return 0;
}

void heritage_fini(struct heritage *h)
{
	map_each(&h->names, free_name, NULL);
	map_fini(&h->names);
}

/* ---- to records ---- */

/* The record of a text that many share. */
static int share_name(struct heritage *h, const char *text, uint32_t *ret)
{
	struct name *n = map_find_str(&h->names, text);
	int r;

	if (!n) {
		r = estate_add(h->estate, ESTATE_NAME, text, strlen(text), ret);
		return r < 0 ? r : learn(h, *ret, estate_at(h->estate, *ret), strlen(text));
	}
	*ret = n->record;
	return 0;
}

static int where_is(struct heritage *h, const struct place *p, uint64_t *ret)
{
	char text[TEXT_MAX];
	uint32_t record;
	int r;

	*ret = p->written ? scratch_id(p->written) : 0;
	if (!p->snapshot)
		return 0;
	snprintf(text, sizeof(text), "%s %s", repo_key(p->snapshot->repo), p->snapshot->commit);
	r = share_name(h, text, &record);
	*ret = (uint64_t)record << 32 | p->node;
	return r;
}

int heritage_add(struct heritage *h, uint64_t number, const struct place *p, uint32_t *ret)
{
	struct heir heir = {
		.number = number,
		.kind = (uint8_t)p->kind,
		.type = (uint8_t)p->type,
		.shared = p->shared,
	};
	int r;

	*ret = 0;
	if (!h->estate)
		return 0;
	r = where_is(h, p, &heir.where);
	if (r == 0 && p->repo)
		r = share_name(h, repo_key(p->repo), &heir.repo);
	if (r == 0 && p->name)
		r = estate_add(h->estate, ESTATE_TEXT, p->name, strlen(p->name), &heir.name);
	if (r == 0)
		r = estate_add(h->estate, ESTATE_INODE, &heir, sizeof(heir), ret);
	if (r < 0)
		estate_del(h->estate, heir.name);
	return r;
}

void heritage_del(struct heritage *h, uint32_t record)
{
	const struct heir *heir = estate_at(h->estate, record);
	uint32_t name = heir ? heir->name : 0;

	estate_del(h->estate, record);
	estate_del(h->estate, name);
}

void heritage_recent(struct heritage *h, uint32_t record, const struct place *p)
{
	struct heir *heir = estate_at(h->estate, record);
	uint64_t where;

	if (heir && where_is(h, p, &where) == 0)
		heir->recent = where;
}

/* ---- from records ---- */

static int get_text(const struct heritage *h, uint32_t record, char *ret, size_t cap)
{
	size_t len;
	const char *text = estate_check(h->estate, record, ESTATE_NAME, 0, &len);

	if (!text || len >= cap)
		return -ESTALE;
	memcpy(ret, text, len);
	ret[len] = '\0';
	return 0;
}

static bool has_text(const struct heritage *h, uint32_t record, enum estate_kind kind,
		     const char *want)
{
	size_t len;
	const char *text;

	if (!record || !want)
		return !record && !want;
	text = estate_check(h->estate, record, kind, 0, &len);
	return text && len == strlen(want) && memcmp(text, want, len) == 0;
}

static bool is_near(const struct heir *heir, const struct place *p)
{
	uint64_t number = place_number(p);

	return heir->number >= number && heir->number - number < NEXT_TO;
}

bool heritage_is(struct heritage *h, const struct heir *heir, const struct place *p)
{
	char text[TEXT_MAX];

	if (heir->kind != p->kind || heir->type != p->type || !is_near(heir, p))
		return false;
	if (p->kind == PLACE_BLOB) /* the number is its digest's */
		return true;
	if (p->written)
		return heir->where == scratch_id(p->written);
	if (!has_text(h, heir->repo, ESTATE_NAME, p->repo ? repo_key(p->repo) : NULL) ||
	    !has_text(h, heir->name, ESTATE_TEXT, p->name))
		return false;
	if (!p->snapshot)
		return heir->where == 0;
	snprintf(text, sizeof(text), "%s %s", repo_key(p->snapshot->repo), p->snapshot->commit);
	return (uint32_t)heir->where == p->node &&
	       has_text(h, (uint32_t)(heir->where >> 32), ESTATE_NAME, text);
}

static int find_repo(const struct heritage *h, const char *key, struct repo **ret)
{
	struct repo_id id;

	*ret = repo_id_parse_key(key, &id) < 0 ? NULL : known_repo(node_known(h->view->node), &id);
	return *ret ? 0 : -ESTALE;
}

/* Sets snapshot and node. */
static int find_commit(const struct heritage *h, uint64_t where, struct place *ret)
{
	char text[TEXT_MAX], *space;
	struct repo *repo;
	int r = get_text(h, (uint32_t)(where >> 32), text, sizeof(text));

	if (r < 0)
		return r;
	space = strrchr(text, ' ');
	if (!space || !commit_valid(space + 1))
		return -ESTALE;
	*space = '\0';
	if (find_repo(h, text, &repo) < 0 ||
	    known_snapshot(node_known(h->view->node), repo, space + 1, &ret->snapshot) < 0)
		return -ESTALE;
	ret->node = (uint32_t)where;
	if (ret->node >= manifest_count(ret->snapshot->files) ||
	    (manifest_file(ret->snapshot->files, ret->node) != NULL) !=
		    (ret->kind == PLACE_LINK || ret->kind == PLACE_BLOB))
		return -ESTALE;
	return 0;
}

static int find_written(const struct heritage *h, const struct heir *heir, struct place *ret)
{
	ret->scratch = h->view->scratch;
	ret->shared = heir->shared;
	return scratch_by_id(ret->scratch, heir->where, &ret->written) < 0 ? -ESTALE : 0;
}

static int find_name(const struct heritage *h, uint32_t record, struct place *ret)
{
	size_t len;
	const char *text = estate_check(h->estate, record, ESTATE_TEXT, 0, &len);

	if (!text)
		return -ESTALE;
	ret->name = strndup(text, len);
	return ret->name ? 0 : -ENOMEM;
}

static int find_place(const struct heritage *h, const struct heir *heir, struct place *ret)
{
	char key[TEXT_MAX];
	int r = 0;

	if (heir->kind > PLACE_SCRATCH || heir->type >= REPO_TYPE_COUNT)
		return -ESTALE;
	if (heir->kind == PLACE_SCRATCH)
		return find_written(h, heir, ret);
	if (heir->repo) {
		r = get_text(h, heir->repo, key, sizeof(key));
		r = r < 0 ? r : find_repo(h, key, &ret->repo);
	}
	if (r == 0 && heir->name)
		r = find_name(h, heir->name, ret);
	if (r == 0 && heir->where)
		r = find_commit(h, heir->where, ret);
	return r == 0 && !is_near(heir, ret) ? -ESTALE : r;
}

int heritage_place(const struct heritage *h, const struct heir *heir, struct place *ret,
		   struct place *ret_recent)
{
	int r;

	*ret = (struct place){ .kind = heir->kind, .type = (enum repo_type)heir->type };
	*ret_recent = (struct place){ .kind = heir->kind };
	r = find_place(h, heir, ret);
	if (r < 0) {
		place_fini(ret);
		return r;
	}
	if (heir->recent &&
	    (find_commit(h, heir->recent, ret_recent) < 0 || !is_near(heir, ret_recent)))
		place_fini(ret_recent);
	return 0;
}
