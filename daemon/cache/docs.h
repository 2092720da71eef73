/* SPDX-License-Identifier: Apache-2.0 */
/* Documents: JSON answers of the hubs about repositories, kept as they came for those who have to
 * answer the same. Each is known by its repository and by what follows that in the URL. One that
 * is too old is asked for once for all who want it. It stands while no hub can be asked, and goes
 * when a hub says that there is no such thing. Threads: any. */
#ifndef MATRIXFS_DOCS_H
#define MATRIXFS_DOCS_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/base/buf.h"
#include "daemon/base/wait.h"
#include "daemon/cache/catalog_docs.h"
#include "daemon/names/discover.h"
#include "daemon/names/flight.h"

struct docs;

#define HUB_PATIENCE_MS 2000
#define DOCS_BYTES_MAX (UINT64_C(256) << 20)

struct docs_conf {
	struct catalog *catalog; /* this and the next two: borrowed until docs_free */
	struct flight *flight;
	const struct discover *discover;
	int64_t retry_ms;    /* an old document stands so long before failed hubs are asked again */
	int64_t patience_ms; /* and is given out after so long while hubs do not answer */
	uint64_t max_bytes;  /* of the index, for all of them */
};

struct doc {
	struct buf text; /* one JSON text; docs_get says what is not in it */
	struct buf next; /* the tail of the next page, if the hub named one */
	uint64_t total;  /* items of all pages; 0: the hub did not say */
	int64_t age_ms;  /* since the hub said so; CLOCK_FOREVER if that is not known */
	bool stale;      /* it is too old, but no hub could be asked, or none has answered yet */
	/* In: where there is none, hubs that do not answer are waited for until then
	 * (clock_ms()); 0: for as long as the waiter may. */
	int64_t patient_until_ms;
	/* In: of the text that the caller has, or 0. If that is the one still, text and next stay
	 * empty. Out: of the text; 0 if there is none. */
	uint64_t version;
};

/* Frees what it holds. */
void doc_fini(struct doc *d);

/* Starts without a look at what is there. docs_free: after flight_stop. */
MUST_USE int docs_new(const struct docs_conf *conf, struct docs **ret);
void docs_free(struct docs *d);
/* The document at `tail` (percent-encoded, from '/' or '?' on, or "") of a repository, at most
 * max_age_ms old (CLOCK_FOREVER: it cannot change), or a stale one; `ret` is to be zeroed but for
 * what goes in. Left out are the member "siblings" of the whole, and "xetHash" and "xetEnabled"
 * wherever they are. PARKED as in node.h. Errors: hub.h's, ERR_OFFLINE, ERR_TIMEOUT (patience is
 * over; the question goes on), -ENAMETOOLONG (tail). */
MUST_USE int docs_get(struct docs *d, struct repo *repo, const char *tail, int64_t max_age_ms,
		      struct waiter *w, struct doc *ret);
/* The text that is here, however old; asks nobody. -ENOENT. */
MUST_USE int docs_kept(struct docs *d, struct repo *repo, const char *tail, struct buf *ret);
/* What its text is kept under. */
MUST_USE int docs_name(struct repo *repo, const char *tail, char ret[static DOC_NAME_HEX + 1]);
/* The version of the text that is kept under a name, see struct doc; 0 if none is. */
uint64_t docs_version(struct docs *d, const char *name);
/* Grows with each text that comes, changes or goes. */
uint64_t docs_changes(struct docs *d);

#endif
