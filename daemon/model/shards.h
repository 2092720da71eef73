/* SPDX-License-Identifier: Apache-2.0 */
/* What the name of a model's file says: its format, and which file of the same directory follows
 * it. Pure. */
#ifndef MATRIXFS_SHARDS_H
#define MATRIXFS_SHARDS_H

#include <stdbool.h>

#include "daemon/model/manifest.h"

enum shards_kind {
	SHARDS_OTHER,       /* nothing to know by name */
	SHARDS_SAFETENSORS, /* a header tells where its tensors lie */
	SHARDS_GGUF,        /* likewise */
	SHARDS_ZIP,         /* .bin, .pt, .pth: the directory is at the end */
	SHARDS_INDEX,       /* *.index.json: which shard holds which tensor */
	SHARDS_CONFIG,      /* what clients read first of a repository */
};

/* What a file is, by its name without directories. `root`: it lies in the root of its repository,
 * as what counts as SHARDS_CONFIG must. */
enum shards_kind shards_kind(const char *name, bool root);
/* The shard that comes after this one, or the first of those an index speaks of: a node of the
 * manifest, or MANIFEST_NONE ("model-00002-of-00007.safetensors" follows 00001, and nothing follows
 * 00007; "model.safetensors.index.json" is followed by model-00001-of-...). */
uint32_t shards_after(const struct manifest *m, uint32_t file);

#endif
