/* SPDX-License-Identifier: Apache-2.0 */
/* Myers, "An O(ND) Difference Algorithm" (1986): how far each diagonal reaches after d edits is
 * kept for each d, so that the way can be walked back. Lines that both texts begin or end with are
 * taken off before. */
#include "admin/git/gitdiff.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/num.h"

#define EDITS_MAX 1000    /* more of them are one large one: the memory is their square */
#define CONTEXT 3         /* lines around a change */
#define BINARY_BYTES 8000 /* git looks for a NUL in so many */
#define SHORT_ID 7

struct line {
	const char *text;
	size_t len; /* with its newline */
};

struct lines {
	struct line *list;
	size_t count;
};

/* What becomes of the lines: both texts' in one order. */
struct edit {
	char what; /* ' ', '-' or '+' */
	size_t line;
};

struct diff {
	struct lines a, b;
	size_t head; /* lines that both begin with; those in the middle are compared */
	long n, m;
	struct edit *edits;
	size_t count;
};

static void diff_fini(struct diff *d)
{
	free(d->a.list);
	free(d->b.list);
	free(d->edits);
}

static int split(const char *text, size_t len, struct lines *ret)
{
	size_t count = 1, at = 0;

	for (size_t i = 0; i < len; i++)
		count += text[i] == '\n';
	ret->list = calloc(count, sizeof(*ret->list));
	if (!ret->list)
		return -ENOMEM;
	while (at < len) {
		const char *end = memchr(text + at, '\n', len - at);
		size_t here = end ? (size_t)(end - text) + 1 - at : len - at;

		ret->list[ret->count++] = (struct line){ text + at, here };
		at += here;
	}
	return 0;
}

static bool is_equal(const struct diff *d, size_t i, size_t j)
{
	const struct line *x = &d->a.list[i], *y = &d->b.list[j];

	return x->len == y->len && !memcmp(x->text, y->text, x->len);
}

static void trim(struct diff *d)
{
	size_t a = d->a.count, b = d->b.count;

	while (d->head < a && d->head < b && is_equal(d, d->head, d->head))
		d->head++;
	while (a > d->head && b > d->head && is_equal(d, a - 1, b - 1)) {
		a--;
		b--;
	}
	d->n = (long)(a - d->head);
	d->m = (long)(b - d->head);
}

/* ---- the way from one to the other ---- */

/* Row d holds how far the diagonals -d ... d reach. */
static int *row_of(int *rows, long d)
{
	return rows + d * d + d;
}

static bool goes_down(const int *before, long d, long k)
{
	return k == -d || (k != d && before[k - 1] < before[k + 1]);
}

/* How many edits it takes, or -1 if they are too many. */
static long search(const struct diff *x, int *rows)
{
	for (long d = 0; d <= EDITS_MAX; d++) {
		int *row = row_of(rows, d);
		const int *before = d ? row_of(rows, d - 1) : NULL;

		for (long k = -d; k <= d; k += 2) {
			long i = !d                        ? 0
				 : goes_down(before, d, k) ? before[k + 1]
							   : before[k - 1] + 1;

			while (i < x->n && i - k < x->m && i - k >= 0 &&
			       is_equal(x, x->head + (size_t)i, x->head + (size_t)(i - k)))
				i++;
			row[k] = (int)i;
			if (i >= x->n && i - k >= x->m)
				return d;
		}
	}
	return -1;
}

static void push(struct diff *x, char what, size_t line)
{
	x->edits[x->count++] = (struct edit){ what, line };
}

/* From its end; the edits come in the wrong order. */
static void walk_back(struct diff *x, int *rows, long d)
{
	long i = x->n, j = x->m;

	for (; d > 0; d--) {
		const int *before = row_of(rows, d - 1);
		long k = i - j;
		bool down = goes_down(before, d, k);
		long from = down ? before[k + 1] : before[k - 1] + 1;

		for (; i > from; i--, j--)
			push(x, ' ', x->head + (size_t)i - 1);
		if (down)
			push(x, '+', x->head + (size_t)--j);
		else
			push(x, '-', x->head + (size_t)--i);
	}
	for (; i > 0; i--)
		push(x, ' ', x->head + (size_t)i - 1);
}

