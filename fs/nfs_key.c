/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/nfs_key.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>

#include "daemon/base/err.h"
#include "daemon/base/file.h"
#include "daemon/base/log.h"
#include "daemon/peer/key_file.h"

#define KEY_FILE "nfs.key"
#define PURPOSE "matrixfs-nfs-handles-1"

static int make_key(const char *path, uint8_t ret[static NFS_KEY])
{
	if (getrandom(ret, NFS_KEY, 0) != NFS_KEY)
		return -EIO;
	return file_replace(AT_FDCWD, path, ret, NFS_KEY, 0600);
}

/* For none, or for what is no key: r is what became of reading it. */
static int replace_key(const char *path, int r, uint8_t ret[static NFS_KEY])
{
	if (r != -ENOENT)
		log_line(LOG_LEVEL_WARN, NULL,
			 "the key of NFS file handles has not %d bytes and is made anew: clients "
			 "must mount again path=%s",
			 NFS_KEY, path);
	return make_key(path, ret);
}

/* Handles that were given out are to be good after a restart. */
static int find_own(const char *dir, struct nfs_keys *ret, struct buf *why)
{
	CLEANUP(buf_free) struct buf path = { 0 };
	CLEANUP(buf_free) struct buf key = { 0 };
	int r;

	buf_printf(&path, "%s/" KEY_FILE, dir);
	if (path.failed)
		return path.failed;
	r = file_read_all(AT_FDCWD, path.data, NFS_KEY, &key);
	if (r == 0 && key.len == NFS_KEY)
		memcpy(ret->at[0], key.data, NFS_KEY);
	else if (r == 0 || r == -ENOENT || r == -EFBIG)
		r = replace_key(path.data, r, ret->at[0]);
	if (r < 0)
		buf_printf(why, "cannot use %s, the key of NFS file handles: %s", path.data,
			   err_text(r));
	ret->count = 1;
	if (key.len)
		explicit_bzero(key.data, key.len);
	return r;
}

static int find_shared(const char *file, struct nfs_keys *ret, struct buf *why)
{
	CLEANUP(key_file_wipe) struct key_file keys;
	struct key_file_stamp stamp;
	int r = key_file_read(file, &keys, &stamp, why);

	for (unsigned i = 0; r == 0 && i < keys.count; i++)
		r = digest_hmac(keys.at[i].secret, KEY_FILE_BYTES, PURPOSE, strlen(PURPOSE),
				ret->at[ret->count++]);
	return r;
}

int nfs_keys_find(const char *file, const char *cache_dir, struct nfs_keys *ret, struct buf *why)
{
	*ret = (struct nfs_keys){ 0 };
	return file ? find_shared(file, ret, why) : find_own(cache_dir, ret, why);
}

void nfs_keys_wipe(struct nfs_keys *keys)
{
	explicit_bzero(keys, sizeof(*keys));
}
