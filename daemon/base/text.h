/* SPDX-License-Identifier: Apache-2.0 */
/* Questions about texts, and their letters. Pure. Threads: any. */
#ifndef MATRIXFS_TEXT_H
#define MATRIXFS_TEXT_H

#include <stdbool.h>
#include <string.h>

/* True if that is its end, or all of it. */
static inline bool text_ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), n = strlen(end);

	return len >= n && strcmp(text + len - n, end) == 0;
}

/* Below, at or above 0: which of two comes first by its bytes, and then by its length. */
static inline int text_order(const void *a, size_t a_len, const void *b, size_t b_len)
{
	int c = memcmp(a, b, a_len < b_len ? a_len : b_len);

	return c ? c : (a_len > b_len) - (a_len < b_len);
}

/* In small letters: those of ASCII, whatever the locale is. */
static inline char text_small(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* The same of a whole text, to where it has room: it may be itself. */
static inline void text_copy_small(const char *text, char *ret)
{
	for (; *text; text++)
		*ret++ = text_small(*text);
	*ret = '\0';
}

#endif
