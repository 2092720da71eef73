/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/git/gitattributes.h"

#include <string.h>

#include "daemon/base/buf.h"

#define LINE_MAX_GIT 2048 /* of longer ones git says that it ignores them */
#define BLANKS " \t\r\n"
#define MACRO "[attr]"

/* ---- attributes ---- */

static bool is_attribute(const char *name, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		char c = name[i];

		if ((c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') &&
		    !(c && strchr("-._", c)))
			return false;
	}
	return len > 0 && *name != '-';
}

/* One of "filter=lfs", "filter", "-filter", "!filter". False if it is no attribute: then the
 * whole line is none. */
static bool read_attribute(const char *text, size_t len, bool *said, bool *lfs)
{
	bool no = *text == '-' || *text == '!';
	const char *name = text + no, *equals = memchr(name, '=', len - no);
	size_t name_len = equals ? (size_t)(equals - name) : len - no;

	if (!is_attribute(name, name_len))
		return false;
	if (name_len != 6 || memcmp(name, "filter", 6) != 0)
		return true;
	*said = true;
	*lfs = !no && len == 10 && memcmp(text, "filter=lfs", 10) == 0;
	return true;
}

static bool read_attributes(const char *at, bool *said, bool *lfs)
{
	*said = false;
	for (at += strspn(at, BLANKS); *at; at += strspn(at, BLANKS)) {
		size_t len = strcspn(at, BLANKS);

		if (!read_attribute(at, len, said, lfs))
			return false;
		at += len;
	}
	return true;
}

/* ---- patterns ---- */

static int octal(const char *at)
{
	int v = 0;

	for (int i = 0; i < 3; i++) {
		if (at[i] < '0' || at[i] > (i ? '7' : '3'))
			return -1;
		v = 8 * v + at[i] - '0';
	}
	return v;
}

/* Behind a backslash. How many bytes it took, 0 if it means nothing. */
static size_t unescape(const char *at, char *ret)
{
	static const char letters[] = "abfnrtv\\\"", bytes[] = "\a\b\f\n\r\t\v\\\"";
	const char *letter = *at ? strchr(letters, *at) : NULL;
	int v = letter ? bytes[letter - letters] : octal(at);

	*ret = (char)v;
	return v < 0 ? 0 : letter ? 1 : 3;
}

/* A name in quotes as in C; what is behind it, or NULL if it is none. */
static const char *unquote(const char *at, struct buf *ret)
{
	for (at++; *at != '"'; at++) {
		char c = *at;

		if (!c)
			return NULL;
		if (c == '\\') {
			size_t n = unescape(at + 1, &c);

			if (!n)
				return NULL;
			at += n;
		}
		buf_add(ret, &c, 1);
	}
	return at + 1;
}

/* What is behind it. */
static const char *read_name(const char *at, struct buf *ret)
{
	const char *behind = *at == '"' ? unquote(at, ret) : NULL;
	size_t len = strcspn(at, BLANKS);

	if (behind)
		return behind;
	buf_clear(ret);
	buf_add(ret, at, len);
	return at + len;
}

/* Patterns that begin with '!' mean nothing here. */
static bool is_pattern(const struct buf *name)
{
	return name->len && *name->data != '!' &&
	       !(name->len > strlen(MACRO) && strncmp(name->data, MACRO, strlen(MACRO)) == 0);
}

static int add_line(struct git_rules *rules, char *line)
{
	CLEANUP(buf_free) struct buf name = { 0 };
	const char *at = line + strspn(line, BLANKS);
	bool said, lfs;

	if (!*at || *at == '#' || strlen(line) >= LINE_MAX_GIT)
		return 0;
	at = read_name(at, &name);
	if (name.failed)
		return name.failed;
	if (!is_pattern(&name) || !read_attributes(at, &said, &lfs) || !said)
		return 0;
	return git_rules_add(rules, name.data, name.len, lfs);
}

int gitattributes_parse(const char *text, size_t len, struct git_rules **ret)
{
	return git_rules_parse(text, len, add_line, ret);
}

bool gitattributes_is_lfs(const struct git_rules *rules, const char *path)
{
	return git_rules_say(rules, path, strlen(path), false, false);
}
