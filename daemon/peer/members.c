/* SPDX-License-Identifier: Apache-2.0 */
/* A member lives as long as a membership has it, and then while it is one of those who went
 * lately. */
#include "daemon/peer/members.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/err.h"
#include "daemon/base/lock.h"
#include "daemon/base/map.h"
#include "daemon/peer/member_order.h"

#define ZONES_MAX 1024 /* names that are remembered: who says more is not heard */

struct member {
	struct members *table;
	char address[MEMBER_ADDRESS_MAX + 1];
	_Atomic(const char *) zone; /* of the table's */
	/* The rest is guarded by the table's lock. */
	struct member_health health;
	bool zone_listed;
	bool is_self;     /* under whatever name, as it last said itself */
	int64_t again_ms; /* whether it still is may be asked then */
	unsigned refs;
	uint64_t listed; /* version of the last membership that has it */
	unsigned gone;   /* its place there and 1, or 0 */
	_Atomic int64_t clock_ahead_ms;
	int64_t heard_ms; /* it last told its clock; valid with heard */
	atomic_bool heard;
	uint64_t bytes_in, bytes_out, bytes_wrong, requests;
};

/* A membership and who refers to it. */
struct roll {
	struct membership pub; /* the first: see roll_of */
	struct members *table;
	unsigned refs; /* guarded by the table's lock */
	struct placement_node *nodes;
	struct member **members;
};

struct members {
	struct lock lock;
	struct member_spec self; /* as this node was told */
	uint64_t seed;
	/* Guarded by lock. */
	struct map by_address; /* all that live */
	struct map zones;
	struct roll *now;
	struct member *own; /* called as self is */
	bool own_listed;
	struct member *gone[MEMBERS_GONE];
	unsigned next_gone;
};

/* --- one member */

static struct member *new_member(struct members *m, const char *address)
{
	struct member *one = calloc(1, sizeof(*one));

	if (!one)
		return NULL;
	one->table = m;
	snprintf(one->address, sizeof(one->address), "%s", address);
	atomic_init(&one->zone, "");
	/* Not all nodes try a member at the same moment. */
	health_init(&one->health, placement_key(address) ^ m->seed);
	if (map_put_str(&m->by_address, one->address, one) < 0) {
		free(one);
		return NULL;
	}
	return one;
}

static struct member *find_locked(struct members *m, const char *address)
{
	struct member *one = map_find_str(&m->by_address, address);

	return one ? one : new_member(m, address);
}

static void forget_unused_locked(struct members *m, struct member *one)
{
	if (one->refs || one->gone || one == m->own)
		return;
	map_del_str(&m->by_address, one->address);
	free(one);
}

static void keep_gone_locked(struct members *m, struct member *one)
{
	struct member **place = &m->gone[m->next_gone];
	struct member *oldest = *place;

	*place = one;
	one->gone = ++m->next_gone;
	m->next_gone %= MEMBERS_GONE;
	if (oldest) {
		oldest->gone = 0;
		forget_unused_locked(m, oldest);
	}
}

static void come_back_locked(struct members *m, struct member *one)
{
	if (one->gone)
		m->gone[one->gone - 1] = NULL;
	one->gone = 0;
}

/* The table's own text of a zone, or "" if there is no room for one more. */
static const char *zone_locked(struct members *m, const char *zone)
{
	char *text = map_find_str(&m->zones, zone);

	if (text || m->zones.count == ZONES_MAX || !member_zone_valid(zone, strlen(zone)))
		return text ? text : "";
	text = strdup(zone);
	if (text && map_put_str(&m->zones, text, text) < 0) {
		free(text);
		text = NULL;
	}
	return text ? text : "";
}

/* --- memberships */

static void free_roll(struct roll *r)
{
	free(r->nodes);
	free(r->members);
	free(r);
}

static struct roll *new_roll(struct members *m, size_t room)
{
	struct roll *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->table = m;
	r->refs = 1;
	r->nodes = calloc(room, sizeof(*r->nodes));
	r->members = calloc(room, sizeof(*r->members));
	r->pub.nodes = r->nodes;
	r->pub.members = r->members;
	if (!r->nodes || !r->members) {
		free_roll(r);
		return NULL;
	}
	return r;
}

