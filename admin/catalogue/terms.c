/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/catalogue/terms.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/text.h"

#define WORD_MIN 2

int term_add(struct buf *terms, enum term_kind kind, const char *text, size_t len)
{
	char line[TERM_MAX + 2] = { (char)kind };

	if (!len || len > TERM_MAX || memchr(text, '\n', len) || memchr(text, '\0', len))
		return terms->failed;
	for (size_t i = 0; i < len; i++)
		line[1 + i] = text_small(text[i]);
	line[1 + len] = '\n';
	return buf_add(terms, line, len + 2);
}

int term_add_pieces(struct buf *terms, const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i + TERM_PIECE_LEN <= len; i++)
		term_add(terms, TERM_PIECE, name + i, TERM_PIECE_LEN);
	return terms->failed;
}

/* Bytes of letters beyond ASCII are letters. */
static bool is_letter(char c)
{
	unsigned char u = (unsigned char)c;

	return (u >= '0' && u <= '9') || (u >= 'a' && u <= 'z') || (u >= 'A' && u <= 'Z') ||
	       u >= 0x80;
}

int term_add_words(struct buf *terms, const char *text, size_t len)
{
	unsigned words = 0;

	for (size_t at = 0; at < len && words < TERM_WORDS_MAX; at++) {
		size_t start = at;

		while (at < len && is_letter(text[at]))
			at++;
		if (at - start < WORD_MIN)
			continue;
		term_add(terms, TERM_WORD, text + start, at - start);
		words++;
	}
	return terms->failed;
}

unsigned term_digits_of(double parameters)
{
	uint64_t n = parameters >= 1e18 ? UINT64_MAX : parameters < 1 ? 0 : (uint64_t)parameters;

	return n ? 64 - (unsigned)__builtin_clzll(n) : 0;
}

int term_add_parameters(struct buf *terms, double parameters)
{
	unsigned digits = term_digits_of(parameters);
	char text[2] = { (char)('0' + digits / 10), (char)('0' + digits % 10) };

	return parameters < 0 ? terms->failed
			      : term_add(terms, TERM_PARAMETERS, text, sizeof(text));
}

/* ---- as sets ---- */

size_t terms_next(const char **at, const char **ret)
{
	const char *end = strchr(*at, '\n');

	if (!end)
		return 0;
	*ret = *at;
	*at = end + 1;
	return (size_t)(end - *ret);
}

struct line {
	const char *text;
	size_t len;
};

static int by_text(const void *a, const void *b)
{
	const struct line *x = a, *y = b;

	return text_order(x->text, x->len, y->text, y->len);
}

int terms_sort(struct buf *terms)
{
	CLEANUP(freep) struct line *lines = NULL;
	CLEANUP(buf_free) struct buf sorted = { 0 };
	const char *at = buf_str(terms), *text;
	size_t n = 0, cap = 0, len;
	struct buf was;

	while (at[strcspn(at, "\n")] && (at += strcspn(at, "\n") + 1))
		cap++;
	lines = calloc(cap + 1, sizeof(*lines));
	if (!lines || terms->failed)
		return -ENOMEM;
	for (at = buf_str(terms); (len = terms_next(&at, &text));)
		lines[n++] = (struct line){ text, len };
	qsort(lines, n, sizeof(*lines), by_text);
	for (size_t i = 0; i < n; i++)
		if (!i || by_text(&lines[i - 1], &lines[i]) != 0)
			buf_add(&sorted, lines[i].text, lines[i].len + 1);
	if (sorted.failed)
		return sorted.failed;
	was = *terms;
	*terms = sorted;
	sorted = was;
	return 0;
}

int terms_compare(const char *old, const char *now, terms_fn fn, void *arg)
{
	const char *a = NULL, *b = NULL;
	size_t a_len = terms_next(&old, &a), b_len = terms_next(&now, &b);
	int r = 0;

	while (r == 0 && (a_len || b_len)) {
		int c = !a_len ? 1 : !b_len ? -1 : text_order(a, a_len, b, b_len);

		if (c < 0)
			r = fn(arg, a, a_len, false);
		else if (c > 0)
			r = fn(arg, b, b_len, true);
		if (c <= 0)
			a_len = terms_next(&old, &a);
		if (c >= 0)
			b_len = terms_next(&now, &b);
	}
	return r;
}
