/* SPDX-License-Identifier: Apache-2.0 */
/* What bodies of requests say of a repository as a whole: which one, and who may see it. */
#ifndef MATRIXFS_REPO_BODY_H
#define MATRIXFS_REPO_BODY_H

#include "admin/hub/ask.h"
#include "daemon/base/jdoc.h"

/* {type, name, organization}: without a namespace it is of who asks. ANSWERED. */
MUST_USE int repo_body_id(struct ask *a, const struct jval *body, struct repo_id *ret);
/* {type, and under another member "namespace/name"}. ANSWERED. */
MUST_USE int repo_body_name(struct ask *a, const struct jval *body, const char *member,
			    struct repo_id *ret);
/* The same of a kind that is known. */
MUST_USE int repo_body_named(struct ask *a, const struct jval *body, const char *member,
			     enum repo_type type, struct repo_id *ret);
/* {private} or {visibility}; VISIBILITY_UNSAID: nothing is said of it. False: what is said makes no
 * sense, and was answered. */
MUST_USE bool repo_body_visibility(struct ask *a, const struct jval *body, enum visibility *ret);

#endif
