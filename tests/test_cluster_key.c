/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/cluster_key.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/file.h"
#include "daemon/peer/nonces.h"

#define ONE "the first key of 16 bytes or more\n"
#define TWO "0123456789abcdef0123456789abcdef\n"
#define NOW INT64_C(1700000000000)
#define HOUR_MS 3600000
#define AFTER_A_LOOK_MS 1050

static const struct cluster_words words = {
	.method = "GET",
	.target = "/peer/v1/blobs/00?size=1",
	.range = "bytes=0-0",
	.node = "192.0.2.1:9980",
	.to = "192.0.2.2:9980",
	.zone = "rack-7",
};

static const struct cluster_answer answer = {
	.status = 206,
	.content_range = "bytes 0-0/1",
	.others = "a:1, b:2",
	.zone = "rack-8",
	.number = "7",
	.quiet = "300",
	.node = "0011223344556677",
	.wall_ms = NOW + 5,
};

/* --- files */

static char dir[] = "/tmp/test_cluster_key.XXXXXX";

static int make_dir(void **state)
{
	(void)state;
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof(command), "rm -r %s", dir);
	return system(command);
}

static const char *put(const char *name, const char *text, mode_t mode)
{
	static char path[64];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(file_replace(AT_FDCWD, path, text, strlen(text), 0600), 0);
	assert_int_equal(chmod(path, mode), 0);
	return path;
}

static struct cluster_key *opened_as(const char *name, const char *text, mode_t mode)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	struct cluster_key *k;

	assert_int_equal(cluster_key_open(put(name, text, mode), 0, &k, &why), 0);
	assert_string_equal(buf_str(&why), "");
	return k;
}

/* Each has a file of its own. */
static struct cluster_key *opened(const char *text)
{
	static unsigned count;
	char name[16];

	snprintf(name, sizeof(name), "key-%u", ++count);
	return opened_as(name, text, 0600);
}

static void without_a_key_that_can_be_used_there_is_no_cluster(void **state)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	struct cluster_key *k = NULL;

	(void)state;
	assert_int_equal(cluster_key_open(put("key", ONE, 0644), 0, &k, &why), ERR_CONF);
	assert_non_null(strstr(buf_str(&why), "chmod 600"));
	assert_null(k);
	cluster_key_free(k);
}

/* --- requests */

/* A signed request. */
struct asked {
	struct buf field;
	char nonce[CLUSTER_NONCE_HEX + 1];
};

static void asked_fini(struct asked *a)
{
	buf_free(&a->field);
}

static struct asked ask(struct cluster_key *k, int64_t wall_ms)
{
	struct asked a = { 0 };

	assert_int_equal(cluster_key_sign(k, &words, wall_ms, &a.field, a.nonce), 0);
	return a;
}

static enum cluster_verdict hear(struct cluster_key *k, const struct cluster_words *w,
				 const char *field, int64_t wall_ms)
{
	struct cluster_heard heard;
	enum cluster_verdict verdict = cluster_key_verify(k, w, field, wall_ms, &heard);

	assert_string_equal(heard.node, verdict == CLUSTER_FALSE ? "" : words.node);
	assert_string_equal(heard.to, verdict == CLUSTER_FALSE ? "" : words.to);
	assert_int_equal(strlen(heard.nonce), verdict == CLUSTER_FALSE ? 0 : CLUSTER_NONCE_HEX);
	return verdict;
}

/* The verdict of one who has these keys about a request of one who has those. */
static enum cluster_verdict between(const char *asker, const char *hearer)
{
	struct cluster_key *a = opened(asker), *h = opened(hearer);
	CLEANUP(asked_fini) struct asked q = ask(a, NOW);
	enum cluster_verdict verdict = hear(h, &words, buf_str(&q.field), NOW);

	cluster_key_free(a);
	cluster_key_free(h);
	return verdict;
}

static void who_has_the_key_is_heard_and_who_has_another_is_not(void **state)
{
	(void)state;
	assert_int_equal(between(ONE, ONE), CLUSTER_TRUE);
	assert_int_equal(between(ONE, "# ours\n  " ONE), CLUSTER_TRUE);
	assert_int_equal(between(ONE, TWO), CLUSTER_FALSE);
	assert_int_equal(between("0123456789abcdef", "0123456789abcdeF"), CLUSTER_FALSE);
}

