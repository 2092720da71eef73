/* SPDX-License-Identifier: Apache-2.0 */
/* A race on the way of a range: while a reader waits for long for a member that was asked, another
 * one is asked besides for the chunk that comes next, and whoever brings it first goes on. Like
 * trip.h it asks nobody itself, and its times are the caller's. Threads: one per trip. */
#ifndef MATRIXFS_TRIP_RACE_H
#define MATRIXFS_TRIP_RACE_H

#include "daemon/peer/trip.h"

/* Whom to ask besides for the next chunk, while one is waited for, as a reader waits for longer
 * than is usual; ROUTE_NOBODY: nobody. Then trip_race_ask has the words, or it is skipped; it is on
 * until then, or until it is heard or won. */
uint32_t trip_race(struct trip *t, int64_t now_ms);
struct trip_ask trip_race_ask(struct trip *t, int64_t now_ms);
void trip_race_skip(struct trip *t);
/* It has not brought it, or was given up (ROUTE_LEFT). */
void trip_race_heard(struct trip *t, const struct trip_heard *h, int64_t now_ms);
/* It has, while another was asked: what that one had answered until then (ROUTE_SILENT: not even a
 * head). Nothing else is to be heard of its question. */
void trip_outrun(struct trip *t, const struct trip_heard *h, int64_t now_ms);
/* It has: it is as if it had been asked alone. trip_gave and trip_heard follow. */
void trip_race_won(struct trip *t);

#endif
