/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/fetch/landing.h"

#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/num.h"
#include "daemon/cache/chunk.h"

int landing_init(struct landing *l)
{
	if (!l->run->direct)
		return xxh3_new(&l->sum);
	l->bytes = malloc(l->run->end - l->run->start);
	return l->bytes ? 0 : -ENOMEM;
}

/* Of the chunk that is written nothing is there. */
static void begin_anew(struct landing *l)
{
	struct pulls *pulls = l->pull->all;

	l->pos = chunk_start(l->writing);
	xxh3_reset(l->sum);
	lock_take(&pulls->lock); /* nobody is to be given its bytes from now on */
	l->run->pos = min_u64(l->run->pos, l->pos);
	lock_drop(&pulls->lock);
}

void landing_fini(struct landing *l)
{
	if (l->writes) {
		begin_anew(l);
		blob_abandon_chunk(l->pull->blob, l->writing);
	}
	xxh3_free(steal(l->sum));
}

void landing_take_back(struct landing *l)
{
	if (l->writes)
		begin_anew(l);
}

void landing_pause(struct landing *l, bool paused)
{
	struct pulls *pulls = l->pull->all;

	l->held_ms += paused ? -clock_ms() : clock_ms();
	lock_take(&pulls->lock);
	l->run->paused = paused;
	l->run->moved_ms = clock_ms();
	lock_drop(&pulls->lock);
}

bool landing_make_room(struct landing *l, int r)
{
	if (!err_is_full(r) || l->no_room)
		return false;
	landing_pause(l, true);
	l->no_room = !l->make_room(l->arg, r);
	landing_pause(l, false);
	return !l->no_room;
}

/* Past the cache nobody could be given what nobody has verified. */
static bool may_go_beyond(struct landing *l)
{
	struct pulls *pulls = l->pull->all;
	bool may;

	lock_take(&pulls->lock);
	may = l->pull->verified_only && l->pull->waiters.first;
	lock_drop(&pulls->lock);
	return may;
}

static int write_piece(struct landing *l, const char *data, size_t len)
{
	int r;

	do
		r = blob_write(l->pull->blob, data, len, l->pos);
	while (landing_make_room(l, r));
	if (r == ERR_FULL && may_go_beyond(l))
		r = blob_write_beyond(l->pull->blob, data, len, l->pos);
	return r;
}

/* Writes one piece that lies within a chunk. */
static int put_piece(struct landing *l, const char *data, size_t len)
{
	struct blob *blob = l->pull->blob;
	uint32_t chunk = chunk_of(l->pos);
	int r;

	l->writes = true;
	l->writing = chunk;
	r = write_piece(l, data, len);
	if (r < 0)
		return r;
	xxh3_update(l->sum, data, len);
	l->pos += len;
	if (l->pos < chunk_end(chunk, blob_size(blob)))
		return 0;
	do
		r = blob_put_chunk(blob, chunk, xxh3_value(l->sum));
	while (landing_make_room(l, r));
	if (r < 0) { /* it is asked for again */
		begin_anew(l);
		return r;
	}
	xxh3_reset(l->sum);
	l->writes = false;
	return 0;
}

static int put_kept(struct landing *l, const char *data, size_t len, uint64_t end)
{
	int r = 0;

	while (r == 0 && len && l->pos < end) {
		uint64_t room = chunk_end(chunk_of(l->pos), end) - l->pos;
		size_t n = len < room ? len : (size_t)room;

		r = put_piece(l, data, n);
		data += n;
		len -= n;
	}
	return r;
}

/* Bytes past the cache, for one reader. */
static int put_direct(struct landing *l, const char *data, size_t len, uint64_t end)
{
	uint64_t left = end - l->pos;
	size_t n = len < left ? len : (size_t)left;

	memcpy(l->bytes + (l->pos - l->run->start), data, n);
	l->pos += n;
	return 0;
}

int landing_put(struct landing *l, const char *data, size_t len, uint64_t end)
{
	return l->run->direct ? put_direct(l, data, len, end) : put_kept(l, data, len, end);
}
