/* SPDX-License-Identifier: Apache-2.0 */
/* Input: the length of one text (a byte), it, and another one. What changed from the one to the
 * other is put onto the one, as git would: the other comes out. */
#include "admin/git/gitdiff.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/buf.h"
#include "daemon/base/num.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define NO_NEWLINE "\\ No newline at end of file\n"

/* What is left of a text. */
struct rest {
	const char *at;
	size_t len;
};

static bool begins(const struct rest *r, const char *with)
{
	return r->len >= strlen(with) && !memcmp(r->at, with, strlen(with));
}

static struct rest take_line(struct rest *r)
{
	const char *end = r->len ? memchr(r->at, '\n', r->len) : NULL;
	struct rest line = { r->at, end ? (size_t)(end - r->at) + 1 : r->len };

	r->at += line.len;
	r->len -= line.len;
	return line;
}

static void pass(struct rest *old, const struct rest *line, struct buf *ret)
{
	struct rest there = take_line(old);

	assert(there.len == line->len && !memcmp(there.at, line->at, line->len));
	if (ret)
		assert(buf_add(ret, there.at, there.len) == 0);
}

/* A line of a hunk: what it does to the old text. */
static void apply_line(struct rest *diff, struct rest *old, struct buf *ret)
{
	struct rest line = take_line(diff), text = { line.at + 1, line.len - 1 };

	assert(line.len >= 2 && strchr(" +-", *line.at));
	if (begins(diff, NO_NEWLINE)) {
		take_line(diff);
		text.len--;
	}
	if (*line.at == '+')
		assert(buf_add(ret, text.at, text.len) == 0);
	else
		pass(old, &text, *line.at == ' ' ? ret : NULL);
}

/* "-12,3": its first line and how many. */
static void take_range(struct rest *head, char mark, size_t *ret_first, size_t *ret_count)
{
	char *end;

	assert(*head->at == mark);
	*ret_first = strtoul(head->at + 1, &end, 10);
	*ret_count = *end == ',' ? strtoul(end + 1, &end, 10) : 1;
	head->at = end + 1;
}

static void apply_hunk(struct rest *diff, struct rest *old, size_t *at, struct buf *ret)
{
	struct rest head = take_line(diff);
	size_t first, count, to, to_count;

	head.at += strlen("@@ ");
	take_range(&head, '-', &first, &count);
	take_range(&head, '+', &to, &to_count);
	for (; *at + (count > 0) < first; ++*at) {
		struct rest line = take_line(old);

		assert(buf_add(ret, line.at, line.len) == 0);
	}
	while (diff->len && strchr(" +-", *diff->at))
		apply_line(diff, old, ret);
	*at += count;
}

static void check(struct rest from, struct rest to)
{
	static const uint8_t ids[2][GIT_ID] = { { 1 }, { 2 } };
	const struct git_diff_side a = { GIT_FILE, ids[0], from.at, from.len };
	const struct git_diff_side b = { GIT_FILE, ids[1], to.at, to.len };
	CLEANUP(buf_free) struct buf text = { 0 }, made = { 0 };
	struct rest diff, old = from;
	size_t at = 0;

	assert(git_diff_print("f", &a, &b, &text) == 0);
	if (memchr(from.at, '\0', from.len) || memchr(to.at, '\0', to.len))
		return; /* bytes */
	diff = (struct rest){ buf_str(&text), text.len };
	while (diff.len && !begins(&diff, "@@ "))
		take_line(&diff);
	while (diff.len)
		apply_hunk(&diff, &old, &at, &made);
	assert(buf_add(&made, old.at, old.len) == 0);
	assert(made.len == to.len && !memcmp(buf_str(&made), to.at, to.len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const char *text = (const char *)data;
	size_t from;

	if (!len)
		return 0;
	from = min_u64(data[0], len - 1);
	check((struct rest){ text + 1, from }, (struct rest){ text + 1 + from, len - 1 - from });
	return 0;
}
