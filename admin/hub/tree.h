/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of files (hf-contract §1.4). */
#ifndef MATRIXFS_TREE_H
#define MATRIXFS_TREE_H

#include "admin/hub/ask.h"
#include "daemon/base/jwrite.h"

/* GET /api/{type}/{repo}/tree/{rev}/{path}: a directory, or with recursive=true all below it, in
 * pages. */
int tree_list(struct ask *a);
/* POST /api/{type}/{repo}/paths-info/{rev}: those of the paths in the body that there are. */
int tree_paths(struct ask *a);

/* The files of a commit, of which those are shown that may be read here. */
struct tree_view {
	const struct filter *filter;
	const struct manifest *files;
	struct repo_names names;
	bool all; /* all of them may be */
};
/* Borrows the filter of `a`, and the files of `s`, a commit of `repo`. */
void tree_view(const struct ask *a, struct repo *repo, const struct snapshot *s,
	       struct tree_view *ret);
/* Writes the "siblings" of a commit's information: with their sizes and digests if `blobs`. */
int tree_siblings(const struct tree_view *v, bool blobs, struct jwrite *w);

#endif
