/* SPDX-License-Identifier: Apache-2.0 */
/* What hubs tell of a repository beside its files, told of one that is hosted here: its refs, its
 * commits, what it is. */
#ifndef MATRIXFS_HISTORY_H
#define MATRIXFS_HISTORY_H

#include "admin/hub/ask.h"

/* The document at `tail` (see docs_get) of the request's repository; as there, text and next stay
 * empty if the caller has it. ERR_NOENTRY: there is none; ERR_NOREPO; db_read's. PARKED: it is to
 * be asked again, as node.h says. */
MUST_USE int history_doc(struct ask *a, const char *tail, struct doc *ret);

#endif
