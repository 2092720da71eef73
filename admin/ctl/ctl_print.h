/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of the hub for people: an object as "name  value" lines, lists as aligned columns.
 *
 * A shape says what is shown of a JSON object: members with blanks between them, "cache.used" for
 * one of a member, each perhaps with a format: ":size" bytes, ":time" seconds since 1970,
 * ":span" seconds. A member that is an array is shown with commas, an object in it
 * by its values with colons. Control bytes become
 * '?', so that no text steers a terminal. Pure, but for the zone times are told in. */
#ifndef MATRIXFS_CTL_PRINT_H
#define MATRIXFS_CTL_PRINT_H

#include "daemon/base/buf.h"
#include "daemon/base/jdoc.h"

#define CTL_COLUMNS_MAX 12

/* Rows until they are printed: only then the columns' widths are known. Zeroed, but for `shape`. */
struct ctl_grid {
	const char *shape;
	struct buf cells; /* texts, each with its NUL */
	size_t rows;
};

/* Frees its rows. */
void ctl_grid_fini(struct ctl_grid *g);
/* Appends a row for an object. */
void ctl_grid_add(struct ctl_grid *g, const struct jval *object);
/* Appends the table with its heading to ret; nothing for no rows. */
void ctl_grid_print(const struct ctl_grid *g, struct buf *ret);

/* Appends the lines of an object; what is null or absent has none. */
void ctl_print_object(const char *shape, const struct jval *object, struct buf *ret);
/* Appends "1.5 GiB". */
void ctl_print_size(uint64_t bytes, struct buf *ret);
/* Appends "1.5 GiB of 2.0 GiB". */
void ctl_print_part(uint64_t part, uint64_t whole, struct buf *ret);
/* Appends what a terminal cannot take for anything but text. */
void ctl_print_text(const char *text, struct buf *ret);
/* Appends how far something is: "[==>  ]  50 %  1.0 GiB of 2.0 GiB", and if it comes at so many
 * bytes a second that and how long the rest takes: "  100 MiB/s  00:00:10". */
void ctl_print_bar(uint64_t done, uint64_t total, uint64_t rate, unsigned width, struct buf *ret);
/* Appends "1 d 02:03:04". */
void ctl_print_span(int64_t s, struct buf *ret);

#endif
