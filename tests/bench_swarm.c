/* SPDX-License-Identifier: Apache-2.0 */
/* How a model travels through 10 to 10 000 nodes that all read it at once, in virtual time (see
 * swarm.h). Ideal is the model through one node's link, once. Made by make bench-peers.
 *
 *     bench_swarm [NODES[,SEGMENTS]]... */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tests/swarm.h"

#define RATE 125000000 /* bytes a second: 1 Gbit/s, of each node either way */

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void load(uint32_t nodes, uint32_t segments)
{
	const char *zones = getenv("ZONES"), *window = getenv("WINDOW"), *spread = getenv("SPREAD");
	struct swarm_conf conf = {
		.seed = nodes,
		.nodes = nodes,
		.segments = segments,
		.up_rate = RATE,
		.down_rate = RATE,
		.upstream_rate = 2 * RATE,
		.latency_us = 200,
		.upstream_us = 20000,
		.spread_ms = spread ? atoi(spread) : 100,
		.window = window ? (unsigned)atoi(window) : 8,
		.zones = zones ? (unsigned)atoi(zones) : 0,
		.limit_ms = 3600000,
	};
	double began = now(), ideal = segments * (double)(16 << 20) / RATE * 1e3;
	struct swarm *s = swarm_new(&conf);
	struct swarm_result r = swarm_run(s);

	printf("%6u nodes x %u segments: upstream %.3f x model, worst node sent %.2f x, "
	       "time %.2f x ideal (mean %.2f), %.0f questions a node (most %llu; most heard "
	       "%llu)\n",
	       nodes, segments, (double)r.upstream / r.chunks, (double)r.sent_most / r.chunks,
	       r.last_ms / ideal, r.mean_ms / ideal, (double)r.asked / nodes,
	       (unsigned long long)r.asked_most, (unsigned long long)r.heard_most);
	printf("       ended %u failed %u unfinished %u dropped %llu again %llu races %llu rings "
	       "%llu; %llu events in %.1f s\n",
	       r.ended, r.failed, r.unfinished, (unsigned long long)r.dropped,
	       (unsigned long long)r.again, (unsigned long long)r.races,
	       (unsigned long long)r.rings, (unsigned long long)r.events, now() - began);
	fflush(stdout);
	swarm_free(s);
}

int main(int argc, char **argv)
{
	static const uint32_t usual[] = { 10, 30, 100, 1000, 10000 };

	for (int i = 1; i < argc; i++) {
		unsigned nodes = 0, segments = 16;

		sscanf(argv[i], "%u,%u", &nodes, &segments);
		load(nodes, segments);
	}
	for (size_t i = 0; argc == 1 && i < sizeof(usual) / sizeof(*usual); i++)
		load(usual[i], 16);
	return 0;
}
