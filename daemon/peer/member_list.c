/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/member_list.h"

#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/lock.h"
#include "daemon/base/log.h"
#include "daemon/base/random.h"
#include "daemon/base/why.h"
#include "daemon/peer/member_checkin.h"

#define PERIOD_PERCENT 20 /* of jitter */

enum source { TOLD, DNS, LINES, HUB };

struct member_list {
	enum source source;
	char *spec;       /* owned */
	const char *what; /* of the spec: without the word before it */
	char *hub_url;    /* owned */
	struct members *members;
	struct member_file file;
	struct member_checkin checkin;
	int64_t period_ms;
	uint64_t random;
	struct buf told; /* why the list cannot be had, as the log knows it */
	pthread_t thread;
	struct lock lock;
	struct cond wake;
	/* Guarded by lock. */
	bool stopping;
	bool looked; /* once, at least */
	bool away;   /* the thread looks at a name or a file, which may hang */
};

/* --- forms of a spec */

static bool begins(const char *spec, const char *word, const char **ret)
{
	size_t len = strlen(word);

	if (strncmp(spec, word, len) != 0)
		return false;
	*ret = spec + len;
	return true;
}

static enum source source_of(const char *spec, const char **ret)
{
	*ret = spec;
	if (!strcmp(spec, "hub"))
		return HUB;
	return begins(spec, "dns:", ret) ? DNS : begins(spec, "file:", ret) ? LINES : TOLD;
}

static int check_told(const char *what, struct buf *why)
{
	struct member_look look = { 0 };
	int r = member_look_told(what, &look);

	if (r == ERR_CONF)
		buf_printf(why,
			   "%s. Members are told as ADDR:PORT,ADDR:PORT, dns:NAME:PORT, file:PATH "
			   "or hub.",
			   buf_str(&look.why));
	member_look_fini(&look);
	return r;
}

int member_list_check(const char *spec, struct buf *why)
{
	char address[MEMBER_ADDRESS_MAX + 1];
	const char *what;

	switch (source_of(spec, &what)) {
	case DNS:
		if (what[0] == '[' || !member_address_read(what, strlen(what), address))
			return complain(why,
					"\"%s\" is no name with a port: write dns:NAME:PORT, as "
					"dns:matrixfs.models.svc:9980.",
					what);
		return 0;
	case LINES:
		return what[0] ? 0 : complain(why, "A file is missing: write file:PATH.");
	case HUB:
		return 0;
	case TOLD:
		break;
	}
	return check_told(what, why);
}

/* --- one look */

static int look(struct member_list *l, struct member_look *ret)
{
	switch (l->source) {
	case DNS:
		return member_look_dns(l->what, ret);
	case LINES:
		return member_look_file(&l->file, ret);
	case HUB:
		return member_look_hub(&l->checkin, ret);
	case TOLD:
		break;
	}
	return member_look_told(l->what, ret);
}

/* The same failure again is no news, nor is the end of this list. */
static void complain_once(struct member_list *l, int r, const struct member_look *k)
{
	const char *why = k->why.len ? buf_str(&k->why) : err_text(r);

	if (r == ERR_CANCELED || (l->told.len && !strcmp(buf_str(&l->told), why)))
		return;
	log_line(LOG_LEVEL_WARN, NULL, "the list of members stays as it was: %s", why);
	buf_clear(&l->told);
	buf_add_str(&l->told, why);
}

static void take(struct member_list *l, int r, const struct member_look *k)
{
	if (r == MEMBER_FOUND)
		r = members_set(l->members, k->list, k->count);
	if (r < 0) {
		complain_once(l, r, k);
	} else if (r == MEMBER_FOUND && l->told.len) {
		log_info("the list of members can be had again members=%zu", k->count);
		buf_clear(&l->told);
	}
}

static int64_t pause_ms(struct member_list *l, int r)
{
	return r == MEMBER_UNDER_WAY ? MEMBER_FILE_STILL_MS
				     : random_near(&l->random, l->period_ms, PERIOD_PERCENT);
}

