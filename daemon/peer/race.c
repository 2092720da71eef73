/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/race.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/lock.h"

static int on_bytes(void *arg, const void *data, size_t len)
{
	struct race *r = arg;

	size_t have = atomic_load(&r->have);

	if (len > r->size - have)
		return ERR_PROTO;
	memcpy(r->bytes + have, data, len);
	atomic_store(&r->have, have + len);
	return 0;
}

static void *race_main(void *arg)
{
	struct race *r = arg;

	r->result = peer_get_run(&r->question, r->who);
	atomic_store(&r->ended, true);
	return NULL;
}

int race_begin(struct race *r, struct member *member, const struct wire_ask *ask,
	       int64_t patience_ms, int64_t connect_ms, const struct asker *who)
{
	int rc;

	*r = (struct race){ .who = who, .ask = *ask, .size = ask->len, .began_ms = clock_ms() };
	r->question = (struct peer_get){
		.member = member,
		.ask = &r->ask,
		.cancel = &r->cancel,
		.patience_ms = patience_ms,
		.connect_ms = connect_ms,
		.sink = on_bytes,
		.arg = r,
	};
	r->bytes = malloc(r->size);
	if (!r->bytes)
		return -ENOMEM;
	rc = thread_start(&r->thread, "mfs-race", race_main, r);
	if (rc < 0)
		race_fini(r);
	else
		r->state = RACE_RUNS;
	return rc;
}

bool race_has_ended(const struct race *r)
{
	return atomic_load(&r->ended);
}

static bool has_all(const struct race *r)
{
	return r->result == 0 && r->question.status == WIRE_BYTES && r->have == r->size;
}

int race_end(struct race *r)
{
	if (!race_has_ended(r))
		httpc_cancel(r->who->http, &r->cancel);
	pthread_join(r->thread, NULL);
	r->state = has_all(r) ? RACE_WON : RACE_NONE;
	return r->result;
}

void race_fini(struct race *r)
{
	free(steal(r->bytes));
	r->state = RACE_NONE;
}
