/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/xet_offer.h"

#include "admin/registry/recipes.h"
#include "daemon/base/jwrite.h"

bool xet_offered(const struct server *s)
{
	return s->takes_xet && s->xet_above != XET_OFFERS_NONE;
}

struct finding {
	const char *etag;
	struct recipe recipe;
};

static int find(struct db_txn *t, void *arg)
{
	struct finding *f = arg;

	return recipes_get(t, f->etag, &f->recipe);
}

/* True if a file of that etag is one. */
static bool finds(const struct ask *a, const struct manifest_file *f, const char *etag,
		  struct finding *ret)
{
	*ret = (struct finding){ .etag = etag };
	if (!xet_offered(a->server) || f->kind != DIGEST_SHA256 ||
	    f->size <= a->server->xet_above || !repo_is_hosted(a->repo))
		return false;
	/* Who is not told reads as everybody did before. */
	return db_read(a->server->rights.db, find, ret) == 0 && ret->recipe.size == f->size;
}

/* Its hash, where a token is to be had, and where what the file is made of. */
struct offer {
	char hash[XET_HASH_HEX + 1];
	struct buf token, file;
};

static void offer_fini(struct offer *o)
{
	buf_free(&o->token);
	buf_free(&o->file);
}

static bool make_offer(const struct ask *a, const struct manifest_file *f, const char *etag,
		       struct offer *ret)
{
	const struct repo_id *id = repo_id_of(repo_canonical(a->repo));
	struct finding found;

	if (!finds(a, f, etag, &found))
		return false;
	xet_hash_print(found.recipe.hash, ret->hash);
	buf_printf(&ret->token, "%s/api/%s/%s/xet-read-token/%s", a->asked.origin,
		   repo_type_plural(id->type), id->name, a->commit);
	buf_printf(&ret->file, "%s/api/xet/1/v1/reconstructions/%s", a->asked.origin, ret->hash);
	return true;
}

void xet_offer(const struct ask *a, const struct manifest_file *f, const char *etag,
	       struct httpd_head *h)
{
	CLEANUP(offer_fini) struct offer o = { .hash = "" };

	if (!make_offer(a, f, etag, &o))
		return;
	httpd_head_add(h, "X-Xet-Hash", "%s", o.hash);
	/* Clients of 1.29 and later look into the second, older ones into the first. */
	httpd_head_add(h, "X-Xet-Refresh-Route", "%s", buf_str(&o.token));
	httpd_head_add(h, "Link", "<%s>; rel=\"xet-auth\", <%s>; rel=\"xet-reconstruction-info\"",
		       buf_str(&o.token), buf_str(&o.file));
}

void xet_offer_json(const struct ask *a, const struct manifest_file *f, const char *etag,
		    struct buf *ret)
{
	CLEANUP(offer_fini) struct offer o = { .hash = "" };
	struct jwrite w = { .to = ret };

	if (!make_offer(a, f, etag, &o))
		return;
	jwrite_object(&w, NULL);
	jwrite_text(&w, "hash", o.hash);
	jwrite_text(&w, "refreshUrl", buf_str(&o.token));
	jwrite_text(&w, "reconstructionUrl", buf_str(&o.file));
	jwrite_text(&w, "etag", etag);
	jwrite_uint(&w, "size", f->size);
	jwrite_object_end(&w);
}
