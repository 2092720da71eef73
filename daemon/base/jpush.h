/* SPDX-License-Identifier: Apache-2.0 */
/* One JSON text (RFC 8259), read as it comes: texts in it are given on in pieces, so that none is
 * ever held, however long it is. Strict: what jdoc refuses is refused, but that names may come
 * twice. Memory of its own: that of the struct. Threads: the owner's. */
#ifndef MATRIXFS_JPUSH_H
#define MATRIXFS_JPUSH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/base/own.h"

#define JPUSH_DEPTH 32
#define JPUSH_WORD 128 /* bytes of a name, or of a number, and the NUL */

enum jpush_event {
	JPUSH_OBJECT,   /* begins */
	JPUSH_ARRAY,    /* begins */
	JPUSH_END,      /* of one of them */
	JPUSH_NAME,     /* of the member whose value is next: a string without NUL in it */
	JPUSH_TEXT,     /* len bytes more of a text, UTF-8 once it is whole */
	JPUSH_TEXT_END, /* it is */
	JPUSH_WORD_END, /* a number, true, false or null, as a string */
};

/* 0, or a failure that jpush_take then returns. What it is given is borrowed until it returns. */
typedef int (*jpush_fn)(void *arg, enum jpush_event event, const char *data, size_t len);

struct jpush {
	jpush_fn fn;
	void *arg;
	int state;           /* what may come next */
	unsigned depth;      /* how many objects and arrays are open */
	uint32_t objects;    /* of those, a bit for each that is an object */
	bool naming;         /* the string is a name */
	uint32_t unicode;    /* what \u... said so far */
	uint32_t high;       /* the first half of a pair, or 0 */
	uint8_t digits;      /* of \u... */
	uint8_t more;        /* bytes of a letter that are still to come */
	uint8_t first, last; /* between which the next of them is */
	size_t word_len;
	char word[JPUSH_WORD];
};

/* Begins; the same for the next text. */
void jpush_begin(struct jpush *p, jpush_fn fn, void *arg);
/* The next bytes. -EINVAL if that is no JSON, or is nested deeper or holds a longer name than the
 * limits say; then it can only begin again. */
MUST_USE int jpush_take(struct jpush *p, const char *data, size_t len);
/* There are no more: -EINVAL if the text is not whole. */
MUST_USE int jpush_end(struct jpush *p);

#endif
