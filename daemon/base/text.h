/* SPDX-License-Identifier: Apache-2.0 */
/* Questions about texts. Pure. Threads: any. */
#ifndef MATRIXFS_TEXT_H
#define MATRIXFS_TEXT_H

#include <stdbool.h>
#include <string.h>

/* True if that is its end, or all of it. */
static inline bool text_ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), n = strlen(end);

	return len >= n && strcmp(text + len - n, end) == 0;
}

#endif
