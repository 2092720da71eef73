/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/reread.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "admin/catalogue/extracts.h"
#include "admin/registry/aside.h"
#include "admin/registry/holdings.h"
#include "admin/registry/recipes.h"
#include "admin/registry/xorb_rows.h"
#include "daemon/base/digest.h"
#include "daemon/base/err.h"
#include "daemon/base/file.h"

#define PIECE_BYTES (256 << 10)
#define ROWS 1024 /* of a transaction */
#define ETAG_ROOM (DIGEST_HEX_MAX + 1)

/* ---- one blob ---- */

/* *ret_right: its bytes have that id. What cannot be read has not. */
static int read_once(struct reread *r, int fd, const char *etag, uint64_t size, bool *ret_right)
{
	enum digest_kind kind = strlen(etag) == DIGEST_HEX_MAX ? DIGEST_SHA256 : DIGEST_GIT_SHA1;
	CLEANUP(digest_freep) struct digest *d = NULL;
	CLEANUP(freep) char *piece = malloc(PIECE_BYTES);
	uint8_t digest[DIGEST_BYTES_MAX];
	char hex[DIGEST_HEX_MAX + 1];
	int result = piece ? digest_new(kind, size, &d) : -ENOMEM, io = 0;

	for (uint64_t off = 0; result == 0 && io == 0 && off < size; off += PIECE_BYTES) {
		size_t len = size - off < PIECE_BYTES ? (size_t)(size - off) : PIECE_BYTES;

		io = file_pread(fd, piece, len, off);
		if (io == 0)
			result = digest_update(d, piece, len);
		if (result == 0)
			result = r->rest(r->arg, len, &r->counts);
	}
	if (result == 0)
		result = digest_final(d, digest);
	if (result < 0)
		return result;
	hex_print(digest, digest_size(kind), hex);
	*ret_right = io == 0 && !strcmp(hex, etag);
	/* Nobody reads it for itself: it need not push out what others read; and a second look is
	 * at the disk. */
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	return 0;
}

struct forgetting {
	const char *etag;
	bool more;
};

static int forget_some(struct db_txn *t, void *arg)
{
	struct forgetting *f = arg;
	unsigned left = XORB_ROWS_SOME;
	int r = extracts_forget(t, f->etag);

	if (r == 0)
		r = recipes_forget(t, f->etag);
	if (r == 0)
		r = xorb_rows_forget(t, f->etag, &left);
	f->more = r == 1;
	return r < 0 ? r : 0;
}

/* What was read of the wrong bytes must not be believed of the right ones, when they come. Chunks
 * that lay there are to be sent again. */
static int forget_all(void *arg, const char *etag)
{
	struct forgetting f = { etag, true };
	struct reread *r = arg;
	int result = 0;

	while (result == 0 && f.more)
		result = db_write(r->db, forget_some, &f);
	return result;
}

static int set_aside(struct reread *r, const char *etag, int fd)
{
	int result = aside_damaged(r->intake, etag, fd);

	if (result <= 0)
		return result;
	r->counts.damaged++;
	r->tell(r->arg, etag, false);
	return forget_all(r, etag);
}

/* What is wrong twice is wrong. */
int reread_one(struct reread *r, const char *etag)
{
	uint64_t size = 0;
	CLEANUP(closep) int fd = intake_open_blob(r->intake, etag, &size);
	bool right = true;
	int result;

	if (fd < 0)
		return 0; /* it has gone; or it is told of as missing */
	result = read_once(r, fd, etag, size, &right);
	if (result == 0 && !right)
		result = read_once(r, fd, etag, size, &right);
	if (result < 0)
		return result;
	r->counts.looked++;
	r->counts.looked_bytes += size;
	return right ? 0 : set_aside(r, etag, fd);
}

static int list_blob(void *arg, const char *etag, uint64_t size UNUSED, int64_t spoken_s UNUSED)
{
	char room[ETAG_ROOM] = "";

	snprintf(room, sizeof(room), "%s", etag);
	return buf_add(arg, room, sizeof(room));
}

static int check_byte(struct reread *r, unsigned byte)
{
	CLEANUP(buf_free) struct buf etags = { 0 };
	int result = aside_each(r->intake, byte, list_blob, &etags);

	for (size_t at = 0; result == 0 && at < etags.len; at += ETAG_ROOM)
		result = reread_one(r, etags.data + at);
	return result < 0 ? result : r->rest(r->arg, 0, &r->counts);
}

/* ---- what is missing ---- */

struct search {
	struct reread *r;
	struct buf key, missing;
	unsigned left;
};

static int look(void *arg, const char *etag, const char *namespace, uint64_t count UNUSED,
		uint64_t size UNUSED)
{
	struct search *s = arg;
	int r = 0;

	if (s->left-- == 0)
		return 1;
	if (!intake_is_there(s->r->intake, etag) && !aside_was_damaged(s->r->intake, etag))
		r = list_blob(&s->missing, etag, 0, 0);
	holdings_key(&s->key, etag, namespace);
	return r;
}

static int look_at_some(struct db_txn *t, void *arg)
{
	CLEANUP(buf_free) struct buf after = { 0 };
	struct search *s = arg;
	int r = buf_add(&after, s->key.data, s->key.len);

	s->left = ROWS;
	return r < 0 ? r : holdings_each(t, (struct db_key){ after.data, after.len }, look, s);
}

static int is_held(struct db_txn *t, void *arg)
{
	return holdings_any(t, arg);
}

/* It may have been collected between the two looks: then nobody holds it now. */
static int tell_missing(struct search *s)
{
	struct reread *r = s->r;

	for (size_t at = 0; at < s->missing.len; at += ETAG_ROOM) {
		char *etag = s->missing.data + at;

		if (db_read(r->db, is_held, etag) != 1 || intake_is_there(r->intake, etag))
			continue;
		r->counts.missing++;
		r->tell(r->arg, etag, true);
	}
	buf_clear(&s->missing);
	return r->rest(r->arg, 0, &r->counts);
}

static int find_missing(struct reread *r)
{
	struct search s = { .r = r };
	int result = 1;

	while (result == 1) {
		int told;

		result = db_read(r->db, look_at_some, &s);
		told = result < 0 ? result : tell_missing(&s);
		result = told < 0 ? told : result;
	}
	buf_free(&s.key);
	buf_free(&s.missing);
	return result;
}

/* ---- all ---- */

static int forget_extracts(struct db_txn *t, void *arg)
{
	return extracts_forget(t, arg);
}

/* Once more, of who was reading when it was set aside. */
static int forget_healed(void *arg, const char *etag)
{
	char room[ETAG_ROOM];
	struct reread *r = arg;
	int result;

	snprintf(room, sizeof(room), "%s", etag);
	result = db_write(r->db, forget_extracts, room);
	if (result < 0)
		return result;
	r->counts.healed++;
	aside_forget_damaged(r->intake, etag);
	return 0;
}

int reread_all(struct reread *r)
{
	int result = 0;

	for (unsigned byte = 0; result == 0 && byte < 256; byte++)
		result = check_byte(r, byte);
	if (result == 0) /* of those at which a run was cut off */
		result = aside_each_damaged(r->intake, forget_all, r);
	if (result == 0)
		result = aside_each_healed(r->intake, forget_healed, r);
	return result < 0 ? result : find_missing(r);
}
