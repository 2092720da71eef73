/* SPDX-License-Identifier: Apache-2.0 */
/* The access log: one line a request, as web servers write them ("combined"), then the request's
 * id, behind the one its client gave it, and how many seconds it took. Written by a thread of its
 * own, about a second later. Of a query only values that can be no secret are shown. Threads:
 * any. */
#ifndef MATRIXFS_ACCESS_H
#define MATRIXFS_ACCESS_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/base/buf.h"

struct access;

/* Opens the log: a file, appended to, or "-" for stdout. Sentences in why. */
MUST_USE int access_open(const char *path, struct access **ret, struct buf *why);
/* Writes what is left: what comes later is lost. False if that is not done at deadline_ms
 * (clock_ms()), as with a disk that hangs: then it must stay. NULL is none, as below. */
MUST_USE bool access_stop(struct access *a, int64_t deadline_ms);
/* After it was stopped; nobody may be using it any more. */
void access_free(struct access *a);
/* Opens its file anew, as after it was moved away; if that fails, the old one goes on. NULL is
 * none. */
void access_reopen(struct access *a);

/* Texts may be NULL. */
struct access_entry {
	const char *address, *user;
	int64_t time_s; /* wall clock */
	const char *method, *target;
	int status; /* 0: it got no answer */
	uint64_t bytes;
	const char *agent, *request_id, *given_id;
	int64_t took_us;
};
/* NULL is no log. Waits when a megabyte is not written yet. */
void access_note(struct access *a, const struct access_entry *e);
/* Appends the line with its newline. Pure. */
void access_line(const struct access_entry *e, struct buf *ret);

#endif
