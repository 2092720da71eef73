/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the server for peers: serve.c (who comes in), serve_answer.c (what is said),
 * serve_work.c (what members have this node do), and serve_bytes.c and serve_digests.c (what
 * becomes of one question). Nobody else includes this. */
#ifndef MATRIXFS_SERVE_PRIV_H
#define MATRIXFS_SERVE_PRIV_H

#include "daemon/base/httpd.h"
#include "daemon/peer/callers.h"
#include "daemon/peer/digest_answers.h"
#include "daemon/peer/fanout.h"
#include "daemon/peer/opened.h"
#include "daemon/peer/serve.h"
#include "daemon/peer/fair_queue.h"
#include "daemon/peer/wire.h"

struct serve {
	struct serve_conf conf;
	struct httpd *http;
	struct opened *opened;
	struct digest_answers *answers;
	_Atomic(const struct serve_work *) work; /* NULL: not yet */
	struct fanout *fanout;
	struct fair_queue *queue; /* what goes out under the limit */
	struct callers callers;
};

/* One request of a member that has shown the key. */
struct guest {
	struct serve *serve;
	struct httpd_request *http;
	char address[CLUSTER_NODE_MAX + 1];
	char nonce[CLUSTER_NONCE_HEX + 1];
	uint64_t zone;    /* key of its zone */
	uint32_t number;  /* that it is told to have, see segment_notes.h; 0: none */
	bool quiet_known; /* of an answer that bytes are coming: */
	int64_t quiet_ms; /* as decide_quiet_ms says */
};

/* ---- serve_answer.c ---- */

/* The fields all answers have, signed. Of one with bytes `content_range` is said, else it is "". */
MUST_USE int serve_head(const struct guest *g, int status, const char *content_range,
			const char *others, struct httpd_head *ret);
/* Answers with digests, as wire_write_digests writes them. */
void serve_told(const struct guest *g, const char *digests);
/* Answers without bytes; `others` may be named. */
void serve_say(const struct guest *g, int status, const char (*others)[MEMBER_ADDRESS_MAX + 1],
	       unsigned count);
/* The status for failure r of bringing. Members believe of upstream what they hear with
 * WIRE_FAILED: that is only what hubs answered. */
int serve_status(int r);
/* Refuses, with one word of why; and for failure r of bringing. */
void serve_cause(const struct guest *g, int status, const char *cause);
void serve_fail(const struct guest *g, int r);
/* Refuses with 400: `why` is the end of a sentence, "its range is none"; and with 405: what `allow`
 * names is asked for so. */
void serve_no_sense(const struct guest *g, const char *cause, const char *why);
void serve_other_method(const struct guest *g, const char *allow);

/* ---- serve_work.c ---- */

/* True if something else than bytes is asked for; and answers it. */
bool serve_is_work(const struct httpd_request *q);
void serve_some_work(const struct guest *g);

/* ---- serve_bytes.c ---- */

/* Bytes a second that may go out now; 0: any number. Who waits here comes first: his bytes come
 * over the same link, or from the same disk. */
uint64_t serve_rate(const struct serve *s);
/* Whether the program lets the guest have it: 0, or why not. */
MUST_USE int serve_may(const struct guest *g, const struct source_blob *what);
/* Answers a question for bytes, now or later. */
void serve_bytes(const struct guest *g, const struct wire_ask *ask);

/* ---- serve_digests.c ---- */

/* Answers a question for digests: what there is to say, or that it is being found out. */
void serve_digests(const struct guest *g, const struct wire_ask *ask);

#endif
