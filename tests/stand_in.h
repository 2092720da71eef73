/* SPDX-License-Identifier: Apache-2.0 */
/* A member that a test plays: it listens on a thread of its own and answers each request as the
 * test says. Beside it may stand this node, which has the same key and knows it. */
#ifndef MATRIXFS_TESTS_STAND_IN_H
#define MATRIXFS_TESTS_STAND_IN_H

#include <pthread.h>
#include <stdatomic.h>

#include "daemon/peer/peer_request.h"
#include "tests/workdir.h"

#define STAND_IN_PROCESS "77" /* by which it signs; this node is another one */

struct stand_in {
	/* Answers a request whose head is there, on the thread; the connection ends then. */
	void (*answer)(void *arg, int fd, const char *request);
	void *arg;
	struct cluster_key *key; /* set for stand_in_listen alone, and borrowed then */
	/* Made by stand_in_listen. */
	char address[MEMBER_ADDRESS_MAX + 1];
	int listener;
	pthread_t thread;
	atomic_bool stopping;
	/* And by stand_in_start. */
	struct asker asker; /* this node */
	struct members *members;
	const struct membership *now;
	struct member *member; /* the one that is played */
	struct httpc *http;
	struct workdir dir;
};

/* The member alone, and its end. `answer` and `arg` are set, the rest is zeroed; the test fails if
 * it cannot be. */
void stand_in_listen(struct stand_in *s);
void stand_in_hush(struct stand_in *s);
/* The same with this node. */
void stand_in_start(struct stand_in *s);
void stand_in_stop(struct stand_in *s);
/* The same for cmocka: the fixture has so many bytes, and begins with a struct stand_in, which
 * answers so, with the fixture as its argument. */
int stand_in_set_up(void **state, size_t size,
		    void (*answer)(void *arg, int fd, const char *request));
int stand_in_tear_down(void **state);
/* Until nobody listens, or the test ends: the same again and again. */
void stand_in_drip(const struct stand_in *s, int fd, const char *drop);
/* Sends all of it; false if nobody listens. */
bool stand_in_send(int fd, const void *data, size_t len);
/* A head that it signs, of that answer (whose node is not said), with these lines, each ended. */
void stand_in_say(const struct stand_in *s, int fd, const char *request,
		  const struct cluster_answer *a, const char *lines);
/* An answer of that status without a body, which nobody has signed. */
void stand_in_say_unsigned(int fd, int status);
/* As stand_in_say, with a Content-Range ("": none), the line about its length, and the time
 * by a clock that is so far ahead. */
void stand_in_head(const struct stand_in *s, int fd, const char *request, int status,
		   const char *range, const char *length, int64_t ahead_ms);
/* The head of what is wanted of a blob of so many bytes, of which at most so many will come: how
 * many these are. */
size_t stand_in_promise(const struct stand_in *s, int fd, const char *request, size_t size,
			size_t most);

#endif
