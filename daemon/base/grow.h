/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of which nobody knows yet how long they become. Threads: the list's owner's. */
#ifndef MATRIXFS_GROW_H
#define MATRIXFS_GROW_H

#include <errno.h>
#include <stdlib.h>

#define GROW_FIRST 16

/* 0: a list, which is owned and has `count` of `cap` items, has room for one more; `list` and `cap`
 * (a size_t) have changed if it had none. -ENOMEM: both are as they were. */
#define grow_list(list, count, cap) \
	({ \
		int r_ = 0; \
		if ((count) == (cap)) { \
			size_t cap_ = (cap) ? 2 * (cap) : GROW_FIRST; \
			__typeof__(list) more_ = reallocarray((list), cap_, sizeof(*(list))); \
			if (more_) { \
				(list) = more_; \
				(cap) = cap_; \
			} else { \
				r_ = -ENOMEM; \
			} \
		} \
		r_; \
	})

#endif
