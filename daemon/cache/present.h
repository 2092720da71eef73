/* SPDX-License-Identifier: Apache-2.0 */
/* How much of a part of a blob is there. Threads: any. */
#ifndef MATRIXFS_PRESENT_H
#define MATRIXFS_PRESENT_H

#include "daemon/cache/store.h"

/* Bytes of its chunks that are there, of those that begin in [from, to) or hold `from`. A torn
 * write counts until it is found out. */
uint64_t present_in(const struct blob *b, uint64_t from, uint64_t to);

#endif
