/* SPDX-License-Identifier: Apache-2.0 */
/* What a request says: its target, and those of its fields that answers depend on. Read once, when
 * it comes; all of it stays when the request's memory does not. */
#ifndef MATRIXFS_ASKED_H
#define MATRIXFS_ASKED_H

#include "admin/account/client_address.h"
#include "admin/hub/ready.h"
#include "admin/server.h"
#include "admin/hub/target.h"
#include "daemon/base/httpd.h"

/* Clients that take it want to be told where a file is to be had by Xet, in the place of its bytes.
 */
#define ASKED_XET_TYPE "application/vnd.xet-fileinfo+json"
#define ASKED_ID_MAX 17 /* 16 digits and a NUL */

struct asked {
	struct target target;
	bool head;             /* HEAD: the answer has no body */
	const char *query;     /* without '?', "" if there is none; borrowed from the request */
	char *origin;          /* "https://hub.example:8443": how this client reaches us */
	char id[ASKED_ID_MAX]; /* ours, of this request alone */
	char *given_id;        /* the client's, or NULL */
	bool traced;           /* that is no X-Request-Id */
	char address[CLIENT_ADDRESS_MAX];                  /* where it comes from */
	int64_t since_ms;                                  /* when it came, wall clock */
	char *agent;                                       /* field, or NULL */
	char *range, *if_range, *if_match, *if_none_match; /* fields, or NULL */
	int64_t body_length;                               /* -1: it does not say */
	bool sends_json;                                   /* its body, by its Content-Type */
	bool takes_xet;                                    /* ASKED_XET_TYPE */
	enum ready_packing packing;                        /* it takes */
};

/* Reads it; what memory is short for is as if it had not been said. */
void asked_read(const struct server *s, struct httpd_request *http, const struct target *target,
		struct asked *ret);
void asked_fini(struct asked *a);

#endif
