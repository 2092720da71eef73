/* SPDX-License-Identifier: Apache-2.0 */
/* A target is "/peer/v1/blobs/ETAG?size=N&repo=KEY&commit=C&path=P", with "&bring=1" if the blob
 * may be brought, "&number=N" if a member said to ask here, "&wait=MS" if it is to wait longer than
 * usual, and "&failed=A,B" if some failed. Or it is "/peer/v1/digests/ETAG?..." likewise, with
 * "&segment=K" instead of a range, and "&witness=1" if who is asked is to be a witness, with
 * "&chunks=BITS" if not of all of it, or "&held=1" if it is to say what it holds. Names that are
 * not known are passed over, so that a later version may say more; of those that are, each is there
 * once. */
#include "daemon/peer/wire.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/num.h"
#include "daemon/base/url.h"
#include "daemon/cache/chunk.h"

#define BLOBS WIRE_ROOT "blobs/"
#define DIGESTS WIRE_ROOT "digests/"
#define UNIT "bytes="
#define SHA1_HEX 40
#define SHA256_HEX 64
#define CHUNKS_ALL ((1U << WIRE_CHUNKS) - 1)

/* --- addresses, and lists of them */

/* The next address of "a, b" from *at on. 0; -ENOENT: there is none; -EINVAL: it has no form of
 * one. */
static int next_address(const char **at, char ret[static MEMBER_ADDRESS_MAX + 1])
{
	const char *start = *at + strspn(*at, ", \t");
	size_t len = strcspn(start, ", \t");

	*at = start + len;
	if (len == 0)
		return -ENOENT;
	return member_address_read(start, len, ret) ? 0 : -EINVAL;
}

void wire_write_others(const char (*others)[MEMBER_ADDRESS_MAX + 1], unsigned count,
		       struct buf *ret)
{
	for (unsigned i = 0; i < count; i++)
		buf_printf(ret, "%s%s", i ? ", " : "", others[i]);
}

unsigned wire_read_others(const char *text,
			  char ret[static WIRE_OTHERS_MAX][MEMBER_ADDRESS_MAX + 1])
{
	unsigned count = 0;

	while (count < WIRE_OTHERS_MAX) {
		int r = next_address(&text, ret[count]);

		if (r == -ENOENT)
			break;
		count += r == 0;
	}
	return count;
}

/* --- writing */

static void write_origin(const struct wire_ask *ask, struct buf *ret)
{
	char key[REPO_KEY_MAX + 1];

	repo_id_key(&ask->repo, key);
	buf_add_str(ret, "&repo=");
	url_encode(ret, key, 1);
	buf_printf(ret, "&commit=%s&path=", ask->commit);
	url_encode(ret, ask->path, 1);
}

int wire_write_ask(const struct wire_ask *ask, struct buf *ret_target, struct buf *ret_range)
{
	buf_printf(ret_target, "%s%s?size=%ju", ask->digests ? DIGESTS : BLOBS, ask->etag,
		   (uintmax_t)ask->size);
	write_origin(ask, ret_target);
	if (ask->digests)
		buf_printf(ret_target, "&segment=%u", segment_of(ask->off));
	if (ask->witness)
		buf_add_str(ret_target, "&witness=1");
	if (ask->chunks)
		buf_printf(ret_target, "&chunks=%u", ask->chunks);
	if (ask->held)
		buf_add_str(ret_target, "&held=1");
	if (ask->bring)
		buf_add_str(ret_target, "&bring=1");
	if (ask->number)
		buf_printf(ret_target, "&number=%u", ask->number);
	if (ask->wait_ms)
		buf_printf(ret_target, "&wait=%u", ask->wait_ms);
	for (unsigned i = 0; i < ask->failed_count; i++) {
		buf_add_str(ret_target, i ? "," : "&failed=");
		url_encode(ret_target, ask->failed[i], 0);
	}
	if (!ask->digests)
		buf_printf(ret_range, UNIT "%ju-%ju", (uintmax_t)ask->off,
			   (uintmax_t)(ask->off + ask->len - 1));
	return ret_target->failed ? ret_target->failed : ret_range->failed;
}

