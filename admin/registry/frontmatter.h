/* SPDX-License-Identifier: Apache-2.0 */
/* The head of a README.md, YAML between two lines "---", which says what a repository is. Found as
 * clients find it (huggingface_hub's REGEX_YAML_BLOCK, which says that it is the hub's). Pure. */
#ifndef MATRIXFS_FRONTMATTER_H
#define MATRIXFS_FRONTMATTER_H

#include <stdbool.h>
#include <stddef.h>

#include "daemon/base/buf.h"

/* True if there is one: *ret_at and *ret_len, the YAML alone; borrowed from the text. */
bool frontmatter_find(const char *text, size_t len, const char **ret_at, size_t *ret_len);

/* Appends what it says as a JSON object. -ENOENT: there is none; -EINVAL: it is no YAML, or no
 * object, with a sentence of the public hub's in why; -ENOMEM. */
MUST_USE int frontmatter_json(const char *text, size_t len, struct buf *ret, struct buf *why);

#endif
