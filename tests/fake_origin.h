/* SPDX-License-Identifier: Apache-2.0 */
/* A scripted HTTP server on loopback: for each request target a list of answers, given one after
 * another, the last one for ever. A target without a script is answered 404. Runs on threads of
 * its own; scripts may be added at any time. For tests only: whatever fails in it ends the
 * program. */
#ifndef MATRIXFS_FAKE_ORIGIN_H
#define MATRIXFS_FAKE_ORIGIN_H

#include <stdbool.h>
#include <stddef.h>

struct fake_origin;

struct fake_answer {
	int status;          /* 0: the connection ends without an answer */
	const char *headers; /* "Name: value\r\n" lines, or NULL */
	const char *body;    /* or NULL */
	size_t len;          /* of body; 0: it is a string */
	bool ranges;         /* a request with Range gets a 206 with that part of body */
	long claim;          /* Content-Length to claim instead of the right one; -1: none at all */
	bool chunked;        /* the body goes out in chunks of 100 bytes */
	bool cut;            /* the connection ends after cut_at bytes of the body */
	bool reset;          /* ... by a reset */
	size_t cut_at;
	bool spoiled;  /* noise in its place, if the connection has been used before */
	int before_ms; /* silence before the head */
	int within_ms; /* silence after the first byte of the body */
};

struct fake_origin *fake_origin_start(void);
void fake_origin_stop(struct fake_origin *o);
/* "http://127.0.0.1:PORT" */
const char *fake_origin_url(const struct fake_origin *o);
/* Appends to the script of a target ("/path?query"). Pointers in it are borrowed until stop. */
void fake_origin_add(struct fake_origin *o, const char *target, struct fake_answer answer);
/* Forgets the script of a target, not its counts. */
void fake_origin_clear(struct fake_origin *o, const char *target);
/* Requests for a target so far; of any target if NULL. */
unsigned fake_origin_count(struct fake_origin *o, const char *target);
/* Connections accepted so far. */
unsigned fake_origin_connections(struct fake_origin *o);
/* True if the head of the target's latest request holds this text. */
bool fake_origin_saw(struct fake_origin *o, const char *target, const char *text);

#endif
