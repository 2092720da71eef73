/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer_where.h"

#include <errno.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/lock.h"
#include "daemon/cache/present.h"
#include "daemon/node_parts.h"
#include "daemon/peer/wire.h"

#define ASKERS_MAX 32    /* threads; this one asks, too */
#define PATIENCE_MS 1000 /* of a silence */
#define CONNECT_MS 500

/* ---- here ---- */

struct blob *where_peek(struct node *n, const char *etag, uint64_t size)
{
	struct store *s = node_parts(n)->store;
	struct blob *b = store_find(s, etag);
	uint64_t kept = 0;
	struct node_blob is;

	if (b && blob_size(b) != size)
		blob_unref(steal(b)); /* another repository says so */
	if (b || store_blob_size(s, etag, &kept) < 0 || kept != size)
		return b;
	node_blob(n, etag, size, &is);
	return store_peek(s, etag, size, is.sealed, &b) == 0 ? b : NULL;
}

int where_here(struct node *n, const char *etag, uint64_t size, struct buf *ret)
{
	struct blob *b = where_peek(n, etag, size);
	uint32_t count = segment_count(size);

	for (uint32_t i = 0; i < count; i++) {
		uint64_t start = segment_start(i), end = segment_end(i, size);
		bool whole = b && present_in(b, start, end) == end - start;

		buf_add(ret, whole ? "1" : "0", 1);
	}
	if (b)
		blob_unref(b);
	return ret->failed;
}

/* ---- elsewhere ---- */

struct asking {
	struct node *node;
	const struct membership *members;
	const char *etag, *target;
	uint64_t size;
	int64_t until_ms;
	atomic_uint next; /* of the members */
	struct lock lock;
	struct where *where; /* guarded by lock */
};

static void note(struct asking *a, uint32_t member, const char *held)
{
	lock_take(&a->lock);
	a->where->answered++;
	for (uint32_t i = 0; held[i]; i++) {
		struct where_segment *s = &a->where->segments[i];

		if (held[i] != '1')
			continue;
		if (s->count < WHERE_NAMED)
			s->named[s->count] = member;
		s->count++;
	}
	lock_drop(&a->lock);
}

/* Who knows nothing of it has none. */
static bool is_answer(const struct asking *a, const struct buf *text)
{
	return text->len == segment_count(a->size) && strspn(buf_str(text), "01") == text->len;
}

static void ask_one(struct asking *a, uint32_t member)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	const struct peer_call e = {
		.member = a->members->members[member],
		.method = "GET",
		.target = a->target,
		.patience_ms = PATIENCE_MS,
		.connect_ms = CONNECT_MS,
		.whole_ms = WHERE_MS,
	};
	int r;

	if (member == a->members->self)
		r = where_here(a->node, a->etag, a->size, &text) == 0 ? WIRE_TOLD : -ENOMEM;
	else
		r = peers_ask(node_peers(a->node), &e, &text);
	if (r == WIRE_NOT_HERE)
		note(a, member, "");
	else if (r == WIRE_TOLD && is_answer(a, &text))
		note(a, member, buf_str(&text));
}

static void *ask_some(void *arg)
{
	struct asking *a = arg;
	uint32_t i;

	while ((i = atomic_fetch_add(&a->next, 1)) < a->members->count && clock_ms() < a->until_ms)
		ask_one(a, i);
	return NULL;
}

static void ask_all(struct asking *a)
{
	pthread_t askers[ASKERS_MAX];
	unsigned count = 0;

	while (count < ASKERS_MAX && count + 1 < a->members->count &&
	       thread_start(&askers[count], "mfs-where", ask_some, a) == 0)
		count++;
	ask_some(a);
	while (count > 0)
		pthread_join(askers[--count], NULL);
}

int where_ask(struct node *n, const struct membership *members, const char *etag, uint64_t size,
	      struct where **ret)
{
	CLEANUP(buf_free) struct buf target = { 0 };
	struct asking a = { .node = n, .members = members, .etag = etag, .size = size };
	int r = buf_printf(&target, WIRE_HELD "%s?size=%ju", etag, (uintmax_t)size);

	if (r < 0)
		return r;
	a.where = calloc(1, sizeof(*a.where) + segment_count(size) * sizeof(a.where->segments[0]));
	if (!a.where)
		return -ENOMEM;
	a.target = buf_str(&target);
	a.until_ms = clock_ms() + WHERE_MS;
	lock_init(&a.lock, LOCK_WHERE);
	ask_all(&a);
	lock_fini(&a.lock);
	*ret = a.where;
	return 0;
}
