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
 * 0, ERR_PROTO (malformed), -ENOMEM. */
MUST_USE int jdoc_parse(const char *text, size_t len, struct jdoc **ret);
void jdoc_free(struct jdoc *d);
void jdoc_freep(struct jdoc **d);
const struct jval *jdoc_root(const struct jdoc *d);

/* Member of an object, NULL if absent, null, or not an object. */
const struct jval *jval_get(const struct jval *v, const char *key);
/* Elements of an array (0 for anything else), and one of them. */
size_t jval_count(const struct jval *v);
const struct jval *jval_at(const struct jval *v, size_t i);
bool jval_is_array(const struct jval *v);
bool jval_is_object(const struct jval *v);
/* The text of a string value, or NULL. A string that holds a NUL counts as absent. */
const char *jval_str(const struct jval *v);
/* A non-negative integer, or -1. */
int64_t jval_size(const struct jval *v);
/* Shorthands: a member's text or size. */
const char *jval_get_str(const struct jval *v, const char *key);
int64_t jval_get_size(const struct jval *v, const char *key);

/* Appends s as a JSON string with its quotes (s is UTF-8). */
int jdoc_quote(struct buf *b, const char *s);

#endif
