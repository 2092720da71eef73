/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the HTTP server call of each other. */
#ifndef MATRIXFS_HTTPD_CALLS_H
#define MATRIXFS_HTTPD_CALLS_H

#include "daemon/base/httpd_priv.h"

/* ---- httpd_request.c ---- */
/* A request whose target has come; the library's for now. NULL without memory. */
struct httpd_request *httpd_request_new(struct httpd *h, struct MHD_Connection *c,
					const char *target);
/* One side is done with it; the second tells that it has ended, and frees it. No lock held. */
void httpd_leave(struct httpd_request *q, bool *side);
/* Keeps the answer; who is parked goes on. The first one counts. all->lock is held. */
void httpd_keep_locked(struct httpd_request *q, int status, struct MHD_Response *m);
/* A thread of the library begins to run, or has run, what others gave us. */
void httpd_enter(struct httpd *h);
void httpd_exit(struct httpd *h);
/* The keeper has something to do. */
void httpd_nudge(struct httpd *h);

/* ---- httpd_pieces.c ---- */
/* More of a body that goes in pieces: takes some of it. False: the connection shall end. */
bool httpd_pieces_came(struct httpd_request *q, const char *data, size_t *len);
/* True if it is to come although it was answered. */
bool httpd_pieces_throws(const struct httpd_request *q);
/* No more will come: 0 or ERR_CUT. */
void httpd_pieces_end(struct httpd_request *q, int r);

/* ---- httpd_answer.c ---- */
/* An answer of ours in JSON; NULL without memory. */
struct MHD_Response *httpd_refusal(const struct httpd *h, const char *error, const char *message);
/* Its answer, if any, has ended: releases what it was made of. */
void httpd_answer_over(struct httpd_request *q);
/* Lets go on whatever waits to be told that there is more. all->lock is held. */
void httpd_wake_all_locked(struct httpd *h);

/* ---- httpd_early.c ---- */
/* True if it was answered early: then that is the end of it, and the body is taken. */
bool httpd_end_early(struct httpd_request *q, int status, struct buf *body);

/* ---- httpd_door.c ---- */
/* The keeper: a thread that lets clients in and sends slow ones away. */
void *httpd_keep(void *h);
/* The library has begun with a connection (of TLS: its session), or is about to close it; it is no
 * stranger's from now on (NULL is none; the lock is held). And all are forgotten. */
struct httpd_link *httpd_link_begin(struct httpd *h, int fd, void *session);
void httpd_link_know_locked(struct httpd *h, struct httpd_link *link);
void httpd_link_end(struct httpd *h, struct httpd_link *link);
void httpd_links_fini(struct httpd *h);
/* Bytes that the client has taken so far; false if nobody knows. *ret_left: some wait for it. */
bool httpd_taken(int fd, uint64_t *ret, bool *ret_left);

#endif
