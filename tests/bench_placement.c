/* SPDX-License-Identifier: Apache-2.0 */
/* How evenly segments lie on nodes, how long it takes to place them, and how many move when a node
 * joins: for 1000 and for 10 000 nodes with 128 segments each, first as one blob, then as blobs of
 * 5 GiB, where a node has its limit in each of them and none over all. Made by make bench.
 *
 *     bench_placement [NODES]... */
#include <err.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "daemon/base/num.h"
#include "daemon/peer/placement.h"

#define PER_NODE 128
#define USUAL 320   /* segments of 5 GiB */
#define LARGE 44800 /* of 700 GiB */

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void *zeros(size_t count, size_t size)
{
	void *p = calloc(count, size);

	if (!p)
		err(1, "calloc");
	return p;
}

/* One node more than are asked for: who joins. */
static struct placement_node *new_nodes(uint32_t count)
{
	struct placement_node *nodes = zeros(count + 1, sizeof(*nodes));

	for (uint32_t i = 0; i <= count; i++) {
		char name[32];

		snprintf(name, sizeof(name), "10.0.%u.%u:9980", i / 250, i % 250);
		nodes[i] = (struct placement_node){ placement_key(name), 1 };
	}
	return nodes;
}

static struct placement *place(const struct placement_node *nodes, uint32_t count, unsigned blob,
			       uint32_t segments)
{
	struct placement *p;
	char name[32];

	snprintf(name, sizeof(name), "blob-%u", blob);
	if (placement_new(nodes, count, placement_key(name), segments, &p) < 0)
		errx(1, "placement_new");
	return p;
}

static uint32_t owner_of(const struct placement *p, uint32_t segment)
{
	uint32_t owners[PLACEMENT_OWNERS];

	placement_owners(p, segment, owners);
	return owners[0];
}

static double fullest(const uint32_t *load, uint32_t count)
{
	uint64_t most = 0, all = 0;

	for (uint32_t i = 0; i < count; i++) {
		most = max_u64(most, load[i]);
		all += load[i];
	}
	return (double)most * count / (double)all;
}

static void one_blob(const struct placement_node *nodes, uint32_t count)
{
	uint32_t segments = count * PER_NODE, moved = 0, gained = 0;
	uint32_t *load = zeros(count, sizeof(*load));
	double since = now(), took;
	struct placement *before = place(nodes, count, 0, segments), *after;

	took = now() - since;
	after = place(nodes, count + 1, 0, segments);
	for (uint32_t i = 0; i < segments; i++) {
		load[owner_of(before, i)]++;
		moved += owner_of(before, i) != owner_of(after, i);
		gained += owner_of(after, i) == count;
	}
	printf("%5u nodes, one blob of %u segments: max/mean %.3f; %.2f s; one joins: %.4f %% "
	       "move, %.4f %% to it\n",
	       count, segments, fullest(load, count), took, 100. * moved / segments,
	       100. * gained / segments);
	placement_free(before);
	placement_free(after);
	free(load);
}

static void many_blobs(const struct placement_node *nodes, uint32_t count)
{
	uint32_t blobs = count * PER_NODE / USUAL;
	uint32_t *load = zeros(count, sizeof(*load));
	double since = now();

	for (uint32_t b = 0; b < blobs; b++) {
		struct placement *p = place(nodes, count, b, USUAL);

		for (uint32_t i = 0; i < USUAL; i++)
			load[owner_of(p, i)]++;
		placement_free(p);
	}
	printf("%5u nodes, %u blobs of %u segments: max/mean %.3f over all; %.2f s\n", count, blobs,
	       USUAL, fullest(load, count), now() - since);
	free(load);
}

static void one_size(const struct placement_node *nodes, uint32_t count, uint32_t segments)
{
	double since = now();

	placement_free(place(nodes, count, 0, segments));
	printf("%5u nodes, one blob of %u segments: %.1f ms\n", count, segments,
	       1e3 * (now() - since));
}

static void measure(uint32_t count)
{
	struct placement_node *nodes = new_nodes(count);

	one_size(nodes, count, USUAL);
	one_size(nodes, count, LARGE);
	one_blob(nodes, count);
	many_blobs(nodes, count);
	fflush(stdout);
	free(nodes);
}

int main(int argc, char **argv)
{
	if (argc == 1) {
		measure(1000);
		measure(10000);
	}
	for (int i = 1; i < argc; i++)
		measure((uint32_t)strtoul(argv[i], NULL, 10));
	return 0;
}
