/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/resolve.h"

#include <errno.h>
#include <string.h>

#include "fs/attr.h"

#define HOPS_MAX 8 /* renamed repositories on the way */

struct walk {
	struct waiter waiter;
	const struct view *view;
	struct place at;
	char *path, *rest; /* rest points to what is left of path */
	char name[256];    /* the one being looked up */
	unsigned hops;
	void (*done)(void *arg, int r, struct place *p);
	void *arg;
};

/* Takes the next name off the rest: 0, or 1 if none is left. */
static int next_name(struct walk *w)
{
	size_t len;

	do {
		w->rest += strspn(w->rest, "/");
		len = strcspn(w->rest, "/");
		if (len >= sizeof(w->name))
			return -ENAMETOOLONG;
		memcpy(w->name, w->rest, len);
		w->name[len] = '\0';
		w->rest += len;
	} while (strcmp(w->name, ".") == 0);
	if (strcmp(w->name, "..") == 0)
		return -EINVAL;
	return len == 0;
}

/* On another name of a repository the walk goes on at its own. */
static int follow_alias(struct walk *w)
{
	CLEANUP(buf_free) struct buf target = { 0 };
	struct place hub = { .kind = PLACE_HUB };
	int r = attr_link(&w->at, &target);

	if (r == 0 && ++w->hops > HOPS_MAX)
		r = -ELOOP;
	if (r < 0)
		return r;
	if (strlen(buf_str(&target)) >= sizeof(w->name))
		return -ENAMETOOLONG;
	place_fini(&w->at);
	w->at = hub;
	w->rest -= strlen(w->name);
	memcpy(w->name, buf_str(&target), target.len + 1);
	return 0;
}

static void step_to(struct walk *w, const struct place *p)
{
	place_fini(&w->at);
	w->at = *p;
	w->name[0] = '\0';
}

static void finish(struct walk *w, int r)
{
	if (r < 0) {
		place_fini(&w->at);
		w->at = (struct place){ 0 };
	}
	w->done(w->arg, r, &w->at);
	free(w->path);
	free(w);
}

/* Walks on until the end or until it parks. */
static void walk_on(struct walk *w)
{
	int r = 0;

	while (r == 0) {
		struct place p = { 0 };
		int64_t ttl_ms;

		if (!w->name[0])
			r = next_name(w);
		if (r == 0 && w->at.kind == PLACE_ALIAS)
			r = follow_alias(w);
		if (r != 0)
			break;
		r = view_lookup(w->view, &w->at, w->name, &w->waiter, &p, &ttl_ms);
		if (r == PARKED)
			return; /* w may be gone */
		if (r == 0)
			step_to(w, &p);
	}
	finish(w, r < 0 ? r : 0);
}

static void wake(struct waiter *waiter, int r)
{
	struct walk *w = container_of(waiter, struct walk, waiter);
	struct place p = { 0 };
	int64_t ttl_ms;

	if (r < 0) {
		r = view_lookup_ended(w->view, &w->at, w->name, r, &p, &ttl_ms);
		if (r < 0) {
			finish(w, r);
			return;
		}
		step_to(w, &p);
	}
	walk_on(w);
}

void resolve(const struct view *v, const char *path, int64_t timeout_ms,
	     void (*done)(void *arg, int r, struct place *p), void *arg)
{
	struct place none = { 0 };
	struct walk *w = calloc(1, sizeof(*w));

	if (w)
		w->path = strdup(path);
	if (!w || !w->path) {
		free(w);
		done(arg, -ENOMEM, &none);
		return;
	}
	w->view = v;
	w->at = view_root();
	w->rest = w->path;
	w->done = done;
	w->arg = arg;
	waiter_init(&w->waiter, timeout_ms, wake);
	w->waiter.started_ms = 0; /* whatever is known is fresh enough */
	walk_on(w);
}
