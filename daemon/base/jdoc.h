/* SPDX-License-Identifier: Apache-2.0 */
/* Door to the JSON library. A jdoc owns the parsed text; values are borrowed from it until it is
 * freed. Every getter accepts NULL and values of the wrong type, and answers "not there". */
#ifndef MATRIXFS_JDOC_H
#define MATRIXFS_JDOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/base/buf.h"

struct jdoc;
struct jval; /* opaque: any JSON value */

/* Parses exactly one JSON text (RFC 8259; invalid UTF-8, NUL in keys and duplicate keys refused).
 * An integer of more than 64 bits is taken as a real. 0, ERR_PROTO (malformed), -ENOMEM. */
MUST_USE int jdoc_parse(const char *text, size_t len, struct jdoc **ret);
void jdoc_free(struct jdoc *d);
void jdoc_freep(struct jdoc **d);
const struct jval *jdoc_root(const struct jdoc *d);

/* Member of an object, NULL if absent, null, or not an object. */
const struct jval *jval_get(const struct jval *v, const char *key);
/* The name of a member that is none of these, or NULL if there is none; borrowed. */
const char *jval_stranger(const struct jval *v, const char *const *known, size_t count);
/* Elements of an array (0 for anything else), and one of them. */
size_t jval_count(const struct jval *v);
const struct jval *jval_at(const struct jval *v, size_t i);
bool jval_is_array(const struct jval *v);
bool jval_is_object(const struct jval *v);
/* The text of a string value, or NULL. A string that holds a NUL counts as absent. */
const char *jval_str(const struct jval *v);
/* A non-negative integer, or -1. */
int64_t jval_size(const struct jval *v);
/* Any integer, or any number: false if it is none. */
MUST_USE bool jval_int(const struct jval *v, int64_t *ret);
MUST_USE bool jval_real(const struct jval *v, double *ret);
/* 1 for true, 0 for false, -1 for anything else. */
int jval_bool(const struct jval *v);
/* The member of an object after the one called *name (NULL: the first), in the order of the text;
 * *name becomes its name, borrowed like the value. A null is a value here. NULL: no more. */
const struct jval *jval_next(const struct jval *v, const char **name);
/* Shorthands: a member's text or size; a size where none is as good as 0. */
const char *jval_get_str(const struct jval *v, const char *key);
int64_t jval_get_size(const struct jval *v, const char *key);
uint64_t jval_get_size_or_0(const struct jval *v, const char *key);

/* Appends v as one JSON text without white space: UTF-8 as it came, reals in as few digits as give
 * them back. Left out are the members of v itself that are named in `without`, and those of any
 * object in it that are named in `nowhere`; both end with a NULL, or are NULL. ERR_PROTO if it is
 * nested deeper than JDOC_PRINT_DEPTH. */
#define JDOC_PRINT_DEPTH 256
MUST_USE int jdoc_print(const struct jval *v, const char *const *without,
			const char *const *nowhere, struct buf *ret);
/* Appends s as a JSON string with its quotes (s is UTF-8). */
int jdoc_quote(struct buf *b, const char *s);

#endif
