/* SPDX-License-Identifier: Apache-2.0 */
/* The fields:
 *   Authorization: MatrixFS key=ID, node="ADDR:PORT", to="ADDR:PORT", time=MS, nonce=HEX, mac=HEX
 *   Authentication-Info: MatrixFS key=ID, node="NAME", time=MS, mac=HEX
 * always in this order and spelling. What is signed is a list of texts, each as "LENGTH:TEXT" and a
 * newline, so that no two lists look the same:
 *   "matrixfs-peer-request-2", method, target, Range, Peer-Zone, node, to, time, nonce
 *   "matrixfs-peer-answer-3", nonce, status, Content-Range, Peer-Others (of a 200 Peer-Digests),
 *   Peer-Zone, Peer-Number, Peer-Quiet, node, time */
#include "daemon/peer/cluster_key.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "daemon/base/clock.h"
#include "daemon/base/digest.h"
#include "daemon/base/err.h"
#include "daemon/base/lock.h"
#include "daemon/base/log.h"
#include "daemon/peer/key_file.h"
#include "daemon/peer/nonces.h"

#define SCHEME "MatrixFS "
#define REQUEST "matrixfs-peer-request-2"
#define ANSWER "matrixfs-peer-answer-3"
#define MAC_BYTES 32
#define MAC_HEX (2 * MAC_BYTES)
#define TIME_DIGITS_MAX 18
#define LOOK_MS 1000 /* between looks at the file */

struct cluster_key {
	char *path;
	struct lock lock;
	/* Guarded by lock. */
	struct key_file keys;
	struct key_file_stamp stamp; /* of what was tried last, be it good or bad */
	int64_t look_ms;             /* clock_ms() value of the next look */
	bool looking;
	struct nonces heard;
};

int cluster_key_open(const char *path, int64_t began_ms, struct cluster_key **ret, struct buf *why)
{
	struct cluster_key *k = calloc(1, sizeof(*k));
	int r = -ENOMEM;

	if (!k)
		return r;
	lock_init(&k->lock, LOCK_CLUSTER_KEY);
	k->path = strdup(path);
	if (k->path)
		r = key_file_read(path, &k->keys, &k->stamp, why);
	if (r < 0) {
		cluster_key_free(k);
		return r;
	}
	k->look_ms = clock_ms() + LOOK_MS;
	nonces_init(&k->heard, began_ms);
	*ret = k;
	return 0;
}

void cluster_key_free(struct cluster_key *k)
{
	if (!k)
		return;
	nonces_fini(&k->heard);
	lock_fini(&k->lock);
	free(k->path);
	explicit_bzero(k, sizeof(*k));
	free(k);
}

/* --- the keys that are valid now */

/* It is time to look, and nobody else does. */
static bool is_due(struct cluster_key *k, struct key_file_stamp *ret_known)
{
	int64_t now_ms = clock_ms();
	bool due;

	lock_take(&k->lock);
	due = !k->looking && now_ms >= k->look_ms;
	k->looking |= due;
	*ret_known = k->stamp;
	lock_drop(&k->lock);
	return due;
}

/* `fresh`: the new keys, NULL: those there are stay. */
static void end_look(struct cluster_key *k, const struct key_file *fresh,
		     const struct key_file_stamp *stamp)
{
	lock_take(&k->lock);
	if (fresh)
		k->keys = *fresh;
	k->stamp = *stamp;
	k->looking = false;
	k->look_ms = clock_ms() + LOOK_MS;
	lock_drop(&k->lock);
}

/* A failure that says nothing of the file: it is read again at the next look. */
static bool passes(int r)
{
	return r == -EMFILE || r == -ENFILE || r == -EIO || r == -ENOMEM;
}

