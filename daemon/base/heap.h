/* SPDX-License-Identifier: Apache-2.0 */
/* How much memory the heap keeps of what was freed. */
#ifndef MATRIXFS_HEAP_H
#define MATRIXFS_HEAP_H

/* Keeps little: few arenas, and what is large goes back to the system at once. Before other threads
 * are started. */
void heap_keep_little(void);

#endif