/* --- again and again */

static void free_list(struct member_list *l)
{
	buf_free(&l->told);
	cond_fini(&l->wake);
	lock_fini(&l->lock);
	free(l->hub_url);
	free(l->spec);
	free(l);
}

/* False if it was left to itself meanwhile: nothing but l is there any more. */
static bool look_once(struct member_list *l, int *ret)
{
	struct member_look k = { 0 };
	bool stopping, left;

	lock_take(&l->lock);
	stopping = l->stopping;
	l->away = !stopping && l->source != HUB;
	lock_drop(&l->lock);
	*ret = stopping ? MEMBER_AS_IT_WAS : look(l, &k);
	lock_take(&l->lock);
	left = l->away && l->stopping;
	l->away = false;
	lock_drop(&l->lock);
	if (!left)
		take(l, *ret, &k);
	member_look_fini(&k);
	return !left;
}

static void *list_main(void *arg)
{
	struct member_list *l = arg;
	int r;

	for (;;) {
		int64_t until_ms;
		bool stopping;

		if (!look_once(l, &r)) {
			free_list(l);
			return NULL;
		}
		until_ms = clock_ms() + pause_ms(l, r);
		lock_take(&l->lock);
		l->looked = true;
		cond_wake_all(&l->wake);
		while (!l->stopping && clock_ms() < until_ms)
			cond_wait(&l->wake, &l->lock, until_ms);
		stopping = l->stopping;
		lock_drop(&l->lock);
		if (stopping)
			return NULL;
	}
}

static struct member_list *new_list(const struct member_list_conf *conf)
{
	struct member_list *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	lock_init(&l->lock, LOCK_MEMBER_LIST);
	cond_init(&l->wake);
	l->members = conf->members;
	l->period_ms = conf->period_ms ? conf->period_ms : MEMBER_LIST_PERIOD_MS;
	l->random = placement_key(conf->self.address);
	l->spec = strdup(conf->spec);
	l->hub_url = strdup(conf->hub_url ? conf->hub_url : "");
	if (!l->spec || !l->hub_url) {
		free_list(l);
		return NULL;
	}
	l->source = source_of(l->spec, &l->what);
	l->file.path = l->what;
	l->checkin = (struct member_checkin){
		.http = conf->http, .key = conf->key, .hub_url = l->hub_url, .self = conf->self
	};
	return l;
}

/* A name server that says nothing does not hold up who starts. */
static void wait_for_first(struct member_list *l)
{
	int64_t until_ms = clock_ms() + MEMBER_LIST_FIRST_MS;

	lock_take(&l->lock);
	while (!l->looked && clock_ms() < until_ms)
		cond_wait(&l->wake, &l->lock, until_ms);
	lock_drop(&l->lock);
}

int member_list_start(const struct member_list_conf *conf, struct member_list **ret,
		      struct buf *why)
{
	int r = member_list_check(conf->spec, why);
	struct member_list *l = r == 0 ? new_list(conf) : NULL;

	if (!l)
		return r < 0 ? r : -ENOMEM;
	if (l->source == TOLD) {
		look_once(l, &r);
		*ret = l;
		return 0;
	}
	r = thread_start(&l->thread, "mfs-members", list_main, l);
	if (r < 0) {
		free_list(l);
		return r;
	}
	wait_for_first(l);
	*ret = l;
	return 0;
}

void member_list_stop(struct member_list *l)
{
	bool away;

	if (!l)
		return;
	lock_take(&l->lock);
	l->stopping = true;
	away = l->away;
	if (away)
		pthread_detach(l->thread);
	cond_wake_all(&l->wake);
	lock_drop(&l->lock);
	if (away) /* the thread frees l as soon as it has had the lock once more */
		return;
	if (l->source == HUB)
		httpc_cancel(l->checkin.http, &l->checkin.cancel);
	if (l->source != TOLD)
		pthread_join(l->thread, NULL);
	free_list(l);
}
