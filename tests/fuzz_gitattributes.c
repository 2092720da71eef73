/* SPDX-License-Identifier: Apache-2.0 */
/* Input: a .gitattributes or .gitignore, a NUL, and a path. Whatever it says, a line behind it that
 * means all, or that path alone, has the last word. */
#include "admin/git/gitattributes.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "admin/git/gitignore.h"
#include "daemon/base/buf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* The path as a pattern that means nothing else. */
static void escape(const char *path, struct buf *ret)
{
	buf_add(ret, "/", 1);
	for (; *path; path++) {
		buf_add(ret, "\\", *path != '/');
		buf_add(ret, path, 1);
	}
}

static void check_attributes(const char *text, const char *line, const char *path, bool lfs)
{
	CLEANUP(git_rules_freep) struct git_rules *rules = NULL;
	CLEANUP(buf_free) struct buf all = { 0 };
	int r;

	buf_printf(&all, "%s\n%s", text, line);
	r = gitattributes_parse(all.data, all.len, &rules);
	assert(r == 0 || r == -E2BIG);
	assert(r < 0 || gitattributes_is_lfs(rules, path) == lfs);
}

static void check_ignore(const char *text, const char *line, const char *path)
{
	CLEANUP(git_rules_freep) struct git_rules *rules = NULL;
	CLEANUP(buf_free) struct buf all = { 0 };
	int r;

	buf_printf(&all, "%s\n%s", text, line);
	r = gitignore_parse(all.data, all.len, &rules);
	assert(r == 0 || r == -E2BIG);
	assert(r < 0 || gitignore_leaves_out(rules, path));
}

/* One that git could have, in quotes or out of them. */
static bool is_path(const char *path)
{
	size_t len = strlen(path);

	return len && len < 500 && *path != '/' && path[len - 1] != '/' &&
	       !strpbrk(path, " \t\r\n");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	CLEANUP(buf_free) struct buf text = { 0 }, own = { 0 }, line = { 0 };
	const char *path;

	buf_add(&text, data, len);
	buf_add(&text, "\0", 2);
	path = text.data + strlen(text.data) + 1;
	if (!is_path(path))
		return 0;
	check_attributes(text.data, "* filter=lfs", path, true);
	check_ignore(text.data, "*", path);
	escape(path, &own);
	buf_printf(&line, "%s -filter", own.data);
	check_attributes(text.data, line.data, path, false);
	check_ignore(text.data, own.data, path);
	return 0;
}
