/* SPDX-License-Identifier: Apache-2.0 */
/* How a model travels through 10 to 10 000 nodes that all read it at once, in virtual time (see
 * swarm.h). Ideal is the model through one node's link, once. Made by make bench-peers.
 *
 *     bench_swarm [NODES[,SEGMENTS[,RATE[,WINDOW]]]]...
 *
 * RATE is in bytes a second, of each node either way; WINDOW counts runs of 8 MiB. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tests/swarm.h"

#define RATE 125000000.0 /* 1 Gbit/s */
#define SLOW_RATE 800000.0
#define WINDOW 8
#define RACES 5        /* at once: as many as 64 MiB have places for */
#define GIVE_UP_S 20.0 /* a reader's patience, and as much longer as links are slower than: */
#define USUAL_RATE 6000000.0

struct load {
	unsigned nodes, segments;
	double rate;
	unsigned window;
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double give_up_s(double rate)
{
	return rate < USUAL_RATE ? GIVE_UP_S * USUAL_RATE / rate : GIVE_UP_S;
}

static void run(const struct load *l)
{
	struct swarm_conf conf = {
		.seed = l->nodes,
		.nodes = l->nodes,
		.segments = l->segments,
		.up_rate = (uint64_t)l->rate,
		.down_rate = (uint64_t)l->rate,
		.upstream_rate = 2 * (uint64_t)l->rate,
		.latency_us = 200,
		.upstream_us = 20000,
		.spread_ms = 100,
		.window = l->window,
		.give_up_ms = (int64_t)(give_up_s(l->rate) * 1e3),
		.limit_ms = 3600000,
		.races = RACES,
		.faults = l->nodes <= 60,
	};
	double began = now(), ideal = l->segments * (double)(16 << 20) / l->rate * 1e3;
	struct swarm *s = swarm_new(&conf);
	struct swarm_result r = swarm_run(s);

	printf("%6u nodes x %u segments, %g MB/s, %u runs: upstream %.3f x model, worst sent "
	       "%.2f x, time %.2f x ideal (mean %.2f), %.0f questions a node (most %llu; most "
	       "heard %llu)\n",
	       l->nodes, l->segments, l->rate / 1e6, l->window, (double)r.upstream / r.chunks,
	       (double)r.sent_most / r.chunks, r.last_ms / ideal, r.mean_ms / ideal,
	       (double)r.asked / l->nodes, (unsigned long long)r.asked_most,
	       (unsigned long long)r.heard_most);
	printf("       longest wait for a chunk %.1f of %.0f s, ended %u failed %u unfinished %u "
	       "dropped %llu again %llu left %llu raced %llu won %llu twice %.3f "
	       "rings %llu; %llu events in %.1f s\n",
	       (double)r.waited_ms / 1e3, give_up_s(l->rate), r.ended, r.failed, r.unfinished,
	       (unsigned long long)r.dropped, (unsigned long long)r.again,
	       (unsigned long long)r.left, (unsigned long long)r.raced, (unsigned long long)r.won,
	       r.twice_most, (unsigned long long)r.rings, (unsigned long long)r.events,
	       now() - began);
	fflush(stdout);
	swarm_free(s);
}

int main(int argc, char **argv)
{
	static const struct load usual[] = {
		{ 10, 16, RATE, WINDOW },   { 30, 16, RATE, WINDOW },    { 100, 16, RATE, WINDOW },
		{ 1000, 16, RATE, WINDOW }, { 10000, 16, RATE, WINDOW }, { 100, 16, SLOW_RATE, 2 },
		{ 100, 16, SLOW_RATE, 4 },
	};

	for (int i = 1; i < argc; i++) {
		struct load l = { 0, 16, RATE, WINDOW };

		sscanf(argv[i], "%u,%u,%lf,%u", &l.nodes, &l.segments, &l.rate, &l.window);
		run(&l);
	}
	for (size_t i = 0; argc == 1 && i < sizeof(usual) / sizeof(*usual); i++)
		run(&usual[i]);
	return 0;
}
