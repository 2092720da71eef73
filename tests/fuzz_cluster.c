/* SPDX-License-Identifier: Apache-2.0 */
/* Input: eight lines: a field, a method, a target, a range, a node, a Content-Range, a Peer-Others,
 * and digits of a place. The field was made without the key and is not believed. One that is made
 * with it is, of a request once; but not of other words, nor with another byte at that place. */
#include "daemon/peer/cluster_key.h"

#include <assert.h>
#include <string.h>

#include "daemon/base/file.h"
#include "daemon/peer/nonces.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define KEY "0123456789abcdef0123456789abcdef"
#define NONCE "0123456789abcdef0123456789abcdef"
#define LINES 8

static struct cluster_key *the_key(void)
{
	static struct cluster_key *k;
	CLEANUP(buf_free) struct buf why = { 0 };
	char path[] = "/tmp/fuzz_cluster.XXXXXX";
	int fd;

	if (k)
		return k;
	fd = mkstemp(path);
	assert(fd >= 0 && file_pwrite(fd, KEY, strlen(KEY), 0) == 0);
	assert(cluster_key_open(path, 0, &k, &why) == 0);
	assert(close(fd) == 0 && unlink(path) == 0);
	return k;
}

static enum cluster_verdict hear(const struct cluster_words *words, const char *field,
				 int64_t wall_ms)
{
	struct cluster_heard heard;
	enum cluster_verdict verdict = cluster_key_verify(the_key(), words, field, wall_ms, &heard);

	assert(verdict == CLUSTER_FALSE
		       ? !*heard.node && !*heard.to && !*heard.nonce
		       : strcmp(heard.node, words->node) == 0 && strcmp(heard.to, words->to) == 0 &&
				 strlen(heard.nonce) == CLUSTER_NONCE_HEX);
	return verdict;
}

static bool believed(const struct cluster_answer *a, const char *info)
{
	char node[CLUSTER_NODE_MAX + 1];
	int64_t wall_ms;

	if (!cluster_key_check_answer(the_key(), a, NONCE, info, node, &wall_ms))
		return false;
	assert(strcmp(node, a->node) == 0 && wall_ms == a->wall_ms);
	return true;
}

/* Other than it was, at that place. */
static void spoil(struct buf *field, size_t place)
{
	field->data[place % field->len] ^= (char)(1 + place % 127);
}

static void check_request(const struct cluster_words *words, size_t place, int64_t now_ms)
{
	CLEANUP(buf_free) struct buf field = { 0 };
	char nonce[CLUSTER_NONCE_HEX + 1];
	struct cluster_words other = *words;

	if (cluster_key_sign(the_key(), words, now_ms, &field, nonce) < 0)
		return;
	other.method = words->target;
	other.target = words->method;
	if (strcmp(words->method, words->target) != 0)
		assert(hear(&other, buf_str(&field), now_ms) == CLUSTER_FALSE);
	assert(hear(words, buf_str(&field), now_ms) == CLUSTER_TRUE);
	assert(hear(words, buf_str(&field), now_ms) == CLUSTER_REPLAYED);
	assert(hear(words, buf_str(&field), now_ms + 2 * NONCES_WINDOW_MS) == CLUSTER_STALE);
	spoil(&field, place);
	assert(hear(words, buf_str(&field), now_ms) == CLUSTER_FALSE);
}

static void check_answer(struct cluster_answer a, size_t place)
{
	CLEANUP(buf_free) struct buf info = { 0 };

	if (cluster_key_sign_answer(the_key(), &a, NONCE, &info) < 0)
		return;
	assert(believed(&a, buf_str(&info)));
	a.status++;
	assert(!believed(&a, buf_str(&info)));
	a.status--;
	spoil(&info, place);
	assert(!believed(&a, buf_str(&info)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static int64_t now_ms = INT64_C(1700000000000);
	CLEANUP(buf_free) struct buf text = { 0 };
	char *next, *line[LINES];
	size_t place;

	if (buf_add(&text, data, len) < 0 || buf_add(&text, "", 1) < 0)
		return 0;
	next = text.data;
	for (int i = 0; i < LINES; i++) {
		line[i] = strsep(&next, "\n");
		if (!line[i])
			return 0;
	}
	now_ms += NONCES_WINDOW_MS; /* not all of a run is remembered */
	place = strtoul(line[7], NULL, 10);
	{
		const struct cluster_words words = { line[1], line[2], line[3],
						     line[4], line[4], line[6] };
		const struct cluster_answer answer = { 206,     line[5], line[6], line[3],
						       line[2], line[5], line[4], now_ms };

		assert(hear(&words, line[0], now_ms) == CLUSTER_FALSE);
		assert(!believed(&answer, line[0]));
		check_request(&words, place, now_ms);
		check_answer(answer, place);
	}
	return 0;
}