static void nobody_is_shut_out_while_the_key_is_changed(void **state)
{
	const char *const steps[] = { ONE, ONE TWO, TWO ONE, TWO };

	(void)state;
	for (int i = 0; i < 4; i++) {
		for (int j = 0; j < 4; j++)
			assert_int_equal(between(steps[i], steps[j]),
					 (i < 2 && j == 3) || (i >= 2 && j == 0) ? CLUSTER_FALSE
										 : CLUSTER_TRUE);
	}
}

static void a_request_is_heard_once(void **state)
{
	struct cluster_key *k = opened(ONE);
	CLEANUP(asked_fini) struct asked first = ask(k, NOW);
	CLEANUP(asked_fini) struct asked second = ask(k, NOW);

	(void)state;
	assert_string_not_equal(first.nonce, second.nonce);
	assert_int_equal(hear(k, &words, buf_str(&first.field), NOW), CLUSTER_TRUE);
	assert_int_equal(hear(k, &words, buf_str(&first.field), NOW), CLUSTER_REPLAYED);
	assert_int_equal(hear(k, &words, buf_str(&second.field), NOW), CLUSTER_TRUE);
	assert_int_equal(hear(k, &words, buf_str(&first.field), NOW + 1), CLUSTER_REPLAYED);
	cluster_key_free(k);
}

static void a_clock_that_differs_too_much_is_told_from_a_wrong_key(void **state)
{
	const int64_t window = NONCES_WINDOW_MS;
	struct cluster_key *k = opened(ONE), *other = opened(TWO);
	CLEANUP(asked_fini) struct asked q = ask(k, NOW);

	(void)state;
	assert_int_equal(hear(k, &words, buf_str(&q.field), NOW + window + 1), CLUSTER_STALE);
	assert_int_equal(hear(k, &words, buf_str(&q.field), NOW - window - 1), CLUSTER_STALE);
	assert_int_equal(hear(k, &words, buf_str(&q.field), NOW + 3600 * 1000), CLUSTER_STALE);
	assert_int_equal(hear(other, &words, buf_str(&q.field), NOW + window + 1), CLUSTER_FALSE);
	/* What was not heard is none that was seen. */
	assert_int_equal(hear(k, &words, buf_str(&q.field), NOW + window), CLUSTER_TRUE);
	cluster_key_free(k);
	cluster_key_free(other);
}

static void what_is_asked_cannot_be_altered(void **state)
{
	struct cluster_key *k = opened(ONE);
	CLEANUP(asked_fini) struct asked q = ask(k, NOW);
	struct cluster_words other[] = { words, words, words, words, words, words };

	(void)state;
	other[0].method = "PUT";
	other[1].target = "/peer/v1/blobs/00?size=2";
	other[2].range = "bytes=0-1";
	other[3].range = "";
	/* The same bytes in a row, cut elsewhere. */
	other[4].target = "/peer/v1/blobs/00?size=1\nb";
	other[4].range = "ytes=0-0";
	other[5].zone = "rack-9";
	for (size_t i = 0; i < ARRAY_LEN(other); i++)
		assert_int_equal(hear(k, &other[i], buf_str(&q.field), NOW), CLUSTER_FALSE);
	/* Who asks whom is what the field says. */
	other[0] = words;
	other[0].node = other[0].to = "somebody else";
	assert_int_equal(hear(k, &other[0], buf_str(&q.field), NOW), CLUSTER_TRUE);
	cluster_key_free(k);
}

static void no_byte_of_a_field_can_be_altered_left_out_or_added(void **state)
{
	struct cluster_key *k = opened(ONE TWO);
	CLEANUP(asked_fini) struct asked q = ask(k, NOW);
	char field[512];

	(void)state;
	for (size_t i = 0; i < q.field.len; i++) {
		memcpy(field, q.field.data, q.field.len + 1);
		field[i] ^= 1;
		assert_int_equal(hear(k, &words, field, NOW), CLUSTER_FALSE);
		memmove(field + i, q.field.data + i + 1, q.field.len - i);
		assert_int_equal(hear(k, &words, field, NOW), CLUSTER_FALSE);
		memcpy(field, q.field.data, q.field.len + 1);
		memmove(field + i + 1, q.field.data + i, q.field.len - i + 1);
		assert_int_equal(hear(k, &words, field, NOW), CLUSTER_FALSE);
		memcpy(field, q.field.data, q.field.len + 1);
		field[i] = '\0';
		assert_int_equal(hear(k, &words, field, NOW), CLUSTER_FALSE);
	}
	snprintf(field, sizeof(field), "%s ", buf_str(&q.field));
	assert_int_equal(hear(k, &words, field, NOW), CLUSTER_FALSE);
	assert_int_equal(hear(k, &words, NULL, NOW), CLUSTER_FALSE);
	assert_int_equal(hear(k, &words, "Bearer hf_token", NOW), CLUSTER_FALSE);
	assert_int_equal(hear(k, &words, buf_str(&q.field), NOW), CLUSTER_TRUE);
	cluster_key_free(k);
}

