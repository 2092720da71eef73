/* SPDX-License-Identifier: Apache-2.0 */
/* Names of members as small numbers, for what is remembered of each chunk of many blobs. Pure. Not
 * locked. */
#ifndef MATRIXFS_GIVER_NAMES_H
#define MATRIXFS_GIVER_NAMES_H

#include "daemon/base/map.h"
#include "daemon/peer/member_spec.h"

#define GIVER_NAMES_MAX 16384 /* more than a list has members */

struct giver_name {
	uint16_t number;
	bool used; /* while that is looked for */
	char text[MEMBER_ADDRESS_MAX + 1];
};

/* Zeroed memory has none. */
struct giver_names {
	struct map by_name;
	struct giver_name *of[GIVER_NAMES_MAX]; /* NULL: free */
	unsigned next;                          /* where a free one is looked for */
};

/* The number of a name, which gets one if need be; GIVER_NAMES_MAX: there is no room for it. */
unsigned giver_names_number(struct giver_names *n, const char *member);
bool giver_names_is_full(const struct giver_names *n);
/* The name of such a number; borrowed until it is forgotten. */
const char *giver_names_text(const struct giver_names *n, unsigned number);
/* It is used; then those that are not are forgotten. */
void giver_names_use(struct giver_names *n, unsigned number);
void giver_names_forget_unused(struct giver_names *n);
void giver_names_fini(struct giver_names *n);

#endif