static void look(struct cluster_key *k)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	CLEANUP(key_file_wipe) struct key_file fresh = { 0 };
	struct key_file_stamp stamp, old;
	int r;

	if (!is_due(k, &stamp))
		return;
	old = stamp;
	if (!key_file_changed(k->path, &stamp)) {
		end_look(k, NULL, &stamp);
		return;
	}
	r = key_file_read(k->path, &fresh, &stamp, &why);
	end_look(k, r < 0 ? NULL : &fresh, passes(r) ? &old : &stamp);
	if (r < 0)
		log_line(LOG_LEVEL_WARN, NULL, "the cluster key stays as it was: %s",
			 why.len ? buf_str(&why) : err_text(r));
	else
		log_info("the cluster key was read again keys=%u first=%s", fresh.count,
			 fresh.at[0].id);
}

static void keys_now(struct cluster_key *k, struct key_file *ret)
{
	look(k);
	lock_take(&k->lock);
	*ret = k->keys;
	lock_drop(&k->lock);
}

/* --- what is signed */

/* What is not there is signed as nothing. */
static void add_text(struct buf *b, const char *text)
{
	text = text ? text : "";
	buf_printf(b, "%zu:%s\n", strlen(text), text);
}

static void add_number(struct buf *b, int64_t number)
{
	char digits[24];

	snprintf(digits, sizeof(digits), "%jd", (intmax_t)number);
	add_text(b, digits);
}

/* What a field says; `to` and `nonce` are "" in that of an answer. */
struct said {
	char id[KEY_FILE_ID_HEX + 1];
	char node[CLUSTER_NODE_MAX + 1], to[CLUSTER_NODE_MAX + 1];
	int64_t wall_ms;
	char nonce[CLUSTER_NONCE_HEX + 1];
	uint8_t mac[MAC_BYTES];
};

static void add_request(struct buf *b, const struct cluster_words *words, const struct said *said)
{
	add_text(b, REQUEST);
	add_text(b, words->method);
	add_text(b, words->target);
	add_text(b, words->range);
	add_text(b, words->zone);
	add_text(b, said->node);
	add_text(b, said->to);
	add_number(b, said->wall_ms);
	add_text(b, said->nonce);
}

static void add_answer(struct buf *b, const struct cluster_answer *a, const char *node,
		       int64_t wall_ms, const char *nonce)
{
	add_text(b, ANSWER);
	add_text(b, nonce);
	add_number(b, a->status);
	add_text(b, a->content_range);
	add_text(b, a->others);
	add_text(b, a->zone);
	add_text(b, a->number);
	add_text(b, a->quiet);
	add_text(b, node);
	add_number(b, wall_ms);
}

static int mac_of(const struct key_file_key *key, const struct buf *text,
		  uint8_t ret[static MAC_BYTES])
{
	return text->failed
		       ? text->failed
		       : digest_hmac(key->secret, sizeof(key->secret), text->data, text->len, ret);
}

/* --- the fields */

static bool is_node_char(char c)
{
	return c > ' ' && c < 0x7f && c != '"' && c != '\\';
}

static size_t node_length(const char *text)
{
	size_t len = 0;

	while (is_node_char(text[len]))
		len++;
	return len;
}

static bool is_node(const char *text)
{
	size_t len = node_length(text);

	return len > 0 && len <= CLUSTER_NODE_MAX && !text[len];
}

/* Appends the value of a field, with the signature of the first key. */
static int add_field(const struct key_file *keys, const struct said *said, const struct buf *text,
		     struct buf *ret)
{
	const struct key_file_key *key = &keys->at[0];
	uint8_t mac[MAC_BYTES];
	char hex[MAC_HEX + 1];
	int r = mac_of(key, text, mac);

	if (r < 0)
		return r;
	hex_print(mac, sizeof(mac), hex);
	buf_printf(ret, SCHEME "key=%s, node=\"%s\", ", key->id, said->node);
	if (said->nonce[0])
		buf_printf(ret, "to=\"%s\", ", said->to);
	buf_printf(ret, "time=%jd, ", (intmax_t)said->wall_ms);
	if (said->nonce[0])
		buf_printf(ret, "nonce=%s, ", said->nonce);
	return buf_printf(ret, "mac=%s", hex);
}

