/* SPDX-License-Identifier: Apache-2.0 */
/* Commits as clients send them (hf-contract §1.5): lines of JSON, which may hold whole files. */
#ifndef MATRIXFS_UPLOAD_H
#define MATRIXFS_UPLOAD_H

#include "admin/hub/ask.h"

/* POST /api/{type}/{repo}/commit/{rev}, whose body comes in pieces. */
int upload_commit(struct ask *a);

#endif
