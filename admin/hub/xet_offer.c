/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/xet_offer.h"

#include "admin/registry/recipes.h"

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

/* Where a token is to be had, and where what the file is made of: for clients of 1.29 and later,
 * and the first once more for older ones. */
static void add_fields(const struct ask *a, const char *hash, struct httpd_head *h)
{
	const struct repo_id *id = repo_id_of(repo_canonical(a->repo));
	const char *origin = a->asked.origin;
	CLEANUP(buf_free) struct buf token = { 0 };

	buf_printf(&token, "%s/api/%s/%s/xet-read-token/%s", origin, repo_type_plural(id->type),
		   id->name, a->commit);
	httpd_head_add(h, "X-Xet-Hash", "%s", hash);
	httpd_head_add(h, "X-Xet-Refresh-Route", "%s", buf_str(&token));
	httpd_head_add(h, "Link",
		       "<%s>; rel=\"xet-auth\", <%s/api/xet/1/v1/reconstructions/%s>; "
		       "rel=\"xet-reconstruction-info\"",
		       buf_str(&token), origin, hash);
}

void xet_offer(const struct ask *a, const struct manifest_file *f, const char *etag,
	       struct httpd_head *h)
{
	struct finding found = { .etag = etag };
	char hash[XET_HASH_HEX + 1];

	if (!xet_offered(a->server) || f->kind != DIGEST_SHA256 ||
	    f->size <= a->server->xet_above || !repo_is_hosted(a->repo))
		return;
	/* Who is not told reads as everybody did before. */
	if (db_read(a->server->rights.db, find, &found) < 0 || found.recipe.size != f->size)
		return;
	xet_hash_print(found.recipe.hash, hash);
	add_fields(a, hash, h);
}