static void unref_locked(struct members *m, struct roll *r)
{
	if (!r || --r->refs)
		return;
	for (uint32_t i = 0; i < r->pub.count; i++) {
		r->members[i]->refs--;
		forget_unused_locked(m, r->members[i]);
	}
	free_roll(r);
}

/* There is room; `at` is where the order wants it. */
static void insert_locked(struct roll *r, uint32_t at, struct member *one, uint32_t weight)
{
	memmove(r->nodes + at + 1, r->nodes + at, (r->pub.count - at) * sizeof(*r->nodes));
	memmove(r->members + at + 1, r->members + at, (r->pub.count - at) * sizeof(*r->members));
	r->nodes[at] = (struct placement_node){ placement_key(one->address), weight };
	r->members[at] = one;
	r->pub.count++;
	one->refs++;
}

/* Where it is, or belongs. */
static bool look_up(const struct roll *r, const char *address, uint32_t *ret)
{
	uint32_t low = 0, high = r->pub.count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		int c = strcmp(r->members[middle]->address, address);

		if (c == 0) {
			*ret = middle;
			return true;
		}
		if (c < 0)
			low = middle + 1;
		else
			high = middle;
	}
	*ret = low;
	return false;
}

/* Which of them is this node: the one that is called so, one that it turned out to be, or one more.
 * True if the list has it. */
static bool settle_self_locked(struct members *m, struct roll *r)
{
	uint32_t own;

	if (look_up(r, m->own->address, &r->pub.self))
		return true;
	own = r->pub.self;
	for (uint32_t i = 0; i < r->pub.count; i++)
		if (r->members[i]->is_self) {
			r->pub.self = i;
			return false;
		}
	insert_locked(r, own, m->own, m->self.weight);
	return false;
}

static bool is_same(const struct roll *a, const struct roll *b)
{
	if (a->pub.count != b->pub.count || a->pub.self != b->pub.self)
		return false;
	for (uint32_t i = 0; i < a->pub.count; i++)
		if (a->members[i] != b->members[i] || a->nodes[i].weight != b->nodes[i].weight)
			return false;
	return true;
}

/* Takes r: it is the membership from now on, if it says anything new. */
static void install_locked(struct members *m, struct roll *r)
{
	struct roll *old = m->now;

	if (old && is_same(old, r)) {
		unref_locked(m, r);
		return;
	}
	r->pub.version = old ? old->pub.version + 1 : 1;
	for (uint32_t i = 0; i < r->pub.count; i++) {
		r->members[i]->listed = r->pub.version;
		come_back_locked(m, r->members[i]);
	}
	m->now = r;
	for (uint32_t i = 0; old && i < old->pub.count; i++)
		if (old->members[i]->listed != r->pub.version && old->members[i] != m->own)
			keep_gone_locked(m, old->members[i]);
	unref_locked(m, old);
}

/* --- lists */

/* The members of a list in order; whoever is new is made. */
static int enlist_locked(struct members *m, const struct listed *list, size_t count, struct roll *r)
{
	for (size_t i = 0; i < count; i++) {
		struct member *one = find_locked(m, list[i].spec.address);

		if (!one)
			return -ENOMEM;
		insert_locked(r, r->pub.count, one, list[i].spec.weight);
	}
	return 0;
}

/* What the list does not say any more a member may say again. */
static void set_zone_locked(struct members *m, struct member *one, const char *listed)
{
	if (!listed[0] && !one->zone_listed)
		return;
	one->zone_listed = listed[0];
	atomic_store(&one->zone, zone_locked(m, listed));
}

static void set_zones_locked(struct members *m, const struct listed *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		set_zone_locked(m, map_find_str(&m->by_address, list[i].spec.address),
				list[i].spec.zone);
	m->own->zone_listed &= m->own_listed;
	if (!m->own->zone_listed)
		atomic_store(&m->own->zone, zone_locked(m, m->self.zone));
}

int members_set(struct members *m, const struct member_spec *list, size_t count)
{
	CLEANUP(freep) struct listed *ordered = NULL;
	struct roll *r = new_roll(m, count + 1);
	int result = r ? member_order(list, &count, &ordered) : -ENOMEM;

	if (!r)
		return -ENOMEM;
	lock_take(&m->lock);
	if (result == 0)
		result = enlist_locked(m, ordered, count, r);
	if (result == 0) {
		m->own_listed = settle_self_locked(m, r);
		set_zones_locked(m, ordered, count);
		install_locked(m, r);
	} else {
		unref_locked(m, r);
	}
	lock_drop(&m->lock);
	return result;
}

