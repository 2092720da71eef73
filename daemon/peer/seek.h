/* SPDX-License-Identifier: Apache-2.0 */
/* Who may have a segment that nobody is to bring for us: before it is had from upstream, and all
 * the more when it cannot be had there, those are asked for what they have. First those who would
 * own it if there were fewer members, and did so before others joined; each time in vain, more.
 * Pure. */
#ifndef MATRIXFS_SEEK_H
#define MATRIXFS_SEEK_H

#include "daemon/peer/members.h"

#define SEEK_FAILED 2 /* so often in vain, and upstream fails: those who wait here are told so */
#define SEEK_FIRST 4  /* asked the first time; then twice as many each time, up to all */

/* How many are asked after so many times in vain. */
uint32_t seek_width(unsigned vain);

/* Members by how well they and the segment go together, without this node; *ret is owned (free).
 * How many, at most `max`; -ENOMEM. */
MUST_USE int seek_list(const struct membership *members, struct segment segment, uint32_t max,
		       uint32_t **ret);

#endif
