/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/xorb_name.h"

#include <stdio.h>
#include <string.h>

#define UID_AT (sizeof(XORB_WAITING) - 1)
#define HASH_AT (UID_AT + REGISTRY_UID + 1)
#define USER_AT (HASH_AT + XET_HASH_HEX + 1)

void xorb_name(const struct xorb_owner *o, const uint8_t xorb[static XET_HASH],
	       char ret[static XORB_NAME_MAX])
{
	char hex[XET_HASH_HEX + 1];

	xet_hash_print(xorb, hex);
	snprintf(ret, XORB_NAME_MAX, XORB_WAITING "%.*s-%s-%s", REGISTRY_UID, o->uid, hex, o->user);
}

static bool begins(const char *name, const char *with)
{
	return strncmp(name, with, strlen(with)) == 0;
}

bool xorb_name_is(const char *name)
{
	return begins(name, XORB_WAITING) && strlen(name) > USER_AT &&
	       strlen(name) < XORB_NAME_MAX && name[HASH_AT - 1] == '-' && name[USER_AT - 1] == '-';
}

bool xorb_name_is_half(const char *name)
{
	return begins(name, XORB_COMING) || begins(name, XORB_GOING);
}

void xorb_name_owner(const char *name, char ret[static XORB_OWNER_MAX])
{
	snprintf(ret, XORB_OWNER_MAX, "%.*s-%s", REGISTRY_UID, name + UID_AT, name + USER_AT);
}

const char *xorb_name_user(const char *name)
{
	return name + USER_AT;
}