/* The same members; this node may be another of them. Without memory that waits for the next
 * list. */
static void settle_again_locked(struct members *m)
{
	const struct roll *old = m->now;
	struct roll *r = new_roll(m, old->pub.count + 1);

	for (uint32_t i = 0; r && i < old->pub.count; i++)
		if (old->members[i] != m->own || m->own_listed)
			insert_locked(r, r->pub.count, old->members[i], old->nodes[i].weight);
	if (!r)
		return;
	settle_self_locked(m, r);
	install_locked(m, r);
}

int members_new(const struct member_spec *self, struct members **ret)
{
	struct members *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	lock_init(&m->lock, LOCK_MEMBERS);
	m->self = *self;
	member_address_name(self->address, m->self.address);
	m->self.weight = member_order_weight(self->weight);
	m->seed = placement_key(m->self.address);
	m->own = new_member(m, m->self.address);
	if (m->own)
		m->own->is_self = true;
	if (!m->own || members_set(m, NULL, 0) < 0) {
		members_free(m);
		return -ENOMEM;
	}
	*ret = m;
	return 0;
}

static int free_value(void *arg UNUSED, void *value)
{
	free(value);
	return 0;
}

void members_free(struct members *m)
{
	if (!m)
		return;
	if (m->now) {
		assert(m->now->refs == 1);
		free_roll(m->now);
	}
	map_each(&m->by_address, free_value, NULL);
	map_fini(&m->by_address);
	map_each(&m->zones, free_value, NULL);
	map_fini(&m->zones);
	lock_fini(&m->lock);
	free(m);
}

const struct membership *members_now(struct members *m)
{
	const struct membership *ms;

	lock_take(&m->lock);
	m->now->refs++;
	ms = &m->now->pub;
	lock_drop(&m->lock);
	return ms;
}

/* What is const for those who have it: its count of them is not. */
static struct roll *roll_of(const struct membership *ms)
{
	return (struct roll *)(uintptr_t)ms;
}

void membership_unref(const struct membership *ms)
{
	struct members *m;

	if (!ms)
		return;
	m = roll_of(ms)->table;
	lock_take(&m->lock);
	unref_locked(m, roll_of(ms));
	lock_drop(&m->lock);
}

int membership_find(const struct membership *ms, const char *address)
{
	char name[MEMBER_ADDRESS_MAX + 1];
	uint32_t i;

	member_address_name(address, name);
	return look_up(roll_of(ms), name, &i) ? (int)i : -ENOENT;
}

/* --- what is said of a member, and how it behaves */

const char *member_address(const struct member *m)
{
	return m->address;
}

const char *member_zone(const struct member *m)
{
	return atomic_load(&m->zone);
}

void member_tell_zone(struct member *m, const char *zone)
{
	if (!zone[0] || !strcmp(member_zone(m), zone))
		return;
	lock_take(&m->table->lock);
	if (!m->zone_listed && !m->is_self)
		atomic_store(&m->zone, zone_locked(m->table, zone));
	lock_drop(&m->table->lock);
}

/* Who was heard as another node lately is not taken for this one: somebody on the way may have sent
 * back what it was asked. */
void member_is_self(struct member *m, int64_t now_ms)
{
	lock_take(&m->table->lock);
	m->again_ms = now_ms + MEMBER_ALIAS_MS;
	if (!m->is_self && (!member_is_another(m) || now_ms - m->heard_ms >= MEMBER_ANOTHER_MS)) {
		m->is_self = true;
		atomic_store(&m->heard, false);
		settle_again_locked(m->table);
	}
	lock_drop(&m->table->lock);
}

/* One request asks another name whether it is this node still. */
static bool may_ask_itself_locked(struct member *m, int64_t now_ms)
{
	if (m == m->table->own || now_ms < m->again_ms)
		return false;
	m->again_ms = now_ms + MEMBER_ALIAS_MS;
	return true;
}