/* Moves *at behind a word it begins with; false if it does not. */
static bool take_word(const char **at, const char *word)
{
	size_t len = strlen(word);

	if (strncmp(*at, word, len) != 0)
		return false;
	*at += len;
	return true;
}

/* Exactly so many digits. */
static bool take_hex(const char **at, size_t len, char *ret)
{
	snprintf(ret, len + 1, "%s", *at);
	*at += strlen(ret);
	return hex_is(ret, len);
}

static bool take_node(const char **at, char ret[static CLUSTER_NODE_MAX + 1])
{
	size_t len = node_length(*at);

	if (len == 0 || len > CLUSTER_NODE_MAX)
		return false;
	memcpy(ret, *at, len);
	ret[len] = '\0';
	*at += len;
	return true;
}

static bool take_time(const char **at, int64_t *ret)
{
	size_t digits = strspn(*at, "0123456789");

	if (digits == 0 || digits > TIME_DIGITS_MAX || (digits > 1 && **at == '0'))
		return false;
	*ret = strtoll(*at, NULL, 10);
	*at += digits;
	return true;
}

static bool take_to(const char **at, char ret[static CLUSTER_NODE_MAX + 1])
{
	return take_word(at, "to=\"") && take_node(at, ret) && take_word(at, "\", ");
}

static bool take_nonce(const char **at, char ret[static CLUSTER_NONCE_HEX + 1])
{
	return take_word(at, "nonce=") && take_hex(at, CLUSTER_NONCE_HEX, ret) &&
	       take_word(at, ", ");
}

static bool read_field(const char *at, bool of_request, struct said *ret)
{
	char mac[MAC_HEX + 1];

	*ret = (struct said){ 0 };
	return at && take_word(&at, SCHEME "key=") && take_hex(&at, KEY_FILE_ID_HEX, ret->id) &&
	       take_word(&at, ", node=\"") && take_node(&at, ret->node) && take_word(&at, "\", ") &&
	       (!of_request || take_to(&at, ret->to)) && take_word(&at, "time=") &&
	       take_time(&at, &ret->wall_ms) && take_word(&at, ", ") &&
	       (!of_request || take_nonce(&at, ret->nonce)) && take_word(&at, "mac=") &&
	       take_hex(&at, MAC_HEX, mac) && !*at &&
	       hex_parse(mac, sizeof(ret->mac), ret->mac) == 0;
}

/* True if one of the keys has signed that text. */
static bool is_signed(struct cluster_key *k, const struct said *said, const struct buf *text)
{
	CLEANUP(key_file_wipe) struct key_file keys;
	bool right = false;

	keys_now(k, &keys);
	for (unsigned i = 0; i < keys.count; i++) {
		uint8_t mac[MAC_BYTES];

		if (strcmp(keys.at[i].id, said->id) == 0 && mac_of(&keys.at[i], text, mac) == 0)
			right |= digest_same(mac, said->mac, sizeof(mac));
	}
	return right;
}

/* --- requests */

int cluster_key_sign(struct cluster_key *k, const struct cluster_words *words, int64_t wall_ms,
		     struct buf *ret, char ret_nonce[static CLUSTER_NONCE_HEX + 1])
{
	CLEANUP(buf_free) struct buf text = { 0 };
	CLEANUP(key_file_wipe) struct key_file keys;
	struct said said = { .wall_ms = wall_ms };
	uint8_t random[CLUSTER_NONCE_HEX / 2];

