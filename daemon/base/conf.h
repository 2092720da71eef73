/* SPDX-License-Identifier: Apache-2.0 */
/* Parameter tables. One row a parameter makes the file key, the --name=, the -o name, the help
 * text and docs/config.md, and is what values are checked against. Pure: text in, struct out. */
#ifndef MATRIXFS_CONF_H
#define MATRIXFS_CONF_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/base/buf.h"

enum conf_type {
	CONF_FLAG,    /* bool: "--x", x = yes|no|true|false|on|off|1|0 */
	CONF_BYTES,   /* uint64_t: 10GiB, 500MB, 4096; 1 KiB = 1024, 1 KB = 1000 */
	CONF_SECONDS, /* int64_t: 60, 60s, 5min, 1h */
	CONF_COUNT,   /* int64_t */
	CONF_TEXT,    /* char *, owned by the struct */
	CONF_CHOICE,  /* int: index into choices ("a|b|c") */
	CONF_LIST,    /* struct conf_list: repeatable */
};

struct conf_list {
	char **items;
	size_t count;
	int from_default; /* the first explicit value replaces the defaults */
};

struct conf_param {
	const char *name; /* as on the command line, without "--" */
	enum conf_type type;
	size_t offset;   /* of the field in the caller's struct */
	const char *def; /* default as text; NULL: zero, NULL or empty */
	/* Of numbers; ignored when both 0. A text or list with a min is never empty: that is how an
	 * unset variable of a script looks, and may be less of a restriction. */
	int64_t min, max;
	const char
		*arg; /* what the help calls the value: "DIR", "BYTES"; choices for CONF_CHOICE */
	const char *doc; /* one sentence or two */
};

struct conf_table {
	const struct conf_param *params;
	size_t count;
};

/* Sets all defaults in the zeroed struct at `ret`. */
MUST_USE int conf_defaults(const struct conf_table *t, void *ret);
/* Frees texts and lists and zeroes them. */
void conf_fini(const struct conf_table *t, void *conf);
/* Takes the values of the `count` parameters named in `live` from fresh, which gets the old ones.
 * Appends the names of all others that differ: "a, b". */
void conf_renew(const struct conf_table *t, void *conf, void *fresh, const char *const *live,
		size_t count, struct buf *ret_kept);
/* Sets one parameter from text (NULL value: a bare flag). ERR_CONF, with a full sentence in why
 * that names the key, the value and what is allowed. */
MUST_USE int conf_set(const struct conf_table *t, void *conf, const char *name, const char *value,
		      struct buf *why);
/* Parses a file's text: "key = value" lines, '#' comments, blank lines. Errors name path and
 * line. */
MUST_USE int conf_parse(const struct conf_table *t, void *conf, const char *text, size_t len,
			const char *path, struct buf *why);
/* Parses a mount -o list: "a=b,c". Unknown names are appended to rest, comma-separated. */
MUST_USE int conf_parse_options(const struct conf_table *t, void *conf, const char *text,
				struct buf *rest, struct buf *why);
/* Appends the --help lines / the table of docs/config.md. */
void conf_help(const struct conf_table *t, struct buf *ret);
void conf_markdown(const struct conf_table *t, struct buf *ret);
/* A manual page of section 5 (mdoc(7)) about the file `name`, usually at `path`, that `program`
 * reads: how it is written and all that can stand in it, then `tail`. */
struct conf_page {
	const char *name, *path, *program;
	const char *tail; /* mdoc(7), or "" */
};
void conf_man(const struct conf_table *t, const struct conf_page *page, struct buf *ret);

#endif
