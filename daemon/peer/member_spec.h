/* SPDX-License-Identifier: Apache-2.0 */
/* What a list says of a node, and how it is written: "ADDR:PORT [weight=N] [zone=NAME]". Pure.
 * Threads: any. */
#ifndef MATRIXFS_MEMBER_SPEC_H
#define MATRIXFS_MEMBER_SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/base/buf.h"

#define MEMBER_ADDRESS_MAX 127 /* "192.0.2.1:9980", "[2001:db8::1]:9980", "node-1.example:9980" */
#define MEMBER_ZONE_MAX 31
#define MEMBERS_MAX 10000 /* of a list */

/* What a list says of a node. */
struct member_spec {
	char address[MEMBER_ADDRESS_MAX + 1]; /* where it answers peers; also its name */
	char zone[MEMBER_ZONE_MAX + 1];       /* "" if not said */
	uint32_t weight;                      /* 1 ... PLACEMENT_WEIGHT_MAX */
};

/* True if that is an address with a port. ret gets the one way to write it: in small letters, an
 * IPv6 address in its shortest form, so that a node has one name however lists write it. */
MUST_USE bool member_address_read(const char *text, size_t len,
				  char ret[static MEMBER_ADDRESS_MAX + 1]);
/* The same of any text: what is no address is only written small. */
void member_address_name(const char *address, char ret[static MEMBER_ADDRESS_MAX + 1]);
/* True if that may be called a zone: letters, digits and "-_.", one at least. */
bool member_zone_valid(const char *text, size_t len);
/* Appends the line of a member, with its end. Errors stay in ret. */
void member_spec_write(const struct member_spec *s, struct buf *ret);

/* The lines of a file or of a hub's answer: one member a line, blank lines and "# ..." between.
 * ERR_CONF with the line in why, also for more than MEMBERS_MAX; -ENOMEM. *ret is owned (free). */
MUST_USE int member_list_parse(const char *text, size_t len, struct member_spec **ret,
			       size_t *ret_count, struct buf *why);

#endif
