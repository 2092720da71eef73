/* SPDX-License-Identifier: Apache-2.0 */
/* The Xet store, as far as clients read from it: tokens, what files are made of, bytes of xorbs.
 * Nothing lies there: it is another way to the blobs, of those files that came by the store, whose
 * chunks are known. Handlers: see ask_fn; all but the first are asked with what this hub gave, and
 * so with ask_start_keyed. */
#ifndef MATRIXFS_XET_READ_H
#define MATRIXFS_XET_READ_H

#include "admin/hub/ask.h"

/* GET .../xet-read-token/REV: a token, and where the store is. */
int xet_read_token(struct ask *a);
/* GET N/v1/reconstructions/FILE, which older clients ask without a version, and N/v2/...: what a
 * file, or a range of it, is made of. */
int xet_reconstruct(struct ask *a);
int xet_reconstruct_v2(struct ask *a);
/* GET N/v1/reconstructions?file_id=FILE&...: the same of several, as wholes. */
int xet_reconstruct_all(struct ask *a);
/* GET 1/v1/bytes/XORB: chunks of a xorb, as a link says (xet_link.h). */
int xet_give_bytes(struct ask *a);

#endif
