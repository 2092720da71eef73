/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/repo_create.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "admin/hub/answer.h"
#include "admin/hub/repo_answer.h"
#include "admin/hub/repo_body.h"
#include "admin/hub/writing.h"
#include "admin/registry/card.h"
#include "admin/registry/committing.h"
#include "admin/registry/first_files.h"
#include "admin/registry/renaming.h"
#include "daemon/base/base64.h"
#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/why.h"

#define FIRST_TITLE "initial commit"
#define FILES_MAX 100 /* each of them waits for the disk */

static bool is_sdk(const char *word)
{
	static const char *const sdks[] = { "gradio", "streamlit", "docker", "static" };

	for (size_t i = 0; word && i < ARRAY_LEN(sdks); i++)
		if (!strcmp(word, sdks[i]))
			return true;
	return false;
}

struct creation {
	struct ask *ask;
	struct registry_repo repo;
	enum visibility visibility;
	struct commit_plan plan;
	struct writing_shelf shelf;
	const struct jval *files; /* that the first commit is to have beside, or NULL */
	char commit[COMMIT_HEX + 1];
	struct buf why;
};

static void creation_fini(struct creation *c)
{
	commit_plan_fini(&c->plan);
	writing_shelf_fini(&c->shelf);
	buf_free(&c->why);
}

static int add_first_file(struct creation *c, const char *path, const char *text, size_t len)
{
	struct manifest_file file;
	int r = writing_put(c->ask, text, len, &file);

	return r < 0 ? r : commit_plan_add(&c->plan, CHANGE_FILE, path, &file, &c->why);
}

/* The bytes of a file as a line of a commit has them. */
static int read_content(const struct jval *file, const char *path, struct buf *ret, struct buf *why)
{
	const char *content = jval_get_str(file, "content");
	const char *encoding = jval_get_str(file, "encoding");
	size_t len = content ? strlen(content) : 0, n = 0;
	struct base64 digits = { 0 };
	int r = buf_reserve(ret, BASE64_BYTES(len));

	if (r < 0)
		return r;
	if (!content || (encoding && strcmp(encoding, "base64") != 0))
		r = -EINVAL;
	if (r == 0)
		r = base64_take(&digits, content, len, (uint8_t *)ret->data, &n);
	if (r == 0)
		r = base64_end(&digits);
	ret->len = n;
	return r < 0 ? complain_as(ERR_HOSTILE, why, "The \"content\" of %s is no Base64", path)
		     : 0;
}

/* The same that a commit would not take. */
static int check_content(const struct creation *c, const char *path, const struct buf *bytes,
			 struct buf *why)
{
	CLEANUP(buf_free) struct buf told = { 0 };
	struct manifest_file f = { .kind = DIGEST_SHA256 };
	int r = 0;

	if (git_pointer_parse(buf_str(bytes), bytes->len, f.digest, &f.size))
		return complain_as(ERR_HOSTILE, why,
				   "%s is a pointer of git-lfs: its file comes with a commit",
				   path);
	if (!strcmp(path, "README.md"))
		r = card_check(buf_str(bytes), bytes->len, c->repo.id.type, &told, why);
	return r == 0 && why->len ? ERR_HOSTILE : r;
}

/* A file that is to be in the first commit. */
static int add_wanted(struct creation *c, const struct jval *file)
{
	CLEANUP(buf_free) struct buf bytes = { 0 };
	const char *path = jval_get_str(file, "path");
	int r;

	if (!path)
		return complain_as(ERR_HOSTILE, &c->why, "each of \"files\" must have a \"path\"");
	r = commit_check_path(path, &c->why);
	if (r == 0)
		r = read_content(file, path, &bytes, &c->why);
	if (r == 0)
		r = check_content(c, path, &bytes, &c->why);
	return r < 0 ? r : add_first_file(c, path, buf_str(&bytes), bytes.len);
}

/* They take the place of what is made here. */
static int add_all_wanted(struct creation *c)
{
	size_t count = jval_count(c->files);
	int r = 0;

	if (c->files && !jval_is_array(c->files))
		return complain_as(ERR_HOSTILE, &c->why, "\"files\" must be a list");
	if (count > FILES_MAX)
		return complain_as(ERR_HOSTILE, &c->why,
				   "\"files\" may be %d at most: the others come with a commit",
				   FILES_MAX);
	for (size_t i = 0; r == 0 && i < count; i++)
		r = add_wanted(c, jval_at(c->files, i));
	return r;
}

