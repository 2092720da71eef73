/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/reload.h"

#include <errno.h>
#include <string.h>

#include "admin/hub/access.h"
#include "daemon/base/err.h"
#include "daemon/base/httpd.h"
#include "daemon/base/log.h"
#include "daemon/base/tls.h"
#include "daemon/peer/key_file.h"

/* What was read, before anything is changed. */
struct fresh {
	struct hubconf conf;
	struct buf token;
	struct filter *filter;
};

static void fresh_fini(struct fresh *f)
{
	hubconf_fini(&f->conf);
	if (f->token.data)
		explicit_bzero(f->token.data, f->token.cap);
	buf_free(&f->token);
	filter_unref(f->filter);
}

int reload_check(const struct hubconf *c, struct buf *why)
{
	CLEANUP(fresh_fini) struct fresh f = { 0 };
	struct tls *tls = NULL;
	int r = hubconf_token(c, &f.token, why);

	if (r == 0)
		r = filter_new(&c->allow, &c->deny, &f.filter, why);
	if (r == 0)
		r = key_file_check(c->peer.key_file, why);
	if (r == 0 && c->tls_cert)
		r = tls_new(c->tls_cert, c->tls_key, &tls, why);
	tls_free(tls);
	return r;
}

/* The certificate comes last: it is the one that is in use when it was read. */
static int read_all(const struct reload *r, struct fresh *f, struct buf *why)
{
	enum hubconf_action action;
	int rc = hubconf_parse(r->argc, r->argv, &f->conf, &action, why);

	if (rc == 0)
		rc = hubconf_token(&f->conf, &f->token, why);
	if (rc == 0)
		rc = filter_new(&f->conf.allow, &f->conf.deny, &f->filter, why);
	if (rc == 0 && r->tls && f->conf.tls_cert)
		rc = tls_reload(r->tls, f->conf.tls_cert, f->conf.tls_key, why);
	return rc;
}

/* A token is for the upstream it stands beside: until a restart that may be another one. What it
 * opens is guarded before it comes, and as long as the hub runs. */
static void set_token(const struct reload *r, const struct fresh *f)
{
	struct server *s = r->server;
	int e = 0;

	if (strcmp(r->conf->upstreams.items[0], f->conf.upstreams.items[0]) != 0)
		return;
	if (f->token.len)
		s->rights.guarded = true;
	if (node_hub_count(s->node))
		e = node_set_token(s->node, 0, buf_str(&f->token));
	if (e < 0)
		log_warn(e, "the token for the first upstream stays as it was");
}

static void apply(struct reload *r, struct fresh *f)
{
	struct hubconf *c = r->conf;
	struct server *s = r->server;
	const struct cache_limits cache = { c->cache_size, c->cache_min_free };

	log_set_level((enum log_level)c->log_level);
	httpd_set_limits(s->http, (unsigned)c->connections, (unsigned)c->address_connections);
	node_set_cache(s->node, &cache);
	node_set_ref_ttl(s->node, c->ref_ttl * 1000);
	s->ref_ttl_ms = c->ref_ttl * 1000;
	set_token(r, f);
	filter_change(&s->filter, steal(f->filter));
	s->rights.closed = c->anonymous == HUBCONF_ANONYMOUS_NONE;
}

/* A hub begins to speak TLS, or ends to, at a restart: only what it speaks it with may change. */
static void note_tls(const struct reload *r, struct buf *kept)
{
	if (!r->tls != !r->conf->tls_cert)
		buf_printf(kept, "%stls-cert", kept->len ? ", " : "");
}

void reload_now(struct reload *r)
{
	CLEANUP(buf_free) struct buf why = { 0 }, kept = { 0 };
	CLEANUP(fresh_fini) struct fresh f = { 0 };
	int rc = read_all(r, &f, &why);

	access_reopen(r->server->access);
	if (rc < 0) {
		log_line(LOG_LEVEL_ERR, NULL, "the configuration stays as it was: %s",
			 why.len ? buf_str(&why) : err_text(rc));
		return;
	}
	hubconf_renew(r->conf, &f.conf, &kept);
	note_tls(r, &kept);
	apply(r, &f);
	log_info("the configuration was read again");
	if (kept.len)
		log_line(LOG_LEVEL_WARN, NULL, "what needs a restart stays as it was: %s",
			 buf_str(&kept));
}