static void a_node_has_a_name_that_fits_into_a_field(void **state)
{
	const char *const bad[] = { "", "a b", "a\"b", "a\\b", "a\nb", "a\x7f", "\xc3\xa9" };
	char longest[CLUSTER_NODE_MAX + 2];
	char nonce[CLUSTER_NONCE_HEX + 1];
	struct cluster_key *k = opened(ONE);
	struct cluster_words w = words;
	CLEANUP(buf_free) struct buf field = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		w = words;
		w.node = bad[i];
		assert_int_equal(cluster_key_sign(k, &w, NOW, &field, nonce), -EINVAL);
		w = words;
		w.to = bad[i];
		assert_int_equal(cluster_key_sign(k, &w, NOW, &field, nonce), -EINVAL);
	}
	w = words;
	memset(longest, 'x', sizeof(longest));
	longest[CLUSTER_NODE_MAX + 1] = '\0';
	w.node = longest;
	assert_int_equal(cluster_key_sign(k, &w, NOW, &field, nonce), -EINVAL);
	longest[CLUSTER_NODE_MAX] = '\0';
	assert_int_equal(cluster_key_sign(k, &w, NOW, &field, nonce), 0);
	assert_int_equal(cluster_key_sign(k, &words, -1, &field, nonce), -EINVAL);
	cluster_key_free(k);
}

/* The verdict of one who began then about a request that was sent at NOW, when its clock says so.
 * */
static enum cluster_verdict of_who_began_at(int64_t began_ms, int64_t wall_ms)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	struct cluster_key *asker = opened(ONE), *k;
	CLEANUP(asked_fini) struct asked q = ask(asker, NOW);
	enum cluster_verdict verdict;

	assert_int_equal(cluster_key_open(put("began", ONE, 0600), began_ms, &k, &why), 0);
	verdict = hear(k, &words, buf_str(&q.field), wall_ms);
	cluster_key_free(k);
	cluster_key_free(asker);
	return verdict;
}

static void what_was_sent_before_a_restart_is_not_heard_after_it(void **state)
{
	(void)state;
	assert_int_equal(of_who_began_at(NOW + 1, NOW + 5), CLUSTER_STALE);
	assert_int_equal(of_who_began_at(NOW, NOW + 5), CLUSTER_TRUE);
	/* A clock that was set back does not make a node deaf until it has caught up. */
	assert_int_equal(of_who_began_at(NOW + 3600 * 1000, NOW), CLUSTER_TRUE);
}

static enum cluster_verdict of_node(struct cluster_key *k, int node, int64_t sent_ms,
				    int64_t wall_ms)
{
	struct cluster_words w = words;
	struct cluster_heard heard;
	CLEANUP(asked_fini) struct asked q = { 0 };
	char name[16];

	snprintf(name, sizeof(name), "n%d:1", node);
	w.node = name;
	assert_int_equal(cluster_key_sign(k, &w, sent_ms, &q.field, q.nonce), 0);
	return cluster_key_verify(k, &w, buf_str(&q.field), wall_ms, &heard);
}

/* Nodes are told apart by what they sign. */
static void no_node_uses_up_the_room_of_all(void **state)
{
	struct cluster_key *k = opened(ONE);

	(void)state;
	for (int i = 0; i < NONCES_MAX / 2; i++)
		assert_int_equal(of_node(k, 1, NOW, NOW), CLUSTER_TRUE);
	assert_int_equal(of_node(k, 1, NOW, NOW), CLUSTER_FULL);
	assert_int_equal(of_node(k, 2, NOW, NOW), CLUSTER_TRUE);
	cluster_key_free(k);
}

/* --- answers */