/* --- reading */

/* What a query may say; each gets its value, or NULL if it is not there. */
enum field {
	SIZE,
	REPO,
	COMMIT,
	PATH,
	BRING,
	NUMBER,
	WAIT,
	FAILED,
	SEGMENT,
	WITNESS,
	CHUNKS,
	HELD,
	FIELDS
};

static const char *const field_names[FIELDS] = {
	[SIZE] = "size",       [REPO] = "repo",       [COMMIT] = "commit", [BRING] = "bring",
	[PATH] = "path",       [NUMBER] = "number",   [WAIT] = "wait",     [FAILED] = "failed",
	[SEGMENT] = "segment", [WITNESS] = "witness", [CHUNKS] = "chunks", [HELD] = "held",
};

static int bad(struct buf *why, const char *what)
{
	buf_add_str(why, what);
	return -EINVAL;
}

/* Digits alone, no zero before others; moves *at behind them. */
static bool take_number(const char **at, uint64_t *ret)
{
	const char *start = *at;

	*ret = 0;
	for (; isdigit((unsigned char)**at); ++*at) {
		if (__builtin_mul_overflow(*ret, 10, ret) ||
		    __builtin_add_overflow(*ret, (uint64_t)(**at - '0'), ret))
			return false;
	}
	return *at > start && (*start != '0' || *at == start + 1);
}

static bool is_number(const char *text, uint64_t *ret)
{
	return take_number(&text, ret) && !*text;
}

uint32_t wire_read_number(const char *text)
{
	uint64_t number;

	return is_number(text, &number) && number <= UINT32_MAX ? (uint32_t)number : 0;
}

int64_t wire_read_quiet(const char *text)
{
	uint64_t ms;

	return is_number(text, &ms) && ms <= UINT32_MAX ? (int64_t)ms : -1;
}

/* Decodes one name=value in place and notes it. */
static int note_field(char *pair, char *value[static FIELDS], struct buf *why)
{
	char *text = strchr(pair, '=');

	if (!text)
		return bad(why, "a field of its query has no value");
	*text++ = '\0';
	for (enum field f = 0; f < FIELDS; f++) {
		if (strcmp(pair, field_names[f]) != 0)
			continue;
		if (value[f])
			return bad(why, "a field of its query is there twice");
		if (strstr(text, "%00"))
			return bad(why, "a field of its query has a NUL");
		url_decode(text);
		value[f] = text;
	}
	return 0;
}

static int split_query(char *query, char *value[static FIELDS], struct buf *why)
{
	char *next = query;
	int r = 0;

	while (r == 0 && next) {
		char *pair = strsep(&next, "&");

		r = note_field(pair, value, why);
	}
	return r;
}

bool wire_is_etag(const char *text)
{
	return hex_is(text, SHA256_HEX) || hex_is(text, SHA1_HEX);
}

static int read_etag(const char *text, struct wire_ask *ret, struct buf *why)
{
	ret->lfs = hex_is(text, SHA256_HEX);
	if (!wire_is_etag(text))
		return bad(why, "it names no blob");
	snprintf(ret->etag, sizeof(ret->etag), "%s", text);
	return 0;
}

static int read_origin(char *const value[static FIELDS], struct wire_ask *ret, struct buf *path,
		       struct buf *why)
{
	CLEANUP(buf_free) struct buf hostile = { 0 };

