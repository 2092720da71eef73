/* SPDX-License-Identifier: Apache-2.0 */
/* A row of a blob is "count size" by its etag and the namespace, one of a namespace "bytes files
 * limit". */
#include "admin/registry/holdings.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/err.h"
#include "daemon/base/log.h"

#define NUMBERS_MAX 3
#define DIGITS_MAX 20

void holdings_namespace(const char *repo_key, char ret[static ACCOUNT_NAME_MAX + 1])
{
	const char *slash = strchr(repo_key, '/');
	size_t len = slash ? strcspn(slash + 1, "/") : 0;

	snprintf(ret, ACCOUNT_NAME_MAX + 1, "%.*s", (int)len, slash ? slash + 1 : "");
	account_key(ret, ret);
}

/* ---- rows of numbers ---- */

static int parse_numbers(const char *text, uint64_t *ret, size_t count)
{
	char *end = (char *)(uintptr_t)text;

	for (size_t i = 0; i < count; i++) {
		if (*end < '0' || *end > '9')
			return ERR_CORRUPT;
		ret[i] = strtoull(end, &end, 10);
		end += *end == ' ';
	}
	return *end ? ERR_CORRUPT : 0;
}

/* Zeros if there is no such row. */
static int get_numbers(struct db_txn *t, enum db_table table, struct db_key key, uint64_t *ret,
		       size_t count)
{
	CLEANUP(buf_free) struct buf row = { 0 };
	int r = db_get(t, table, key, &row);

	memset(ret, 0, count * sizeof(*ret));
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	return parse_numbers(buf_str(&row), ret, count);
}

static int put_numbers(struct db_txn *t, enum db_table table, struct db_key key,
		       const uint64_t *numbers, size_t count)
{
	char text[NUMBERS_MAX * (DIGITS_MAX + 1)];
	size_t len = 0;

	for (size_t i = 0; i < count; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%" PRIu64, i ? " " : "",
					numbers[i]);
	return db_put(t, table, key, text, len);
}

/* ---- namespaces ---- */

struct recount {
	const char *namespace;
	struct holdings_use *use;
};

static int count_held(void *arg, const char *etag UNUSED, const char *namespace, uint64_t count,
		      uint64_t size)
{
	const struct recount *c = arg;

	if (count && !strcmp(namespace, c->namespace)) {
		c->use->bytes += size;
		c->use->files++;
	}
	return 0;
}

/* Its limit stays as it is. */
static int count_anew(struct db_txn *t, const char *namespace, struct holdings_use *ret)
{
	struct recount c = { namespace, ret };

	ret->bytes = ret->files = 0;
	return holdings_each(t, (struct db_key){ 0 }, count_held, &c);
}

static int get_use(struct db_txn *t, const char *namespace, struct holdings_use *ret)
{
	uint64_t n[3];
	int r = get_numbers(t, DB_USAGE, db_text(namespace), n, 3);

	*ret = (struct holdings_use){ .bytes = 0 };
	if (r == 0)
		*ret = (struct holdings_use){ n[0], n[1], n[2] };
	return r;
}

/* The row is there so that nobody has to count; but the limit stands nowhere else. */
int holdings_use(struct db_txn *t, const char *namespace, struct holdings_use *ret)
{
	int r = get_use(t, namespace, ret);

	return r == ERR_CORRUPT ? count_anew(t, namespace, ret) : r;
}

static int put_use(struct db_txn *t, const char *namespace, const struct holdings_use *use)
{
	const uint64_t n[] = { use->bytes, use->files, use->limit };

	if (!use->bytes && !use->files && !use->limit)
		return db_del(t, DB_USAGE, db_text(namespace));
	return put_numbers(t, DB_USAGE, db_text(namespace), n, 3);
}

/* holdings_use for who changes it. */
static int use_or_mend(struct db_txn *t, const char *namespace, struct holdings_use *ret)
{
	int r = get_use(t, namespace, ret);

	if (r != ERR_CORRUPT)
		return r;
	log_err(r,
		"the row of what a namespace uses was damaged: it was counted anew, and has no "
		"limit until one is set namespace=%s",
		namespace);
	r = count_anew(t, namespace, ret);
	return r < 0 ? r : put_use(t, namespace, ret);
}

