/* SPDX-License-Identifier: Apache-2.0 */
/* What is reached is found first, and written then: nothing is read of tables that change. */
#include "admin/registry/copying.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "admin/registry/discussions.h"
#include "admin/registry/walk.h"
#include "daemon/base/err.h"

struct copy {
	struct db_txn *txn;
	struct copying *c;
	struct buf objects; /* a kind and an id each; of a file the kind is for whoever reads it */
	struct buf refs;    /* a commit, a blank and a ref each, a line */
	struct buf commits; /* ids of what they name */
};

void copying_fini(struct copying *c)
{
	buf_free(&c->left);
}

static void copy_fini(struct copy *c)
{
	buf_free(&c->objects);
	buf_free(&c->refs);
	buf_free(&c->commits);
}

static int note(struct copy *c, char kind, const uint8_t id[static GIT_ID])
{
	int r = buf_add(&c->objects, &kind, 1);

	return r < 0 ? r : buf_add(&c->objects, id, GIT_ID);
}

static int note_commit(void *arg, const struct walk_commit *commit)
{
	return note(arg, REGISTRY_COMMIT, commit->id);
}

static int note_tree(void *arg, const uint8_t id[static GIT_ID], const struct buf *bytes UNUSED)
{
	return note(arg, REGISTRY_TREE, id);
}

static int note_file(void *arg, const struct walk_commit *c UNUSED, const char *path UNUSED,
		     const struct git_entry *e)
{
	return note(arg, 0, e->id);
}

/* A tag moves by promotions alone there. A rule that is damaged may mean any tag: that is for an
 * administrator to look at. */
static int is_promoted(const struct copy *c, const char *ref, bool *ret)
{
	size_t place = sizeof(REGISTRY_TAGS) - 1;
	struct tag_lock l = { .kind = LOCK_NONE };
	int r = 0;

	if (!strncmp(ref, REGISTRY_TAGS, place))
		r = tag_lock_get(c->txn, c->c->to, ref + place, &l);
	*ret = l.kind == LOCK_PROMOTION && !l.damaged;
	return r < 0 || !*ret
		       ? r
		       : buf_printf(&c->c->left, "%s%s", c->c->left.len ? ", " : "", ref + place);
}

/* Pull requests are of the other one: they stay there, with what they alone reach. */
static int note_ref(void *arg, const char *ref, const char *commit)
{
	struct copy *c = arg;
	uint8_t id[GIT_ID];
	bool stays = !strncmp(ref, DISCUSSION_PULLS, strlen(DISCUSSION_PULLS));
	int r = stays ? 0 : is_promoted(c, ref, &stays);

	if (r < 0 || stays)
		return r;
	r = hex_parse(commit, GIT_ID, id);
	if (r == 0)
		r = buf_add(&c->commits, id, GIT_ID);
	return r < 0 ? r : buf_printf(&c->refs, "%s %s\n", commit, ref);
}

static int copy_object(struct db_txn *t, const char *from, const char *to, const char *noted)
{
	static const enum registry_kind files[] = { REGISTRY_FILE, REGISTRY_POINTER,
						    REGISTRY_GONE };
	CLEANUP(buf_free) struct buf data = { 0 };
	const uint8_t *id = (const uint8_t *)noted + 1;
	enum registry_kind kind = (enum registry_kind)noted[0];
	int r = kind ? registry_object(t, from, kind, id, &data) : -ENOENT;

	for (size_t i = 0; !noted[0] && r == -ENOENT && i < ARRAY_LEN(files); i++) {
		kind = files[i];
		r = registry_object(t, from, kind, id, &data);
	}
	if (r < 0)
		return r == -ENOENT ? ERR_CORRUPT : r;
	return registry_put_object(t, to, kind, id, data.data, data.len);
}

static int copy_refs(struct copy *c, struct buf *why)
{
	char *at = c->refs.data, *line;
	int r = 0;

	while (r == 0 && at && (line = strsep(&at, "\n")) && *line) {
		line[COMMIT_HEX] = '\0';
		r = ref_change(c->txn,
			       &(struct ref_change){ .uid = c->c->to,
						     .ref = line + COMMIT_HEX + 1,
						     .commit = line,
						     .act = "repo.duplicate",
						     .user = c->c->user },
			       why);
	}
	return r;
}

int copying_history(struct db_txn *t, struct copying *copying, struct buf *why)
{
	static const struct walk_events events = { note_commit, note_tree, note_file };
	CLEANUP(copy_fini) struct copy c = { .txn = t, .c = copying };
	int r;

	buf_clear(&copying->left);
	r = registry_each_ref(t, copying->from, "", note_ref, &c);
	if (r == 0)
		r = walk_commits(t, copying->from, &c.commits, &events, &c);
	for (size_t at = 0; r == 0 && at < c.objects.len; at += 1 + GIT_ID)
		r = copy_object(t, copying->from, copying->to, c.objects.data + at);
	if (r == 0)
		r = copy_refs(&c, why);
	if (r == 0)
		r = registry_ref(t, copying->to, REGISTRY_MAIN, copying->commit);
	return r == -ENOENT ? ERR_NOREV : r;
}
