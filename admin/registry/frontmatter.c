/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/frontmatter.h"

#include <errno.h>
#include <string.h>

#include "daemon/base/num.h"
#include "daemon/base/why.h"
#include "daemon/base/yaml.h"

#define FENCE "---"
#define LINES_BEFORE 3 /* of what is shown around a mistake */
#define LINES_AFTER 2
#define LINE_SHOWN 80

/* ---- found ---- */

static bool is_newline(char c)
{
	return c == '\n' || c == '\r';
}

static bool is_blank(char c)
{
	return is_newline(c) || c == ' ' || c == '\t' || c == '\v' || c == '\f';
}

/* True if a line at `at` is a fence and nothing more. */
static bool is_end(const char *at, const char *end)
{
	if (end - at < 3 || memcmp(at, FENCE, 3) != 0)
		return false;
	at += 3;
	return at == end || *at == '\n' || (end - at > 1 && at[0] == '\r' && at[1] == '\n');
}

static const char *skip_newlines(const char *at, const char *end)
{
	while (at < end && is_newline(*at))
		at++;
	return at;
}

/* The first run of newlines from `at` on that a fence follows; NULL. */
static const char *find_end(const char *at, const char *end)
{
	while (at < end) {
		const char *behind;

		if (!is_newline(*at)) {
			at++;
			continue;
		}
		behind = skip_newlines(at, end);
		if (is_end(behind, end))
			return at;
		at = behind;
	}
	return NULL;
}

bool frontmatter_find(const char *text, size_t len, const char **ret_at, size_t *ret_len)
{
	const char *at = text, *end = text + len, *begin, *found;

	while (at < end && is_blank(*at))
		at++;
	if (end - at < 4 || memcmp(at, FENCE, 3) != 0 || !is_newline(at[3]))
		return false;
	begin = skip_newlines(at + 3, end);
	found = find_end(begin, end);
	/* Nothing but empty lines between the fences: the last one ends what is empty. */
	if (!found && begin - at > 4 && is_end(begin, end))
		found = --begin;
	if (!found)
		return false;
	*ret_at = begin;
	*ret_len = (size_t)(found - begin);
	return true;
}

/* ---- read ---- */

/* How wide the number of a line is. */
static int width_of(size_t line)
{
	int n = 1;

	for (; line >= 10; line /= 10)
		n++;
	return n;
}

static size_t line_len(const char *at, const char *end)
{
	const char *newline = at < end ? memchr(at, '\n', (size_t)(end - at)) : NULL;

	return (size_t)((newline ? newline : end) - at);
}

/* In the column, behind the number and " | ". */
static void show_mark(const struct yaml_wrong *wrong, int width, struct buf *ret)
{
	buf_add(ret, "\n", 1);
	for (size_t i = min_u64(wrong->column, LINE_SHOWN) + (size_t)width + 3; i > 0; i--)
		buf_add(ret, "-", 1);
	buf_add(ret, "^", 1);
}

/* The lines around a mistake and a mark below its place, as the public hub shows them. It may be on
 * a line behind the last one. */
static void show(const char *yaml, size_t len, const struct yaml_wrong *wrong, struct buf *ret)
{
	int width = width_of(wrong->line + LINES_AFTER);
	const char *at = yaml, *end = yaml + len;

	for (size_t line = 1;
	     line <= wrong->line || (at < end && line <= wrong->line + LINES_AFTER); line++) {
		size_t shown = line_len(at, end);

		if (line + LINES_BEFORE >= wrong->line)
			buf_printf(ret, "\n %*zu | %.*s", width, line,
				   (int)min_u64(shown, LINE_SHOWN), at);
		if (line == wrong->line)
			show_mark(wrong, width, ret);
		at += shown + (at + shown < end);
	}
}

static int refuse_yaml(const char *yaml, size_t len, const struct yaml_wrong *wrong,
		       struct buf *why)
{
	buf_printf(why, "Invalid YAML in README.md: %s (%zu:%zu)\n", wrong->what, wrong->line,
		   wrong->column);
	show(yaml, len, wrong, why);
	return -EINVAL;
}

int frontmatter_json(const char *text, size_t len, struct buf *ret, struct buf *why)
{
	size_t was = ret->len, yaml_len;
	struct yaml_wrong wrong;
	const char *yaml;
	int r;

	if (!frontmatter_find(text, len, &yaml, &yaml_len))
		return -ENOENT;
	r = yaml_json(yaml, yaml_len, ret, &wrong);
	if (r == -EINVAL)
		return refuse_yaml(yaml, yaml_len, &wrong, why);
	if (r < 0)
		return r;
	if (ret->data[was] == '[')
		return complain_as(-EINVAL, why, "\"value\" must be of type object");
	if (ret->data[was] != '{')
		return complain_as(-EINVAL, why, "The YAML metadata of your README.md is invalid.");
	return 0;
}
