/* SPDX-License-Identifier: Apache-2.0 */
/* Sends ranges of a file as the body of an answer. What is whole and verified goes out as it lies
 * in the cache; else bytes go out as they come, all but the last of a file before its digest was
 * right: a client is never left with a whole file that is wrong, but with a broken connection. */
#ifndef MATRIXFS_SENDING_H
#define MATRIXFS_SENDING_H

#include "admin/hub/ask.h"
#include "admin/hub/range.h"

/* A piece of the body: text (as the parts of a multipart body have), then bytes of the file. */
struct sending_part {
	char *text; /* taken, or NULL */
	uint64_t from, to;
};

/* Answers with the head and the parts in order, which are taken, of the file the request has
 * open. -ENOMEM: then nothing was answered. */
MUST_USE int sending_start(struct ask *a, uint32_t file, struct httpd_head *h,
			   struct sending_part *parts, unsigned count);
/* Frees what sending_start would have taken. */
void sending_drop(struct httpd_head *h, struct sending_part *parts, unsigned count);

#endif
