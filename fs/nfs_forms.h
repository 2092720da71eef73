/* SPDX-License-Identifier: Apache-2.0 */
/* Places as forms of handles, and back: which repository a number stands for, where a commit has a
 * blob. Nothing is kept on the disk for it: what a handle names is found among what is known, or
 * asked for. Threads: any. */
#ifndef MATRIXFS_NFS_FORMS_H
#define MATRIXFS_NFS_FORMS_H

#include "fs/nfs_key.h"
#include "fs/view.h"

struct nfs_forms;

/* The view is borrowed. `life` tells this process from the one before it. -ENOMEM. */
MUST_USE int nfs_forms_new(const struct view *v, const struct nfs_keys *keys, uint64_t life,
			   struct nfs_forms **ret);
void nfs_forms_free(struct nfs_forms *t);
/* The form of a place. */
MUST_USE int nfs_form_of(struct nfs_forms *t, const struct place *p, struct nfs_form *ret);
/* The place of a form, owned. Waiter as in node.h: a commit may have to be asked for. -ESTALE: it
 * is gone, or was never heard of here. */
MUST_USE int nfs_form_place(struct nfs_forms *t, const struct nfs_form *f, struct waiter *w,
			    struct place *ret);
/* What is said of a handle when r is what became of what it names: -ESTALE for -ENOENT, as it is
 * gone; else r. Pure. */
MUST_USE int nfs_stale(int r);

#endif
