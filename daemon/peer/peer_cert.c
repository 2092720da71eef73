/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/peer_cert.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/file.h"
#include "daemon/base/lock.h"
#include "daemon/base/log.h"
#include "daemon/base/tls.h"
#include "daemon/base/why.h"
#include "daemon/peer/key_file.h"

#define CA_BYTES_MAX (1 << 20)

struct peer_cert {
	char *cert_file, *key_file;
	struct tls *tls;
	struct key_file_stamp cert_stamp, key_stamp; /* the thread's */
	pthread_t thread;
	bool running;
	struct lock lock;
	struct cond wake;
	bool stop; /* guarded by lock */
};

/* A certificate and its key are two files: while only one of them is new they do not go together,
 * and are looked at again when the other one has come. */
static void look(struct peer_cert *c)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	bool fresh = key_file_changed(c->cert_file, &c->cert_stamp);

	if (!key_file_changed(c->key_file, &c->key_stamp) && !fresh)
		return;
	if (tls_reload(c->tls, c->cert_file, c->key_file, &why) < 0)
		log_line(LOG_LEVEL_WARN, NULL, "the certificate for peers stays as it was: %s",
			 buf_str(&why));
	else
		log_info("the certificate for peers was read again");
}

static void *watch(void *arg)
{
	struct peer_cert *c = arg;

	lock_take(&c->lock);
	while (!c->stop) {
		cond_wait(&c->wake, &c->lock, clock_ms() + PEER_CERT_LOOK_MS);
		lock_drop(&c->lock);
		look(c);
		lock_take(&c->lock);
	}
	lock_drop(&c->lock);
	return NULL;
}

static int begin(struct peer_cert *c, const char *cert_file, const char *key_file, struct buf *why)
{
	int r;

	c->cert_file = strdup(cert_file);
	c->key_file = strdup(key_file);
	if (!c->cert_file || !c->key_file)
		return -ENOMEM;
	key_file_changed(cert_file, &c->cert_stamp);
	key_file_changed(key_file, &c->key_stamp);
	r = tls_new(cert_file, key_file, &c->tls, why);
	if (r == 0)
		r = thread_start(&c->thread, "mfs-peer-cert", watch, c);
	c->running = r == 0;
	return r;
}

int peer_cert_start(const char *cert_file, const char *key_file, struct peer_cert **ret,
		    struct buf *why)
{
	struct peer_cert *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	lock_init(&c->lock, LOCK_PEER_CERT);
	cond_init(&c->wake);
	r = begin(c, cert_file, key_file, why);
	if (r < 0) {
		peer_cert_stop(c);
		return r;
	}
	*ret = c;
	return 0;
}

void peer_cert_stop(struct peer_cert *c)
{
	if (!c)
		return;
	lock_take(&c->lock);
	c->stop = true;
	cond_wake_all(&c->wake);
	lock_drop(&c->lock);
	if (c->running)
		pthread_join(c->thread, NULL);
	tls_free(c->tls);
	cond_fini(&c->wake);
	lock_fini(&c->lock);
	free(c->cert_file);
	free(c->key_file);
	free(c);
}

struct tls *peer_cert_tls(struct peer_cert *c)
{
	return c->tls;
}

int peer_cert_check_ca(const char *ca_file, struct buf *why)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	int r = file_read_all(AT_FDCWD, ca_file, CA_BYTES_MAX, &text);

	if (r < 0)
		return complain_as(r, why, "The file %s of \"peer-tls-ca\" cannot be read: %s.",
				   ca_file, err_text(r));
	if (!strstr(buf_str(&text), "-----BEGIN CERTIFICATE-----"))
		return complain(why, "The file %s of \"peer-tls-ca\" holds no certificate in PEM.",
				ca_file);
	return 0;
}
