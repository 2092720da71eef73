/* SPDX-License-Identifier: Apache-2.0 */
/* A cache that fetches, and a scripted hub. A call that fails fails the test. */
#ifndef MATRIXFS_TESTS_FETCHING_H
#define MATRIXFS_TESTS_FETCHING_H

#include "daemon/fetch/fetch.h"
#include "tests/fake_source.h"
#include "tests/workdir.h"

struct fetching {
	struct workdir dir;
	struct store *store;
	struct catalog *catalog;
	struct httpc *http;
	struct fake_source hub; /* gives the bytes of its seed */
	struct source *hubs[1];
	struct fetch *fetch;
	struct failures failures;
	struct metrics metrics;
};

/* A hub of that name; it is asked for what is not there, or (asked false) nobody is. */
void fetching_init(struct fetching *f, const char *hub, uint64_t seed, bool asked);
/* After fetch_stop, and when every handle has been closed. */
void fetching_fini(struct fetching *f);

#endif
