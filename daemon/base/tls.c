/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/tls.h"

#include <errno.h>
#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <stdatomic.h>

#include "daemon/base/lock.h"
#include "daemon/base/why.h"

struct tls_cert {
	gnutls_certificate_credentials_t it;
	atomic_uint users;
};

struct tls {
	struct lock lock;
	struct tls_cert *now; /* guarded by lock */
};

void tls_drop(struct tls_cert *c)
{
	if (atomic_fetch_sub(&c->users, 1) > 1)
		return;
	gnutls_certificate_free_credentials(c->it);
	free(c);
}

/* One user: the caller. */
static int load(const char *cert_file, const char *key_file, struct tls_cert **ret, struct buf *why)
{
	struct tls_cert *c = calloc(1, sizeof(*c));
	int r;

	if (!c || gnutls_certificate_allocate_credentials(&c->it) < 0) {
		free(c);
		return -ENOMEM;
	}
	atomic_init(&c->users, 1);
	r = gnutls_certificate_set_x509_key_file(c->it, cert_file, key_file, GNUTLS_X509_FMT_PEM);
	if (r < 0) {
		tls_drop(c);
		return complain_ended(why, "The certificate %s with the key %s cannot be used: %s",
				      cert_file, key_file, gnutls_strerror(r));
	}
	*ret = c;
	return 0;
}

int tls_new(const char *cert_file, const char *key_file, struct tls **ret, struct buf *why)
{
	struct tls *t = calloc(1, sizeof(*t));
	int r = t ? load(cert_file, key_file, &t->now, why) : -ENOMEM;

	if (r < 0) {
		free(t);
		return r;
	}
	lock_init(&t->lock, LOCK_TLS);
	*ret = t;
	return 0;
}

void tls_free(struct tls *t)
{
	if (!t)
		return;
	tls_drop(t->now);
	lock_fini(&t->lock);
	free(t);
}

int tls_reload(struct tls *t, const char *cert_file, const char *key_file, struct buf *why)
{
	struct tls_cert *fresh, *old;
	int r = load(cert_file, key_file, &fresh, why);

	if (r < 0)
		return r;
	lock_take(&t->lock);
	old = t->now;
	t->now = fresh;
	lock_drop(&t->lock);
	tls_drop(old);
	return 0;
}

struct tls_cert *tls_use(struct tls *t, void *session)
{
	struct tls_cert *c;

	lock_take(&t->lock);
	c = t->now;
	atomic_fetch_add(&c->users, 1);
	lock_drop(&t->lock);
	gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, c->it);
	return c;
}

static int retrieve(gnutls_session_t session UNUSED, const gnutls_datum_t *authorities UNUSED,
		    int authority_count UNUSED, const gnutls_pk_algorithm_t *algorithms UNUSED,
		    int algorithm_count UNUSED, gnutls_pcert_st **ret UNUSED,
		    unsigned *ret_count UNUSED, gnutls_privkey_t *ret_key UNUSED)
{
	return -1;
}

intptr_t tls_callback(void)
{
	return (intptr_t)retrieve;
}
