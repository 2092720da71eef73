/* SPDX-License-Identifier: Apache-2.0 */
/* Names of repositories, revisions and commits. Pure. Rules: the Hugging Face Hub's own (ASCII,
 * [A-Za-z0-9._-], each part 1 ... 96 long, no "--", no "..", no leading or trailing '-' or '.',
 * not ending in ".git"), so that "ORG/NAME" and the cache folder "models--ORG--NAME" map one to
 * one. */
#ifndef MATRIXFS_REPO_ID_H
#define MATRIXFS_REPO_ID_H

#include <stdbool.h>

#include "daemon/base/own.h"

/* Numbers stay what they are: they are left to another process. */
enum repo_type { REPO_MODEL = 0, REPO_DATASET = 1, REPO_SPACE = 2, REPO_TYPE_COUNT };
#define REPO_TYPE_WORDS "model|dataset|space" /* what people call them */

#define REPO_NAME_MAX 193 /* "namespace/name" */
#define REVISION_MAX 255  /* bytes */
#define COMMIT_HEX 40

struct repo_id {
	enum repo_type type;
	char name[REPO_NAME_MAX + 1]; /* "ns/name", or a bare "name" */
};

/* The names of one repository: the one it has now, then those it had. Borrowed. */
#define REPO_NAMES_MAX 16
struct repo_names {
	const struct repo_id *list[REPO_NAMES_MAX];
	unsigned count; /* at least 1 */
	bool more;      /* it had more than that */
};

/* "models", "datasets", "spaces": API segment and folder prefix. */
const char *repo_type_plural(enum repo_type type);
/* "model", "dataset", "space". */
const char *repo_type_word(enum repo_type type);
/* "", "datasets/", "spaces/": prefix of resolve URLs. */
const char *repo_type_prefix(enum repo_type type);
/* Parses "ns/name" or "name". -EINVAL. */
MUST_USE int repo_id_parse(enum repo_type type, const char *text, struct repo_id *ret);
/* Parses "models--ns--name" (or datasets--, spaces--). -EINVAL. */
MUST_USE int repo_id_parse_folder(const char *folder, struct repo_id *ret);
/* Prints the cache folder; ret holds at least REPO_FOLDER_MAX + 1 bytes. */
#define REPO_FOLDER_MAX (sizeof("datasets--") + REPO_NAME_MAX + 1)
void repo_id_folder(const struct repo_id *id, char ret[static REPO_FOLDER_MAX + 1]);
/* Prints "models/ns/name"; the key of tables and logs. */
#define REPO_KEY_MAX (sizeof("datasets/") + REPO_NAME_MAX)
void repo_id_key(const struct repo_id *id, char ret[static REPO_KEY_MAX + 1]);
/* The same in small letters: by what rows call a repository, however it is spelled. */
void repo_id_key_small(const struct repo_id *id, char ret[static REPO_KEY_MAX + 1]);
/* The inverse of repo_id_key. -EINVAL. */
MUST_USE int repo_id_parse_key(const char *key, struct repo_id *ret);
/* True if one part of a repository name is valid. */
int repo_part_valid(const char *part, size_t len);
/* True for exactly 40 lower-case hex digits. */
int commit_valid(const char *text);
/* True if text can be a revision: branch, tag, commit or refs/...; no control bytes, no "..", no
 * empty component, at most REVISION_MAX bytes, none of git's forbidden characters
 * (git-check-ref-format(1)). */
int revision_valid(const char *text);
/* True for "feature/x" and "feature". */
int revision_is_below(const char *revision, const char *dir);

#endif
