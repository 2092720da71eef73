/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/compare.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "admin/hub/answer.h"
#include "admin/hub/writing.h"
#include "admin/registry/intake.h"
#include "admin/registry/treediff.h"
#include "daemon/base/err.h"
#include "daemon/base/file.h"
#include "daemon/base/num.h"

#define FILES_MAX 1000  /* that are told */
#define TEXT_BYTES 8000 /* git looks at so many for a NUL */

/* ---- which two ---- */

struct comparison {
	struct ask *ask;
	struct db_txn *txn;
	const char *uid;
	char revisions[2 * REVISION_MAX + 4]; /* "main", NUL, "v1" */
	const char *sides[2];                 /* in it */
	size_t count;
	bool cut;         /* there are more */
	struct buf lines; /* struct line */
	struct buf paths; /* each with its NUL */
};

static void comparison_fini(struct comparison *c)
{
	buf_free(&c->lines);
	buf_free(&c->paths);
}

static int take_sides(struct comparison *c)
{
	char *dots;

	snprintf(c->revisions, sizeof(c->revisions), "%.*s", (int)sizeof(c->revisions) - 1,
		 c->ask->asked.target.path);
	dots = strstr(c->revisions, "..");
	if (!dots || dots == c->revisions || !dots[2]) {
		answer_refuse(c->ask, 400, "Two revisions are compared: \"main..v1\"");
		return ANSWERED;
	}
	*dots = '\0';
	c->sides[0] = c->revisions;
	c->sides[1] = dots + 2;
	return 0;
}

/* The failure names what was looked for. */
static int find_tree(struct comparison *c, const char *revision, uint8_t ret[static GIT_ID])
{
	CLEANUP(buf_free) struct buf room = { 0 };
	char *rev = c->ask->asked.target.rev, id[COMMIT_HEX + 1];
	struct git_commit commit;
	int r = registry_find(c->txn, c->uid, revision, id);

	snprintf(rev, sizeof(c->ask->asked.target.rev), "%s", revision);
	if (r == 0)
		r = registry_commit(c->txn, c->uid, id, &room, &commit);
	if (r == 0)
		memcpy(ret, commit.tree, GIT_ID);
	return r;
}

/* ---- what differs ---- */

struct line {
	struct tree_side sides[2];
	struct manifest_file file; /* as it is now, or was */
};

/* A file that was deleted for good is not there, nor is what is none. */
static int find_file(const struct comparison *c, struct tree_side *s, struct manifest_file *ret)
{
	int r = !s->mode || s->mode == GIT_SUBMODULE ? -ENOENT
						     : registry_file(c->txn, c->uid, s->id, ret);

	if (r == -ENOENT)
		*s = (struct tree_side){ 0 };
	return r == -ENOENT ? 0 : r;
}

static int add_line(void *arg, const char *path, const struct tree_side *from,
		    const struct tree_side *to)
{
	struct comparison *c = arg;
	struct line l = { .sides = { *from, *to } };
	int r = find_file(c, &l.sides[0], &l.file);

	if (r == 0)
		r = find_file(c, &l.sides[1], &l.file);
	if (r < 0 || (!l.sides[0].mode && !l.sides[1].mode))
		return r;
	c->cut = c->count == FILES_MAX;
	if (c->cut)
		return 1;
	c->count++;
	buf_add(&c->lines, &l, sizeof(l));
	buf_add(&c->paths, path, strlen(path) + 1);
	return c->lines.failed ? c->lines.failed : c->paths.failed;
}

static int compare(struct db_txn *t, void *arg)
{
	struct comparison *c = arg;
	uint8_t from[GIT_ID], to[GIT_ID];
	int r;

	c->txn = t;
	buf_clear(&c->lines);
	buf_clear(&c->paths);
	c->count = 0;
	c->cut = false;
	r = find_tree(c, c->sides[0], from);
	if (r == 0)
		r = find_tree(c, c->sides[1], to);
	if (r == 0)
		r = treediff_each(t, c->uid, from, to, add_line, c);
	return r < 0 ? r : 0;
}

/* ---- as lines ---- */

/* A pointer of git-lfs is text. What cannot be looked at is none. */
static bool is_text(struct ask *a, const struct manifest_file *f)
{
	char etag[DIGEST_HEX_MAX + 1], bytes[TEXT_BYTES];
	CLEANUP(closep) int fd = -1;
	uint64_t size;

	if (f->kind == DIGEST_SHA256)
		return true;
	manifest_etag(f, etag);
	fd = intake_open_blob(a->server->intake, etag, &size);
	size = fd < 0 ? 0 : min_u64(size, sizeof(bytes));
	return fd >= 0 && file_pread(fd, bytes, size, 0) >= 0 && !memchr(bytes, '\0', size);
}

static int print_line(struct ask *a, const struct line *l, const char *path, struct buf *ret)
{
	const struct tree_side *from = &l->sides[0], *to = &l->sides[1];
	char ids[2][2 * GIT_ID + 1];

	hex_print(from->id, GIT_ID, ids[0]);
	hex_print(to->id, GIT_ID, ids[1]);
	return buf_printf(ret, "%c %" PRIu64 "\t:%06o %06o %s... %s... %c\t%s\n",
			  is_text(a, &l->file) ? 'T' : 'B', l->file.size, from->mode, to->mode,
			  ids[0], ids[1],
			  !from->mode ? 'A'
			  : to->mode  ? 'M'
				      : 'D',
			  path);
}

static int answer_lines(const struct comparison *c)
{
	const struct line *lines = (const void *)c->lines.data;
	CLEANUP(buf_free) struct buf text = { 0 };
	const char *path = c->paths.data;
	struct httpd_head h;
	int r = 0;

	for (size_t i = 0; r == 0 && i < c->count; i++) {
		r = print_line(c->ask, &lines[i], path, &text);
		path += strlen(path) + 1;
	}
	if (r == 0 && c->cut)
		r = buf_printf(&text, "# The list ends here: more than %zu files differ\n",
			       c->count);
	if (r < 0)
		return r;
	h = answer_head(c->ask, 200, "text/plain; charset=utf-8");
	answer_json_head(c->ask, &h, &text);
	return 0;
}

int compare_raw(struct ask *a)
{
	CLEANUP(comparison_fini) struct comparison c = { .ask = a };
	struct registry_repo repo;
	int r;

	if (!ask_aside(a, LANE_DIFFS, &r))
		return r;
	r = writing_repo(a, &repo);
	c.uid = repo.uid;
	if (r == 0 && !target_flag(a->asked.query, "raw")) {
		answer_refuse(a, 400, "This hub compares with raw=true");
		r = ANSWERED;
	}
	if (r == 0)
		r = take_sides(&c);
	if (r == 0)
		r = db_read(a->server->rights.db, compare, &c);
	if (r == 0)
		r = answer_lines(&c);
	return r == ANSWERED ? 0 : r;
}
