/* SPDX-License-Identifier: Apache-2.0 */
/* A server of one test, and requests to it. A call that fails fails the test. */
#ifndef MATRIXFS_TESTS_ASKING_H
#define MATRIXFS_TESTS_ASKING_H

#include <stdbool.h>

#include "daemon/base/httpd.h"
#include "tests/talk.h"

struct asking {
	struct httpd *http;
	struct sockaddr_in at;
	struct buf answer; /* all that came last */
};

/* Zeroed memory answers by `handle` from now on; requests have no bodies. */
void asking_start(struct asking *a, void (*handle)(void *arg, struct httpd_request *q), void *arg);
void asking_stop(struct asking *a);
/* The status. */
int asking_ask(struct asking *a, const char *method, const char *target);
/* True if the text is in the last answer. */
bool asking_says(const struct asking *a, const char *text);

#endif