static void turn(struct edit *list, size_t count)
{
	for (size_t i = 0; i < count / 2; i++) {
		struct edit e = list[i];

		list[i] = list[count - 1 - i];
		list[count - 1 - i] = e;
	}
}

static void replace_all(struct diff *x)
{
	for (long i = 0; i < x->n; i++)
		push(x, '-', x->head + (size_t)i);
	for (long j = 0; j < x->m; j++)
		push(x, '+', x->head + (size_t)j);
}

static int compare_middle(struct diff *x)
{
	size_t most = min_u64((uint64_t)(x->n + x->m), EDITS_MAX) + 1, first = x->count;
	int *rows = malloc(sizeof(*rows) * (most * most + 2 * most + 1));
	long d;

	if (!rows)
		return -ENOMEM;
	d = search(x, rows);
	if (d < 0) {
		replace_all(x);
	} else {
		walk_back(x, rows, d);
		turn(x->edits + first, x->count - first);
	}
	free(rows);
	return 0;
}

static int compare(struct diff *x)
{
	int r;

	x->edits = calloc(x->a.count + x->b.count + 1, sizeof(*x->edits));
	if (!x->edits)
		return -ENOMEM;
	trim(x);
	for (size_t i = 0; i < x->head; i++)
		push(x, ' ', i);
	r = compare_middle(x);
	for (size_t i = x->head + (size_t)x->n; i < x->a.count; i++)
		push(x, ' ', i);
	return r;
}

/* ---- as text ---- */

static void print_line(const struct diff *x, const struct edit *e, struct buf *ret)
{
	const struct line *l = e->what == '+' ? &x->b.list[e->line] : &x->a.list[e->line];

	buf_add(ret, &e->what, 1);
	buf_add(ret, l->text, l->len);
	if (l->text[l->len - 1] != '\n')
		buf_add_str(ret, "\n\\ No newline at end of file\n");
}

static void print_range(char side, size_t first, size_t count, struct buf *ret)
{
	buf_printf(ret, " %c%zu", side, count ? first + 1 : first);
	if (count != 1)
		buf_printf(ret, ",%zu", count);
}

/* The hunk that begins at the change `first`: with what is near before and behind, and all changes
 * that are so near that nothing would stand between. The end of it. */
static size_t find_end(const struct diff *x, size_t first)
{
	size_t last = first;

	for (size_t i = first; i < x->count && i <= last + 2 * CONTEXT + 1; i++)
		if (x->edits[i].what != ' ')
			last = i;
	return min_u64(last + 1 + CONTEXT, x->count);
}

/* How many lines of each text come before an edit. */
struct at {
	size_t a, b, edit;
};

static void go_to(const struct diff *x, struct at *at, size_t edit)
{
	for (; at->edit < edit; at->edit++) {
		at->a += x->edits[at->edit].what != '+';
		at->b += x->edits[at->edit].what != '-';
	}
}

static void print_hunk(const struct diff *x, struct at *at, size_t first, size_t end,
		       struct buf *ret)
{
	struct at begin;

	go_to(x, at, first);
	begin = *at;
	go_to(x, at, end);
	buf_add_str(ret, "@@");
	print_range('-', begin.a, at->a - begin.a, ret);
	print_range('+', begin.b, at->b - begin.b, ret);
	buf_add_str(ret, " @@\n");
	for (size_t i = first; i < end; i++)
		print_line(x, &x->edits[i], ret);
}

static void print_hunks(const struct diff *x, struct buf *ret)
{
	struct at at = { 0 };

	for (size_t i = 0; i < x->count; i++) {
		size_t end;

		if (x->edits[i].what == ' ')
			continue;
		end = find_end(x, i);
		print_hunk(x, &at, max_u64(i, at.edit + CONTEXT) - CONTEXT, end, ret);
		i = end - 1;
	}
}

