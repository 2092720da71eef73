/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer_json.h"

#include "daemon/base/clock.h"
#include "daemon/cache/present.h"
#include "daemon/base/num.h"
#include "daemon/peer_where.h"

/* --- who they are */

struct listing {
	struct jwrite *w;
	struct peers *peers;
	int64_t now_ms, wall_s;
};

/* For people who is silent since TLS fails is not: what to do is another thing. */
static void write_state(const struct listing *l, const struct member_status *s)
{
	char why[TLS_TROUBLE_TEXT];
	bool tls = s->state == MEMBER_IS_SILENT && peers_trouble(l->peers, s->address, why);

	jwrite_text(l->w, "state", tls ? "tls" : member_state_name(s->state));
	jwrite_text(l->w, "why", tls ? why : NULL);
}

static void write_member(void *arg, const struct member_status *s)
{
	struct listing *l = arg;
	struct jwrite *w = l->w;

	jwrite_object(w, NULL);
	jwrite_text(w, "address", s->address);
	jwrite_text(w, "zone", s->zone && *s->zone ? s->zone : NULL);
	jwrite_uint(w, "weight", s->weight);
	jwrite_bool(w, "self", s->self);
	write_state(l, s);
	if (s->state_until_ms > l->now_ms)
		jwrite_int(w, "until", l->wall_s + (s->state_until_ms - l->now_ms + 999) / 1000);
	else
		jwrite_null(w, "until");
	jwrite_uint(w, "failures", s->failures);
	jwrite_uint(w, "bans", s->bans);
	if (s->first_ms >= 0)
		jwrite_int(w, "first_byte_ms", s->first_ms);
	else
		jwrite_null(w, "first_byte_ms");
	jwrite_uint(w, "bytes_in", s->bytes_in);
	jwrite_uint(w, "bytes_out", s->bytes_out);
	jwrite_uint(w, "bytes_wrong", s->bytes_wrong);
	jwrite_uint(w, "requests", s->requests);
	jwrite_object_end(w);
}

static void write_counts(const struct peer_counts *c, struct jwrite *w)
{
#define WRITE(field, ...) jwrite_uint(w, #field, metrics_get(&c->field));
	PEER_COUNTS(WRITE)
#undef WRITE
}

void peer_json_members(struct peers *p, struct jwrite *w)
{
	struct listing l = { w, p, clock_ms(), clock_wall_s() };
	struct peers_status s;

	peers_status(p, &s);
	jwrite_object(w, NULL);
	jwrite_text(w, "address", s.address);
	jwrite_text(w, "zone", s.zone && *s.zone ? s.zone : NULL);
	write_counts(s.counts, w);
	jwrite_uint(w, "connections", s.connections);
	jwrite_array(w, "members");
	members_each(peers_members(p), l.now_ms, write_member, &l);
	jwrite_array_end(w);
	jwrite_object_end(w);
}

/* --- where a blob lies */

static void write_owners(const struct membership *ms, const struct placement *p, uint32_t segment,
			 struct jwrite *w)
{
	uint32_t owners[PLACEMENT_OWNERS];
	unsigned count = placement_owners(p, segment, owners);

	jwrite_text(w, "owner", count ? member_address(ms->members[owners[0]]) : NULL);
	jwrite_array(w, "followers");
	for (unsigned i = 1; i < count; i++)
		jwrite_text(w, NULL, member_address(ms->members[owners[i]]));
	jwrite_array_end(w);
}

static void write_holders(const struct membership *ms, const struct where_segment *s,
			  struct jwrite *w)
{
	jwrite_uint(w, "holders", s->count);
	jwrite_array(w, "held_by");
	for (uint32_t i = 0; i < min_u64(s->count, WHERE_NAMED); i++)
		jwrite_text(w, NULL, member_address(ms->members[s->named[i]]));
	jwrite_array_end(w);
}

static int write_segments(const struct membership *ms, const struct blob *b, const char *etag,
			  uint64_t size, const struct where *where, struct jwrite *w)
{
	uint32_t count = segment_count(size);
	struct placement *p = NULL;
	int r = placement_new(ms->nodes, ms->count, placement_key(etag), count, &p);

	for (uint32_t i = 0; r == 0 && i < count; i++) {
		uint64_t start = segment_start(i), end = segment_end(i, size);

		jwrite_object(w, NULL);
		jwrite_uint(w, "segment", i);
		jwrite_uint(w, "from", start);
		jwrite_uint(w, "bytes", end - start);
		jwrite_uint(w, "present", b ? present_in(b, start, end) : 0);
		write_owners(ms, p, i, w);
		write_holders(ms, &where->segments[i], w);
		jwrite_object_end(w);
	}
	placement_free(p);
	return r;
}

int peer_json_segments(struct node *n, struct peers *p, const char *etag, uint64_t size,
		       struct jwrite *w)
{
	const struct membership *ms = members_now(peers_members(p));
	CLEANUP(freep) struct where *where = NULL;
	struct blob *b;
	int r = where_ask(n, ms, etag, size, &where);

	if (r < 0) {
		membership_unref(ms);
		return r;
	}
	b = where_peek(n, etag, size);
	jwrite_object(w, NULL);
	jwrite_text(w, "etag", etag);
	jwrite_uint(w, "size", size);
	jwrite_uint(w, "present", b ? present_in(b, 0, size) : 0);
	jwrite_uint(w, "members", ms->count);
	jwrite_uint(w, "answered", where->answered);
	jwrite_array(w, "segments");
	r = write_segments(ms, b, etag, size, where, w);
	jwrite_array_end(w);
	jwrite_object_end(w);
	if (b)
		blob_unref(b);
	membership_unref(ms);
	return r;
}