	if (!value[REPO] || !value[COMMIT] || !value[PATH])
		return bad(why, "it does not say where the blob lies");
	if (repo_id_parse_key(value[REPO], &ret->repo) < 0)
		return bad(why, "its repo is none");
	if (!commit_valid(value[COMMIT]))
		return bad(why, "its commit is none");
	snprintf(ret->commit, sizeof(ret->commit), "%s", value[COMMIT]);
	if (manifest_check_path(value[PATH], &hostile) < 0)
		return bad(why, "its path is none that a repository may have");
	buf_clear(path);
	if (buf_add_str(path, value[PATH]) < 0)
		return -ENOMEM;
	ret->path = buf_str(path);
	return 0;
}

static int read_failed(const char *text, struct wire_ask *ret, struct buf *why)
{
	char address[MEMBER_ADDRESS_MAX + 1];
	int r;

	while ((r = next_address(&text, address)) == 0) {
		if (ret->failed_count == WIRE_OTHERS_MAX)
			return bad(why, "it names too many that failed");
		memcpy(ret->failed[ret->failed_count++], address, sizeof(address));
	}
	return r == -ENOENT ? 0 : bad(why, "one that failed has no address");
}

static int read_range(const char *text, struct wire_ask *ret, struct buf *why)
{
	uint64_t first, last;

	if (strncmp(text, UNIT, strlen(UNIT)) != 0)
		return bad(why, "it asks for no range");
	text += strlen(UNIT);
	if (!take_number(&text, &first) || *text++ != '-' || !is_number(text, &last) ||
	    last < first)
		return bad(why, "its range is none");
	if (last >= ret->size)
		return bad(why, "its range ends behind the blob");
	if (first / SEGMENT_BYTES != last / SEGMENT_BYTES)
		return bad(why, "its range lies in more than one segment");
	ret->off = first;
	ret->len = last - first + 1;
	return 0;
}

/* Instead of a range. */
static int read_segment(char *const value[static FIELDS], struct wire_ask *ret, struct buf *why)
{
	uint64_t segment, chunks = 0;

	if (!value[SEGMENT] || !is_number(value[SEGMENT], &segment) ||
	    segment >= segment_count(ret->size))
		return bad(why, "its segment is none");
	if (value[CHUNKS] && (!is_number(value[CHUNKS], &chunks) || !chunks || chunks > CHUNKS_ALL))
		return bad(why, "its chunks are none");
	ret->off = segment_start((uint32_t)segment);
	ret->len = segment_end((uint32_t)segment, ret->size) - ret->off;
	ret->witness = value[WITNESS];
	ret->chunks = ret->witness ? (uint32_t)chunks : 0;
	ret->held = value[HELD] && !ret->witness;
	return 0;
}

static bool read_wait(const char *text, struct wire_ask *ret)
{
	uint64_t ms = 0;
	bool so = !text || (is_number(text, &ms) && ms && ms <= WIRE_WAIT_MAX_MS);

	ret->wait_ms = so ? (uint32_t)ms : 0;
	return so;
}

static int read_query(char *query, struct wire_ask *ret, struct buf *path, struct buf *why)
{
	char *value[FIELDS] = { 0 };
	int r = split_query(query, value, why);

	if (r < 0)
		return r;
	if (!value[SIZE] || !is_number(value[SIZE], &ret->size) || ret->size > WIRE_SIZE_MAX)
		return bad(why, "its size is none");
	ret->number = value[NUMBER] ? wire_read_number(value[NUMBER]) : 0;
	if (value[NUMBER] && !ret->number)
		return bad(why, "its number is none");
	if (!read_wait(value[WAIT], ret))
		return bad(why, "its wait is none");
	ret->bring = value[BRING];
	r = read_origin(value, ret, path, why);
	if (r == 0 && value[FAILED])
		r = read_failed(value[FAILED], ret, why);
	return r == 0 && ret->digests ? read_segment(value, ret, why) : r;
}

/* Which of the two it is; what follows it. */
static char *read_kind(char *target, struct wire_ask *ret)
{
	ret->digests = strncmp(target, DIGESTS, strlen(DIGESTS)) == 0;
	if (ret->digests)
		return target + strlen(DIGESTS);
	return strncmp(target, BLOBS, strlen(BLOBS)) == 0 ? target + strlen(BLOBS) : NULL;
}

