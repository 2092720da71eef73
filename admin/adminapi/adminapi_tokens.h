/* SPDX-License-Identifier: Apache-2.0 */
/* Admin API: tokens, rules, and who sees a repository. Handlers as api_fn says. */
#ifndef MATRIXFS_ADMINAPI_TOKENS_H
#define MATRIXFS_ADMINAPI_TOKENS_H

#include "admin/adminapi/adminapi_call.h"

extern const struct api_shape api_token_shape, api_token_new_shape, api_rule_shape;

/* GET and POST /tokens; DELETE /tokens/{user}/{token}. */
int api_tokens(struct api_call *c);
int api_token_add(struct api_call *c);
int api_token_remove(struct api_call *c);
/* GET, PUT and DELETE /rules. */
int api_rules(struct api_call *c);
int api_rule_put(struct api_call *c);
int api_rule_remove(struct api_call *c);

#endif