static bool believed(struct cluster_key *k, const struct cluster_answer *a, const char *nonce,
		     const char *info)
{
	char node[CLUSTER_NODE_MAX + 1];
	int64_t wall_ms;
	bool right = cluster_key_check_answer(k, a, nonce, info, node, &wall_ms);

	if (right) {
		assert_string_equal(node, answer.node);
		assert_int_equal(wall_ms, answer.wall_ms);
	}
	return right;
}

static void an_answer_is_believed_if_a_member_gave_it_to_this_request(void **state)
{
	struct cluster_key *k = opened(TWO ONE), *old = opened(ONE), *stranger = opened(ONE TWO);
	CLEANUP(asked_fini) struct asked q = ask(k, NOW);
	CLEANUP(asked_fini) struct asked another = ask(k, NOW);
	CLEANUP(buf_free) struct buf info = { 0 };
	CLEANUP(buf_free) struct buf said = { 0 };
	struct cluster_answer other[] = { answer, answer, answer, answer, answer, answer };

	(void)state;
	assert_int_equal(cluster_key_sign_answer(stranger, &answer, q.nonce, &info), 0);
	assert_true(believed(k, &answer, q.nonce, buf_str(&info)));
	assert_true(believed(old, &answer, q.nonce, buf_str(&info)));
	assert_false(believed(k, &answer, another.nonce, buf_str(&info)));
	assert_false(believed(k, &answer, "", buf_str(&info)));
	assert_false(believed(k, &answer, q.nonce, NULL));
	assert_false(believed(k, &answer, q.nonce, buf_str(&q.field)));
	other[0].status = 200;
	other[1].content_range = "bytes 0-1/2";
	other[2].others = "a:1, b:2, evil:3";
	other[3].zone = "";
	other[4].number = "8";
	other[5].quiet = "0";
	for (size_t i = 0; i < ARRAY_LEN(other); i++)
		assert_false(believed(k, &other[i], q.nonce, buf_str(&info)));
	/* One who has only the new key does not believe who signs with the old one. */
	assert_int_equal(cluster_key_sign_answer(old, &answer, q.nonce, &said), 0);
	cluster_key_free(stranger);
	stranger = opened(TWO);
	assert_false(believed(stranger, &answer, q.nonce, buf_str(&said)));
	cluster_key_free(stranger);
	cluster_key_free(old);
	cluster_key_free(k);
}

/* As members and hubs are asked: by their clock, which their answers tell. */
static void who_is_asked_by_its_own_clock_is_understood_and_tells_it(void **state)
{
	struct cluster_key *k = opened(ONE);
	CLEANUP(buf_free) struct buf line = { 0 }, late = { 0 }, info = { 0 };
	char nonce[CLUSTER_NONCE_HEX + 1], node[CLUSTER_NODE_MAX + 1];
	int64_t now_ms = clock_wall_ms(), ahead_ms = 0;
	struct cluster_answer of_hers = answer;
	struct cluster_heard who;

	(void)state;
	assert_int_equal(cluster_key_authorize(k, &words, HOUR_MS, &line, nonce), 0);
	assert_int_equal(strncmp(buf_str(&line), "Authorization: ", 15), 0);
	assert_int_equal(cluster_key_verify(k, &words, buf_str(&line) + 15, now_ms + HOUR_MS, &who),
			 CLUSTER_TRUE);
	assert_string_equal(who.nonce, nonce);
	assert_int_equal(cluster_key_authorize(k, &words, 0, &late, nonce), 0);
	assert_int_equal(cluster_key_verify(k, &words, buf_str(&late) + 15, now_ms + HOUR_MS, &who),
			 CLUSTER_STALE);
	of_hers.wall_ms = now_ms + HOUR_MS;
	assert_int_equal(cluster_key_sign_answer(k, &of_hers, nonce, &info), 0);
	assert_true(cluster_key_believe(k, &of_hers, nonce, buf_str(&info), node, &ahead_ms));
	assert_in_range(ahead_ms, HOUR_MS - 60000, HOUR_MS);
	assert_string_equal(node, answer.node);
	ahead_ms = 5;
	assert_false(cluster_key_believe(k, &of_hers, nonce, NULL, node, &ahead_ms));
	of_hers.status++;
	assert_false(cluster_key_believe(k, &of_hers, nonce, buf_str(&info), node, &ahead_ms));
	assert_int_equal(ahead_ms, 5);
	cluster_key_free(k);
}

