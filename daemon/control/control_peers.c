/* SPDX-License-Identifier: Apache-2.0 */
/* Peers: who they are and how they behave, where a file lies among them, and bans taken back. */
#include "daemon/control/control_priv.h"

#include <errno.h>
#include <stdio.h>

#include "daemon/peer_json.h"

struct peers *control_peers_of(struct control *c, struct httpd_request *q)
{
	struct peers *p = node_peers(c->conf.node);

	if (!p)
		control_refuse(q, 404, "no_peers",
			       "this node has no peers: --peer-listen, --peers and "
			       "--cluster-key-file give it some");
	return p;
}

void control_peers(struct control *c, struct httpd_request *q, const char *rest UNUSED)
{
	CLEANUP(buf_free) struct buf b = { 0 };
	struct jwrite w = { .to = &b };
	struct peers *p = control_peers_of(c, q);

	if (!p)
		return;
	peer_json_members(p, &w);
	control_reply(q, 200, &b);
}

/* A blob whose members are asked for. */
struct owners {
	struct node *node;
	struct httpd_request *q;
	uint64_t size;
	char etag[DIGEST_HEX_MAX + 1];
};

static void ask_owners(void *arg, uint64_t number UNUSED)
{
	CLEANUP(freep) struct owners *o = arg;
	CLEANUP(buf_free) struct buf b = { 0 };
	struct jwrite w = { .to = &b };
	int r = peer_json_segments(o->node, node_peers(o->node), o->etag, o->size, &w);

	if (r < 0)
		control_fail(o->q, r);
	else
		control_reply(o->q, 200, &b);
}

static void write_owners(struct control *c, struct httpd_request *q, const struct control_file *f)
{
	struct owners *o;
	int r;

	if (!f->etag[0]) {
		control_refuse(q, 404, "no_file", "this is a %s: only files of a hub lie at peers",
			       f->kind);
		return;
	}
	o = calloc(1, sizeof(*o));
	if (!o) {
		control_fail(q, -ENOMEM);
		return;
	}
	*o = (struct owners){ .node = c->conf.node, .q = q, .size = f->size };
	snprintf(o->etag, sizeof(o->etag), "%s", f->etag);
	r = workers_add(c->askers, &(struct work){ .fn = ask_owners, .arg = o });
	if (r == 0)
		return;
	free(o);
	control_refuse(q, 503, "busy", "too many ask where files lie: ask again");
}

void control_peer_owners(struct control *c, struct httpd_request *q, const char *rest UNUSED)
{
	if (control_peers_of(c, q))
		control_find(c, q, write_owners);
}

/* Whose bans it is about: *ret NULL is all. 0, or -EINVAL after having answered. */
static int take_address(struct httpd_request *q, struct jdoc **ret_doc, const char **ret)
{
	static const char *const known[] = { "address" };
	const struct jval *v;

	*ret = NULL;
	if (httpd_body(q)->len == 0)
		return 0;
	if (control_take_object(q, known, ARRAY_LEN(known), ret_doc) < 0)
		return -EINVAL;
	v = jval_get(jdoc_root(*ret_doc), known[0]);
	if (!v)
		return 0;
	*ret = jval_str(v);
	if (*ret)
		return 0;
	control_refuse(q, 400, "bad_request",
		       "\"address\" must be a member's, as \"192.0.2.1:9980\"");
	return -EINVAL;
}

void control_forgive_peers(struct control *c, struct httpd_request *q, const char *rest UNUSED)
{
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	CLEANUP(buf_free) struct buf b = { 0 };
	struct jwrite w = { .to = &b };
	struct peers *p = control_peers_of(c, q);
	const char *address;
	bool any;

	if (!p || take_address(q, &d, &address) < 0)
		return;
	any = members_forgive(peers_members(p), address);
	if (!any && address) {
		control_refuse(q, 404, "no_ban", "%s is not banned", address);
		return;
	}
	jwrite_object(&w, NULL);
	jwrite_bool(&w, "forgiven", any);
	jwrite_object_end(&w);
	control_reply(q, 200, &b);
}
