/* SPDX-License-Identifier: Apache-2.0 */
/* Who is thought to have given wrong bytes of a blob, or false witness, and of which chunks.
 * Zeroed memory is nobody. Not locked. */
#ifndef MATRIXFS_SUSPECTS_H
#define MATRIXFS_SUSPECTS_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/hub/source.h"
#include "daemon/peer/member_spec.h"

#define SUSPECTS_MAX 16           /* more are not noted: their next lie will be told of */
#define SUSPECT_CHUNKS_TOLD_MAX 8 /* of each */

struct suspect {
	char address[MEMBER_ADDRESS_MAX + 1];
	const char *what; /* static: "wrong bytes" */
	bool sure;        /* it is not another one's fault */
	uint32_t count, chunks[SUSPECT_CHUNKS_TOLD_MAX];
};

struct suspects {
	struct suspect of[SUSPECTS_MAX];
	unsigned count;
};

/* One more chunk that this member gave so. `what` is compared as a pointer. */
void suspects_accuse(struct suspects *all, const char *address, const char *what, bool sure,
		     uint32_t chunk);
/* Says so in the log. */
void suspect_tell(const struct suspect *s, bool sure, const struct source_blob *blob);

#endif