static void no_byte_of_an_answer_can_be_altered(void **state)
{
	struct cluster_key *k = opened(ONE);
	CLEANUP(asked_fini) struct asked q = ask(k, NOW);
	CLEANUP(buf_free) struct buf info = { 0 };

	(void)state;
	assert_int_equal(cluster_key_sign_answer(k, &answer, q.nonce, &info), 0);
	for (size_t i = 0; i < info.len; i++) {
		char was = info.data[i];

		info.data[i] ^= 1;
		assert_false(believed(k, &answer, q.nonce, buf_str(&info)));
		info.data[i] = '\0';
		assert_false(believed(k, &answer, q.nonce, buf_str(&info)));
		info.data[i] = was;
	}
	assert_true(believed(k, &answer, q.nonce, buf_str(&info)));
	cluster_key_free(k);
}

/* An answer is no request, whatever its parts are. */
static void what_signs_an_answer_signs_no_request(void **state)
{
	struct cluster_key *k = opened(ONE);
	CLEANUP(buf_free) struct buf info = { 0 };
	CLEANUP(buf_free) struct buf field = { 0 };
	char *mac;

	(void)state;
	assert_int_equal(
		cluster_key_sign_answer(k, &answer, "0123456789abcdef0123456789abcdef", &info), 0);
	mac = strstr(info.data, "mac=");
	assert_non_null(mac);
	buf_add(&field, info.data, (size_t)(mac - info.data));
	buf_printf(&field, "nonce=0123456789abcdef0123456789abcdef, %s", mac);
	assert_int_equal(hear(k, &words, buf_str(&field), NOW), CLUSTER_FALSE);
	cluster_key_free(k);
}

/* --- a file that changes */

static bool hears(struct cluster_key *k, const char *asker)
{
	struct cluster_key *a = opened(asker);
	CLEANUP(asked_fini) struct asked q = ask(a, NOW);
	enum cluster_verdict verdict = hear(k, &words, buf_str(&q.field), NOW);

	cluster_key_free(a);
	assert_true(verdict == CLUSTER_TRUE || verdict == CLUSTER_FALSE);
	return verdict == CLUSTER_TRUE;
}

static void a_key_that_changes_is_read_again(void **state)
{
	struct cluster_key *k = opened_as("key", ONE, 0600);

	(void)state;
	assert_true(hears(k, ONE));
	put("key", TWO ONE, 0600);
	assert_false(hears(k, TWO)); /* the file is not looked at each time */
	clock_sleep_ms(AFTER_A_LOOK_MS);
	assert_true(hears(k, TWO));
	assert_true(hears(k, ONE));
	put("key", TWO, 0600);
	clock_sleep_ms(AFTER_A_LOOK_MS);
	assert_true(hears(k, TWO));
	assert_false(hears(k, ONE));
	cluster_key_free(k);
}

/* Lines that the log has, from here on, in the file `said`. */
static int hush(void)
{
	int log = open(put("said", "", 0600), O_WRONLY | O_CLOEXEC), was = dup(STDERR_FILENO);

	assert_true(log >= 0 && was >= 0);
	assert_int_equal(dup2(log, STDERR_FILENO), STDERR_FILENO);
	close(log);
	return was;
}

static void assert_said_once(int was, const char *words_of_it)
{
	CLEANUP(buf_free) struct buf said = { 0 };
	char path[64];
	const char *first;

	assert_int_equal(dup2(was, STDERR_FILENO), STDERR_FILENO);
	close(was);
	snprintf(path, sizeof(path), "%s/said", dir);
	assert_int_equal(file_read_all(AT_FDCWD, path, 10000, &said), 0);
	first = strstr(buf_str(&said), words_of_it);
	assert_non_null(first);
	assert_null(strstr(first + 1, words_of_it));
	assert_null(strstr(buf_str(&said), "first key"));
}

