/* SPDX-License-Identifier: Apache-2.0 */
/* What catalog.c (names, commits, blobs) and catalog_docs.c (documents) share. Nobody else includes
 * this. */
#ifndef MATRIXFS_CATALOG_PRIV_H
#define MATRIXFS_CATALOG_PRIV_H

#include "daemon/base/kv.h"
#include "daemon/cache/catalog.h"

enum table { TABLE_META, TABLE_REPO, TABLE_REF, TABLE_COMMIT, TABLE_BLOB, TABLE_PIN, TABLE_DOC };

struct catalog {
	struct kv *kv;
	char *dir;
};

#endif