static bool has_room(const struct holdings_use *use, uint64_t more)
{
	return !use->limit || !more ||
	       (use->bytes <= use->limit && more <= use->limit - use->bytes);
}

int holdings_check(struct db_txn *t, const char *namespace, uint64_t more)
{
	struct holdings_use use;
	int r = holdings_use(t, namespace, &use);

	if (r < 0)
		return r;
	return has_room(&use, more) ? 0 : ERR_QUOTA;
}

int holdings_limit(struct db_txn *t, const char *namespace, uint64_t bytes)
{
	struct holdings_use use;
	int r = use_or_mend(t, namespace, &use);

	use.limit = bytes;
	return r < 0 ? r : put_use(t, namespace, &use);
}

struct each_use {
	holdings_use_fn fn;
	void *arg;
};

static int each_use(void *arg, struct db_key key, const char *val, size_t len)
{
	const struct each_use *e = arg;
	char namespace[ACCOUNT_NAME_MAX + 1], text[NUMBERS_MAX * (DIGITS_MAX + 1)];
	uint64_t n[3];

	snprintf(namespace, sizeof(namespace), "%.*s", (int)key.len, (const char *)key.data);
	snprintf(text, sizeof(text), "%.*s", (int)len, val);
	if (parse_numbers(text, n, 3) < 0)
		return 0;
	return e->fn(e->arg, namespace, &(struct holdings_use){ n[0], n[1], n[2] });
}

int holdings_each_use(struct db_txn *t, const char *after, holdings_use_fn fn, void *arg)
{
	struct each_use e = { fn, arg };
	struct db_key from = after ? db_text(after) : (struct db_key){ 0 };

	if (from.len > ACCOUNT_NAME_MAX)
		from.len = ACCOUNT_NAME_MAX + 1; /* no name goes on like that */
	return db_each(t, DB_USAGE, (struct db_key){ 0 }, from, each_use, &e);
}

/* ---- blobs ---- */

struct db_key holdings_key(struct buf *room, const char *etag, const char *namespace)
{
	return db_pair(room, etag, namespace);
}

int holdings_count(struct db_txn *t, const char *namespace, const char *etag, uint64_t *ret)
{
	CLEANUP(buf_free) struct buf room = { 0 };
	uint64_t n[2];
	int r = get_numbers(t, DB_HOLDINGS, holdings_key(&room, etag, namespace), n, 2);

	*ret = n[0];
	return r == ERR_CORRUPT ? 0 : r;
}

/* From so many holders to so many; the first and the last change what the namespace holds. */
static int change(struct db_txn *t, const char *namespace, const char *etag, const uint64_t was[2],
		  const uint64_t is[2])
{
	CLEANUP(buf_free) struct buf room = { 0 };
	struct db_key key = holdings_key(&room, etag, namespace);
	struct holdings_use use;
	int r = use_or_mend(t, namespace, &use); /* before: it may be counted anew */

	if (r == 0)
		r = is[0] ? put_numbers(t, DB_HOLDINGS, key, is, 2) : db_del(t, DB_HOLDINGS, key);
	if (r < 0 || !was[0] == !is[0])
		return r;
	if (is[0]) {
		use.bytes += is[1];
		use.files++;
	} else {
		use.bytes -= use.bytes < was[1] ? use.bytes : was[1];
		use.files -= use.files > 0;
	}
	return put_use(t, namespace, &use);
}

/* As if nobody held it: the collector counts it anew, and takes nothing that a row names. */
static int forget_damaged(struct db_txn *t, const char *namespace, const char *etag,
			  struct db_key key)
{
	struct holdings_use use;
	int r = use_or_mend(t, namespace, &use);

	log_err(ERR_CORRUPT,
		"a row of who holds a file is damaged: the collector counts it anew "
		"namespace=%s etag=%s",
		namespace, etag);
	if (r == 0)
		r = db_del(t, DB_HOLDINGS, key);
	if (r == 0)
		r = count_anew(t, namespace, &use);
	return r < 0 ? r : put_use(t, namespace, &use);
}

