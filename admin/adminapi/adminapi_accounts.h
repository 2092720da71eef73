/* SPDX-License-Identifier: Apache-2.0 */
/* Admin API: users, organizations and their members. Handlers as api_fn says. */
#ifndef MATRIXFS_ADMINAPI_ACCOUNTS_H
#define MATRIXFS_ADMINAPI_ACCOUNTS_H

#include "admin/adminapi/adminapi_call.h"

extern const struct api_shape api_user_shape, api_user_new_shape, api_user_change_shape;
extern const struct api_shape api_org_shape, api_org_new_shape, api_org_change_shape;
extern const struct api_shape api_member_shape, api_member_change_shape, api_nothing_shape;

/* GET and POST /users; GET, PATCH and DELETE /users/{user}; POST /users/{user}/disable. */
int api_users(struct api_call *c);
int api_user_add(struct api_call *c);
int api_user(struct api_call *c);
int api_user_change(struct api_call *c);
int api_user_remove(struct api_call *c);
int api_user_disable(struct api_call *c);
/* The same of /orgs. */
int api_orgs(struct api_call *c);
int api_org_add(struct api_call *c);
int api_org(struct api_call *c);
int api_org_change(struct api_call *c);
int api_org_remove(struct api_call *c);
/* GET /orgs/{org}/members; PUT and DELETE /orgs/{org}/members/{user}. */
int api_members(struct api_call *c);
int api_member_put(struct api_call *c);
int api_member_remove(struct api_call *c);

#endif
