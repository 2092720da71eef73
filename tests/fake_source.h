/* SPDX-License-Identifier: Apache-2.0 */
/* A scripted source of bytes: the third of struct source's kinds, with no network behind it. Its
 * bytes are a pure function of a seed and an offset, so that any test can tell right ones from
 * wrong ones. Rules say which requests fail, end early, lie, dawdle or hang; without one all is
 * well. Threads: any. */
#ifndef MATRIXFS_TESTS_FAKE_SOURCE_H
#define MATRIXFS_TESTS_FAKE_SOURCE_H

#include <stdbool.h>

#include "daemon/base/lock.h"
#include "daemon/hub/source.h"

#define FAKE_RULES_MAX 16

enum fake_act {
	FAKE_GIVE,   /* all bytes, as without a rule */
	FAKE_END,    /* ends after `after` bytes with `result`; 0 is a short body */
	FAKE_WRONG,  /* bytes from the `after`th on are wrong */
	FAKE_HOLD,   /* gives `after` bytes and the others when released */
	FAKE_AGAIN,  /* lays `after` wrong bytes, takes them back, and begins anew */
	FAKE_COMING, /* says that they are coming, until another request has brought all of its */
};

/* What happens to requests that begin in [from, to); the first rule that fits a request counts. */
struct fake_rule {
	enum fake_act act;
	uint64_t from, to; /* to 0: wherever it begins */
	unsigned times;    /* for so many requests; 0: for all */
	uint64_t after;
	int result;
	int64_t delay_ms; /* before each piece */
	int64_t wait_ms;  /* what a refusing server asks to stay away */
};

struct fake_source {
	struct source source;
	uint64_t seed;
	size_t piece_bytes; /* the sink gets so many at once */
	bool lays;          /* what comes of a chunk before its last piece, as who compares it */
	struct lock lock;
	struct cond changed;
	/* Guarded by lock. */
	struct fake_rule rules[FAKE_RULES_MAX];
	unsigned used[FAKE_RULES_MAX];
	unsigned rule_count;
	unsigned releases;
	unsigned calls, running, running_most, held, carried;
	uint64_t bytes; /* given to sinks */
	uint64_t asked; /* what a server would have sent, wanted or not */
};

void fake_source_init(struct fake_source *f, const char *name, uint64_t seed);
/* No request may be running. */
void fake_source_fini(struct fake_source *f);
void fake_source_rule(struct fake_source *f, const struct fake_rule *rule);
/* Forgets all rules; held requests stay held. */
void fake_source_calm(struct fake_source *f);
/* Lets held requests go on. */
void fake_source_release(struct fake_source *f);
/* Requests that were ever begun; bytes that were given; the most that ran at once. */
unsigned fake_source_calls(struct fake_source *f);
uint64_t fake_source_bytes(struct fake_source *f);
unsigned fake_source_most(struct fake_source *f);
/* Bytes that were asked for. */
uint64_t fake_source_asked(struct fake_source *f);
/* Wait until so many are held, were begun, or until none runs; false if that takes too long. */
bool fake_source_await_held(struct fake_source *f, unsigned count);
bool fake_source_await_calls(struct fake_source *f, unsigned count);
bool fake_source_await_idle(struct fake_source *f);

/* The bytes of seed's file at off, and whether data is them. */
void fake_bytes(uint64_t seed, uint64_t off, void *ret, size_t len);
bool fake_bytes_are(uint64_t seed, uint64_t off, const void *data, size_t len);
/* A file of these bytes, with its true digest. */
void fake_blob(uint64_t seed, uint64_t size, enum digest_kind kind, struct source_blob *ret);

#endif
