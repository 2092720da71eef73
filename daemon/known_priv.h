/* SPDX-License-Identifier: Apache-2.0 */
/* What known.c (what is known) and known_list.c (its lists) share. */
#ifndef MATRIXFS_KNOWN_PRIV_H
#define MATRIXFS_KNOWN_PRIV_H

#include "daemon/base/lock.h"
#include "daemon/base/map.h"
#include "daemon/known.h"

struct ref {
	struct ref *next;
	struct known_ref state;
	bool is_dir; /* no ref itself, but others are below it */
	char name[];
};

struct commit {
	struct commit *next;
	char name[COMMIT_HEX + 1];
	struct snapshot *loaded; /* one count of it, or NULL */
	uint64_t used;
};

struct repo {
	struct repo_id id;
	char key[REPO_KEY_MAX + 1];
	_Atomic(struct repo *) canonical; /* itself, or the one it is another name of */
	struct ref *refs;                 /* this and the next two: guarded by known->lock */
	struct commit *commits;
};

struct known {
	struct catalog *catalog;
	struct lock lock;
	/* Guarded by lock. */
	struct map repos; /* key -> struct repo */
	uint64_t clock;
	uint64_t loaded_files;
};

#endif
