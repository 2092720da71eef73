/* SPDX-License-Identifier: Apache-2.0 */
/* As much of a portmapper as clients need who ask one where NFS is, instead of being told. */
#include <errno.h>

#include "fs/nfs_call.h"
#include "fs/nfs_procs.h"

int nfs_portmap_getport(struct nfs_call *c)
{
	uint32_t program = xdr_u32(&c->in), version = xdr_u32(&c->in), over = xdr_u32(&c->in);
	uint16_t port = 0; /* none */

	xdr_u32(&c->in); /* a port, of which nothing is asked */
	if (c->in.bad)
		return -EBADMSG;
	for (const struct nfs_program *p = c->world->programs; p->procs; p++)
		if (p->number == program && p->version == version && over == PORTMAP_TCP)
			port = rpcd_port(c->conn);
	xdr_put_u32(&c->reply.head, port);
	return 0;
}

int nfs_portmap_dump(struct nfs_call *c)
{
	struct buf *out = &c->reply.head;

	for (const struct nfs_program *p = c->world->programs; p->procs; p++) {
		xdr_put_u32(out, true);
		xdr_put_u32(out, p->number);
		xdr_put_u32(out, p->version);
		xdr_put_u32(out, PORTMAP_TCP);
		xdr_put_u32(out, rpcd_port(c->conn));
	}
	xdr_put_u32(out, false);
	return 0;
}
