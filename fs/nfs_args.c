/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/nfs_args.h"

#include <errno.h>
#include <string.h>

#include "daemon/base/log.h"

struct permit_who nfs_reader(void)
{
	return (struct permit_who){ RPC_NOBODY, RPC_NOBODY };
}

void nfs_denied(struct nfs_call *c, const struct place *p, const char *name)
{
	CLEANUP(buf_free) struct buf what = { 0 };

	metrics_add(&c->world->metrics->nfs_denied, 1);
	metrics_add(&c->client->denied, 1);
	place_tell(p, &what);
	log_line(LOG_LEVEL_WARN, &c->client->denials,
		 "a client of NFS asked for what --nfs-export does not give it client=%s%s%s%s",
		 c->client->address, buf_str(&what), name ? " name=" : "", name ? name : "");
}

/* A handle may have been given to another client, or under other rules. */
static int check_shown(struct nfs_call *c, struct place *p)
{
	if (view_is_shown(&c->client->view, p))
		return 0;
	nfs_denied(c, p, NULL);
	place_fini(p);
	return -ESTALE;
}

int nfs_take_handle(struct nfs_call *c, struct nfs_fh *ret)
{
	size_t len;
	const uint8_t *bytes = xdr_opaque(&c->in, NFS_HANDLE_MAX, &len);

	if (!bytes)
		return -EBADMSG;
	ret->len = (uint8_t)len;
	memcpy(ret->bytes, bytes, len);
	return 0;
}

int nfs_take_place(struct nfs_call *c, struct place *ret)
{
	struct nfs_fh fh;
	int r = nfs_take_handle(c, &fh);

	if (r < 0)
		return r;
	c->placing = true;
	r = nfs_objects_find(c->world->objects, &fh, &c->waiter, ret);
	if (r != 0)
		return r;
	c->placing = false;
	return check_shown(c, ret);
}

int nfs_put_handle(struct nfs_call *c, const struct place *p)
{
	struct nfs_fh fh;
	int r = nfs_objects_handle(c->world->objects, p, &fh);

	if (r < 0)
		return r;
	nfs_objects_note(c->world->objects, &fh, p);
	xdr_put_opaque(&c->reply.head, fh.bytes, fh.len);
	return 0;
}

/* Longer texts than there may be are read to their end: they make sense, and name nothing. */
static int take_text(struct nfs_call *c, size_t max, char *ret)
{
	size_t len;
	const uint8_t *bytes = xdr_opaque(&c->in, RPCD_RECORD_MAX, &len);

	if (!bytes)
		return -EBADMSG;
	if (len > max)
		return -ENAMETOOLONG;
	if (memchr(bytes, '\0', len))
		return -EINVAL;
	memcpy(ret, bytes, len);
	ret[len] = '\0';
	return 0;
}

int nfs_take_name(struct nfs_call *c, char ret[static NFS_NAME_MAX + 1])
{
	int r = take_text(c, NFS_NAME_MAX, ret);

	return r == 0 && (!ret[0] || strchr(ret, '/')) ? -EINVAL : r;
}

int nfs_take_path(struct nfs_call *c, char ret[static NFS_PATH_MAX + 1])
{
	return take_text(c, NFS_PATH_MAX, ret);
}
