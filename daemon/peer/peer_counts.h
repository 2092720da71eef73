/* SPDX-License-Identifier: Apache-2.0 */
/* What is counted of all peers together. Bytes are those of files. Zeroed memory has counted
 * nothing. Threads: any. */
#ifndef MATRIXFS_PEER_COUNTS_H
#define MATRIXFS_PEER_COUNTS_H

#include "daemon/metrics.h"

/* X(field, unit, metric, kind, doc): the field is its name in JSON, too; what matrixctl prints
 * behind that (":size"); the metric, of which it is the sample of that kind (NULL: all of it), and
 * what that metric is (NULL: as the one before). Without a metric: docs/control.md tells.
 *
 * bytes_in: that members gave, and the cache took. bytes_wrong: that were not those of the blob.
 * bytes_twice: that came of chunks which never became whole, because who sent them broke off or was
 * left, or outrun by another; they come once more. No race begins that could
 * bring that above a fiftieth of bytes_in; what breaks off does.
 * asked: requests to members; raced: of those, that began while another member was slow.
 * passed: ranges that were left to hubs. bytes_out: given to members. answers: requests of members
 * that got bytes; waits: that were told to ask again, the bytes being on their way; redirects: that
 * were told who else has them; refused: wrong key, too busy, not here. */
#define PEER_COUNTS(X) \
	X(bytes_in, ":size", NULL, NULL, NULL) \
	X(bytes_out, ":size", "peer_sent_bytes_total", NULL, "Bytes of files given to peers.") \
	X(bytes_wrong, ":size", "peer_wrong_bytes_total", NULL, \
	  "Bytes of peers that were not what they should be.") \
	X(bytes_twice, ":size", "peer_twice_bytes_total", NULL, \
	  "Bytes of chunks that never became whole: they come once more.") \
	X(asked, "", "peer_requests_total", NULL, "Requests to peers.") \
	X(raced, "", "peer_races_total", NULL, \
	  "Requests to peers for what another peer was slow to give to a reader.") \
	X(passed, "", "peer_passed_total", NULL, \
	  "Ranges that were left to hubs: nobody else was to have them.") \
	X(answers, "", "peer_answers_total", "bytes", "Answers to peers, by what they were.") \
	X(waits, "", "peer_answers_total", "coming", NULL) \
	X(redirects, "", "peer_answers_total", "elsewhere", NULL) \
	X(refused, "", "peer_answers_total", "refused", NULL)

struct peer_counts {
#define PEER_COUNT(field, ...) metric field;
	PEER_COUNTS(PEER_COUNT)
#undef PEER_COUNT
};

#endif
