/* SPDX-License-Identifier: Apache-2.0 */
/* Each node draws `weight` numbers for a segment, the highest of all wins: whoever comes or goes
 * moves only what he wins or had won, and a weight is exact without a logarithm, which no two
 * libraries compute alike. Only the three best of a segment are kept while they are drawn; all
 * nodes are looked at again when those three have their share, which is rare. */
#include "daemon/peer/placement.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "daemon/base/digest.h"
#include "daemon/base/num.h"

/* Nobody owns more than so many hundredths of his share of a blob; see most_of(). */
#define SHARE_MOST 115

/* The sequence of SplitMix64 (Steele, Lea and Flood, 2014): its step, and its mixing of bits. */
#define STEP UINT64_C(0x9e3779b97f4a7c15)

struct placement {
	uint32_t segments;
	uint32_t each; /* owners of a segment */
	uint32_t owners[];
};

/* A node's best number for a segment. */
struct rank {
	uint64_t score, key;
	uint32_t node;
};

/* A blob that is being placed. */
struct draw {
	const struct placement_node *nodes;
	uint32_t count;
	uint32_t each;
	uint64_t blob;
	/* What nodes draw with: `weight` lots each, and whose they are. */
	size_t lots;
	uint64_t *lot;
	uint32_t *of;
	uint32_t *room; /* segments that a node may own still */
};

static uint64_t mix(uint64_t v)
{
	v = (v ^ v >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	v = (v ^ v >> 27) * UINT64_C(0x94d049bb133111eb);
	return v ^ v >> 31;
}

uint32_t segment_count(uint64_t size)
{
	return (uint32_t)(size / SEGMENT_BYTES + (size % SEGMENT_BYTES != 0));
}

uint32_t segment_of(uint64_t off)
{
	return (uint32_t)(off / SEGMENT_BYTES);
}

uint64_t segment_start(uint32_t segment)
{
	return segment * SEGMENT_BYTES;
}

uint64_t segment_end(uint32_t segment, uint64_t size)
{
	return min_u64(segment_start(segment) + SEGMENT_BYTES, size);
}

uint64_t placement_key(const char *text)
{
	return xxh3_of(text, strlen(text));
}

static uint64_t lot_of(const struct placement_node *node, uint32_t number)
{
	return mix(node->key + (number + 1) * STEP);
}

static uint64_t salt_of(uint64_t blob, uint32_t segment)
{
	return mix(blob + (segment + UINT64_C(1)) * STEP);
}

int placement_find(const struct placement_node *nodes, uint32_t count, uint64_t key)
{
	for (uint32_t i = 0; i < count; i++)
		if (nodes[i].key == key)
			return (int)i;
	return -ENOENT;
}

uint64_t placement_score(const struct placement_node *node, struct segment segment)
{
	uint64_t salt = salt_of(segment.blob, segment.index), best = 0;

	for (uint32_t i = 0; i < node->weight; i++)
		best = max_u64(best, mix(lot_of(node, i) ^ salt));
	return best;
}

static bool better(const struct rank *a, const struct rank *b)
{
	return a->score > b->score || (a->score == b->score && a->key > b->key);
}

/* Puts a number where it belongs among the best, of which a node has one. */
static void enter(struct rank best[static PLACEMENT_OWNERS], const struct rank *r)
{
	uint32_t at = 0, end;

	for (; at < PLACEMENT_OWNERS && !better(r, &best[at]); at++)
		if (best[at].node == r->node)
			return;
	if (at == PLACEMENT_OWNERS)
		return;
	for (end = at; end < PLACEMENT_OWNERS - 1 && best[end].node != r->node;)
		end++;
	memmove(&best[at + 1], &best[at], (end - at) * sizeof(*best));
	best[at] = *r;
}

/* The best nodes for a segment, best first; of fewer nodes, nobodies behind them. */
static void rank_all(const struct draw *d, uint32_t segment,
		     struct rank best[static PLACEMENT_OWNERS])
{
	uint64_t salt = salt_of(d->blob, segment), least = 0;

	for (uint32_t i = 0; i < PLACEMENT_OWNERS; i++)
		best[i] = (struct rank){ .node = UINT32_MAX };
	for (size_t i = 0; i < d->lots; i++) {
		uint64_t score = mix(d->lot[i] ^ salt);

		if (score < least)
			continue;
		enter(best, &(struct rank){ score, d->nodes[d->of[i]].key, d->of[i] });
		least = best[PLACEMENT_OWNERS - 1].score;
	}
}

/* The best node that may own one more: there always is one, see most_of(). */
static struct rank best_with_room(const struct draw *d, uint32_t segment)
{
	struct rank best = { .node = UINT32_MAX };

	for (uint32_t i = 0; i < d->count; i++) {
		const struct placement_node *n = &d->nodes[i];
		struct rank r = { .key = n->key, .node = i };

		if (d->room[i] == 0)
			continue;
		r.score = placement_score(n, (struct segment){ d->blob, segment });
		if (better(&r, &best))
			best = r;
	}
	return best;
}

static void place_segment(const struct draw *d, uint32_t segment, uint32_t *ret)
{
	struct rank best[PLACEMENT_OWNERS], owner;
	uint32_t at = 0;

	rank_all(d, segment, best);
	while (at < d->each && d->room[best[at].node] == 0)
		at++;
	/* Whoever was passed over for lack of room follows. */
	if (at < d->each)
		owner = best[at];
	else
		owner = best_with_room(d, segment), at--;
	memmove(&best[1], &best[0], at * sizeof(*best));
	best[0] = owner;
	d->room[owner.node]--;
	for (uint32_t i = 0; i < d->each; i++)
		ret[i] = best[i].node;
}

/* So many segments of a blob a node owns at most: its share by weight and 15 in a hundred; of few,
 * one more than its share rounded up. All together that is more than there are segments. */
static uint32_t most_of(uint64_t segments, uint64_t weight, uint64_t all)
{
	uint64_t some = segments * weight;

	return (uint32_t)max_u64(some * SHARE_MOST / (all * 100), (some + all - 1) / all + 1);
}

static uint64_t sum_of_weights(const struct placement_node *nodes, uint32_t count)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < count; i++)
		sum += nodes[i].weight;
	return sum;
}

