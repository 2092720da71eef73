/* SPDX-License-Identifier: Apache-2.0 */
/* What a JSON object of the admin API may hold, as a table: requests are checked by it, and the
 * OpenAPI document says the same of it to others. Pure. */
#ifndef MATRIXFS_ADMINAPI_FIELDS_H
#define MATRIXFS_ADMINAPI_FIELDS_H

#include <stdbool.h>

#include "daemon/base/jdoc.h"
#include "daemon/base/jwrite.h"

enum api_kind {
	API_TEXT,  /* no control characters */
	API_ASCII, /* printable, without blanks */
	API_WORD,  /* one of `words` */
	API_BOOL,
	API_COUNT,  /* a whole number from 0 on */
	API_NUMBER, /* only in answers */
	API_TIME,   /* a text: RFC 3339, in UTC */
	API_OBJECT, /* as `of` says */
	API_LIST,   /* of such objects; of texts if `of` is NULL */
	API_ANY,    /* an object with members not told here; only in answers */
};

struct api_shape;

struct api_field {
	const char *name; /* NULL: no more */
	enum api_kind kind;
	bool needed;         /* must be there */
	bool null;           /* may be null; only in answers */
	long min, max;       /* of a number, of letters of a text, of items; max 0: no limit */
	const char *words;   /* "read|write" */
	const char *pattern; /* what else holds of a text (ECMA-262), for the document alone: the
				handler refuses others with -EINVAL */
	const struct api_shape *of;
	const char *doc; /* or NULL */
};

/* Rows that many tables have: a member of that name which is always there. */
#define API_TEXT_ROW(name_) \
	{ \
		.name = name_, .kind = API_TEXT, .needed = true \
	}
#define API_COUNT_ROW(name_) \
	{ \
		.name = name_, .kind = API_COUNT, .needed = true \
	}

struct api_shape {
	const char *name; /* in the document */
	const struct api_field *fields;
};

/* Checks an object: members that are not known, are missing, or are not what they must be. The one
 * found first is complained about in why, and named in ret_field. ERR_CONF. */
MUST_USE int api_check_object(const struct api_shape *s, const struct jval *v,
			      struct buf *ret_field, struct buf *why);
/* The same for one field of a query, which is text. */
MUST_USE int api_check_text(const struct api_field *f, const char *text, struct buf *why);
/* A number that was checked, -1 if it is none. */
int64_t api_count(const struct jval *v);
/* True if words ("a|b") has the word. */
bool api_has_word(const char *words, const char *word);
/* Writes what a field is as a JSON schema (2020-12), others by reference. */
void api_write_field(const struct api_field *f, const char *key, struct jwrite *w);
/* The same for an object; `open`: members that are not told are allowed, as in all answers. */
void api_write_shape(const struct api_shape *s, const char *key, bool open, struct jwrite *w);

#endif
