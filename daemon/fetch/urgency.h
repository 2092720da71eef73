/* SPDX-License-Identifier: Apache-2.0 */
/* Who goes first: the classes of bytes that are fetched, most urgent first. */
#ifndef MATRIXFS_URGENCY_H
#define MATRIXFS_URGENCY_H

enum urgency {
	URGENCY_DEMAND,     /* somebody waits for these bytes */
	URGENCY_AHEAD,      /* a reader of this very file is about to come to them */
	URGENCY_PREFETCH,   /* of a file that is likely to be opened next */
	URGENCY_BACKGROUND, /* pull, pin, scrub: nobody reads them now */
	URGENCY_COUNT
};

/* The word for it, for people and their programs; static. */
static inline const char *urgency_name(enum urgency u)
{
	static const char *const names[URGENCY_COUNT] = {
		[URGENCY_DEMAND] = "demand",
		[URGENCY_AHEAD] = "ahead",
		[URGENCY_PREFETCH] = "prefetch",
		[URGENCY_BACKGROUND] = "background",
	};

	return names[u];
}

#endif
