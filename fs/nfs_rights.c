/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/nfs_rights.h"

#include <errno.h>

#include "daemon/base/log.h"
#include "fs/permit.h"

int nfs_permit(const struct place *p, int mask)
{
	const struct permit_who nobody = { RPC_NOBODY, RPC_NOBODY };

	return permit_access(&nobody, p, mask);
}

int nfs_may_change(const struct view *v, const struct place *p)
{
	bool owned = p->kind == PLACE_ROOT || (p->kind == PLACE_SCRATCH && !p->shared);

	return v->strict_ro || owned ? -EROFS : 0;
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