static int get_or_mend(struct db_txn *t, const char *namespace, const char *etag, uint64_t ret[2])
{
	CLEANUP(buf_free) struct buf room = { 0 };
	struct db_key key = holdings_key(&room, etag, namespace);
	int r = get_numbers(t, DB_HOLDINGS, key, ret, 2);

	if (r != ERR_CORRUPT)
		return r;
	ret[0] = ret[1] = 0;
	return forget_damaged(t, namespace, etag, key);
}

int holdings_add(struct db_txn *t, const char *namespace, const char *etag, uint64_t size)
{
	uint64_t was[2], is[2];
	int r = get_or_mend(t, namespace, etag, was);

	if (r == 0 && !was[0])
		r = holdings_check(t, namespace, size);
	is[0] = was[0] + 1;
	is[1] = was[0] ? was[1] : size;
	return r < 0 ? r : change(t, namespace, etag, was, is);
}

int holdings_drop(struct db_txn *t, const char *namespace, const char *etag)
{
	uint64_t was[2], is[2];
	int r = get_or_mend(t, namespace, etag, was);

	if (r < 0 || !was[0])
		return r;
	is[0] = was[0] - 1;
	is[1] = was[1];
	return change(t, namespace, etag, was, is);
}

int holdings_set(struct db_txn *t, const char *namespace, const char *etag, uint64_t size,
		 uint64_t count)
{
	const uint64_t is[2] = { count, size };
	uint64_t was[2];
	int r = get_or_mend(t, namespace, etag, was);

	return r < 0 ? r : change(t, namespace, etag, was, is);
}

static int one_is_enough(void *arg UNUSED, struct db_key key UNUSED, const char *val UNUSED,
			 size_t len UNUSED)
{
	return 1;
}

int holdings_any(struct db_txn *t, const char *etag)
{
	CLEANUP(buf_free) struct buf room = { 0 };

	return db_each(t, DB_HOLDINGS, holdings_key(&room, etag, ""), (struct db_key){ 0 },
		       one_is_enough, NULL);
}

struct each {
	holdings_fn fn;
	void *arg;
};

static int each_row(void *arg, struct db_key key, const char *val, size_t len)
{
	const struct each *e = arg;
	char room[DB_KEY_MAX + 1], text[NUMBERS_MAX * (DIGITS_MAX + 1)];
	size_t etag_len;
	uint64_t n[2];

	snprintf(text, sizeof(text), "%.*s", (int)len, val);
	memcpy(room, key.data, key.len);
	room[key.len] = '\0';
	etag_len = strlen(room);
	if (etag_len == key.len || parse_numbers(text, n, 2) < 0)
		return 0;
	return e->fn(e->arg, room, room + etag_len + 1, n[0], n[1]);
}

int holdings_each(struct db_txn *t, struct db_key after, holdings_fn fn, void *arg)
{
	struct each e = { fn, arg };

	return db_each(t, DB_HOLDINGS, (struct db_key){ 0 }, after, each_row, &e);
}

/* ---- words ---- */

static void print_bytes(uint64_t bytes, struct buf *ret)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
	double n = (double)bytes;
	size_t i = 0;

	for (; n >= 1024 && i + 1 < ARRAY_LEN(units); i++)
		n /= 1024;
	buf_printf(ret, (double)(uint64_t)n < n ? "%.1f %s" : "%.0f %s", n, units[i]);
}

void holdings_complain(const char *namespace, const struct holdings_use *use, struct buf *ret)
{
	buf_printf(ret, "Storage limit reached: \"%s\" uses ", namespace);
	print_bytes(use->bytes, ret);
	buf_add_str(ret, " of the ");
	print_bytes(use->limit, ret);
	buf_add_str(ret, " it may, and this needs more. Delete files, branches or repositories "
			 "that are not needed any more, or ask an administrator to raise the "
			 "limit.");
}
