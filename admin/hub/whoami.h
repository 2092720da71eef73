/* SPDX-License-Identifier: Apache-2.0 */
/* Who is asking, told to who asks (hf-contract §1.7). */
#ifndef MATRIXFS_WHOAMI_H
#define MATRIXFS_WHOAMI_H

#include "admin/hub/ask.h"

/* GET /api/whoami-v2: the user with the organisations and with the token that was sent. */
int whoami(struct ask *a);

#endif