static void a_key_that_cannot_be_used_changes_nothing_and_is_told_once(void **state)
{
	struct cluster_key *k = opened_as("key", ONE, 0600);
	char path[64];
	int was = hush();

	(void)state;
	put("key", "short\n", 0600);
	for (int i = 0; i < 2; i++) {
		clock_sleep_ms(AFTER_A_LOOK_MS);
		assert_true(hears(k, ONE));
	}
	assert_said_once(was, "has a line of 5 bytes");
	was = hush();
	snprintf(path, sizeof(path), "%s/key", dir);
	assert_int_equal(unlink(path), 0);
	for (int i = 0; i < 2; i++) {
		clock_sleep_ms(AFTER_A_LOOK_MS);
		assert_true(hears(k, ONE));
	}
	assert_said_once(was, "No such file");
	was = hush();
	put("key", TWO, 0600);
	clock_sleep_ms(AFTER_A_LOOK_MS);
	assert_true(hears(k, TWO));
	assert_false(hears(k, ONE));
	assert_said_once(was, "read again");
	cluster_key_free(k);
}

/* Whether a new key counts that could not be read when it came: for want of descriptors, or not at
 * all. */
static bool is_heard_after_want(bool wanting)
{
	struct cluster_key *k = opened_as("key", ONE, 0600), *asker = opened(TWO);
	CLEANUP(asked_fini) struct asked q = ask(asker, NOW), again = ask(asker, NOW);
	struct rlimit was, none;
	bool heard;

	put("key", TWO, 0600);
	clock_sleep_ms(AFTER_A_LOOK_MS);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	none = (struct rlimit){ wanting ? 0 : was.rlim_cur, was.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	heard = hear(k, &words, buf_str(&q.field), NOW) == CLUSTER_TRUE;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
	assert_int_equal(heard, !wanting);
	clock_sleep_ms(AFTER_A_LOOK_MS);
	heard = hear(k, &words, buf_str(&again.field), NOW) == CLUSTER_TRUE;
	cluster_key_free(asker);
	cluster_key_free(k);
	return heard;
}

static void a_key_that_could_not_be_read_for_a_while_is_read_then(void **state)
{
	(void)state;
	assert_true(is_heard_after_want(true));
	assert_true(is_heard_after_want(false));
}

/* --- threads */

struct fanout {
	struct cluster_key *key;
	const char *field;
	atomic_int heard;
};

static void *hear_once(void *arg)
{
	struct fanout *c = arg;
	struct cluster_heard heard;

	if (cluster_key_verify(c->key, &words, c->field, NOW, &heard) == CLUSTER_TRUE)
		atomic_fetch_add(&c->heard, 1);
	return NULL;
}

static void of_many_at_once_one_is_heard(void **state)
{
	struct fanout c = { .key = opened(ONE) };

	(void)state;
	for (int round = 0; round < 50; round++) {
		CLEANUP(asked_fini) struct asked q = ask(c.key, NOW);
		pthread_t threads[8];

		c.field = buf_str(&q.field);
		atomic_store(&c.heard, 0);
		for (int i = 0; i < 8; i++)
			assert_int_equal(pthread_create(&threads[i], NULL, hear_once, &c), 0);
		for (int i = 0; i < 8; i++)
			pthread_join(threads[i], NULL);
		assert_int_equal(atomic_load(&c.heard), 1);
	}
	cluster_key_free(c.key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_key_that_can_be_used_there_is_no_cluster),
		cmocka_unit_test(who_has_the_key_is_heard_and_who_has_another_is_not),
		cmocka_unit_test(nobody_is_shut_out_while_the_key_is_changed),
		cmocka_unit_test(a_request_is_heard_once),
		cmocka_unit_test(a_clock_that_differs_too_much_is_told_from_a_wrong_key),
		cmocka_unit_test(what_is_asked_cannot_be_altered),
		cmocka_unit_test(no_byte_of_a_field_can_be_altered_left_out_or_added),
		cmocka_unit_test(a_node_has_a_name_that_fits_into_a_field),
		cmocka_unit_test(what_was_sent_before_a_restart_is_not_heard_after_it),
		cmocka_unit_test(no_node_uses_up_the_room_of_all),
		cmocka_unit_test(an_answer_is_believed_if_a_member_gave_it_to_this_request),
		cmocka_unit_test(who_is_asked_by_its_own_clock_is_understood_and_tells_it),
		cmocka_unit_test(no_byte_of_an_answer_can_be_altered),
		cmocka_unit_test(what_signs_an_answer_signs_no_request),
		cmocka_unit_test(a_key_that_changes_is_read_again),
		cmocka_unit_test(a_key_that_cannot_be_used_changes_nothing_and_is_told_once),
		cmocka_unit_test(a_key_that_could_not_be_read_for_a_while_is_read_then),
		cmocka_unit_test(of_many_at_once_one_is_heard),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