bool member_may_ask(struct member *m, int64_t now_ms)
{
	bool may;

	lock_take(&m->table->lock);
	may = m->is_self ? may_ask_itself_locked(m, now_ms) : health_may_ask(&m->health, now_ms);
	lock_drop(&m->table->lock);
	return may;
}

bool member_lags(const struct member *m, int64_t now_ms)
{
	bool lags;

	lock_take(&m->table->lock);
	lags = health_lags(&m->health, now_ms);
	lock_drop(&m->table->lock);
	return lags;
}

bool member_is_doubted(const struct member *m)
{
	bool doubted;

	lock_take(&m->table->lock);
	doubted = m->is_self || m->health.failures;
	lock_drop(&m->table->lock);
	return doubted;
}

bool member_is_banned(const struct member *m, int64_t now_ms)
{
	bool banned;

	lock_take(&m->table->lock);
	banned = health_is_banned(&m->health, now_ms);
	lock_drop(&m->table->lock);
	return banned;
}

void member_note(struct member *m, enum member_outcome outcome, uint64_t bytes, int64_t first_ms,
		 int64_t now_ms)
{
	lock_take(&m->table->lock);
	health_note(&m->health, outcome, first_ms, now_ms);
	m->requests++;
	if (outcome == MEMBER_LIED || outcome == MEMBER_MISLED)
		m->bytes_wrong += bytes;
	else
		m->bytes_in += bytes;
	lock_drop(&m->table->lock);
}

void member_note_sent(struct member *m, uint64_t bytes)
{
	lock_take(&m->table->lock);
	m->bytes_out += bytes;
	lock_drop(&m->table->lock);
}

int64_t member_patience_ms(struct member *m, int64_t *ret_connect_ms)
{
	int64_t ms;

	lock_take(&m->table->lock);
	ms = health_patience_ms(&m->health);
	*ret_connect_ms = health_connect_ms(&m->health);
	lock_drop(&m->table->lock);
	return ms;
}

int64_t member_clock_ahead_ms(const struct member *m)
{
	return atomic_load(&m->clock_ahead_ms);
}

void member_tell_clock(struct member *m, int64_t ahead_ms, int64_t now_ms)
{
	atomic_store(&m->clock_ahead_ms, ahead_ms);
	lock_take(&m->table->lock);
	m->heard_ms = now_ms;
	atomic_store(&m->heard, true);
	if (m->is_self && m != m->table->own) {
		m->is_self = false;
		settle_again_locked(m->table);
	}
	lock_drop(&m->table->lock);
}

bool member_is_another(const struct member *m)
{
	return atomic_load(&m->heard);
}

/* --- for people */

static void describe(struct member *m, uint32_t weight, int64_t now_ms, struct member_status *ret)
{
	const struct member_health *h = &m->health;

	lock_take(&m->table->lock);
	*ret = (struct member_status){
		.address = m->address,
		.zone = member_zone(m),
		.weight = weight,
		.self = m->is_self,
		.state = m->is_self ? MEMBER_IS_SELF : health_state(h, now_ms),
		.state_until_ms = h->failures ? h->until_ms : h->lags_ms,
		.failures = h->failures,
		.bans = health_bans(h, now_ms),
		.first_ms = h->usual_us < 0 ? -1 : h->usual_us / 1000,
		.bytes_in = m->bytes_in,
		.bytes_out = m->bytes_out,
		.bytes_wrong = m->bytes_wrong,
		.requests = m->requests,
	};
	lock_drop(&m->table->lock);
}

void members_each(struct members *m, int64_t now_ms,
		  void (*fn)(void *arg, const struct member_status *s), void *arg)
{
	const struct membership *ms = members_now(m);
	struct member_status s;

	for (uint32_t i = 0; i < ms->count; i++) {
		describe(ms->members[i], ms->nodes[i].weight, now_ms, &s);
		fn(arg, &s);
	}
	membership_unref(ms);
}

bool members_forgive(struct members *m, const char *address)
{
	const struct membership *ms = members_now(m);
	int found = address ? membership_find(ms, address) : 0;
	bool was = false;

	lock_take(&m->lock);
	for (uint32_t i = 0; found >= 0 && i < ms->count; i++)
		if (!address || i == (uint32_t)found)
			was |= health_forgive(&ms->members[i]->health);
	lock_drop(&m->lock);
	membership_unref(ms);
	return was;
}
