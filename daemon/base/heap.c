/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/heap.h"

#include <malloc.h>

#define ARENAS 2 /* few threads allocate */
#define LARGE_BYTES (512 * 1024)

void heap_keep_little(void)
{
	mallopt(M_ARENA_MAX, ARENAS);
	mallopt(M_MMAP_THRESHOLD, LARGE_BYTES);
}
