/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fake_source.h"

#include <assert.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/cache/chunk.h"

#define PIECE_BYTES (64 * 1024)
#define WAIT_MS 10000
#define CANCEL_POLL_MS 5
#define COMING_POLL_MS 20

/* ---- content ---- */

/* SplitMix64 of the word's number. Source: Steele, Lea, Flood (OOPSLA 2014). */
static uint64_t word_at(uint64_t seed, uint64_t number)
{
	uint64_t v = seed * 0xd1342543de82ef95 + (number + 1) * 0x9e3779b97f4a7c15;

	v = (v ^ v >> 30) * 0xbf58476d1ce4e5b9;
	v = (v ^ v >> 27) * 0x94d049bb133111eb;
	return v ^ v >> 31;
}

void fake_bytes(uint64_t seed, uint64_t off, void *ret, size_t len)
{
	char *at = ret;

	while (len) {
		uint64_t word = word_at(seed, off / sizeof(word));
		size_t skip = off % sizeof(word), n = sizeof(word) - skip;

		n = n < len ? n : len;
		memcpy(at, (const char *)&word + skip, n);
		at += n;
		off += n;
		len -= n;
	}
}

bool fake_bytes_are(uint64_t seed, uint64_t off, const void *data, size_t len)
{
	const char *at = data;
	char truth[4096];

	while (len) {
		size_t n = len < sizeof(truth) ? len : sizeof(truth);

		fake_bytes(seed, off, truth, n);
		if (memcmp(truth, at, n) != 0)
			return false;
		at += n;
		off += n;
		len -= n;
	}
	return true;
}

void fake_blob(uint64_t seed, uint64_t size, enum digest_kind kind, struct source_blob *ret)
{
	struct digest *d;
	char piece[4096];
	int r = digest_new(kind, size, &d);

	for (uint64_t off = 0; r == 0 && off < size; off += sizeof(piece)) {
		size_t n = size - off < sizeof(piece) ? size - off : sizeof(piece);

		fake_bytes(seed, off, piece, n);
		r = digest_update(d, piece, n);
	}
	*ret = (struct source_blob){ .path = "model.bin", .file = { .size = size, .kind = kind } };
	if (r == 0)
		r = digest_final(d, ret->file.digest);
	digest_free(d);
	assert(r == 0);
	r = repo_id_parse(REPO_MODEL, "org/model", &ret->repo);
	assert(r == 0);
	memset(ret->commit, 'c', COMMIT_HEX);
	manifest_etag(&ret->file, ret->etag);
}

/* ---- one request ---- */

/* A request on its way, and the rule it is under. */
struct ride {
	struct fake_source *f;
	const struct source_ask *ask;
	struct fake_rule rule;
	uint64_t done;
	bool stopped; /* where its rule says so */
	bool laid;    /* bytes of a chunk whose last ones have not come */
};

static struct fake_rule pick_rule_locked(struct fake_source *f, uint64_t off)
{
	for (unsigned i = 0; i < f->rule_count; i++) {
		const struct fake_rule *rule = &f->rules[i];

		if (rule->to && (off < rule->from || off >= rule->to))
			continue;
		if (rule->times && f->used[i] == rule->times)
			continue;
		f->used[i]++;
		return *rule;
	}
	return (struct fake_rule){ .act = FAKE_GIVE, .wait_ms = -1 };
}

static int gave_up(const struct source_ask *ask)
{
	if (ask->cancel && atomic_load(&ask->cancel->canceled))
		return ERR_CANCELED;
	return clock_ms() >= ask->deadline_ms ? ERR_TIMEOUT : 0;
}

/* Waits until it is released or the caller gives up. */
static int hold(struct ride *ride)
{
	struct fake_source *f = ride->f;
	unsigned releases;
	int r = 0;

	lock_take(&f->lock);
	releases = f->releases;
	f->held++;
	cond_wake_all(&f->changed);
	while (r == 0 && f->releases == releases) {
		cond_wait(&f->changed, &f->lock, clock_ms() + CANCEL_POLL_MS);
		r = gave_up(ride->ask);
	}
	f->held--;
	lock_drop(&f->lock);
	return r;
}

