/* SPDX-License-Identifier: Apache-2.0 */
/* The one table of errors. A fallible function returns 0 or a count on success and a negative int
 * on failure: -1 ... -4095 is -errno, -5001 and below are the rows of this table. Each row says
 * once what the failure is for FUSE (errno), for HTTP (status and X-Error-Code) and for people
 * (text). */
#ifndef MATRIXFS_ERR_H
#define MATRIXFS_ERR_H

#include <errno.h>
#include <stdbool.h>

/* X(name, value, errno, http, hub code, text) */
#define ERR_LIST(X) \
	X(ERR_DIGEST, -5001, EIO, 502, "", "bytes do not match their digest") \
	X(ERR_NOREPO, -5002, ENOENT, 404, "RepoNotFound", \
	  "no such repository, or it is private and the token does not open it") \
	X(ERR_NOREV, -5003, ENOENT, 404, "RevisionNotFound", "no such revision") \
	X(ERR_NOENTRY, -5004, ENOENT, 404, "EntryNotFound", "no such file in this revision") \
	X(ERR_GATED, -5005, EACCES, 403, "GatedRepo", \
	  "the repository is gated: ask for access on its page, with the token's account") \
	X(ERR_DISABLED, -5006, EACCES, 403, "", "the hub has disabled access to this repository") \
	X(ERR_TOKEN, -5007, EACCES, 401, "", \
	  "the hub does not accept the token: renew the token file") \
	X(ERR_MOVED, -5008, EIO, 307, "", "the repository has another name now") \
	X(ERR_UPSTREAM, -5009, EIO, 502, "", "the hub cannot be reached") \
	X(ERR_TIMEOUT, -5010, EIO, 504, "", "no answer before the deadline") \
	X(ERR_BUSY, -5011, EIO, 503, "", "the hub asks to come back later") \
	X(ERR_SERVER, -5012, EIO, 502, "", "the hub answered with a server error") \
	X(ERR_PROTO, -5013, EIO, 502, "", "the hub's answer makes no sense") \
	X(ERR_HOSTILE, -5014, EIO, 502, "", "the file list holds a path that must not be shown") \
	X(ERR_CHANGED, -5015, EIO, 502, "", "the file changed on the hub while it was read") \
	X(ERR_SIZE, -5016, EIO, 502, "", "the file has another size than its listing says") \
	X(ERR_CUT, -5017, EIO, 502, "", "the connection broke before the end") \
	X(ERR_EXPIRED, -5018, EIO, 502, "", "the signed location is no longer valid") \
	X(ERR_TLS, -5019, EIO, 502, "", \
	  "the hub's certificate is not trusted: install its CA on this machine") \
	X(ERR_REDIRECT, -5020, EIO, 502, "", "too many redirects") \
	X(ERR_OFFLINE, -5021, EIO, 503, "", \
	  "not in the cache, and --offline forbids asking the hub") \
	X(ERR_FORMAT, -5022, EINVAL, 500, "", "unknown format version") \
	X(ERR_LOCKED, -5023, EBUSY, 500, "", "in use by another process") \
	X(ERR_CANCELED, -5024, EINTR, 499, "", "the caller gave up") \
	X(ERR_STOPPING, -5025, EIO, 503, "", "matrixfs is stopping") \
	X(ERR_CONF, -5026, EINVAL, 400, "", "bad configuration") \
	X(ERR_CORRUPT, -5027, EIO, 500, "", "a record in the cache is damaged") \
	X(ERR_FULL, -5028, ENOSPC, 507, "", \
	  "the cache may take no more (--cache-size, --cache-min-free)") \
	X(ERR_TOO_LARGE, -5029, ENOSPC, 507, "", \
	  "with it the pins would take more than the cache may (--cache-size, --cache-min-free)") \
	X(ERR_FORBIDDEN, -5030, EACCES, 403, "", "the token does not give that right") \
	X(ERR_GUESSING, -5031, EACCES, 429, "", \
	  "too many wrong tokens came from this address: try again in a few seconds") \
	X(ERR_READ_ONLY, -5032, EROFS, 507, "", \
	  "there is no room on the disk: nothing can be changed until there is") \
	X(ERR_TAG_LOCKED, -5033, EPERM, 403, "TagLocked", \
	  "the tag is locked: it can be neither moved nor deleted") \
	X(ERR_QUOTA, -5034, EDQUOT, 403, "", \
	  "the storage limit of the namespace is reached: delete what is not needed, or ask an " \
	  "administrator for more") \
	X(ERR_NODES, -5035, EIO, 502, "", "some nodes have not got it")

enum err {
#define X(name, value, errno_, http, code, text) name = value,
	ERR_LIST(X)
#undef X
};

/* The positive errno FUSE answers for r (r < 0). Unknown codes are EIO. */
int err_errno(int r);
/* The HTTP status for r (r < 0). */
int err_http(int r);
/* The X-Error-Code for r, "" where it has none; static. */
const char *err_hub_code(int r);
/* What happened, in a person's words; static for rows, per thread for errno values. */
const char *err_text(int r);
/* A small number for r: 0 ... err_count() - 1, 0 for what is no row of the table; and its word
 * ("TIMEOUT", "errno" for 0), fit for a label; static. */
unsigned err_index(int r);
unsigned err_count(void);
const char *err_word(unsigned index);
/* The row with that word, or 0 if there is none. */
int err_from_word(const char *word);
/* Notes what more is known of failure r on this thread, in the words of whoever met it
 * ("Connection refused"): until the next note, or the next operation on this thread, err_noted(r)
 * tells. No secrets: it goes to logs. */
void err_note(int r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* An operation begins that may note something: what was noted before is of no failure of it. */
void err_forget_note(void);
/* What this thread noted last, if it was about r; "" otherwise. Borrowed until the next note. */
const char *err_noted(int r);
/* True if no more bytes can be kept: the limits of the cache are reached, or its disk refuses them
 * (full, over quota, read-only, its files may grow no further, broken). */
bool err_is_disk(int r);
/* The same, if room would help. */
bool err_is_full(int r);
/* True if it says that a file is not to be had at one place, of this node: another may have it. */
bool err_is_misplaced(int r);
/* The row whose hub code is `code` ("RepoNotFound"), or 0 if there is none. */
int err_from_hub_code(const char *code);

#endif
