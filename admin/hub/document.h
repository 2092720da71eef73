/* SPDX-License-Identifier: Apache-2.0 */
/* What a hub upstream says of a repository, given on as it came; of one that is hosted here, what
 * we say. */
#ifndef MATRIXFS_DOCUMENT_H
#define MATRIXFS_DOCUMENT_H

#include "admin/hub/ask.h"

/* What it says at `tail` (see docs_get), at most so old. 0 also if it says nothing for two
 * seconds, or cannot be asked: then `doc`, which is to be zeroed, stays empty, and what is known
 * here must do. PARKED. */
MUST_USE int document_ask(struct ask *a, const char *tail, int64_t max_age_ms, struct doc *doc);
/* The head of an answer with it: and where its next page is. */
struct httpd_head document_head(const struct ask *a, const struct doc *doc);

#endif
