/* SPDX-License-Identifier: Apache-2.0 */
/* Of a line come the key that signs and the ID that tells keys apart, both by HMAC. */
#include "daemon/peer/key_file.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/digest.h"
#include "daemon/base/file.h"
#include "daemon/base/why.h"

#define KEY_BYTES_MIN 16
#define FILE_BYTES_MAX 4096

static int derive(const char *line, size_t len, struct key_file_key *ret)
{
	static const char for_secret[] = "matrixfs-cluster-key-1", for_id[] = "matrixfs-key-id-1";
	uint8_t id[KEY_FILE_BYTES];
	int r = digest_hmac(line, len, for_secret, strlen(for_secret), ret->secret);

	if (r == 0)
		r = digest_hmac(line, len, for_id, strlen(for_id), id);
	if (r == 0)
		hex_print(id, KEY_FILE_ID_HEX / 2, ret->id);
	return r;
}

static int read_line(const char *path, const char *line, size_t len, struct key_file *ret,
		     struct buf *why)
{
	while (len > 0 && isspace((unsigned char)line[len - 1]))
		len--;
	for (; len > 0 && isspace((unsigned char)*line); line++)
		len--;
	if (len == 0 || *line == '#')
		return 0;
	if (ret->count == KEY_FILE_KEYS_MAX)
		return complain(why, "The key file %s holds more than two keys.", path);
	if (len < KEY_BYTES_MIN)
		return complain(why,
				"The key file %s has a line of %zu bytes: a key has %d "
				"or more, as \"openssl rand -hex 32\" makes one.",
				path, len, KEY_BYTES_MIN);
	return derive(line, len, &ret->at[ret->count++]);
}

static int read_lines(const char *path, const char *text, size_t len, struct key_file *ret,
		      struct buf *why)
{
	int r = 0;

	while (r == 0 && len > 0) {
		const char *end = memchr(text, '\n', len);
		size_t line = end ? (size_t)(end - text) : len;

		r = read_line(path, text, line, ret, why);
		line += end != NULL;
		text += line;
		len -= line;
	}
	if (r == 0 && ret->count == 0)
		return complain(
			why, "The key file %s is empty: \"openssl rand -hex 32\" makes one.", path);
	return r;
}

static int unreadable(int r, const char *path, struct buf *why)
{
	return complain_as(r, why, "The key file %s cannot be read: %s.", path, err_text(r));
}

static int read_text(const char *path, int fd, size_t size, struct key_file *ret, struct buf *why)
{
	char text[FILE_BYTES_MAX];
	int r;

	if (size > sizeof(text))
		return complain(why,
				"The key file %s is too large to be one: it has one line or "
				"two, as \"openssl rand -hex 32\" makes them.",
				path);
	r = file_pread(fd, text, size, 0);
	r = r == 0 ? read_lines(path, text, size, ret, why) : unreadable(r, path, why);
	explicit_bzero(text, sizeof(text));
	return r;
}

static struct key_file_stamp stamp_of(const struct stat *st)
{
	return (struct key_file_stamp){ st->st_dev,  st->st_ino,  st->st_size,
					st->st_mode, st->st_mtim, st->st_ctim };
}

int key_file_read(const char *path, struct key_file *ret, struct key_file_stamp *ret_stamp,
		  struct buf *why)
{
	CLEANUP(closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	*ret = (struct key_file){ 0 };
	if (fd < 0 || fstat(fd, &st) < 0)
		return unreadable(-errno, path, why);
	*ret_stamp = stamp_of(&st);
	if (!S_ISREG(st.st_mode))
		return complain(why, "The key file %s is no file.", path);
	if (st.st_mode & (S_IWGRP | S_IRWXO))
		return complain(why, "The key file %s is open to others: chmod 600 %s.", path,
				path);
	if (st.st_uid != geteuid() && st.st_uid != 0)
		return complain(why,
				"The key file %s belongs to another user (%u), who may change "
				"it: chown it to root or to who runs this.",
				path, (unsigned)st.st_uid);
	return read_text(path, fd, (size_t)st.st_size, ret, why);
}

static bool same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

int key_file_check(const char *path, struct buf *why)
{
	struct key_file keys = { 0 };
	struct key_file_stamp stamp;
	int r = path ? key_file_read(path, &keys, &stamp, why) : 0;

	key_file_wipe(&keys);
	return r;
}

bool key_file_changed(const char *path, struct key_file_stamp *stamp)
{
	const struct key_file_stamp old = *stamp;
	struct stat st;

	*stamp = stat(path, &st) < 0 ? (struct key_file_stamp){ 0 } : stamp_of(&st);
	return stamp->dev != old.dev || stamp->ino != old.ino || stamp->size != old.size ||
	       stamp->mode != old.mode || !same_time(stamp->modified, old.modified) ||
	       !same_time(stamp->changed, old.changed);
}

void key_file_wipe(struct key_file *keys)
{
	explicit_bzero(keys, sizeof(*keys));
}
