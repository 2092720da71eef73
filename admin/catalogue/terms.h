/* SPDX-License-Identifier: Apache-2.0 */
/* By what repositories are found: terms, which are a letter and a text in small letters. Pure. */
#ifndef MATRIXFS_TERMS_H
#define MATRIXFS_TERMS_H

#include <stdbool.h>
#include <stddef.h>

#include "daemon/base/buf.h"

/* What a term is about; part of the format (docs/formats.md). */
enum term_kind {
	TERM_TAG = 't',      /* of whatever meaning */
	TERM_PIPELINE = 'p', /* the task */
	TERM_LIBRARY = 'l',
	TERM_AUTHOR = 'a', /* the namespace */
	TERM_GATED = 'g',
	TERM_PIECE = 'n',      /* three bytes of the name */
	TERM_WORD = 'w',       /* of the name, or of the card */
	TERM_PARAMETERS = 'm', /* how many binary digits their number has */
	TERM_HIDDEN = 'x',     /* it was said here that it is private */
};

#define TERM_MAX 200       /* bytes of a text; what is longer is no term */
#define TERM_WORDS_MAX 256 /* of one text */
#define TERM_PIECE_LEN 3

/* Appends a term as a line, in small letters. What cannot be one is left out. */
int term_add(struct buf *terms, enum term_kind kind, const char *text, size_t len);
/* Appends the pieces of a name, each with the two bytes before it. */
int term_add_pieces(struct buf *terms, const char *name);
/* Appends the words of a text: runs of letters and digits. */
int term_add_words(struct buf *terms, const char *text, size_t len);
/* For a number of parameters. */
int term_add_parameters(struct buf *terms, double parameters);
/* How many binary digits a number has: what that term says. */
unsigned term_digits_of(double parameters);

/* Sorts the lines, each once. -ENOMEM. */
MUST_USE int terms_sort(struct buf *terms);
/* The next line from *at on, which goes behind it; its length, 0: no more. */
size_t terms_next(const char **at, const char **ret);
/* Calls fn for each line that only one of two sorted texts has: `added` if it is the second. Until
 * it returns non-zero, which is returned. */
typedef int (*terms_fn)(void *arg, const char *term, size_t len, bool added);
MUST_USE int terms_compare(const char *old, const char *now, terms_fn fn, void *arg);

#endif
