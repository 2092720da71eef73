/* SPDX-License-Identifier: Apache-2.0 */
/* Answers that begin before it is known what is to be answered: for what takes longer than clients,
 * and proxies on the way, wait for a first byte. */
#ifndef MATRIXFS_HTTPD_EARLY_H
#define MATRIXFS_HTTPD_EARLY_H

#include "daemon/base/httpd.h"

struct httpd_early {
	const char *type;
	const char *meanwhile; /* is sent at once, and each time that nothing was for ... */
	int64_t every_ms;
	/* Appends what is sent in the place of the answer that the handler gives, of that status
	 * and with that body. On the handler's thread. */
	int (*last)(int status, const struct buf *body, struct buf *ret);
};

/* Answers 200, and goes on to say that it takes some time, until the handler answers: by
 * httpd_reply or httpd_reply_head, and nothing else; its body is the last piece. After the
 * request's body came, or right before the answer. `e` is borrowed for ever. */
void httpd_begin_early(struct httpd_request *q, const struct httpd_early *e);

#endif