int wire_read_ask(const char *target, const char *range, struct wire_ask *ret, struct buf *path,
		  struct buf *why)
{
	CLEANUP(freep) char *copy = strdup(target);
	char *etag, *query;
	int r;

	*ret = (struct wire_ask){ 0 };
	if (!copy)
		return -ENOMEM;
	query = strchr(copy, '?');
	etag = read_kind(copy, ret);
	if (!etag || !query)
		return bad(why, "it names no blob");
	*query++ = '\0';
	r = read_etag(etag, ret, why);
	if (r == 0)
		r = read_query(query, ret, path, why);
	return r == 0 && !ret->digests ? read_range(range, ret, why) : r;
}

uint64_t wire_origin(const struct wire_ask *ask)
{
	return placement_key(ask->path) + 3 * placement_key(ask->commit) +
	       5 * placement_key(ask->repo.name) + ask->repo.type;
}

struct segment wire_segment(const struct wire_ask *ask)
{
	return (struct segment){ placement_key(ask->etag), segment_of(ask->off) };
}

int wire_blob(const struct wire_ask *ask, struct source_blob *ret)
{
	*ret = (struct source_blob){
		.repo = ask->repo,
		.path = ask->path ? ask->path : "",
		.file = { .size = ask->size, .kind = ask->lfs ? DIGEST_SHA256 : DIGEST_GIT_SHA1 },
	};
	memcpy(ret->commit, ask->commit, sizeof(ret->commit));
	memcpy(ret->etag, ask->etag, sizeof(ret->etag));
	return hex_parse(ask->etag, digest_size(ret->file.kind), ret->file.digest);
}

struct wire_ask wire_ask_of(const struct source_blob *blob, uint64_t off, uint64_t len)
{
	struct wire_ask ask = {
		.size = blob->file.size,
		.off = off,
		.len = len,
		.repo = blob->repo,
		.path = blob->path,
		.lfs = blob->file.kind == DIGEST_SHA256,
	};

	memcpy(ask.etag, blob->etag, sizeof(ask.etag));
	memcpy(ask.commit, blob->commit, sizeof(ask.commit));
	return ask;
}

/* --- digests */

_Static_assert(WIRE_CHUNKS *CHUNK_BYTES == SEGMENT_BYTES, "a segment has so many");

uint32_t wire_chunks(const struct wire_ask *ask)
{
	return chunk_of(ask->off + ask->len - 1) - chunk_of(ask->off) + 1;
}

void wire_write_digests(const struct wire_ask *ask, const struct wire_digests *d, struct buf *ret)
{
	char hex[SHA256_HEX + 1];

	for (uint32_t i = 0; i < wire_chunks(ask); i++) {
		hex_print(d->of[i], sizeof(d->of[i]), hex);
		buf_printf(ret, "%s%s", i ? "," : "", chunk_digest_known(d->of[i]) ? hex : "-");
	}
}

bool wire_read_digests(const struct wire_ask *ask, const char *text, struct wire_digests *ret)
{
	uint32_t count = wire_chunks(ask);

	*ret = (struct wire_digests){ 0 };
	for (uint32_t i = 0; i < count; i++) {
		size_t len = strcspn(text, ",");
		char hex[SHA256_HEX + 1];

		snprintf(hex, sizeof(hex), "%.*s", (int)min_u64(len, SHA256_HEX), text);
		if (!(len == 1 && *hex == '-') &&
		    (len != SHA256_HEX || !hex_is(hex, SHA256_HEX) ||
		     hex_parse(hex, sizeof(ret->of[i]), ret->of[i]) < 0))
			return false;
		text += len;
		if (*text != (i + 1 < count ? ',' : '\0'))
			return false;
		text += i + 1 < count;
	}
	return true;
}
