/* SPDX-License-Identifier: Apache-2.0 */
/* The file that holds the keys of a cluster: read, and looked at whether it has changed. Silent.
 * Threads: any. */
#ifndef MATRIXFS_KEY_FILE_H
#define MATRIXFS_KEY_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "daemon/base/buf.h"

#define KEY_FILE_KEYS_MAX 2
#define KEY_FILE_BYTES 32 /* of what signs */
#define KEY_FILE_ID_HEX 8

/* What comes of a line, which itself is not kept. */
struct key_file_key {
	uint8_t secret[KEY_FILE_BYTES];
	char id[KEY_FILE_ID_HEX + 1]; /* tells it from others, and nothing of it */
};

struct key_file {
	struct key_file_key at[KEY_FILE_KEYS_MAX];
	unsigned count;
};

/* Which file it was; all zero if there was none. */
struct key_file_stamp {
	dev_t dev;
	ino_t ino;
	off_t size;
	mode_t mode;
	struct timespec modified, changed;
};

/* Reads the file as it is now. ERR_CONF, -ENOENT and the like with a sentence in why that holds
 * nothing of a key; `ret_stamp` tells which file it was also then, if there was one. */
MUST_USE int key_file_read(const char *path, struct key_file *ret, struct key_file_stamp *ret_stamp,
			   struct buf *why);
/* 0 if it could be read now, or path is NULL; errors as above. */
MUST_USE int key_file_check(const char *path, struct buf *why);
/* True if that is another file now than *stamp says, which says it then. */
bool key_file_changed(const char *path, struct key_file_stamp *stamp);
/* Overwrites the keys. */
void key_file_wipe(struct key_file *keys);

#endif
