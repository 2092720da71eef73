/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/digest_questions.h"

#include <errno.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/num.h"
#include "daemon/cache/chunk.h"
#include "daemon/peer/answered.h"
#include "daemon/peer/outcome.h"

#define ANSWER_MS 2000   /* what an answer may take */
#define PATIENCE_MS 3000 /* of a question that is put again, in all */
#define REST_MS 100
#define AGAIN_MS 1500 /* for longer than what it said is said again, whatever is so since */

static struct wire_ask ask_for(const struct source_blob *what, uint32_t segment,
			       enum digest_questions_as as)
{
	uint64_t start = segment_start(segment);
	struct wire_ask ask =
		wire_ask_of(what, start, segment_end(segment, what->file.size) - start);

	ask.digests = true;
	ask.held = as == AS_HOLDER;
	return ask;
}

/* What became of a question says of the member. Who has no connection free is asked again soon, and
 * to get less time than an answer may take is no silence. */
static enum member_outcome outcome(const struct peer_get *q, int r, int64_t patience_ms)
{
	enum route_answer a = answered_as(q, r);

	if (a == ROUTE_CROWDED || (a == ROUTE_SILENT && patience_ms < ANSWER_MS))
		return MEMBER_LEFT;
	return r == 0 && q->status == WIRE_TOLD ? MEMBER_ANSWERED : outcome_of(a);
}

static int ask_member(const struct digest_questions *q, const struct wire_ask *ask, uint32_t member,
		      int64_t patience_ms, struct wire_digests *ret)
{
	struct peer_get question = {
		.member = q->members->members[member],
		.ask = ask,
		.cancel = q->cancel,
		.patience_ms = patience_ms,
	};
	int r;

	/* What a banned owner says is weighed like what any other one does. */
	if (!member_may_ask(question.member, clock_ms()) &&
	    (ask->witness || ask->held || !member_is_banned(question.member, clock_ms())))
		return -ENOENT;
	metrics_add(&q->counts->asked, 1);
	r = peer_get_run(&question, q->asker);
	member_note(question.member, outcome(&question, r, patience_ms), 0, -1, clock_ms());
	if (r < 0)
		return r == ERR_BUSY ? -EAGAIN : r;
	if (question.status == WIRE_TOLD)
		*ret = question.digests;
	return question.status == WIRE_TOLD                                     ? 0
	       : question.status == WIRE_COMING || question.status == WIRE_BUSY ? -EAGAIN
										: -ENOENT;
}

static int put(const struct digest_questions *q, const struct wire_ask *ask, uint32_t member,
	       int64_t patience_ms, struct wire_digests *ret)
{
	return member == q->members->self ? digest_answers_get(q->answers, ask, ret)
					  : ask_member(q, ask, member, patience_ms, ret);
}

int digest_questions_ask(const struct digest_questions *q, uint32_t member, uint32_t segment,
			 enum digest_questions_as as, struct wire_digests *ret)
{
	const struct wire_ask ask = ask_for(q->what, segment, as);

	return put(q, &ask, member, ANSWER_MS, ret);
}

int digest_questions_ask_witness(const struct digest_questions *q, uint32_t member,
				 uint32_t segment, uint32_t chunks, struct wire_digests *ret)
{
	struct wire_ask ask = ask_for(q->what, segment, AS_OWNER);

	ask.witness = true;
	ask.chunks = chunks;
	return put(q, &ask, member, ANSWER_MS, ret);
}

/* As digest_questions_ask(), until it has found out. */
static int ask_patiently(const struct digest_questions *q, uint32_t member, uint32_t segment,
			 enum digest_questions_as as, struct wire_digests *ret)
{
	const struct wire_ask ask = ask_for(q->what, segment, as);
	int64_t until_ms = clock_ms() + PATIENCE_MS, left_ms = PATIENCE_MS;
	int r = put(q, &ask, member, ANSWER_MS, ret);

	while (r == -EAGAIN && !atomic_load(&q->cancel->canceled)) {
		clock_sleep_ms(REST_MS);
		left_ms = until_ms - clock_ms();
		if (left_ms <= 0)
			break;
		r = put(q, &ask, member, min_i64(left_ms, ANSWER_MS), ret);
	}
	return r;
}

/* What it says of one chunk; all zero: nothing. */
static void ask_of(const struct digest_questions *q, uint32_t member, uint32_t chunk,
		   enum digest_questions_as as, uint8_t ret[static CHUNK_LIST_DIGEST])
{
	struct wire_digests d = { 0 };

	if (ask_patiently(q, member, segment_of(chunk_start(chunk)), as, &d) < 0)
		d = (struct wire_digests){ 0 };
	memcpy(ret, d.of[chunk % WIRE_CHUNKS], CHUNK_LIST_DIGEST);
}

bool digest_questions_is_to_blame(const struct digest_questions *q, uint32_t member, uint32_t chunk,
				  const uint8_t gave[static CHUNK_LIST_DIGEST])
{
	uint8_t holds[CHUNK_LIST_DIGEST], vouched[CHUNK_LIST_DIGEST];

	if (!chunk_digest_known(gave))
		return false;
	ask_of(q, member, chunk, AS_HOLDER, holds);
	if (chunk_digest_known(holds) && !chunk_digest_same(holds, gave))
		return true;
	ask_of(q, member, chunk, AS_OWNER, vouched);
	if (!chunk_digest_known(vouched) || chunk_digest_same(vouched, gave))
		return chunk_digest_known(vouched);
	if (!chunk_digest_known(holds))
		return false;
	clock_sleep_ms(AGAIN_MS);
	ask_of(q, member, chunk, AS_HOLDER, holds);
	return chunk_digest_same(holds, gave);
}

const struct wire_digests digest_questions_nothing;

/* Its place, made if need be; NULL: no memory. */
static struct digest_questions_holder *place_of(struct digest_questions_held *held, uint64_t member)
{
	struct digest_questions_holder *of;

	for (of = held->of; of < held->of + held->count; of++)
		if (of->member == member)
			return of;
	of = reallocarray(held->of, held->count + 1, sizeof(*of));
	if (!of)
		return NULL;
	held->of = of;
	of += held->count++;
	*of = (struct digest_questions_holder){
		.member = member,
		.until_ms = clock_ms() + PATIENCE_MS,
	};
	return of;
}

const struct wire_digests *digest_questions_ask_holder(const struct digest_questions *q,
						       uint32_t member, uint32_t segment,
						       struct digest_questions_held *held)
{
	struct digest_questions_holder *h =
		place_of(held, placement_key(member_address(q->members->members[member])));
	int r;

	if (!h)
		return &digest_questions_nothing;
	if (h->over)
		return &h->d;
	r = digest_questions_ask(q, member, segment, AS_HOLDER, &h->d);
	if (r == -EAGAIN && clock_ms() < h->until_ms)
		return NULL;
	if (r < 0)
		h->d = digest_questions_nothing;
	h->over = true;
	return &h->d;
}

void digest_questions_forget_held(struct digest_questions_held *held)
{
	free(held->of);
	*held = (struct digest_questions_held){ 0 };
}
