/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/nfs_forms.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "daemon/base/err.h"
#include "daemon/base/lock.h"
#include "daemon/base/map.h"

/* A repository, by its numbers and by its address; it lives as long as the node. */
struct numbered {
	uint64_t number; /* under the first key */
	struct repo *repo;
};

struct nfs_forms {
	const struct view *view;
	uint64_t life;
	struct nfs_keys keys;
	struct lock lock;
	struct map by_number, by_repo; /* guarded by lock; by its numbers under all keys */
};

int nfs_forms_new(const struct view *v, const struct nfs_keys *keys, uint64_t life,
		  struct nfs_forms **ret)
{
	struct nfs_forms *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->view = v;
	t->life = life;
	t->keys = *keys;
	lock_init(&t->lock, LOCK_NFS_FORMS);
	*ret = t;
	return 0;
}

static int free_one(void *arg UNUSED, void *value)
{
	free(value);
	return 0;
}

void nfs_forms_free(struct nfs_forms *t)
{
	if (!t)
		return;
	map_each(&t->by_repo, free_one, NULL);
	map_fini(&t->by_repo);
	map_fini(&t->by_number);
	lock_fini(&t->lock);
	nfs_keys_wipe(&t->keys);
	free(t);
}

/* ---- numbers of repositories ---- */

/* Nobody who has not the key can choose a name that has another one's number. */
static int number_of(const uint8_t key[static NFS_KEY], const struct repo *r, uint64_t *ret)
{
	const char *name = repo_key(r);
	uint8_t mac[32];
	int rc = digest_hmac(key, NFS_KEY, name, strlen(name), mac);

	memcpy(ret, mac, sizeof(*ret));
	return rc;
}

/* By its number under each of the keys; one that is taken stays with who has it. */
static int add_numbers_locked(struct nfs_forms *t, struct numbered *n)
{
	uint64_t number;
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < t->keys.count; i++) {
		rc = number_of(t->keys.at[i], n->repo, &number);
		if (i == 0)
			n->number = number;
		if (rc == 0 && !map_find_u64(&t->by_number, number))
			rc = map_put_u64(&t->by_number, number, n);
	}
	return rc;
}

static void del_numbers_locked(struct nfs_forms *t, const struct numbered *n)
{
	uint64_t number;

	for (unsigned i = 0; i < t->keys.count; i++)
		if (number_of(t->keys.at[i], n->repo, &number) == 0 &&
		    map_find_u64(&t->by_number, number) == n)
			map_del_u64(&t->by_number, number);
}

static int add_locked(struct nfs_forms *t, struct repo *r, struct numbered **ret)
{
	struct numbered *n = calloc(1, sizeof(*n));
	int rc = -ENOMEM;

	if (!n)
		return rc;
	n->repo = r;
	rc = add_numbers_locked(t, n);
	if (rc == 0)
		rc = map_put_u64(&t->by_repo, (uintptr_t)r, n);
	if (rc < 0) {
		del_numbers_locked(t, n);
		free(n);
		return rc;
	}
	*ret = n;
	return 0;
}

static int find_number(struct nfs_forms *t, struct repo *r, uint64_t *ret)
{
	struct numbered *n;
	int rc = 0;

	lock_take(&t->lock);
	n = map_find_u64(&t->by_repo, (uintptr_t)r);
	if (!n)
		rc = add_locked(t, r, &n);
	if (rc == 0)
		*ret = n->number;
	lock_drop(&t->lock);
	return rc;
}

static int learn(void *arg, struct repo *r)
{
	struct nfs_forms *t = arg;
	struct repo_names names;
	uint64_t number;

	if (find_number(t, r, &number) < 0)
		return 0;
	known_names(node_known(t->view->node), r, &names);
	for (unsigned i = 0; i < names.count; i++) {
		struct repo *other = known_repo(node_known(t->view->node), names.list[i]);

		if (other && find_number(t, other, &number) < 0)
			return 0;
	}
	return 0;
}

static struct repo *look(struct nfs_forms *t, uint64_t number)
{
	struct numbered *n;

	lock_take(&t->lock);
	n = map_find_u64(&t->by_number, number);
	lock_drop(&t->lock);
	return n ? n->repo : NULL;
}

/* The repository of a number, whatever it is called by now; NULL: unknown. */
static struct repo *find_repo(struct nfs_forms *t, uint64_t number)
{
	struct repo *r = look(t, number);

	if (r)
		return r;
	known_each_repo(node_known(t->view->node), learn, t);
	return look(t, number);
}

/* ---- from a place ---- */

