/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/tls_troubles.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/err.h"
#include "daemon/base/lock.h"
#include "daemon/base/log.h"
#include "daemon/peer/member_spec.h"

/* What is said of a member with which it is not TLS that fails, or nothing does. */
enum trouble { NOTHING, OVER, FAILS };

struct tls_troubles {
	struct lock lock;
	/* Guarded by lock. */
	uint64_t clock; /* counts failures */
	struct tls_trouble {
		char member[MEMBER_ADDRESS_MAX + 1]; /* "": free */
		char text[TLS_TROUBLE_TEXT];
		uint64_t last; /* its last failure, by that clock */
	} of[TLS_TROUBLES_MAX];
};

int tls_troubles_new(struct tls_troubles **ret)
{
	struct tls_troubles *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	lock_init(&t->lock, LOCK_TLS_TROUBLES);
	*ret = t;
	return 0;
}

void tls_troubles_free(struct tls_troubles *t)
{
	if (!t)
		return;
	lock_fini(&t->lock);
	free(t);
}

/* The library calls it that it could not connect when it was TLS that did not begin. */
static enum trouble kind_of(bool secure, int r, const char *words)
{
	if (r >= 0 || r == ERR_TOKEN)
		return OVER;
	if (secure && (r == ERR_TLS || strstr(words, "SSL") || strstr(words, "TLS")))
		return FAILS;
	return NOTHING;
}

/* Its place; NULL: there is none. */
static struct tls_trouble *find_locked(struct tls_troubles *t, const char *member)
{
	for (struct tls_trouble *one = t->of; one < t->of + TLS_TROUBLES_MAX; one++)
		if (strcmp(one->member, member) == 0)
			return one;
	return NULL;
}

/* A free place, or that of who failed longest ago: it may be no member any more. */
static struct tls_trouble *oldest_locked(struct tls_troubles *t)
{
	struct tls_trouble *oldest = t->of;

	for (struct tls_trouble *one = t->of; one < t->of + TLS_TROUBLES_MAX; one++)
		if (one->last < oldest->last)
			oldest = one;
	return oldest;
}

/* True if it was not known. */
static bool put_locked(struct tls_troubles *t, const char *member, const char *text)
{
	struct tls_trouble *one = find_locked(t, member);

	t->clock++;
	if (one) {
		one->last = t->clock;
		return false;
	}
	one = oldest_locked(t);
	one->last = t->clock;
	snprintf(one->member, sizeof(one->member), "%s", member);
	snprintf(one->text, sizeof(one->text), "%s", text);
	return true;
}

void tls_troubles_note(struct tls_troubles *t, const char *member, bool secure, int r,
		       const char *words)
{
	enum trouble kind = kind_of(secure, r, words);
	const char *text = *words ? words : "its certificate is not trusted";
	struct tls_trouble *one;
	bool news = false;

	lock_take(&t->lock);
	one = kind == OVER ? find_locked(t, member) : NULL;
	if (one)
		*one = (struct tls_trouble){ 0 };
	if (kind == FAILS)
		news = put_locked(t, member, text);
	lock_drop(&t->lock);
	if (news)
		log_line(LOG_LEVEL_WARN, NULL, "peer=%s cannot be asked, TLS with it fails: %s",
			 member, text);
}

bool tls_troubles_find(struct tls_troubles *t, const char *member,
		       char ret[static TLS_TROUBLE_TEXT])
{
	const struct tls_trouble *one;

	lock_take(&t->lock);
	one = find_locked(t, member);
	if (one)
		memcpy(ret, one->text, sizeof(one->text));
	lock_drop(&t->lock);
	return one;
}