/* Has it coming until somebody else's have come, it is released, or the caller has enough. */
static int keep_coming(struct ride *ride)
{
	struct fake_source *f = ride->f;
	unsigned releases, carried;
	int r = 0;

	lock_take(&f->lock);
	releases = f->releases;
	carried = f->carried;
	f->held++;
	cond_wake_all(&f->changed);
	while (r == 0 && f->releases == releases && f->carried == carried) {
		cond_wait(&f->changed, &f->lock, clock_ms() + COMING_POLL_MS);
		lock_drop(&f->lock);
		r = ride->ask->sink(ride->ask->arg, NULL, 0);
		r = r == 0 ? gave_up(ride->ask) : r;
		lock_take(&f->lock);
	}
	f->held--;
	lock_drop(&f->lock);
	return r;
}

/* How many bytes come next, up to the point where the rule has something to say. */
static size_t next_piece(const struct ride *ride)
{
	uint64_t left = ride->ask->len - ride->done, n = ride->f->piece_bytes;

	if (ride->rule.act != FAKE_GIVE && ride->done < ride->rule.after &&
	    n > ride->rule.after - ride->done)
		n = ride->rule.after - ride->done;
	n = n < left ? n : left;
	left = chunk_end(chunk_of(ride->ask->off + ride->done), UINT64_MAX) -
	       (ride->ask->off + ride->done);
	return n < left ? n : left;
}

static int hand_over(struct ride *ride, uint64_t off, const char *piece, size_t n)
{
	const struct source_ask *ask = ride->ask;
	bool last = off + n == chunk_end(chunk_of(off), ask->blob->file.size);
	int r;

	if (ride->f->lays && ask->lay && ask->off == chunk_floor(ask->off) && !last) {
		ride->laid = true;
		return ask->lay(ask->arg, piece, n);
	}
	r = ask->sink(ask->arg, piece, n);
	ride->laid = ride->laid && r < 0;
	return r;
}

static void take_back(struct ride *ride)
{
	if (ride->laid)
		ride->ask->take_back(ride->ask->arg);
	ride->laid = false;
}

static bool is_wrong(const struct ride *ride)
{
	return (ride->rule.act == FAKE_WRONG && ride->done >= ride->rule.after) ||
	       (ride->rule.act == FAKE_AGAIN && !ride->stopped);
}

static int give_piece(struct ride *ride, char *piece)
{
	struct fake_source *f = ride->f;
	uint64_t off = ride->ask->off + ride->done;
	size_t n = next_piece(ride);

	clock_sleep_ms(ride->rule.delay_ms);
	fake_bytes(f->seed, off, piece, n);
	if (is_wrong(ride))
		piece[n / 2] = (char)~piece[n / 2];
	lock_take(&f->lock);
	f->bytes += n;
	lock_drop(&f->lock);
	ride->done += n;
	return hand_over(ride, off, piece, n);
}

/* Where its rule has something to say. */
static int stop(struct ride *ride)
{
	ride->stopped = true;
	if (ride->rule.act == FAKE_HOLD)
		return hold(ride);
	take_back(ride);
	ride->done = 0;
	return 0;
}

static bool stops(const struct ride *ride)
{
	return (ride->rule.act == FAKE_HOLD || ride->rule.act == FAKE_AGAIN) &&
	       ride->done == ride->rule.after && !ride->stopped;
}

static int give(struct ride *ride, char *piece)
{
	int r = 0;

	while (r == 0) {
		r = gave_up(ride->ask);
		if (r < 0)
			return r;
		if (ride->rule.act == FAKE_END && ride->done == ride->rule.after)
			return ride->rule.result;
		if (stops(ride)) {
			r = stop(ride);
			continue;
		}
		if (ride->done == ride->ask->len)
			return 0;
		r = give_piece(ride, piece);
	}
	return r;
}

