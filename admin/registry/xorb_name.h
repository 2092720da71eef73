/* SPDX-License-Identifier: Apache-2.0 */
/* How the files are called in which xorbs wait: xorb-UID-HASH-USER. While one comes it is
 * xorbing-UID-N, while it goes xorbed-N. Pure. Threads: any. */
#ifndef MATRIXFS_XORB_NAME_H
#define MATRIXFS_XORB_NAME_H

#include <stdbool.h>

#include "admin/account/accounts.h"
#include "admin/registry/registry.h"
#include "admin/registry/xorb_rows.h"

#define XORB_WAITING "xorb-"
#define XORB_COMING "xorbing-"
#define XORB_GOING "xorbed-"
/* Room for such a name; for one that comes or goes; for under whom it is counted. */
#define XORB_NAME_MAX (sizeof(XORB_WAITING "--") + REGISTRY_UID + XET_HASH_HEX + ACCOUNT_NAME_MAX)
#define XORB_HALF_MAX (sizeof(XORB_COMING "-") + REGISTRY_UID + 20)
#define XORB_OWNER_MAX (sizeof("-") + REGISTRY_UID + ACCOUNT_NAME_MAX)

/* Of one that waits. */
void xorb_name(const struct xorb_owner *o, const uint8_t xorb[static XET_HASH],
	       char ret[static XORB_NAME_MAX]);
bool xorb_name_is(const char *name);
/* Of one that comes or goes. */
bool xorb_name_is_half(const char *name);
/* Whom a file of such a name is counted for, and who brought it; borrowed from the name. */
void xorb_name_owner(const char *name, char ret[static XORB_OWNER_MAX]);
const char *xorb_name_user(const char *name);

#endif