	if (!is_node(words->node) || !is_node(words->to) || wall_ms < 0)
		return -EINVAL;
	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return -EIO;
	hex_print(random, sizeof(random), said.nonce);
	snprintf(said.node, sizeof(said.node), "%s", words->node);
	memcpy(ret_nonce, said.nonce, sizeof(said.nonce));
	snprintf(said.to, sizeof(said.to), "%s", words->to);
	add_request(&text, words, &said);
	keys_now(k, &keys);
	return add_field(&keys, &said, &text, ret);
}

int cluster_key_authorize(struct cluster_key *k, const struct cluster_words *words,
			  int64_t ahead_ms, struct buf *ret_line,
			  char ret_nonce[static CLUSTER_NONCE_HEX + 1])
{
	buf_add_str(ret_line, "Authorization: ");
	return cluster_key_sign(k, words, clock_wall_ms() + ahead_ms, ret_line, ret_nonce);
}

/* What follows for a request that is signed as it should be. */
static enum cluster_verdict hear(struct cluster_key *k, const struct said *said, int64_t wall_ms)
{
	static const enum cluster_verdict verdicts[] = {
		[NONCE_NEW] = CLUSTER_TRUE,
		[NONCE_STALE] = CLUSTER_STALE,
		[NONCE_SEEN] = CLUSTER_REPLAYED,
		[NONCE_FULL] = CLUSTER_FULL,
	};
	uint64_t number = xxh3_of(said->nonce, CLUSTER_NONCE_HEX);
	uint64_t node = xxh3_of(said->node, strlen(said->node));
	enum nonce is;

	lock_take(&k->lock);
	is = nonces_hear(&k->heard, number, node, said->wall_ms, wall_ms);
	lock_drop(&k->lock);
	return verdicts[is];
}

enum cluster_verdict cluster_key_verify(struct cluster_key *k, const struct cluster_words *words,
					const char *authorization, int64_t wall_ms,
					struct cluster_heard *ret)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	struct said said;

	*ret = (struct cluster_heard){ 0 };
	if (!read_field(authorization, true, &said))
		return CLUSTER_FALSE;
	add_request(&text, words, &said);
	if (!is_signed(k, &said, &text))
		return CLUSTER_FALSE;
	memcpy(ret->node, said.node, sizeof(said.node));
	memcpy(ret->to, said.to, sizeof(said.to));
	memcpy(ret->nonce, said.nonce, sizeof(said.nonce));
	return hear(k, &said, wall_ms);
}

/* --- answers */

int cluster_key_sign_answer(struct cluster_key *k, const struct cluster_answer *a,
			    const char *nonce, struct buf *ret)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	CLEANUP(key_file_wipe) struct key_file keys;
	struct said said = { .wall_ms = a->wall_ms };

	if (!is_node(a->node) || a->wall_ms < 0)
		return -EINVAL;
	snprintf(said.node, sizeof(said.node), "%s", a->node);
	add_answer(&text, a, said.node, said.wall_ms, nonce);
	keys_now(k, &keys);
	return add_field(&keys, &said, &text, ret);
}

bool cluster_key_check_answer(struct cluster_key *k, const struct cluster_answer *a,
			      const char *nonce, const char *info,
			      char ret_node[static CLUSTER_NODE_MAX + 1], int64_t *ret_wall_ms)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	struct said said;

	if (!read_field(info, false, &said))
		return false;
	add_answer(&text, a, said.node, said.wall_ms, nonce);
	if (!is_signed(k, &said, &text))
		return false;
	memcpy(ret_node, said.node, sizeof(said.node));
	*ret_wall_ms = said.wall_ms;
	return true;
}

bool cluster_key_believe(struct cluster_key *k, const struct cluster_answer *a, const char *nonce,
			 const char *info, char ret_node[static CLUSTER_NODE_MAX + 1],
			 int64_t *ret_ahead_ms)
{
	int64_t wall_ms;

	if (!cluster_key_check_answer(k, a, nonce, info, ret_node, &wall_ms))
		return false;
	*ret_ahead_ms = wall_ms - clock_wall_ms();
	return true;
}