/* As git quotes what would not stand in one line (core.quotePath). */
static void print_path(const char *prefix, const char *path, struct buf *ret)
{
	static const char plain[] = "\a\b\t\n\v\f\r\"\\", letters[] = "abtnvfr\"\\";
	bool quoted = false;

	for (const char *c = path; *c; c++)
		quoted |= (unsigned char)*c < ' ' || (unsigned char)*c >= 127 || strchr("\"\\", *c);
	buf_printf(ret, "%s%s", quoted ? "\"" : "", prefix);
	for (const char *c = path; *c; c++) {
		const char *found = strchr(plain, *c);

		if (found)
			buf_printf(ret, "\\%c", letters[found - plain]);
		else if ((unsigned char)*c < ' ' || (unsigned char)*c >= 127)
			buf_printf(ret, "\\%03o", (unsigned)(unsigned char)*c);
		else
			buf_add(ret, c, 1);
	}
	if (quoted)
		buf_add_str(ret, "\"");
}

static void print_id(const struct git_diff_side *s, struct buf *ret)
{
	char hex[2 * GIT_ID + 1] = "0000000";

	if (s->mode)
		hex_print(s->id, GIT_ID, hex);
	buf_add(ret, hex, SHORT_ID);
}

static void print_head(const char *path, const struct git_diff_side *from,
		       const struct git_diff_side *to, struct buf *ret)
{
	buf_add_str(ret, "diff --git ");
	print_path("a/", path, ret);
	buf_add_str(ret, " ");
	print_path("b/", path, ret);
	buf_add_str(ret, "\n");
	if (!from->mode)
		buf_printf(ret, "new file mode %06o\n", to->mode);
	else if (!to->mode)
		buf_printf(ret, "deleted file mode %06o\n", from->mode);
	else if (from->mode != to->mode)
		buf_printf(ret, "old mode %06o\nnew mode %06o\n", from->mode, to->mode);
	buf_add_str(ret, "index ");
	print_id(from, ret);
	buf_add_str(ret, "..");
	print_id(to, ret);
	if (from->mode == to->mode)
		buf_printf(ret, " %06o", to->mode);
	buf_add_str(ret, "\n");
}

static void print_side(const char *mark, const char *prefix, const char *path, bool there,
		       struct buf *ret)
{
	buf_add_str(ret, mark);
	if (there)
		print_path(prefix, path, ret);
	else
		buf_add_str(ret, "/dev/null");
}

static bool is_text(const struct git_diff_side *s)
{
	return !s->mode || (s->text && !memchr(s->text, '\0', min_u64(s->len, BINARY_BYTES)));
}

static void print_binary(const char *path, const struct git_diff_side *from,
			 const struct git_diff_side *to, struct buf *ret)
{
	print_side("Binary files ", "a/", path, from->mode, ret);
	print_side(" and ", "b/", path, to->mode, ret);
	buf_add_str(ret, " differ\n");
}

int git_diff_print(const char *path, const struct git_diff_side *from,
		   const struct git_diff_side *to, struct buf *ret)
{
	CLEANUP(diff_fini) struct diff x = { 0 };
	int r;

	print_head(path, from, to, ret);
	if (!is_text(from) || !is_text(to)) {
		print_binary(path, from, to, ret);
		return ret->failed;
	}
	r = split(from->mode ? from->text : "", from->mode ? from->len : 0, &x.a);
	if (r == 0)
		r = split(to->mode ? to->text : "", to->mode ? to->len : 0, &x.b);
	if (r == 0)
		r = compare(&x);
	if (r < 0)
		return r;
	if (!from->len && !to->len)
		return ret->failed;
	print_side("--- ", "a/", path, from->mode, ret);
	print_side("\n+++ ", "b/", path, to->mode, ret);
	buf_add_str(ret, "\n");
	print_hunks(&x, ret);
	return ret->failed;
}
