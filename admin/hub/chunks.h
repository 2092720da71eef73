/* SPDX-License-Identifier: Apache-2.0 */
/* Digest lists of files (docs/clients.md): with them a client, or a mount, checks bytes that came
 * from anywhere chunk by chunk. */
#ifndef MATRIXFS_CHUNKS_H
#define MATRIXFS_CHUNKS_H

#include "admin/hub/ask.h"

/* GET /api/{type}/{repo}/chunks/{rev}/{path}: for who is given the bytes. 202: it is being made;
 * 409: not all of the file is here. */
int chunks_show(struct ask *a);

#endif