static int get(struct source *s, const struct source_ask *ask, int64_t *ret_wait_ms)
{
	struct fake_source *f = container_of(s, struct fake_source, source);
	CLEANUP(freep) char *piece = malloc(f->piece_bytes);
	struct ride ride = { .f = f, .ask = ask };
	int r;

	assert(ask->len > 0 && ask->off + ask->len <= ask->blob->file.size);
	lock_take(&f->lock);
	f->calls++;
	f->asked += ask->len;
	f->running++;
	if (f->running > f->running_most)
		f->running_most = f->running;
	ride.rule = pick_rule_locked(f, ask->off);
	cond_wake_all(&f->changed);
	lock_drop(&f->lock);
	*ret_wait_ms = ride.rule.wait_ms ? ride.rule.wait_ms : -1;
	r = !piece ? -ENOMEM : ride.rule.act == FAKE_COMING ? keep_coming(&ride) : 0;
	if (r == 0)
		r = give(&ride, piece);
	take_back(&ride);
	lock_take(&f->lock);
	f->running--;
	f->carried += r >= 0;
	cond_wake_all(&f->changed);
	lock_drop(&f->lock);
	return r;
}

/* ---- the script ---- */

void fake_source_init(struct fake_source *f, const char *name, uint64_t seed)
{
	*f = (struct fake_source){
		.source = { .name = name, .get = get },
		.seed = seed,
		.piece_bytes = PIECE_BYTES,
	};
	lock_init(&f->lock, LOCK_TEST);
	cond_init(&f->changed);
}

void fake_source_fini(struct fake_source *f)
{
	assert(f->running == 0);
	cond_fini(&f->changed);
	lock_fini(&f->lock);
}

void fake_source_rule(struct fake_source *f, const struct fake_rule *rule)
{
	lock_take(&f->lock);
	assert(f->rule_count < FAKE_RULES_MAX);
	f->used[f->rule_count] = 0;
	f->rules[f->rule_count++] = *rule;
	lock_drop(&f->lock);
}

void fake_source_calm(struct fake_source *f)
{
	lock_take(&f->lock);
	f->rule_count = 0;
	lock_drop(&f->lock);
}

void fake_source_release(struct fake_source *f)
{
	lock_take(&f->lock);
	f->releases++;
	cond_wake_all(&f->changed);
	lock_drop(&f->lock);
}

unsigned fake_source_calls(struct fake_source *f)
{
	unsigned calls;

	lock_take(&f->lock);
	calls = f->calls;
	lock_drop(&f->lock);
	return calls;
}

uint64_t fake_source_bytes(struct fake_source *f)
{
	uint64_t bytes;

	lock_take(&f->lock);
	bytes = f->bytes;
	lock_drop(&f->lock);
	return bytes;
}

unsigned fake_source_most(struct fake_source *f)
{
	unsigned most;

	lock_take(&f->lock);
	most = f->running_most;
	lock_drop(&f->lock);
	return most;
}

uint64_t fake_source_asked(struct fake_source *f)
{
	uint64_t asked;

	lock_take(&f->lock);
	asked = f->asked;
	lock_drop(&f->lock);
	return asked;
}

static bool await(struct fake_source *f, bool (*is_so)(const struct fake_source *, unsigned),
		  unsigned count)
{
	int64_t deadline = clock_ms() + WAIT_MS;
	bool so;

	lock_take(&f->lock);
	while (!(so = is_so(f, count)) && clock_ms() < deadline)
		cond_wait(&f->changed, &f->lock, deadline);
	lock_drop(&f->lock);
	return so;
}

static bool are_held(const struct fake_source *f, unsigned count)
{
	return f->held >= count;
}

static bool were_called(const struct fake_source *f, unsigned count)
{
	return f->calls >= count;
}

static bool is_idle(const struct fake_source *f, unsigned count UNUSED)
{
	return f->running == 0;
}

bool fake_source_await_held(struct fake_source *f, unsigned count)
{
	return await(f, are_held, count);
}

bool fake_source_await_calls(struct fake_source *f, unsigned count)
{
	return await(f, were_called, count);
}

bool fake_source_await_idle(struct fake_source *f)
{
	return await(f, is_idle, 0);
}
