/* SPDX-License-Identifier: Apache-2.0 */
/* Records that no other one refers to, as a death between the writing of two leaves them. */
#ifndef MATRIXFS_ORPHANS_H
#define MATRIXFS_ORPHANS_H

#include "fs/estate.h"

/* Takes them away from an estate that was inherited (NULL: there is none), before anything is
 * served. -ENOMEM: all are as they were. */
int orphans_sweep(struct estate *e);

#endif
