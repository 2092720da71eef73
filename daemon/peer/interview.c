/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/interview.h"

#include <errno.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"

#define ANSWER_MS 2000 /* what an answer may take */
#define TRIES 20
#define REST_MS 100

static struct wire_ask ask_for(const struct source_blob *what, uint32_t segment,
			       enum interview_as as)
{
	uint64_t start = segment_start(segment);
	struct wire_ask ask =
		wire_ask_of(what, start, segment_end(segment, what->file.size) - start);

	ask.digests = true;
	ask.witness = as == AS_WITNESS;
	ask.held = as == AS_HOLDER;
	return ask;
}

/* What became of a question says of the member. To have no connection free is no silence. */
static enum member_outcome outcome(int r)
{
	if (r == ERR_CANCELED || r == ERR_BUSY)
		return MEMBER_LEFT;
	return r < 0 ? MEMBER_SILENT : MEMBER_ANSWERED;
}

static int ask_member(const struct interviewer *v, const struct wire_ask *ask, uint32_t member,
		      struct wire_digests *ret)
{
	struct question question = {
		.member = v->members->members[member],
		.ask = ask,
		.cancel = v->cancel,
		.patience_ms = ANSWER_MS,
	};
	int r;

	/* What a banned owner says is weighed like what any other one does. */
	if (!member_may_ask(question.member, clock_ms()) &&
	    (ask->witness || ask->held || !member_is_banned(question.member, clock_ms())))
		return -ENOENT;
	metrics_add(&v->counts->asked, 1);
	r = question_ask(&question, v->asker);
	member_note(question.member, outcome(r), 0, -1, clock_ms());
	if (r < 0)
		return r == ERR_BUSY ? -EAGAIN : r;
	*ret = question.digests;
	return question.status == WIRE_TOLD                                     ? 0
	       : question.status == WIRE_COMING || question.status == WIRE_BUSY ? -EAGAIN
										: -ENOENT;
}

int interview(const struct interviewer *v, uint32_t member, uint32_t segment, enum interview_as as,
	      struct wire_digests *ret)
{
	const struct wire_ask ask = ask_for(v->what, segment, as);

	return member == v->members->self ? testimony_ask(v->testimony, &ask, ret)
					  : ask_member(v, &ask, member, ret);
}

int interview_patiently(const struct interviewer *v, uint32_t member, uint32_t segment,
			enum interview_as as, struct wire_digests *ret)
{
	int r = interview(v, member, segment, as, ret);

	for (int i = 1; r == -EAGAIN && i < TRIES && !atomic_load(&v->cancel->canceled); i++) {
		clock_sleep_ms(REST_MS);
		r = interview(v, member, segment, as, ret);
	}
	return r;
}
