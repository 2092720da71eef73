/* SPDX-License-Identifier: Apache-2.0 */
/* Who is thought to have given wrong bytes of a blob, or false witness, and of which chunks.
 * Zeroed memory is nobody. Not locked. */
#ifndef MATRIXFS_BLAME_H
#define MATRIXFS_BLAME_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/hub/source.h"
#include "daemon/peer/member_spec.h"

#define BLAME_MAX 16            /* more are not noted: their next lie will be told of */
#define BLAME_CHUNKS_TOLD_MAX 8 /* of each */

struct blamed {
	char address[MEMBER_ADDRESS_MAX + 1];
	const char *what; /* static: "wrong bytes" */
	bool sure;        /* it is not another one's fault */
	uint32_t count, chunks[BLAME_CHUNKS_TOLD_MAX];
};

struct blame {
	struct blamed of[BLAME_MAX];
	unsigned count;
};

/* One more chunk that this member gave so. `what` is compared as a pointer. */
void blame_add(struct blame *all, const char *address, const char *what, bool sure, uint32_t chunk);
/* Says so in the log. */
void blame_tell(const struct blamed *s, bool sure, const struct source_blob *blob);

#endif
