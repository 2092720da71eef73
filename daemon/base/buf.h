/* SPDX-License-Identifier: Apache-2.0 */
/* Growing bytes, always NUL-terminated so that buf.data reads as a string; and hex.
 * A failed append leaves the buffer as it was and is remembered in `failed`, so that a series of
 * appends needs one check at its end. Zeroed memory is an empty buffer. Threads: the owner's. */
#ifndef MATRIXFS_BUF_H
#define MATRIXFS_BUF_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/base/own.h"

struct buf {
	char *data; /* NULL while empty and never written */
	size_t len;
	size_t cap;
	int failed; /* 0 or -ENOMEM */
};

/* Frees the bytes and leaves an empty buffer. */
void buf_free(struct buf *b);
/* Forgets the content, keeps the memory. */
void buf_clear(struct buf *b);
/* Makes room for so many more bytes, which then come without another allocation; as below. */
int buf_reserve(struct buf *b, size_t more);
/* Gives back the room behind the content. */
void buf_fit(struct buf *b);
/* Appends; 0 or -ENOMEM (also remembered in b->failed). */
int buf_add(struct buf *b, const void *data, size_t len);
int buf_add_str(struct buf *b, const char *s);
int buf_printf(struct buf *b, const char *fmt, ...) PRINTF(2, 3);
int buf_vprintf(struct buf *b, const char *fmt, va_list ap) PRINTF(2, 0);
/* Appends a number in decimal digits. */
int buf_add_digits(struct buf *b, uint64_t v);
/* Appends a little-endian integer of fixed width; and one that stands somewhere. */
int buf_add_u32(struct buf *b, uint32_t v);
int buf_add_u64(struct buf *b, uint64_t v);
uint32_t u32_at(const void *at);
uint64_t u64_at(const void *at);
/* Takes blanks and ends of lines off its end. */
void buf_trim_end(struct buf *b);
/* The content as a string, "" when empty; borrowed until the next append or free. */
const char *buf_str(const struct buf *b);
/* Moves the bytes out as a malloc'd string (owned by the caller), or NULL after a failed append. */
char *buf_take(struct buf *b);

/* len bytes to 2*len lower-case digits and a NUL. */
void hex_print(const uint8_t *bytes, size_t len, char *ret);
/* Exactly 2*len digits (either case) to len bytes; -EINVAL otherwise. */
int hex_parse(const char *text, size_t len, uint8_t *ret);
/* True if text has exactly n hex digits of lower case and nothing more. */
int hex_is(const char *text, size_t n);

#endif
