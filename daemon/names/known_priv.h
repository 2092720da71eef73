/* SPDX-License-Identifier: Apache-2.0 */
/* What known.c (what is known), known_names.c and known_list.c (its lists) share. */
#ifndef MATRIXFS_KNOWN_PRIV_H
#define MATRIXFS_KNOWN_PRIV_H

#include "daemon/base/lock.h"
#include "daemon/base/map.h"
#include "daemon/names/known.h"

struct ref {
	struct ref *next;
	struct known_ref state;
	bool is_dir;  /* no ref itself, but others are below it */
	bool unsaved; /* a full disk has not taken what it is */
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
	char folded[REPO_KEY_MAX + 1];    /* the key in small letters */
	_Atomic(struct repo *) canonical; /* itself, or one it is another name of */
	struct repo *former;              /* names it had, the first known first: guarded by ... */
	struct repo *next_former;         /* ... known->lock, like the next in the list it is in */
	atomic_int gone;                  /* the hubs' last word about it, or 0: it is there */
	atomic_llong gone_ms;             /* when they said so */
	atomic_bool restricted;           /* not for everybody, as far as was heard lately */
	atomic_bool unsaved;              /* a full disk has not taken its name */
	atomic_bool refs_unsaved;         /* ... or one of its refs */
	atomic_bool hosted;               /* it is hosted here, under this name */
	atomic_bool buried;               /* it was, and is found by no name any more */
	struct repo *next_buried;         /* guarded by known->lock */
	struct ref *refs;                 /* this and the next two: guarded by known->lock */
	struct commit *commits;
};

struct known {
	struct catalog *catalog;
	atomic_llong again_ms; /* what is unsaved is not tried before */
	atomic_ullong changes; /* of names, and of what refs name */
	struct lock lock;
	/* Guarded by lock. */
	struct map repos;    /* key -> struct repo */
	struct map folded;   /* folded key -> the first struct repo that has it */
	struct repo *buried; /* names that were: others may hold them still */
	uint64_t clock;
	uint64_t loaded_files;
};

/* ---- known.c ---- */

/* Frees a whole list; NULL is none. */
void known_free_refs(struct ref *list);
/* Nothing is known of it but its name. */
void known_empty_locked(struct known *k, struct repo *r);

/* ---- known_names.c ---- */

/* The key in small letters. */
void known_fold(const char *key, char ret[static REPO_KEY_MAX + 1]);

/* Notes that the hub calls `asked` by the name of `canonical`. */
MUST_USE int known_name_locked(struct known *k, const struct repo_id *asked,
			       const struct repo_id *canonical);
/* The name is a repository's own, in all its spellings: in the case of their letters alone they
 * differ. It may have led to another repository, which was called so. */
MUST_USE int known_take_name_locked(struct known *k, const struct repo_id *id);
/* Takes a row of the catalog that says so, before others share the table: arg is a struct known.
 * Rows come in no order, and those of a name that was given up twice name the first that
 * followed. */
int known_load_name(void *arg, const char *key, const char *canonical);

/* ---- known_save.c ---- */

/* Writes the repository's name if it is not in the index: without it no row of a commit or a ref is
 * found again. */
MUST_USE int known_save_name(struct known *k, struct repo *r);
/* known_save_all for who uses a commit, if that is not saved; not more often than is worth it. */
void known_save_again(struct known *k, const struct snapshot *s);

#endif