static int set_blob(struct nfs_form *f, const struct place *p)
{
	const struct manifest_file *file;

	assert(p->snapshot); /* a blob is always one of a commit's files */
	file = manifest_file(p->snapshot->files, p->node);
	f->digest_kind = (uint8_t)file->kind;
	memcpy(f->digest, file->digest, digest_size(file->kind));
	return 0;
}

static int set_rest(struct nfs_form *f, const struct place *p)
{
	switch (p->kind) {
	case PLACE_BLOB:
		return set_blob(f, p);
	case PLACE_ALIAS:
		return nfs_form_set_text(f, repo_key(p->repo));
	case PLACE_SCRATCH:
		f->number = scratch_id(p->written);
		f->shared = p->shared;
		return 0;
	default:
		return p->name ? nfs_form_set_text(f, p->name) : 0;
	}
}

int nfs_form_of(struct nfs_forms *t, const struct place *p, struct nfs_form *ret)
{
	struct repo *repo = p->snapshot ? p->snapshot->repo : p->repo;
	int r = 0;

	*ret = (struct nfs_form){
		.kind = p->kind, .type = (uint8_t)p->type, .node = p->node, .life = t->life
	};
	if (repo && p->kind != PLACE_ALIAS)
		r = find_number(t, repo, &ret->repo);
	if (r == 0 && p->snapshot)
		r = hex_parse(p->snapshot->commit, NFS_COMMIT, ret->commit);
	return r == 0 ? set_rest(ret, p) : r;
}

/* ---- to a place ---- */

int nfs_stale(int r)
{
	return r < 0 && err_errno(r) == ENOENT ? -ESTALE : r;
}

static int find_snapshot(struct nfs_forms *t, struct repo *repo, const struct nfs_form *f,
			 struct waiter *w, struct place *ret)
{
	char commit[COMMIT_HEX + 1];
	int r;

	hex_print(f->commit, NFS_COMMIT, commit);
	r = node_snapshot(t->view->node, repo, commit, w, &ret->snapshot);
	if (r != 0)
		return nfs_stale(r);
	ret->node = f->node;
	if (f->node < manifest_count(ret->snapshot->files) &&
	    (manifest_file(ret->snapshot->files, f->node) != NULL) == (f->kind == PLACE_LINK))
		return 0;
	place_fini(ret);
	return -ESTALE;
}

static int find_blob(struct nfs_forms *t, struct repo *repo, const struct nfs_form *f,
		     struct waiter *w, struct place *ret)
{
	struct place blobs = { .kind = PLACE_BLOBS, .repo = repo };
	char etag[DIGEST_HEX_MAX + 1];
	int64_t ttl_ms;
	int r;

	hex_print(f->digest, digest_size((enum digest_kind)f->digest_kind), etag);
	r = view_lookup(t->view, &blobs, etag, w, ret, &ttl_ms);
	blobs.repo = repo_canonical(repo);
	if (r < 0 && blobs.repo != repo)
		r = view_lookup(t->view, &blobs, etag, w, ret, &ttl_ms);
	return nfs_stale(r);
}

/* ---- names that a handle had no room for: they are found by their digest ---- */

struct name_search {
	struct nfs_forms *forms;
	const struct nfs_form *form;
	char *found; /* owned */
};

/* 1 if that is the name. */
static int match(struct name_search *s, const char *name)
{
	uint8_t digest[20];

	if (digest_of(DIGEST_GIT_SHA1, name, strlen(name), digest) < 0 ||
	    memcmp(digest, s->form->text, sizeof(digest)) != 0)
		return 0;
	s->found = strdup(name);
	return s->found ? 1 : -ENOMEM;
}

static int match_ref(void *arg, const char *ref, const char *commit UNUSED)
{
	return match(arg, ref);
}

/* What set_rest makes of a repository's name. */
static int match_id(struct name_search *s, const struct repo_id *id)
{
	char text[REPO_KEY_MAX + REPO_FOLDER_MAX];

	switch (s->form->kind) {
	case PLACE_ALIAS:
		repo_id_key(id, text);
		break;
	case PLACE_LOCKS:
		repo_id_folder(id, text);
		break;
	default: /* PLACE_ORG */
		if (id->type != (enum repo_type)s->form->type)
			return 0;
		memcpy(text, id->name, sizeof(id->name));
		text[strcspn(text, "/")] = '\0';
	}
	return match(s, text);
}

static int match_names(void *arg, struct repo *r)
{
	struct name_search *s = arg;
	struct repo_names names;
	int rc = 0;

	known_names(node_known(s->forms->view->node), r, &names);
	for (unsigned i = 0; rc == 0 && i < names.count; i++)
		rc = match_id(s, names.list[i]);
	return rc;
}

