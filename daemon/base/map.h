/* SPDX-License-Identifier: Apache-2.0 */
/* Hash table from byte strings or numbers to pointers. Keys are not copied: they live inside the
 * value they name. Not locked: the owner's lock guards it. Zeroed memory is an empty map. */
#ifndef MATRIXFS_MAP_H
#define MATRIXFS_MAP_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/base/own.h"

struct map_slot;

struct map {
	struct map_slot *slots;
	size_t cap;   /* 0 or a power of two */
	size_t count; /* live entries */
	size_t used;  /* live entries and tombstones */
};

typedef int (*map_each_fn)(void *arg, void *value);

/* Frees the table, not keys or values. */
void map_fini(struct map *m);
/* The value under a key, or NULL; borrowed until it is deleted. */
void *map_find(const struct map *m, const void *key, size_t key_len);
void *map_find_str(const struct map *m, const char *key);
void *map_find_u64(const struct map *m, uint64_t key);
/* Adds value under key, which must not be there yet; key is borrowed until deleted. 0 or
 * -ENOMEM. */
MUST_USE int map_put(struct map *m, const void *key, size_t key_len, void *value);
MUST_USE int map_put_str(struct map *m, const char *key, void *value);
MUST_USE int map_put_u64(struct map *m, uint64_t key, void *value);
/* Removes a key and returns its value, or NULL if there was none. */
void *map_del(struct map *m, const void *key, size_t key_len);
void *map_del_str(struct map *m, const char *key);
void *map_del_u64(struct map *m, uint64_t key);
/* Calls fn for each value in no order until it returns non-zero, and returns that. fn must not
 * add; it may delete the value it is called with. */
int map_each(struct map *m, map_each_fn fn, void *arg);

#endif
