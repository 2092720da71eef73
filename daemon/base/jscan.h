/* SPDX-License-Identifier: Apache-2.0 */
/* The members of an object in a JSON text that is known to be right, as one that jdoc printed:
 * found without a look at what is in them, some ten times as fast as parsing it all. Pure. */
#ifndef MATRIXFS_JSCAN_H
#define MATRIXFS_JSCAN_H

#include <stdbool.h>
#include <stddef.h>

/* Borrowed from the text; the name as it stands between its quotes. */
struct jscan_member {
	const char *name, *value;
	size_t name_len, value_len;
};

/* The member at *at, which goes behind it; at first it is the whole text. False: no more, or the
 * text is no such object. */
bool jscan_next(const char **at, struct jscan_member *ret);

#endif