/* The text of a form that is of a repository's name, owned; -ESTALE if no known one has it. */
static int find_text(struct nfs_forms *t, const struct nfs_form *f, char **ret)
{
	struct name_search s = { t, f, NULL };
	int r;

	if (!f->hashed)
		return (*ret = strdup(f->text)) ? 0 : -ENOMEM;
	r = known_each_repo(node_known(t->view->node), match_names, &s);
	*ret = s.found;
	return r == 1 ? 0 : r < 0 ? r : -ESTALE;
}

static int find_ref(struct nfs_forms *t, struct repo *repo, const struct nfs_form *f,
		    struct place *ret)
{
	struct name_search s = { t, f, NULL };
	int r;

	ret->repo = repo;
	if (!f->hashed)
		return (ret->name = strdup(f->text)) ? 0 : -ENOMEM;
	r = known_each_ref(node_known(t->view->node), repo, match_ref, &s);
	ret->name = s.found;
	return r == 1 ? 0 : r < 0 ? r : -ESTALE;
}

static int match_commit(void *arg, const char *commit)
{
	char *short_hex = arg; /* becomes the whole */

	if (strncmp(commit, short_hex, strlen(short_hex)) != 0)
		return 0;
	memcpy(short_hex, commit, COMMIT_HEX + 1);
	return 1;
}

static int find_absent(struct nfs_forms *t, struct repo *repo, const struct nfs_form *f,
		       struct place *ret)
{
	struct known *known = node_known(t->view->node);
	char commit[COMMIT_HEX + 1];
	int r;

	if (f->hashed)
		return -ESTALE;
	hex_print(f->commit, NFS_COMMIT_SHORT, commit);
	r = known_each_commit(known, repo, match_commit, commit);
	if (r == 1)
		r = known_snapshot(known, repo, commit, &ret->snapshot);
	else
		r = r < 0 ? r : -ESTALE;
	ret->repo = repo;
	if (r == 0 && !(ret->name = strdup(f->text)))
		r = -ENOMEM;
	return nfs_stale(r);
}

static int find_alias(struct nfs_forms *t, const struct nfs_form *f, struct place *ret)
{
	CLEANUP(freep) char *key = NULL;
	struct repo_id id;
	int r = find_text(t, f, &key);

	if (r < 0)
		return r;
	if (repo_id_parse_key(key, &id) < 0)
		return -ESTALE;
	ret->repo = known_repo(node_known(t->view->node), &id);
	return ret->repo && repo_canonical(ret->repo) != ret->repo ? 0 : -ESTALE;
}

static int find_written(struct nfs_forms *t, const struct nfs_form *f, struct place *ret)
{
	int r = f->life == t->life ? scratch_by_id(t->view->scratch, f->number, &ret->written)
				   : -ESTALE;

	ret->scratch = t->view->scratch;
	ret->shared = f->shared;
	return nfs_stale(r);
}

/* Of a kind that belongs to a repository. */
static int find_in_repo(struct nfs_forms *t, const struct nfs_form *f, struct waiter *w,
			struct place *ret)
{
	struct repo *repo = find_repo(t, f->repo);

	if (!repo)
		return -ESTALE;
	switch (f->kind) {
	case PLACE_BLOB:
		return find_blob(t, repo, f, w, ret);
	case PLACE_LINK_DIR:
	case PLACE_LINK:
	case PLACE_PLAIN_DIR:
	case PLACE_TREE_JSON:
		return find_snapshot(t, repo, f, w, ret);
	case PLACE_REFS:
	case PLACE_REF:
		return find_ref(t, repo, f, ret);
	case PLACE_ABSENT_DIR:
	case PLACE_ABSENT_FILE:
		return find_absent(t, repo, f, ret);
	default:
		ret->repo = repo;
		return 0;
	}
}

static int find_place(struct nfs_forms *t, const struct nfs_form *f, struct waiter *w,
		      struct place *ret)
{
	switch (f->kind) {
	case PLACE_ROOT:
	case PLACE_HUB:
	case PLACE_FILES:
	case PLACE_TYPE:
		return 0;
	case PLACE_LOCKS: /* with no text it is that of all */
		return f->text_len ? find_text(t, f, &ret->name) : 0;
	case PLACE_ORG:
		return find_text(t, f, &ret->name);
	case PLACE_ALIAS:
		return find_alias(t, f, ret);
	case PLACE_SCRATCH:
		return find_written(t, f, ret);
	default:
		return find_in_repo(t, f, w, ret);
	}
}

int nfs_form_place(struct nfs_forms *t, const struct nfs_form *f, struct waiter *w,
		   struct place *ret)
{
	int r;

	*ret = (struct place){ .kind = f->kind, .type = (enum repo_type)f->type };
	r = find_place(t, f, w, ret);
	if (r < 0)
		place_fini(ret);
	return r;
}