static int plan_first(struct creation *c, const char *license)
{
	CLEANUP(buf_free) struct buf card = { 0 };
	const char *attributes = first_attributes(c->repo.id.type);
	int r = add_first_file(c, ".gitattributes", attributes, strlen(attributes));

	snprintf(c->plan.branch, sizeof(c->plan.branch), "%s", REGISTRY_MAIN);
	writing_author(c->ask, &c->plan);
	writing_shelve(c->ask, c->repo.id.type, &c->shelf, &c->plan);
	if (r == 0)
		r = first_card(&c->repo, license, &card, &c->why);
	if (r == 0 && card.len)
		r = add_first_file(c, "README.md", buf_str(&card), card.len);
	if (r == 0)
		r = add_all_wanted(c);
	if (r == 0)
		r = commit_plan_say(&c->plan, FIRST_TITLE, NULL);
	return r;
}

static int bring_in(struct db_txn *t, void *arg)
{
	struct creation *c = arg;
	int r = registry_add(t, &c->repo);

	buf_clear(&c->why);
	if (r == 0)
		r = renaming_take(t, &c->repo.id);
	if (r == 0)
		r = rights_put_visibility(t, &c->repo.id, c->visibility);
	return r < 0 ? r : commit_make_first(t, &c->plan, c->commit, &c->why);
}

static int create(struct creation *c, const struct writing_act *act, const char *license)
{
	int r = writing_name_free(c->ask, &c->repo.id) ? 0 : -EEXIST;

	if (r == 0)
		r = registry_make_uid(c->repo.uid);
	memcpy(c->plan.uid, c->repo.uid, sizeof(c->plan.uid));
	c->plan.blobs = c->ask->server->intake;
	c->plan.repo = ""; /* its files are none of git-lfs */
	c->repo.created_s = clock_wall_s();
	snprintf(c->repo.creator, sizeof(c->repo.creator), "%s", c->ask->who.user);
	if (r == 0)
		r = plan_first(c, license);
	return r < 0 ? r : db_write(writing_db(c->ask, act), bring_in, c);
}

static int run_create(struct creation *c, const char *license)
{
	struct writing_act act = { "repo.create", &c->repo.id, c->commit, NULL };
	bool hides;
	int r = writing_owner(c->ask, &c->repo.id, &hides);

	if (r == 0 && c->visibility == VISIBILITY_UNSAID)
		c->visibility = hides ? VISIBILITY_PRIVATE : VISIBILITY_PUBLIC;
	if (r == ERR_FORBIDDEN || r == -ENOENT)
		return writing_refuse(
			c->ask, &act, 403,
			"You don't have the rights to create a %s under the namespace \"%.*s\"",
			repo_type_word(c->repo.id.type), (int)strcspn(c->repo.id.name, "/"),
			c->repo.id.name);
	act.note = c->visibility == VISIBILITY_PRIVATE ? "private" : "public";
	if (r == 0)
		r = create(c, &act, license);
	if (r == -EEXIST)
		return repo_answer_exists(c->ask, &c->repo.id);
	act.commit = r < 0 ? NULL : c->commit;
	if (r == ERR_HOSTILE)
		return writing_refuse(c->ask, &act, 400, "%s", buf_str(&c->why));
	if (r == ERR_QUOTA)
		return writing_refuse_full(c->ask, &act, &c->repo.id, "");
	if (r < 0)
		return writing_note_failure(c->ask, &act, r);
	r = writing_done(c->ask, &act);
	return r < 0 ? r
		     : repo_answer_there(c->ask, &c->repo.id, &c->repo,
					 c->visibility == VISIBILITY_PRIVATE);
}

int repo_create(struct ask *a)
{
	CLEANUP(creation_fini) struct creation c = { .ask = a };
	CLEANUP(jdoc_freep) struct jdoc *doc = NULL;
	const char *sdk;
	int r;

	if (!writing_begin(a, &r))
		return r;
	r = writing_body(a, &doc);
	if (r == 0)
		r = repo_body_id(a, jdoc_root(doc), &c.repo.id);
	if (r != 0)
		return r < 0 ? r : 0;
	a->asked.target.repo = c.repo.id;
	if (!repo_body_visibility(a, jdoc_root(doc), &c.visibility))
		return 0;
	sdk = jval_get_str(jdoc_root(doc), "sdk");
	if (c.repo.id.type == REPO_SPACE && !is_sdk(sdk)) {
		answer_refuse(a, 400, "\"sdk\" must be one of [gradio, streamlit, docker, static]");
		return 0;
	}
	if (c.repo.id.type == REPO_SPACE)
		snprintf(c.repo.sdk, sizeof(c.repo.sdk), "%s", sdk);
	c.files = jval_get(jdoc_root(doc), "files");
	return run_create(&c, jval_get_str(jdoc_root(doc), "license"));
}
