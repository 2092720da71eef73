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
#include "daemon/base/jdoc.h"
#include "daemon/model/manifest.h"
#include "daemon/metrics.h"
#include "daemon/model/repo_id.h"
#include "daemon/hub/source.h"

struct hub;

/* Whether bytes are fetched by the Xet store that a hub names. In the order of the choices of
 * --hub-xet. */
enum hub_xet {
	HUB_XET_AUTO,   /* what it does not give by plain HTTP */
	HUB_XET_ALWAYS, /* all that it has there */
	HUB_XET_NEVER,
};
#define HUB_XET_CHOICES "auto|always|never"

struct hub_conf {
	const char *url;    /* "https://huggingface.co", no trailing slash needed; copied */
	const char *token;  /* or NULL; copied, wiped on free */
	struct httpc *http; /* borrowed until hub_free */
	int64_t timeout_ms; /* for one metadata request */
	int64_t down_ms;   /* how long to leave an unreachable hub alone that let us wait as long */
	int64_t silent_ms; /* how long hub_was_silent, unless it answers meanwhile */
	enum hub_xet xet;
	bool lenient;                   /* of its lists of files, what makes sense is believed */
	struct metrics_source *metrics; /* counted there, borrowed until hub_free; or NULL */
};

/* Makes a client; nothing is asked yet. -EINVAL (no http or https URL, or a token with spaces or
 * control characters), -ENOMEM. No call may be running when it is freed. */
MUST_USE int hub_new(const struct hub_conf *conf, struct hub **ret);
void hub_free(struct hub *h);
/* Its token from now on; "" is none. -EINVAL (it holds blanks or such), -ENOMEM. Any thread. */
MUST_USE int hub_set_token(struct hub *h, const char *token);
/* The URL, without user name and password. */
const char *hub_name(const struct hub *h);

/* A field of each answer of a matrixhubd, and its value: what it sends has come from upstream once
 * for all who ask it. */
#define HUB_PROGRAM_FIELD "X-Hub-Program"
#define HUB_PROGRAM "matrixhubd"

/* How it did lately, the hosts it sends us to included. */
#define HUB_ERROR_MAX 255
struct hub_health {
	int64_t ok_s, failed_s;        /* wall clock, seconds; 0: never */
	char error[HUB_ERROR_MAX + 1]; /* of the last failure, "" if there was none */
	int64_t down_ms;               /* it is left alone for so long yet, or 0 */
	int64_t busy_ms;               /* it asked to come back after so long from now, or 0 */
	unsigned locations;            /* signed ones that are remembered */
	bool is_matrixhubd;            /* so it says; false until it has answered */
};
/* The same now. Threads: any. */
void hub_health(struct hub *h, struct hub_health *ret);
/* True if the last who asked it waited in vain. It may be asked all the same, best after others. */
bool hub_was_silent(struct hub *h);

/* What one API call tells about a revision. */
struct hub_revision {
	struct repo_id id; /* canonical: other case or a new name than was asked for */
	char commit[COMMIT_HEX + 1];
	int64_t date_s; /* of the last change, seconds since 1970; -1 unknown */
	bool is_open;   /* it is for everybody: the hub says so */
};
/* True if what a hub tells of a repository says that it is for everybody. Only a plain "no" to
 * "private" and "gated" does; *ret_gated if it is for all who agree to something. */
bool hub_says_open(const struct jval *info, bool *ret_gated);

/* Errors of the calls below: ERR_NOREPO, ERR_NOREV, ERR_NOENTRY, ERR_GATED, ERR_DISABLED,
 * ERR_TOKEN, ERR_BUSY (408, 429), ERR_SERVER (5xx), ERR_PROTO (HTML, broken JSON, missing
 * fields), ERR_UPSTREAM, ERR_TLS, ERR_TIMEOUT, ERR_REDIRECT, ERR_CANCELED. ret_wait_ms as in
 * source.h; may be NULL. */

/* Resolves a revision (branch, tag, commit, refs/pr/1); NULL asks for the repository's default
 * branch. A renamed repository answers with its new id. */
MUST_USE int hub_get_revision(struct hub *h, const struct repo_id *id, const char *revision,
			      struct httpc_cancel *cancel, struct hub_revision *ret,
			      int64_t *ret_wait_ms);
/* Lists all files of a commit, following pages. Also ERR_HOSTILE; `why` says which path. A lenient
 * hub's list is without what must not be shown: *ret_left_out items, of which `why` tells one. */
MUST_USE int hub_get_manifest(struct hub *h, const struct repo_id *id, const char *commit,
			      struct httpc_cancel *cancel, struct manifest **ret, struct buf *why,
			      uint32_t *ret_left_out, int64_t *ret_wait_ms);
/* The date of a commit, seconds since 1970. ERR_PROTO where a hub has no commit list. */
MUST_USE int hub_get_date(struct hub *h, const struct repo_id *id, const char *commit,
			  struct httpc_cancel *cancel, int64_t *ret_s, int64_t *ret_wait_ms);

/* Calls fn for each branch, tag, conversion and pull request, by the name it has as a revision,
 * until it returns non-zero, and returns that. */
MUST_USE int hub_each_ref(struct hub *h, const struct repo_id *id, struct httpc_cancel *cancel,
			  int (*fn)(void *arg, const char *ref), void *arg, int64_t *ret_wait_ms);

/* What the hub answers at "{hub}/api/{models|datasets|spaces}/{id}{tail}" (tail is percent-encoded
 * by the caller): one JSON text of at most HUB_DOC_MAX bytes, owned. ret_next gets the tail of the
 * next page, if the answer names one of the same repository; and behind a newline the number of
 * items of all pages, if it says that (X-Total-Count). */
#define HUB_DOC_MAX (UINT64_C(16) << 20)
#define HUB_TAIL_MAX 2048 /* without the NUL; a longer next page is none */
MUST_USE int hub_get_doc(struct hub *h, const struct repo_id *id, const char *tail,
			 struct httpc_cancel *cancel, struct jdoc **ret, struct buf *ret_next,
			 int64_t *ret_wait_ms);

/* Gives a range of a file, through the signed location it is remembered under, or by a Xet store.
 * Contract of struct source's get. Also ERR_CHANGED (another ETag or commit), ERR_SIZE, ERR_DIGEST
 * (of a Xet store), ERR_EXPIRED never. */
MUST_USE int hub_get_range(struct hub *h, const struct source_ask *ask, int64_t *ret_wait_ms);

#endif
