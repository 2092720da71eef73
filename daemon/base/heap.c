/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/heap.h"

#include <malloc.h>

#define ARENAS 2                 /* few threads allocate */
#define LARGE_BYTES (128 * 1024) /* a transfer's buffers are; of such only touched pages count */

void heap_keep_little(void)
{
	mallopt(M_ARENA_MAX, ARENAS);
	mallopt(M_MMAP_THRESHOLD, LARGE_BYTES);
}