static int draw_init(struct draw *d, uint32_t segments)
{
	size_t lots = 0;

	d->lots = sum_of_weights(d->nodes, d->count);
	d->lot = calloc(d->lots, sizeof(*d->lot));
	d->of = calloc(d->lots, sizeof(*d->of));
	d->room = calloc(d->count, sizeof(*d->room));
	if (!d->lot || !d->of || !d->room)
		return -ENOMEM;
	for (uint32_t i = 0; i < d->count; i++) {
		d->room[i] = most_of(segments, d->nodes[i].weight, d->lots);
		for (uint32_t k = 0; k < d->nodes[i].weight; k++, lots++) {
			d->lot[lots] = lot_of(&d->nodes[i], k);
			d->of[lots] = i;
		}
	}
	return 0;
}

static void draw_fini(struct draw *d)
{
	free(d->lot);
	free(d->of);
	free(d->room);
}

int placement_new(const struct placement_node *nodes, uint32_t count, uint64_t blob,
		  uint32_t segments, struct placement **ret)
{
	uint32_t each = count < PLACEMENT_OWNERS ? count : PLACEMENT_OWNERS;
	CLEANUP(draw_fini)
	struct draw d = { .nodes = nodes, .count = count, .each = each, .blob = blob };
	CLEANUP(freep) struct placement *p = NULL;
	int r = 0;

	p = malloc(sizeof(*p) + (size_t)segments * each * sizeof(*p->owners));
	if (!p)
		return -ENOMEM;
	*p = (struct placement){ .segments = segments, .each = each };
	if (count)
		r = draw_init(&d, segments);
	if (r < 0)
		return r;
	for (uint32_t i = 0; count && i < segments; i++)
		place_segment(&d, i, &p->owners[(size_t)i * each]);
	*ret = steal(p);
	return 0;
}

void placement_free(struct placement *p)
{
	free(p);
}

unsigned placement_owners(const struct placement *p, uint32_t segment,
			  uint32_t ret[static PLACEMENT_OWNERS])
{
	assert(segment < p->segments);
	memcpy(ret, &p->owners[(size_t)segment * p->each], p->each * sizeof(*ret));
	return p->each;
}
