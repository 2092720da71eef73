/* SPDX-License-Identifier: Apache-2.0 */
/* A manifest of small regular files, with git's ids: for tests of what is worked out from one.
 * Pure. */
#ifndef MATRIXFS_PLAIN_MANIFEST_H
#define MATRIXFS_PLAIN_MANIFEST_H

#include "daemon/model/manifest.h"

struct plain_file {
	const char *path, *content; /* one byte of it */
};

/* To be freed with manifest_free. */
struct manifest *plain_manifest(const struct plain_file *files, size_t count);

#endif
