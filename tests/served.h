/* SPDX-License-Identifier: Apache-2.0 */
/* A server of one test, and requests to it. A call that fails fails the test. */
#ifndef MATRIXFS_TESTS_SERVED_H
#define MATRIXFS_TESTS_SERVED_H

#include <stdbool.h>

#include "daemon/base/httpd.h"
#include "tests/talk.h"

struct served {
	struct httpd *http;
	struct sockaddr_in at;
	struct buf answer; /* all that came last */
};

/* Zeroed memory answers by `handle` from now on; requests have no bodies. */
void served_start(struct served *s, void (*handle)(void *arg, struct httpd_request *q), void *arg);
void served_stop(struct served *s);
/* The status. */
int served_ask(struct served *s, const char *method, const char *target);
/* True if the text is in the last answer. */
bool served_says(const struct served *s, const char *text);

#endif
