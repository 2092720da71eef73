/* SPDX-License-Identifier: Apache-2.0 */
/* A cluster in virtual time: nodes that all read one model from its first byte to its last, through
 * links with rates and delays. Whom a node asks, for what and until when, and what it answers, is
 * the real code of daemon/peer (trip and decide, and what those stand on). What is only a model
 * here: links (whole chunks take turns), the stream threads (a window of runs of 8 MiB), how they
 * try again when upstream fails (as stream.c and hub.c do), when a race is looked at (as in
 * source_peer.c), and HTTP. What is not here: probes (a member in doubt is asked by readers), and
 * limits of connections, of blobs that are open and of what is remembered against repetition.
 * Everything follows from the seed. */
#ifndef MATRIXFS_TESTS_SWARM_H
#define MATRIXFS_TESTS_SWARM_H

#include <stdbool.h>
#include <stdint.h>

#define SWARM_CHUNKS 16       /* of a segment */
#define SWARM_FAULTS_NODES 63 /* a swarm with faults between nodes has so many at most */

struct swarm_conf {
	uint64_t seed;
	uint32_t nodes, segments;
	uint32_t late; /* of the nodes, the last so many start by SWARM_JOIN alone */
	uint64_t up_rate, down_rate, upstream_rate; /* bytes a second: of a node, of the upstream */
	int64_t latency_us, upstream_us;            /* one way */
	int64_t spread_ms;                          /* readers start within so long */
	unsigned window;                            /* runs at once */
	unsigned zones;                             /* 0: nodes have none */
	int64_t give_up_ms;                         /* of silence, a reader has had enough */
	int64_t limit_ms;                           /* the simulation ends then */
	bool faults;    /* each node learns for itself who its members are, and how they behave */
	unsigned races; /* a node may have so many on at once */
	uint64_t past;  /* bytes that members gave each node before: they allow races */
};

enum swarm_fault {
	SWARM_JOIN,    /* node a starts, with what it had */
	SWARM_KILL,    /* node a dies; lists have it still */
	SWARM_LEAVE,   /* node a dies, and is taken from the lists */
	SWARM_CUT,     /* nothing gets from a to b any more; b may be SWARM_UPSTREAM */
	SWARM_HEAL,    /* all lines are whole again */
	SWARM_PART,    /* nodes whose bit is set in a are parted from the others */
	SWARM_UP_DOWN, /* upstream fails, in that way (b); with a: it answers again */
	SWARM_FULL,    /* node a keeps nothing more */
	SWARM_FLIPS,   /* node a gives wrong bytes in one of a hundred chunks */
	SWARM_ZEROS,   /* all bytes it gives are wrong */
	SWARM_CLAIMS,  /* it says that all is coming, and gives nothing */
	SWARM_BOASTS,  /* likewise, and that it gets on with it */
	SWARM_DRIPS,   /* it says that it has all, and gives a byte a second */
	SWARM_FORGETS, /* node a has lost what it had; it starts with the next SWARM_JOIN */
	SWARM_AGAIN,   /* node a has lost what it had, and reads it again */
	SWARM_DENIES,  /* node a says that upstream fails, whatever it is asked to bring */
	SWARM_SLOW,    /* node a gives b bytes a second at most */
	SWARM_HONEST,  /* node a does as all others */
};

/* How upstream fails. */
enum swarm_down {
	SWARM_ERRORS,  /* it answers with errors; the hub is not left alone for it */
	SWARM_REFUSES, /* nobody can connect: the hub is left alone for a moment */
	SWARM_HANGS,   /* it answers when it is well again */
};

#define SWARM_UPSTREAM UINT32_MAX

struct swarm;

/* What came of it, of all nodes together unless said; bytes are counted in chunks. */
struct swarm_result {
	uint32_t chunks;                    /* of the model */
	uint32_t ended, failed, unfinished; /* readers */
	uint64_t upstream;                  /* chunks that left it */
	uint64_t sent, sent_most;           /* chunks that left nodes; of the one that sent most */
	uint64_t asked, asked_most;         /* questions of nodes; of the one who asked most */
	uint64_t heard_most;                /* questions that one node was asked */
	uint64_t used, wrong, dropped; /* chunks that came and were kept, lied, were for nothing */
	uint64_t again; /* chunks a node kept though it had them: never but after it forgot them */
	uint64_t left;  /* answers left for being late */
	uint64_t raced, won;     /* questions to others besides, and those that were faster */
	uint64_t twice;          /* chunks that came twice for that, wholly or in part */
	double twice_most;       /* of a node: part of what members gave it */
	uint64_t bans;           /* lies that were noticed */
	uint64_t rings;          /* times that one was told to wait on for who waited for him */
	uint64_t passed;         /* runs that went upstream */
	double mean_ms, last_ms; /* time of readers that ended */
	double failed_ms;        /* and the longest of one that failed */
	int64_t waited_ms;       /* the longest that a reader that ended waited for one chunk, */
	int64_t error_ms;        /* or that another waited for an error */
	uint64_t events;
};

struct swarm *swarm_new(const struct swarm_conf *conf);
void swarm_free(struct swarm *s);
void swarm_fault(struct swarm *s, int64_t at_ms, enum swarm_fault fault, uint32_t a, uint32_t b);
/* Lets all happen, until all readers have ended and no fault is to come. */
struct swarm_result swarm_run(struct swarm *s);
/* What node i made of it. */
struct swarm_node_result {
	bool alive, ended, failed;
	uint64_t upstream, sent, asked;
};
struct swarm_node_result swarm_node(const struct swarm *s, uint32_t i);

#endif
