/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/adminapi/adminapi_scope.h"

#include <errno.h>
#include <string.h>

#include "admin/account/tokens.h"
#include "admin/registry/renaming.h"
#include "admin/rulewatch.h"

struct finding {
	struct repo_id id;
	struct registry_repo *repo;
};

static int find(struct db_txn *t, void *arg)
{
	const struct finding *f = arg;

	return renaming_get(t, &f->id, f->repo);
}

static int tell(const char *name, struct buf *ret)
{
	return ret ? buf_add_str(ret, name) : 0;
}

int api_scope(struct api_call *c, const char *what, struct tag_scope *ret, struct buf *ret_name)
{
	char key[REPO_KEY_MAX + 1];
	struct registry_repo repo;
	struct finding f = { .repo = &repo };
	int r;

	if (strlen(what) > REPO_KEY_MAX || !token_scope_valid(what, key))
		return api_complain(c, -ENOENT,
				    "\"%s\" is neither a namespace nor a repository as "
				    "models/namespace/name",
				    what);
	if (!strchr(key, '/')) {
		*ret = tag_scope_of_namespace(key);
		return tell(what, ret_name);
	}
	r = repo_id_parse_key(key, &f.id);
	if (r == 0)
		r = db_read(api_db(c), find, &f);
	if (r == -ENOENT)
		return api_complain(c, r, "\"%s\" is no repository that is hosted here", what);
	if (r < 0)
		return r;
	*ret = tag_scope_of_repo(repo.uid);
	repo_id_key(&repo.id, key);
	return tell(key, ret_name);
}

int api_scope_name(struct db_txn *t, const struct tag_scope *s, struct buf *ret)
{
	char key[REPO_KEY_MAX + 1];
	struct registry_repo repo;
	struct repo_id id;
	int r;

	if (!tag_scope_is_repo(s))
		return buf_add_str(ret, s->key + 1);
	r = registry_name(t, s->key, &id);
	if (r == 0)
		r = registry_get(t, &id, &repo);
	if (r < 0)
		return r;
	repo_id_key(&repo.id, key);
	return buf_add_str(ret, key);
}

int api_hosted_repo(struct api_call *c, struct registry_repo *ret)
{
	struct finding f = { .repo = ret };
	int r = -ENOENT;

	for (int t = 0; r == -ENOENT && t < REPO_TYPE_COUNT; t++)
		if (!strcmp(repo_type_plural((enum repo_type)t), c->params[0]) &&
		    repo_id_parse((enum repo_type)t, c->params[1], &f.id) == 0)
			r = db_read(api_db(c), find, &f);
	if (r == -ENOENT)
		return api_complain(c, r, "\"%s/%s\" is no repository that is hosted here",
				    c->params[0], c->params[1]);
	return r;
}

/* --- rules */

int api_tag_glob(struct api_call *c, const char *glob, bool is_new)
{
	if (!tag_glob_valid(glob))
		return api_complain(c, -EINVAL, "no tag can have a name like \"%s\"", glob);
	if (!is_new || !strchr(glob, ','))
		return 0;
	return api_complain(c, -EINVAL,
			    "\"%s\" is one name with a comma in it: make a rule for each of them",
			    glob);
}

int api_rule_write(struct api_call *c, db_fn fn, void *arg)
{
	int r = db_write(api_db(c), fn, arg);

	if (r == 0)
		rulewatch_look(c->ask->server->rulewatch);
	return r;
}

int api_tag_rules_at(struct api_tag_rules *l, const struct tag_scope *s, const char *name,
		     struct buf *ret_what)
{
	CLEANUP(buf_free) struct buf place = { 0 };

	if (buf_printf(&place, "%s %s", s->key, name) < 0)
		return place.failed;
	if (l->after && strcmp(buf_str(&place), l->after) <= 0)
		return 0;
	return api_page_room(&l->page, buf_str(&place)) ? api_scope_name(l->txn, s, ret_what) : 1;
}

static int list_rules(struct db_txn *t, void *arg)
{
	struct api_tag_rules *l = arg;

	l->txn = t;
	return l->each(t, l);
}

int api_tag_rules(struct api_call *c, int (*each)(struct db_txn *t, struct api_tag_rules *l))
{
	CLEANUP(buf_free) struct buf room = { 0 }, what = { 0 };
	const char *about = api_query(c, "what", &what);
	struct api_tag_rules l = { .each = each };
	int r = about ? api_scope(c, about, &l.scope, NULL) : 0;

	if (r < 0)
		return r;
	l.about = about ? &l.scope : NULL;
	l.page = api_page_begin(c, &room, &l.after);
	r = db_read(api_db(c), list_rules, &l);
	api_page_end(&l.page);
	return r < 0 ? r : 0;
}
