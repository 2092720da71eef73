/* SPDX-License-Identifier: Apache-2.0 */
/* The files of the trail: its segments, read line by line, and its two marks. Threads: one a
 * struct; another process may be writing. */
#ifndef MATRIXFS_AUDIT_FILES_H
#define MATRIXFS_AUDIT_FILES_H

#include <stdbool.h>
#include <stdint.h>

#include "admin/audit/audit_record.h"

#define AUDIT_DIR "audit"          /* in the data directory */
#define AUDIT_SEGMENT_NAME_MAX 32  /* with its NUL */
#define AUDIT_HEAD_FILE "head"     /* up to where the trail is durable */
#define AUDIT_ANCHOR_FILE "anchor" /* up to where retention dropped it */
#define AUDIT_MARK_BYTES 128       /* of those two */

/* Opens DIR/audit. Descriptor or -errno. */
MUST_USE int audit_dir_open(const char *data);
/* "0000000007.jsonl" */
void audit_segment_name(uint64_t number, char ret[static AUDIT_SEGMENT_NAME_MAX]);

/* A segment, as its first line tells. */
struct audit_begun {
	uint64_t number;
	uint64_t bytes;  /* of its file, when it was listed */
	bool whole;      /* it has a first line, and that is right; else the rest is 0 */
	uint64_t seq;    /* of that line */
	int64_t time_ms; /* its */
	char prev[AUDIT_HASH_HEX + 1]; /* the hash it follows */
};
struct audit_begins {
	struct audit_begun *at; /* by number */
	size_t count;
};
/* The segments there are, freed by audit_begins_free. */
MUST_USE int audit_begins_list(int dirfd, struct audit_begins *ret);
void audit_begins_free(struct audit_begins *b);
/* The number of the first segment after that one; 0: there is none (yet). */
MUST_USE int audit_segment_after(int dirfd, uint64_t number, uint64_t *ret);
/* Appends one. 0 or -ENOMEM. */
MUST_USE int audit_begins_add(struct audit_begins *b, const struct audit_begun *one);

/* A segment's lines from an offset on. Zeroed memory with fd -1 is closed. */
struct audit_lines {
	int fd;
	uint64_t number;
	uint64_t at;     /* offset of the next line */
	uint64_t read;   /* offset of what is read next */
	struct buf text; /* what was read and not given yet, from `given` on */
	size_t given;
};
/* Opens a segment; at: offset of a line. -ENOENT if it is not there (any more). */
MUST_USE int audit_lines_open(int dirfd, uint64_t number, uint64_t at, struct audit_lines *ret);
void audit_lines_close(struct audit_lines *l);
/* The next line, without its newline and borrowed until the next call. 1: there it is; 0: there is
 * no whole one (yet); -errno. What is longer than AUDIT_LINE_MAX comes in pieces, as lines. */
MUST_USE int audit_lines_next(struct audit_lines *l, const char **ret, size_t *ret_len);

/* A mark as it lies on disk: AUDIT_MARK_BYTES. */
void audit_mark_print(const struct audit_mark *m, char ret[static AUDIT_MARK_BYTES + 1]);
/* Parses one; ERR_CORRUPT if it makes no sense: then *ret is as it was. */
MUST_USE int audit_mark_parse(const char *text, size_t len, struct audit_mark *ret);
/* Reads one; -ENOENT, or ERR_CORRUPT if it makes no sense: then *ret is zeroed. */
MUST_USE int audit_mark_read(int dirfd, const char *name, struct audit_mark *ret);

#endif
