/* SPDX-License-Identifier: Apache-2.0 */
/* Client of one hub's Hugging Face API: what is this repository called, which commit is this
 * revision, which files has it, where are a file's bytes. Blocking; one request (or one list of
 * pages) per call; redirects are followed here, and the token never leaves the hub's own origin.
 * No retries (see retry). A hub that could not be reached is left alone for a while: calls fail
 * at once with ERR_UPSTREAM. Threads: any. Source: research "hf-contract" §1,
 * huggingface.co/docs/hub/api. */
#ifndef MATRIXFS_HUB_H
#define MATRIXFS_HUB_H

#include <stdint.h>

#include "daemon/base/httpc.h"
#include "daemon/manifest.h"
#include "daemon/metrics.h"
#include "daemon/repo_id.h"
#include "daemon/source.h"

struct hub;

struct hub_conf {
	const char *url;    /* "https://huggingface.co", no trailing slash needed; copied */
	const char *token;  /* or NULL; copied, wiped on free */
	struct httpc *http; /* borrowed until hub_free */
	int64_t timeout_ms; /* for one metadata request */
	int64_t down_ms;    /* how long to leave an unreachable hub alone */
	struct metrics_source *metrics; /* counted there, borrowed until hub_free; or NULL */
};

/* Makes a client; nothing is asked yet. -EINVAL (no http or https URL, or a token with spaces or
 * control characters), -ENOMEM. No call may be running when it is freed. */
MUST_USE int hub_new(const struct hub_conf *conf, struct hub **ret);
void hub_free(struct hub *h);
/* The URL, without user name and password. */
const char *hub_name(const struct hub *h);

/* How it did lately, the hosts it sends us to included. */
#define HUB_ERROR_MAX 255
struct hub_health {
	int64_t ok_s, failed_s;        /* wall clock, seconds; 0: never */
	char error[HUB_ERROR_MAX + 1]; /* of the last failure, "" if there was none */
	int64_t down_ms;               /* it is left alone for so long yet, or 0 */
};
/* The same now. Threads: any. */
void hub_health(struct hub *h, struct hub_health *ret);

/* What one API call tells about a revision. */
struct hub_revision {
	struct repo_id id; /* canonical: other case or a new name than was asked for */
	char commit[COMMIT_HEX + 1];
	int64_t date_s; /* of the last change, seconds since 1970; -1 unknown */
};

/* Errors of the four calls below: ERR_NOREPO, ERR_NOREV, ERR_NOENTRY, ERR_GATED, ERR_DISABLED,
 * ERR_TOKEN, ERR_BUSY (408, 429), ERR_SERVER (5xx), ERR_PROTO (HTML, broken JSON, missing
 * fields), ERR_UPSTREAM, ERR_TLS, ERR_TIMEOUT, ERR_REDIRECT, ERR_CANCELED. ret_wait_ms as in
 * source.h; may be NULL. */

/* Resolves a revision (branch, tag, commit, refs/pr/1); NULL asks for the repository's default
 * branch. A renamed repository answers with its new id. */
MUST_USE int hub_get_revision(struct hub *h, const struct repo_id *id, const char *revision,
			      struct httpc_cancel *cancel, struct hub_revision *ret,
			      int64_t *ret_wait_ms);
/* Lists all files of a commit, following pages. Also ERR_HOSTILE; `why` says which path. */
MUST_USE int hub_get_manifest(struct hub *h, const struct repo_id *id, const char *commit,
			      struct httpc_cancel *cancel, struct manifest **ret, struct buf *why,
			      int64_t *ret_wait_ms);
/* The date of a commit, seconds since 1970. ERR_PROTO where a hub has no commit list. */
MUST_USE int hub_get_date(struct hub *h, const struct repo_id *id, const char *commit,
			  struct httpc_cancel *cancel, int64_t *ret_s, int64_t *ret_wait_ms);

/* Calls fn for each branch, tag, conversion and pull request, by the name it has as a revision,
 * until it returns non-zero, and returns that. */
MUST_USE int hub_each_ref(struct hub *h, const struct repo_id *id, struct httpc_cancel *cancel,
			  int (*fn)(void *arg, const char *ref), void *arg, int64_t *ret_wait_ms);

/* Gives a range of a file, through the signed location it is remembered under. Contract of
 * struct source's get. Also ERR_CHANGED (another ETag or commit), ERR_SIZE, ERR_EXPIRED never. */
MUST_USE int hub_get_range(struct hub *h, const struct source_ask *ask, int64_t *ret_wait_ms);

#endif
