/* SPDX-License-Identifier: Apache-2.0 */
/* Admin API: tags of what is hosted here, and what locks them. Handlers as api_fn says. */
#ifndef MATRIXFS_ADMINAPI_TAGS_H
#define MATRIXFS_ADMINAPI_TAGS_H

#include "admin/adminapi/adminapi_call.h"

extern const struct api_shape api_tag_shape, api_lock_shape, api_lock_rule_shape;
extern const struct api_shape api_lock_rule_new_shape;

/* GET /repos/{type}/{repo}/tags. */
int api_tags(struct api_call *c);
/* PUT and DELETE /repos/{type}/{repo}/tags/{tag}/lock. */
int api_tag_lock(struct api_call *c);
int api_tag_unlock(struct api_call *c);
/* GET, PUT and DELETE /lock-rules. */
int api_lock_rules(struct api_call *c);
int api_lock_rule_put(struct api_call *c);
int api_lock_rule_remove(struct api_call *c);

#endif
